// Package tpmtest makes what tests of attestation need: certificate authorities, a chip of software
// that lies on request, and a real emulator (swtpm) where it is installed.
package tpmtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/cairn-network/cairn/core/attest"
	"github.com/cairn-network/cairn/core/device"
)

// Purposes of TPM certificates (TCG EK credential profile; TPM 2.0 keys for device identity).
var (
	PurposeEK = asn1.ObjectIdentifier{2, 23, 133, 8, 1}
	PurposeAK = asn1.ObjectIdentifier{2, 23, 133, 8, 3}
)

// Authority issues certificates.
type Authority struct {
	Key         crypto.Signer
	Certificate *x509.Certificate
}

// Parsed is the authority's certificate as the chain reads it.
func (a Authority) Parsed() *attest.Certificate {
	c, err := attest.ParseCertificate(a.Certificate.Raw)
	if err != nil {
		panic(err)
	}
	return c
}

// NewRoot makes a self-signed authority that is valid around a time.
func NewRoot(name string, key crypto.Signer, at time.Time) Authority {
	return Authority{Key: key}.issue(func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: name}
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	}, key, at)
}

// Under makes an authority below another one.
func (a Authority) Under(name string, key crypto.Signer, at time.Time) Authority {
	return a.issue(func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: name}
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	}, key, at)
}

func (a Authority) issue(change func(*x509.Certificate), key crypto.Signer, at time.Time) Authority {
	raw := a.Issue(key.Public(), at, change)
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		panic(err)
	}
	return Authority{Key: key, Certificate: c}
}

// Issue makes a certificate for a key, DER.
func (a Authority) Issue(public any, at time.Time, change func(*x509.Certificate)) []byte {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), NotBefore: at.Add(-time.Hour), NotAfter: at.AddDate(1, 0, 0), BasicConstraintsValid: true,
		Subject: pkix.Name{CommonName: "leaf"},
	}
	change(template)
	parent := a.Certificate
	if parent == nil {
		parent = template
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.Key)
	if err != nil {
		panic(err)
	}
	return raw
}

// P256 draws a key.
func P256() *ecdsa.PrivateKey { return draw(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// P384 draws a key.
func P384() *ecdsa.PrivateKey { return draw(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) }

// RSA draws a key.
func RSA(bits int) *rsa.PrivateKey { return draw(rsa.GenerateKey(rand.Reader, bits)) }

func draw[T any](key T, err error) T {
	if err != nil {
		panic(err)
	}
	return key
}

// Chip plays a TPM in software. Its fields may be set to what no real chip says.
type Chip struct {
	EK         *rsa.PrivateKey
	AK, Device *ecdsa.PrivateKey
	// AKPublic and DevicePublic are what it says of its keys.
	AKPublic, DevicePublic tpm2.TPMTPublic
	Resets                 uint32
	PCRDigest              [32]byte
}

// NewChip makes a chip with its keys. It has an endorsement key if one is given.
func NewChip(ek *rsa.PrivateKey) *Chip {
	c := &Chip{EK: ek, AK: P256(), Device: P256(), Resets: 3, PCRDigest: sha256.Sum256([]byte("booted well"))}
	c.AKPublic, c.DevicePublic = Public(&c.AK.PublicKey, true), Public(&c.Device.PublicKey, false)
	return c
}

// Public is the TPMT_PUBLIC of a P-256 signing key.
func Public(key *ecdsa.PublicKey, restricted bool) tpm2.TPMTPublic {
	point := draw(key.Bytes())
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, Restricted: restricted, SignEncrypt: true,
		},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
			CurveID: tpm2.TPMECCNistP256,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
			X: tpm2.TPM2BECCParameter{Buffer: point[1:33]}, Y: tpm2.TPM2BECCParameter{Buffer: point[33:]},
		}),
	}
}

// DeviceKey is the device key as the chain registers it.
func (c *Chip) DeviceKey() attest.Key {
	return attest.Key{Type: device.P256, Bytes: elliptic.MarshalCompressed(c.Device.Curve, c.Device.X, c.Device.Y)}
}

// AKName is the attestation key's name.
func (c *Chip) AKName() attest.Name { return draw(attest.NameOf(tpm2.Marshal(c.AKPublic))) }

// Evidence is the chip's about its device key, without certificates and activations.
func (c *Chip) Evidence(s attest.Subject, pcrs uint32) attest.TPM {
	challenge := s.Challenge()
	e := attest.TPM{AKPublic: tpm2.Marshal(c.AKPublic), DevicePublic: tpm2.Marshal(c.DevicePublic)}
	e.Certify, e.CertifySig = c.Certify(c.AK, c.DevicePublic, challenge)
	e.Quote, e.QuoteSig = c.Quote(c.AK, pcrs, challenge)
	return e
}

// Certify says, signed by a key, that the chip holds an object.
func (c *Chip) Certify(by *ecdsa.PrivateKey, object tpm2.TPMTPublic, challenge [32]byte) (statement, signature []byte) {
	name := *draw(tpm2.ObjectName(&object))
	return c.sign(by, tpm2.TPMSAttest{
		Type: tpm2.TPMSTAttestCertify,
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{
			Name: name, QualifiedName: name,
		}),
	}, challenge)
}

// Quote says, signed by a key, what the PCRs are.
func (c *Chip) Quote(by *ecdsa.PrivateKey, pcrs uint32, challenge [32]byte) (statement, signature []byte) {
	return c.sign(by, tpm2.TPMSAttest{
		Type: tpm2.TPMSTAttestQuote,
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{
			PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
				Hash: tpm2.TPMAlgSHA256, PCRSelect: []byte{byte(pcrs), byte(pcrs >> 8), byte(pcrs >> 16)},
			}}},
			PCRDigest: tpm2.TPM2BDigest{Buffer: c.PCRDigest[:]},
		}),
	}, challenge)
}

func (c *Chip) sign(by *ecdsa.PrivateKey, a tpm2.TPMSAttest, challenge [32]byte) (statement, signature []byte) {
	a.Magic = tpm2.TPMGeneratedValue
	a.QualifiedSigner = *draw(tpm2.ObjectName(&c.AKPublic))
	a.ExtraData = tpm2.TPM2BData{Buffer: challenge[:]}
	a.ClockInfo = tpm2.TPMSClockInfo{Clock: 99, ResetCount: c.Resets, Safe: true}
	statement = tpm2.Marshal(a)
	return statement, Sign(by, statement)
}

// Sign makes a TPMT_SIGNATURE over bytes of one's choice, as no chip would.
func Sign(by *ecdsa.PrivateKey, message []byte) []byte {
	digest := sha256.Sum256(message)
	r, s, err := ecdsa.Sign(rand.Reader, by, digest[:])
	if err != nil {
		panic(err)
	}
	return tpm2.Marshal(tpm2.TPMTSignature{
		SigAlg: tpm2.TPMAlgECDSA,
		Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
			Hash:       tpm2.TPMAlgSHA256,
			SignatureR: tpm2.TPM2BECCParameter{Buffer: r.Bytes()},
			SignatureS: tpm2.TPM2BECCParameter{Buffer: s.Bytes()},
		}),
	})
}
