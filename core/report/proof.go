package report

import (
	"encoding/binary"
	"fmt"

	"github.com/cairn-network/cairn/core/score"
)

// step is one level of a path: how many leaves lie beside it, and on which side.
type step struct {
	left   bool // the sibling is the left child
	leaves uint64
}

// route gives the steps from the root of a tree of n leaves towards leaf index, at most depth of
// them, and which leaves the node at its end is over.
func route(index, n uint64, depth int) (steps []step, first, size uint64) {
	first, size = 0, n
	for size > 1 && len(steps) < depth {
		left := leftOf(size)
		if index < first+left {
			steps = append(steps, step{false, size - left})
			size = left
		} else {
			steps = append(steps, step{true, left})
			first, size = first+left, size-left
		}
	}
	return steps, first, size
}

// climb joins a node with its siblings; they and the steps run from the root downwards. False if a
// sum overflows.
func climb(tags byte, n Node, steps []step, siblings []Node) (Node, bool) {
	for i := len(steps) - 1; i >= 0; i-- {
		var ok bool
		if steps[i].left {
			n, ok = join(tags, siblings[i], n)
		} else {
			n, ok = join(tags, n, siblings[i])
		}
		if !ok {
			return Node{}, false
		}
	}
	return n, true
}

// Path is a place in a tree of Leaves leaves and what lies beside the way there.
type Path struct {
	Index, Leaves uint64
	// Siblings from the root downwards.
	Siblings []Node
}

const pathBytes = 8 + 8

func (p Path) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, p.Index)
	b = binary.BigEndian.AppendUint64(b, p.Leaves)
	for _, s := range p.Siblings {
		b = s.appendSums(b)
	}
	return b
}

// parsePath reads a path of at most depth levels and gives the bytes behind it.
func parsePath(b []byte, depth int) (p Path, rest []byte, err error) {
	if len(b) < pathBytes {
		return Path{}, nil, fmt.Errorf("reading path: %w: %d bytes", ErrEncoding, len(b))
	}
	p.Index, p.Leaves = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	if p.Leaves > MaxLeaves || p.Index >= p.Leaves {
		return Path{}, nil, fmt.Errorf("reading path: %w: leaf %d of %d", ErrEncoding, p.Index, p.Leaves)
	}
	steps, _, _ := route(p.Index, p.Leaves, depth)
	b = b[pathBytes:]
	if len(b) < sumsBytes*len(steps) {
		return Path{}, nil, fmt.Errorf("reading path: %w: %d bytes for %d levels", ErrEncoding, len(b), len(steps))
	}
	p.Siblings = make([]Node, len(steps))
	for i, s := range steps {
		p.Siblings[i] = parseSums(b[sumsBytes*i:], s.leaves)
	}
	return p, b[sumsBytes*len(steps):], nil
}

// root gives the root that p leads to from a node that many levels below it; ErrProof.
func (p Path) root(tags byte, n Node, depth int) (Root, error) {
	if p.Leaves > MaxLeaves || p.Index >= p.Leaves {
		return Root{}, fmt.Errorf("leaf %d of %d: %w", p.Index, p.Leaves, ErrProof)
	}
	steps, _, size := route(p.Index, p.Leaves, depth)
	if len(p.Siblings) != len(steps) || n.Leaves != size {
		return Root{}, fmt.Errorf("%d levels over a node of %d leaves, want %d over %d: %w", len(p.Siblings), n.Leaves, len(steps), size, ErrProof)
	}
	for i, s := range steps {
		if p.Siblings[i].Leaves != s.leaves {
			return Root{}, fmt.Errorf("sibling of %d leaves, want %d: %w", p.Siblings[i].Leaves, s.leaves, ErrProof)
		}
	}
	root, ok := climb(tags, n, steps, p.Siblings)
	if !ok {
		return Root{}, fmt.Errorf("sums overflow: %w", ErrProof)
	}
	return root, nil
}

// path gives the way to the node that many levels below the root, or to the leaf if that is nearer.
func (t *Tree[L]) path(index uint64, depth int) (Path, Node) {
	p := Path{Index: index, Leaves: uint64(len(t.leaves))}
	first, size := uint64(0), p.Leaves
	for size > 1 && len(p.Siblings) < depth {
		left := leftOf(size)
		l, _ := t.node(first, left) // no sum overflows: the tree was built
		r, _ := t.node(first+left, size-left)
		if index < first+left {
			p.Siblings, size = append(p.Siblings, r), left
		} else {
			p.Siblings, first, size = append(p.Siblings, l), first+left, size-left
		}
	}
	n, _ := t.node(first, size)
	return p, n
}

