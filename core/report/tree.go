package report

import (
	"fmt"
	"math/bits"
	"sort"

	"github.com/cairn-network/cairn/core/score"
)

// ChunkLeaves is how many leaves each Chunk of a tree has, all but the last.
const ChunkLeaves = 1 << 14

// Chunk is a part of a tree under construction. Chunks of one tree may be hashed at the same time.
type Chunk[L Leaf] struct {
	leaves []L
	// levels[0] are the leaves' nodes; levels[h] the roots of full subtrees of 2^h leaves.
	levels [][]Node
}

// Hash makes the Chunk of up to ChunkLeaves leaves, which it keeps. ErrLeaves if their devices do
// not ascend, ErrEncoding if one cannot be in a tree.
func Hash[L Leaf](leaves []L) (Chunk[L], error) {
	if len(leaves) > ChunkLeaves {
		return Chunk[L]{}, fmt.Errorf("hashing %d leaves, at most %d: %w", len(leaves), ChunkLeaves, ErrLeaves)
	}
	c := Chunk[L]{leaves: leaves, levels: [][]Node{make([]Node, len(leaves))}}
	for i, l := range leaves {
		if i > 0 && deviceOf(leaves[i-1]) >= deviceOf(l) {
			return Chunk[L]{}, fmt.Errorf("device %d after %d: %w: devices must ascend", deviceOf(l), deviceOf(leaves[i-1]), ErrLeaves)
		}
		var err error
		if c.levels[0][i], err = nodeOf(l); err != nil {
			return Chunk[L]{}, fmt.Errorf("device %d: %w", deviceOf(l), err)
		}
	}
	var err error
	c.levels, err = raise[L](c.levels)
	return c, err
}

// raise adds the levels above the highest, as far as there are full subtrees.
func raise[L Leaf](levels [][]Node) ([][]Node, error) {
	for below := levels[len(levels)-1]; len(below) > 1; {
		above := make([]Node, len(below)/2)
		for i := range above {
			var ok bool
			if above[i], ok = join(tags[L](), below[2*i], below[2*i+1]); !ok {
				return nil, fmt.Errorf("adding up leaves: %w: a sum overflows", ErrLeaves)
			}
		}
		levels = append(levels, above)
		below = above
	}
	return levels, nil
}

// Tree is a tree in memory: its leaves and two nodes of 64 bytes a leaf. It does not change.
type Tree[L Leaf] struct {
	leaves []L
	levels [][]Node
	root   Node
}

// Build is the tree of leaves; its errors are Hash's.
func Build[L Leaf](leaves []L) (*Tree[L], error) {
	var chunks []Chunk[L]
	for rest := leaves; len(rest) > 0; {
		n := min(len(rest), ChunkLeaves)
		c, err := Hash(rest[:n:n])
		if err != nil {
			return nil, err
		}
		chunks, rest = append(chunks, c), rest[n:]
	}
	return Join(leaves, chunks)
}

// Join is the tree of leaves of which chunks are the Hash of each ChunkLeaves. It keeps leaves.
// ErrLeaves.
func Join[L Leaf](leaves []L, chunks []Chunk[L]) (*Tree[L], error) {
	t := &Tree[L]{leaves: leaves}
	at := 0
	for i, c := range chunks {
		if len(c.leaves) == 0 || len(c.leaves) > len(leaves)-at || &c.leaves[0] != &leaves[at] ||
			len(c.leaves) != ChunkLeaves && i != len(chunks)-1 {
			return nil, fmt.Errorf("chunk %d of %d: %w: not the leaves from %d on", i, len(chunks), ErrLeaves, at)
		}
		if at > 0 && deviceOf(leaves[at-1]) >= deviceOf(leaves[at]) {
			return nil, fmt.Errorf("device %d after %d: %w: devices must ascend", deviceOf(leaves[at]), deviceOf(leaves[at-1]), ErrLeaves)
		}
		at += len(c.leaves)
		for h, level := range c.levels {
			if h == len(t.levels) {
				t.levels = append(t.levels, make([]Node, 0, len(leaves)>>h))
			}
			t.levels[h] = append(t.levels[h], level...)
		}
	}
	if at != len(leaves) {
		return nil, fmt.Errorf("%d chunks hold %d of %d leaves: %w", len(chunks), at, len(leaves), ErrLeaves)
	}
	if len(leaves) == 0 {
		return t, nil
	}
	var err error
	if t.levels, err = raise[L](t.levels); err != nil {
		return nil, err
	}
	root, ok := t.node(0, uint64(len(leaves)))
	if !ok {
		return nil, fmt.Errorf("adding up leaves: %w: a sum overflows", ErrLeaves)
	}
	t.root = root
	return t, nil
}

// Root is the tree's root.
func (t *Tree[L]) Root() Root { return t.root }

// Leaves are the tree's leaves, not to be changed.
func (t *Tree[L]) Leaves() []L { return t.leaves }

// Find gives the place of a device's leaf, or that at which it would stand, and whether it is there.
func (t *Tree[L]) Find(device uint64) (i int, found bool) { return find(t.leaves, device) }

func find[L Leaf](leaves []L, device uint64) (i int, found bool) {
	i = sort.Search(len(leaves), func(i int) bool { return deviceOf(leaves[i]) >= device })
	return i, i < len(leaves) && deviceOf(leaves[i]) == device
}

// Over is the node over n leaves from first on as a tree of n leaves has it; false where that is not
// within the tree, or n is 0. Watchers compare it with the node that another tree has there.
func (t *Tree[L]) Over(first, n uint64) (Node, bool) {
	if all := uint64(len(t.leaves)); n == 0 || first > all || n > all-first {
		return Node{}, false
	}
	return t.node(first, n)
}

// node is the node over n leaves from first on. first is a multiple of the largest power of two
// that is at most n wherever the shape of a tree has such a node; elsewhere it is computed from the
// leaves.
func (t *Tree[L]) node(first, n uint64) (Node, bool) {
	if n&(n-1) == 0 {
		if h := bits.TrailingZeros64(n); first&(n-1) == 0 {
			return t.levels[h][first>>h], true
		}
	}
	left := leftOf(n)
	l, okLeft := t.node(first, left)
	r, okRight := t.node(first+left, n-left)
	sum, ok := join(tags[L](), l, r)
	return sum, ok && okLeft && okRight
}

// InputTree is the tree of the facts' inputs, which must ascend by device.
func InputTree(facts []score.Fact) (*Tree[Input], error) {
	inputs, err := Inputs(facts)
	if err != nil {
		return nil, err
	}
	return Build(inputs)
}

// Inputs gives each fact's Input.
func Inputs(facts []score.Fact) ([]Input, error) {
	inputs := make([]Input, len(facts))
	for i, f := range facts {
		var err error
		if inputs[i], err = InputOf(f); err != nil {
			return nil, err
		}
	}
	return inputs, nil
}
