package market_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	coredevice "github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/price"
	corevoucher "github.com/cairn-network/cairn/core/voucher"
	"github.com/cairn-network/cairn/internal/modkit"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/internal/stage"
	"github.com/cairn-network/cairn/x/market"
)

const denom = "acairn"

// authority may change params in these tests.
var authority = stage.Account(1000)

var moduleAccount = authtypes.NewModuleAddress(market.ModuleName)

// fixture is the market over the real registry of devices, real stores and a conserving bank.
type fixture struct {
	*stage.Stage
	devices   *device.Keeper
	deviceMsg devicev1.MsgServer
	keeper    *market.Keeper
	msg       marketv1.MsgServer
	query     marketv1.QueryServer
}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	f := &fixture{Stage: stage.New(tb, device.StoreKey, market.StoreKey)}
	f.open()
	if err := f.devices.InitGenesis(f.Ctx, device.DefaultGenesis()); err != nil {
		tb.Fatal(err)
	}
	if err := f.keeper.InitGenesis(f.Ctx, market.DefaultGenesis()); err != nil {
		tb.Fatal(err)
	}
	return f
}

// open makes the keepers over the stage's stores.
func (f *fixture) open() {
	f.devices = device.NewKeeper(f.Codec, f.Store(device.StoreKey), f.Addresses, f.Bank, stage.Spell(authority))
	f.keeper = market.NewKeeper(f.Codec, f.Store(market.StoreKey), f.Addresses, f.Bank, f.devices, stage.Spell(authority))
	f.devices.SetObligations(f.keeper)
	f.deviceMsg = device.NewMsgServer(f.devices)
	f.msg, f.query = market.NewMsgServer(f.keeper), market.NewQueryServer(f.keeper)
}

// restart takes both modules to a new chain through their genesis; the bank's coins go along.
func (f *fixture) restart(tb stage.Fataler) {
	devices, err := f.devices.ExportGenesis(f.Ctx)
	if err != nil {
		tb.Fatalf("exporting devices: %v", err)
	}
	exported, err := f.keeper.ExportGenesis(f.Ctx)
	if err != nil {
		tb.Fatalf("exporting the market: %v", err)
	}
	if err := errors.Join(device.ValidateGenesis(devices), market.ValidateGenesis(exported)); err != nil {
		tb.Fatalf("exported genesis does not hold: %v", err)
	}
	before := f.Hash()
	f.Clear(device.StoreKey)
	f.Clear(market.StoreKey)
	f.open()
	if err := errors.Join(f.devices.InitGenesis(f.Ctx, devices), f.keeper.InitGenesis(f.Ctx, exported)); err != nil {
		tb.Fatalf("importing: %v", err)
	}
	if f.Hash() != before {
		tb.Fatalf("the stores differ after export and import")
	}
}

// check holds every invariant, and that no coin was made or lost.
func (f *fixture) check(tb stage.Fataler) {
	err := errors.Join(
		modkit.Check(f.Ctx, f.keeper.Invariants()),
		modkit.Check(f.Ctx, f.devices.Invariants()),
		f.Bank.Check(f.Ctx))
	if err != nil {
		tb.Fatalf("%v", err)
	}
}

// block ends the block and begins the next, some seconds later.
func (f *fixture) block(tb stage.Fataler, seconds int64) {
	if err := f.keeper.EndBlock(f.Ctx); err != nil {
		tb.Fatalf("end of block: %v", err)
	}
	f.Pass(seconds)
}

// Accounts by role. Owner n owns device n+1, if registered in order.
func owner(n int) sdk.AccAddress    { return stage.Account(n) }
func operator(n int) sdk.AccAddress { return stage.Account(100 + n) }
func consumer(n int) sdk.AccAddress { return stage.Account(200 + n) }

func key(label string, n int) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "%s %d", label, n))
	return ed25519.NewKeyFromSeed(seed[:])
}

func session(n int) ed25519.PrivateKey { return key("session", n) }

func sessionKey(n int) []byte { return session(n).Public().(ed25519.PublicKey) }

func amount(n int64) math.Int { return math.NewInt(n) }

func priced(amount int64, per uint64) marketv1.Price {
	return marketv1.Price{Amount: math.NewInt(amount), Per: per}
}

func (f *fixture) rich(accounts ...sdk.AccAddress) {
	for _, a := range accounts {
		f.Bank.Mint(f.Ctx, a, sdk.Coin{Denom: denom, Amount: math.NewIntWithDecimal(1_000, 18)})
	}
}

func (f *fixture) balance(account sdk.AccAddress) math.Int {
	return f.Bank.GetBalance(f.Ctx, account, denom).Amount
}

