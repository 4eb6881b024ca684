package erasure

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func newCodec(t testing.TB, c Class) *Codec {
	t.Helper()
	codec, err := NewCodec(c)
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

func fill(n int, seed uint64) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b)
	return b
}

func encode(t testing.TB, codec *Codec, segment []byte) (Geometry, [][]byte) {
	t.Helper()
	g := codec.Class().Geometry(len(segment))
	pieces := make([][]byte, g.Total)
	for i := range pieces {
		pieces[i] = bytes.Repeat([]byte{0xa5}, g.PieceSize) // what was there before must not matter
	}
	if err := codec.Encode(segment, pieces); err != nil {
		t.Fatal(err)
	}
	return g, pieces
}

// product is multiplication in GF(2^8) with 0x11d, bit by bit.
func product(a, b byte) (p byte) {
	for ; b != 0; b >>= 1 {
		if b&1 != 0 {
			p ^= a
		}
		carry := a & 0x80
		a <<= 1
		if carry != 0 {
			a ^= 0x1d
		}
	}
	return p
}

// referenceMatrix is V times the inverse of its top, by elimination.
func referenceMatrix(k, total int) [][]byte {
	v := make([][]byte, total)
	for r := range v {
		v[r] = make([]byte, k)
		power := byte(1)
		for c := range v[r] {
			v[r][c] = power
			power = product(power, byte(r))
		}
	}
	// Column operations that turn the top into the identity turn V into V * top^-1.
	for p := range k {
		if v[p][p] == 0 {
			for c := p + 1; c < k; c++ {
				if v[p][c] != 0 {
					for r := range v {
						v[r][p], v[r][c] = v[r][c], v[r][p]
					}
					break
				}
			}
		}
		inverse := byte(1)
		for product(inverse, v[p][p]) != 1 {
			inverse++
		}
		for r := range v {
			v[r][p] = product(v[r][p], inverse)
		}
		for c := range k {
			if factor := v[p][c]; c != p && factor != 0 {
				for r := range v {
					v[r][c] ^= product(factor, v[r][p])
				}
			}
		}
	}
	return v
}

// referenceEncode is the format of docs/format/segment.md, one byte at a time.
func referenceEncode(c Class, segment []byte) [][]byte {
	g := c.Geometry(len(segment))
	matrix := referenceMatrix(c.K, c.Total)
	pieces := make([][]byte, c.Total)
	for s := range g.Stripes {
		share := g.Share(s)
		stripe := make([]byte, c.K*share)
		copy(stripe, segment[s*c.K*ShareSize:])
		for i := range pieces {
			for b := range share {
				var sum byte
				for d := range c.K {
					sum ^= product(matrix[i][d], stripe[d*share+b])
				}
				pieces[i] = append(pieces[i], sum)
			}
		}
	}
	return pieces
}

// INV-ERASURE-2.
func TestEncodeMatchesReference(t *testing.T) {
	for _, c := range Classes() {
		codec := newCodec(t, c)
		sizes := []int{1, c.K, c.K*64 - 1, c.K * 64, c.K*64 + 1, 5000}
		if c.K <= 8 {
			sizes = append(sizes, c.K*ShareSize, c.K*ShareSize+1)
		}
		for _, size := range sizes {
			segment := fill(size, uint64(size))
			_, got := encode(t, codec, segment)
			for i, want := range referenceEncode(c, segment) {
				if !bytes.Equal(got[i], want) {
					t.Fatalf("%s, %d bytes: piece %d differs from the reference", c.Name, size, i)
				}
			}
		}
	}
}

func drawSize(t *rapid.T, c Class) int {
	edge := rapid.SampledFrom([]int{1, c.K * 64, c.K * ShareSize, 2 * c.K * ShareSize, 3 * c.K * ShareSize}).Draw(t, "edge")
	return max(1, edge+rapid.IntRange(-100, 100).Draw(t, "around"))
}

