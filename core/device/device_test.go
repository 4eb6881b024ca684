package device_test

import (
	"bytes"
	"crypto"
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

// What Sign gives, Verify takes, for every type of key; the key's type follows from its length.
func TestSignIsWhatVerifyWants(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for want, key := range map[int32]crypto.Signer{
		device.Ed25519: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)), device.P256: p256,
	} {
		kind, raw, err := device.PublicKey(key.Public())
		if err != nil || kind != want || device.TypeOf(raw) != want || device.CheckKey(kind, raw) != nil {
			t.Fatalf("key of type %d is %d, %x: %v", want, kind, raw, err)
		}
		for i := range byte(20) { // every other P-256 signature has a high s at first
			sig, err := device.Sign(rand.Reader, key, []byte{i})
			if err != nil {
				t.Fatal(err)
			}
			if err := device.Verify(kind, raw, []byte{i}, sig); err != nil {
				t.Fatalf("type %d: %v", kind, err)
			}
		}
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := device.Sign(rand.Reader, p384, nil); !errors.Is(err, device.ErrKeyType) {
		t.Errorf("P-384: %v", err)
	}
	if kind := device.TypeOf(make([]byte, 34)); kind != 0 {
		t.Errorf("34 bytes are of type %d", kind)
	}
}
