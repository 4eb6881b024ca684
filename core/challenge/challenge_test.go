package challenge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/cairn-network/cairn/core/merkle"
	"github.com/cairn-network/cairn/core/piece"
)

// holding is a tree with the bytes of its pieces.
type holding struct {
	tree *merkle.Tree
	data map[piece.ID][]byte
}

func hold(tb testing.TB, random *rand.Rand, sizes ...int) holding {
	tb.Helper()
	h := holding{data: make(map[piece.ID][]byte)}
	var leaves []merkle.Leaf
	for i, size := range sizes {
		data := make([]byte, size)
		for j := range data {
			data[j] = byte(random.Uint32())
		}
		var id piece.ID
		binary.BigEndian.PutUint64(id[:], uint64(i))
		leaf, err := NewLeaf(7, id, piece.RootOf(data), uint64(size), 1000)
		if err != nil {
			tb.Fatal(err)
		}
		leaves = append(leaves, leaf)
		h.data[leaf.ID] = data
	}
	sortLeaves(leaves)
	tree, err := merkle.Build(leaves)
	if err != nil {
		tb.Fatal(err)
	}
	h.tree = tree
	return h
}

func sortLeaves(leaves []merkle.Leaf) {
	for i := range leaves {
		for j := i; j > 0 && bytes.Compare(leaves[j-1].ID[:], leaves[j].ID[:]) > 0; j-- {
			leaves[j-1], leaves[j] = leaves[j], leaves[j-1]
		}
	}
}

