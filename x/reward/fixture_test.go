package reward_test

import (
	"context"
	"errors"
	"testing"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/gogoproto/proto"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/internal/modkit"
	"github.com/cairn-network/cairn/x/internal/stage"
	"github.com/cairn-network/cairn/x/reward"
)

const (
	denom        = price.Denom
	storage      = uint32(score.Storage)
	epochSeconds = 3600
	gib          = uint64(1) << 30
)

var (
	authority     = stage.Account(1000)
	moduleAccount = authtypes.NewModuleAddress(reward.ModuleName)
	validators    = authtypes.NewModuleAddress(authtypes.FeeCollectorName)

	// Cells of resolution 12 in one cell of resolution 5, and that cell.
	place   = uint64(0x8c28308280f19ff)
	mapCell = cellOf(place)
)

func cellOf(place uint64) uint64 {
	cell, _ := geo.Cell(place).Parent(5)
	return uint64(cell)
}

// registry is the devices that exist, numbered from 1; device n is owned by owner n-1 at first.
type registry map[uint64]devicev1.Device

var errNoDevice = errors.New("no such device")

func (r registry) Device(_ context.Context, id uint64) (devicev1.Device, error) {
	d, known := r[id]
	if !known {
		return d, errNoDevice
	}
	return d, nil
}

// clock is the epochs as x/audit keeps them.
type clock struct{ auditv1.Epoch }

func (c *clock) Current(context.Context) (auditv1.Epoch, error) { return c.Epoch, nil }

// fixture is the module over real stores, a conserving bank and a clock that the test turns.
type fixture struct {
	*stage.Stage
	registry registry
	clock    *clock
	keeper   *reward.Keeper
	msg      rewardv1.MsgServer
	query    rewardv1.QueryServer

	// The last final report, and what services would know of devices in the running epoch.
	tree *report.Tree[score.Account]
	seen map[uint64]score.Fact
}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	f := &fixture{Stage: stage.New(tb, reward.StoreKey), registry: registry{}, clock: &clock{}, seen: map[uint64]score.Fact{}}
	f.clock.Epoch = auditv1.Epoch{Number: 1, StartTime: f.Ctx.BlockTime()}
	f.open()
	if err := f.keeper.InitGenesis(f.Ctx, reward.DefaultGenesis()); err != nil {
		tb.Fatal(err)
	}
	return f
}

// open makes the keeper over the stage's stores.
func (f *fixture) open() {
	f.keeper = reward.NewKeeper(reward.Deps{
		Codec: f.Codec, Store: f.Store(reward.StoreKey), Addresses: f.Addresses, Bank: f.Bank,
		Devices: f.registry, Epochs: f.clock, Validators: authtypes.FeeCollectorName, Authority: stage.Spell(authority),
	})
	f.msg, f.query = reward.NewMsgServer(f.keeper), reward.NewQueryServer(f.keeper)
}

type fataler interface{ Fatalf(string, ...any) }

// restart takes the module to a new chain through its genesis; the bank's coins go along.
func (f *fixture) restart(tb fataler) {
	exported, err := f.keeper.ExportGenesis(f.Ctx)
	if err != nil {
		tb.Fatalf("exporting: %v", err)
	}
	if err := reward.ValidateGenesis(exported); err != nil {
		tb.Fatalf("exported genesis does not hold: %v", err)
	}
	before := f.Hash(reward.StoreKey)
	f.Clear(reward.StoreKey)
	f.open()
	if err := f.keeper.InitGenesis(f.Ctx, exported); err != nil {
		tb.Fatalf("importing: %v", err)
	}
	if f.Hash(reward.StoreKey) != before {
		tb.Fatalf("the store differs after export and import")
	}
}

// check holds every invariant, and that no coin was made or lost.
func (f *fixture) check(tb fataler) {
	if err := errors.Join(modkit.Check(f.Ctx, f.keeper.Invariants()), f.Bank.Check(f.Ctx)); err != nil {
		tb.Fatalf("%v", err)
	}
}

func owner(n int) sdk.AccAddress { return stage.Account(n) }

// devices registers devices 1 to n, all in one cell.
func (f *fixture) devices(n int) {
	for id := uint64(1); id <= uint64(n); id++ {
		f.registry[id] = devicev1.Device{Id: id, Owner: stage.Spell(owner(int(id - 1))), Cell: place}
	}
}

func coins(whole int64) math.Int { return math.NewIntWithDecimal(whole, price.Decimals) }

// rich gives accounts a million CAIRN each.
func (f *fixture) rich(accounts ...sdk.AccAddress) {
	for _, a := range accounts {
		f.Bank.Mint(f.Ctx, a, sdk.Coin{Denom: denom, Amount: coins(1_000_000)})
	}
}

func (f *fixture) balance(account sdk.AccAddress) math.Int {
	return f.Bank.GetBalance(f.Ctx, account, denom).Amount
}

