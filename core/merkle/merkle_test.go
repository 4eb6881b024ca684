package merkle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/piece"
)

func leaves(n int) []Leaf {
	all := make([]Leaf, n)
	for i := range all {
		binary.BigEndian.PutUint64(all[i].ID[:], uint64(i+1))
		all[i].Root = piece.RootOf([]byte{byte(i)})
		all[i].Chunks = uint64(i%7 + 1)
		all[i].Expiry = int64(1000 + i)
	}
	return all
}

// reference is the definition in the package comment, by recursion over concatenated bytes.
func reference(all []Leaf) (hash [32]byte, sum uint64) {
	word := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	if len(all) == 1 {
		l := all[0]
		return sha256.Sum256(bytes.Join([][]byte{{0}, l.ID[:], l.Root[:], word(l.Chunks), word(uint64(l.Expiry))}, nil)), l.Chunks
	}
	left := 1
	for left*2 < len(all) {
		left *= 2
	}
	lh, ls := reference(all[:left])
	rh, rs := reference(all[left:])
	return sha256.Sum256(bytes.Join([][]byte{{1}, lh[:], word(ls), rh[:], word(rs)}, nil)), ls + rs
}

// INV-MERKLE-1.
func TestEveryPositionHasOneLeaf(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 100} {
		all := leaves(n)
		tree, err := Build(all)
		if err != nil {
			t.Fatal(err)
		}
		root := tree.Root()
		if hash, sum := reference(all); root != (Node{hash, sum}) {
			t.Fatalf("%d leaves: root differs from the reference", n)
		}
		x := uint64(0)
		for i, l := range all {
			for c := range l.Chunks {
				p, chunk, err := tree.ProveAt(x)
				if err != nil || chunk != c || p.Leaf != l {
					t.Fatalf("%d leaves: position %d: leaf %v chunk %d, %v", n, x, p.Leaf.ID, chunk, err)
				}
				if chunk, err := p.VerifyAt(root, x); err != nil || chunk != c {
					t.Fatalf("%d leaves: position %d: chunk %d, %v", n, x, chunk, err)
				}
				x++
			}
			p, err := tree.Prove(i)
			if err != nil {
				t.Fatal(err)
			}
			for y := range root.Sum {
				_, err := p.VerifyAt(root, y)
				if holds := y < x && y >= x-l.Chunks; (err == nil) != holds {
					t.Fatalf("%d leaves: leaf %d at position %d: %v", n, i, y, err)
				}
			}
		}
		if _, _, err := tree.ProveAt(x); !errors.Is(err, ErrProof) {
			t.Fatalf("position %d of %d: %v", x, root.Sum, err)
		}
	}
}

func TestAlteredProofsFail(t *testing.T) {
	tree, err := Build(leaves(13))
	if err != nil {
		t.Fatal(err)
	}
	root := tree.Root()
	for i := range tree.Len() {
		p, err := tree.Prove(i)
		if err != nil {
			t.Fatal(err)
		}
		good, err := p.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		two := bytes.Clone(good)
		two[leafSize+1] = 2
		for _, bad := range [][]byte{nil, good[:leafSize], good[:len(good)-1], append(bytes.Clone(good), 0), two} {
			if err := new(Proof).UnmarshalBinary(bad); !errors.Is(err, ErrEncoding) {
				t.Fatalf("%d of %d bytes: %v", len(bad), len(good), err)
			}
		}
		for at := range good {
			bad := bytes.Clone(good)
			bad[at] ^= 1
			var q Proof
			if err := q.UnmarshalBinary(bad); err != nil {
				continue
			}
			if _, err := q.Verify(root); !errors.Is(err, ErrProof) {
				t.Fatalf("leaf %d: proof with byte %d altered: %v", i, at, err)
			}
		}
	}
}

