package grant_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"reflect"
	"testing"

	"github.com/cairn-network/cairn/core/pass"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/grant"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

// sample opens photos/ of a bucket: one object in two segments, one inline.
func sample(tb testing.TB) grant.Grant {
	tb.Helper()
	root := seal.FromSeed(bytes.Repeat([]byte{7}, 64))
	bucket := root.Bucket("holiday")
	keys, err := bucket.GrantPrefix("holiday", "photos/")
	if err != nil {
		tb.Fatal(err)
	}
	text, err := keys.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	data, err := seal.NewDataKey(rand.Reader, seal.AES256GCM)
	if err != nil {
		tb.Fatal(err)
	}
	wrapped := bucket.Object("photos/a").Wrap(data)
	segment := func(id byte, plain uint32) metabase.Segment {
		return metabase.Segment{
			ID: metabase.SegmentID{id}, Class: "small", PlainSize: plain, SealedSize: plain + 100, PieceRoots: make([]piece.Root, 12),
			Pieces: []metabase.Piece{{Index: 0, Device: 3}, {Index: 11, Device: 4}}, Bucket: "holiday",
		}
	}
	g := grant.Grant{
		ChainID: "cairn-test-1", Keys: text, PieceSecret: bucket.PieceSecret(), Lease: 9, SessionSeed: [32]byte{1}, DataLease: 7, Expiry: 2_000_000_000,
		Objects: []grant.Object{
			{Key: "photos/a", Size: 3000, Extents: []grant.Extent{{ObjectID: [16]byte{1}, WrappedKey: wrapped, Size: 3000, Segments: []int{0, 1}}}},
			{Key: "photos/b", Size: 5, Extents: []grant.Extent{{ObjectID: [16]byte{2}, WrappedKey: wrapped, Size: 5, Inline: []byte("sealed")}}},
			{Key: "photos/empty"},
		},
		Segments: []metabase.Segment{segment(1, 2000), segment(2, 1000)},
	}
	g.Signature = pass.Sign(root.SessionKey(0), g.Pass().Pass).Signature
	return g
}

func TestAFileIsReadAsItWasWritten(t *testing.T) {
	g := sample(t)
	file, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := grant.Parse(file)
	if err != nil || !reflect.DeepEqual(back, g) {
		t.Fatalf("%+v, %v", back, err)
	}
	if g.Bucket() != "holiday" || g.String() != "read everything under holiday/photos/" {
		t.Errorf("%s of %s", g, g.Bucket())
	}
	root := seal.FromSeed(bytes.Repeat([]byte{7}, 64))
	if err := back.Pass().Verify(root.SessionKey(0).Public().(ed25519.PublicKey)); err != nil {
		t.Error(err)
	}
}

// TestAGrantToVerifyOpensNothing holds that no object comes along with it.
func TestAGrantToVerifyOpensNothing(t *testing.T) {
	g := sample(t)
	text, err := seal.FromSeed(bytes.Repeat([]byte{7}, 64)).Bucket("holiday").GrantVerify("holiday").Encode()
	if err != nil {
		t.Fatal(err)
	}
	g.Keys = text
	if _, err := g.Encode(); !errors.Is(err, grant.ErrInvalid) {
		t.Fatalf("with objects in it: %v", err)
	}
	g.Objects = nil
	file, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := grant.Parse(file)
	if err != nil || back.String() != "verify holiday" || len(back.Segments) != len(g.Segments) {
		t.Fatalf("%v, %v", back, err)
	}
	if bytes.Contains(file, []byte("photos")) {
		t.Error("it names an object")
	}
}

func TestNoOtherFileIsTaken(t *testing.T) {
	file, err := sample(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(file) {
		if _, err := grant.Parse(file[:n]); !errors.Is(err, grant.ErrInvalid) {
			t.Fatalf("the first %d bytes: %v", n, err)
		}
	}
	for n := 0; n < len(file); n += 7 {
		bad := bytes.Clone(file)
		bad[n] ^= 4
		if _, err := grant.Parse(bad); !errors.Is(err, grant.ErrInvalid) {
			t.Fatalf("with byte %d changed: %v", n, err)
		}
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	for name, spoil := range map[string]func(*grant.Grant){
		"no keys":                   func(g *grant.Grant) { g.Keys = "cairn-grant-x" },
		"its own reader":            func(g *grant.Grant) { g.Lease = g.DataLease },
		"no expiry":                 func(g *grant.Grant) { g.Expiry = 0 },
		"no chain":                  func(g *grant.Grant) { g.ChainID = "" },
		"object elsewhere":          func(g *grant.Grant) { g.Objects[0].Key = "secret/a" },
		"segment that is not there": func(g *grant.Grant) { g.Objects[0].Extents[0].Segments[1] = 2 },
		"segment below 0":           func(g *grant.Grant) { g.Objects[0].Extents[0].Segments[1] = -1 },
		"segments too short":        func(g *grant.Grant) { g.Segments[0].PlainSize-- },
		"extent too long":           func(g *grant.Grant) { g.Objects[0].Extents[0].Size++ },
		"object of other size":      func(g *grant.Grant) { g.Objects[1].Size++ },
		"inline and in segments":    func(g *grant.Grant) { g.Objects[0].Extents[0].Inline = []byte{1} },
		"inline too long":           func(g *grant.Grant) { g.Objects[1].Extents[0].Inline = make([]byte, 1<<20) },
		"no such class":             func(g *grant.Grant) { g.Segments[0].Class = "none" },
		"roots missing":             func(g *grant.Grant) { g.Segments[0].PieceRoots = nil },
		"piece beyond the class":    func(g *grant.Grant) { g.Segments[0].Pieces[0].Index = 12 },
		"piece on no device":        func(g *grant.Grant) { g.Segments[0].Pieces[0].Device = 0 },
		"segment too large":         func(g *grant.Grant) { g.Segments[0].SealedSize = 1 << 31 },
	} {
		g := sample(t)
		spoil(&g)
		if _, err := g.Encode(); !errors.Is(err, grant.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParse looks behind the checksum, which a fuzzer does not find by itself.
func FuzzParse(f *testing.F) {
	file, err := sample(f).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file[:len(file)-sha256.Size])
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := sha256.Sum256(body)
		g, err := grant.Parse(append(bytes.Clone(body), sum[:]...))
		if err != nil {
			return
		}
		if _, err := g.Encode(); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
	})
}
