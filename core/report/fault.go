package report

import (
	"fmt"

	"github.com/cairn-network/cairn/core/score"
)

// FaultKind says how a root is not that of a tree.
type FaultKind uint8

const (
	// FaultSums says that a node is not the sum of its children, or they are not where the shape has them.
	FaultSums FaultKind = 1
	// FaultLeaf says that a leaf's node carries other sums than the leaf.
	FaultLeaf FaultKind = 2
	// FaultOrder says that a leaf's device is not above that of the leaf before.
	FaultOrder FaultKind = 3
)

// FaultOf is a place where a root is not that of a tree.
type FaultOf[L Leaf] struct {
	Kind FaultKind
	// Depth of the node on the way to leaf Index, for FaultSums; Path leads to it.
	Depth uint8
	Path
	// Node as the node above it, or the root, commits to it; for FaultSums and FaultLeaf.
	Node Node
	// Left and Right are what Node's hash commits to, for FaultSums.
	Left, Right Node
	// Leaf is what Node's hash commits to, for FaultLeaf.
	Leaf L
	// Before and After are neighbours, for FaultOrder.
	Before, After ProofOf[L]
}

type (
	// Fault is of a report's tree.
	Fault = FaultOf[score.Account]
	// InputFault is of the inputs' tree.
	InputFault = FaultOf[Input]
)

// Verify checks that the root has the fault; ErrProof if not.
func (f FaultOf[L]) Verify(root Root) error {
	if f.Kind == FaultOrder {
		if err := f.Before.Verify(root); err != nil {
			return err
		}
		if err := f.After.Verify(root); err != nil {
			return err
		}
		if f.Before.Index+1 != f.After.Index || deviceOf(f.Before.Leaf) < deviceOf(f.After.Leaf) {
			return fmt.Errorf("leaves %d of device %d and %d of device %d: %w: no fault",
				f.Before.Index, deviceOf(f.Before.Leaf), f.After.Index, deviceOf(f.After.Leaf), ErrProof)
		}
		return nil
	}
	depth := int(f.Depth)
	if f.Kind == FaultLeaf {
		depth = MaxDepth
	}
	got, err := f.root(tags[L](), f.Node, depth)
	if err != nil {
		return err
	}
	if got != root {
		return fmt.Errorf("node %s is not under root %s: %w", f.Node, root, ErrProof)
	}
	switch f.Kind {
	case FaultSums:
		sum, ok := join(tags[L](), f.Left, f.Right)
		if sum.Hash != f.Node.Hash {
			return fmt.Errorf("node %s is not over these children: %w", f.Node, ErrProof)
		}
		if ok && sum == f.Node && f.Left.Leaves > 0 && f.Right.Leaves > 0 && f.Left.Leaves == leftOf(sum.Leaves) {
			return fmt.Errorf("node %s is the sum of its children: %w: no fault", f.Node, ErrProof)
		}
	case FaultLeaf:
		n, err := nodeOf(f.Leaf)
		if err != nil {
			return err
		}
		if n.Hash != f.Node.Hash {
			return fmt.Errorf("node %s is not over that leaf: %w", f.Node, ErrProof)
		}
		if n == f.Node {
			return fmt.Errorf("node %s carries its leaf's sums: %w: no fault", f.Node, ErrProof)
		}
	default:
		return fmt.Errorf("fault of kind %d: %w", f.Kind, ErrProof)
	}
	return nil
}

// MarshalBinary gives the kind (one byte) and, for
//
//	sums   depth (1), path, node (60), left (60), right (60)
//	leaf   path, node (60), leaf
//	order  proof of the leaf before, proof of the leaf after
func (f FaultOf[L]) MarshalBinary() ([]byte, error) {
	b := []byte{byte(f.Kind)}
	switch f.Kind {
	case FaultSums:
		b = f.Node.appendChild(f.append(append(b, f.Depth)))
		return f.Right.appendChild(f.Left.appendChild(b)), nil
	case FaultLeaf:
		return appendLeaf(f.Node.appendChild(f.append(b)), f.Leaf)
	case FaultOrder:
		for _, p := range []ProofOf[L]{f.Before, f.After} {
			encoded, err := p.MarshalBinary()
			if err != nil {
				return nil, err
			}
			b = append(b, encoded...)
		}
		return b, nil
	}
	return nil, fmt.Errorf("encoding fault of kind %d: %w", f.Kind, ErrEncoding)
}

// UnmarshalBinary is the inverse of MarshalBinary and refuses all other bytes with ErrEncoding.
func (f *FaultOf[L]) UnmarshalBinary(b []byte) error {
	if len(b) < 2 {
		return fmt.Errorf("reading fault: %w: %d bytes", ErrEncoding, len(b))
	}
	q := FaultOf[L]{Kind: FaultKind(b[0])}
	b = b[1:]
	var err error
	want := 0
	switch q.Kind {
	case FaultSums:
		if q.Depth = b[0]; q.Depth > MaxDepth {
			return fmt.Errorf("reading fault: %w: depth %d", ErrEncoding, q.Depth)
		}
		q.Path, b, err = parsePath(b[1:], int(q.Depth))
		want = 3 * childBytes
	case FaultLeaf:
		q.Path, b, err = parsePath(b, MaxDepth)
		want = childBytes + leafBytes[L]()
	case FaultOrder:
		if q.Before, b, err = parseProof[L](b); err == nil {
			q.After, b, err = parseProof[L](b)
		}
	default:
		return fmt.Errorf("reading fault: %w: kind %d", ErrEncoding, q.Kind)
	}
	if err == nil && len(b) != want {
		err = fmt.Errorf("%w: %d bytes, want %d", ErrEncoding, len(b), want)
	}
	if err != nil {
		return fmt.Errorf("reading fault: %w", err)
	}
	if q.Kind != FaultOrder {
		q.Node = parseChild(b)
	}
	switch q.Kind {
	case FaultSums:
		q.Left, q.Right = parseChild(b[childBytes:]), parseChild(b[2*childBytes:])
	case FaultLeaf:
		if q.Leaf, err = parseLeaf[L](b[childBytes:]); err != nil {
			return fmt.Errorf("reading fault: %w", err)
		}
	}
	*f = q
	return nil
}
