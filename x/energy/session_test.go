package energy_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	energyv1 "github.com/cairn-network/cairn/api/cairn/energy/v1"
	"github.com/cairn-network/cairn/x/device"
	"github.com/cairn-network/cairn/x/energy"
	"github.com/cairn-network/cairn/x/internal/stage"
)

func TestErrorCodesKeepTheirMeaning(t *testing.T) {
	stage.GoldenErrors(t, energy.ModuleName, "testdata/errors.golden")
}

// A signed session pays owner, site and fee at once and gives the rest back.
func TestSignedSessionIsPaidAtOnce(t *testing.T) {
	f := stations(t, 1)
	before, mine, theirs := f.balance(driver), f.balance(owner(0)), f.balance(site)
	s := f.opened(t, 1)
	if got := before.Sub(f.balance(driver)); !got.Equal(milli(20_000)) || len(s.Tag) != energy.TagSize {
		t.Fatalf("locked %s, tag %q", got, s.Tag)
	}
	f.Pass(3600)
	res, err := f.msg.SettleSession(f.Ctx, f.settling(s))
	if err != nil {
		t.Fatal(err)
	}
	// 1 to start, 10 kWh at 0.30, 600 s idle at 2 an hour.
	cost := milli(1000 + 3000).Add(milli(2000).QuoRaw(6))
	fee := cost.MulRaw(250).QuoRaw(10_000)
	b := res.Bill
	if !b.Signed || !b.TimeBilled || b.Energy != 10_000 || b.ChargingSeconds != 3000 || b.ParkingSeconds != 600 ||
		!b.Cost.Amount.Equal(cost) || !b.Refund.Amount.Equal(milli(20_000).Sub(cost)) || !b.Fee.Amount.Equal(fee) {
		t.Fatalf("bill %v", b)
	}
	earned := cost.Sub(fee)
	if got := before.Sub(f.balance(driver)); !got.Equal(cost) {
		t.Errorf("driver paid %s, want %s", got, cost)
	}
	owns, has := f.balance(owner(0)).Sub(mine), f.balance(site).Sub(theirs)
	if !owns.Add(has).Equal(earned) || has.Sub(earned.MulRaw(3).QuoRaw(10)).Abs().GT(math.OneInt()) {
		t.Errorf("shares got %s and %s of %s", owns, has, earned)
	}
	if !f.rewards.paid.Equal(earned) || !f.rewards.burned.Equal(fee) {
		t.Errorf("rewards were told %s paid and %s burned", f.rewards.paid, f.rewards.burned)
	}
	if got := f.session(t, s.Id).State; got != energyv1.SessionState_SESSION_STATE_SETTLED {
		t.Errorf("state %s", got)
	}
	station, err := f.query.Station(f.Ctx, &energyv1.QueryStationRequest{Device: 1})
	if err != nil || station.Station.Sessions != 1 || station.Station.Energy != 10_000 || station.Station.OpenSessions != 0 {
		t.Errorf("station %v, %v", station, err)
	}
	f.check(t)
}

// Without a start, without a bill, and by cancelling, everything comes back, and anyone can see to it.
func TestMoneyComesBackWithoutABill(t *testing.T) {
	for name, run := range map[string]func(*testing.T, *fixture, energyv1.Session) error{
		"no start, the chain sees to it": func(t *testing.T, f *fixture, s energyv1.Session) error {
			f.Pass(s.Deadline - f.Now())
			f.block(t, 1)
			return nil
		},
		"no start, a stranger sees to it": func(_ *testing.T, f *fixture, s energyv1.Session) error {
			f.Pass(s.Deadline - f.Now())
			_, err := f.msg.CloseSession(f.Ctx, &energyv1.MsgCloseSession{Sender: stage.Spell(stranger), Session: s.Id})
			return err
		},
		"cancelled": func(_ *testing.T, f *fixture, s energyv1.Session) error {
			_, err := f.msg.CancelSession(f.Ctx, &energyv1.MsgCancelSession{Driver: stage.Spell(driver), Session: s.Id})
			return err
		},
		"no bill": func(t *testing.T, f *fixture, s energyv1.Session) error {
			res, err := f.msg.StartSession(f.Ctx, &energyv1.MsgStartSession{Operator: stage.Spell(operator(0)), Session: s.Id})
			if err != nil {
				return err
			}
			f.Pass(res.BillBy - f.Now())
			f.block(t, 1)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := stations(t, 1)
			before := f.balance(driver)
			res, err := f.msg.OpenSession(f.Ctx, opening(1))
			if err != nil {
				t.Fatal(err)
			}
			if err := run(t, f, f.session(t, res.Id)); err != nil {
				t.Fatal(err)
			}
			if got := f.session(t, res.Id).State; got != energyv1.SessionState_SESSION_STATE_REFUNDED {
				t.Errorf("state %s", got)
			}
			if !f.balance(driver).Equal(before) {
				t.Errorf("driver has %s, had %s", f.balance(driver), before)
			}
			f.check(t)
		})
	}
}