// lose sets all but n of pieces to nil, at random.
func lose(t *rapid.T, pieces [][]byte, n int) [][]byte {
	kept := make([][]byte, len(pieces))
	for _, i := range rapid.Permutation(indices(len(pieces))).Draw(t, "order")[:n] {
		kept[i] = pieces[i]
	}
	return kept
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// INV-ERASURE-1, and the smallest loss that is too much is refused.
func TestAnyKPiecesRestore(t *testing.T) {
	codecs := map[string]*Codec{}
	for _, c := range Classes() {
		codecs[c.Name] = newCodec(t, c)
	}
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(Classes()).Draw(t, "class")
		codec := codecs[c.Name]
		segment := fill(drawSize(t, c), rapid.Uint64().Draw(t, "seed"))
		g := c.Geometry(len(segment))
		pieces := make([][]byte, c.Total)
		for i := range pieces {
			pieces[i] = make([]byte, g.PieceSize)
		}
		if err := codec.Encode(segment, pieces); err != nil {
			t.Fatal(err)
		}
		kept := lose(t, pieces, rapid.IntRange(c.K, c.Total).Draw(t, "kept"))

		restored := make([]byte, len(segment))
		if err := codec.Decode(restored, kept); err != nil || !bytes.Equal(restored, segment) {
			t.Fatalf("decoding: %v, equal: %v", err, bytes.Equal(restored, segment))
		}

		off := rapid.IntRange(0, len(segment)-1).Draw(t, "off")
		n := rapid.IntRange(1, len(segment)-off).Draw(t, "n")
		_, _, at, length, err := g.StripesFor(off, n)
		if err != nil {
			t.Fatal(err)
		}
		parts := make([][]byte, len(kept))
		for i, p := range kept {
			if p != nil {
				parts[i] = p[at : at+length]
			}
		}
		part := make([]byte, n)
		if err := codec.DecodeRange(part, g, off, parts); err != nil || !bytes.Equal(part, segment[off:off+n]) {
			t.Fatalf("decoding %d bytes at %d: %v", n, off, err)
		}

		rebuilt := append([][]byte(nil), kept...)
		var want []int
		for i, p := range kept {
			if p == nil && rapid.Bool().Draw(t, "want") {
				want = append(want, i)
			}
		}
		if err := codec.Rebuild(rebuilt, want); err != nil {
			t.Fatal(err)
		}
		for _, i := range want {
			if !bytes.Equal(rebuilt[i], pieces[i]) {
				t.Fatalf("rebuilt piece %d differs", i)
			}
		}

		few := lose(t, pieces, c.K-1)
		few[0] = nil
		if err := codec.Decode(restored, few); !errors.Is(err, ErrTooFew) {
			t.Fatalf("decoding from fewer than K: %v", err)
		}
	})
}

// A range needs no data piece but those that hold it.
func TestRangeNeedsOnlyItsOwnPieces(t *testing.T) {
	codec := newCodec(t, Standard)
	segment := fill(3*Standard.K*ShareSize-777, 1)
	g, pieces := encode(t, codec, segment)
	for _, r := range [][2]int{{0, 1}, {ShareSize - 1, 2}, {5 * ShareSize, ShareSize}, {len(segment) - 1, 1}, {15 * ShareSize, 3 * ShareSize}} {
		off, n := r[0], r[1]
		_, _, at, length, err := g.StripesFor(off, n)
		if err != nil {
			t.Fatal(err)
		}
		parts := make([][]byte, g.Total)
		held := 0
		for i := range g.K {
			if g.Holds(i, off, n) {
				parts[i] = pieces[i][at : at+length]
				held++
			}
		}
		if held == 0 || held > 3 {
			t.Fatalf("%d bytes at %d are held by %d pieces", n, off, held)
		}
		got := make([]byte, n)
		if err := codec.DecodeRange(got, g, off, parts); err != nil || !bytes.Equal(got, segment[off:off+n]) {
			t.Fatalf("%d bytes at %d: %v", n, off, err)
		}
		for i := range parts {
			if parts[i] != nil {
				parts[i] = nil
				break
			}
		}
		if err := codec.DecodeRange(got, g, off, parts); !errors.Is(err, ErrTooFew) {
			t.Fatalf("%d bytes at %d without a piece that holds them: %v", n, off, err)
		}
	}
}

func TestGeometry(t *testing.T) {
	for _, c := range Classes() {
		if c.MaxPerGroup() < 1 {
			t.Errorf("%s: no group may hold a piece", c.Name)
		}
		for _, size := range []int{0, -1, c.MaxSegment() + 1} {
			if g := c.Geometry(size); g != (Geometry{}) {
				t.Errorf("%s: %d bytes have geometry %+v", c.Name, size, g)
			}
		}
		for _, size := range []int{1, 4096, c.K * ShareSize, c.K*ShareSize + 1, c.MaxSegment()} {
			g := c.Geometry(size)
			if g.PieceSize > MaxPiece || g.LastShareSize > ShareSize || g.PieceSize%64 != 0 {
				t.Errorf("%s: %d bytes: %+v", c.Name, size, g)
			}
			if stored := g.PieceSize * g.K; stored < size || stored > size+64*g.K {
				t.Errorf("%s: %d bytes take %d in data pieces", c.Name, size, stored)
			}
		}
		if g := c.Geometry(c.MaxSegment()); c.K <= 16 && g.PieceSize != MaxPiece {
			t.Errorf("%s: the largest piece has %d bytes", c.Name, g.PieceSize)
		}
	}
}

func TestClassForNeedsNoMoreThanThereIs(t *testing.T) {
	for groups, want := range map[int]Class{0: Dev, 12: Dev, 24: Dev, 25: SmallNet, 59: SmallNet, 60: Standard, 499: Standard, 500: Wide, 1 << 30: Wide} {
		if got := ClassFor(groups); got != want {
			t.Errorf("%d groups: %s, want %s", groups, got.Name, want.Name)
		}
	}
}