// ProofOf leads from a leaf to the root.
type ProofOf[L Leaf] struct {
	Leaf L
	Path
}

type (
	// Proof leads from a device's account to the root of a report; 1,146 bytes in a tree of a million.
	Proof = ProofOf[score.Account]
	// InputProof leads from a device's input to the input root.
	InputProof = ProofOf[Input]
)

// Prove gives the proof of leaf i; ErrProof if there is none.
func (t *Tree[L]) Prove(i int) (ProofOf[L], error) {
	if i < 0 || i >= len(t.leaves) {
		return ProofOf[L]{}, fmt.Errorf("proving leaf %d of %d: %w", i, len(t.leaves), ErrProof)
	}
	p, _ := t.path(uint64(i), MaxDepth)
	return ProofOf[L]{Leaf: t.leaves[i], Path: p}, nil
}

// Verify checks that the leaf is at that index of the tree with that root; ErrProof, or ErrEncoding
// of a leaf that no tree can have.
func (p ProofOf[L]) Verify(root Root) error {
	n, err := nodeOf(p.Leaf)
	if err != nil {
		return fmt.Errorf("leaf of device %d: %w", deviceOf(p.Leaf), err)
	}
	got, err := p.root(tags[L](), n, MaxDepth)
	if err != nil {
		return fmt.Errorf("leaf of device %d: %w", deviceOf(p.Leaf), err)
	}
	if got != root {
		return fmt.Errorf("leaf of device %d is not under root %s: %w", deviceOf(p.Leaf), root, ErrProof)
	}
	return nil
}

// MarshalBinary gives the leaf, index and number of leaves (8 bytes each), and of each sibling from
// the root downwards its hash, points and earned (52 bytes).
func (p ProofOf[L]) MarshalBinary() ([]byte, error) {
	b, err := appendLeaf(make([]byte, 0, leafBytes[L]()+pathBytes+sumsBytes*len(p.Siblings)), p.Leaf)
	if err != nil {
		return nil, err
	}
	return p.append(b), nil
}

// UnmarshalBinary is the inverse of MarshalBinary and refuses all other bytes with ErrEncoding.
func (p *ProofOf[L]) UnmarshalBinary(b []byte) error {
	q, rest, err := parseProof[L](b)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("reading proof: %w: %d bytes too many", ErrEncoding, len(rest))
	}
	if err == nil {
		*p = q
	}
	return err
}

func parseProof[L Leaf](b []byte) (p ProofOf[L], rest []byte, err error) {
	n := leafBytes[L]()
	if len(b) < n {
		return p, nil, fmt.Errorf("reading proof: %w: %d bytes", ErrEncoding, len(b))
	}
	if p.Leaf, err = parseLeaf[L](b[:n]); err != nil {
		return p, nil, err
	}
	p.Path, rest, err = parsePath(b[n:], MaxDepth)
	return p, rest, err
}

// AbsenceOf shows that a device has no leaf, by the leaves between which it would stand.
type AbsenceOf[L Leaf] struct {
	// Before is nil if it would be the first, After if it would be the last; both if the tree is empty.
	Before, After *ProofOf[L]
}

type (
	// Absence is of a device's account.
	Absence = AbsenceOf[score.Account]
	// InputAbsence is of a device's input.
	InputAbsence = AbsenceOf[Input]
)

// ProveAbsent gives the absence of a device; ErrProof if it has a leaf.
func (t *Tree[L]) ProveAbsent(device uint64) (AbsenceOf[L], error) {
	i, found := t.Find(device)
	if found {
		return AbsenceOf[L]{}, fmt.Errorf("proving that device %d is absent: %w: it has leaf %d", device, ErrProof, i)
	}
	var a AbsenceOf[L]
	if i > 0 {
		p, err := t.Prove(i - 1)
		if err != nil {
			return a, err
		}
		a.Before = &p
	}
	if i < len(t.leaves) {
		p, err := t.Prove(i)
		if err != nil {
			return a, err
		}
		a.After = &p
	}
	return a, nil
}

