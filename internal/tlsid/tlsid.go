// Package tlsid makes TLS 1.3 carry identity by ed25519 key alone. Both ends present a
// self-signed certificate whose key is the one they are known by on the chain (a provider's
// device key, a lease's session key); nothing else in a certificate is looked at, and there is
// no certificate authority. The handshake's CertificateVerify (RFC 8446 section 4.4.3) proves
// that the peer holds the key.
package tlsid

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// ErrNoIdentity says that the peer did not present exactly one ed25519 certificate.
var ErrNoIdentity = errors.New("peer presented no ed25519 certificate")

// KeyMismatchError says that the peer proved another key than the one dialled.
type KeyMismatchError struct{ Want, Got ed25519.PublicKey }

func (e *KeyMismatchError) Error() string {
	return fmt.Sprintf("peer holds key %x, not the expected %x", []byte(e.Got), []byte(e.Want))
}

// Certificate is the self-signed certificate of key: the same bytes for the same key, valid
// at all times, as trust rests on the key and not on dates.
func Certificate(key ed25519.PrivateKey) (tls.Certificate, error) {
	if len(key) != ed25519.PrivateKeySize {
		return tls.Certificate{}, fmt.Errorf("making certificate: private key of %d bytes, want %d", len(key), ed25519.PrivateKeySize)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "cairn"},
		NotBefore:    time.Unix(0, 0).UTC(),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // "no expiration", RFC 5280 section 4.1.2.5
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	// Ed25519 signatures draw no randomness, so no reader is needed.
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// ServerConfig accepts any client that proves an ed25519 key; PeerKey says which.
// Protocols are the ALPN names served.
func ServerConfig(key ed25519.PrivateKey, protocols ...string) (*tls.Config, error) {
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

// ClientConfig accepts only the server that proves it holds the key want.
func ClientConfig(key ed25519.PrivateKey, want ed25519.PublicKey, protocols ...string) (*tls.Config, error) {
	cert, err := Certificate(key)
	if err != nil {
		return nil, err
	}
	if len(want) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("expecting a server key of %d bytes, want %d", len(want), ed25519.PublicKeySize)
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
			if !got.Equal(want) {
				return &KeyMismatchError{Want: want, Got: got}
			}
			return nil
		},
	}, nil
}

// PeerKey is the key that the other end of a completed handshake proved.
func PeerKey(state tls.ConnectionState) (ed25519.PublicKey, error) {
	if len(state.PeerCertificates) != 1 {
		return nil, fmt.Errorf("%w: %d certificates", ErrNoIdentity, len(state.PeerCertificates))
	}
	key, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: key of type %T", ErrNoIdentity, state.PeerCertificates[0].PublicKey)
	}
	return key, nil
}
