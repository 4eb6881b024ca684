package piece_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/signature"
)

// TestReleaseBindsEveryField: a signature holds for one release and no other.
func TestReleaseBindsEveryField(t *testing.T) {
	session := deviceKey.Public().(ed25519.PublicKey)
	good := piece.SignRelease(deviceKey, piece.Release{ChainID: "cairn-1", Lease: 1, Device: 2, ID: piece.ID{3}, Until: 4})
	if err := good.Verify(session); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*piece.SignedRelease){
		"chain":  func(r *piece.SignedRelease) { r.ChainID = "cairn-2" },
		"lease":  func(r *piece.SignedRelease) { r.Lease++ },
		"device": func(r *piece.SignedRelease) { r.Device++ },
		"id":     func(r *piece.SignedRelease) { r.ID[31]++ },
		"until":  func(r *piece.SignedRelease) { r.Until++ },
	} {
		bad := good
		change(&bad)
		if err := bad.Verify(session); !errors.Is(err, signature.ErrSignature) {
			t.Errorf("another %s: %v", field, err)
		}
	}
	if !good.Covers(4) || good.Covers(5) {
		t.Error("a release until 4 covers receipts issued up to 4")
	}
}

func FuzzSignedRelease(f *testing.F) {
	b, _ := piece.SignRelease(deviceKey, piece.Release{ChainID: "cairn-1", Lease: 1, Device: 2, Until: 3}).MarshalBinary()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var s piece.SignedRelease
		if s.UnmarshalBinary(b) != nil {
			return
		}
		if again, err := s.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is read and written as %x, %v", b, again, err)
		}
		_ = s.Verify(deviceKey.Public().(ed25519.PublicKey))
	})
}
