package merkle

import (
	"bytes"
	"fmt"
	"math/bits"

	"github.com/cairn-network/cairn/core/piece"
)

// Stream computes root and proofs of a tree whose leaves come by once, in the memory of its height
// and of the proofs asked for: how a provider with millions of pieces proves without holding a tree.
// The zero value is a tree without leaves. Not safe for concurrent use.
type Stream struct {
	spine  []peak // full subtrees, falling heights
	last   piece.ID
	leaves uint64
	total  uint64
	wanted []*Wanted
}

// peak is a full subtree of 2^height leaves, of which at the most the last 64-height are on a spine.
type peak struct {
	Node
	height int
	// held are proofs that lead through this subtree.
	held []*Wanted
}

// Wanted is a proof that a Stream is asked for.
type Wanted struct {
	// Pick says whether a leaf, whose positions begin with first, is the one to prove.
	Pick func(l Leaf, first uint64) bool
	// Proof is complete once Root was called, if Found.
	Proof Proof
	// First is the leaf's first position.
	First uint64
	Found bool
}

// At wants the leaf that holds a position.
func At(x uint64) *Wanted {
	return &Wanted{Pick: func(l Leaf, first uint64) bool { return x >= first && x-first < l.Chunks }}
}

// Of wants the leaf with an id.
func Of(id piece.ID) *Wanted {
	return &Wanted{Pick: func(l Leaf, _ uint64) bool { return l.ID == id }}
}

// NewStream starts a tree of which some proofs are wanted.
func NewStream(wanted ...*Wanted) *Stream { return &Stream{wanted: wanted} }

// Append adds a leaf with an id above all others. Errors are those of Tree.Append.
func (s *Stream) Append(l Leaf) error {
	if l.Chunks == 0 {
		return fmt.Errorf("appending piece %s: %w: no chunks", l.ID, ErrLeaf)
	}
	if s.leaves > 0 && bytes.Compare(s.last[:], l.ID[:]) >= 0 {
		return fmt.Errorf("appending piece %s after %s: %w: ids must ascend", l.ID, s.last, ErrLeaf)
	}
	total, carry := bits.Add64(s.total, l.Chunks, 0)
	if carry != 0 {
		return fmt.Errorf("appending piece %s: %w: sum of chunks overflows", l.ID, ErrLeaf)
	}
	p := peak{Node: l.Node()}
	for _, w := range s.wanted {
		if !w.Found && w.Pick(l, s.total) {
			w.Found, w.First, w.Proof = true, s.total, Proof{Leaf: l}
			p.held = append(p.held, w)
		}
	}
	s.grow(p)
	s.last, s.total = l.ID, total
	s.leaves++
	return nil
}

// Skip adds a full subtree of 2^height leaves that no proof is wanted of: whoever kept its node need
// not read its leaves again. ErrLeaf if no such subtree begins here, or it is empty. Whether its ids
// fit in between is not known.
func (s *Stream) Skip(n Node, height int) error {
	total, carry := bits.Add64(s.total, n.Sum, 0)
	switch {
	case height < 0 || height > MaxDepth || s.leaves&(1<<height-1) != 0:
		return fmt.Errorf("skipping 2^%d leaves after %d: %w: no subtree of that height begins here", height, s.leaves, ErrLeaf)
	case n.Sum < 1<<height:
		return fmt.Errorf("skipping 2^%d leaves: %w: sum of chunks is %d", height, ErrLeaf, n.Sum)
	case carry != 0:
		return fmt.Errorf("skipping 2^%d leaves: %w: sum of chunks overflows", height, ErrLeaf)
	}
	s.grow(peak{Node: n, height: height})
	s.total = total
	s.leaves += 1 << height
	return nil
}

// grow puts a full subtree at the right edge.
func (s *Stream) grow(p peak) {
	for n := len(s.spine); n > 0 && s.spine[n-1].height == p.height; n = len(s.spine) {
		p = over(s.spine[n-1], p)
		s.spine = s.spine[:n-1]
	}
	s.spine = append(s.spine, p)
}

// over returns the subtree above two, and lets the proofs through either know the other.
func over(l, r peak) peak {
	for _, w := range l.held {
		w.Proof.Steps = append(w.Proof.Steps, Step{false, r.Node})
	}
	for _, w := range r.held {
		w.Proof.Steps = append(w.Proof.Steps, Step{true, l.Node})
	}
	node, _ := join(l.Node, r.Node) // the total did not overflow
	return peak{Node: node, height: max(l.height, r.height) + 1, held: append(l.held, r.held...)}
}

// Total is the sum of the leaves so far.
func (s *Stream) Total() uint64 { return s.total }

// Len is the number of leaves so far.
func (s *Stream) Len() uint64 { return s.leaves }

// Root ends the tree and returns its root, Empty if there are no leaves. The wanted proofs that were
// found are complete from here; nothing may be appended any more.
func (s *Stream) Root() Node {
	if len(s.spine) == 0 {
		return Empty
	}
	for n := len(s.spine); n > 1; n = len(s.spine) {
		s.spine = append(s.spine[:n-2], over(s.spine[n-2], s.spine[n-1]))
	}
	return s.spine[0].Node
}
