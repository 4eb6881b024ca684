package csms

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/cairn-network/cairn/wire/ocpp"
	"github.com/cairn-network/cairn/wire/ocpp/v16"
	"github.com/cairn-network/cairn/wire/ocpp/v201"
)

// certificateLife is how long a station's certificate holds; stations ask for a new one before.
const certificateLife = 365 * 24 * time.Hour

// signRequest answers a station that asks for a client certificate: Accepted when one is on its way.
func (s *Service) signRequest(st *station, csr string) string {
	st.mu.Lock()
	record := st.Station
	st.mu.Unlock()
	chain, err := s.issue(&record, csr)
	if err != nil {
		s.Log.Warn("a certificate request was rejected", "station", record.ID, "error", err)
		return "Rejected"
	}
	ok := s.calls.do(func(ctx context.Context) {
		if err := s.deliverCertificate(ctx, st, chain); err != nil {
			s.Log.Warn("delivering a certificate", "station", record.ID, "error", err)
		}
	})
	if !ok {
		return "Rejected"
	}
	return "Accepted"
}

// issue signs a request for exactly the name that the station is registered by, whatever else it asks for.
func (s *Service) issue(record *Station, csr string) (string, error) {
	ca := s.Config.StationCA
	if ca == nil {
		return "", errors.New("this central system has no authority for stations (StationCA)")
	}
	block, rest := pem.Decode([]byte(csr))
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(rest) > 1 {
		return "", errors.New("the request is not one PEM block of a certificate request")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("reading the request: %w", err)
	}
	if err := request.CheckSignature(); err != nil {
		return "", fmt.Errorf("the request is not signed by its key: %w", err)
	}
	name := record.certificateName()
	if request.Subject.CommonName != name {
		return "", fmt.Errorf("the request is for %.60q, the station is registered as %q", request.Subject.CommonName, name)
	}
	parent, err := x509.ParseCertificate(ca.Certificate[0])
	if err != nil {
		return "", fmt.Errorf("reading the stations' authority: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return "", fmt.Errorf("drawing a serial number: %w", err)
	}
	now := s.Clock.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: request.Subject.Organization},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, parent, request.PublicKey, ca.PrivateKey)
	if err != nil {
		return "", fmt.Errorf("signing the certificate: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}

func (s *Station) certificateName() string {
	if s.Certificate != "" {
		return s.Certificate
	}
	return s.ID
}

func (s *Service) deliverCertificate(ctx context.Context, st *station, chain string) error {
	c, err := st.online()
	if err != nil {
		return err
	}
	if c.Version == ocpp.V201 {
		answer, err := ocpp.Call(ctx, c, &v201.CertificateSignedRequest{
			CertificateChain: chain, CertificateType: v201.CertificateSigningUseChargingStationCertificate,
		})
		if err != nil {
			return err
		}
		return wanted("CertificateSigned", string(answer.Status))
	}
	answer, err := ocpp.Call(ctx, c, &v16.CertificateSigned{CertificateChain: chain})
	if err != nil {
		return err
	}
	return wanted("CertificateSigned", string(answer.Status))
}
