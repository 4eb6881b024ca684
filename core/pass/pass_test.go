package pass_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math"
	"testing"

	"github.com/cairn-network/cairn/core/pass"
	"github.com/cairn-network/cairn/core/signature"
)

var good = pass.Pass{ChainID: "cairn-test-1", Lease: 7, Reader: 9, Expiry: 1_800_000_000}

func key(b byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, 32)) }

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// INV-PASS-1: no field can be changed under a signature, and no other key's or purpose's holds.
func TestASignatureBindsEveryField(t *testing.T) {
	signed := pass.Sign(key(1), good)
	if err := signed.Verify(public(key(1))); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*pass.Signed){
		"chain":     func(s *pass.Signed) { s.ChainID = "cairn-test-2" },
		"lease":     func(s *pass.Signed) { s.Lease++ },
		"reader":    func(s *pass.Signed) { s.Reader++ },
		"swapped":   func(s *pass.Signed) { s.Lease, s.Reader = s.Reader, s.Lease },
		"expiry":    func(s *pass.Signed) { s.Expiry++ },
		"signature": func(s *pass.Signed) { s.Signature[5] ^= 1 },
	} {
		other := signed
		change(&other)
		if err := other.Verify(public(key(1))); !errors.Is(err, signature.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := signed.Verify(public(key(2))); !errors.Is(err, signature.ErrSignature) {
		t.Errorf("another key: %v", err)
	}
}

func TestFieldsThatNobodyHonours(t *testing.T) {
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*pass.Pass){
		"no chain":         func(p *pass.Pass) { p.ChainID = "" },
		"no lease":         func(p *pass.Pass) { p.Lease = 0 },
		"no reader":        func(p *pass.Pass) { p.Reader = 0 },
		"its own reader":   func(p *pass.Pass) { p.Reader = p.Lease },
		"no expiry":        func(p *pass.Pass) { p.Expiry = 0 },
		"expiry before 70": func(p *pass.Pass) { p.Expiry = math.MinInt64 },
	} {
		p := good
		change(&p)
		if err := p.Check(); !errors.Is(err, pass.ErrField) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEncoding(t *testing.T) {
	signed := pass.Sign(key(1), good)
	b := signed.AppendBinary([]byte("before"))[len("before"):]
	if len(b) != pass.Size {
		t.Fatalf("%d bytes", len(b))
	}
	back, err := pass.Parse(b, good.ChainID, good.Reader)
	if err != nil || back != signed {
		t.Fatalf("%+v, %v", back, err)
	}
	for _, n := range []int{0, 1, pass.Size - 1, pass.Size + 1} {
		if _, err := pass.Parse(make([]byte, n), good.ChainID, 1); !errors.Is(err, pass.ErrEncoding) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(pass.Sign(key(1), good).AppendBinary(nil))
	f.Add(make([]byte, pass.Size))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := pass.Parse(b, good.ChainID, good.Reader)
		if err == nil && !bytes.Equal(s.AppendBinary(nil), b) {
			t.Fatalf("%x reads as %+v", b, s)
		}
	})
}
