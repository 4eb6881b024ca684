package report

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cairn-network/cairn/core/score"
)

// PartLevels is how many levels a Part shows below its node.
const PartLevels = 8

// PartOf is a node of a tree, the way to it from the root, and what is PartLevels below it or, where
// leaves are nearer, the leaves.
type PartOf[L Leaf] struct {
	// Depth is how many levels the node lies below the root, on the way to leaf Index.
	Depth uint8
	Path
	// Below from left to right.
	Below []Entry[L]
}

type (
	// Part is of a report's tree.
	Part = PartOf[score.Account]
	// InputPart is of the inputs' tree.
	InputPart = PartOf[Input]
)

// Entry is a node in a Part over the leaves from First on; Leaf is set where it is one.
type Entry[L Leaf] struct {
	First uint64
	Node  Node
	Leaf  *L
}

// Part gives the part below the node that many levels under the root on the way to leaf index, or
// below the leaf itself if that is nearer; ErrProof if there is no such leaf.
func (t *Tree[L]) Part(index uint64, depth uint8) (PartOf[L], error) {
	if index >= uint64(len(t.leaves)) || depth > MaxDepth {
		return PartOf[L]{}, fmt.Errorf("part at leaf %d of %d, depth %d: %w", index, len(t.leaves), depth, ErrProof)
	}
	path, _ := t.path(index, int(depth))
	p := PartOf[L]{Depth: depth, Path: path}
	_, first, size := route(index, path.Leaves, int(depth))
	slots(first, size, PartLevels, func(first, size uint64) bool {
		n, _ := t.node(first, size) // no sum overflows: the tree was built
		e := Entry[L]{First: first, Node: n}
		if size == 1 {
			e.Leaf = &t.leaves[first]
		}
		p.Below = append(p.Below, e)
		return true
	})
	return p, nil
}

// slots calls each with the ranges of leaves that a part over size leaves from first on shows, from
// left to right, until it returns false.
func slots(first, size uint64, levels int, each func(first, size uint64) bool) bool {
	if size <= 1 || levels == 0 {
		return each(first, size)
	}
	left := leftOf(size)
	return slots(first, left, levels-1, each) && slots(first+left, size-left, levels-1, each)
}

// fold joins a part's entries to its node; false if a sum overflows.
func fold(tags byte, size uint64, levels int, next func() Node) (Node, bool) {
	if size <= 1 || levels == 0 {
		return next(), true
	}
	left := leftOf(size)
	l, okLeft := fold(tags, left, levels-1, next)
	r, okRight := fold(tags, size-left, levels-1, next)
	n, ok := join(tags, l, r)
	return n, ok && okLeft && okRight
}

// Verify checks that the part is one of the tree with that root, and the one asked for; ErrProof.
func (p PartOf[L]) Verify(root Root, index uint64, depth uint8) error {
	if p.Index != index || p.Depth != depth || depth > MaxDepth || p.Leaves > MaxLeaves || index >= p.Leaves {
		return fmt.Errorf("part at leaf %d of %d, depth %d, want leaf %d, depth %d: %w", p.Index, p.Leaves, p.Depth, index, depth, ErrProof)
	}
	_, first, size := route(index, p.Leaves, int(depth))
	i := 0
	ok := slots(first, size, PartLevels, func(first, size uint64) bool {
		if i == len(p.Below) {
			return false
		}
		e := p.Below[i]
		i++
		if e.First != first || e.Node.Leaves != size || (size == 1) != (e.Leaf != nil) {
			return false
		}
		if e.Leaf == nil {
			return true
		}
		n, err := nodeOf(*e.Leaf)
		return err == nil && n == e.Node
	})
	if !ok || i != len(p.Below) {
		return fmt.Errorf("part with %d entries over %d leaves: %w", len(p.Below), size, ErrProof)
	}
	i = -1
	n, ok := fold(tags[L](), size, PartLevels, func() Node { i++; return p.Below[i].Node })
	if !ok {
		return fmt.Errorf("part: sums overflow: %w", ErrProof)
	}
	got, err := p.root(tags[L](), n, int(depth))
	if err != nil {
		return fmt.Errorf("part: %w", err)
	}
	if got != root {
		return fmt.Errorf("part at leaf %d, depth %d is not under root %s: %w", index, depth, root, ErrProof)
	}
	return nil
}

