package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sync"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cairn-network/cairn/core/attest"
)

// Signer is the device key of a label, ready to sign for a program that runs on. It is safe for
// concurrent use; the chip signs one after the other.
type Signer struct {
	label  string
	public *ecdsa.PublicKey

	mu   sync.Mutex // guards the chip
	chip *TPM
	key  *Key
}

var _ crypto.Signer = (*Signer)(nil)

// OpenSigner connects to a TPM and makes its device key of a label.
func OpenSigner(path, label string) (*Signer, error) {
	chip, err := Open(path)
	if err != nil {
		return nil, err
	}
	key, err := chip.DeviceKey(label)
	if err != nil {
		return nil, errors.Join(err, chip.Close())
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), key.point)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading the device key of %s: %w", label, err), key.Close(), chip.Close())
	}
	return &Signer{label: label, public: public, chip: chip, key: key}, nil
}

// Close frees the key's place in the chip and ends the connection.
func (s *Signer) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.key.Close(), s.chip.Close())
}

// Public is the key, an *ecdsa.PublicKey of P-256.
func (s *Signer) Public() crypto.PublicKey { return s.public }

// Sign signs a SHA-256 digest and gives the signature in ASN.1, as crypto/ecdsa does.
func (s *Signer) Sign(_ io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	if options.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size {
		return nil, fmt.Errorf("signing with a TPM: a digest of %d bytes by %v: want SHA-256", len(digest), options.HashFunc())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, t, err := s.key.sign([sha256.Size]byte(digest))
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(r)
		b.AddASN1BigInt(t)
	})
	return b.Bytes()
}

// Gather is TPM.Gather for this key.
func (s *Signer) Gather(pcrs uint32, challenge [32]byte) (attest.TPM, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chip.Gather(s.label, pcrs, challenge)
}

// EndorsementCertificate is TPM.EndorsementCertificate.
func (s *Signer) EndorsementCertificate() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chip.EndorsementCertificate()
}

// AttestationKey gives the TPMT_PUBLIC of the chip's attestation key, which attesters ask for.
func (s *Signer) AttestationKey() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, err := s.chip.AttestationKey()
	if err != nil {
		return nil, err
	}
	return key.Public, key.Close()
}

// Activate is TPM.Activate.
func (s *Signer) Activate(a Activation) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chip.Activate(a)
}

// sign gives r and s over a digest.
func (k *Key) sign(digest [sha256.Size]byte) (r, s *big.Int, err error) {
	made, err := tpm2.Sign{
		KeyHandle:  k.handleWithAuth(),
		Digest:     tpm2.TPM2BDigest{Buffer: digest[:]},
		InScheme:   tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
		Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
	}.Execute(k.tpm.conn)
	if err != nil {
		return nil, nil, fmt.Errorf("signing with a TPM: %w", err)
	}
	sig, err := made.Signature.Signature.ECDSA()
	if err != nil {
		return nil, nil, fmt.Errorf("signing with a TPM: %w", err)
	}
	return new(big.Int).SetBytes(sig.SignatureR.Buffer), new(big.Int).SetBytes(sig.SignatureS.Buffer), nil
}
