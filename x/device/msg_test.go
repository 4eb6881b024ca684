package device_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	coreaddress "github.com/cairn-network/cairn/core/address"
	coredevice "github.com/cairn-network/cairn/core/device"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/internal/stage"
)

func TestRegisterTakesDepositAndBond(t *testing.T) {
	f := newFixture(t)
	owner := stage.Account(0)
	f.rich(owner)
	before := f.Bank.GetBalance(f.Ctx, owner, denom)
	id := f.register(t, owner, 1)
	if id != 1 {
		t.Fatalf("the first device has id %d, want 1", id)
	}
	d := f.device(t, id)
	if d.Owner != stage.Spell(owner) || d.Operator != d.Owner || d.State != devicev1.DeviceState_DEVICE_STATE_ACTIVE {
		t.Fatalf("registered %+v", d)
	}
	want := before.Sub(device.DefaultParams().Deposit).Sub(coin(5))
	if has := f.Bank.GetBalance(f.Ctx, owner, denom); !has.Equal(want) {
		t.Fatalf("owner has %s, want %s", has, want)
	}
	f.check(t)
}

func TestAddressesAreTakenInBothSpellingsAndKeptInOne(t *testing.T) {
	f := newFixture(t)
	owner, operator := stage.Account(0), stage.Account(1)
	f.rich(owner)
	msg := registration(owner, 1, 0)
	msg.Owner, msg.Operator = coreaddress.Hex([20]byte(owner)), coreaddress.Hex([20]byte(operator))
	res, err := f.msg.Register(f.Ctx, msg)
	if err != nil {
		t.Fatal(err)
	}
	if d := f.device(t, res.Id); d.Owner != stage.Spell(owner) || d.Operator != stage.Spell(operator) {
		t.Fatalf("kept owner %s, operator %s", d.Owner, d.Operator)
	}
	if _, err := f.msg.Announce(f.Ctx, &devicev1.MsgAnnounce{Operator: coreaddress.Hex([20]byte(operator)), Id: res.Id}); err != nil {
		t.Fatal(err)
	}
	f.check(t)
}

func TestRegisterWithP256Key(t *testing.T) {
	f := newFixture(t)
	owner := stage.Account(0)
	f.rich(owner)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(coredevice.RegistrationBytes(stage.ChainID, stage.Spell(owner), 0))
	r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	if high := new(big.Int).Rsh(elliptic.P256().Params().N, 1); s.Cmp(high) > 0 {
		s.Sub(elliptic.P256().Params().N, s)
	}
	msg := registration(owner, 1, 0)
	msg.Pubkey = devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_P256, Key: elliptic.MarshalCompressed(elliptic.P256(), private.X, private.Y)}
	msg.Signature = make([]byte, 64)
	r.FillBytes(msg.Signature[:32])
	s.FillBytes(msg.Signature[32:])
	if _, err := f.msg.Register(f.Ctx, msg); err != nil {
		t.Fatal(err)
	}
	f.check(t)
}

func TestTransferMovesDeviceDepositAndCount(t *testing.T) {
	f := newFixture(t)
	seller, buyer, operator := stage.Account(0), stage.Account(1), stage.Account(2)
	f.rich(seller, buyer)
	id := f.register(t, seller, 1)
	if _, err := f.msg.Transfer(f.Ctx, &devicev1.MsgTransfer{Owner: stage.Spell(seller), Id: id, NewOwner: stage.Spell(buyer)}); err != nil {
		t.Fatal(err)
	}
	if d := f.device(t, id); d.Owner != stage.Spell(seller) {
		t.Fatal("moved before it was accepted")
	}
	if _, err := f.msg.AcceptTransfer(f.Ctx, &devicev1.MsgAcceptTransfer{NewOwner: stage.Spell(buyer), Id: id, Operator: stage.Spell(operator)}); err != nil {
		t.Fatal(err)
	}
	if d := f.device(t, id); d.Owner != stage.Spell(buyer) || d.Operator != stage.Spell(operator) || d.PendingOwner != "" {
		t.Fatalf("after the transfer: %+v", d)
	}
	f.check(t)

	before := f.Bank.GetBalance(f.Ctx, buyer, denom)
	f.retire(t, buyer, id)
	want := before.Add(device.DefaultParams().Deposit).Add(coin(5))
	if has := f.Bank.GetBalance(f.Ctx, buyer, denom); !has.Equal(want) {
		t.Fatalf("the new owner got %s back, want %s", has, want)
	}
	f.check(t)
}

