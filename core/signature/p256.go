package signature

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"fmt"
	"math/big"
)

// P256KeySize and P256SignatureSize are the lengths of a compressed P-256 key (SEC 1 section 2.3.3)
// and of r||s.
const (
	P256KeySize       = 33
	P256SignatureSize = 64
)

var p256HalfOrder = new(big.Int).Rsh(elliptic.P256().Params().N, 1)

// VerifyP256 checks an ECDSA signature r||s over SHA-256(message) by a compressed P-256 key. s must
// be in the lower half of the group's order: each signature has one spelling. ErrKey or ErrSignature.
func VerifyP256(key, message, sig []byte) error {
	if len(key) != P256KeySize {
		return fmt.Errorf("%w: P-256 key has %d bytes, want %d (compressed)", ErrKey, len(key), P256KeySize)
	}
	if len(sig) != P256SignatureSize {
		return fmt.Errorf("%w: has %d bytes, want %d (r||s)", ErrSignature, len(sig), P256SignatureSize)
	}
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), key)
	if x == nil {
		return fmt.Errorf("%w: %x is not a point of P-256", ErrKey, key)
	}
	point := [1 + 64]byte{4} // uncompressed
	x.FillBytes(point[1:33])
	y.FillBytes(point[33:])
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point[:])
	if err != nil {
		return fmt.Errorf("%w: %x: %w", ErrKey, key, err)
	}
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if s.Cmp(p256HalfOrder) > 0 {
		return fmt.Errorf("%w: s is in the upper half of the order", ErrSignature)
	}
	digest := sha256.Sum256(message)
	if !ecdsa.Verify(public, digest[:], r, s) {
		return fmt.Errorf("%w by P-256 key %x", ErrSignature, key)
	}
	return nil
}

// P256LowS returns r||s with s moved to the lower half of the order, for signers (TPMs, secure
// elements) that do not care. ErrSignature if r or s is zero or not below the order.
func P256LowS(r, s *big.Int) (sig [P256SignatureSize]byte, err error) {
	order := elliptic.P256().Params().N
	for _, v := range []*big.Int{r, s} {
		if v.Sign() <= 0 || v.Cmp(order) >= 0 {
			return sig, fmt.Errorf("%w: r or s outside 1..order-1", ErrSignature)
		}
	}
	if s.Cmp(p256HalfOrder) > 0 {
		s = new(big.Int).Sub(order, s)
	}
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return sig, nil
}
