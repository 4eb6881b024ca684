package attest

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/signature"
)

// Fingerprint names a key or certificate: a SHA-256.
type Fingerprint [sha256.Size]byte

// Key is a public key in one of the network's own schemes (core/device).
type Key struct {
	Type  int32
	Bytes []byte
}

// Fingerprint is SHA-256(type as one byte, key).
func (k Key) Fingerprint() Fingerprint {
	return sha256.Sum256(append([]byte{byte(k.Type)}, k.Bytes...))
}

func (k Key) verify(msg, sig []byte) error { return device.Verify(k.Type, k.Bytes, msg, sig) }

// Subject is the device that evidence is about, at a time.
type Subject struct {
	ChainID string
	Device  uint64
	Key     Key
	Owner   string // canonical cairn1... address
	Epoch   uint64
	Beacon  [32]byte // of the epoch
}

// Statement is what evidence about a device is made over.
//
//	offset  size  content
//	     0    16  "cairn/attest/v1", one zero byte
//	    16    32  SHA-256(chain id)
//	    48     8  device, big-endian
//	    56    32  fingerprint of the device key
//	    88    32  SHA-256(owner)
//	   120     8  epoch, big-endian
//	   128    32  beacon
func (s Subject) Statement() []byte {
	b := signature.Attestation.Preamble(make([]byte, 0, StatementSize), s.ChainID)
	b = binary.BigEndian.AppendUint64(b, s.Device)
	key, owner := s.Key.Fingerprint(), sha256.Sum256([]byte(s.Owner))
	b = append(append(b, key[:]...), owner[:]...)
	b = binary.BigEndian.AppendUint64(b, s.Epoch)
	return append(b, s.Beacon[:]...)
}

// StatementSize is the length of a statement.
const StatementSize = signature.PreambleSize + 8 + 32 + 32 + 8 + 32

// Challenge is SHA-256(Statement): what a TPM takes as qualifying data.
func (s Subject) Challenge() [32]byte { return sha256.Sum256(s.Statement()) }

// ManufacturerBytes is what a manufacturer signs for a device key that it made, valid until a time,
// Unix seconds.
//
//	offset  size  content
//	     0    16  "cairn/maker/v1", two zero bytes
//	    16    32  SHA-256(chain id)
//	    48    32  fingerprint of the device key
//	    80     8  expiry, big-endian
func ManufacturerBytes(chainID string, key Key, expiry int64) []byte {
	b := signature.Manufacture.Preamble(nil, chainID)
	f := key.Fingerprint()
	return binary.BigEndian.AppendUint64(append(b, f[:]...), uint64(expiry))
}

// ActivationBytes is what an attester signs once the TPM of an endorsement key gave back its secret
// for an attestation key's name.
//
//	offset  size  content
//	     0    16  "cairn/activat/v1"
//	    16    32  SHA-256(chain id)
//	    48    32  SHA-256 of the endorsement key's subject public key info
//	    80    34  name of the attestation key (TPMT_HA with SHA-256)
//	   114     8  expiry, Unix seconds, big-endian
func ActivationBytes(chainID string, endorsement Fingerprint, name Name, expiry int64) []byte {
	b := signature.Activation.Preamble(nil, chainID)
	b = append(append(b, endorsement[:]...), name[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(expiry))
}

// CredentialBytes is what an issuer signs about an owner's devices: all of them (device 0) or one.
//
//	offset  size  content
//	     0    16  "cairn/creden/v1", one zero byte
//	    16    32  SHA-256(chain id)
//	    48    32  SHA-256(owner)
//	    80     8  device, big-endian
//	    88    32  SHA-256(kind)
//	   120    32  SHA-256 of the document
//	   152     8  expiry, Unix seconds, big-endian
func CredentialBytes(chainID, owner string, device uint64, kind string, document [32]byte, expiry int64) []byte {
	b := signature.Credential.Preamble(nil, chainID)
	hash := sha256.Sum256([]byte(owner))
	b = binary.BigEndian.AppendUint64(append(b, hash[:]...), device)
	hash = sha256.Sum256([]byte(kind))
	b = append(append(b, hash[:]...), document[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(expiry))
}

// RevocationBytes is what a manufacturer, attester or issuer signs to take back its word about an
// anchor.
//
//	offset  size  content
//	     0    16  "cairn/revoke/v1", one zero byte
//	    16    32  SHA-256(chain id)
//	    48    32  fingerprint of the signer's key
//	    80    32  anchor
func RevocationBytes(chainID string, signer, anchor Fingerprint) []byte {
	b := signature.Revocation.Preamble(nil, chainID)
	return append(append(b, signer[:]...), anchor[:]...)
}

// Word is the anchor of what one signer said about another anchor: revoking it leaves alone what
// others said.
func Word(signer, anchor Fingerprint) Fingerprint {
	return sha256.Sum256(append(signer[:], anchor[:]...))
}
