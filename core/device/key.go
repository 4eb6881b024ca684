package device

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"fmt"
	"io"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cairn-network/cairn/core/signature"
)

// PublicKey gives a public key as the chain registers it: Ed25519 or P-256; ErrKeyType for any other.
func PublicKey(key crypto.PublicKey) (keyType int32, raw []byte, err error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return Ed25519, k, nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			break
		}
		point, err := k.Bytes() // 4, X, Y
		if err != nil {
			return 0, nil, fmt.Errorf("%w: %w", ErrKeyType, err)
		}
		const size = 32
		compressed := append([]byte{2 | point[2*size]&1}, point[1:1+size]...) // SEC 1 section 2.3.3
		return P256, compressed, nil
	}
	return 0, nil, fmt.Errorf("%w: %T", ErrKeyType, key)
}

// TypeOf gives the type of a key as the chain registers it by its length, 0 for none.
func TypeOf(raw []byte) int32 {
	switch len(raw) {
	case ed25519.PublicKeySize:
		return Ed25519
	case signature.P256KeySize:
		return P256
	}
	return 0
}

// Sign signs a message by a device key, as Verify wants it. The key may live in a chip; random is for
// keys whose signatures draw some.
func Sign(random io.Reader, key crypto.Signer, message []byte) ([]byte, error) {
	keyType, _, err := PublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	if keyType == Ed25519 {
		sig, err := key.Sign(nil, message, crypto.Hash(0))
		if err != nil {
			return nil, fmt.Errorf("signing with a device key: %w", err)
		}
		return sig, nil
	}
	digest := sha256.Sum256(message)
	der, err := key.Sign(random, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing with a device key: %w", err)
	}
	r, s := new(big.Int), new(big.Int)
	in, inner := cryptobyte.String(der), cryptobyte.String(nil)
	if !in.ReadASN1(&inner, asn1.SEQUENCE) || !in.Empty() || !inner.ReadASN1Integer(r) || !inner.ReadASN1Integer(s) || !inner.Empty() {
		return nil, fmt.Errorf("signing with a device key: %w: it gave no signature", signature.ErrSignature)
	}
	sig, err := signature.P256LowS(r, s)
	if err != nil {
		return nil, fmt.Errorf("signing with a device key: %w", err)
	}
	return sig[:], nil
}
