package meter

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"sort"

	"github.com/cairn-network/cairn/core/grid"
)

const (
	// MaxDepth bounds proofs.
	MaxDepth = 20
	// MaxMeters is the most leaves of a tree.
	MaxMeters = 1 << MaxDepth

	leafTag = 6
	nodeTag = 7
)

// Flow is what went through all meters of a community in one slot.
type Flow struct {
	// Sums over all meters but heads.
	Import, Export, Generation, StoredIn, StoredOut grid.WattHours
	// Sums over heads: what the community took from and gave to the grid.
	HeadImport, HeadExport grid.WattHours
	// Squares is the sum of the squares of a tenth of what went through each meter: what the spread
	// of many small errors follows from.
	Squares uint64
	// Told is how many meters but heads told the slot, Heads how many heads.
	Told, Heads uint32
}

const flowBytes = 7*8 + 8 + 4 + 4

// Totals are the flows of an hour's slots.
type Totals [HourSlots]Flow

// MaxSum bounds every sum of a tree: all meters with all that a slot may have.
const MaxSum grid.WattHours = MaxSlotEnergy * MaxMeters

// Check refuses totals that no tree of that many leaves has; ErrLeaves.
func (t Totals) Check(leaves uint32) error {
	for i, f := range t {
		if leaves > MaxMeters || f.Told > leaves || f.Heads > leaves || f.Told+f.Heads > leaves {
			return fmt.Errorf("%w: slot %d was told by %d meters and %d heads of %d", ErrLeaves, i, f.Told, f.Heads, leaves)
		}
		for j, v := range []grid.WattHours{f.Import, f.Export, f.Generation, f.StoredIn, f.StoredOut} {
			if v < 0 || v > MaxSlotEnergy*grid.WattHours(f.Told) {
				return fmt.Errorf("%w: %s sums to %d Wh in slot %d, told by %d meters", ErrLeaves, registerNames[j], v, i, f.Told)
			}
		}
		for _, v := range []grid.WattHours{f.HeadImport, f.HeadExport} {
			if v < 0 || v > MaxSlotEnergy*grid.WattHours(f.Heads) {
				return fmt.Errorf("%w: heads sum to %d Wh in slot %d, told by %d", ErrLeaves, v, i, f.Heads)
			}
		}
	}
	return nil
}

// add gives the sum of two flows; false if it overflows.
func (f Flow) add(g Flow) (Flow, bool) {
	ok := true
	sum := func(a, b grid.WattHours) grid.WattHours {
		ok = ok && a >= 0 && b >= 0 && a <= math.MaxInt64-b
		return a + b
	}
	squares, carry := bits.Add64(f.Squares, g.Squares, 0)
	return Flow{
		Import: sum(f.Import, g.Import), Export: sum(f.Export, g.Export), Generation: sum(f.Generation, g.Generation),
		StoredIn: sum(f.StoredIn, g.StoredIn), StoredOut: sum(f.StoredOut, g.StoredOut),
		HeadImport: sum(f.HeadImport, g.HeadImport), HeadExport: sum(f.HeadExport, g.HeadExport),
		Squares: squares, Told: f.Told + g.Told, Heads: f.Heads + g.Heads,
	}, ok && carry == 0
}

// flow is what a leaf adds to a slot.
func (l Leaf) flow(slot int) Flow {
	if l.Covered&(1<<slot) == 0 {
		return Flow{}
	}
	e := l.Slots[slot]
	if l.Role == Head {
		return Flow{HeadImport: e.Import, HeadExport: e.Export, Heads: 1}
	}
	tenth := uint64(e.Import+e.Export) / 10
	return Flow{
		Import: e.Import, Export: e.Export, Generation: e.Generation, StoredIn: e.StoredIn, StoredOut: e.StoredOut,
		Squares: tenth * tenth, Told: 1,
	}
}

func (t Totals) append(b []byte) []byte {
	for _, f := range t {
		for _, v := range []grid.WattHours{f.Import, f.Export, f.Generation, f.StoredIn, f.StoredOut, f.HeadImport, f.HeadExport} {
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		}
		b = binary.BigEndian.AppendUint64(b, f.Squares)
		b = binary.BigEndian.AppendUint32(b, f.Told)
		b = binary.BigEndian.AppendUint32(b, f.Heads)
	}
	return b
}