// What a session's records must be, and who may bill: each refusal names its reason and leaves the
// driver's money where it is.
func TestBadRecordsAreRefused(t *testing.T) {
	hour := time.Hour
	for name, c := range map[string]struct {
		spoil func(f *fixture, s energyv1.Session, m *energyv1.MsgSettleSession)
		want  error
	}{
		"embedded foreign key": {func(f *fixture, s energyv1.Session, m *energyv1.MsgSettleSession) {
			m.Records[0] = bytes.Replace(f.record("meter-9", s.Tag, 1, time.Unix(s.StartedAt, 0), time.Unix(s.StartedAt, 0).Add(hour), 0, 10_000), []byte("meter-9"), []byte("meter-0"), 1)
		}, energy.ErrRecord},
		"changed energy": {func(_ *fixture, _ energyv1.Session, m *energyv1.MsgSettleSession) {
			m.Records[0] = bytes.Replace(m.Records[0], []byte("110.000"), []byte("119.000"), 1)
		}, energy.ErrRecord},
		"another driver's record": {func(f *fixture, s energyv1.Session, m *energyv1.MsgSettleSession) {
			m.Records[0] = f.record("meter-0", "ABCDEFGHIJ0123456789", 1, time.Unix(s.StartedAt, 0), time.Unix(s.StartedAt, 0).Add(hour), 100_000, 110_000)
		}, energy.ErrRecord},
		"clock off by days": {func(f *fixture, s energyv1.Session, m *energyv1.MsgSettleSession) {
			begin := time.Unix(s.StartedAt, 0).Add(-72 * hour)
			m.Records[0] = f.record("meter-0", s.Tag, 1, begin, begin.Add(hour), 100_000, 110_000)
		}, energy.ErrRecord},
		"meter backwards": {func(f *fixture, s energyv1.Session, m *energyv1.MsgSettleSession) {
			m.Records[0] = f.record("meter-0", s.Tag, 1, time.Unix(s.StartedAt, 0), time.Unix(s.StartedAt, 0).Add(hour), 110_000, 100_000)
		}, energy.ErrRecord},
		"more than the connector delivers": {func(f *fixture, s energyv1.Session, m *energyv1.MsgSettleSession) {
			m.Records[0] = f.record("meter-0", s.Tag, 1, time.Unix(s.StartedAt, 0), time.Unix(s.StartedAt, 0).Add(hour), 100_000, 200_000)
			m.Periods[0].Energy = 100_000
		}, energy.ErrRecord},
		"energy beside the records": {func(_ *fixture, _ energyv1.Session, m *energyv1.MsgSettleSession) { m.Periods[0].Energy++ }, energy.ErrPeriods},
		"time beyond the records":   {func(_ *fixture, _ energyv1.Session, m *energyv1.MsgSettleSession) { m.Periods[1].Seconds += 60 }, energy.ErrPeriods},
		"a stranger bills": {func(_ *fixture, _ energyv1.Session, m *energyv1.MsgSettleSession) {
			m.Operator = stage.Spell(stranger)
		}, device.ErrNotOperator},
		"no such session": {func(_ *fixture, _ energyv1.Session, m *energyv1.MsgSettleSession) { m.Session = 77 }, energy.ErrNoSession},
		"no JSON":         {func(_ *fixture, _ energyv1.Session, m *energyv1.MsgSettleSession) { m.Records[0] = []byte("OCMF|{|{}") }, energy.ErrRecord},
	} {
		t.Run(name, func(t *testing.T) {
			f := stations(t, 1)
			s := f.opened(t, 1)
			f.Pass(3600)
			m := f.settling(s)
			c.spoil(f, s, m)
			before := f.Hash()
			if _, err := f.msg.SettleSession(f.Ctx, m); !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if f.Hash() != before {
				t.Fatal("the state has changed")
			}
		})
	}
}

