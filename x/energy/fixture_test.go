package energy_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	coredevice "github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/core/ocmf"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/tariff"
	"github.com/cairn-network/cairn/internal/modkit"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/energy"
	"github.com/cairn-network/cairn/x/internal/stage"
)

const denom = "acairn"

var (
	authority = stage.Account(999)
	driver    = stage.Account(200)
	stranger  = stage.Account(300)
	site      = stage.Account(400)

	moduleAccount = authtypes.NewModuleAddress(energy.ModuleName)
)

// owner and operator of station n+1.
func owner(n int) sdk.AccAddress    { return stage.Account(n) }
func operator(n int) sdk.AccAddress { return stage.Account(100 + n) }

// fixture is the module over real stores, with the real registry and a bank that conserves coins.
type fixture struct {
	*stage.Stage
	devices *device.Keeper
	keeper  *energy.Keeper
	rewards *ledger
	msg     energyv1.MsgServer
	query   energyv1.QueryServer
	// pages is the next page of each meter.
	pages map[string]uint64
}

// ledger records what devices earned.
type ledger struct{ paid, burned math.Int }

func (l *ledger) AfterSettle(_ context.Context, _ uint64, _ string, paid, burned sdk.Coin) error {
	l.paid, l.burned = l.paid.Add(paid.Amount), l.burned.Add(burned.Amount)
	return nil
}

var stores = []string{device.StoreKey, energy.StoreKey}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	f := &fixture{Stage: stage.New(tb, stores...), pages: map[string]uint64{}, rewards: &ledger{math.ZeroInt(), math.ZeroInt()}}
	f.open()
	if err := errors.Join(f.devices.InitGenesis(f.Ctx, device.DefaultGenesis()), f.keeper.InitGenesis(f.Ctx, energy.DefaultGenesis())); err != nil {
		tb.Fatal(err)
	}
	for _, account := range []sdk.AccAddress{driver, stranger} {
		f.Bank.Mint(f.Ctx, account, sdk.Coin{Denom: denom, Amount: math.NewIntWithDecimal(1, 24)})
	}
	return f
}

func (f *fixture) open() {
	gov := stage.Spell(authority)
	f.devices = device.NewKeeper(f.Codec, f.Store(device.StoreKey), f.Addresses, f.Bank, gov)
	f.keeper = energy.NewKeeper(energy.Deps{
		Codec: f.Codec, Store: f.Store(energy.StoreKey), Addresses: f.Addresses, Bank: f.Bank, Devices: f.devices,
		Rewards: f.rewards, Authority: gov,
	})
	f.devices.SetObligations(f.keeper)
	f.msg, f.query = energy.NewMsgServer(f.keeper), energy.NewQueryServer(f.keeper)
}

// check holds every invariant, and that no coin was made or lost.
func (f *fixture) check(tb stage.Fataler) {
	if err := errors.Join(modkit.Check(f.Ctx, f.keeper.Invariants()), modkit.Check(f.Ctx, f.devices.Invariants()), f.Bank.Check(f.Ctx)); err != nil {
		tb.Fatalf("%v", err)
	}
}

// restart takes the module to a new chain through its genesis.
func (f *fixture) restart(tb stage.Fataler) {
	exported, err := f.keeper.ExportGenesis(f.Ctx)
	if err != nil {
		tb.Fatalf("exporting: %v", err)
	}
	if err := energy.ValidateGenesis(exported); err != nil {
		tb.Fatalf("exported genesis does not hold: %v", err)
	}
	before := f.Hash()
	f.Clear(energy.StoreKey)
	f.open()
	if err := f.keeper.InitGenesis(f.Ctx, exported); err != nil {
		tb.Fatalf("importing: %v", err)
	}
	if f.Hash() != before {
		tb.Fatalf("the store differs after export and import")
	}
}