// device registers device n of owner n, run by operator n, in region DE unless told otherwise.
func (f *fixture) device(tb testing.TB, n int, region string) uint64 {
	tb.Helper()
	f.rich(owner(n))
	private := key("device", n)
	res, err := f.deviceMsg.Register(f.Ctx, &devicev1.MsgRegister{
		Owner:     stage.Spell(owner(n)),
		Operator:  stage.Spell(operator(n)),
		Pubkey:    devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_ED25519, Key: private.Public().(ed25519.PublicKey)},
		Kind:      "storage",
		Region:    region,
		Signature: ed25519.Sign(private, coredevice.RegistrationBytes(stage.ChainID, stage.Spell(owner(n)), 0)),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return res.Id
}

// offering is a message by which device n+1 offers 1000 units: 1 acairn for 10 unit-seconds at
// rest, 2 for each unit served.
func offering(n int) *marketv1.MsgCreateOffer {
	return &marketv1.MsgCreateOffer{
		Operator:   stage.Spell(operator(n)),
		Device:     uint64(n + 1),
		Resource:   "storage",
		Denom:      denom,
		Stream:     priced(1, 10),
		Metered:    priced(2, 1),
		Capacity:   1000,
		MinSeconds: 10,
		MaxSeconds: 100_000,
	}
}

// sellers registers n devices with an offer each; device and offer i+1 are owner i's.
func (f *fixture) sellers(tb testing.TB, n int) {
	tb.Helper()
	for i := range n {
		if id := f.device(tb, i, "DE"); id != uint64(i+1) {
			tb.Fatalf("device %d has id %d", i, id)
		}
		res, err := f.msg.CreateOffer(f.Ctx, offering(i))
		if err != nil {
			tb.Fatal(err)
		}
		if res.Id != uint64(i+1) {
			tb.Fatalf("offer %d has id %d", i, res.Id)
		}
	}
}

// opening is a message by which consumer 0 takes 100 units of offer 1 for 1000 seconds with an
// escrow of 20,000: the stream costs 10 a second, 10,000 in all.
func opening() *marketv1.MsgOpenLease {
	return &marketv1.MsgOpenLease{
		Consumer:   stage.Spell(consumer(0)),
		SessionKey: sessionKey(0),
		Items:      []marketv1.NewItem{{Offer: 1, Units: 100, Escrow: amount(20_000)}},
		Seconds:    1000,
	}
}

func (f *fixture) lease(tb testing.TB, msg *marketv1.MsgOpenLease) uint64 {
	tb.Helper()
	res, err := f.msg.OpenLease(f.Ctx, msg)
	if err != nil {
		tb.Fatal(err)
	}
	return res.Id
}

func (f *fixture) item(tb stage.Fataler, lease, device uint64) marketv1.LeaseItem {
	res, err := f.query.Item(f.Ctx, &marketv1.QueryItemRequest{Lease: lease, Device: device})
	if err != nil {
		tb.Fatalf("item of lease %d, device %d: %v", lease, device, err)
	}
	return res.Item
}

// signed is a voucher of lease 1 to device 1 by session key 0, as changed, then signed.
func (f *fixture) signed(private ed25519.PrivateKey, change func(*marketv1.Voucher)) marketv1.Voucher {
	v := marketv1.Voucher{Lease: 1, Device: 1, Units: 50, Amount: amount(100), Seq: 1, Expiry: f.Now() + 10_000}
	if change != nil {
		change(&v)
	}
	return f.sign(private, stage.ChainID, v)
}

func (f *fixture) sign(private ed25519.PrivateKey, chain string, v marketv1.Voucher) marketv1.Voucher {
	a, err := price.FromBig(v.Amount.BigInt())
	if err != nil {
		return v // what cannot be signed is sent unsigned
	}
	s := corevoucher.Sign(private, corevoucher.Voucher{
		ChainID: chain, Lease: v.Lease, Device: v.Device, Units: v.Units, Amount: a, Seq: v.Seq, Expiry: v.Expiry,
	})
	v.Signature = s.Signature[:]
	return v
}

func (f *fixture) settle(vouchers ...marketv1.Voucher) (*marketv1.MsgSettleResponse, error) {
	return f.msg.Settle(f.Ctx, &marketv1.MsgSettle{Sender: stage.Spell(operator(0)), Vouchers: vouchers})
}

func (f *fixture) stream(refs ...marketv1.ItemRef) (*marketv1.MsgSettleResponse, error) {
	return f.msg.Settle(f.Ctx, &marketv1.MsgSettle{Sender: stage.Spell(operator(0)), Streams: refs})
}

func (f *fixture) params(tb testing.TB, change func(*marketv1.Params)) {
	tb.Helper()
	p := market.DefaultParams()
	change(&p)
	if _, err := f.msg.UpdateParams(f.Ctx, &marketv1.MsgUpdateParams{Authority: stage.Spell(authority), Params: p}); err != nil {
		tb.Fatal(err)
	}
}