// retire takes a device all the way out.
func (f *fixture) retire(tb testing.TB, owner sdk.AccAddress, id uint64) {
	tb.Helper()
	msg := &devicev1.MsgRetire{Owner: stage.Spell(owner), Id: id}
	if _, err := f.msg.Retire(f.Ctx, msg); err != nil {
		tb.Fatal(err)
	}
	f.Pass(device.DefaultParams().UnbondingSeconds)
	res, err := f.msg.Retire(f.Ctx, msg)
	if err != nil {
		tb.Fatal(err)
	}
	if res.State != devicev1.DeviceState_DEVICE_STATE_RETIRED {
		tb.Fatalf("retired into %s", res.State)
	}
}

// TestBondOutlastsTheLastLease: however long ago it began to leave, a device whose last lease has just
// ended answers for it for the whole unbonding time.
func TestBondOutlastsTheLastLease(t *testing.T) {
	f := newFixture(t)
	owner := stage.Account(0)
	f.rich(owner)
	id := f.register(t, owner, 1)
	msg := &devicev1.MsgRetire{Owner: stage.Spell(owner), Id: id}
	if _, err := f.msg.Retire(f.Ctx, msg); err != nil {
		t.Fatal(err)
	}
	unbonding := device.DefaultParams().UnbondingSeconds
	f.Pass(3 * unbonding)
	f.market.ended[id] = f.Now()
	free := f.Now() + unbonding
	for _, wait := range []int64{0, unbonding - 1} {
		f.Pass(wait)
		before := f.Hash()
		_, err := f.msg.Retire(f.Ctx, msg)
		if !errors.Is(err, device.ErrUnbonding) {
			t.Fatalf("%d s before it is free: %v", free-f.Now(), err)
		}
		if says := fmt.Sprintf("last_ended %d, and unbonding_seconds %d later is %d", free-unbonding, unbonding, free); !strings.Contains(err.Error(), says) {
			t.Errorf("%q does not say %q", err, says)
		}
		if f.Hash() != before {
			t.Error("the state has changed")
		}
	}
	f.Pass(1)
	if res, err := f.msg.Retire(f.Ctx, msg); err != nil || res.State != devicev1.DeviceState_DEVICE_STATE_RETIRED {
		t.Fatalf("when it is free: %v, %v", res, err)
	}
	f.check(t)
}

func TestRetiredKeyIsNeverRegisteredAgain(t *testing.T) {
	f := newFixture(t)
	owner := stage.Account(0)
	f.rich(owner)
	f.retire(t, owner, f.register(t, owner, 1))
	if _, err := f.msg.Register(f.Ctx, registration(owner, 1, 1)); !errors.Is(err, device.ErrKeyTaken) {
		t.Fatalf("registering a retired key: %v", err)
	}
}

func TestJailTermEndsByItself(t *testing.T) {
	f := newFixture(t)
	owner := stage.Account(0)
	f.rich(owner)
	id := f.register(t, owner, 1)
	if err := f.keeper.Jail(f.Ctx, id, f.Now()+100); err != nil {
		t.Fatal(err)
	}
	if _, err := f.keeper.Active(f.Ctx, id); !errors.Is(err, device.ErrNotActive) {
		t.Fatalf("in jail: %v", err)
	}
	f.Pass(100)
	if _, err := f.keeper.Active(f.Ctx, id); err != nil {
		t.Fatalf("after the term: %v", err)
	}
	f.check(t)
}

