// Package device holds what both sides need to know of device keys: what a key signs to be
// registered, and which signature schemes there are.
package device

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cairn-network/cairn/core/signature"
)

// Key types, numbered as cairn.device.v1.KeyType.
const (
	// Ed25519 keys have 32 bytes, signatures 64 (RFC 8032, verified by ZIP-215).
	Ed25519 int32 = 1
	// P256 keys have 33 bytes (compressed), signatures 64: r||s with low s, over SHA-256.
	P256 int32 = 2
)

// ErrKeyType says that a key type is not one of the above.
var ErrKeyType = errors.New("unknown key type")

// RegistrationSize is the length of RegistrationBytes.
const RegistrationSize = signature.PreambleSize + sha256.Size + 8

// RegistrationBytes returns what a device key signs to be registered by an owner, so that nobody
// registers someone else's device. owner is the canonical lower-case cairn1... address; nonce is
// the owner's count of registrations on that chain.
//
//	offset  size  content
//	     0    16  "cairn/device/v1", one zero byte
//	    16    32  SHA-256(chain id)
//	    48    32  SHA-256(owner)
//	    80     8  nonce, big-endian
func RegistrationBytes(chainID, owner string, nonce uint64) []byte {
	b := signature.Device.Preamble(make([]byte, 0, RegistrationSize), chainID)
	hash := sha256.Sum256([]byte(owner))
	return binary.BigEndian.AppendUint64(append(b, hash[:]...), nonce)
}

// CheckKey refuses unknown key types and keys of the wrong length; ErrKeyType or signature.ErrKey.
// It does not tell whether the bytes are a point of the curve: verifying does.
func CheckKey(keyType int32, key []byte) error {
	want := 0
	switch keyType {
	case Ed25519:
		want = 32
	case P256:
		want = signature.P256KeySize
	default:
		return fmt.Errorf("%w: %d", ErrKeyType, keyType)
	}
	if len(key) != want {
		return fmt.Errorf("%w: key of type %d has %d bytes, want %d", signature.ErrKey, keyType, len(key), want)
	}
	return nil
}

// Verify checks sig over msg by a device key; ErrKeyType, signature.ErrKey or signature.ErrSignature.
func Verify(keyType int32, key, msg, sig []byte) error {
	switch keyType {
	case Ed25519:
		return signature.Verify(key, msg, sig)
	case P256:
		return signature.VerifyP256(key, msg, sig)
	}
	return fmt.Errorf("%w: %d", ErrKeyType, keyType)
}
