// Package merkle is the provider's Merkle sum tree: one root and one total stand for millions of
// pieces, and any position below the total points at exactly one chunk of one piece.
//
// Leaves are pieces in ascending order of id, weighted with their chunks. A tree of n > 1 leaves has
// the largest power of two below n on its left (the shape of RFC 6962 section 2.1), so that
// appending changes only the right edge.
//
//	leaf  SHA-256(0x00 || piece id || piece root || chunks || expiry)          sum: chunks
//	node  SHA-256(0x01 || left || sum of left || right || sum of right)        sum: both
//
// Numbers are 8 bytes, big-endian.
//
// INV-MERKLE-1: under one root, a position belongs to one leaf: every node commits to its children's
// sums, and no sum may overflow.
//
// INV-MERKLE-2: verifiers are total: no proof makes them panic or work beyond MaxDepth hashes.
package merkle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/cairn-network/cairn/core/piece"
)

// MaxDepth bounds proofs: a tree of 2^40 pieces has 40 levels.
const MaxDepth = 40

var (
	// ErrProof is wrapped by errors about leaves that are not where they are said to be.
	ErrProof = errors.New("tree proof does not hold")
	// ErrLeaf is wrapped by errors about leaves that no tree may hold.
	ErrLeaf = errors.New("invalid leaf")
	// ErrEncoding is wrapped by errors about bytes that are not a proof in its only encoding.
	ErrEncoding = errors.New("invalid tree proof encoding")
)

// Leaf is one piece.
type Leaf struct {
	ID   piece.ID
	Root piece.Root
	// Chunks is the leaf's weight, piece.Chunks of its size; at least 1.
	Chunks uint64
	// Expiry in Unix seconds.
	Expiry int64
}

// Node is a subtree: its hash, and the sum of its leaves' chunks.
type Node struct {
	Hash [32]byte
	Sum  uint64
}

// Empty is the root of a tree without leaves.
var Empty = Node{}

// Node returns l as a subtree.
func (l Leaf) Node() Node {
	var b [1 + 32 + 32 + 8 + 8]byte
	copy(b[1:], l.ID[:])
	copy(b[33:], l.Root[:])
	binary.BigEndian.PutUint64(b[65:], l.Chunks)
	binary.BigEndian.PutUint64(b[73:], uint64(l.Expiry))
	return Node{sha256.Sum256(b[:]), l.Chunks}
}

// join returns the node above two; false if the sum overflows.
func join(l, r Node) (Node, bool) {
	sum, carry := bits.Add64(l.Sum, r.Sum, 0)
	var b [1 + 40 + 40]byte
	b[0] = 1
	copy(b[1:], l.Hash[:])
	binary.BigEndian.PutUint64(b[33:], l.Sum)
	copy(b[41:], r.Hash[:])
	binary.BigEndian.PutUint64(b[73:], r.Sum)
	return Node{sha256.Sum256(b[:]), sum}, carry == 0
}

// Tree is a Merkle sum tree in memory, 40 bytes a node, two nodes a piece. Not safe for concurrent
// use while Append runs.
type Tree struct {
	leaves []Leaf
	// levels[0] are the leaves' nodes; levels[h] the roots of full subtrees of 2^h leaves.
	levels [][]Node
	total  uint64 // chunks of all leaves
}