func TestRetiringDoesNotShortenAJailTerm(t *testing.T) {
	f := newFixture(t)
	owner := stage.Account(0)
	f.rich(owner)
	id := f.register(t, owner, 1)
	until := f.Now() + 2*device.DefaultParams().UnbondingSeconds
	if err := f.keeper.Jail(f.Ctx, id, until); err != nil {
		t.Fatal(err)
	}
	res, err := f.msg.Retire(f.Ctx, &devicev1.MsgRetire{Owner: stage.Spell(owner), Id: id})
	if err != nil || res.ReleaseAt != until {
		t.Fatalf("released at %v, %v; want %d", res, err, until)
	}
	if err := f.keeper.Jail(f.Ctx, id, until+5); err != nil {
		t.Fatal(err)
	}
	if d := f.device(t, id); d.ReleaseAt != until+5 || d.State != devicev1.DeviceState_DEVICE_STATE_RETIRING {
		t.Fatalf("after a later term: %s, release_at %d", d.State, d.ReleaseAt)
	}
}

// Every way to be wrong gives its registered error, and changes nothing.
func TestBadMessages(t *testing.T) {
	f := newFixture(t)
	owner, operator, stranger, poor := stage.Account(0), stage.Account(1), stage.Account(2), stage.Account(3)
	f.rich(owner, stranger)
	id := f.register(t, owner, 1)
	offered := f.register(t, owner, 2)
	retired := f.register(t, owner, 3)
	obliged := f.register(t, owner, 4)
	f.market.obliged[obliged] = true
	f.retire(t, owner, retired)
	retire := &devicev1.MsgRetire{Owner: stage.Spell(owner), Id: obliged}
	if _, err := f.msg.Retire(f.Ctx, retire); err != nil {
		t.Fatal(err)
	}
	f.Pass(device.DefaultParams().UnbondingSeconds)
	leaving := f.register(t, owner, 5)
	if _, err := f.msg.Retire(f.Ctx, &devicev1.MsgRetire{Owner: stage.Spell(owner), Id: leaving}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.msg.RotateOperator(f.Ctx, &devicev1.MsgRotateOperator{Owner: stage.Spell(owner), Id: id, Operator: stage.Spell(operator)}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.msg.Transfer(f.Ctx, &devicev1.MsgTransfer{Owner: stage.Spell(owner), Id: offered, NewOwner: stage.Spell(stranger)}); err != nil {
		t.Fatal(err)
	}
	const nonce = 5 // of the owner by now
	huge := math.NewIntFromBigInt(new(big.Int).Lsh(big.NewInt(1), 130))

	register := func(change func(*devicev1.MsgRegister)) func() error {
		return func() error {
			msg := registration(owner, 9, nonce)
			change(msg)
			_, err := f.msg.Register(f.Ctx, msg)
			return err
		}
	}
	announce := func(msg devicev1.MsgAnnounce) func() error {
		return func() error { _, err := f.msg.Announce(f.Ctx, &msg); return err }
	}
	relocate := func(msg devicev1.MsgRelocate) func() error {
		return func() error { _, err := f.msg.Relocate(f.Ctx, &msg); return err }
	}
	rotate := func(msg devicev1.MsgRotateOperator) func() error {
		return func() error { _, err := f.msg.RotateOperator(f.Ctx, &msg); return err }
	}
	transfer := func(msg devicev1.MsgTransfer) func() error {
		return func() error { _, err := f.msg.Transfer(f.Ctx, &msg); return err }
	}
	accept := func(msg devicev1.MsgAcceptTransfer) func() error {
		return func() error { _, err := f.msg.AcceptTransfer(f.Ctx, &msg); return err }
	}
	bond := func(msg devicev1.MsgAddBond) func() error {
		return func() error { _, err := f.msg.AddBond(f.Ctx, &msg); return err }
	}
	leave := func(who sdk.AccAddress, id uint64) func() error {
		return func() error {
			_, err := f.msg.Retire(f.Ctx, &devicev1.MsgRetire{Owner: stage.Spell(who), Id: id})
			return err
		}
	}
	params := func(who sdk.AccAddress, change func(*devicev1.Params)) func() error {
		return func() error {
			p := device.DefaultParams()
			change(&p)
			_, err := f.msg.UpdateParams(f.Ctx, &devicev1.MsgUpdateParams{Authority: stage.Spell(who), Params: p})
			return err
		}
	}
	me, hot, they := stage.Spell(owner), stage.Spell(operator), stage.Spell(stranger)
	for _, c := range []struct {
		name string
		run  func() error
		want error
		says string // the value at fault
	}{
		{"register: no owner", register(func(m *devicev1.MsgRegister) { m.Owner = "" }), device.ErrAddress, "owner"},
		{"register: owner with a typo", register(func(m *devicev1.MsgRegister) { m.Owner = "cairn1xyz" }), device.ErrAddress, "cairn1xyz"},
		{"register: bad operator", register(func(m *devicev1.MsgRegister) { m.Operator = "0x12" }), device.ErrAddress, "0x12"},
		{"register: unknown key type", register(func(m *devicev1.MsgRegister) { m.Pubkey.Type = 9 }), device.ErrKey, "9"},
		{"register: short key", register(func(m *devicev1.MsgRegister) { m.Pubkey.Key = m.Pubkey.Key[:31] }), device.ErrKey, "31"},
		{"register: key not on the curve", register(func(m *devicev1.MsgRegister) {
			m.Pubkey = devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_P256, Key: make([]byte, 33)}
		}), device.ErrSignature, ""},
		{"register: key taken", register(func(m *devicev1.MsgRegister) { *m = *registration(owner, 1, nonce) }), device.ErrKeyTaken, ""},
		{"register: signature of another key", register(func(m *devicev1.MsgRegister) { m.Signature = registration(owner, 8, nonce).Signature }), device.ErrSignature, ""},
		{"register: replayed signature", register(func(m *devicev1.MsgRegister) { *m = *registration(owner, 9, nonce-1) }), device.ErrSignature, "nonce 5"},
		{"register: signed for another owner", register(func(m *devicev1.MsgRegister) { m.Owner = they }), device.ErrSignature, they},
		{"register: no signature", register(func(m *devicev1.MsgRegister) { m.Signature = nil }), device.ErrSignature, ""},
		{"register: kind not listed", register(func(m *devicev1.MsgRegister) { m.Kind = "toaster" }), device.ErrKind, "toaster"},
		{"register: model too long", register(func(m *devicev1.MsgRegister) { m.Model = strings.Repeat("m", 65) }), device.ErrField, "65"},
		{"register: model not UTF-8", register(func(m *devicev1.MsgRegister) { m.Model = "\xff" }), device.ErrField, "model"},
		{"register: control character", register(func(m *devicev1.MsgRegister) { m.Model = "a\nb" }), device.ErrField, "model"},
		{"register: cell of another resolution", register(func(m *devicev1.MsgRegister) { m.Cell = 0x8928308280fffff }), device.ErrCell, "8928308280fffff"},
		{"register: not a cell", register(func(m *devicev1.MsgRegister) { m.Cell = 12 }), device.ErrCell, "c"},
		{"register: too deep", register(func(m *devicev1.MsgRegister) { m.Elevation = -501 }), device.ErrField, "-501"},
		{"register: too high", register(func(m *devicev1.MsgRegister) { m.Elevation = 9001 }), device.ErrField, "9001"},
		{"register: region", register(func(m *devicev1.MsgRegister) { m.Region = "Germany" }), device.ErrField, "Germany"},
		{"register: region in lower case", register(func(m *devicev1.MsgRegister) { m.Region = "de" }), device.ErrField, "de"},
		{"register: endpoint without port", register(func(m *devicev1.MsgRegister) { m.Endpoint = "node.example" }), device.ErrField, "node.example"},
		{"register: endpoint too long", register(func(m *devicev1.MsgRegister) { m.Endpoint = strings.Repeat("a", 300) + ":1" }), device.ErrField, "302"},
		{"register: negative bond", register(func(m *devicev1.MsgRegister) { m.Bond = coin(-1) }), device.ErrAmount, "-1"},
		{"register: huge bond", register(func(m *devicev1.MsgRegister) { m.Bond = sdk.Coin{Denom: denom, Amount: huge} }), device.ErrAmount, "bond"},
		{"register: bond without amount", register(func(m *devicev1.MsgRegister) { m.Bond = sdk.Coin{Denom: denom} }), device.ErrAmount, "bond"},
		{"register: bond in another coin", register(func(m *devicev1.MsgRegister) { m.Bond.Denom = "uatom" }), device.ErrAmount, "uatom"},
		{"register: bond above balance", register(func(m *devicev1.MsgRegister) {
			m.Bond.Amount = math.NewIntWithDecimal(1, 30)
		}), stage.ErrFunds, ""},
		{"register: cannot pay the deposit", func() error {
			_, err := f.msg.Register(f.Ctx, registration(poor, 9, 0))
			return err
		}, stage.ErrFunds, ""},

		{"announce: stranger", announce(devicev1.MsgAnnounce{Operator: they, Id: id}), device.ErrNotOperator, they},
		{"announce: unknown device", announce(devicev1.MsgAnnounce{Operator: me, Id: 99}), device.ErrNotFound, "99"},
		{"announce: bad address", announce(devicev1.MsgAnnounce{Operator: "me", Id: id}), device.ErrAddress, "me"},
		{"announce: bad endpoint", announce(devicev1.MsgAnnounce{Operator: hot, Id: id, Endpoint: "host:99999"}), device.ErrField, "99999"},
		{"announce: bad model", announce(devicev1.MsgAnnounce{Operator: hot, Id: id, Model: strings.Repeat("m", 65)}), device.ErrField, "65"},
		{"announce: retired", announce(devicev1.MsgAnnounce{Operator: me, Id: retired}), device.ErrRetired, "device 3"},

		{"relocate: operator is not the owner", relocate(devicev1.MsgRelocate{Owner: hot, Id: id}), device.ErrNotOwner, hot},
		{"relocate: unknown device", relocate(devicev1.MsgRelocate{Owner: me, Id: 99}), device.ErrNotFound, "99"},
		{"relocate: bad address", relocate(devicev1.MsgRelocate{Id: id}), device.ErrAddress, "owner"},
		{"relocate: bad cell", relocate(devicev1.MsgRelocate{Owner: me, Id: id, Cell: 1}), device.ErrCell, "1"},
		{"relocate: retired", relocate(devicev1.MsgRelocate{Owner: me, Id: retired}), device.ErrRetired, "device 3"},

		{"rotate: stranger", rotate(devicev1.MsgRotateOperator{Owner: they, Id: id, Operator: they}), device.ErrNotOwner, they},
		{"rotate: unknown device", rotate(devicev1.MsgRotateOperator{Owner: me, Id: 99, Operator: me}), device.ErrNotFound, "99"},
		{"rotate: to nobody", rotate(devicev1.MsgRotateOperator{Owner: me, Id: id}), device.ErrAddress, "operator"},
		{"rotate: bad owner", rotate(devicev1.MsgRotateOperator{Owner: "x", Id: id, Operator: me}), device.ErrAddress, "owner"},

		{"transfer: stranger", transfer(devicev1.MsgTransfer{Owner: they, Id: id, NewOwner: they}), device.ErrNotOwner, they},
		{"transfer: unknown device", transfer(devicev1.MsgTransfer{Owner: me, Id: 99, NewOwner: they}), device.ErrNotFound, "99"},
		{"transfer: to oneself", transfer(devicev1.MsgTransfer{Owner: me, Id: id, NewOwner: me}), device.ErrField, me},
		{"transfer: bad address", transfer(devicev1.MsgTransfer{Owner: me, Id: id, NewOwner: "they"}), device.ErrAddress, "they"},
		{"transfer: retired", transfer(devicev1.MsgTransfer{Owner: me, Id: retired, NewOwner: they}), device.ErrRetired, "device 3"},

		{"accept: not offered", accept(devicev1.MsgAcceptTransfer{NewOwner: they, Id: id}), device.ErrNotOffered, they},
		{"accept: offered to another", accept(devicev1.MsgAcceptTransfer{NewOwner: hot, Id: offered}), device.ErrNotOffered, hot},
		{"accept: unknown device", accept(devicev1.MsgAcceptTransfer{NewOwner: they, Id: 99}), device.ErrNotFound, "99"},
		{"accept: bad operator", accept(devicev1.MsgAcceptTransfer{NewOwner: they, Id: offered, Operator: "x"}), device.ErrAddress, "operator"},
		{"accept: bad address", accept(devicev1.MsgAcceptTransfer{Id: offered}), device.ErrAddress, "new_owner"},

		{"add bond: zero", bond(devicev1.MsgAddBond{Owner: me, Id: id, Amount: coin(0)}), device.ErrAmount, "0"},
		{"add bond: nothing", bond(devicev1.MsgAddBond{Owner: me, Id: id}), device.ErrAmount, "0"},
		{"add bond: negative", bond(devicev1.MsgAddBond{Owner: me, Id: id, Amount: coin(-3)}), device.ErrAmount, "-3"},
		{"add bond: huge", bond(devicev1.MsgAddBond{Owner: me, Id: id, Amount: sdk.Coin{Denom: denom, Amount: huge}}), device.ErrAmount, ""},
		{"add bond: above balance", bond(devicev1.MsgAddBond{Owner: me, Id: id, Amount: sdk.Coin{Denom: denom, Amount: math.NewIntWithDecimal(1, 30)}}), stage.ErrFunds, ""},
		{"add bond: another coin", bond(devicev1.MsgAddBond{Owner: me, Id: id, Amount: sdk.NewInt64Coin("uatom", 1)}), device.ErrAmount, "uatom"},
		{"add bond: stranger", bond(devicev1.MsgAddBond{Owner: they, Id: id, Amount: coin(1)}), device.ErrNotOwner, they},
		{"add bond: unknown device", bond(devicev1.MsgAddBond{Owner: me, Id: 99, Amount: coin(1)}), device.ErrNotFound, "99"},
		{"add bond: retired", bond(devicev1.MsgAddBond{Owner: me, Id: retired, Amount: coin(1)}), device.ErrRetired, ""},
		{"add bond: bad address", bond(devicev1.MsgAddBond{Id: id, Amount: coin(1)}), device.ErrAddress, "owner"},

		{"retire: stranger", leave(stranger, id), device.ErrNotOwner, they},
		{"retire: unknown device", leave(owner, 99), device.ErrNotFound, "99"},
		{"retire: twice", leave(owner, retired), device.ErrRetired, "device 3"},
		{"retire: too early", leave(owner, leaving), device.ErrUnbonding, "release_at"},
		{"retire: with open items", leave(owner, obliged), device.ErrObliged, "device 4"},
		{"retire: bad address", func() error {
			_, err := f.msg.Retire(f.Ctx, &devicev1.MsgRetire{Id: id})
			return err
		}, device.ErrAddress, "owner"},

		{"params: stranger", params(owner, func(*devicev1.Params) {}), device.ErrNotAuthority, me},
		{"params: bad authority", func() error {
			_, err := f.msg.UpdateParams(f.Ctx, &devicev1.MsgUpdateParams{Params: device.DefaultParams()})
			return err
		}, device.ErrAddress, "authority"},
		{"params: deposit without amount", params(authority, func(p *devicev1.Params) { p.Deposit.Amount = math.Int{} }), device.ErrParams, "deposit"},
		{"params: negative deposit", params(authority, func(p *devicev1.Params) { p.Deposit.Amount = math.NewInt(-1) }), device.ErrParams, "-1"},
		{"params: bad denomination", params(authority, func(p *devicev1.Params) { p.Deposit.Denom = "!" }), device.ErrParams, "!"},
		{"params: negative unbonding", params(authority, func(p *devicev1.Params) { p.UnbondingSeconds = -1 }), device.ErrParams, "-1"},
		{"params: endless unbonding", params(authority, func(p *devicev1.Params) { p.UnbondingSeconds = 1 << 62 }), device.ErrParams, "unbonding_seconds"},
		{"params: no kinds", params(authority, func(p *devicev1.Params) { p.Kinds = nil }), device.ErrParams, "kinds"},
		{"params: bad kind", params(authority, func(p *devicev1.Params) { p.Kinds = []string{"Storage"} }), device.ErrParams, "Storage"},
		{"params: kind twice", params(authority, func(p *devicev1.Params) { p.Kinds = []string{"a", "a"} }), device.ErrParams, "kinds[1]"},
		{"params: no devices", params(authority, func(p *devicev1.Params) { p.MaxDevicesPerOwner = 0 }), device.ErrParams, "max_devices_per_owner"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := f.Hash()
			err := c.run()
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
			if f.Hash() != before {
				t.Error("the state has changed")
			}
		})
	}
	f.check(t)
}