func parseTotals(b []byte) (t Totals) {
	word := func() grid.WattHours {
		v := binary.BigEndian.Uint64(b)
		b = b[8:]
		return grid.WattHours(v)
	}
	for i := range t {
		f := &t[i]
		f.Import, f.Export, f.Generation, f.StoredIn, f.StoredOut = word(), word(), word(), word(), word()
		f.HeadImport, f.HeadExport = word(), word()
		f.Squares = uint64(word())
		f.Told, f.Heads = binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		b = b[8:]
	}
	return t
}

// Node is a subtree: its hash, how many leaves it has, and the sums of their flows. The root of a
// tree is the Node over all leaves, zero if there are none.
type Node struct {
	Hash   [sha256.Size]byte
	Leaves uint32
	Totals Totals
}

// NodeBytes is the size of an encoded node.
const NodeBytes = sha256.Size + 4 + HourSlots*flowBytes

func (n Node) append(b []byte) []byte {
	return n.Totals.append(binary.BigEndian.AppendUint32(append(b, n.Hash[:]...), n.Leaves))
}

// MarshalBinary gives hash, leaves and totals, NodeBytes bytes.
func (n Node) MarshalBinary() ([]byte, error) { return n.append(make([]byte, 0, NodeBytes)), nil }

// UnmarshalBinary is the inverse of MarshalBinary; ErrEncoding.
func (n *Node) UnmarshalBinary(b []byte) error {
	if len(b) != NodeBytes {
		return fmt.Errorf("reading node: %w: %d bytes, want %d", ErrEncoding, len(b), NodeBytes)
	}
	*n = Node{Hash: [sha256.Size]byte(b), Leaves: binary.BigEndian.Uint32(b[sha256.Size:]), Totals: parseTotals(b[sha256.Size+4:])}
	return nil
}

// String gives the beginning of the hash and the number of leaves.
func (n Node) String() string { return fmt.Sprintf("%x (%d meters)", n.Hash[:6], n.Leaves) }

// node gives a leaf as a subtree.
func (l Leaf) node() (Node, error) {
	if err := l.Check(); err != nil {
		return Node{}, err
	}
	var buffer [1 + LeafBytes]byte
	buffer[0] = leafTag
	n := Node{Hash: sha256.Sum256(l.Append(buffer[:1])), Leaves: 1}
	for i := range n.Totals {
		n.Totals[i] = l.flow(i)
	}
	return n, nil
}

// join gives the node above two; false if a sum overflows.
func join(l, r Node) (Node, bool) {
	var buffer [1 + 2*NodeBytes]byte
	buffer[0] = nodeTag
	n := Node{Hash: sha256.Sum256(r.append(l.append(buffer[:1]))), Leaves: l.Leaves + r.Leaves}
	ok := l.Leaves <= MaxMeters && r.Leaves <= MaxMeters-l.Leaves
	for i := range n.Totals {
		sum, fits := l.Totals[i].add(r.Totals[i])
		n.Totals[i] = sum
		ok = ok && fits
	}
	return n, ok
}

