package piece_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/signature"
)

var deviceKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))

func drawReceipt(t *rapid.T) piece.Receipt {
	r := piece.Receipt{
		ChainID:  rapid.StringMatching(`[!-~]{1,50}`).Draw(t, "chain"),
		Lease:    rapid.Uint64Min(1).Draw(t, "lease"),
		Device:   rapid.Uint64Min(1).Draw(t, "device"),
		Size:     rapid.Uint32Range(1, piece.MaxSize).Draw(t, "size"),
		IssuedAt: rapid.Int64Range(1, 1<<61).Draw(t, "issued"),
	}
	r.Expiry = r.IssuedAt + rapid.Int64Range(1, 1<<61).Draw(t, "lifetime")
	copy(r.ID[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id"))
	copy(r.Root[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "root"))
	return r
}

func TestReceiptBindsEveryField(t *testing.T) {
	pub := deviceKey.Public().(ed25519.PublicKey)
	rapid.Check(t, func(t *rapid.T) {
		s := piece.SignReceipt(deviceKey, drawReceipt(t))
		if err := s.Verify(pub); err != nil {
			t.Fatal(err)
		}
		for field, mutate := range map[string]func(*piece.Receipt){
			"chain":    func(r *piece.Receipt) { r.ChainID += "x" },
			"lease":    func(r *piece.Receipt) { r.Lease++ },
			"device":   func(r *piece.Receipt) { r.Device++ },
			"id":       func(r *piece.Receipt) { r.ID[31]++ },
			"root":     func(r *piece.Receipt) { r.Root[31]++ },
			"size":     func(r *piece.Receipt) { r.Size++ },
			"expiry":   func(r *piece.Receipt) { r.Expiry++ },
			"issuance": func(r *piece.Receipt) { r.IssuedAt++ },
		} {
			bad := s
			mutate(&bad.Receipt)
			if err := bad.Verify(pub); !errors.Is(err, signature.ErrSignature) {
				t.Fatalf("another %s: %v", field, err)
			}
		}
		b, err := s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var got piece.SignedReceipt
		if err := got.UnmarshalBinary(b); err != nil || got.Receipt != s.Receipt || !bytes.Equal(got.Signature, s.Signature) {
			t.Fatalf("%+v, %v", got, err)
		}
		for _, bad := range [][]byte{nil, b[:1], b[:len(b)-1], append(bytes.Clone(b), 0)} {
			if err := got.UnmarshalBinary(bad); !errors.Is(err, piece.ErrEncoding) {
				t.Fatalf("%d of %d bytes: %v", len(bad), len(b), err)
			}
		}
	})
}

func TestReceiptOfP256Device(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := piece.SignedReceipt{Receipt: piece.Receipt{ChainID: "c", Lease: 1, Device: 1, Expiry: 2, IssuedAt: 1}}
	digest := sha256.Sum256(s.SignBytes())
	r, low, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	sig, err := signature.P256LowS(r, low)
	if err != nil {
		t.Fatal(err)
	}
	s.Signature = sig[:]
	pub := elliptic.MarshalCompressed(elliptic.P256(), key.X, key.Y)
	if err := s.VerifyKey(device.P256, pub); err != nil {
		t.Fatal(err)
	}
	s.Lease++
	if err := s.VerifyKey(device.P256, pub); !errors.Is(err, signature.ErrSignature) {
		t.Fatal(err)
	}
}

func TestBadReceiptFieldsAreNamed(t *testing.T) {
	good := piece.Receipt{ChainID: "cairn-1", Lease: 1, Device: 2, Size: 1, Expiry: 2, IssuedAt: 1}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for field, spoil := range map[string]func(*piece.Receipt){
		"chain id":  func(r *piece.Receipt) { r.ChainID = "a b" },
		"lease":     func(r *piece.Receipt) { r.Lease = 0 },
		"device":    func(r *piece.Receipt) { r.Device = 0 },
		"size":      func(r *piece.Receipt) { r.Size = piece.MaxSize + 1 },
		"size is 0": func(r *piece.Receipt) { r.Size = 0 },
		"expires":   func(r *piece.Receipt) { r.Expiry = 1 },
		"issued":    func(r *piece.Receipt) { r.IssuedAt = -1 },
	} {
		bad := good
		spoil(&bad)
		if err := bad.Check(); !errors.Is(err, piece.ErrReceipt) || !strings.Contains(err.Error(), field) {
			t.Errorf("bad %s: %v", field, err)
		}
		if _, err := piece.SignReceipt(deviceKey, bad).MarshalBinary(); !errors.Is(err, piece.ErrReceipt) {
			t.Errorf("bad %s encodes: %v", field, err)
		}
	}
	if _, err := (piece.SignedReceipt{Receipt: good}).MarshalBinary(); !errors.Is(err, piece.ErrReceipt) {
		t.Errorf("no signature: %v", err)
	}
}

func TestParseID(t *testing.T) {
	id := piece.DeriveID([32]byte{1}, [16]byte{2}, 3)
	if got, err := piece.ParseID(id.String()); err != nil || got != id {
		t.Error(got, err)
	}
	for _, s := range []string{"", id.String()[1:], id.String() + "00", "zz" + id.String()[2:]} {
		if _, err := piece.ParseID(s); err == nil {
			t.Errorf("%q is a piece id", s)
		}
	}
}

func FuzzSignedReceipt(f *testing.F) {
	b, _ := piece.SignReceipt(deviceKey, piece.Receipt{ChainID: "cairn-1", Lease: 1, Device: 2, Size: 1, Expiry: 2, IssuedAt: 1}).MarshalBinary()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var s piece.SignedReceipt
		if s.UnmarshalBinary(b) != nil {
			return
		}
		if again, err := s.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is read and written as %x, %v", b, again, err)
		}
		_ = s.Verify(deviceKey.Public().(ed25519.PublicKey))
	})
}