// Verify checks that no leaf of the tree with that root is the device's, if its leaves ascend; ErrProof.
func (a AbsenceOf[L]) Verify(root Root, device uint64) error {
	for _, p := range []*ProofOf[L]{a.Before, a.After} {
		if p != nil {
			if err := p.Verify(root); err != nil {
				return fmt.Errorf("absence of device %d: %w", device, err)
			}
		}
	}
	ok := false
	switch {
	case a.Before == nil && a.After == nil:
		ok = root == Root{}
	case a.Before == nil:
		ok = a.After.Index == 0 && device < deviceOf(a.After.Leaf)
	case a.After == nil:
		ok = a.Before.Index == root.Leaves-1 && deviceOf(a.Before.Leaf) < device
	default:
		ok = a.After.Index == a.Before.Index+1 && deviceOf(a.Before.Leaf) < device && device < deviceOf(a.After.Leaf)
	}
	if !ok {
		return fmt.Errorf("absence of device %d: %w: it may stand elsewhere", device, ErrProof)
	}
	return nil
}

// Neighbours that an Absence has.
const (
	hasBefore = 1
	hasAfter  = 2
)

// MarshalBinary gives one byte (1: a leaf before, 2: a leaf after, 3: both) and their proofs.
func (a AbsenceOf[L]) MarshalBinary() ([]byte, error) {
	b := []byte{0}
	for i, p := range []*ProofOf[L]{a.Before, a.After} {
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

// UnmarshalBinary is the inverse of MarshalBinary and refuses all other bytes with ErrEncoding.
func (a *AbsenceOf[L]) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || b[0] > hasBefore|hasAfter {
		return fmt.Errorf("reading absence: %w", ErrEncoding)
	}
	var q AbsenceOf[L]
	has, rest := b[0], b[1:]
	for i, to := range []**ProofOf[L]{&q.Before, &q.After} {
		if has&(hasBefore<<i) == 0 {
			continue
		}
		p, behind, err := parseProof[L](rest)
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

// PlaceOf says of a device under a root either where its leaf is or that it has none.
type PlaceOf[L Leaf] struct {
	Proof  *ProofOf[L]
	Absent *AbsenceOf[L]
}

type (
	// Place is of a device's account.
	Place = PlaceOf[score.Account]
	// InputPlace is of a device's input.
	InputPlace = PlaceOf[Input]
)

// Place gives the place of a device.
func (t *Tree[L]) Place(device uint64) (PlaceOf[L], error) {
	if i, found := t.Find(device); found {
		p, err := t.Prove(i)
		return PlaceOf[L]{Proof: &p}, err
	}
	a, err := t.ProveAbsent(device)
	return PlaceOf[L]{Absent: &a}, err
}

// Verify gives the device's leaf under the root, nil if it has none; ErrProof.
func (p PlaceOf[L]) Verify(root Root, device uint64) (*L, error) {
	switch {
	case p.Proof != nil && p.Absent == nil:
		if d := deviceOf(p.Proof.Leaf); d != device {
			return nil, fmt.Errorf("leaf is of device %d, want %d: %w", d, device, ErrProof)
		}
		return &p.Proof.Leaf, p.Proof.Verify(root)
	case p.Absent != nil && p.Proof == nil:
		return nil, p.Absent.Verify(root, device)
	}
	return nil, fmt.Errorf("device %d: neither leaf nor absence: %w", device, ErrProof)
}

const (
	placeAbsent  = 0
	placePresent = 1
)

// MarshalBinary gives one byte (1: there is a leaf) and the proof or the absence.
func (p PlaceOf[L]) MarshalBinary() ([]byte, error) {
	switch {
	case p.Proof != nil:
		b, err := p.Proof.MarshalBinary()
		return append([]byte{placePresent}, b...), err
	case p.Absent != nil:
		b, err := p.Absent.MarshalBinary()
		return append([]byte{placeAbsent}, b...), err
	}
	return nil, fmt.Errorf("encoding place: %w: neither leaf nor absence", ErrEncoding)
}

// UnmarshalBinary is the inverse of MarshalBinary and refuses all other bytes with ErrEncoding.
func (p *PlaceOf[L]) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || b[0] > placePresent {
		return fmt.Errorf("reading place: %w", ErrEncoding)
	}
	var q PlaceOf[L]
	var err error
	if b[0] == placePresent {
		q.Proof = new(ProofOf[L])
		err = q.Proof.UnmarshalBinary(b[1:])
	} else {
		q.Absent = new(AbsenceOf[L])
		err = q.Absent.UnmarshalBinary(b[1:])
	}
	if err == nil {
		*p = q
	}
	return err
}
