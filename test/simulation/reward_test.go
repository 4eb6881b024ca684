package simulation

import (
	"cosmossdk.io/math"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/score"
)

var rewardOperations = []operation{
	{"reward: claim", 10, (*history).claim},
	{"reward: set relay", 2, func(h *history) (move, bool) {
		by := h.person()
		return say1(by, &rewardv1.MsgSetRelay{Owner: by.text, FeeBps: uint32(h.between(0, 110))})
	}},
	{"reward: boost", 2, func(h *history) (move, bool) {
		by := h.person()
		parent, ok := geo.Cell(h.cell()).Parent(int(h.state.reward.Params.NeedResolution))
		return move{by: by, messages: msgs(&rewardv1.MsgBoost{
			Sponsor: by.text, Service: uint32(score.Storage), Cell: uint64(parent), PerEpoch: h.money(50), Epochs: uint64(h.between(1, 7)),
		})}, ok
	}},
	{"reward: end boost", 1, func(h *history) (move, bool) {
		b, some := pick(h, h.state.reward.Boosts)
		by := h.mostly(b.Sponsor)
		return move{by: by, messages: msgs(&rewardv1.MsgEndBoost{Sender: by.text, Id: b.Id})}, some
	}},
}

// claim claims for some devices what a final report gives them; rarely with a proof that is forged.
func (h *history) claim() (move, bool) {
	r, some := pick(h, h.state.reward.Roots)
	if !some {
		return move{}, false
	}
	var of *said
	for _, s := range h.said {
		if s.lie == nil && s.Epoch == r.Epoch && string(s.Output.Hash[:]) == string(r.Hash) {
			of = s
		}
	}
	if of == nil || of.output.Root().Leaves == 0 {
		return move{}, false
	}
	by := h.person()
	m := &rewardv1.MsgClaim{Payer: by.text, Service: r.Service, Epoch: r.Epoch}
	for range h.between(1, 6) {
		p, err := of.output.Prove(h.random.IntN(len(of.output.Leaves())))
		if err != nil {
			h.tb.Fatal(err)
		}
		m.Proofs = append(m.Proofs, h.bytesOf(p))
	}
	if h.rarely() {
		m.Proofs[0][h.random.IntN(len(m.Proofs[0]))] ^= 1 << h.random.IntN(8)
	}
	return say1(by, m)
}

// claimed is what devices were ever paid.
func (h *history) claimed() math.Int {
	sum := math.ZeroInt()
	for _, l := range h.state.reward.Ledgers {
		sum = sum.Add(l.Claimed)
	}
	return sum
}