// INV-ENERGY-PAGE: a record pays once, at whatever station its meter stands, and still so when the
// session that used it is forgotten.
func TestARecordPaysOnce(t *testing.T) {
	f := stations(t, 2)
	f.params(t, func(p *energyv1.ChargingParams) { p.RetainSeconds = 3600 })
	moved := setting(1, 2)
	moved.Connectors[0].Meter = setting(0, 1).Connectors[0].Meter
	if _, err := f.msg.SetStation(f.Ctx, moved); err != nil {
		t.Fatal(err)
	}
	s := f.opened(t, 1)
	f.Pass(3600)
	m := f.settling(s)
	m.Records[0] = f.record("meter-0", "", 5, time.Unix(s.StartedAt, 0), time.Unix(s.StartedAt, 0).Add(time.Hour), 100_000, 110_000)
	if _, err := f.msg.SettleSession(f.Ctx, m); err != nil {
		t.Fatal(err)
	}
	again := func() {
		t.Helper()
		o := opening(1)
		o.Station = 2
		res, err := f.msg.OpenSession(f.Ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.msg.StartSession(f.Ctx, &energyv1.MsgStartSession{Operator: stage.Spell(operator(1)), Session: res.Id}); err != nil {
			t.Fatal(err)
		}
		again := *m
		again.Session, again.Operator = res.Id, stage.Spell(operator(1))
		if _, err := f.msg.SettleSession(f.Ctx, &again); !errors.Is(err, energy.ErrRecord) {
			t.Fatalf("billed twice: %v", err)
		}
	}
	again()
	f.Pass(3600)
	f.block(t, 1)
	if _, err := f.query.Session(f.Ctx, &energyv1.QuerySessionRequest{Id: s.Id}); !errors.Is(err, energy.ErrNoSession) {
		t.Fatalf("session is kept: %v", err)
	}
	f.restart(t)
	again()
	f.check(t)
}

// A bill that no record proves waits; the driver's word stops it, silence of the station undoes it,
// its answer stands unless governance judges otherwise.
func TestUnsignedBillWaitsForObjection(t *testing.T) {
	cost := milli(1000 + 3000).Add(milli(2000).QuoRaw(6))
	deposit := milli(1000)
	answer := func(f *fixture, id uint64, back math.Int) error {
		_, err := f.msg.AnswerDispute(f.Ctx, &energyv1.MsgAnswerDispute{Operator: stage.Spell(operator(0)), Session: id, GiveBack: back})
		return err
	}
	dispute := func(f *fixture, id uint64) error {
		_, err := f.msg.DisputeSession(f.Ctx, &energyv1.MsgDisputeSession{Driver: stage.Spell(driver), Session: id, Reason: "the cable was dead"})
		return err
	}
	pass := func(t *testing.T, f *fixture, id uint64) {
		f.Pass(f.session(t, id).Deadline - f.Now())
		f.block(t, 1)
	}
	for name, c := range map[string]struct {
		run   func(t *testing.T, f *fixture, id uint64) error
		lost  math.Int // by the driver
		state energyv1.SessionState
	}{
		"nobody objects": {func(t *testing.T, f *fixture, id uint64) error { pass(t, f, id); return nil }, cost, energyv1.SessionState_SESSION_STATE_SETTLED},
		"station is silent": {func(t *testing.T, f *fixture, id uint64) error {
			err := dispute(f, id)
			pass(t, f, id)
			return err
		}, math.ZeroInt(), energyv1.SessionState_SESSION_STATE_REFUNDED},
		"station gives half back": {func(t *testing.T, f *fixture, id uint64) error {
			err := errors.Join(dispute(f, id), answer(f, id, milli(2000)))
			pass(t, f, id)
			return err
		}, cost.Sub(milli(2000)), energyv1.SessionState_SESSION_STATE_SETTLED},
		"station gives nothing back": {func(t *testing.T, f *fixture, id uint64) error {
			err := errors.Join(dispute(f, id), answer(f, id, math.ZeroInt()))
			pass(t, f, id)
			return err
		}, cost.Add(deposit), energyv1.SessionState_SESSION_STATE_SETTLED},
		"governance gives all back and slashes": {func(t *testing.T, f *fixture, id uint64) error {
			err := errors.Join(dispute(f, id), answer(f, id, math.ZeroInt()))
			_, judged := f.msg.JudgeSession(f.Ctx, &energyv1.MsgJudgeSession{Authority: stage.Spell(authority), Session: id, GiveBack: cost, SlashBps: 5000})
			d, lookup := f.devices.Device(f.Ctx, 1)
			if !d.Bond.Amount.Equal(math.NewIntWithDecimal(5, 18)) {
				t.Errorf("bond %s", d.Bond)
			}
			return errors.Join(err, judged, lookup)
		}, math.ZeroInt(), energyv1.SessionState_SESSION_STATE_SETTLED},
	} {
		t.Run(name, func(t *testing.T) {
			f := stations(t, 1)
			before := f.balance(driver)
			s := f.opened(t, 2)
			f.Pass(3600)
			if _, err := f.msg.SettleSession(f.Ctx, f.settling(s)); err != nil {
				t.Fatal(err)
			}
			if got := before.Sub(f.balance(driver)); !got.Equal(cost) {
				t.Fatalf("%s is held, want %s: the rest is back at once", got, cost)
			}
			f.restart(t)
			if err := c.run(t, f, s.Id); err != nil {
				t.Fatal(err)
			}
			if got := before.Sub(f.balance(driver)); !got.Equal(c.lost) {
				t.Errorf("driver lost %s, want %s", got, c.lost)
			}
			if got := f.session(t, s.Id).State; got != c.state {
				t.Errorf("state %s, want %s", got, c.state)
			}
			f.check(t)
		})
	}
}

// An unsigned station may lock little; more than the escrow is never taken.
func TestCaps(t *testing.T) {
	f := stations(t, 1)
	o := opening(2)
	o.Escrow = money(50_001)
	if _, err := f.msg.OpenSession(f.Ctx, o); !errors.Is(err, energy.ErrAmount) {
		t.Fatalf("locked %s at a meter that does not sign: %v", o.Escrow, err)
	}
	o = opening(1)
	o.Escrow = money(1500)
	res, err := f.msg.OpenSession(f.Ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.msg.StartSession(f.Ctx, &energyv1.MsgStartSession{Operator: stage.Spell(operator(0)), Session: res.Id}); err != nil {
		t.Fatal(err)
	}
	f.Pass(3600)
	billed, err := f.msg.SettleSession(f.Ctx, f.settling(f.session(t, res.Id)))
	if err != nil {
		t.Fatal(err)
	}
	if b := billed.Bill; !b.Cost.Amount.Equal(milli(1500)) || !b.Refund.IsZero() || !b.Unpaid.Amount.Equal(b.Due.Amount.Sub(milli(1500))) {
		t.Errorf("bill %v", b)
	}
	f.check(t)
}

// A session is of the tariff and shares that were there when it was opened; the device cannot leave it.
func TestASessionKeepsItsTerms(t *testing.T) {
	f := stations(t, 1)
	s := f.opened(t, 1)
	changed := setting(0, 1)
	changed.Shares = []energyv1.Share{{Account: stage.Spell(stranger), Bps: 10_000}}
	changed.Connectors[0].Meter = nil
	if _, err := f.msg.SetStation(f.Ctx, changed); err != nil {
		t.Fatal(err)
	}
	retire, err := device.NewMsgServer(f.devices).Retire(f.Ctx, &devicev1.MsgRetire{Owner: stage.Spell(owner(0)), Id: 1})
	if err == nil && retire.State == devicev1.DeviceState_DEVICE_STATE_RETIRED {
		t.Fatal("the station's device has left its session")
	}
	before := f.balance(stranger)
	f.Pass(3600)
	if _, err := f.msg.SettleSession(f.Ctx, f.settling(s)); err != nil {
		t.Fatal(err)
	}
	if !f.balance(stranger).Equal(before) {
		t.Error("a share that came later was paid")
	}
	old := opening(1)
	old.Tariff = 2
	if _, err := f.msg.OpenSession(f.Ctx, old); err == nil {
		t.Error("opened by a tariff that the station does not sell by")
	}
}

// What cannot be paid is tried again, and holds up nothing else.
func TestAnAccountThatCannotBePaidHoldsUpNobody(t *testing.T) {
	f := stations(t, 1)
	stuck, other := f.opened(t, 2), f.opened(t, 2)
	f.Pass(3600)
	for _, s := range []energyv1.Session{stuck, other} {
		if _, err := f.msg.SettleSession(f.Ctx, f.settling(s)); err != nil {
			t.Fatal(err)
		}
	}
	f.Pass(f.session(t, stuck.Id).Deadline - f.Now())
	refusals := 0
	f.Bank.Refuse = func(to sdk.AccAddress) error {
		if refusals++; refusals == 1 {
			panic("account cannot be paid")
		}
		return nil
	}
	f.block(t, 1)
	if a, b := f.session(t, stuck.Id), f.session(t, other.Id); a.State != energyv1.SessionState_SESSION_STATE_HELD || b.State != energyv1.SessionState_SESSION_STATE_SETTLED {
		t.Fatalf("states %s and %s", a.State, b.State)
	}
	f.check(t)
	f.Pass(f.session(t, stuck.Id).Deadline - f.Now())
	f.block(t, 1)
	if a := f.session(t, stuck.Id); a.State != energyv1.SessionState_SESSION_STATE_SETTLED {
		t.Fatalf("state %s", a.State)
	}
	f.check(t)
}

func TestParamsAreBounded(t *testing.T) {
	f := newFixture(t)
	for name, spoil := range map[string]func(*energyv1.ChargingParams){
		"fee":      func(p *energyv1.ChargingParams) { p.FeeBps = 2001 },
		"start":    func(p *energyv1.ChargingParams) { p.StartSeconds = 1 },
		"escrow":   func(p *energyv1.ChargingParams) { p.MaxEscrow.Amount = math.ZeroInt() },
		"denom":    func(p *energyv1.ChargingParams) { p.DisputeDeposit.Denom = "uatom" },
		"deadline": func(p *energyv1.ChargingParams) { p.DeadlinesPerBlock = 0 },
		"nil":      func(p *energyv1.ChargingParams) { p.MaxUnsigned = math.Int{} },
	} {
		params := energy.DefaultParams()
		spoil(&params.Charging)
		_, err := f.msg.UpdateParams(f.Ctx, &energyv1.MsgUpdateParams{Authority: stage.Spell(authority), Params: params})
		if !errors.Is(err, energy.ErrParams) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.msg.UpdateParams(f.Ctx, &energyv1.MsgUpdateParams{Authority: stage.Spell(stranger), Params: energy.DefaultParams()}); !errors.Is(err, energy.ErrNotAuthority) {
		t.Errorf("a stranger changed params: %v", err)
	}
}

// The end of a block does no more than the params allow.
func TestBlocksAreBounded(t *testing.T) {
	f := stations(t, 1)
	f.params(t, func(p *energyv1.ChargingParams) { p.DeadlinesPerBlock = 2 })
	for range 5 {
		if _, err := f.msg.OpenSession(f.Ctx, opening(1)); err != nil {
			t.Fatal(err)
		}
	}
	f.Pass(301)
	for _, want := range []int{2, 4, 5} {
		f.block(t, 1)
		refunded := 0
		for id := range uint64(5) {
			if f.session(t, id+1).State == energyv1.SessionState_SESSION_STATE_REFUNDED {
				refunded++
			}
		}
		if refunded != want {
			t.Fatalf("%d refunded, want %d", refunded, want)
		}
	}
	f.check(t)
}
