package segment

import (
	"errors"
	"testing"

	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/seal"
)

func roots(n int) []piece.Root {
	r := make([]piece.Root, n)
	for i := range r {
		r[i] = piece.RootOf([]byte{byte(i)})
	}
	return r
}

// INV-SEGMENT-1.
func TestProofsHoldAtTheirPlaceOnly(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 8, 9, 10, 24, 44, 78, 256} {
		all := roots(n)
		root := Root(all)
		for i := range all {
			p, err := RootProof(all, i)
			if err != nil {
				t.Fatal(err)
			}
			for j := range all {
				err := VerifyPiece(root, n, j, all[i], p)
				if (err == nil) != (i == j) || err != nil && !errors.Is(err, ErrProof) {
					t.Fatalf("%d pieces: proof of %d at %d: %v", n, i, j, err)
				}
			}
			if VerifyPiece(root, n, i, piece.Root{}, p) == nil || VerifyPiece(root, n+1, i, all[i], p) == nil {
				t.Fatalf("%d pieces: proof of %d holds for another root or number", n, i)
			}
		}
	}
}

func TestBadInputIsRefused(t *testing.T) {
	if Root(nil) != [32]byte{} || Root(roots(257)) != [32]byte{} {
		t.Error("a root of no or too many pieces")
	}
	for _, index := range []int{-1, 3, 1 << 30} {
		if _, err := RootProof(roots(3), index); !errors.Is(err, ErrProof) {
			t.Errorf("proof of %d: %v", index, err)
		}
		for _, total := range []int{-1, 0, 3, 257} {
			if err := VerifyPiece([32]byte{}, total, index, piece.Root{}, Proof{}); !errors.Is(err, ErrProof) {
				t.Errorf("%d of %d: %v", index, total, err)
			}
		}
	}
}

func TestSplitFillsSegments(t *testing.T) {
	for _, c := range erasure.Classes() {
		full := PlaintextSize(c)
		if got := seal.SealedSize(full); got > c.MaxSegment() || got < c.MaxSegment()-seal.TagSize {
			t.Errorf("%s: a full segment has %d bytes of %d", c.Name, got, c.MaxSegment())
		}
		for _, size := range []int64{1, int64(full) - 1, int64(full), int64(full) + 1, 5*int64(full) + 7} {
			var sum int64
			sizes := Split(c, size)
			for i, n := range sizes {
				if n < 1 || n > full || i < len(sizes)-1 && n != full {
					t.Errorf("%s: part of %d: segment %d has %d bytes", c.Name, size, i, n)
				}
				sum += int64(n)
			}
			if sum != size {
				t.Errorf("%s: part of %d splits into %d", c.Name, size, sum)
			}
		}
		if Split(c, 0) != nil || Split(c, -1) != nil {
			t.Error("segments of nothing")
		}
	}
}

func FuzzVerifyPiece(f *testing.F) {
	all := roots(10)
	root := Root(all)
	for i := range all {
		p, _ := RootProof(all, i)
		var path []byte
		for _, s := range p.Siblings {
			path = append(path, s[:]...)
		}
		f.Add(10, i, all[i][:], path)
	}
	f.Fuzz(func(t *testing.T, total, index int, r, path []byte) {
		var p Proof
		for ; len(path) >= 32; path = path[32:] {
			p.Siblings = append(p.Siblings, [32]byte(path[:32]))
		}
		var given piece.Root
		copy(given[:], r)
		if VerifyPiece(root, total, index, given, p) == nil && (total != 10 || given != all[index]) {
			t.Fatalf("a false root of piece %d of %d passes", index, total)
		}
	})
}

func BenchmarkRoot(b *testing.B) {
	all := roots(44)
	for b.Loop() {
		Root(all)
	}
}

func BenchmarkVerifyPiece(b *testing.B) {
	all := roots(44)
	root := Root(all)
	p, err := RootProof(all, 17)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := VerifyPiece(root, 44, 17, all[17], p); err != nil {
			b.Fatal(err)
		}
	}
}
