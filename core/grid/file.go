package grid

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// MaxFile bounds the bytes of a file that describes a grid.
const MaxFile = 8 << 20

// MaxName bounds the bytes of a node's name.
const MaxName = 64

// ErrFile is wrapped by errors about files that describe no grid.
var ErrFile = errors.New("invalid grid file")

// File is a grid as people write it, JSON: nodes have names, prices are decimal numbers in the unit of
// the book that goes with it.
//
//	{
//	  "utility": {"retail": 0.32, "feed_in": 0.08},
//	  "nodes": [
//	    {"name": "village", "kind": "region"},
//	    {"name": "north", "parent": "village", "kind": "feeder", "fee": 0.01, "loss_ppm": 10000, "capacity_wh": 25000}
//	  ]
//	}
//
// All but the name, and the parent of all nodes but one, may be left out. A capacity that is left out has
// no bound; 0 lets nothing pass.
type File struct {
	Utility *FileUtility `json:"utility,omitempty"`
	Nodes   []FileNode   `json:"nodes"`
}

// FileUtility are the prices of the utility at the root.
type FileUtility struct {
	Retail json.Number `json:"retail"`
	FeedIn json.Number `json:"feed_in"`
}

// FileNode is one node and its edge to its parent.
type FileNode struct {
	Name     string      `json:"name"`
	Parent   string      `json:"parent,omitempty"`
	Kind     string      `json:"kind,omitempty"`
	Fee      json.Number `json:"fee,omitempty"`
	Loss     PPM         `json:"loss_ppm,omitempty"`
	Capacity *WattHours  `json:"capacity_wh,omitempty"`
}

// ParseFile reads a File. Names are unique, and fields it does not know are refused: a misspelt
// capacity would be none.
func ParseFile(data []byte) (File, error) {
	if len(data) > MaxFile {
		return File{}, fmt.Errorf("%w: %d bytes, at most %d", ErrFile, len(data), MaxFile)
	}
	var f File
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return File{}, fmt.Errorf("%w: at byte %d: %w", ErrFile, dec.InputOffset(), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return File{}, fmt.Errorf("%w: more than one JSON value", ErrFile)
	}
	names := make([]string, len(f.Nodes))
	for i, n := range f.Nodes {
		if n.Name == "" || len(n.Name) > MaxName {
			return File{}, fmt.Errorf("%w: name %.70q of node %d, want 1 to %d bytes", ErrFile, n.Name, i, MaxName)
		}
		names[i] = n.Name
	}
	slices.Sort(names)
	for i := range len(names) - 1 {
		if names[i] == names[i+1] {
			return File{}, fmt.Errorf("%w: two nodes with the name %q", ErrFile, names[i])
		}
	}
	return f, nil
}

// Tree returns the tree of f and the names of its nodes in the tree's order, which depends on the set of
// nodes alone. fees are those of f.Nodes, in their order, in ticks.
func (f File) Tree(fees []Tick) (*Tree, []string, error) {
	byName := make([]int, len(f.Nodes))
	for i := range byName {
		byName[i] = i
	}
	slices.SortFunc(byName, func(a, b int) int { return cmp.Compare(f.Nodes[a].Name, f.Nodes[b].Name) })
	nodes := make([]Node, len(f.Nodes))
	for at, i := range byName {
		n := f.Nodes[i]
		kind, err := ParseKind(n.Kind)
		if err != nil {
			return nil, nil, fmt.Errorf("node %q: %w", n.Name, err)
		}
		nodes[at] = Node{ID: NodeID(at + 1), Kind: kind, Edge: Edge{Fee: fees[i], Loss: n.Loss}}
		switch {
		case n.Capacity == nil:
		case *n.Capacity < 0:
			return nil, nil, fmt.Errorf("node %q: %w: %d Wh", n.Name, ErrCapacity, *n.Capacity)
		case *n.Capacity == 0:
			nodes[at].Capacity = Closed
		default:
			nodes[at].Capacity = *n.Capacity
		}
		if n.Parent == "" {
			continue
		}
		parent, ok := slices.BinarySearchFunc(byName, n.Parent, func(i int, name string) int { return cmp.Compare(f.Nodes[i].Name, name) })
		if !ok {
			return nil, nil, fmt.Errorf("node %q: %w: %.70q", n.Name, ErrParent, n.Parent)
		}
		nodes[at].Parent = NodeID(parent + 1)
	}
	tree, err := New(nodes)
	if err != nil {
		var named string
		for at, i := range byName {
			named += fmt.Sprintf(", %d is %s", at+1, f.Nodes[i].Name)
			if at == 20 {
				named += ", ..."
				break
			}
		}
		if named != "" {
			named = " (nodes by name" + named + ")"
		}
		return nil, nil, fmt.Errorf("%w%s", err, named)
	}
	names := make([]string, tree.Len())
	for i := range names {
		names[i] = f.Nodes[byName[tree.Node(i).ID-1]].Name
	}
	return tree, names, nil
}
