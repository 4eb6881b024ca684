package grid

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Bounds of a tree, so that clearing it is bounded work. The numbers are generous: the largest
// feeders' areas have some ten thousand feeders under one grid operator's node.
const (
	MaxNodes = 1 << 14
	// MaxDepth is how many edges may lie between the root and a node.
	MaxDepth = 8
	// MaxLoss of one edge: a fifth. Real distribution lines lose one to three hundredths.
	MaxLoss PPM = 200_000
	// MaxEnergy bounds capacities, and what a market trades in one slot: half of what the whole world
	// consumes in one.
	MaxEnergy WattHours = 1 << 39
)

// Errors about nodes that make no tree. Each message names the node and the value.
var (
	ErrNoNodes   = errors.New("grid without nodes")
	ErrTooMany   = errors.New("too many nodes in the grid")
	ErrDuplicate = errors.New("two nodes with one id")
	ErrRoot      = errors.New("grid without exactly one root")
	ErrParent    = errors.New("unknown parent")
	ErrCycle     = errors.New("node is not connected to the root")
	ErrDepth     = errors.New("node too deep in the grid")
	ErrKind      = errors.New("wrong kind of node")
	ErrFee       = errors.New("fee outside the market's ticks")
	ErrLoss      = errors.New("loss too large")
	ErrCapacity  = errors.New("capacity out of range")
)

// NodeID names a node within one community. 0 is no node.
type NodeID uint32

// Unlimited and Closed are the capacities that are no amounts.
const (
	Unlimited WattHours = 0
	Closed    WattHours = -1
)

// Edge is the connection of a node to its parent; the root's leads to the utility.
type Edge struct {
	// Fee for each watt-hour at the lower end, either way.
	Fee Tick
	// Loss of what flows, either way.
	Loss PPM
	// Capacity per slot at the lower end, either way; Unlimited by default, Closed for none.
	Capacity WattHours
}

// Node of a grid.
type Node struct {
	ID NodeID
	// Parent is 0 at the root.
	Parent NodeID
	Kind   Kind
	// Edge leads to the parent.
	Edge
}

// Tree is a valid grid. It is not changed once made, and so safe for concurrent use.
type Tree struct {
	nodes    []Node
	parent   []int32 // index, -1 at the root
	children []span
	byID     []int32 // indices of nodes, ascending by id
}

type span struct{ first, end int32 }

// New returns the tree of nodes, in whatever order they come.
func New(nodes []Node) (*Tree, error) {
	switch {
	case len(nodes) == 0:
		return nil, ErrNoNodes
	case len(nodes) > MaxNodes:
		return nil, fmt.Errorf("%w: %d, at most %d", ErrTooMany, len(nodes), MaxNodes)
	}
	given := slices.Clone(nodes)
	// Children of one parent together, by id; the root, whose parent is 0, first.
	slices.SortFunc(given, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Parent, b.Parent), cmp.Compare(a.ID, b.ID))
	})
	byID := slices.Clone(given)
	slices.SortFunc(byID, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	for i, n := range byID {
		if err := n.check(); err != nil {
			return nil, err
		}
		if i > 0 && byID[i-1].ID == n.ID {
			return nil, fmt.Errorf("%w: %d", ErrDuplicate, n.ID)
		}
	}
	for _, n := range given {
		if _, known := search(byID, n.Parent); n.Parent != 0 && !known {
			return nil, fmt.Errorf("%w: %d of node %d", ErrParent, n.Parent, n.ID)
		}
	}
	if given[0].Parent != 0 || len(given) > 1 && given[1].Parent == 0 {
		roots := 0
		for roots < len(given) && given[roots].Parent == 0 {
			roots++
		}
		return nil, fmt.Errorf("%w: %d nodes have no parent", ErrRoot, roots)
	}
	return grow(given)
}