func TestOwnerHasAtMostTheDevicesAllowed(t *testing.T) {
	f := newFixture(t)
	owner, other := stage.Account(0), stage.Account(1)
	f.rich(owner, other)
	p := device.DefaultParams()
	p.MaxDevicesPerOwner = 1
	if _, err := f.msg.UpdateParams(f.Ctx, &devicev1.MsgUpdateParams{Authority: stage.Spell(authority), Params: p}); err != nil {
		t.Fatal(err)
	}
	first := f.register(t, owner, 1)
	before := f.Hash()
	if _, err := f.msg.Register(f.Ctx, registration(owner, 2, 1)); !errors.Is(err, device.ErrTooMany) {
		t.Fatalf("a second device: %v", err)
	}
	if f.Hash() != before {
		t.Fatal("the state has changed")
	}
	theirs := f.register(t, other, 3)
	if _, err := f.msg.Transfer(f.Ctx, &devicev1.MsgTransfer{Owner: stage.Spell(other), Id: theirs, NewOwner: stage.Spell(owner)}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.msg.AcceptTransfer(f.Ctx, &devicev1.MsgAcceptTransfer{NewOwner: stage.Spell(owner), Id: theirs}); !errors.Is(err, device.ErrTooMany) {
		t.Fatalf("a second device by transfer: %v", err)
	}
	f.retire(t, owner, first)
	if _, err := f.msg.AcceptTransfer(f.Ctx, &devicev1.MsgAcceptTransfer{NewOwner: stage.Spell(owner), Id: theirs}); err != nil {
		t.Fatalf("after the first has left: %v", err)
	}
	f.check(t)
}

func TestEndpoints(t *testing.T) {
	f := newFixture(t)
	owner := stage.Account(0)
	f.rich(owner)
	id := f.register(t, owner, 1)
	for endpoint, good := range map[string]bool{
		"": true, "node.example:7777": true, "10.0.0.1:1": true, "[2001:db8::1]:65535": true, "localhost:80": true, "a-b.c1:443": true,
		":80": false, "host:": false, "host:0": false, "host:080": false, "host:65536": false, "host:+80": false, "host:8 0": false,
		"2001:db8::1:80": false, "[host]:80": false, "[::1%eth0]:80": false, "[::1]": false, "-a:80": false, "a-:80": false, "a..b:80": false,
		"a_b:80": false, "http://a:80": false, "ä:80": false, "a:80\n": false,
	} {
		_, err := f.msg.Announce(f.Ctx, &devicev1.MsgAnnounce{Operator: stage.Spell(owner), Id: id, Endpoint: endpoint})
		if (err == nil) != good {
			t.Errorf("%q: %v", endpoint, err)
		}
		if err != nil && !errors.Is(err, device.ErrField) {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}
