package reward_test

import (
	"errors"
	"testing"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/x/internal/stage"
	"github.com/cairn-network/cairn/x/reward"
)

func TestErrorCodesNeverChange(t *testing.T) {
	stage.GoldenErrors(t, reward.ModuleName, "testdata/errors.golden")
}

// TestClaimPaysTheOwnerOnce: what the report gives, minted at the claim, and nothing the second time.
func TestClaimPaysTheOwnerOnce(t *testing.T) {
	f := newFixture(t)
	f.devices(3)
	for range 3 { // the usage pool is a smoothed average: one epoch alone gives little
		f.settles(t, 1, coins(400))
		f.proves(t, 1, 0, 100*gib)
		f.proves(t, 2, 0, 300*gib)
		f.final(t)
	}
	f.settles(t, 1, coins(400))
	f.proves(t, 1, 0, 100*gib)
	epoch := f.final(t)

	supply := f.Bank.Supply(f.Ctx, denom)
	due := toInt(f.account(t, 1).Paid)
	if !due.IsPositive() || f.account(t, 1).Held().IsZero() {
		t.Fatalf("account %+v", f.account(t, 1))
	}
	stranger := stage.Account(77)
	got, err := f.claims(t, stranger, epoch, 1, 1, 1)
	if err != nil || !got.Paid.Amount.Equal(due) || !got.Fee.IsZero() {
		t.Fatalf("claim paid %v, %v; want %s", got, err, due)
	}
	if !f.balance(owner(0)).Equal(due) || !f.balance(stranger).IsZero() || !f.Bank.Supply(f.Ctx, denom).Equal(supply.Add(due)) {
		t.Errorf("owner has %s, the stranger %s", f.balance(owner(0)), f.balance(stranger))
	}
	if got, err = f.claims(t, owner(0), epoch, 1); err != nil || !got.Paid.IsZero() {
		t.Errorf("second claim paid %v, %v", got, err)
	}
	f.check(t)
	f.restart(t)
	if got, err = f.claims(t, owner(0), epoch, 1, 2); err != nil || !got.Paid.Amount.Equal(toInt(f.account(t, 2).Paid)) {
		t.Errorf("claim after a restart paid %v, %v", got, err)
	}
	f.check(t)
}

func toInt(a price.Amount) math.Int { return math.NewIntFromBigInt(a.Big()) }