// settles makes somebody pay for a device; a fortieth is burned, as in the market.
func (f *fixture) settles(tb fataler, device uint64, gross math.Int) {
	burned := gross.QuoRaw(40)
	payer := stage.Account(500)
	f.Bank.Mint(f.Ctx, payer, sdk.Coin{Denom: denom, Amount: gross})
	if burned.IsPositive() {
		// The market burns from its own account; here the module's stands in for it.
		must(tb, f.Bank.SendCoinsFromAccountToModule(f.Ctx, payer, "market", sdk.Coins{{Denom: denom, Amount: burned}}))
		must(tb, f.Bank.BurnCoins(f.Ctx, "market", sdk.Coins{{Denom: denom, Amount: burned}}))
	}
	paid := sdk.Coin{Denom: denom, Amount: gross.Sub(burned)}
	must(tb, f.keeper.AfterSettle(f.Ctx, device, "storage", paid, sdk.Coin{Denom: denom, Amount: burned}))
	fact := f.seen[device]
	fact.Device = device
	f.seen[device] = fact
}

// proves makes a device pass its challenge for units at a tier, with a bond of 100 CAIRN.
func (f *fixture) proves(tb fataler, device uint64, tier uint32, units uint64) {
	must(tb, f.keeper.AddSupply(f.Ctx, score.Storage, device, geo.Cell(f.registry[device].Cell), tier, units))
	bond, _ := price.FromBig(coins(100).BigInt())
	f.seen[device] = score.Fact{Device: device, Challenged: true, Passed: 1, Proved: units, Leased: units, Tier: tier, Bond: bond}
}

func must(tb fataler, err error) {
	if err != nil {
		tb.Fatalf("%v", err)
	}
}

// turn ends the epoch and begins the next. It gives the epoch that ended.
func (f *fixture) turn(tb fataler) uint64 {
	f.Pass(epochSeconds)
	ended := f.clock.Epoch
	must(tb, f.keeper.AfterEpoch(f.Ctx, ended))
	f.clock.Epoch = auditv1.Epoch{Number: ended.Number + 1, StartTime: f.Ctx.BlockTime()}
	must(tb, f.keeper.EndBlock(f.Ctx))
	return ended.Number
}

// facts completes what is known of the devices in an epoch, ascending.
func (f *fixture) facts(tb fataler, epoch uint64) []score.Fact {
	var facts []score.Fact
	for id := uint64(1); id <= uint64(len(f.registry)); id++ {
		fact, known := f.seen[id]
		if !known {
			continue
		}
		fact.Epoch, fact.Service = epoch, score.Storage
		must(tb, f.keeper.Complete(f.Ctx, &fact))
		facts = append(facts, fact)
	}
	return facts
}

// report computes the report of an epoch that has ended, as a reporter does.
func (f *fixture) report(tb fataler, epoch uint64) *report.Tree[score.Account] {
	pools, err := f.keeper.Pools(f.Ctx, score.Storage, epoch)
	must(tb, err)
	plan := report.Plan{Service: score.Storage, Epoch: epoch, Rules: score.RulesV1, Pools: pools}
	var previous []score.Account
	if f.tree != nil {
		previous = f.tree.Leaves()
	}
	tree, err := plan.Compute(f.facts(tb, epoch), previous)
	must(tb, err)
	return tree
}

// final turns the epoch and makes its report final.
func (f *fixture) final(tb fataler) uint64 {
	epoch := f.turn(tb)
	tree := f.report(tb, epoch)
	must(tb, f.keeper.Final(f.Ctx, score.Storage, epoch, tree.Root()))
	f.tree, f.seen = tree, map[uint64]score.Fact{}
	return epoch
}

// proof gives a device's proof in the last final report.
func (f *fixture) proof(tb fataler, device uint64) []byte { return proofIn(tb, f.tree, device) }

func proofIn(tb fataler, tree *report.Tree[score.Account], device uint64) []byte {
	i, found := tree.Find(device)
	if !found {
		tb.Fatalf("device %d has no leaf", device)
	}
	proof, err := tree.Prove(i)
	must(tb, err)
	raw, err := proof.MarshalBinary()
	must(tb, err)
	return raw
}

func (f *fixture) account(tb fataler, device uint64) score.Account {
	i, found := f.tree.Find(device)
	if !found {
		tb.Fatalf("device %d has no leaf", device)
	}
	return f.tree.Leaves()[i]
}

// claims sends a claim of devices in the last final report.
func (f *fixture) claims(tb fataler, payer sdk.AccAddress, epoch uint64, devices ...uint64) (*rewardv1.MsgClaimResponse, error) {
	msg := &rewardv1.MsgClaim{Payer: stage.Spell(payer), Service: storage, Epoch: epoch}
	for _, id := range devices {
		msg.Proofs = append(msg.Proofs, f.proof(tb, id))
	}
	return f.msg.Claim(f.Ctx, msg)
}

// handle sends any message of the module.
func (f *fixture) handle(msg proto.Message) error {
	return stage.Deliver(f.Ctx, &rewardv1.Msg_serviceDesc, f.msg, msg)
}

// params changes the module's parameters.
func (f *fixture) params(tb fataler, change func(*rewardv1.Params)) {
	p, err := f.keeper.Params(f.Ctx)
	must(tb, err)
	change(&p)
	must(tb, f.handle(&rewardv1.MsgUpdateParams{Authority: stage.Spell(authority), Params: p}))
}