func TestSumsCannotOverflow(t *testing.T) {
	all := leaves(2)
	all[0].Chunks = math.MaxUint64
	if _, err := Build(all); !errors.Is(err, ErrLeaf) {
		t.Fatal(err)
	}
	l, r := all[0].Node(), all[1].Node()
	top, ok := join(l, r)
	if ok {
		t.Fatal("the sum does not overflow")
	}
	for _, p := range []Proof{{all[0], []Step{{false, r}}}, {all[1], []Step{{true, l}}}} {
		if _, err := p.Verify(top); !errors.Is(err, ErrProof) {
			t.Fatal(err)
		}
	}
}

func TestLeavesAscendAndWeigh(t *testing.T) {
	all := leaves(3)
	tree, err := Build(all[:2])
	if err != nil {
		t.Fatal(err)
	}
	before := tree.Root()
	for _, bad := range []Leaf{all[0], all[1], {ID: all[2].ID}} {
		if err := tree.Append(bad); !errors.Is(err, ErrLeaf) || tree.Root() != before || tree.Len() != 2 {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if (&Tree{}).Root() != Empty {
		t.Error("an empty tree has a root")
	}
}

func TestProofsEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, err := Build(leaves(rapid.IntRange(1, 200).Draw(t, "leaves")))
		if err != nil {
			t.Fatal(err)
		}
		p, err := tree.Prove(rapid.IntRange(0, tree.Len()-1).Draw(t, "leaf"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := p.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var q Proof
		if err := q.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Verify(tree.Root()); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzProof(f *testing.F) {
	tree, _ := Build(leaves(5))
	root := tree.Root()
	for i := range tree.Len() {
		p, _ := tree.Prove(i)
		b, _ := p.MarshalBinary()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Proof
		if p.UnmarshalBinary(b) != nil {
			return
		}
		if again, err := p.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is read and written as %x, %v", b, again, err)
		}
		first, err := p.Verify(root)
		if err == nil && tree.Leaf(int(p.Leaf.ID[7])-1) != p.Leaf {
			t.Fatalf("a leaf that is not in the tree holds positions from %d on", first)
		}
	})
}

// million returns leaves whose ids ascend, as a provider of a terabyte has them.
func million() []Leaf {
	all := make([]Leaf, 1_000_000)
	for i := range all {
		binary.BigEndian.PutUint64(all[i].ID[:], uint64(i))
		all[i].Chunks = 1024
	}
	return all
}

func BenchmarkBuild(b *testing.B) {
	all := million()
	for b.Loop() {
		if _, err := Build(all); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(all))/b.Elapsed().Seconds(), "leaves/s")
}

// BenchmarkPossession is what a chain does for one answer to a challenge: the sum tree's path over a
// million pieces, then the chunk's path in its piece.
func BenchmarkPossession(b *testing.B) {
	all := million()
	data := make([]byte, piece.MaxSize)
	for i := range data {
		data[i] = byte(i % 251)
	}
	const which = 765_432
	all[which].Root = piece.RootOf(data)
	tree, err := Build(all)
	if err != nil {
		b.Fatal(err)
	}
	root, x := tree.Root(), uint64(which*1024+777)
	p, chunk, err := tree.ProveAt(x)
	if err != nil {
		b.Fatal(err)
	}
	path, err := piece.Prove(data, int(chunk))
	if err != nil {
		b.Fatal(err)
	}
	content := data[chunk*piece.ChunkSize:][:piece.ChunkSize]
	treeBytes, err := p.MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	pathBytes, err := path.MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var p Proof
		var path piece.Proof
		if err := p.UnmarshalBinary(treeBytes); err != nil {
			b.Fatal(err)
		}
		if err := path.UnmarshalBinary(pathBytes); err != nil {
			b.Fatal(err)
		}
		chunk, err := p.VerifyAt(root, x)
		if err != nil {
			b.Fatal(err)
		}
		if err := piece.VerifyChunk(p.Leaf.Root, piece.MaxSize, int(chunk), content, path); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(content)+len(treeBytes)+len(pathBytes)), "bytes/proof")
}