// block ends the block and begins one so many seconds later.
func (f *fixture) block(tb stage.Fataler, seconds int64) {
	if err := f.keeper.EndBlock(f.Ctx); err != nil {
		tb.Fatalf("end of block: %v", err)
	}
	f.Pass(seconds)
}

func (f *fixture) balance(account sdk.AccAddress) math.Int {
	return f.Bank.GetBalance(f.Ctx, account, denom).Amount
}

func (f *fixture) params(tb testing.TB, edit func(*energyv1.ChargingParams)) {
	tb.Helper()
	params, err := f.keeper.Params(f.Ctx)
	if err != nil {
		tb.Fatal(err)
	}
	edit(&params.Charging)
	if _, err := f.msg.UpdateParams(f.Ctx, &energyv1.MsgUpdateParams{Authority: stage.Spell(authority), Params: params}); err != nil {
		tb.Fatal(err)
	}
}

// register makes device n+1 of a kind.
func (f *fixture) register(tb testing.TB, n int, kind string) uint64 {
	tb.Helper()
	f.Bank.Mint(f.Ctx, owner(n), sdk.Coin{Denom: denom, Amount: math.NewIntWithDecimal(100, 18)})
	seed := sha256.Sum256(fmt.Appendf(nil, "device %d", n))
	key := ed25519.NewKeyFromSeed(seed[:])
	res, err := device.NewMsgServer(f.devices).Register(f.Ctx, &devicev1.MsgRegister{
		Owner: stage.Spell(owner(n)), Operator: stage.Spell(operator(n)),
		Pubkey: devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_ED25519, Key: key.Public().(ed25519.PublicKey)},
		Kind:   kind, Bond: sdk.Coin{Denom: denom, Amount: math.NewIntWithDecimal(10, 18)},
		Signature: ed25519.Sign(key, coredevice.RegistrationBytes(stage.ChainID, stage.Spell(owner(n)), 0)),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return res.Id
}

// meterKey is the key of a station's meter.
func meterKey(name string) *ecdsa.PrivateKey {
	d := sha256.Sum256([]byte("meter " + name))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		panic(err)
	}
	return key
}

func meterPublic(name string) []byte {
	point, err := meterKey(name).PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	key, err := ocmf.NewKey(ocmf.Secp256r1, point)
	if err != nil {
		panic(err)
	}
	return key.Bytes()
}

// record is a whole session in one OCMF record: from one register reading to another, in Wh.
func (f *fixture) record(meter, user string, page uint64, begin, end time.Time, from, to int64) []byte {
	assigned := user != ""
	reading := func(at time.Time, kind string, wh int64) string {
		return fmt.Sprintf(`{"TM":"%s S","TX":"%s","RV":%d.%03d,"RI":"1-b:1.8.0","RU":"kWh","RT":"AC","EF":"","ST":"G"}`,
			at.UTC().Format("2006-01-02T15:04:05,000-0700"), kind, wh/1000, wh%1000)
	}
	payload := fmt.Sprintf(`{"FV":"1.0","GI":"Cairn","GS":"1","GV":"1.0","PG":"T%d","MV":"M","MM":"X","MS":"%s","MF":"1","IS":%t,"IL":"HEARSAY","IF":[],"IT":"CENTRAL","ID":"%s","RD":[%s,%s]}`,
		page, meter, assigned, user, reading(begin, "B", from), reading(end, "E", to))
	digest := sha256.Sum256([]byte(payload))
	signature, err := meterKey(meter).Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, `OCMF|%s|{"SD":"%s"}`, payload, hex.EncodeToString(signature))
}

// usual is 0.30 CAIRN a kWh, 1 CAIRN to start, 2 CAIRN an hour idle.
func usual() []byte {
	unit := func(milli int64) price.Amount {
		a, err := price.FromBig(new(big.Int).Mul(big.NewInt(milli), math.NewIntWithDecimal(1, 15).BigInt()))
		if err != nil {
			panic(err)
		}
		return a
	}
	t, err := tariff.Simple{
		CountryCode: "DE", PartyID: "CRN", ID: "1", Currency: "CAIRN", Start: unit(1000), PerKWh: unit(300), Idle: unit(2000),
		VAT: tariff.Some[tariff.VAT](0), LastUpdated: stage.Start.Unix(),
	}.Tariff()
	if err != nil {
		panic(err)
	}
	return t.JSON()
}

