package adversary

import (
	"fmt"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
)

// Lie is what is wrong with a root.
type Lie int

// The lies.
const (
	// LeafLie: the liar's own account says as much more as the pools hold.
	LeafLie Lie = iota
	// MissingLie: another's account is left out, and one of nobody is put in, so that their number is
	// right.
	MissingLie
	// SumsLie: the root says more than its leaves add up to.
	SumsLie
	// WithheldLie: nobody has ever seen what is under the root.
	WithheldLie
)

// String names the lie.
func (l Lie) String() string {
	return [...]string{"leaf", "missing leaf", "sums", "withheld"}[l]
}

// RootLiar has a share of the reporters' bond and posts a false root every epoch until it is caught.
// Its accomplice is the first to dispute it, so that the bounty stays in the family.
type RootLiar struct{ Lie Lie }

const (
	// Bonds of all reporters and the most that one has (report.max_reporters, min_bond).
	reporters    = 32
	reporterBond = 1000_000 // thousandths of CAIRN
	// honestParties compute every epoch: reporters and a watcher. Each of them is asleep for a whole
	// window (a day) in so many of a hundred epochs.
	honestParties = 4
	asleep        = 10
	// bountyBps of what is slashed goes to whoever disputes (report.bounty_bps).
	bountyBps = 5000
)

// Name of the attack.
func (a RootLiar) Name() string { return "root liar, " + a.Lie.String() }

// Claims of the attack.
func (a RootLiar) Claims() string {
	return "one honest party that recomputes is enough: the chain replays what it points at, and the bond is gone"
}

// Play runs the attack. The share is that of the reporters' bond.
func (a RootLiar) Play(seed uint64, share int) Outcome {
	w := NewWorld(seed)
	w.Crowd(20)
	w.Run(2)
	bond, _ := CAIRN(reporterBond).MulDiv(reporters*uint64(share), 100)
	out := Outcome{Profit: Zero(), Twin: Zero(), Must: 1000}
	for epoch := uint64(1); out.Detected == 0; epoch++ {
		w.Run(1)
		c, err := newCourt(w)
		if err != nil {
			panic(err) // the world's facts and accounts make a tree
		}
		lie, gain := a.lie(w, c)
		honest := 0
		for range honestParties {
			if w.Random.IntN(100) >= asleep {
				honest++
			}
		}
		switch {
		case honest > 0 && c.finds(lie):
			out.Detected = epoch
			out.Profit.Sub(bond)
			out.Profit.Add(bond.Share(price.FromUint64(bountyBps), price.FromUint64(10_000)))
		case honest == 0: // nobody else spoke: after the deadline the liar alone agrees with itself
			out.Profit.Add(gain)
		}
		// What the accusers of an honest root bring is thrown out.
		if c.finds(claim{root: c.truth.Root(), tree: c.truth}) || c.accuse(w) {
			out.FalsePositives++
		}
		if epoch > 1000 {
			break
		}
	}
	return out
}

// claim is a root that was posted, with the tree that its reporters show on demand, if any.
type claim struct {
	root report.Root
	tree *report.Tree[score.Account]
}

// court is what the chain does with disputes of one epoch (x/audit), and what a watcher brings it, by
// the functions of core/report.
type court struct {
	plan   report.Plan
	facts  map[uint64]*score.Fact
	before *report.Tree[score.Account]
	truth  *report.Tree[score.Account]
}

func newCourt(w *World) (*court, error) {
	c := &court{
		plan:  report.Plan{Service: score.Storage, Epoch: w.Epoch - 1, Rules: score.RulesV1, Pools: w.Pools},
		facts: make(map[uint64]*score.Fact),
	}
	for i := range w.Facts {
		c.facts[w.Facts[i].Device] = &w.Facts[i]
	}
	var err error
	if c.before, err = report.Build(w.Before); err != nil {
		return nil, fmt.Errorf("building the tree before: %w", err)
	}
	if c.truth, err = c.plan.Compute(w.Facts, w.Before); err != nil {
		return nil, fmt.Errorf("computing the epoch: %w", err)
	}
	return c, nil
}

