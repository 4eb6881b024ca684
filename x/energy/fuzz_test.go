package energy_test

import (
	"testing"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/core/meter"
	"github.com/cairn-network/cairn/x/energy"
	"github.com/cairn-network/cairn/x/internal/stage"
)

// played is the module in a state in which every message has something to act on, and a good message
// of each kind in that state.
func played(tb testing.TB) (*fixture, []proto.Message) {
	v := newVillage(tb)
	f := v.fixture
	late, err := f.msg.OpenSession(f.Ctx, opening(1))
	if err != nil {
		tb.Fatal(err)
	}
	charging, held, disputed, answered := f.opened(tb, 1), f.opened(tb, 2), f.opened(tb, 2), f.opened(tb, 2)
	params, err := v.keeper.Params(v.Ctx)
	if err != nil {
		tb.Fatal(err)
	}
	params.Community.CommitSeconds = 3600
	if _, err := v.msg.UpdateParams(v.Ctx, &energyv1.MsgUpdateParams{Authority: stage.Spell(authority), Params: params}); err != nil {
		tb.Fatal(err)
	}
	if _, err := v.msg.Withdraw(v.Ctx, &energyv1.MsgWithdraw{
		Sender: stage.Spell(owner(buyerN)), Community: v.id, Account: v.buyer, Amount: sdk.NewInt64Coin(denom, 1000),
	}); err != nil {
		tb.Fatal(err)
	}
	// A demand whose hour another challenge removes.
	ghost := v.tell(tb)
	ghost.leaves[0].Slots[0].Export++
	if ghost.tree, err = meter.Build(ghost.leaves); err != nil {
		tb.Fatal(err)
	}
	v.commit(tb, ghost)
	orphan, err := v.msg.DemandData(v.Ctx, &energyv1.MsgDemandData{Opener: stage.Spell(stranger), Community: v.id, Hour: uint64(ghost.hour)})
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := v.msg.ChallengeLeaf(v.Ctx, &energyv1.MsgChallengeLeaf{
		Challenger: stage.Spell(stranger), Community: v.id, Hour: uint64(ghost.hour), Proof: ghost.proof(tb, v.seller), Evidence: ghost.evidence[v.seller],
	}); err != nil {
		tb.Fatal(err)
	}
	v.accounts = nil
	lie := v.tell(tb)
	lie.leaves[0].Slots[0].Export++
	if lie.tree, err = meter.Build(lie.leaves); err != nil {
		tb.Fatal(err)
	}
	v.commit(tb, lie)
	second := v.tell(tb)
	second.leaves = second.leaves[:1]
	if second.tree, err = meter.Build(second.leaves); err != nil {
		tb.Fatal(err)
	}
	missing := v.receipt(second, v.buyer)
	v.commit(tb, second)
	absence, err := second.tree.ProveAbsent(v.buyer)
	if err != nil {
		tb.Fatal(err)
	}
	demanded, err := v.msg.DemandData(v.Ctx, &energyv1.MsgDemandData{
		Opener: stage.Spell(stranger), Community: v.id, Hour: uint64(lie.hour), Proof: lie.proof(tb, v.buyer),
	})
	if err != nil {
		tb.Fatal(err)
	}
	third := v.tell(tb)
	one, two := v.frame(sellerN, v.seller, 0, 1_000_000), v.frame(sellerN, v.seller, 0, 2_000_000)
	spare := v.register(tb, 13, energy.Meter)
	leaves, accounts := second.raw()
	for _, s := range []energyv1.Session{held, disputed, answered} {
		if _, err := f.msg.SettleSession(f.Ctx, f.settling(s)); err != nil {
			tb.Fatal(err)
		}
	}
	for _, s := range []energyv1.Session{disputed, answered} {
		if _, err := f.msg.DisputeSession(f.Ctx, &energyv1.MsgDisputeSession{Driver: stage.Spell(driver), Session: s.Id}); err != nil {
			tb.Fatal(err)
		}
	}
	me, hot := stage.Spell(driver), stage.Spell(operator(0))
	if _, err := f.msg.AnswerDispute(f.Ctx, &energyv1.MsgAnswerDispute{Operator: hot, Session: answered.Id, GiveBack: math.NewInt(5)}); err != nil {
		tb.Fatal(err)
	}
	fresh, err := f.msg.OpenSession(f.Ctx, opening(1))
	if err != nil {
		tb.Fatal(err)
	}
	return f, []proto.Message{
		setting(0, 1),
		&energyv1.MsgPublishTariff{Publisher: me, Document: usual()},
		opening(1),
		&energyv1.MsgStartSession{Operator: hot, Session: fresh.Id},
		f.settling(charging),
		&energyv1.MsgCancelSession{Driver: me, Session: fresh.Id},
		&energyv1.MsgCloseSession{Sender: stage.Spell(stranger), Session: late.Id},
		&energyv1.MsgDisputeSession{Driver: me, Session: held.Id, Reason: "too much"},
		&energyv1.MsgAnswerDispute{Operator: hot, Session: disputed.Id, GiveBack: math.NewInt(7)},
		&energyv1.MsgJudgeSession{Authority: stage.Spell(authority), Session: answered.Id, GiveBack: math.NewInt(9), SlashBps: 100},
		&energyv1.MsgCreateCommunity{Manager: me, Aggregator: v.aggregator, Utility: stage.Spell(utility), Terms: terms()},
		&energyv1.MsgUpdateCommunity{Manager: stage.Spell(manager), Community: v.id, Aggregator: v.aggregator, Utility: stage.Spell(utility), Terms: terms()},
		v.joining(13, spare, 2),
		&energyv1.MsgLeaveCommunity{Sender: stage.Spell(operator(sellerN)), Community: v.id, Device: v.seller},
		&energyv1.MsgSetLimits{Operator: stage.Spell(operator(sellerN)), Community: v.id, Device: v.seller, SellAbove: 9, BuyBelow: 200},
		&energyv1.MsgDeposit{Sender: me, Community: v.id, Account: v.buyer, Amount: sdk.NewInt64Coin(denom, 77)},
		&energyv1.MsgWithdraw{Sender: stage.Spell(owner(sellerN)), Community: v.id, Account: v.seller, Amount: sdk.NewInt64Coin(denom, 5)},
		&energyv1.MsgClaim{Sender: me, Community: v.id, Account: v.buyer, Absence: []byte{0}},
		v.committing(tb, third),
		&energyv1.MsgChallengeLeaf{Challenger: me, Community: v.id, Hour: uint64(lie.hour), Proof: lie.proof(tb, v.seller), Evidence: lie.evidence[v.seller]},
		&energyv1.MsgChallengeHour{Challenger: me, Community: v.id, Hour: uint64(second.hour), Leaves: leaves, Accounts: accounts},
		&energyv1.MsgChallengeOmission{Challenger: me, Community: v.id, Receipt: encoded(tb, missing), Absence: encoded(tb, absence)},
		&energyv1.MsgReportDoubleFrame{Reporter: me, Community: v.id, First: encoded(tb, one), Second: encoded(tb, two)},
		&energyv1.MsgDemandData{Opener: me, Community: v.id, Hour: uint64(second.hour), Proof: second.proof(tb, v.seller)},
		&energyv1.MsgServeData{Operator: stage.Spell(operator(aggregatorN)), Demand: demanded.Demand, Evidence: lie.evidence[v.buyer]},
		&energyv1.MsgCloseDemand{Sender: me, Demand: orphan.Demand},
		&energyv1.MsgUpdateParams{Authority: stage.Spell(authority), Params: energy.DefaultParams()},
	}
}

// play is the module in that state.
func play(tb testing.TB) stage.Play {
	f, samples := played(tb)
	return stage.Play{Stage: f.Stage, Service: &energyv1.Msg_serviceDesc, Server: f.msg, Samples: samples, Check: f.check}
}

func TestEveryMessageHasASample(t *testing.T) { play(t).TestSamples(t) }

func TestMutatedFields(t *testing.T) { play(t).TestMutations(t) }

func FuzzMessages(f *testing.F) { play(f).Fuzz(f) }
