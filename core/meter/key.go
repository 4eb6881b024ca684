package meter

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/cairn-network/cairn/core/signature"
)

// SignatureSize is the length of every signature in this package: Ed25519, or r||s.
const SignatureSize = 64

// KeyType is a signature scheme; the first two are numbered as those of devices.
type KeyType int32

const (
	// Ed25519 keys have 32 bytes (RFC 8032, verified by ZIP-215).
	Ed25519 KeyType = 1
	// P256 keys have 33 bytes (compressed), signatures low s over SHA-256.
	P256 KeyType = 2
	// Secp256k1 keys have 33 bytes (compressed), signatures low s over SHA-256.
	Secp256k1 KeyType = 3
)

// Key is a meter's public key.
type Key struct {
	Type  KeyType
	Bytes []byte
}

// Equal says whether two keys are the same.
func (k Key) Equal(other Key) bool { return k.Type == other.Type && bytes.Equal(k.Bytes, other.Bytes) }

// Check refuses unknown types and keys that are no point of their curve; signature.ErrKey.
func (k Key) Check() error {
	switch k.Type {
	case Ed25519:
		if len(k.Bytes) != 32 {
			return fmt.Errorf("%w: ed25519 key has %d bytes, want 32", signature.ErrKey, len(k.Bytes))
		}
	case P256:
		if len(k.Bytes) != signature.P256KeySize {
			return fmt.Errorf("%w: P-256 key has %d bytes, want %d (compressed)", signature.ErrKey, len(k.Bytes), signature.P256KeySize)
		}
	case Secp256k1:
		_, err := parseSecp256k1(k.Bytes)
		return err
	default:
		return fmt.Errorf("%w: key type %d", signature.ErrKey, k.Type)
	}
	return nil
}

// Verify checks a signature over a message; signature.ErrKey or signature.ErrSignature.
func (k Key) Verify(message, sig []byte) error {
	switch k.Type {
	case Ed25519:
		return signature.Verify(k.Bytes, message, sig)
	case P256:
		return signature.VerifyP256(k.Bytes, message, sig)
	case Secp256k1:
		return verifySecp256k1(k.Bytes, message, sig)
	}
	return fmt.Errorf("%w: key type %d", signature.ErrKey, k.Type)
}

func parseSecp256k1(key []byte) (*secp256k1.PublicKey, error) {
	if len(key) != secp256k1.PubKeyBytesLenCompressed {
		return nil, fmt.Errorf("%w: secp256k1 key has %d bytes, want %d (compressed)", signature.ErrKey, len(key), secp256k1.PubKeyBytesLenCompressed)
	}
	public, err := secp256k1.ParsePubKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %x: %w", signature.ErrKey, key, err)
	}
	return public, nil
}

func verifySecp256k1(key, message, sig []byte) error {
	public, err := parseSecp256k1(key)
	if err != nil {
		return err
	}
	if len(sig) != SignatureSize {
		return fmt.Errorf("%w: has %d bytes, want %d (r||s)", signature.ErrSignature, len(sig), SignatureSize)
	}
	var r, s secp256k1.ModNScalar
	if r.SetByteSlice(sig[:32]) || s.SetByteSlice(sig[32:]) || r.IsZero() || s.IsZero() {
		return fmt.Errorf("%w: r or s outside 1..order-1", signature.ErrSignature)
	}
	if s.IsOverHalfOrder() {
		return fmt.Errorf("%w: s is in the upper half of the order", signature.ErrSignature)
	}
	digest := sha256.Sum256(message)
	if !ecdsa.NewSignature(&r, &s).Verify(digest[:], public) {
		return fmt.Errorf("%w by secp256k1 key %x", signature.ErrSignature, key)
	}
	return nil
}