// milli is thousandths of a CAIRN.
func milli(n int64) math.Int { return math.NewInt(n).Mul(math.NewIntWithDecimal(1, 15)) }

func money(n int64) sdk.Coin { return sdk.Coin{Denom: denom, Amount: milli(n)} }

// setting is the message that puts station n+1 on offer: connector 1 signs, connector 2 does not.
func setting(n int, id uint64) *energyv1.MsgSetStation {
	meter := fmt.Sprintf("meter-%d", n)
	return &energyv1.MsgSetStation{
		Operator: stage.Spell(operator(n)), Device: id, Tariff: 1,
		Connectors: []energyv1.Connector{
			{Id: 1, MaxWatts: 22_000, Meter: &energyv1.StationMeter{Serial: meter, Key: meterPublic(meter)}},
			{Id: 2, MaxWatts: 11_000},
		},
		Shares: []energyv1.Share{{Account: stage.Spell(owner(n)), Bps: 7_000}, {Account: stage.Spell(site), Bps: 3_000}},
	}
}

// stations is a fixture with a tariff and so many stations on offer.
func stations(tb testing.TB, n int) *fixture {
	tb.Helper()
	f := newFixture(tb)
	if _, err := f.msg.PublishTariff(f.Ctx, &energyv1.MsgPublishTariff{Publisher: stage.Spell(owner(0)), Document: usual()}); err != nil {
		tb.Fatal(err)
	}
	for i := range n {
		id := f.register(tb, i, energy.Charger)
		if _, err := f.msg.SetStation(f.Ctx, setting(i, id)); err != nil {
			tb.Fatal(err)
		}
	}
	return f
}

// opening is the message that opens a session at a connector of station 1.
func opening(connector uint32) *energyv1.MsgOpenSession {
	return &energyv1.MsgOpenSession{Driver: stage.Spell(driver), Station: 1, Connector: connector, Tariff: 1, Escrow: money(20_000)}
}

// opened opens a session and begins it.
func (f *fixture) opened(tb testing.TB, connector uint32) energyv1.Session {
	tb.Helper()
	res, err := f.msg.OpenSession(f.Ctx, opening(connector))
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := f.msg.StartSession(f.Ctx, &energyv1.MsgStartSession{Operator: stage.Spell(operator(0)), Session: res.Id}); err != nil {
		tb.Fatal(err)
	}
	return f.session(tb, res.Id)
}

func (f *fixture) session(tb stage.Fataler, id uint64) energyv1.Session {
	res, err := f.query.Session(f.Ctx, &energyv1.QuerySessionRequest{Id: id})
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return res.Session
}

// settling is the message that bills a session of an hour with 10 kWh, charged in 50 minutes.
func (f *fixture) settling(s energyv1.Session) *energyv1.MsgSettleSession {
	m := &energyv1.MsgSettleSession{
		Operator: stage.Spell(operator(int(s.Station) - 1)), Session: s.Id, Begin: s.StartedAt, ZoneSeconds: 3600,
		Periods: []energyv1.Period{
			{State: energyv1.PeriodState_PERIOD_STATE_CHARGING, Seconds: 3000, Energy: 10_000},
			{State: energyv1.PeriodState_PERIOD_STATE_IDLE, Seconds: 600},
		},
	}
	if s.Meter != nil {
		f.pages[s.Meter.Serial]++
		begin := time.Unix(s.StartedAt, 0)
		m.Records = [][]byte{f.record(s.Meter.Serial, strings.ToUpper(s.Tag), f.pages[s.Meter.Serial], begin, begin.Add(time.Hour), 100_000, 110_000)}
	}
	return m
}
