package grid

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func village() []Node {
	return []Node{
		{ID: 7, Parent: 3, Kind: Feeder, Edge: Edge{Fee: 2, Loss: 10_000, Capacity: 500}},
		{ID: 3, Parent: 1, Kind: Substation, Edge: Edge{Fee: 4}},
		{ID: 9, Parent: 7, Kind: Meter},
		{ID: 5, Parent: 3, Kind: Feeder, Edge: Edge{Capacity: Closed}},
		{ID: 1, Kind: Region},
		{ID: 2, Parent: 1, Kind: Substation},
	}
}

func ids(t *Tree) (all []NodeID) {
	for _, n := range t.Nodes() {
		all = append(all, n.ID)
	}
	return all
}

func TestOrderOfATree(t *testing.T) {
	tree, err := New(village())
	if err != nil {
		t.Fatal(err)
	}
	if want := []NodeID{1, 2, 3, 5, 7, 9}; !slices.Equal(ids(tree), want) {
		t.Fatalf("order %v, want %v", ids(tree), want)
	}
	at, ok := tree.Index(7)
	if !ok || tree.Node(tree.Parent(at)).ID != 3 {
		t.Fatalf("node 7 at %d under %d", at, tree.Parent(at))
	}
	if first, end := tree.Children(at); first != 5 || end != 6 {
		t.Fatalf("children of node 7: %d to %d", first, end)
	}
	if _, ok := tree.Index(4); ok {
		t.Fatal("node 4 exists")
	}
}

// INV-GRID-1.
func TestOrderDependsOnTheSetAlone(t *testing.T) {
	want, err := New(village())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		got, err := New(rapid.Permutation(village()).Draw(t, "nodes"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.nodes, want.nodes) || !slices.Equal(got.parent, want.parent) || !slices.Equal(got.children, want.children) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

func TestNodesThatMakeNoTree(t *testing.T) {
	root := Node{ID: 1}
	deep := []Node{root}
	for id := NodeID(2); id <= MaxDepth+2; id++ {
		deep = append(deep, Node{ID: id, Parent: id - 1})
	}
	many := make([]Node, MaxNodes+1)
	for name, c := range map[string]struct {
		nodes []Node
		want  error
		says  string
	}{
		"none":                     {nil, ErrNoNodes, ""},
		"more than allowed":        {many, ErrTooMany, "16385"},
		"two of one id":            {[]Node{root, {ID: 2, Parent: 1}, {ID: 2, Parent: 1}}, ErrDuplicate, "2"},
		"without id":               {[]Node{root, {Parent: 1}}, ErrParent, "id 0"},
		"parent that is not there": {[]Node{root, {ID: 2, Parent: 6}}, ErrParent, "6 of node 2"},
		"two roots":                {[]Node{root, {ID: 2}}, ErrRoot, "2 nodes"},
		"no root":                  {[]Node{{ID: 1, Parent: 2}, {ID: 2, Parent: 1}}, ErrRoot, "0 nodes"},
		"cycle beside the root":    {[]Node{root, {ID: 2, Parent: 3}, {ID: 3, Parent: 2}}, ErrCycle, "3"},
		"its own parent":           {[]Node{root, {ID: 2, Parent: 2}}, ErrCycle, "2"},
		"too deep":                 {deep, ErrDepth, "node 10"},
		"feeder over a substation": {[]Node{{ID: 1, Kind: Feeder}, {ID: 2, Parent: 1, Kind: Substation}}, ErrKind, "substation 2 under feeder 1"},
		"unknown kind":             {[]Node{{ID: 1, Kind: 9}}, ErrKind, "kind 9"},
		"negative fee":             {[]Node{{ID: 1, Edge: Edge{Fee: -1}}}, ErrFee, "-1 at node 1"},
		"fee above all prices":     {[]Node{{ID: 1, Edge: Edge{Fee: MaxTicks}}}, ErrFee, "1048576"},
		"loss":                     {[]Node{{ID: 1, Edge: Edge{Loss: MaxLoss + 1}}}, ErrLoss, "200001"},
		"negative capacity":        {[]Node{{ID: 1, Edge: Edge{Capacity: -2}}}, ErrCapacity, "-2"},
		"capacity beyond bounds":   {[]Node{{ID: 1, Edge: Edge{Capacity: MaxEnergy + 1}}}, ErrCapacity, "node 1"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(c.nodes); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want %v with %q", err, c.want, c.says)
			}
		})
	}
}

func TestSlots(t *testing.T) {
	s := SlotAt(1_800_000_899) // 2027-01-15T08:14:59Z
	if s.Start() != 1_800_000_000 || s.Hour() != 500_000 || s.Day() != 20_833 {
		t.Fatalf("slot %d starts %d in hour %d of day %d", s, s.Start(), s.Hour(), s.Day())
	}
	if SlotAt(-5) != 0 || (MaxSlot+7).Start() != MaxSlot.Start() {
		t.Fatal("bounds of slots")
	}
	if Watts(4000).Over() != 1000 {
		t.Fatal("4 kW are 1 kWh in a quarter of an hour")
	}
}
