package device_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	coredevice "github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/internal/modkit"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/internal/stage"
)

const denom = "acairn"

// authority may change params in these tests.
var authority = stage.Account(1000)

// market is what devices owe, as a test sets it.
type market struct {
	obliged map[uint64]bool
	ended   map[uint64]int64 // when its last lease ended, Unix seconds
}

func (m *market) Idle(_ context.Context, id uint64) (since int64, idle bool, err error) {
	if m.obliged[id] {
		return 0, false, nil
	}
	return m.ended[id], true, nil
}

// fixture is the module over real stores and a conserving bank.
type fixture struct {
	*stage.Stage
	keeper *device.Keeper
	msg    devicev1.MsgServer
	query  devicev1.QueryServer
	market *market
	epochs *epochs
}

// epochs are the beacons that a test's chain knows; the last is the current one.
type epochs struct{ list []auditv1.Epoch }

func (e *epochs) Current(context.Context) (auditv1.Epoch, error) { return e.list[len(e.list)-1], nil }

func (e *epochs) EpochAt(_ context.Context, number uint64) (auditv1.Epoch, error) {
	if number == 0 || number > uint64(len(e.list)) {
		return auditv1.Epoch{}, errors.New("no such epoch")
	}
	return e.list[number-1], nil
}

// turn begins an epoch.
func (e *epochs) turn() {
	number := uint64(len(e.list) + 1)
	beacon := sha256.Sum256(fmt.Appendf(nil, "beacon %d", number))
	e.list = append(e.list, auditv1.Epoch{Number: number, Beacon: beacon[:], Outputs: 1})
}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	f := &fixture{Stage: stage.New(tb, device.StoreKey), market: &market{obliged: map[uint64]bool{}, ended: map[uint64]int64{}}, epochs: &epochs{}}
	f.epochs.turn()
	f.open()
	if err := f.keeper.InitGenesis(f.Ctx, device.DefaultGenesis()); err != nil {
		tb.Fatal(err)
	}
	return f
}

// open makes the keeper over the stage's store.
func (f *fixture) open() {
	f.keeper = device.NewKeeper(f.Codec, f.Store(device.StoreKey), f.Addresses, f.Bank, stage.Spell(authority))
	f.keeper.SetObligations(f.market)
	f.keeper.SetBeacons(f.epochs)
	f.msg, f.query = device.NewMsgServer(f.keeper), device.NewQueryServer(f.keeper)
}

// restart takes the module to a new chain through its genesis; the bank's coins go along.
func (f *fixture) restart(tb stage.Fataler) {
	exported, err := f.keeper.ExportGenesis(f.Ctx)
	if err != nil {
		tb.Fatalf("exporting: %v", err)
	}
	if err := device.ValidateGenesis(exported); err != nil {
		tb.Fatalf("exported genesis does not hold: %v", err)
	}
	before := f.Hash(device.StoreKey)
	f.Clear(device.StoreKey)
	f.open()
	if err := f.keeper.InitGenesis(f.Ctx, exported); err != nil {
		tb.Fatalf("importing: %v", err)
	}
	if f.Hash(device.StoreKey) != before {
		tb.Fatalf("the store differs after export and import")
	}
}

// check holds every invariant, and that no coin was made or lost.
func (f *fixture) check(tb stage.Fataler) {
	if err := errors.Join(modkit.Check(f.Ctx, f.keeper.Invariants()), f.Bank.Check(f.Ctx)); err != nil {
		tb.Fatalf("%v", err)
	}
}

// key is a device key, numbered.
func key(n int) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "device key %d", n))
	return ed25519.NewKeyFromSeed(seed[:])
}

// registration is a message that registers device key n for an owner, signed over a nonce.
func registration(owner sdk.AccAddress, n int, nonce uint64) *devicev1.MsgRegister {
	private := key(n)
	return &devicev1.MsgRegister{
		Owner:     stage.Spell(owner),
		Pubkey:    devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_ED25519, Key: private.Public().(ed25519.PublicKey)},
		Kind:      "storage",
		Model:     "shelf",
		Cell:      0x8c28308280f19ff,
		Elevation: 34,
		Region:    "DE",
		Endpoint:  "node.example:7777",
		Bond:      coin(5),
		Signature: ed25519.Sign(private, coredevice.RegistrationBytes(stage.ChainID, stage.Spell(owner), nonce)),
	}
}

func coin(amount int64) sdk.Coin { return sdk.Coin{Denom: denom, Amount: math.NewInt(amount)} }

// rich gives an account enough for everything.
func (f *fixture) rich(accounts ...sdk.AccAddress) {
	for _, a := range accounts {
		f.Bank.Mint(f.Ctx, a, sdk.Coin{Denom: denom, Amount: math.NewIntWithDecimal(1000, 18)})
	}
}

// register registers device key n for an owner.
func (f *fixture) register(tb testing.TB, owner sdk.AccAddress, n int) uint64 {
	tb.Helper()
	nonce, err := f.query.Nonce(f.Ctx, &devicev1.QueryNonceRequest{Owner: stage.Spell(owner)})
	if err != nil {
		tb.Fatal(err)
	}
	res, err := f.msg.Register(f.Ctx, registration(owner, n, nonce.Nonce))
	if err != nil {
		tb.Fatal(err)
	}
	return res.Id
}

func (f *fixture) device(tb testing.TB, id uint64) devicev1.Device {
	tb.Helper()
	d, err := f.keeper.Device(f.Ctx, id)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}