func TestBadInputIsRefused(t *testing.T) {
	codec := newCodec(t, Dev)
	g, pieces := encode(t, codec, fill(10_000, 1))
	short := append([][]byte(nil), pieces...)
	short[3] = short[3][1:]
	dst := make([]byte, 10_000)
	for what, err := range map[string]error{
		"empty segment":  codec.Encode(nil, pieces),
		"large segment":  codec.Encode(make([]byte, Dev.MaxSegment()+1), pieces),
		"few slices":     codec.Encode(dst, pieces[:9]),
		"short piece":    codec.Encode(dst, short),
		"decode short":   codec.Decode(dst, short),
		"decode to none": codec.Decode(nil, pieces),
		"other geometry": codec.DecodeRange(dst, Standard.Geometry(10_000), 0, pieces),
		"beyond the end": codec.DecodeRange(dst, g, 1, pieces),
		"rebuild 10":     codec.Rebuild(pieces, []int{10}),
		"rebuild -1":     codec.Rebuild(pieces, []int{-1}),
		"rebuild short":  codec.Rebuild(short, []int{0}),
		"rebuild none":   codec.Rebuild(make([][]byte, 10), []int{0}),
	} {
		if !errors.Is(err, ErrSize) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, c := range []Class{{}, {"x", 4, 3, 8, 10}, {"x", 4, 6, 5, 10}, {"x", 4, 6, 8, 7}, {"x", 4, 6, 8, 300}} {
		if _, err := NewCodec(c); err == nil {
			t.Errorf("class %+v has a codec", c)
		}
	}
}

// What the library remembers about losses stays bounded, and replacing it changes nothing.
func TestManyLossPatterns(t *testing.T) {
	codec := newCodec(t, SmallNet)
	segment := fill(20_000, 1)
	_, pieces := encode(t, codec, segment)
	rng := rand.New(rand.NewPCG(1, 2))
	start := codec.current.Load()
	for range 3 * maxPatterns {
		kept := make([][]byte, len(pieces))
		for _, i := range rng.Perm(len(pieces))[:SmallNet.K] {
			kept[i] = pieces[i]
		}
		got := make([]byte, len(segment))
		if err := codec.Decode(got, kept); err != nil || !bytes.Equal(got, segment) {
			t.Fatal(err)
		}
	}
	if codec.current.Load() == start {
		t.Fatal("the first encoder is still in use")
	}
}

func ExampleClass_Geometry() {
	fmt.Printf("%+v\n", Standard.Geometry(1<<20))
	// Output: {K:16 Total:44 SegmentSize:1048576 Stripes:4 ShareSize:16384 LastShareSize:16384 PieceSize:65536}
}

// Whatever a size, a range or a loss is, the codec answers or refuses; and answers right.
func FuzzDecodeRange(f *testing.F) {
	codec := newCodec(f, Dev)
	f.Add(10_000, 100, 200, uint16(0b1111))
	f.Add(Dev.K*ShareSize+1, 0, Dev.K*ShareSize+1, uint16(0b1111000000))
	f.Add(0, -1, 1<<62, uint16(0))
	f.Fuzz(func(t *testing.T, size, off, n int, present uint16) {
		g := Dev.Geometry(size)
		_, _, at, length, err := g.StripesFor(off, n)
		if err != nil {
			if g.Holds(0, off, n) {
				t.Fatal("a range outside the segment is held by a piece")
			}
			return
		}
		if size > 1<<18 {
			return
		}
		segment := fill(size, uint64(size))
		_, pieces := encode(t, codec, segment)
		parts := make([][]byte, len(pieces))
		count := 0
		for i := range parts {
			if present>>i&1 != 0 {
				parts[i] = pieces[i][at : at+length]
				count++
			}
		}
		dst := make([]byte, n)
		err = codec.DecodeRange(dst, g, off, parts)
		if err == nil && !bytes.Equal(dst, segment[off:off+n]) {
			t.Fatal("wrong data")
		}
		if err != nil && count >= Dev.K {
			t.Fatal(err)
		}
	})
}

// One codec serves many goroutines, each with its own losses.
func TestConcurrentUse(t *testing.T) {
	codec := newCodec(t, SmallNet)
	var group sync.WaitGroup
	for seed := range uint64(4) {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 0))
			for range 50 {
				segment := fill(1+rng.IntN(300_000), rng.Uint64())
				_, pieces := encode(t, codec, segment)
				for _, i := range rng.Perm(len(pieces))[:SmallNet.Total-SmallNet.K] {
					pieces[i] = nil
				}
				got := make([]byte, len(segment))
				if err := codec.Decode(got, pieces); err != nil || !bytes.Equal(got, segment) {
					t.Errorf("decoding %d bytes: %v", len(segment), err)
				}
			}
		})
	}
	group.Wait()
}
