package reward_test

import (
	"slices"
	"testing"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"
	"pgregory.net/rapid"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// INV-REWARD, INV-CAP, INV-BOOST, INV-POOLS and the conservation of coins hold after any sequence of
// settlements, proofs, epochs, reports (final ones, late ones, false ones), claims by anyone in any
// order, boosts, votes, transfers of devices and restarts through genesis. A message that fails
// changes nothing. At the end every device claims: what all of them were ever paid is what their
// accounts say, and the supply is what it was plus what was paid and minted to validators less what
// was burned.
func TestRewardStateMachine(t *testing.T) {
	claimedSome, boostedSome := 0, 0
	rapid.Check(t, func(r *rapid.T) {
		f := newFixture(t)
		const n = 5
		f.devices(n)
		f.rich(stage.Account(300), stage.Account(301))
		f.params(t, func(p *rewardv1.Params) {
			p.RetainEpochs, p.PrunePerBlock, p.RetainRoots, p.ReleaseEpochs, p.MaxBoostsPerCell = 3, 4, 3, 2, 2
			p.SharePerMille, p.YieldPerMille = 1000, 200
		})
		// proofs[epoch] are those of all devices in a final report.
		proofs := map[uint64][][]byte{}
		paid := math.ZeroInt()
		device := func() uint64 { return rapid.Uint64Range(1, n).Draw(r, "device") }
		try := func(msg proto.Message) error {
			before := f.Hash()
			err := f.handle(msg)
			if err != nil && f.Hash() != before {
				r.Fatalf("%T gives %v, and the state has changed", msg, err)
			}
			return err
		}
		claim := func(payer sdk.AccAddress, epoch uint64, some [][]byte) {
			supply := f.Bank.Supply(f.Ctx, denom)
			if try(&rewardv1.MsgClaim{Payer: stage.Spell(payer), Service: storage, Epoch: epoch, Proofs: some}) == nil {
				more := f.Bank.Supply(f.Ctx, denom).Sub(supply)
				paid = paid.Add(more)
				if more.IsPositive() {
					claimedSome++
				}
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"settle": func(r *rapid.T) {
				f.settles(r, device(), math.NewInt(rapid.Int64Range(0, 1<<60).Draw(r, "gross")))
			},
			"prove": func(r *rapid.T) {
				f.proves(r, device(), rapid.Uint32Range(0, 3).Draw(r, "tier"), rapid.Uint64().Draw(r, "units"))
			},
			"fail": func(r *rapid.T) {
				id := device()
				fact := f.seen[id]
				fact.Device, fact.Failed = id, 1
				f.seen[id] = fact
			},
			"epoch without report": func(r *rapid.T) { f.turn(r); f.seen = map[uint64]score.Fact{} },
			"final": func(r *rapid.T) {
				epoch := f.final(r)
				proofs[epoch] = nil
				for _, leaf := range f.tree.Leaves() {
					proofs[epoch] = append(proofs[epoch], f.proof(r, leaf.Device))
				}
			},
			"false report": func(r *rapid.T) {
				epoch := f.turn(r)
				tree := f.report(r, epoch)
				root := tree.Root()
				pools, err := f.keeper.Pools(f.Ctx, score.Storage, epoch)
				must(r, err)
				budget, _ := pools.Budget()
				root.Earned, _ = root.Earned.Add(budget)
				root.Earned.Hi |= 1 << 40
				before := f.Hash()
				if f.keeper.Final(f.Ctx, score.Storage, epoch, root) == nil || f.Hash() != before {
					r.Fatalf("a report beyond its pools became final")
				}
				f.seen = map[uint64]score.Fact{}
			},
			"claim": func(r *rapid.T) {
				if len(proofs) == 0 {
					return
				}
				epochs := make([]uint64, 0, len(proofs))
				for epoch := range proofs {
					epochs = append(epochs, epoch)
				}
				slices.Sort(epochs)
				epoch := rapid.SampledFrom(epochs).Draw(r, "epoch")
				all := proofs[epoch]
				if len(all) == 0 {
					return
				}
				some := rapid.SliceOfN(rapid.SampledFrom(all), 1, 6).Draw(r, "proofs")
				if rapid.IntRange(0, 3).Draw(r, "forge") == 0 {
					forged := slices.Clone(some[0])
					forged[rapid.IntRange(0, len(forged)-1).Draw(r, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
					some = append(some, forged)
				}
				claim(stage.Account(rapid.IntRange(0, n+2).Draw(r, "payer")), epoch, some)
			},
			"boost": func(r *rapid.T) {
				if try(&rewardv1.MsgBoost{
					Sponsor: stage.Spell(stage.Account(300 + rapid.IntRange(0, 2).Draw(r, "sponsor"))), Service: storage, Cell: mapCell,
					PerEpoch: math.NewInt(rapid.Int64Range(0, 1<<60).Draw(r, "per epoch")), Epochs: rapid.Uint64Range(0, 5).Draw(r, "epochs"),
				}) == nil {
					boostedSome++
				}
			},
			"end boost": func(r *rapid.T) {
				_ = try(&rewardv1.MsgEndBoost{
					Sender: stage.Spell(stage.Account(300 + rapid.IntRange(0, 2).Draw(r, "sender"))), Id: rapid.Uint64Range(0, 5).Draw(r, "id"),
				})
			},
			"relay": func(r *rapid.T) {
				_ = try(&rewardv1.MsgSetRelay{Owner: stage.Spell(owner(rapid.IntRange(0, n-1).Draw(r, "owner"))), FeeBps: rapid.Uint32Range(0, 110).Draw(r, "fee")})
			},
			"transfer": func(r *rapid.T) {
				id := device()
				d := f.registry[id]
				d.Owner = stage.Spell(owner(rapid.IntRange(0, n-1).Draw(r, "owner")))
				f.registry[id] = d
			},
			"vote": func(r *rapid.T) {
				f.params(r, func(p *rewardv1.Params) {
					p.UsagePerMille = rapid.Uint32Range(0, 900).Draw(r, "usage")
					p.SmoothingEpochs = rapid.Uint32Range(1, 20).Draw(r, "smoothing")
					p.HoldPerMille[0] = rapid.Uint32Range(0, 1000).Draw(r, "hold")
					p.RetainRoots = rapid.Uint32Range(1, 5).Draw(r, "roots")
					p.ReleaseEpochs = rapid.Uint64Range(1, 4).Draw(r, "release")
					p.NeedResolution = rapid.Uint32Range(4, 6).Draw(r, "resolution")
				})
			},
			"restart": func(r *rapid.T) { f.restart(r) },
			"":        func(r *rapid.T) { f.check(r) },
		})
		epoch := f.final(r)
		var all [][]byte
		earned := math.ZeroInt()
		for _, leaf := range f.tree.Leaves() {
			all = append(all, f.proof(r, leaf.Device))
			earned = earned.Add(toInt(leaf.Paid))
		}
		if len(all) > 0 {
			claim(owner(0), epoch, all)
		}
		if !paid.Equal(earned) {
			r.Fatalf("devices were paid %s, their accounts say %s", paid, earned)
		}
		f.check(r)
	})
	if claimedSome == 0 || boostedSome == 0 {
		t.Fatalf("%d claims and %d boosts succeeded", claimedSome, boostedSome)
	}
}