// Prove gives the proof of a leaf that the part shows; ErrProof if it shows none at that index. The
// part must have been verified.
func (p PartOf[L]) Prove(index uint64) (ProofOf[L], error) {
	at := func(first uint64) (Entry[L], bool) {
		i, found := slices.BinarySearchFunc(p.Below, first, func(e Entry[L], first uint64) int { return cmp.Compare(e.First, first) })
		if !found {
			return Entry[L]{}, false
		}
		return p.Below[i], true
	}
	leaf, found := at(index)
	if !found || leaf.Leaf == nil {
		return ProofOf[L]{}, fmt.Errorf("proving leaf %d from the part at leaf %d, depth %d: %w: it is not shown", index, p.Index, p.Depth, ErrProof)
	}
	proof := ProofOf[L]{Leaf: *leaf.Leaf, Path: Path{Index: index, Leaves: p.Leaves, Siblings: slices.Clone(p.Siblings)}}
	_, first, size := route(p.Index, p.Leaves, int(p.Depth))
	for levels := PartLevels - 1; size > 1; levels-- {
		left := leftOf(size)
		besideFirst, beside := first+left, size-left
		if index >= first+left {
			besideFirst, beside = first, left
		}
		next := besideFirst
		sibling, ok := fold(tags[L](), beside, levels, func() Node {
			e, _ := at(next) // verified
			next += e.Node.Leaves
			return e.Node
		})
		if !ok {
			return ProofOf[L]{}, fmt.Errorf("proving leaf %d: sums overflow: %w", index, ErrProof)
		}
		proof.Siblings = append(proof.Siblings, sibling)
		if besideFirst == first {
			first, size = first+left, size-left
		} else {
			size = left
		}
	}
	return proof, nil
}

// Depth gives the depth at which a part shows the leaf at an index of a tree of n leaves.
func Depth(index, n uint64) uint8 {
	steps, _, _ := route(index, n, MaxDepth)
	return uint8(max(0, len(steps)-PartLevels))
}

// MarshalBinary gives the depth (one byte), index and number of leaves (8 bytes each), the siblings
// from the root downwards (52 bytes each), and the entries: leaves as encoded, nodes as hash, points
// and earned (52 bytes).
func (p PartOf[L]) MarshalBinary() ([]byte, error) {
	b := p.append([]byte{p.Depth})
	for _, e := range p.Below {
		if e.Leaf == nil {
			b = e.Node.appendSums(b)
			continue
		}
		var err error
		if b, err = appendLeaf(b, *e.Leaf); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// UnmarshalBinary is the inverse of MarshalBinary and refuses all other bytes with ErrEncoding.
func (p *PartOf[L]) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || b[0] > MaxDepth {
		return fmt.Errorf("reading part: %w: %d bytes", ErrEncoding, len(b))
	}
	q := PartOf[L]{Depth: b[0]}
	var err error
	if q.Path, b, err = parsePath(b[1:], int(q.Depth)); err != nil {
		return fmt.Errorf("reading part: %w", err)
	}
	_, first, size := route(q.Index, q.Leaves, int(q.Depth))
	slots(first, size, PartLevels, func(first, size uint64) bool {
		n := sumsBytes
		if size == 1 {
			n = leafBytes[L]()
		}
		if len(b) < n {
			err = fmt.Errorf("reading part: %w: %d bytes for an entry of %d", ErrEncoding, len(b), n)
			return false
		}
		e := Entry[L]{First: first}
		if size == 1 {
			var l L
			if l, err = parseLeaf[L](b[:n]); err == nil {
				e.Leaf = &l
				e.Node, err = nodeOf(l)
			}
		} else {
			e.Node = parseSums(b, size)
		}
		q.Below = append(q.Below, e)
		b = b[n:]
		return err == nil
	})
	if err == nil && len(b) > 0 {
		err = fmt.Errorf("reading part: %w: %d bytes too many", ErrEncoding, len(b))
	}
	if err == nil {
		*p = q
	}
	return err
}
