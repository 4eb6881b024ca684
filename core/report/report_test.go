package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
)

// accounts gives n accounts with gaps between their devices: 10, 20, 30...
func accounts(n int) []score.Account {
	all := make([]score.Account, n)
	for i := range all {
		d := uint64(i+1) * 10
		all[i] = score.Account{
			Device: d, Epoch: 7, Points: uint64(i%5) * 100, Reason: score.Reason(i % 3),
			Earned: price.FromUint64(d * 1_000_003), Paid: price.FromUint64(d * 7), Young: price.FromUint64(d), Old: price.FromUint64(3),
		}
	}
	return all
}

func inputsOf(n int) []Input {
	all := make([]Input, n)
	for i := range all {
		all[i] = Digest(uint64(i+1)*10, []byte{byte(i), byte(i >> 8)})
	}
	return all
}

func mustBuild[L Leaf](tb testing.TB, leaves []L) *Tree[L] {
	tb.Helper()
	tree, err := Build(leaves)
	if err != nil {
		tb.Fatal(err)
	}
	return tree
}

// reference is the definition in the package comment, by recursion over concatenated bytes.
func reference(all []score.Account) Root {
	if len(all) == 1 {
		a := all[0]
		b, _ := a.MarshalBinary()
		return Root{Hash: sha256.Sum256(append([]byte{2}, b...)), Leaves: 1, Points: a.Points, Earned: a.Earned}
	}
	left := 1
	for left*2 < len(all) {
		left *= 2
	}
	l, r := reference(all[:left]), reference(all[left:])
	b := []byte{3}
	for _, n := range []Root{l, r} {
		b = append(b, n.Hash[:]...)
		b = binary.BigEndian.AppendUint64(b, n.Leaves)
		b = binary.BigEndian.AppendUint64(b, n.Points)
		amount := n.Earned.Bytes()
		b = append(b, amount[4:]...)
	}
	earned, _ := l.Earned.Add(r.Earned)
	return Root{Hash: sha256.Sum256(b), Leaves: l.Leaves + r.Leaves, Points: l.Points + r.Points, Earned: earned}
}

// INV-REPORT-TREE: the root is that of the definition, every leaf is proved at its index and at no
// other, and every other device is proved absent.
func TestEveryDeviceHasOnePlace(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 100} {
		all := accounts(n)
		tree := mustBuild(t, all)
		root := tree.Root()
		if root != reference(all) {
			t.Fatalf("%d leaves: root %s, want %s", n, root, reference(all))
		}
		for i, a := range all {
			p, err := tree.Prove(i)
			if err != nil || p.Leaf != a || p.Verify(root) != nil {
				t.Fatalf("%d leaves: leaf %d: %v, %v", n, i, err, p.Verify(root))
			}
			for j := range n + 1 {
				q := p
				q.Index = uint64(j)
				if err := q.Verify(root); (err == nil) != (j == i) {
					t.Fatalf("%d leaves: leaf %d at index %d: %v", n, i, j, err)
				}
			}
			if _, err := tree.ProveAbsent(a.Device); !errors.Is(err, ErrProof) {
				t.Fatalf("%d leaves: device %d is proved absent: %v", n, a.Device, err)
			}
		}
		for _, device := range []uint64{0, 5, 15, uint64(n)*10 - 5, uint64(n)*10 + 5, math.MaxUint64} {
			absent, err := tree.ProveAbsent(device)
			if err != nil || absent.Verify(root, device) != nil {
				t.Fatalf("%d leaves: device %d: %v, %v", n, device, err, absent.Verify(root, device))
			}
			for _, other := range all {
				if err := absent.Verify(root, other.Device); !errors.Is(err, ErrProof) {
					t.Fatalf("%d leaves: absence of %d holds for %d: %v", n, device, other.Device, err)
				}
			}
		}
	}
	empty := mustBuild[score.Account](t, nil)
	if empty.Root() != (Root{}) {
		t.Fatal("a tree without leaves has a root")
	}
	absent, err := empty.ProveAbsent(7)
	if err != nil || absent.Verify(Root{}, 7) != nil || absent.Verify(reference(accounts(1)), 7) == nil {
		t.Fatalf("nothing is in an empty tree: %v", err)
	}
}