// leftOf is the number of leaves on the left of a tree of n > 1: the largest power of two below n
// (RFC 6962 section 2.1).
func leftOf(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// Tree is an hour of a community in memory. It does not change.
type Tree struct {
	leaves []Leaf
	// levels[0] are the leaves' nodes, levels[h] the roots of full subtrees of 2^h leaves.
	levels [][]Node
	root   Node
}

// Build is the tree of leaves, which must ascend by meter and are kept; ErrLeaves.
func Build(leaves []Leaf) (*Tree, error) {
	if len(leaves) > MaxMeters {
		return nil, fmt.Errorf("%w: %d, at most %d", ErrLeaves, len(leaves), MaxMeters)
	}
	t := &Tree{leaves: leaves, levels: [][]Node{make([]Node, len(leaves))}}
	for i, l := range leaves {
		if i > 0 && leaves[i-1].Meter >= l.Meter {
			return nil, fmt.Errorf("%w: meter %d after %d, want ascending", ErrLeaves, l.Meter, leaves[i-1].Meter)
		}
		var err error
		if t.levels[0][i], err = l.node(); err != nil {
			return nil, err
		}
	}
	if len(leaves) == 0 {
		return t, nil
	}
	for below := t.levels[0]; len(below) > 1; {
		above := make([]Node, len(below)/2)
		for i := range above {
			var ok bool
			if above[i], ok = join(below[2*i], below[2*i+1]); !ok {
				return nil, fmt.Errorf("%w: a sum overflows", ErrLeaves)
			}
		}
		t.levels = append(t.levels, above)
		below = above
	}
	var ok bool
	if t.root, ok = t.node(0, len(leaves)); !ok {
		return nil, fmt.Errorf("%w: a sum overflows", ErrLeaves)
	}
	return t, nil
}

// Root is the tree's root.
func (t *Tree) Root() Node { return t.root }

// Leaves are the tree's leaves, not to be changed.
func (t *Tree) Leaves() []Leaf { return t.leaves }

// Find gives the place of a meter's leaf, or that at which it would stand, and whether it is there.
func (t *Tree) Find(meter uint64) (i int, found bool) {
	i = sort.Search(len(t.leaves), func(i int) bool { return t.leaves[i].Meter >= meter })
	return i, i < len(t.leaves) && t.leaves[i].Meter == meter
}

// node is the node over n leaves from first on, as the shape of the tree places them.
func (t *Tree) node(first, n int) (Node, bool) {
	if n&(n-1) == 0 {
		h := bits.TrailingZeros(uint(n))
		return t.levels[h][first>>h], true
	}
	left := leftOf(n)
	l, okLeft := t.node(first, left)
	r, okRight := t.node(first+left, n-left)
	sum, ok := join(l, r)
	return sum, ok && okLeft && okRight
}

// Proof leads from a leaf to the root.
type Proof struct {
	Leaf Leaf
	// Index of the leaf among all.
	Index uint32
	// Siblings from the root downwards.
	Siblings []Node
}

// Prove gives the proof of leaf i; ErrProof if there is none.
func (t *Tree) Prove(i int) (Proof, error) {
	if i < 0 || i >= len(t.leaves) {
		return Proof{}, fmt.Errorf("proving leaf %d of %d: %w", i, len(t.leaves), ErrProof)
	}
	p := Proof{Leaf: t.leaves[i], Index: uint32(i)}
	for first, n := 0, len(t.leaves); n > 1; {
		left := leftOf(n)
		l, _ := t.node(first, left) // no sum overflows: the tree was built
		r, _ := t.node(first+left, n-left)
		if i < first+left {
			p.Siblings, n = append(p.Siblings, r), left
		} else {
			p.Siblings, first, n = append(p.Siblings, l), first+left, n-left
		}
	}
	return p, nil
}

// Verify checks that the leaf is at that place of the tree with that root; ErrProof.
func (p Proof) Verify(root Node) error {
	n, err := p.Leaf.node()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	if root.Leaves > MaxMeters || p.Index >= root.Leaves {
		return fmt.Errorf("leaf %d of %d: %w", p.Index, root.Leaves, ErrProof)
	}
	// The way down says on which side each sibling lies and how many leaves it has.
	type step struct {
		onLeft bool
		leaves int
	}
	var steps []step
	for first, size := 0, int(root.Leaves); size > 1; {
		left := leftOf(size)
		if int(p.Index) < first+left {
			steps = append(steps, step{false, size - left})
			size = left
		} else {
			steps = append(steps, step{true, left})
			first, size = first+left, size-left
		}
	}
	if len(steps) != len(p.Siblings) {
		return fmt.Errorf("leaf %d of %d with %d siblings, want %d: %w", p.Index, root.Leaves, len(p.Siblings), len(steps), ErrProof)
	}
	for i := len(steps) - 1; i >= 0; i-- {
		s := p.Siblings[i]
		if int(s.Leaves) != steps[i].leaves {
			return fmt.Errorf("sibling %d of %d leaves, want %d: %w", i, s.Leaves, steps[i].leaves, ErrProof)
		}
		ok := false
		if steps[i].onLeft {
			n, ok = join(s, n)
		} else {
			n, ok = join(n, s)
		}
		if !ok {
			return fmt.Errorf("leaf %d: a sum overflows: %w", p.Index, ErrProof)
		}
	}
	if n != root {
		return fmt.Errorf("leaf of meter %d is not under root %s: %w", p.Leaf.Meter, root, ErrProof)
	}
	return nil
}

// MarshalBinary gives the leaf, its index (4 bytes), the number of siblings (1) and the siblings.
func (p Proof) MarshalBinary() ([]byte, error) {
	if len(p.Siblings) > MaxDepth {
		return nil, fmt.Errorf("encoding %d siblings, at most %d: %w", len(p.Siblings), MaxDepth, ErrProof)
	}
	b, err := p.Leaf.MarshalBinary()
	if err != nil {
		return nil, err
	}
	b = append(binary.BigEndian.AppendUint32(b, p.Index), byte(len(p.Siblings)))
	for _, s := range p.Siblings {
		b = s.append(b)
	}
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary wrote and refuses all other bytes with ErrEncoding or
// ErrLeaves.
func (p *Proof) UnmarshalBinary(b []byte) error {
	q, rest, err := parseProof(b)
	if err == nil && len(rest) != 0 {
		err = fmt.Errorf("reading proof: %w: %d bytes too many", ErrEncoding, len(rest))
	}
	if err == nil {
		*p = q
	}
	return err
}

func parseProof(b []byte) (p Proof, rest []byte, err error) {
	const head = LeafBytes + 4 + 1
	if len(b) < head {
		return p, nil, fmt.Errorf("reading proof: %w: %d bytes", ErrEncoding, len(b))
	}
	if err := p.Leaf.UnmarshalBinary(b[:LeafBytes]); err != nil {
		return p, nil, fmt.Errorf("reading proof: %w", err)
	}
	p.Index = binary.BigEndian.Uint32(b[LeafBytes:])
	n := int(b[head-1])
	b = b[head:]
	if n > MaxDepth || len(b) < n*NodeBytes {
		return p, nil, fmt.Errorf("reading proof: %w: %d bytes for %d siblings", ErrEncoding, len(b), n)
	}
	p.Siblings = make([]Node, n)
	for i := range p.Siblings {
		if err := p.Siblings[i].UnmarshalBinary(b[:NodeBytes]); err != nil {
			return p, nil, err
		}
		b = b[NodeBytes:]
	}
	return p, b, nil
}

// Absence shows that a meter has no leaf, by the leaves between which it would stand.
type Absence struct {
	// Before is nil if it would be the first, After if it would be the last; both if the tree is empty.
	Before, After *Proof
}

// ProveAbsent gives the absence of a meter; ErrProof if it has a leaf.
func (t *Tree) ProveAbsent(meter uint64) (Absence, error) {
	i, found := t.Find(meter)
	if found {
		return Absence{}, fmt.Errorf("proving that meter %d is absent: %w: it has leaf %d", meter, ErrProof, i)
	}
	var a Absence
	for _, side := range []struct {
		to *(*Proof)
		at int
	}{{&a.Before, i - 1}, {&a.After, i}} {
		if side.at < 0 || side.at >= len(t.leaves) {
			continue
		}
		p, err := t.Prove(side.at)
		if err != nil {
			return Absence{}, err
		}
		*side.to = &p
	}
	return a, nil
}

// Verify checks that no leaf of the tree with that root is the meter's, if its leaves ascend; ErrProof.
func (a Absence) Verify(root Node, meter uint64) error {
	for _, p := range []*Proof{a.Before, a.After} {
		if p != nil {
			if err := p.Verify(root); err != nil {
				return fmt.Errorf("absence of meter %d: %w", meter, err)
			}
		}
	}
	ok := false
	switch {
	case a.Before == nil && a.After == nil:
		ok = root == Node{}
	case a.Before == nil:
		ok = a.After.Index == 0 && meter < a.After.Leaf.Meter
	case a.After == nil:
		ok = a.Before.Index+1 == root.Leaves && a.Before.Leaf.Meter < meter
	default:
		ok = a.Before.Index+1 == a.After.Index && a.Before.Leaf.Meter < meter && meter < a.After.Leaf.Meter
	}
	if !ok {
		return fmt.Errorf("absence of meter %d: %w: it may stand elsewhere", meter, ErrProof)
	}
	return nil
}

const (
	hasBefore = 1
	hasAfter  = 2
)

// MarshalBinary gives one byte (1: a leaf before, 2: a leaf after, 3: both) and their proofs.
func (a Absence) MarshalBinary() ([]byte, error) {
	b := []byte{0}
	for i, p := range []*Proof{a.Before, a.After} {
		if p == nil {
			continue
		}
		b[0] |= hasBefore << i
		encoded, err := p.MarshalBinary()
		if err != nil {
			return nil, err
		}
		b = append(b, encoded...)
	}
	return b, nil
}

// UnmarshalBinary is the inverse of MarshalBinary and refuses all other bytes with ErrEncoding or
// ErrLeaves.
func (a *Absence) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || b[0] > hasBefore|hasAfter {
		return fmt.Errorf("reading absence: %w", ErrEncoding)
	}
	var q Absence
	has, rest := b[0], b[1:]
	for i, to := range []**Proof{&q.Before, &q.After} {
		if has&(hasBefore<<i) == 0 {
			continue
		}
		p, behind, err := parseProof(rest)
		if err != nil {
			return fmt.Errorf("reading absence: %w", err)
		}
		*to, rest = &p, behind
	}
	if len(rest) > 0 {
		return fmt.Errorf("reading absence: %w: %d bytes too many", ErrEncoding, len(rest))
	}
	*a = q
	return nil
}