func (h holding) prove(tb testing.TB, x uint64) Proof {
	tb.Helper()
	path, chunk, err := h.tree.ProveAt(x)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := Prove(path, h.data[path.Leaf.ID], chunk)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func random() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// INV-CHALLENGE-4: every position of a tree is answered by its own proof, and by no other's.
func TestEveryPositionHasOneAnswer(t *testing.T) {
	h := hold(t, random(), 1, 1023, 1024, 1025, 5000, 64<<10, 2048)
	root := h.tree.Root()
	proofs := make([]Proof, root.Sum)
	for x := range root.Sum {
		proofs[x] = h.prove(t, x)
	}
	for x := range root.Sum {
		for y, p := range proofs {
			if err := p.Verify(root, x); (err == nil) != (uint64(y) == x) {
				t.Fatalf("proof of position %d for position %d: %v", y, x, err)
			} else if err != nil && !errors.Is(err, ErrProof) {
				t.Fatalf("position %d: %v is not ErrProof", x, err)
			}
		}
		raw, err := proofs[x].MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var back Proof
		if err := back.UnmarshalBinary(raw); err != nil {
			t.Fatal(err)
		}
		if err := back.Verify(root, x); err != nil {
			t.Fatalf("position %d after encoding: %v", x, err)
		}
	}
}

// INV-CHALLENGE-4: a leaf that states more chunks than its piece has cannot show them, nor can one
// that states fewer be shown at all positions; the last chunk has exactly the length it was hashed with.
func TestLeafBindsThePiece(t *testing.T) {
	data := bytes.Repeat([]byte{5}, 2500) // chunks of 1024, 1024 and 452 bytes
	answer := func(stated, chunk uint64, shown []byte) error {
		leaf := merkle.Leaf{ID: piece.ID{1}, Root: piece.RootOf(data), Chunks: stated, Expiry: 9}
		tree, err := merkle.Build([]merkle.Leaf{leaf})
		if err != nil {
			t.Fatal(err)
		}
		in, err := tree.Prove(0)
		if err != nil {
			t.Fatal(err)
		}
		path, err := piece.Prove(data, int(min(chunk, 2)))
		if err != nil {
			t.Fatal(err)
		}
		return Proof{Chunk: shown, Path: path, Tree: in}.Verify(tree.Root(), chunk)
	}
	for chunk, shown := range [][]byte{data[:1024], data[1024:2048], data[2048:]} {
		if err := answer(3, uint64(chunk), shown); err != nil {
			t.Errorf("chunk %d of 3: %v", chunk, err)
		}
	}
	for name, err := range map[string]error{
		"last chunk cut":      answer(3, 2, data[2048:2499]),
		"last chunk padded":   answer(3, 2, append(bytes.Clone(data[2048:]), 0)),
		"last chunk of zero":  answer(3, 2, nil),
		"inner chunk cut":     answer(3, 1, data[1024:2047]),
		"a fourth chunk":      answer(4, 3, data[2048:]),
		"third as the third":  answer(4, 2, data[2048:]),
		"second as the last":  answer(2, 1, data[1024:2048]),
		"more than any piece": answer(MaxChunks+1, 0, data[:1024]),
	} {
		if !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLeavesOfPieces(t *testing.T) {
	if LeafID(1, piece.ID{1}) == LeafID(2, piece.ID{1}) {
		t.Error("two leases give one leaf")
	}
	for size, want := range map[uint64]uint64{1: 1, 1024: 1, 1025: 2, piece.MaxSize: MaxChunks} {
		if leaf, err := NewLeaf(1, piece.ID{}, piece.Root{}, size, 0); err != nil || leaf.Chunks != want {
			t.Errorf("%d bytes: %d chunks, %v", size, leaf.Chunks, err)
		}
	}
	for _, size := range []uint64{0, piece.MaxSize + 1, math.MaxUint64} {
		if _, err := NewLeaf(1, piece.ID{}, piece.Root{}, size, 0); !errors.Is(err, ErrLeaf) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestInclusion(t *testing.T) {
	h := hold(t, random(), 100, 2000, 3000)
	in, err := h.tree.Prove(1)
	if err != nil {
		t.Fatal(err)
	}
	root, want := h.tree.Root(), in.Leaf
	if err := VerifyInclusion(in, root, want); err != nil {
		t.Fatal(err)
	}
	earlier := want
	earlier.Expiry--
	if err := VerifyInclusion(in, root, earlier); err != nil {
		t.Errorf("kept longer than promised: %v", err)
	}
	for name, edit := range map[string]func(*merkle.Leaf){
		"id":     func(l *merkle.Leaf) { l.ID[0]++ },
		"root":   func(l *merkle.Leaf) { l.Root[0]++ },
		"chunks": func(l *merkle.Leaf) { l.Chunks++ },
		"expiry": func(l *merkle.Leaf) { l.Expiry++ },
	} {
		other := want
		edit(&other)
		if err := VerifyInclusion(in, root, other); !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := VerifyInclusion(in, merkle.Node{Hash: root.Hash, Sum: root.Sum + 1}, want); !errors.Is(err, ErrProof) {
		t.Errorf("another total: %v", err)
	}
}

// INV-CHALLENGE-1: whatever goes into a draw changes it.
func TestDrawsDiffer(t *testing.T) {
	draws := []Draw{
		New([32]byte{1}, 2, 3), New([32]byte{2}, 2, 3), New([32]byte{1}, 3, 3), New([32]byte{1}, 2, 4),
		NewPeer([32]byte{1}, 2, 3, 3), NewPeer([32]byte{1}, 2, 3, 4), NewPeer([32]byte{1}, 2, 4, 3), NewPeer([32]byte{1}, 3, 3, 4),
	}
	seen := make(map[Draw]int)
	for i, d := range draws {
		if before, there := seen[d]; there {
			t.Errorf("draws %d and %d are one", before, i)
		}
		seen[d] = i
	}
}

// INV-CHALLENGE-2: with totals for which a plain remainder would prefer the lower half by half again,
// both halves come up equally often. 40,000 draws: 5 standard deviations are 500.
func TestPositionsAreUniform(t *testing.T) {
	for _, total := range []uint64{2, 1000, 3 << 62, math.MaxUint64} {
		const draws = 40_000
		lower := 0
		for i := range uint64(draws) {
			x := New([32]byte{9}, i, 1).Position(0, total)
			if x >= total {
				t.Fatalf("position %d of %d", x, total)
			}
			if x < total/2 {
				lower++
			}
		}
		if d := lower - draws/2; d < -500 || d > 500 {
			t.Errorf("total %d: %d of %d in the lower half", total, lower, draws)
		}
	}
	if x := New([32]byte{}, 1, 1).Position(3, 0); x != 0 {
		t.Errorf("position %d of an empty tree", x)
	}
	if x := New([32]byte{}, 1, 1).Position(3, 1); x != 0 {
		t.Errorf("position %d of one chunk", x)
	}
}

// Every interval is met by its share of devices; 5 standard deviations.
func TestDueByShare(t *testing.T) {
	const devices = 60_000
	for _, interval := range []uint32{1, 2, 6, 100} {
		due := 0
		for device := range uint64(devices) {
			if New([32]byte{3}, 5, device).Due(interval) {
				due++
			}
		}
		p := 1 / float64(interval)
		if want, margin := devices*p, 5*math.Sqrt(devices*p*(1-p)); math.Abs(float64(due)-want) > margin {
			t.Errorf("interval %d: %d of %d due", interval, due, devices)
		}
	}
	if New([32]byte{}, 1, 1).Due(0) {
		t.Error("interval 0 is due")
	}
}

// INV-CHALLENGE-3.
func FuzzProof(f *testing.F) {
	h := hold(f, random(), 1, 1024, 3000)
	for x := range h.tree.Root().Sum {
		raw, err := h.prove(f, x).MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, x)
	}
	f.Add([]byte{}, uint64(0))
	f.Fuzz(func(t *testing.T, raw []byte, x uint64) {
		var p Proof
		if err := p.UnmarshalBinary(raw); err != nil {
			if !errors.Is(err, ErrEncoding) {
				t.Fatalf("%v is not ErrEncoding", err)
			}
			return
		}
		again, err := p.MarshalBinary()
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("encoded again: %x, %v; was %x", again, err, raw)
		}
		root := h.tree.Root()
		if err := p.Verify(root, x); err == nil {
			want, err := h.prove(t, x).MarshalBinary()
			if err != nil || !bytes.Equal(want, raw) {
				t.Fatalf("position %d has a second proof %x", x, raw)
			}
		}
		// A tree of the fuzzer's own choice.
		_ = p.Verify(p.Tree.Leaf.Node(), x)
	})
}

// The figure: a proof decoded and verified in at most 10 microseconds, at the depth of a tree of a
// million pieces of a mebibyte.
func BenchmarkVerify(b *testing.B) {
	r := random()
	data := make([]byte, piece.MaxSize)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	leaves := make([]merkle.Leaf, 1_000_000)
	for i := range leaves {
		binary.BigEndian.PutUint64(leaves[i].ID[:], uint64(i))
		leaves[i].Root, leaves[i].Chunks = piece.RootOf([]byte{byte(i)}), 1
	}
	leaves[654_321] = merkle.Leaf{ID: leaves[654_321].ID, Root: piece.RootOf(data), Chunks: MaxChunks}
	tree, err := merkle.Build(leaves)
	if err != nil {
		b.Fatal(err)
	}
	x := uint64(654_321 + 777)
	path, chunk, err := tree.ProveAt(x)
	if err != nil {
		b.Fatal(err)
	}
	p, err := Prove(path, data, chunk)
	if err != nil {
		b.Fatal(err)
	}
	raw, err := p.MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	root := tree.Root()
	b.ReportMetric(float64(len(raw)), "bytes")
	b.ReportAllocs()
	for b.Loop() {
		var p Proof
		if err := p.UnmarshalBinary(raw); err != nil {
			b.Fatal(err)
		}
		if err := p.Verify(root, x); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(raw)), "bytes")
}
