package adversary

import (
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
)

// Thief claims what is not its own: proofs of others, altered, cut, of other trees, and its own again
// and again. It pays a message for each try.
type Thief struct{}

// Name of the attack.
func (Thief) Name() string { return "claim thief" }

// Claims of the attack.
func (Thief) Claims() string {
	return "alters and replays proofs: every byte of a proof is bound to the root, and amounts are cumulative"
}

// Play runs the attack. The share is that of the network's devices that the thief owns.
func (Thief) Play(seed uint64, share int) Outcome {
	w := NewWorld(seed)
	w.Costs.Message = CAIRN(1)
	w.Crowd(20)
	w.Run(3)
	devices := w.devices()
	accounts := make([]score.Account, len(devices))
	for i, d := range devices {
		accounts[i] = d.Account()
	}
	tree, err := report.Build(accounts)
	if err != nil {
		panic(err) // the world's accounts make a tree
	}
	root := tree.Root()

	own := max(len(devices)*share/100, 1) // its devices are the first ones
	profit, twin := Zero(), Zero()
	claimed := make(map[uint64]price.Amount)
	// claim is what the chain does with a proof; it gives what the thief gets.
	claim := func(raw []byte) price.Amount {
		var p report.Proof
		if p.UnmarshalBinary(raw) != nil || p.Verify(root) != nil {
			return price.Amount{}
		}
		due, less := p.Leaf.Paid.Sub(claimed[p.Leaf.Device])
		if less {
			return price.Amount{}
		}
		claimed[p.Leaf.Device] = p.Leaf.Paid
		if p.Leaf.Device > uint64(own) { // goes to the owner, whoever sends it
			return price.Amount{}
		}
		return due
	}
	proofs := make([][]byte, len(devices))
	for i := range devices {
		p, err := tree.Prove(i)
		if err != nil {
			panic(err)
		}
		if proofs[i], err = p.MarshalBinary(); err != nil {
			panic(err)
		}
	}
	for i := range own { // what an honest owner gets, for one message each
		twin.Add(accounts[i].Paid)
		twin.Sub(w.Costs.Message)
		profit.Add(claim(proofs[i]))
		profit.Sub(w.Costs.Message)
	}
	for range 200 {
		raw := append([]byte(nil), proofs[w.Random.IntN(len(proofs))]...)
		switch w.Random.IntN(4) {
		case 0: // one bit
			raw[w.Random.IntN(len(raw))] ^= 1 << w.Random.IntN(8)
		case 1: // the thief's number on another's account
			copy(raw, proofs[w.Random.IntN(own)][:8])
		case 2:
			raw = raw[:w.Random.IntN(len(raw))]
		case 3: // again, as it is
		}
		profit.Add(claim(raw))
		profit.Sub(w.Costs.Message)
	}
	// Gain is what it got beyond what is its own: never more than the honest twin.
	return Outcome{Profit: Money{profit.Int.Sub(profit.Int, twin.Int)}, Twin: twin}
}