// Neighbours that are none, or of another tree, prove nothing absent.
func TestAbsenceNeedsNeighbours(t *testing.T) {
	tree := mustBuild(t, accounts(9))
	root := tree.Root()
	proof := func(i int) *Proof {
		p, err := tree.Prove(i)
		if err != nil {
			t.Fatal(err)
		}
		return &p
	}
	for _, bad := range []struct {
		name   string
		absent Absence
		device uint64
	}{
		{"not neighbours", Absence{proof(2), proof(4)}, 45},
		{"no leaf before", Absence{nil, proof(4)}, 45},
		{"no leaf after", Absence{proof(3), nil}, 45},
		{"neither", Absence{}, 45},
		{"the leaf itself before", Absence{proof(4), proof(5)}, 50},
		{"the leaf itself after", Absence{proof(3), proof(4)}, 50},
		{"exchanged", Absence{proof(4), proof(3)}, 45},
	} {
		if err := bad.absent.Verify(root, bad.device); !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v", bad.name, err)
		}
	}
}

func TestLeavesAscendAndFit(t *testing.T) {
	ok := accounts(3)
	huge := price.Amount{Hi: 1 << 32}
	for name, bad := range map[string][]score.Account{
		"twice":          {ok[0], ok[0]},
		"descending":     {ok[1], ok[0]},
		"paid > earned":  {{Device: 1, Paid: price.FromUint64(1)}},
		"amount":         {{Device: 1, Earned: huge}},
		"amounts in all": {{Device: 1, Earned: price.Amount{Hi: 1 << 31}}, {Device: 2, Earned: price.Amount{Hi: 1 << 31}}},
		"points in all":  {{Device: 1, Points: math.MaxUint64}, {Device: 2, Points: 1}},
		"reason":         {{Device: 1, Reason: 999}},
	} {
		if _, err := Build(bad); !errors.Is(err, ErrLeaves) && !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := make([]score.Account, ChunkLeaves+2)
	for i := range many {
		many[i].Device = uint64(i + 1)
	}
	many[ChunkLeaves].Device = many[ChunkLeaves-1].Device // across chunks
	if _, err := Build(many); !errors.Is(err, ErrLeaves) {
		t.Errorf("a device in two chunks: %v", err)
	}
}

// INV-REPORT-TOTAL: no altered byte of a proof, absence, place, part or fault is accepted for
// anything else, and none panics.
func TestAlteredBytesProveNothing(t *testing.T) {
	tree := mustBuild(t, accounts(13))
	root := tree.Root()
	for i := range 13 {
		p, err := tree.Prove(i)
		if err != nil {
			t.Fatal(err)
		}
		good, err := p.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range [][]byte{nil, good[:score.AccountBytes], good[:len(good)-1], append(bytes.Clone(good), 0)} {
			if err := new(Proof).UnmarshalBinary(bad); !errors.Is(err, ErrEncoding) {
				t.Fatalf("%d of %d bytes: %v", len(bad), len(good), err)
			}
		}
		for at := range good {
			bad := bytes.Clone(good)
			bad[at] ^= 1
			var q Proof
			if q.UnmarshalBinary(bad) == nil && q.Verify(root) == nil {
				t.Fatalf("leaf %d: proof with byte %d altered holds", i, at)
			}
		}
	}
	part, err := tree.Part(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	good, err := part.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for at := range good {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		var q Part
		if q.UnmarshalBinary(bad) == nil && q.Verify(root, 0, 0) == nil {
			t.Fatalf("part with byte %d altered holds", at)
		}
	}
}

// A part shows PartLevels levels wherever it is asked for, and three of them lead to any leaf of a
// tree of a million; the proofs that they give are the tree's own.
func TestPartsLeadToEveryLeaf(t *testing.T) {
	for _, n := range []int{1, 2, 3, 255, 256, 257, 700, 70_000} {
		all := make([]score.Account, n)
		for i := range all {
			all[i] = score.Account{Device: uint64(i) + 1, Earned: price.FromUint64(uint64(i))}
		}
		tree := mustBuild(t, all)
		root := tree.Root()
		for _, leaf := range []int{0, n / 3, n - 1} {
			index, depth, steps := uint64(leaf), uint8(0), 0
			for {
				part, err := tree.Part(index, depth)
				if err != nil {
					t.Fatal(err)
				}
				b, err := part.MarshalBinary()
				if err != nil {
					t.Fatal(err)
				}
				var shown Part
				if err := shown.UnmarshalBinary(b); err != nil {
					t.Fatal(err)
				}
				if err := shown.Verify(root, index, depth); err != nil {
					t.Fatalf("%d leaves, leaf %d, depth %d: %v", n, leaf, depth, err)
				}
				if err := shown.Verify(root, index, depth+1); !errors.Is(err, ErrProof) {
					t.Fatalf("a part of depth %d is one of depth %d: %v", depth, depth+1, err)
				}
				for _, e := range shown.Below {
					if own, ok := tree.Over(e.First, e.Node.Leaves); !ok || own != e.Node {
						t.Fatalf("%d leaves: node over %d from %d differs", n, e.Node.Leaves, e.First)
					}
				}
				if proof, err := shown.Prove(uint64(leaf)); err == nil {
					if err := proof.Verify(root); err != nil || proof.Leaf != all[leaf] {
						t.Fatalf("%d leaves: proof of leaf %d from part of depth %d: %v", n, leaf, depth, err)
					}
					break
				}
				depth += PartLevels
				if steps++; steps > 3 {
					t.Fatalf("%d leaves: leaf %d is not reached", n, leaf)
				}
			}
			direct, err := tree.Part(uint64(leaf), Depth(uint64(leaf), uint64(n)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := direct.Prove(uint64(leaf)); err != nil {
				t.Fatalf("%d leaves: leaf %d is not in the part at its depth: %v", n, leaf, err)
			}
		}
	}
}

// A root that is not that of a tree has a fault, and one that is has none.
func TestFaults(t *testing.T) {
	all := accounts(6)
	tree := mustBuild(t, all)
	honest := tree.Root()

	// Sums: the root claims more than its children add up to.
	l, _ := tree.Over(0, 4)
	r, _ := tree.Over(4, 2)
	greedy := honest
	greedy.Earned, _ = greedy.Earned.Add(price.FromUint64(1))
	top := Fault{Kind: FaultSums, Path: Path{Leaves: 6}, Node: greedy, Left: l, Right: r}
	check := func(name string, f Fault, root Root, holds bool) {
		t.Helper()
		b, err := f.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var g Fault
		if err := g.UnmarshalBinary(b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := g.Verify(root); (err == nil) != holds {
			t.Errorf("%s: %v", name, err)
		}
		if !holds && !errors.Is(g.Verify(root), ErrProof) {
			t.Errorf("%s: %v", name, g.Verify(root))
		}
	}
	check("greedy root", top, greedy, true)
	check("of another root", top, honest, false)
	fair := top
	fair.Node = honest
	check("honest root", fair, honest, false)

	// Deeper: the left child of the root claims more points than its own children have.
	ll, _ := tree.Over(0, 2)
	lr, _ := tree.Over(2, 2)
	lying := l
	lying.Points += 5
	above, _ := join(0, lying, r)
	deep := Fault{Kind: FaultSums, Depth: 1, Path: Path{Leaves: 6, Siblings: []Node{r}}, Node: lying, Left: ll, Right: lr}
	check("greedy child", deep, above, true)
	deep.Left.Points++
	check("not its children", deep, above, false)

	// Shape: the tree is split elsewhere.
	l3, r3 := reference(all[:3]), reference(all[3:])
	odd, _ := join(0, l3, r3)
	check("shape", Fault{Kind: FaultSums, Path: Path{Leaves: 6}, Node: odd, Left: l3, Right: r3}, odd, true)

	// A leaf's node carries more than the leaf.
	one, _ := nodeOf(all[5])
	fat := one
	fat.Earned, _ = fat.Earned.Add(price.FromUint64(9))
	fourth, _ := nodeOf(all[4])
	pair, _ := join(0, fourth, fat)
	root, _ := join(0, l, pair)
	leafPath := Path{Index: 5, Leaves: 6, Siblings: []Node{l, fourth}}
	check("fat leaf", Fault{Kind: FaultLeaf, Path: leafPath, Node: fat, Leaf: all[5]}, root, true)
	check("lean leaf", Fault{Kind: FaultLeaf, Path: leafPath, Node: one, Leaf: all[5]}, honest, false)

	// Order: built without looking at it.
	swapped := slices.Clone(all)
	swapped[2], swapped[3] = swapped[3], swapped[2]
	unordered := &Tree[score.Account]{leaves: swapped, levels: [][]Node{make([]Node, 6)}}
	for i, a := range swapped {
		unordered.levels[0][i], _ = nodeOf(a)
	}
	unordered.levels, _ = raise[score.Account](unordered.levels)
	unordered.root, _ = unordered.node(0, 6)
	before, _ := unordered.Prove(2)
	after, _ := unordered.Prove(3)
	check("order", Fault{Kind: FaultOrder, Before: before, After: after}, unordered.Root(), true)
	before, _ = tree.Prove(2)
	after, _ = tree.Prove(3)
	check("in order", Fault{Kind: FaultOrder, Before: before, After: after}, honest, false)
	after, _ = tree.Prove(1)
	check("not neighbours", Fault{Kind: FaultOrder, Before: before, After: after}, honest, false)
}

// Accounts' and inputs' trees, leaves and nodes are told apart by what is hashed.
func TestTreesDoNotMix(t *testing.T) {
	in := Input{Device: 3}
	a, _ := nodeOf(score.Account{Device: 3})
	b, _ := nodeOf(in)
	if a.Hash == b.Hash || hashChildren(0, a, b) == hashChildren(inputTags, a, b) {
		t.Fatal("two kinds of tree share a hash")
	}
	tree := mustBuild(t, inputsOf(5))
	p, err := tree.Prove(2)
	if err != nil || p.Verify(tree.Root()) != nil {
		t.Fatalf("%v, %v", err, p.Verify(tree.Root()))
	}
}

// INV-REPORT-PURE: ranges of any number and size give what Compute gives.
func TestRangesChangeNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p, facts, before := epoch(rapid.IntRange(0, 60).Draw(r, "devices"))
		keepFact := rapid.SliceOfN(rapid.Bool(), len(facts), len(facts)).Draw(r, "facts")
		keepBefore := rapid.SliceOfN(rapid.Bool(), len(before), len(before)).Draw(r, "before")
		var someFacts []score.Fact
		var someBefore []score.Account
		devices := make(map[uint64]bool)
		for i := range facts {
			if keepFact[i] {
				someFacts = append(someFacts, facts[i])
				devices[facts[i].Device] = true
			}
			if keepBefore[i] {
				someBefore = append(someBefore, before[i])
				devices[before[i].Device] = true
			}
		}
		want, err := p.Compute(someFacts, someBefore)
		if err != nil {
			r.Fatal(err)
		}
		if len(want.Leaves()) != len(devices) {
			r.Fatalf("%d accounts of %d devices", len(want.Leaves()), len(devices))
		}
		got, _, err := parallel(p, someFacts, someBefore, rapid.IntRange(1, 9).Draw(r, "ranges"))
		if err != nil {
			r.Fatal(err)
		}
		if got.Root() != want.Root() {
			r.Fatalf("ranges give %s, want %s", got.Root(), want.Root())
		}
		// What all earned together is within the pools.
		var had price.Amount
		for _, a := range someBefore {
			had, _ = had.Add(a.Earned)
		}
		budget, _ := p.Pools.Budget()
		if added, less := want.Root().Earned.Sub(had); less || added.Cmp(budget) > 0 {
			r.Fatalf("earned %s after %s, pools %s", want.Root().Earned, had, budget)
		}
	})
}

// Facts of another epoch or service, or out of order, are refused.
func TestComputeRefusesOtherFacts(t *testing.T) {
	p, facts, before := epoch(3)
	for name, change := range map[string]func([]score.Fact){
		"epoch":   func(f []score.Fact) { f[1].Epoch++ },
		"service": func(f []score.Fact) { f[1].Service = score.Energy },
		"order":   func(f []score.Fact) { f[1], f[2] = f[2], f[1] },
		"twice":   func(f []score.Fact) { f[1] = f[0] },
	} {
		bad := slices.Clone(facts)
		change(bad)
		if _, err := p.Compute(bad, before); !errors.Is(err, ErrFacts) {
			t.Errorf("%s: %v", name, err)
		}
	}
	unknown := p
	unknown.Rules = 99
	if _, err := unknown.Compute(facts, before); !errors.Is(err, score.ErrRules) {
		t.Errorf("rules: %v", err)
	}
}

// Every field of a statement is in its id.
func TestStatementIDs(t *testing.T) {
	base := Statement{ChainID: "c", Service: score.Storage, Epoch: 2, Rules: 1, Inputs: Root{Leaves: 1}, Output: Root{Leaves: 1}}
	seen := map[[32]byte]string{base.ID(): "base"}
	for name, change := range map[string]func(*Statement){
		"chain":    func(s *Statement) { s.ChainID = "d" },
		"service":  func(s *Statement) { s.Service = score.Energy },
		"epoch":    func(s *Statement) { s.Epoch++ },
		"rules":    func(s *Statement) { s.Rules++ },
		"input":    func(s *Statement) { s.Inputs.Hash[0]++ },
		"inputs":   func(s *Statement) { s.Inputs.Leaves++ },
		"output":   func(s *Statement) { s.Output.Hash[0]++ },
		"leaves":   func(s *Statement) { s.Output.Leaves++ },
		"points":   func(s *Statement) { s.Output.Points++ },
		"earned":   func(s *Statement) { s.Output.Earned.Lo++ },
		"previous": func(s *Statement) { s.Previous[0]++ },
	} {
		s := base
		change(&s)
		if other, taken := seen[s.ID()]; taken {
			t.Errorf("%s has the id of %s", name, other)
		}
		seen[s.ID()] = name
	}
}

func fuzzed[T any, P interface {
	*T
	UnmarshalBinary([]byte) error
	MarshalBinary() ([]byte, error)
}](t *testing.T, b []byte) {
	t.Helper()
	v := P(new(T))
	if v.UnmarshalBinary(b) != nil {
		return
	}
	if again, err := v.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
		t.Fatalf("%T: %x is read and written as %x, %v", v, b, again, err)
	}
}

// INV-REPORT-TOTAL: whatever is read is written as it was, and verified without a panic.
func FuzzEncodings(f *testing.F) {
	tree := mustBuild(f, accounts(5))
	inputs := mustBuild(f, inputsOf(5))
	root := tree.Root()
	p, _ := tree.Prove(2)
	absent, _ := tree.ProveAbsent(25)
	place, _ := tree.Place(30)
	part, _ := tree.Part(0, 0)
	l, _ := tree.Over(0, 4)
	r, _ := tree.Over(4, 1)
	fault := Fault{Kind: FaultSums, Path: Path{Leaves: 5}, Node: root, Left: l, Right: r}
	order := Fault{Kind: FaultOrder, Before: p, After: p}
	ip, _ := inputs.Place(25)
	for _, v := range []interface{ MarshalBinary() ([]byte, error) }{p, absent, place, part, fault, order, ip, root} {
		b, err := v.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzed[Proof](t, b)
		fuzzed[Absence](t, b)
		fuzzed[Place](t, b)
		fuzzed[Part](t, b)
		fuzzed[Fault](t, b)
		fuzzed[InputProof](t, b)
		fuzzed[InputPlace](t, b)
		fuzzed[InputPart](t, b)
		fuzzed[InputFault](t, b)
		fuzzed[Node](t, b)
		var p Proof
		if p.UnmarshalBinary(b) == nil && p.Verify(root) == nil {
			if i, found := tree.Find(p.Leaf.Device); !found || tree.Leaves()[i] != p.Leaf {
				t.Fatalf("a leaf that is not in the tree is proved: %+v", p.Leaf)
			}
		}
		var a Absence
		if a.UnmarshalBinary(b) == nil && a.Verify(root, 30) == nil {
			t.Fatal("device 30 is in the tree and proved absent")
		}
		var q Part
		if q.UnmarshalBinary(b) == nil {
			_ = q.Verify(root, q.Index, q.Depth)
			_, _ = q.Prove(q.Index)
		}
		var fault Fault
		if fault.UnmarshalBinary(b) == nil && fault.Verify(root) == nil {
			t.Fatal("an honest root has a fault")
		}
	})
}
