package merkle

import (
	"errors"
	"reflect"
	"testing"
)

// someLeaves are leaves of few chunks each.
func someLeaves(n int) []Leaf {
	all := leaves(n)
	for i := range all {
		all[i].Chunks = uint64(1 + i%3)
	}
	return all
}

// A stream gives the root and the proofs of the tree over the same leaves, at every size.
func TestStreamIsTheTree(t *testing.T) {
	for n := range 70 {
		leaves := someLeaves(n)
		tree, err := Build(leaves)
		if err != nil {
			t.Fatal(err)
		}
		var wanted []*Wanted
		for i := range n {
			wanted = append(wanted, Of(leaves[i].ID))
		}
		for x := range tree.Root().Sum {
			wanted = append(wanted, At(x))
		}
		nobody := At(tree.Root().Sum)
		s := NewStream(append(wanted, nobody)...)
		for _, l := range leaves {
			if err := s.Append(l); err != nil {
				t.Fatal(err)
			}
		}
		if root := s.Root(); root != tree.Root() || s.Total() != tree.Root().Sum || s.Len() != uint64(n) {
			t.Fatalf("%d leaves: root %x sum %d, want %x sum %d", n, root.Hash, root.Sum, tree.Root().Hash, tree.Root().Sum)
		}
		for i, w := range wanted {
			var want Proof
			var err error
			if i < n {
				want, err = tree.Prove(i)
			} else {
				want, _, err = tree.ProveAt(uint64(i - n))
			}
			if err != nil {
				t.Fatal(err)
			}
			if want.Steps == nil {
				want.Steps = w.Proof.Steps // of a single leaf, none either way
			}
			if !w.Found || !reflect.DeepEqual(w.Proof, want) || len(w.Proof.Steps) != len(want.Steps) {
				t.Fatalf("%d leaves, wanted %d: %+v, want %+v", n, i, w.Proof, want)
			}
			if first, err := w.Proof.Verify(tree.Root()); err != nil || first != w.First {
				t.Fatalf("%d leaves, wanted %d: first %d, said %d: %v", n, i, first, w.First, err)
			}
		}
		if nobody.Found {
			t.Fatalf("%d leaves: a position beyond the total was found", n)
		}
	}
}

func TestStreamRefusesWhatATreeRefuses(t *testing.T) {
	leaves := someLeaves(3)
	for name, list := range map[string][]Leaf{
		"falling":  {leaves[1], leaves[0]},
		"twice":    {leaves[0], leaves[0]},
		"nothing":  {{ID: leaves[0].ID}},
		"overflow": {{ID: leaves[0].ID, Chunks: 1 << 63}, {ID: leaves[1].ID, Chunks: 1 << 63}},
	} {
		var err error
		s := NewStream()
		for _, l := range list {
			if err == nil {
				err = s.Append(l)
			}
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Subtrees that are skipped change neither the root nor the proofs of the leaves that are not.
func TestSkippedSubtreesAreAsGoodAsTheirLeaves(t *testing.T) {
	const height, block = 2, 4
	for n := 1; n < 40; n++ {
		leaves := someLeaves(n)
		tree, err := Build(leaves)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			w := Of(leaves[i].ID)
			s := NewStream(w)
			for first := 0; first < n; first += block {
				part := leaves[first:min(first+block, n)]
				if len(part) == block && (i < first || i >= first+block) {
					sub, err := Build(part)
					if err != nil {
						t.Fatal(err)
					}
					if err := s.Skip(sub.Root(), height); err != nil {
						t.Fatal(err)
					}
					continue
				}
				for _, l := range part {
					if err := s.Append(l); err != nil {
						t.Fatal(err)
					}
				}
			}
			root := s.Root()
			first, err := w.Proof.Verify(tree.Root())
			if root != tree.Root() || s.Len() != uint64(n) || err != nil || first != w.First {
				t.Fatalf("%d leaves, proving %d: root %x, %d leaves, first %d and not %d: %v", n, i, root.Hash, s.Len(), w.First, first, err)
			}
		}
	}
}

func TestSkipRefuses(t *testing.T) {
	s := NewStream()
	if err := s.Append(someLeaves(1)[0]); err != nil {
		t.Fatal(err)
	}
	for why, err := range map[string]error{
		"a subtree that does not begin here": s.Skip(Node{Sum: 9}, 1),
		"an empty one":                       s.Skip(Node{}, 0),
		"too high":                           s.Skip(Node{Sum: 1 << 62}, MaxDepth+1),
		"below the leaves":                   s.Skip(Node{Sum: 1}, -1),
		"a sum that overflows":               s.Skip(Node{Sum: 1<<64 - 1}, 0),
	} {
		if !errors.Is(err, ErrLeaf) {
			t.Errorf("%s: %v", why, err)
		}
	}
}