// lie makes a false root that the chain lets in, and says what it would bring.
func (a RootLiar) lie(w *World, c *court) (claim, price.Amount) {
	honest := c.truth.Root()
	leaves := append([]score.Account(nil), c.truth.Leaves()...)
	own := w.Random.IntN(len(leaves))
	// More than the pools hold is refused at the door.
	most, _ := c.plan.Pools.Budget()
	spent, _ := honest.Earned.Sub(c.before.Root().Earned)
	room, _ := most.Sub(spent)
	switch a.Lie {
	case LeafLie:
		leaves[own].Earned, _ = leaves[own].Earned.Add(room)
		leaves[own].Paid, _ = leaves[own].Paid.Add(room)
	case MissingLie: // as if what the victim was paid fell to the liar
		room = leaves[own].Paid
		last := leaves[len(leaves)-1].Device
		leaves = append(append(leaves[:own:own], leaves[own+1:]...), score.Account{Device: last + 1, Epoch: c.plan.Epoch})
	case SumsLie:
		root := honest
		root.Earned, _ = root.Earned.Add(room)
		return claim{root, c.truth}, room
	case WithheldLie:
		root := honest
		root.Hash[0] ^= 1 + byte(w.Random.IntN(255))
		root.Earned, _ = root.Earned.Add(room)
		return claim{root, nil}, room
	}
	tree, err := report.Build(leaves)
	if err != nil {
		panic(err) // they ascend
	}
	return claim{tree.Root(), tree}, room
}

// finds is a watcher's way: it looks for the first account that is not as it must be, and brings the
// dispute that the chain upholds. What is not shown is demanded.
func (c *court) finds(posted claim) bool {
	if posted.tree == nil || posted.tree.Root() != posted.root {
		// Its sums, where the children are known; else no part of it can be shown.
		return c.sums(posted.root) || !c.shown(posted)
	}
	for _, want := range c.truth.Leaves() {
		place, err := posted.tree.Place(want.Device)
		if err == nil && c.upholds(posted.root, want.Device, place) {
			return true
		}
	}
	for _, has := range posted.tree.Leaves() {
		place, err := posted.tree.Place(has.Device)
		if err == nil && c.upholds(posted.root, has.Device, place) {
			return true
		}
	}
	return false
}

// upholds replays one device: MsgDisputeLeaf and MsgDisputeMissing.
func (c *court) upholds(root report.Root, device uint64, at report.Place) bool {
	has, err := at.Verify(root, device)
	if err != nil {
		return false
	}
	earlier, err := c.before.Place(device)
	if err != nil {
		return false
	}
	before, err := earlier.Verify(c.before.Root(), device)
	if err != nil {
		return false
	}
	want, some := c.plan.Next(device, before, c.facts[device], root.Points)
	return some != (has != nil) || some && want != *has
}

// sums shows that a root is not the sum of its children: MsgDisputeTree.
func (c *court) sums(root report.Root) bool {
	leaves := len(c.truth.Leaves())
	first, errFirst := c.truth.Prove(0)
	last, errLast := c.truth.Prove(leaves - 1)
	if errFirst != nil || errLast != nil || leaves < 2 {
		return false
	}
	fault := report.Fault{
		Kind: report.FaultSums, Path: report.Path{Leaves: uint64(leaves)},
		Node: root, Left: last.Siblings[0], Right: first.Siblings[0],
	}
	return fault.Verify(root) == nil
}

// shown says whether what was posted can be shown on demand: MsgDemandData, MsgServeData.
func (c *court) shown(posted claim) bool {
	if posted.tree == nil {
		return false
	}
	part, err := posted.tree.Part(0, 0)
	return err == nil && part.Verify(posted.root, 0, 0) == nil
}

// accuse brings disputes of the honest root, altered ones among them, and says whether one was upheld.
func (c *court) accuse(w *World) bool {
	root := c.truth.Root()
	for range 20 {
		i := w.Random.IntN(len(c.truth.Leaves()))
		leaf := c.truth.Leaves()[i]
		place, err := c.truth.Place(leaf.Device)
		if err != nil {
			return false
		}
		raw, err := place.MarshalBinary()
		if err != nil {
			return false
		}
		raw[w.Random.IntN(len(raw))] ^= 1 << w.Random.IntN(8)
		var altered report.Place
		if altered.UnmarshalBinary(raw) == nil && c.upholds(root, leaf.Device, altered) {
			return true
		}
		if c.upholds(root, w.Random.Uint64(), place) {
			return true
		}
	}
	return c.sums(root) || !c.shown(claim{root, c.truth})
}