// Build returns the tree of leaves, which must ascend by id.
func Build(leaves []Leaf) (*Tree, error) {
	t := &Tree{leaves: make([]Leaf, 0, len(leaves))}
	for _, l := range leaves {
		if err := t.Append(l); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Append adds a leaf with an id above all others; ErrLeaf, and the tree as it was, if its id or
// weight is not allowed or the sum of all would overflow.
func (t *Tree) Append(l Leaf) error {
	if l.Chunks == 0 {
		return fmt.Errorf("appending piece %s: %w: no chunks", l.ID, ErrLeaf)
	}
	if n := len(t.leaves); n > 0 && bytes.Compare(t.leaves[n-1].ID[:], l.ID[:]) >= 0 {
		return fmt.Errorf("appending piece %s after %s: %w: ids must ascend", l.ID, t.leaves[n-1].ID, ErrLeaf)
	}
	total, carry := bits.Add64(t.total, l.Chunks, 0)
	if carry != 0 {
		return fmt.Errorf("appending piece %s: %w: sum of chunks overflows", l.ID, ErrLeaf)
	}
	t.total, t.leaves = total, append(t.leaves, l)
	n := l.Node()
	for h := 0; ; h++ {
		if h == len(t.levels) {
			t.levels = append(t.levels, nil)
		}
		t.levels[h] = append(t.levels[h], n)
		if len(t.levels[h])%2 != 0 {
			return nil
		}
		n, _ = join(t.levels[h][len(t.levels[h])-2], n)
	}
}

// Len returns the number of leaves.
func (t *Tree) Len() int { return len(t.leaves) }

// Leaf returns leaf i, which must be below Len.
func (t *Tree) Leaf(i int) Leaf { return t.leaves[i] }

// Root returns the root, Empty if there are no leaves.
func (t *Tree) Root() Node {
	if len(t.leaves) == 0 {
		return Empty
	}
	return t.subtree(0, len(t.leaves))
}

// subtree returns the node over n leaves from first on, as the shape of the tree places them.
func (t *Tree) subtree(first, n int) Node {
	if n&(n-1) == 0 {
		h := bits.TrailingZeros(uint(n))
		return t.levels[h][first>>h]
	}
	left := 1 << (bits.Len(uint(n-1)) - 1)
	node, _ := join(t.subtree(first, left), t.subtree(first+left, n-left))
	return node
}

// Step is one level of a proof: what lies beside the path, and on which side.
type Step struct {
	// Left says that the sibling is the left child.
	Left    bool
	Sibling Node
}

// Proof leads from a leaf to the root.
type Proof struct {
	Leaf  Leaf
	Steps []Step // from the leaf upwards
}

// Prove returns the proof of leaf i; ErrProof if there is none.
func (t *Tree) Prove(i int) (Proof, error) {
	if i < 0 || i >= len(t.leaves) {
		return Proof{}, fmt.Errorf("proving leaf %d of %d: %w", i, len(t.leaves), ErrProof)
	}
	p := Proof{Leaf: t.leaves[i]}
	first, n := 0, len(t.leaves)
	for n > 1 {
		left := 1 << (bits.Len(uint(n-1)) - 1)
		if i < first+left {
			p.Steps = append(p.Steps, Step{false, t.subtree(first+left, n-left)})
			n = left
		} else {
			p.Steps = append(p.Steps, Step{true, t.subtree(first, left)})
			first, n = first+left, n-left
		}
	}
	for i, j := 0, len(p.Steps)-1; i < j; i, j = i+1, j-1 {
		p.Steps[i], p.Steps[j] = p.Steps[j], p.Steps[i]
	}
	return p, nil
}

// ProveAt returns the proof of the leaf that holds position x, and the number of the chunk in it;
// ErrProof if x is not below the root's sum.
func (t *Tree) ProveAt(x uint64) (p Proof, chunk uint64, err error) {
	if x >= t.total {
		return Proof{}, 0, fmt.Errorf("proving position %d of %d: %w", x, t.total, ErrProof)
	}
	chunk = x
	first, n := 0, len(t.leaves)
	for n > 1 {
		left := 1 << (bits.Len(uint(n-1)) - 1)
		if sum := t.subtree(first, left).Sum; chunk >= sum {
			chunk -= sum
			first, n = first+left, n-left
		} else {
			n = left
		}
	}
	p, err = t.Prove(first)
	return p, chunk, err
}

// Verify checks that p.Leaf is in the tree with that root, and returns the range of positions that
// it holds: first to first+p.Leaf.Chunks-1. ErrProof.
func (p Proof) Verify(root Node) (first uint64, err error) {
	if len(p.Steps) > MaxDepth || p.Leaf.Chunks == 0 {
		return 0, fmt.Errorf("proof of piece %s with %d steps and %d chunks: %w", p.Leaf.ID, len(p.Steps), p.Leaf.Chunks, ErrProof)
	}
	n := p.Leaf.Node()
	for _, s := range p.Steps {
		ok := false
		if s.Left {
			first += s.Sibling.Sum // below n's sum once joined, which does not overflow
			n, ok = join(s.Sibling, n)
		} else {
			n, ok = join(n, s.Sibling)
		}
		if !ok {
			return 0, fmt.Errorf("proof of piece %s: sums overflow: %w", p.Leaf.ID, ErrProof)
		}
	}
	if n != root {
		return 0, fmt.Errorf("piece %s is not under root %x with sum %d: %w", p.Leaf.ID, root.Hash, root.Sum, ErrProof)
	}
	return first, nil
}

// VerifyAt checks that p.Leaf holds position x of the tree with that root, and returns the number of
// the chunk in the piece. ErrProof.
func (p Proof) VerifyAt(root Node, x uint64) (chunk uint64, err error) {
	first, err := p.Verify(root)
	if err != nil {
		return 0, err
	}
	if x < first || x-first >= p.Leaf.Chunks {
		return 0, fmt.Errorf("position %d is not in piece %s, which holds %d from %d on: %w", x, p.Leaf.ID, p.Leaf.Chunks, first, ErrProof)
	}
	return x - first, nil
}

const leafSize, stepSize = 32 + 32 + 8 + 8, 1 + 32 + 8

// MarshalBinary returns the leaf (id, root, chunks, expiry), one byte with the number of steps, and
// of each step one byte (1 if the sibling is left, else 0), its hash and its sum.
func (p Proof) MarshalBinary() ([]byte, error) {
	if len(p.Steps) > MaxDepth {
		return nil, fmt.Errorf("encoding %d steps, want at most %d: %w", len(p.Steps), MaxDepth, ErrProof)
	}
	b := make([]byte, 0, leafSize+1+stepSize*len(p.Steps))
	b = append(append(b, p.Leaf.ID[:]...), p.Leaf.Root[:]...)
	b = binary.BigEndian.AppendUint64(b, p.Leaf.Chunks)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Leaf.Expiry))
	b = append(b, byte(len(p.Steps)))
	for _, s := range p.Steps {
		side := byte(0)
		if s.Left {
			side = 1
		}
		b = append(append(b, side), s.Sibling.Hash[:]...)
		b = binary.BigEndian.AppendUint64(b, s.Sibling.Sum)
	}
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary wrote and refuses all other bytes with ErrEncoding.
func (p *Proof) UnmarshalBinary(b []byte) error {
	if len(b) <= leafSize || b[leafSize] > MaxDepth || len(b) != leafSize+1+stepSize*int(b[leafSize]) {
		return fmt.Errorf("%w: %d bytes", ErrEncoding, len(b))
	}
	q := Proof{Steps: make([]Step, b[leafSize])}
	copy(q.Leaf.ID[:], b)
	copy(q.Leaf.Root[:], b[32:])
	q.Leaf.Chunks = binary.BigEndian.Uint64(b[64:])
	q.Leaf.Expiry = int64(binary.BigEndian.Uint64(b[72:]))
	for i := range q.Steps {
		s := b[leafSize+1+stepSize*i:]
		if s[0] > 1 {
			return fmt.Errorf("%w: side %d of step %d", ErrEncoding, s[0], i)
		}
		q.Steps[i].Left = s[0] == 1
		copy(q.Steps[i].Sibling.Hash[:], s[1:])
		q.Steps[i].Sibling.Sum = binary.BigEndian.Uint64(s[33:])
	}
	*p = q
	return nil
}
