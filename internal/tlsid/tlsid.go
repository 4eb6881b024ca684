// Package tlsid makes TLS 1.3 carry identity by key alone, Ed25519 or P-256. Both ends present a
// self-signed certificate whose key is the one they are known by on the chain (a provider's
// device key, a lease's session key); nothing else in a certificate is looked at, and there is
// no certificate authority. The handshake's CertificateVerify (RFC 8446 section 4.4.3) proves
// that the peer holds the key.
package tlsid

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/cairn-network/cairn/core/device"
)

// ErrNoIdentity says that the peer did not present exactly one certificate with a key of ours.
var ErrNoIdentity = errors.New("peer presented no certificate with an Ed25519 or P-256 key")

// KeyMismatchError says that the peer proved another key than the one dialled. Keys are as the chain
// registers them: 32 bytes of Ed25519, 33 of P-256.
type KeyMismatchError struct{ Want, Got []byte }

func (e *KeyMismatchError) Error() string {
	return fmt.Sprintf("peer holds key %x, not the expected %x", e.Got, e.Want)
}

// Certificate is the self-signed certificate of a key, which may live in a chip: valid at all times, as
// trust rests on the key and not on dates.
func Certificate(key crypto.Signer) (tls.Certificate, error) {
	if k, plain := key.(ed25519.PrivateKey); key == nil || plain && len(k) != ed25519.PrivateKeySize {
		return tls.Certificate{}, fmt.Errorf("making certificate: private key of %d bytes, want %d", len(k), ed25519.PrivateKeySize)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "cairn"},
		NotBefore:    time.Unix(0, 0).UTC(),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // "no expiration", RFC 5280 section 4.1.2.5
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// ServerConfig accepts any client that proves a key; PeerKey says which.
// Protocols are the ALPN names served.
func ServerConfig(key crypto.Signer, protocols ...string) (*tls.Config, error) {
	cert, err := Certificate(key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates:           []tls.Certificate{cert},
		MinVersion:             tls.VersionTLS13,
		NextProtos:             protocols,
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true, // every connection proves its key afresh
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := PeerKey(state)
			return err
		},
	}, nil
}

// ClientConfig accepts only the server that proves it holds the key want, as the chain registers it.
func ClientConfig(key crypto.Signer, want []byte, protocols ...string) (*tls.Config, error) {
	cert, err := Certificate(key)
	if err != nil {
		return nil, err
	}
	if device.TypeOf(want) == 0 {
		return nil, fmt.Errorf("expecting a server key of %d bytes, want 32 or 33", len(want))
	}
	return &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS13,
		NextProtos:   protocols,
		ServerName:   "cairn",
		// Names and issuers mean nothing here: VerifyConnection compares the key itself.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			got, err := PeerKey(state)
			if err != nil {
				return err
			}
			if !bytes.Equal(got, want) {
				return &KeyMismatchError{Want: want, Got: got}
			}
			return nil
		},
	}, nil
}

// PeerKey is the key that the other end of a completed handshake proved, as the chain registers it.
func PeerKey(state tls.ConnectionState) ([]byte, error) {
	if len(state.PeerCertificates) != 1 {
		return nil, fmt.Errorf("%w: %d certificates", ErrNoIdentity, len(state.PeerCertificates))
	}
	_, key, err := device.PublicKey(state.PeerCertificates[0].PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoIdentity, err)
	}
	return key, nil
}
