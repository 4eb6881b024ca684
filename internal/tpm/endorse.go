package tpm

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-tpm/tpm2"
)

// nvRSAEndorsement is where a manufacturer keeps the certificate of the RSA-2048 endorsement key
// (TCG EK credential profile, section 2.2.1.4).
const nvRSAEndorsement = 0x01c00002

// nvChunk is how much of a certificate is read at a time; every TPM gives this much.
const nvChunk = 512

// EndorsementCertificate reads the certificate of the RSA-2048 endorsement key from the chip, DER.
func (t *TPM) EndorsementCertificate() ([]byte, error) {
	index, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(nvRSAEndorsement)}.Execute(t.conn)
	if err != nil {
		return nil, fmt.Errorf("looking for the endorsement key's certificate at %#x: %w", nvRSAEndorsement, err)
	}
	public, err := index.NVPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("reading the place of the endorsement key's certificate: %w", err)
	}
	var raw []byte
	for len(raw) < int(public.DataSize) {
		part, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(nvRSAEndorsement), Name: index.NVName},
			Size:       uint16(min(nvChunk, int(public.DataSize)-len(raw))),
			Offset:     uint16(len(raw)),
		}.Execute(t.conn)
		if err != nil {
			return nil, fmt.Errorf("reading the endorsement key's certificate: %w", err)
		}
		raw = append(raw, part.Data.Buffer...)
	}
	// The place may be larger than the certificate.
	size := derSize(raw)
	if size == 0 || size > len(raw) {
		return nil, errors.New("reading the endorsement key's certificate: it is not one")
	}
	return raw[:size], nil
}

// derSize is the length of a DER sequence with a two-byte length, header included, or 0.
func derSize(b []byte) int {
	if len(b) < 4 || b[0] != 0x30 || b[1] != 0x82 {
		return 0
	}
	return 4 + int(b[2])<<8 + int(b[3])
}

// Activation is a secret that only one TPM can read, and only if it holds both keys: the one of the
// certificate, and an attestation key of a name.
type Activation struct {
	Blob   []byte `json:"blob"`
	Secret []byte `json:"secret"`
}

// Challenge makes an activation for an endorsement certificate and the TPMT_PUBLIC of an attestation
// key, and gives it with the secret, which the attester keeps until it comes back. Whether the
// certificate is to be trusted is the chain's to say.
func Challenge(random io.Reader, certificate, akPublic []byte) (Activation, []byte, error) {
	c, err := x509.ParseCertificate(certificate)
	if err != nil {
		return Activation{}, nil, fmt.Errorf("endorsement key's certificate: %w", err)
	}
	key, isRSA := c.PublicKey.(*rsa.PublicKey)
	if !isRSA {
		return Activation{}, nil, fmt.Errorf("endorsement key is %T: want RSA", c.PublicKey)
	}
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](akPublic)
	if err != nil {
		return Activation{}, nil, fmt.Errorf("attestation key: %w", err)
	}
	name, err := tpm2.ObjectName(public)
	if err != nil {
		return Activation{}, nil, fmt.Errorf("attestation key: %w", err)
	}
	template := tpm2.RSAEKTemplate
	template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: key.N.Bytes()})
	to, err := tpm2.ImportEncapsulationKey(&template)
	if err != nil {
		return Activation{}, nil, fmt.Errorf("endorsement key: %w", err)
	}
	secret := make([]byte, sha256.Size)
	if _, err := io.ReadFull(random, secret); err != nil {
		return Activation{}, nil, fmt.Errorf("drawing a secret: %w", err)
	}
	blob, encrypted, err := tpm2.CreateCredential(random, to, name.Buffer, secret)
	if err != nil {
		return Activation{}, nil, fmt.Errorf("encrypting a secret to the endorsement key: %w", err)
	}
	return Activation{Blob: blob, Secret: encrypted}, secret, nil
}

// Matches says whether what came back is the secret.
func Matches(secret, answer []byte) bool { return subtle.ConstantTimeCompare(secret, answer) == 1 }

// Activate has the chip read an attester's secret.
func (t *TPM) Activate(a Activation) ([]byte, error) {
	ak, err := t.AttestationKey()
	if err != nil {
		return nil, err
	}
	defer ak.Close()
	ek, err := t.EndorsementKey()
	if err != nil {
		return nil, err
	}
	defer ek.Close()
	got, err := tpm2.ActivateCredential{
		ActivateHandle: ak.handleWithAuth(),
		KeyHandle:      ek.handleWithAuth(),
		CredentialBlob: tpm2.TPM2BIDObject{Buffer: a.Blob},
		Secret:         tpm2.TPM2BEncryptedSecret{Buffer: a.Secret},
	}.Execute(t.conn)
	if err != nil {
		return nil, fmt.Errorf("activating a credential: %w", err)
	}
	return got.CertInfo.Buffer, nil
}
