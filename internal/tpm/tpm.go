// Package tpm speaks to a TPM 2.0: it keeps a device's key in the chip and gathers what core/attest
// checks. Keys are primary ones: the chip makes the same key from the same template every time, so
// that nothing is stored, in the chip or beside it, and nothing can be copied.
//
// It works with a Linux resource manager (/dev/tpmrm0), and with an emulator's Unix socket (swtpm).
package tpm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"github.com/cairn-network/cairn/core/attest"
	"github.com/cairn-network/cairn/core/signature"
)

// TPM is a connection to one chip. It is not safe for concurrent use: the chip does one thing at a time.
type TPM struct{ conn transport.TPMCloser }

// Open connects to a TPM: a device file, or the Unix socket of an emulator.
func Open(path string) (*TPM, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening TPM: %w", err)
	}
	open := linuxtpm.Open
	if info.Mode()&fs.ModeSocket != 0 {
		open = linuxudstpm.Open
	}
	conn, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("opening TPM %s: %w", path, err)
	}
	return &TPM{conn}, nil
}

// Close ends the connection.
func (t *TPM) Close() error { return t.conn.Close() }

// Key is a key that lives in the chip. Close it: the chip has room for three or so.
type Key struct {
	tpm    *TPM
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	auth   tpm2.Session
	// Public is the key's TPMT_PUBLIC.
	Public []byte
	point  []byte // SEC 1 section 2.3.3, uncompressed; nil for RSA
}

// signing is the template of a P-256 key that signs with ECDSA and SHA-256. label makes keys of one
// chip differ.
func signing(label string, restricted bool) tpm2.TPMTPublic {
	unique := sha256.Sum256([]byte(label))
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgECC,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true,
			UserWithAuth: true, NoDA: true, Restricted: restricted, SignEncrypt: true,
		},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
			CurveID: tpm2.TPMECCNistP256,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
			X: tpm2.TPM2BECCParameter{Buffer: unique[:]}, Y: tpm2.TPM2BECCParameter{Buffer: unique[:]},
		}),
	}
}

// DeviceKey makes the device key of a label: it signs anything, and cannot leave the chip.
func (t *TPM) DeviceKey(label string) (*Key, error) {
	return t.primary("device key", tpm2.TPMRHOwner, signing("cairn device "+label, false), tpm2.PasswordAuth(nil))
}

// AttestationKey makes the chip's attestation key: it signs only what the chip itself says.
func (t *TPM) AttestationKey() (*Key, error) {
	return t.primary("attestation key", tpm2.TPMRHEndorsement, signing("cairn attestation", true), tpm2.PasswordAuth(nil))
}

// EndorsementKey makes the chip's RSA-2048 endorsement key by the TCG's default template (EK
// credential profile, template L-1), whose certificate the manufacturer put into the chip.
func (t *TPM) EndorsementKey() (*Key, error) {
	auth := tpm2.Policy(tpm2.TPMAlgSHA256, 16, func(conn transport.TPM, session tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
		_, err := tpm2.PolicySecret{
			AuthHandle:    tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
			PolicySession: session,
		}.Execute(conn)
		return err
	})
	return t.primary("endorsement key", tpm2.TPMRHEndorsement, tpm2.RSAEKTemplate, auth)
}

func (t *TPM) primary(what string, hierarchy tpm2.TPMHandle, template tpm2.TPMTPublic, auth tpm2.Session) (*Key, error) {
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.New2B(template),
	}.Execute(t.conn)
	if err != nil {
		return nil, fmt.Errorf("making the %s: %w", what, err)
	}
	k := &Key{tpm: t, handle: made.ObjectHandle, name: made.Name, auth: auth}
	public, err := made.OutPublic.Contents()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading the %s: %w", what, err), k.Close())
	}
	k.Public = tpm2.Marshal(public)
	if public.Type == tpm2.TPMAlgECC {
		point, err := public.Unique.ECC()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("reading the %s: %w", what, err), k.Close())
		}
		k.point = make([]byte, 65)
		k.point[0] = 4
		new(big.Int).SetBytes(point.X.Buffer).FillBytes(k.point[1:33])
		new(big.Int).SetBytes(point.Y.Buffer).FillBytes(k.point[33:])
	}
	return k, nil
}

// Close frees the key's place in the chip.
func (k *Key) Close() error {
	if _, err := (tpm2.FlushContext{FlushHandle: k.handle}).Execute(k.tpm.conn); err != nil {
		return fmt.Errorf("freeing a key: %w", err)
	}
	return nil
}

// Compressed is a P-256 key as the chain registers it (SEC 1 section 2.3.3), 33 bytes.
func (k *Key) Compressed() []byte {
	return append([]byte{2 | k.point[64]&1}, k.point[1:33]...)
}

func (k *Key) handleWithAuth() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: k.handle, Name: k.name, Auth: k.auth}
}

// Sign signs SHA-256(message) as the chain wants it of P-256 device keys: r||s with low s.
func (k *Key) Sign(message []byte) ([64]byte, error) {
	r, t, err := k.sign(sha256.Sum256(message))
	if err != nil {
		return [64]byte{}, err
	}
	return signature.P256LowS(r, t)
}

// Certify has the chip say, signed by this key, that it holds another one.
func (k *Key) Certify(other *Key, challenge [32]byte) (statement, signature []byte, err error) {
	made, err := tpm2.Certify{
		ObjectHandle:   other.handleWithAuth(),
		SignHandle:     k.handleWithAuth(),
		QualifyingData: tpm2.TPM2BData{Buffer: challenge[:]},
		InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
	}.Execute(k.tpm.conn)
	if err != nil {
		return nil, nil, fmt.Errorf("certifying a key: %w", err)
	}
	return made.CertifyInfo.Bytes(), tpm2.Marshal(made.Signature), nil
}

// Quote has the chip say, signed by this key, what the PCRs of the SHA-256 bank are: bit n of pcrs
// for PCR n.
func (k *Key) Quote(pcrs uint32, challenge [32]byte) (statement, signature []byte, err error) {
	made, err := tpm2.Quote{
		SignHandle:     k.handleWithAuth(),
		QualifyingData: tpm2.TPM2BData{Buffer: challenge[:]},
		InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
		PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
			Hash: tpm2.TPMAlgSHA256, PCRSelect: []byte{byte(pcrs), byte(pcrs >> 8), byte(pcrs >> 16)},
		}}},
	}.Execute(k.tpm.conn)
	if err != nil {
		return nil, nil, fmt.Errorf("quoting PCRs: %w", err)
	}
	return made.Quoted.Bytes(), tpm2.Marshal(made.Signature), nil
}

// Gather collects evidence about the device key of a label over a challenge: all but the certificates
// and activations, which come from outside the chip.
func (t *TPM) Gather(label string, pcrs uint32, challenge [32]byte) (attest.TPM, error) {
	ak, err := t.AttestationKey()
	if err != nil {
		return attest.TPM{}, err
	}
	defer ak.Close()
	key, err := t.DeviceKey(label)
	if err != nil {
		return attest.TPM{}, err
	}
	defer key.Close()
	e := attest.TPM{AKPublic: ak.Public, DevicePublic: key.Public}
	if e.Certify, e.CertifySig, err = ak.Certify(key, challenge); err != nil {
		return attest.TPM{}, err
	}
	e.Quote, e.QuoteSig, err = ak.Quote(pcrs, challenge)
	return e, err
}