// grow lays nodes out level by level: given is sorted by parent, known to be whole but for cycles.
func grow(given []Node) (*Tree, error) {
	t := &Tree{
		nodes:    append(make([]Node, 0, len(given)), given[0]),
		parent:   append(make([]int32, 0, len(given)), -1),
		children: make([]span, 0, len(given)),
	}
	depth := make([]uint8, 1, len(given))
	for at := int32(0); int(at) < len(t.nodes); at++ {
		up := t.nodes[at]
		first := int32(len(t.nodes))
		from, _ := slices.BinarySearchFunc(given, up.ID, func(n Node, id NodeID) int { return cmp.Compare(n.Parent, id) })
		for _, n := range given[from:] {
			if n.Parent != up.ID {
				break
			}
			if n.Kind != Place && up.Kind != Place && n.Kind <= up.Kind {
				return nil, fmt.Errorf("%w: %s %d under %s %d", ErrKind, n.Kind, n.ID, up.Kind, up.ID)
			}
			if depth[at] == MaxDepth {
				return nil, fmt.Errorf("%w: node %d is %d edges below the root, at most %d", ErrDepth, n.ID, MaxDepth+1, MaxDepth)
			}
			t.nodes, t.parent, depth = append(t.nodes, n), append(t.parent, at), append(depth, depth[at]+1)
		}
		t.children = append(t.children, span{first, int32(len(t.nodes))})
	}
	if len(t.nodes) == len(given) {
		t.byID = make([]int32, len(t.nodes))
		for i := range t.byID {
			t.byID[i] = int32(i)
		}
		slices.SortFunc(t.byID, func(a, b int32) int { return cmp.Compare(t.nodes[a].ID, t.nodes[b].ID) })
		return t, nil
	}
	for _, n := range given {
		if !slices.ContainsFunc(t.nodes, func(m Node) bool { return m.ID == n.ID }) {
			return nil, fmt.Errorf("%w: %d", ErrCycle, n.ID)
		}
	}
	return nil, ErrCycle
}

func (n Node) check() error {
	switch {
	case n.ID == 0:
		return fmt.Errorf("%w: node with id 0 under %d", ErrParent, n.Parent)
	case n.Kind > Meter:
		return fmt.Errorf("%w: %s of node %d", ErrKind, n.Kind, n.ID)
	case n.Fee < 0 || n.Fee >= MaxTicks:
		return fmt.Errorf("%w: %d at node %d, want 0 to %d", ErrFee, n.Fee, n.ID, MaxTicks-1)
	case n.Loss > MaxLoss:
		return fmt.Errorf("%w: %d ppm at node %d, at most %d", ErrLoss, n.Loss, n.ID, MaxLoss)
	case n.Capacity < Closed || n.Capacity > MaxEnergy:
		return fmt.Errorf("%w: %d Wh at node %d, at most %d", ErrCapacity, n.Capacity, n.ID, MaxEnergy)
	}
	return nil
}

func search(byID []Node, id NodeID) (int, bool) {
	return slices.BinarySearchFunc(byID, id, func(n Node, id NodeID) int { return cmp.Compare(n.ID, id) })
}

// Len returns how many nodes there are, at least one.
func (t *Tree) Len() int { return len(t.nodes) }

// Node returns node i of the tree's order, which must be below Len. The root is node 0, and a
// parent's index is below its children's.
func (t *Tree) Node(i int) Node { return t.nodes[i] }

// Parent returns the index of node i's parent, -1 at the root.
func (t *Tree) Parent(i int) int { return int(t.parent[i]) }

// Children returns the half-open range of indices of node i's children.
func (t *Tree) Children(i int) (first, end int) {
	return int(t.children[i].first), int(t.children[i].end)
}

// Index returns where a node is in the tree's order.
func (t *Tree) Index(id NodeID) (int, bool) {
	at, found := slices.BinarySearchFunc(t.byID, id, func(i int32, id NodeID) int { return cmp.Compare(t.nodes[i].ID, id) })
	if !found {
		return 0, false
	}
	return int(t.byID[at]), true
}

// Nodes returns a copy of all nodes in the tree's order.
func (t *Tree) Nodes() []Node { return slices.Clone(t.nodes) }

// Flat is a grid of one node: a market in which energy is the same everywhere.
func Flat() *Tree {
	t, _ := New([]Node{{ID: 1}}) // one root is a tree
	return t
}
