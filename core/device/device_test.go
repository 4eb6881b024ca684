package device_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"math/big"
	"testing"

	"github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/signature"
)

func TestRegistrationIsBoundToChainOwnerAndNonce(t *testing.T) {
	seen := map[string]bool{}
	for _, chain := range []string{"a", "b", "ab"} {
		for _, owner := range []string{"cairn1x", "cairn1y", "bcairn1x"} {
			for nonce := range uint64(3) {
				b := device.RegistrationBytes(chain, owner, nonce)
				if len(b) != device.RegistrationSize || seen[string(b)] {
					t.Fatalf("%s %s %d: %d bytes, seen before: %v", chain, owner, nonce, len(b), seen[string(b)])
				}
				seen[string(b)] = true
			}
		}
	}
}

func TestVerifyEd25519(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	pub, msg := key.Public().(ed25519.PublicKey), []byte("message")
	sig := ed25519.Sign(key, msg)
	if err := device.Verify(device.Ed25519, pub, msg, sig); err != nil {
		t.Fatal(err)
	}
	for what, test := range map[string]struct {
		kind          int32
		key, msg, sig []byte
		want          error
	}{
		"other message":   {1, pub, []byte("massage"), sig, signature.ErrSignature},
		"short key":       {1, pub[:31], msg, sig, signature.ErrKey},
		"short signature": {1, pub, msg, sig[:63], signature.ErrSignature},
		"no signature":    {1, pub, msg, nil, signature.ErrSignature},
		"other type":      {2, pub, msg, sig, signature.ErrKey},
		"unknown type":    {3, pub, msg, sig, device.ErrKeyType},
		"type 0":          {0, pub, msg, sig, device.ErrKeyType},
	} {
		if err := device.Verify(test.kind, test.key, test.msg, test.sig); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", what, err, test.want)
		}
	}
}

func TestVerifyP256TakesOnlyLowS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub, msg := elliptic.MarshalCompressed(elliptic.P256(), key.X, key.Y), []byte("message")
	digest := sha256.Sum256(msg)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	sig, err := signature.P256LowS(r, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := device.Verify(device.P256, pub, msg, sig[:]); err != nil {
		t.Fatal(err)
	}
	high := sig
	low := new(big.Int).SetBytes(sig[32:])
	low.Sub(elliptic.P256().Params().N, low).FillBytes(high[32:])
	off := append([]byte(nil), pub...)
	for off[32]++; ; off[32]++ { // about half of all x have no point
		if x, _ := elliptic.UnmarshalCompressed(elliptic.P256(), off); x == nil {
			break
		}
	}
	for what, test := range map[string]struct {
		key, msg, sig []byte
		want          error
	}{
		"high s":        {pub, msg, high[:], signature.ErrSignature},
		"other message": {pub, []byte("massage"), sig[:], signature.ErrSignature},
		"zero r and s":  {pub, msg, make([]byte, 64), signature.ErrSignature},
		"off the curve": {off, msg, sig[:], signature.ErrKey},
		"wrong prefix":  {append([]byte{4}, pub[1:]...), msg, sig[:], signature.ErrKey},
	} {
		if err := device.Verify(device.P256, test.key, test.msg, test.sig); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", what, err, test.want)
		}
	}
}