// TestMissedClaimLosesNothing: claiming every epoch and claiming once pay the same, claims of an older
// report still hold when newer ones are final, and one that comes after a newer claim pays nothing.
func TestMissedClaimLosesNothing(t *testing.T) {
	f := newFixture(t)
	f.devices(2)
	var old []byte
	var epochs []uint64
	for i := range 6 {
		f.proves(t, 1, 0, 100*gib)
		f.proves(t, 2, 0, 100*gib)
		epochs = append(epochs, f.final(t))
		if i == 3 {
			old = f.proof(t, 2)
		}
		if _, err := f.claims(t, owner(0), epochs[i], 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.msg.Claim(f.Ctx, &rewardv1.MsgClaim{Payer: stage.Spell(owner(1)), Service: storage, Epoch: epochs[3], Proofs: [][]byte{old}}); err != nil {
		t.Fatal(err)
	}
	if some := f.balance(owner(1)); !some.IsPositive() || !some.LT(f.balance(owner(0))) {
		t.Errorf("the older report paid %s of %s", some, f.balance(owner(0)))
	}
	if _, err := f.claims(t, owner(1), epochs[5], 2); err != nil {
		t.Fatal(err)
	}
	if !f.balance(owner(1)).Equal(f.balance(owner(0))) {
		t.Errorf("claimed once %s, every epoch %s", f.balance(owner(1)), f.balance(owner(0)))
	}
	res, err := f.msg.Claim(f.Ctx, &rewardv1.MsgClaim{Payer: stage.Spell(owner(1)), Service: storage, Epoch: epochs[3], Proofs: [][]byte{old}})
	if err != nil || !res.Paid.IsZero() {
		t.Errorf("an older claim after a newer one paid %v, %v", res, err)
	}
	f.check(t)
}

// TestClaimAfterTransferGoesToThePresentOwner: a device's income and its obligations move together.
func TestClaimAfterTransferGoesToThePresentOwner(t *testing.T) {
	f := newFixture(t)
	f.devices(1)
	f.proves(t, 1, 0, 100*gib)
	epoch := f.final(t)
	d := f.registry[1]
	d.Owner = stage.Spell(owner(9))
	f.registry[1] = d
	if _, err := f.claims(t, owner(0), epoch, 1); err != nil {
		t.Fatal(err)
	}
	if f.balance(owner(0)).IsPositive() || !f.balance(owner(9)).IsPositive() {
		t.Errorf("old owner has %s, new owner %s", f.balance(owner(0)), f.balance(owner(9)))
	}
}

// TestClaimThief: who claims what is not its own gets nothing, whatever it changes.
func TestClaimThief(t *testing.T) {
	f := newFixture(t)
	f.devices(3)
	for id := uint64(1); id <= 3; id++ {
		f.proves(t, id, 0, id*100*gib)
	}
	epoch := f.final(t)
	thief := stage.Account(66)
	honest := f.proof(t, 2)
	claim := func(epoch uint64, proofs ...[]byte) error {
		return f.handle(&rewardv1.MsgClaim{Payer: stage.Spell(thief), Service: storage, Epoch: epoch, Proofs: proofs})
	}
	before := f.Hash()
	for i := range honest {
		for _, flip := range []byte{1, 0x80, 0xff} {
			forged := append([]byte(nil), honest...)
			forged[i] ^= flip
			if err := claim(epoch, forged); err == nil {
				t.Fatalf("a proof with byte %d changed was paid", i)
			}
		}
	}
	for what, err := range map[string]error{
		"cut":                  claim(epoch, honest[:len(honest)-1]),
		"longer":               claim(epoch, append(append([]byte(nil), honest...), 0)),
		"empty":                claim(epoch, nil),
		"none":                 claim(epoch),
		"of another epoch":     claim(epoch+1, honest),
		"of epoch 0":           claim(0, honest),
		"good with forged one": claim(epoch, honest, honest[1:]),
	} {
		if err == nil {
			t.Errorf("a claim that is %s was paid", what)
		}
	}
	if f.Hash() != before {
		t.Error("a failed claim changed the state")
	}
	// A tree of the thief's own, in which the device has earned everything.
	own, err := report.Build([]score.Account{{Device: 2, Epoch: epoch, Points: 1, Earned: price.FromUint64(1 << 60), Paid: price.FromUint64(1 << 60)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := claim(epoch, proofIn(t, own, 2)); !errors.Is(err, reward.ErrProof) {
		t.Errorf("a proof of another tree: %v", err)
	}
	if err := claim(epoch, honest); err != nil || f.balance(thief).IsPositive() || !f.balance(owner(1)).IsPositive() {
		t.Errorf("the thief claims for device 2 (%v) and has %s, the owner %s", err, f.balance(thief), f.balance(owner(1)))
	}
}

// TestRelayFeeIsOnlyWhatTheOwnerAllows: nothing unless the owner said so, never above the param, never
// from one's own claims.
func TestRelayFeeIsOnlyWhatTheOwnerAllows(t *testing.T) {
	f := newFixture(t)
	f.devices(3)
	for id := uint64(1); id <= 3; id++ {
		f.proves(t, id, 0, 100*gib)
	}
	epoch := f.final(t)
	if err := f.handle(&rewardv1.MsgSetRelay{Owner: stage.Spell(owner(1)), FeeBps: 100}); err != nil {
		t.Fatal(err)
	}
	if err := f.handle(&rewardv1.MsgSetRelay{Owner: stage.Spell(owner(2)), FeeBps: 101}); !errors.Is(err, reward.ErrField) {
		t.Errorf("more than the param allows: %v", err)
	}
	relay := stage.Account(88)
	res, err := f.claims(t, relay, epoch, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	due := toInt(f.account(t, 2).Paid)
	fee := due.QuoRaw(100)
	if !res.Fee.Amount.Equal(fee) || !f.balance(relay).Equal(fee) || !f.balance(owner(1)).Equal(due.Sub(fee)) || !f.balance(owner(0)).Equal(toInt(f.account(t, 1).Paid)) {
		t.Errorf("fee %s, the relay has %s, owners %s and %s", res.Fee, f.balance(relay), f.balance(owner(0)), f.balance(owner(1)))
	}
	must(t, f.handle(&rewardv1.MsgSetRelay{Owner: stage.Spell(owner(2)), FeeBps: 50}))
	if res, err = f.claims(t, owner(2), epoch, 3); err != nil || !res.Fee.IsZero() {
		t.Errorf("an owner's own claim cost %v, %v", res, err)
	}
	f.params(t, func(p *rewardv1.Params) { p.MaxRelayBps = 10 })
	f.proves(t, 2, 0, 100*gib)
	epoch = f.final(t)
	if res, err = f.claims(t, relay, epoch, 2); err != nil || !res.Fee.Amount.Equal(toInt(f.account(t, 2).Paid).Sub(due).QuoRaw(1000)) {
		t.Errorf("after a vote lowered the most: %v, %v", res, err)
	}
	must(t, f.handle(&rewardv1.MsgSetRelay{Owner: stage.Spell(owner(1)), FeeBps: 0}))
	f.check(t)
	f.restart(t)
}

// TestFinalIsWithinThePools: INV-REWARD at the door.
func TestFinalIsWithinThePools(t *testing.T) {
	f := newFixture(t)
	f.devices(1)
	f.proves(t, 1, 0, 100*gib)
	epoch := f.turn(t)
	pools, err := f.keeper.Pools(f.Ctx, score.Storage, epoch)
	must(t, err)
	budget, _ := pools.Budget()
	more, _ := budget.Add(price.FromUint64(1))
	if err := f.keeper.Final(f.Ctx, score.Storage, epoch, report.Root{Leaves: 1, Earned: more}); !errors.Is(err, reward.ErrReport) {
		t.Errorf("one base unit more than the pools: %v", err)
	}
	if err := f.keeper.Final(f.Ctx, score.Storage, epoch+1, report.Root{}); !errors.Is(err, reward.ErrNoEpoch) {
		t.Errorf("of a running epoch: %v", err)
	}
	if err := f.keeper.Final(f.Ctx, score.Storage, epoch, report.Root{Leaves: 1, Earned: budget}); err != nil {
		t.Errorf("all of the pools: %v", err)
	}
	if err := f.keeper.Final(f.Ctx, score.Storage, epoch, report.Root{Leaves: 1, Earned: budget}); !errors.Is(err, reward.ErrReport) {
		t.Errorf("twice: %v", err)
	}
	epoch = f.turn(t)
	if err := f.keeper.Final(f.Ctx, score.Storage, epoch, report.Root{Leaves: 1}); !errors.Is(err, reward.ErrReport) {
		t.Errorf("less than before: %v", err)
	}
	f.check(t)
}

// TestEmissionFollowsTheSchedule: validators get their share, pools theirs, an epoch that stood still
// for days counts as params.max_epoch_seconds, and all of it is the schedule's.
func TestEmissionFollowsTheSchedule(t *testing.T) {
	f := newFixture(t)
	perSecond := coins(250_000_000).QuoRaw(4 * 365 * 24 * 3600)
	epoch := f.turn(t)
	pools, err := f.keeper.Pools(f.Ctx, score.Storage, epoch)
	must(t, err)
	near := func(got, want math.Int) bool { return got.Sub(want).Abs().LTE(math.NewInt(10_000)) }
	if got := toInt(pools.Bootstrap); !near(got, perSecond.MulRaw(epochSeconds).MulRaw(300).QuoRaw(1000)) {
		t.Errorf("bootstrap pool of an hour %s", got)
	}
	if got := f.balance(validators); !near(got, perSecond.MulRaw(epochSeconds).MulRaw(200).QuoRaw(1000)) {
		t.Errorf("validators got %s", got)
	}
	before := f.balance(validators)
	f.Pass(10 * 24 * 3600)
	f.turn(t)
	if got := f.balance(validators).Sub(before); !near(got, perSecond.MulRaw(2*epochSeconds).MulRaw(200).QuoRaw(1000)) {
		t.Errorf("validators got %s for ten days without blocks", got)
	}
	res, err := f.query.Emission(f.Ctx, &rewardv1.QueryEmissionRequest{})
	if err != nil || res.Emission.ElapsedSeconds != 3*epochSeconds || !res.Supply.Equal(res.Emission.Validators) {
		t.Errorf("emission %+v, %v", res, err)
	}
	f.check(t)
}

// TestUsagePoolIsBackedByTheEpochsBurn: a high average does not pay for an epoch in which little was
// burned, nor a single large payment at once.
func TestUsagePoolIsBackedByTheEpochsBurn(t *testing.T) {
	f := newFixture(t)
	f.devices(1)
	for _, tc := range []struct{ gross, most int64 }{{4000, 14}, {4000, 27}, {0, 0}, {40, 1}} {
		f.settles(t, 1, coins(tc.gross))
		epoch := f.turn(t)
		pools, err := f.keeper.Pools(f.Ctx, score.Storage, epoch)
		must(t, err)
		if usage := toInt(pools.Usage); usage.GT(coins(tc.most)) || usage.IsZero() != (tc.gross == 0) || usage.GT(toInt(pools.TotalBurned)) {
			t.Errorf("epoch %d: %s paid, usage pool %s", epoch, coins(tc.gross), usage)
		}
	}
	f.check(t)
}

// TestCapHolds: a genesis that promises more than may exist is refused, and minting stops at the cap.
func TestCapHolds(t *testing.T) {
	f := newFixture(t)
	f.Bank.Mint(f.Ctx, stage.Account(1), sdk.Coin{Denom: denom, Amount: coins(500_000_000)})
	f.check(t) // exactly the cap
	f.Bank.Mint(f.Ctx, stage.Account(1), sdk.Coin{Denom: denom, Amount: math.OneInt()})
	g, err := f.keeper.ExportGenesis(f.Ctx)
	must(t, err)
	f.Clear(reward.StoreKey)
	if err := f.keeper.InitGenesis(f.Ctx, g); !errors.Is(err, reward.ErrCap) {
		t.Errorf("one base unit above the cap: %v", err)
	}
	// Somebody else mints up to the cap: rewards fail, and nothing passes it.
	f = newFixture(t)
	f.devices(1)
	f.proves(t, 1, 0, 100*gib)
	epoch := f.final(t)
	all := coins(1_000_000_000).Sub(f.Bank.Supply(f.Ctx, denom))
	f.Bank.Mint(f.Ctx, stage.Account(1), sdk.Coin{Denom: denom, Amount: all})
	if _, err := f.claims(t, owner(0), epoch, 1); !errors.Is(err, reward.ErrCap) {
		t.Errorf("a claim above the cap: %v", err)
	}
	if err := f.keeper.AfterEpoch(f.Ctx.WithBlockTime(f.Ctx.BlockTime().Add(3600e9)), f.clock.Epoch); !errors.Is(err, reward.ErrCap) {
		t.Errorf("validators' share above the cap: %v", err)
	}
}

// TestBoostsAreSharedByTierTwo: drawn only for epochs in which the cell has supply of that tier, shared
// by units, and what is left goes back.
func TestBoostsAreSharedByTierTwo(t *testing.T) {
	f := newFixture(t)
	f.devices(4)
	far := f.registry[4]
	far.Cell = 0x8c2a1072b5901ff // New York
	f.registry[4] = far
	sponsor := stage.Account(300)
	f.rich(sponsor)
	if err := f.handle(&rewardv1.MsgBoost{Sponsor: stage.Spell(sponsor), Service: storage, Cell: mapCell, PerEpoch: coins(10), Epochs: 5}); err != nil {
		t.Fatal(err)
	}
	if got := f.balance(moduleAccount); !got.Equal(coins(50)) {
		t.Fatalf("escrow %s", got)
	}
	f.proves(t, 1, 2, 100*gib) // before its first epoch
	f.final(t)
	if got := f.balance(moduleAccount); !got.Equal(coins(50)) {
		t.Fatalf("escrow %s before the first epoch", got)
	}
	supply := f.Bank.Supply(f.Ctx, denom)
	f.proves(t, 1, 2, 100*gib)
	f.proves(t, 2, 3, 300*gib)
	f.proves(t, 3, 1, 900*gib) // too low a tier
	f.proves(t, 4, 3, 900*gib) // elsewhere
	if got := f.Bank.Supply(f.Ctx, denom); !supply.Sub(got).Equal(coins(10)) {
		t.Fatalf("burned %s of the boost", supply.Sub(got))
	}
	facts := f.facts(t, f.clock.Number)
	for i, want := range []int64{25, 75, 0, 0} {
		if got := toInt(facts[i].Boost); !got.Equal(coins(want).QuoRaw(10)) {
			t.Errorf("device %d gets %s of the boost", i+1, got)
		}
	}
	epoch := f.final(t)
	pools, _ := f.keeper.Pools(f.Ctx, score.Storage, epoch)
	if !toInt(pools.Boost).Equal(coins(10)) {
		t.Errorf("pools %+v", pools)
	}
	f.check(t)
	f.restart(t)
	f.final(t) // nobody is there
	if err := f.handle(&rewardv1.MsgEndBoost{Sender: stage.Spell(stage.Account(9)), Id: 0}); !errors.Is(err, reward.ErrNotSponsor) {
		t.Errorf("a stranger ends a running boost: %v", err)
	}
	if err := f.handle(&rewardv1.MsgEndBoost{Sender: stage.Spell(sponsor), Id: 0}); err != nil {
		t.Fatal(err)
	}
	if got := f.balance(sponsor); !got.Equal(coins(1_000_000 - 10)) {
		t.Errorf("the sponsor has %s", got)
	}
	if err := f.handle(&rewardv1.MsgEndBoost{Sender: stage.Spell(sponsor), Id: 0}); !errors.Is(err, reward.ErrNoBoost) {
		t.Errorf("ended twice: %v", err)
	}
	f.check(t)
}

// TestBoostsOfACellAreBounded: no more than the param, and one that is over makes room by itself.
func TestBoostsOfACellAreBounded(t *testing.T) {
	f := newFixture(t)
	sponsor, other := stage.Account(300), stage.Account(301)
	f.rich(sponsor, other)
	boost := func(by sdk.AccAddress) error {
		return f.handle(&rewardv1.MsgBoost{Sponsor: stage.Spell(by), Service: storage, Cell: mapCell, PerEpoch: coins(1), Epochs: 1})
	}
	for range 8 {
		must(t, boost(sponsor))
	}
	if err := boost(other); !errors.Is(err, reward.ErrTooMany) {
		t.Fatalf("the ninth: %v", err)
	}
	f.turn(t)
	f.turn(t)
	if err := f.handle(&rewardv1.MsgEndBoost{Sender: stage.Spell(other), Id: 3}); err != nil {
		t.Errorf("a stranger ends one that is over: %v", err)
	}
	must(t, boost(other))
	if got := f.balance(sponsor); !got.Equal(coins(1_000_000)) {
		t.Errorf("the sponsor has %s", got)
	}
	f.check(t)
}

// TestNeedComesFromTheEpochBefore: supply lowers it, demand raises it, and it is fixed for an epoch.
func TestNeedComesFromTheEpochBefore(t *testing.T) {
	f := newFixture(t)
	f.devices(2)
	need := func() uint32 {
		res, err := f.query.Need(f.Ctx, &rewardv1.QueryNeedRequest{Service: storage, Cell: place})
		must(t, err)
		return res.Need
	}
	empty := need()
	if empty != 1500 {
		t.Errorf("need of nowhere %d", empty)
	}
	f.settles(t, 1, coins(1000))
	f.proves(t, 1, 2, 1000*gib)
	if got := f.facts(t, 1)[0].Need; got != empty {
		t.Errorf("need %d within the epoch", got)
	}
	f.turn(t)
	asked := need()
	if asked <= empty {
		t.Errorf("need %d after demand, %d before", asked, empty)
	}
	f.proves(t, 2, 2, 1<<47)
	f.turn(t)
	if got := need(); got >= empty {
		t.Errorf("need %d after much supply, %d before", got, empty)
	}
	res, err := f.query.Map(f.Ctx, &rewardv1.QueryMapRequest{Service: storage, Epoch: 2})
	if err != nil || len(res.Cells) != 1 || res.Cells[0].Cell != mapCell || res.Cells[0].Need != asked {
		t.Errorf("map %+v, %v", res, err)
	}
}

// TestFactsAreRemovedAndNeverChange: what an ended epoch says stays the same until it is removed,
// and removal is bounded by the param.
func TestFactsAreRemovedAndNeverChange(t *testing.T) {
	f := newFixture(t)
	f.devices(10)
	f.params(t, func(p *rewardv1.Params) { p.RetainEpochs, p.PrunePerBlock = 2, 3 })
	for id := uint64(1); id <= 10; id++ {
		f.settles(t, id, coins(1))
		f.proves(t, id, 2, 100*gib)
	}
	f.turn(t)
	first := f.facts(t, 1)
	f.settles(t, 1, coins(50))
	f.proves(t, 1, 2, 900*gib)
	f.turn(t)
	f.seen = map[uint64]score.Fact{}
	for id := uint64(1); id <= 10; id++ {
		f.seen[id] = score.Fact{Device: id}
	}
	for i, again := range f.facts(t, 1) {
		if again.Burned != first[i].Burned || again.Need != first[i].Need || again.Boost != first[i].Boost || again.Cell != first[i].Cell {
			t.Errorf("fact %+v was %+v", again, first[i])
		}
	}
	f.turn(t) // epoch 4 begins: epoch 1 may go
	g, err := f.keeper.ExportGenesis(f.Ctx)
	must(t, err)
	if n := len(g.Devices); n != 11-3 {
		t.Errorf("%d facts after one block", n)
	}
	f.check(t)
	for range 5 {
		must(t, f.keeper.EndBlock(f.Ctx))
	}
	if g, err = f.keeper.ExportGenesis(f.Ctx); err != nil || len(g.Devices) != 1 || g.Epochs[0].Epoch != 2 {
		t.Errorf("%d facts, first epoch %d, %v", len(g.Devices), g.Epochs[0].Epoch, err)
	}
	f.check(t)
	if _, err := f.keeper.Pools(f.Ctx, score.Storage, 1); !errors.Is(err, reward.ErrNoEpoch) {
		t.Errorf("pools of a removed epoch: %v", err)
	}
}

// TestAFactPastRetentionIsNoFact: zeros of a removed epoch would decide a dispute against an honest
// report. It holds from the epoch on in which removal begins, however long that takes.
func TestAFactPastRetentionIsNoFact(t *testing.T) {
	f := newFixture(t)
	f.devices(1)
	f.params(t, func(p *rewardv1.Params) { p.RetainEpochs, p.PrunePerBlock = 2, 1 })
	f.settles(t, 1, coins(1))
	for range 2 {
		f.turn(t)
	}
	fact := score.Fact{Service: score.Storage, Epoch: 1, Device: 1}
	if err := f.keeper.Complete(f.Ctx, &fact); err != nil || fact.Burned.IsZero() {
		t.Errorf("of an epoch that is kept: %+v, %v", fact, err)
	}
	f.turn(t)
	if _, err := f.keeper.Pools(f.Ctx, score.Storage, 1); err != nil {
		t.Errorf("of an epoch that is removed in part: %v", err)
	}
	if err := f.keeper.Complete(f.Ctx, &fact); !errors.Is(err, reward.ErrNoEpoch) {
		t.Errorf("of an epoch past retention: %+v, %v", fact, err)
	}
}

// TestForeignMoneyEarnsNothing: other denominations and resources that are no service.
func TestForeignMoneyEarnsNothing(t *testing.T) {
	f := newFixture(t)
	f.devices(1)
	uatom := sdk.NewInt64Coin("uatom", 5)
	must(t, f.keeper.AfterSettle(f.Ctx, 1, "storage", uatom, uatom))
	must(t, f.keeper.AfterSettle(f.Ctx, 1, "water", sdk.NewInt64Coin(denom, 5), sdk.NewInt64Coin(denom, 5)))
	g, err := f.keeper.ExportGenesis(f.Ctx)
	if err != nil || len(g.Devices)+len(g.Cells)+len(g.Epochs) > 0 || len(g.Incomes) != 2 {
		t.Errorf("the state has changed: %+v, %v", g, err)
	}
}

// TestIncomesByMonth: what consumers paid, what was burned of it, what was claimed and what relays
// kept, by month of the block, until it is too old.
func TestIncomesByMonth(t *testing.T) {
	f := newFixture(t)
	f.devices(2)
	must(t, f.handle(&rewardv1.MsgSetRelay{Owner: stage.Spell(owner(0)), FeeBps: 100}))
	f.settles(t, 1, coins(400))
	f.settles(t, 1, coins(40))
	f.Pass(31 * 24 * 3600) // February
	f.settles(t, 1, coins(4))
	f.proves(t, 1, 0, 100*gib)
	epoch := f.final(t)
	if _, err := f.claims(t, stage.Account(50), epoch, 1); err != nil {
		t.Fatal(err)
	}
	incomes := func() []rewardv1.Income {
		res, err := f.query.Incomes(f.Ctx, &rewardv1.QueryIncomesRequest{Owner: stage.Spell(owner(0)), Year: 2026})
		must(t, err)
		return res.Incomes
	}
	got := incomes()
	if len(got) != 2 || got[0].Month != 202601 || got[1].Month != 202602 || !got[0].Leases.Equal(coins(429)) || !got[0].Burned.Equal(coins(11)) {
		t.Fatalf("incomes %+v", got)
	}
	if !got[1].Rewards.Equal(f.balance(owner(0))) || !got[1].Relayed.Equal(f.balance(stage.Account(50))) || !got[1].Relayed.IsPositive() {
		t.Errorf("in February %+v", got[1])
	}
	f.restart(t)
	f.params(t, func(p *rewardv1.Params) { p.RetainMonths = 13 })
	f.Pass(395 * 24 * 3600) // March 2027: thirteen months back is February 2026
	must(t, f.keeper.EndBlock(f.Ctx))
	if got = incomes(); len(got) != 1 || got[0].Month != 202602 {
		t.Errorf("after a year %+v", got)
	}
	if _, err := f.query.Incomes(f.Ctx, &rewardv1.QueryIncomesRequest{Owner: stage.Spell(owner(0)), Year: 1}); !errors.Is(err, reward.ErrField) {
		t.Errorf("year 1: %v", err)
	}
}

// messages are good ones, in a state in which each of them succeeds.
func messages(f *fixture, tb fataler) []proto.Message {
	f.devices(3)
	f.rich(stage.Account(0))
	f.proves(tb, 1, 2, 100*gib)
	f.proves(tb, 2, 0, 300*gib)
	epoch := f.final(tb)
	must(tb, f.handle(&rewardv1.MsgBoost{Sponsor: stage.Spell(stage.Account(0)), Service: storage, Cell: mapCell, PerEpoch: coins(1), Epochs: 3}))
	me := stage.Spell(stage.Account(0))
	return []proto.Message{
		&rewardv1.MsgClaim{Payer: me, Service: storage, Epoch: epoch, Proofs: [][]byte{f.proof(tb, 1), f.proof(tb, 2)}},
		&rewardv1.MsgSetRelay{Owner: me, FeeBps: 7},
		&rewardv1.MsgBoost{Sponsor: me, Service: storage, Cell: mapCell, PerEpoch: coins(1), Epochs: 3},
		&rewardv1.MsgEndBoost{Sender: me, Id: 0},
		&rewardv1.MsgUpdateParams{Authority: stage.Spell(authority), Params: reward.DefaultParams()},
	}
}

// play is the module in that state.
func play(tb testing.TB) stage.Play {
	f := newFixture(tb)
	samples := messages(f, tb)
	return stage.Play{
		Stage: f.Stage, Service: &rewardv1.Msg_serviceDesc, Server: f.msg, Samples: samples,
		Check: func(tb stage.Fataler) { f.check(tb) },
	}
}

func TestEveryMessageHasASample(t *testing.T) { play(t).TestSamples(t) }

// TestBadMessagesChangeNothing: any field of any message with a strange value either works and keeps
// all invariants, or fails with a registered error and leaves the state as it was.
func TestBadMessagesChangeNothing(t *testing.T) { play(t).TestMutations(t) }
