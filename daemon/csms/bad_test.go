package csms_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/daemon/csms"
	"github.com/cairn-network/cairn/sim/chargepoint"
	"github.com/cairn-network/cairn/wire/ocpp"
)

// raw is a station that says exactly what a test writes.
type raw struct {
	b    *bench
	conn *ocpp.Conn
	id   string
	dial ocpp.DialConfig
}

func (b *bench) raw(id string, version ocpp.Version, change func(*csms.Station)) *raw {
	b.t.Helper()
	password, hash := csms.NewPassword()
	record := csms.Station{ID: id, Profile: csms.BasicAuth, Password: hash, Connectors: []csms.Connector{{ID: 1, Power: 22_000, Tariff: "plain"}, {ID: 2, Power: 22_000, Tariff: "plain"}}}
	if change != nil {
		change(&record)
	}
	require.NoError(b.t, b.service.Register(record))
	r := &raw{b: b, id: id, dial: ocpp.DialConfig{URL: b.info.URL, Station: id, Password: password, Versions: []ocpp.Version{version}}}
	r.connect()
	return r
}

// yes accepts whatever it is asked.
type yes struct{}

func (yes) ServeOCPP(context.Context, *ocpp.Conn, string, json.RawMessage) (any, error) {
	return map[string]string{"status": "Accepted"}, nil
}

func (r *raw) connect() {
	r.b.t.Helper()
	r.dial.URL = r.b.info.URL
	c, err := ocpp.Dial(r.b.wait(), r.dial)
	require.NoError(r.b.t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Serve(context.Background(), yes{})
	}()
	r.b.t.Cleanup(func() {
		c.Close(1000, "")
		<-done
	})
	r.conn = c
}

// call sends a payload and returns the answer.
func (r *raw) call(action, format string, args ...any) map[string]any {
	r.b.t.Helper()
	answer, err := r.conn.Invoke(r.b.wait(), action, fmt.Appendf(nil, format, args...))
	require.NoError(r.b.t, err)
	var out map[string]any
	require.NoError(r.b.t, json.Unmarshal(answer, &out))
	return out
}

// refused sends a payload and returns why it was not taken.
func (r *raw) refused(action, format string, args ...any) *ocpp.Error {
	r.b.t.Helper()
	_, err := r.conn.Invoke(r.b.wait(), action, fmt.Appendf(nil, format, args...))
	var e *ocpp.Error
	require.True(r.b.t, errors.As(err, &e), "%v", err)
	return e
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// ordered opens a session and waits until the central system knows it.
func (r *raw) ordered(escrow price.Amount) csms.Order {
	o := r.b.order(r.id, escrow, 0)
	r.b.until("order", func() bool {
		return r.call("Authorize", `{"idTag":%q}`, o.Tag)["idTagInfo"].(map[string]any)["status"] == "Accepted"
	})
	return o
}

func (r *raw) start(o csms.Order, at time.Time, register int) int {
	r.b.t.Helper()
	answer := r.call("StartTransaction", `{"connectorId":1,"idTag":%q,"meterStart":%d,"timestamp":%q}`, o.Tag, register, stamp(at))
	require.Equal(r.b.t, "Accepted", answer["idTagInfo"].(map[string]any)["status"])
	return int(answer["transactionId"].(float64))
}

func (r *raw) values(id int, at time.Time, value string) {
	r.call("MeterValues", `{"connectorId":1,"transactionId":%d,"meterValue":[{"timestamp":%q,"sampledValue":[{"value":%s}]}]}`, id, stamp(at), value)
}

func (r *raw) end(id int, at time.Time, register int, more string) {
	r.call("StopTransaction", `{"transactionId":%d,"meterStop":%d,"timestamp":%q,"reason":"EVDisconnected"%s}`, id, register, stamp(at), more)
}

func ago(d time.Duration) time.Time { return time.Now().Add(-d) }

func TestAReplayedStartHasOneSession(t *testing.T) {
	b := newBench(t, nil)
	r := b.raw("CP-1", ocpp.V16, func(s *csms.Station) { s.Connectors[0].Power = 0 })
	o := r.ordered(cairn(100))
	at := time.Now()
	id := r.start(o, at, 1000)
	require.Equal(t, id, r.start(o, at, 1000), "the same start, the same id")
	b.stop()
	b.start()
	r.connect()
	require.Equal(t, id, r.start(o, at, 1000), "and after a restart")
	other := r.call("StartTransaction", `{"connectorId":2,"idTag":%q,"meterStart":7,"timestamp":%q}`, o.Tag, stamp(at))
	require.Equal(t, "ConcurrentTx", other["idTagInfo"].(map[string]any)["status"], "one order is one session")
	require.NotEqual(t, id, int(other["transactionId"].(float64)))
	r.end(id, at.Add(time.Second), 2000, "")
	x := b.settled(o.ID)
	r.end(id, at.Add(time.Second), 2000, "")
	r.end(id, at.Add(time.Second), 9000, "")
	require.Equal(t, grid.WattHours(1000), x.Settlement.Energy)
	require.Equal(t, cairn(3), b.ledger.Balance("owner"))
}

// Each case is what a faulty or hostile station sends between its start at 10,000 Wh an hour ago and the settlement; what
// may be billed, at most; and the reason a person is given.
func TestWhatStationsGetWrongNeverCostsTheDriver(t *testing.T) {
	start := ago(time.Hour)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	for name, c := range map[string]struct {
		send   func(r *raw, id int)
		energy grid.WattHours
		reason csms.Reason
	}{
		"a stop 5 Wh below the start": {func(r *raw, id int) { r.end(id, at(10), 9_995, "") }, 0, csms.Unsigned},
		"a stop far below the start":  {func(r *raw, id int) { r.end(id, at(10), 100, "") }, 0, csms.RegisterBack},
		"a register that rolls back": {func(r *raw, id int) {
			r.values(id, at(10), `"12000"`)
			r.values(id, at(20), `"500"`)
			r.end(id, at(30), 13_000, "")
		}, 3_000, csms.RegisterBack},
		"a register that jumps": {func(r *raw, id int) {
			r.values(id, at(10), `"900000000"`)
			r.end(id, at(30), 13_000, "")
		}, 3_000, csms.RegisterJump},
		"a stop no connector could reach": {func(r *raw, id int) { r.end(id, at(30), 900_000_000, "") }, 0, csms.RegisterJump},
		"not a number": {func(r *raw, id int) {
			r.values(id, at(10), `"NaN"`)
			r.values(id, at(11), `"1e999"`)
			r.values(id, at(12), `"-5"`)
			r.values(id, at(13), `"12,5"`)
			r.end(id, at(30), 13_000, "")
		}, 3_000, csms.ValueUnreadable},
		"values after the end": {func(r *raw, id int) {
			r.end(id, at(30), 13_000, "")
			r.values(id, at(40), `"99000"`)
		}, 3_000, csms.Unsigned},
		"a stop in the far future": {func(r *raw, id int) { r.end(id, time.Now().AddDate(0, 0, 5), 13_000, "") }, 3_000, csms.ClockOff},
		"a stop before the start":  {func(r *raw, id int) { r.end(id, start.AddDate(0, 0, -5), 13_000, "") }, 3_000, csms.ClockOff},
		"an end called -1":         {func(r *raw, _ int) { r.end(-1, at(30), 13_000, "") }, 3_000, csms.Unsigned},
		"an end called 0":          {func(r *raw, _ int) { r.end(0, at(30), 13_000, "") }, 3_000, csms.Unsigned},
		"hostile frames on the way": {func(r *raw, id int) {
			for _, frame := range []string{"", "null", "[]", `[2]`, `[2,"x"]`, `[2,"x","MeterValues"`, `[9,"x","y",{}]`, `{"a":1}`} {
				require.NoError(r.b.t, ocpp.SendRaw(r.conn, []byte(frame)))
				require.NoError(r.b.t, ocpp.SendRaw(r.conn, []byte(`[3,"nobody-asked",{}]`)))
			}
			require.ErrorIs(r.b.t, r.refused("MeterValues", `{"connectorId":1,"meterValue":%s}`, strings.Repeat("[", 40)+strings.Repeat("]", 40)), &ocpp.Error{Code: ocpp.FormationViolation})
			r.end(id, at(30), 13_000, "")
		}, 3_000, csms.Unsigned},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			r := b.raw("CP-1", ocpp.V16, nil)
			o := b.backdated(r, start)
			c.send(r, r.start(o, start, 10_000))
			x := b.settled(o.ID)
			require.Equal(t, c.energy, x.Settlement.Energy)
			require.Contains(t, x.Settlement.Reasons, c.reason)
			require.NotEmpty(t, c.reason.Text())
		})
	}
}

// backdated is an order that was opened a moment before start, as the central system knows it.
func (b *bench) backdated(r *raw, start time.Time) csms.Order {
	b.ledger.Now = func() time.Time { return start.Add(-time.Second) }
	o := b.order(r.id, cairn(100), 0)
	b.ledger.Now = time.Now
	b.ledger.Extend(o.ID, time.Now().Add(time.Hour))
	b.until("order", func() bool {
		return r.call("Authorize", `{"idTag":%q}`, o.Tag)["idTagInfo"].(map[string]any)["status"] == "Accepted"
	})
	return o
}

func TestAClockThatIsDaysOffIsPutRight(t *testing.T) {
	for name, offset := range map[string]time.Duration{"ahead": 72 * time.Hour, "behind": -72 * time.Hour, "1970": -time.Since(time.Unix(60, 0))} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			r := b.raw("CP-1", ocpp.V16, func(s *csms.Station) { s.Connectors[0].Power = 0 })
			o := r.ordered(cairn(100))
			id := r.start(o, time.Now().Add(offset), 1000)
			r.values(id, time.Now().Add(offset+time.Second), `"2000"`)
			r.end(id, time.Now().Add(offset+2*time.Second), 3000, "")
			x := b.settled(o.ID)
			require.Equal(t, grid.WattHours(2000), x.Settlement.Energy)
			require.Contains(t, x.Settlement.Reasons, csms.ClockOff)
			require.WithinDuration(t, time.Now(), x.Settlement.Start, patience)
			require.WithinDuration(t, time.Now(), x.Settlement.End, patience)
		})
	}
}

func TestAStopWithoutAStartIsRefundedUnlessSigned(t *testing.T) {
	b := newBench(t, nil)
	r := b.raw("CP-1", ocpp.V16, nil)
	o := r.ordered(cairn(100))
	r.end(77, time.Now(), 50_000, fmt.Sprintf(`,"idTag":%q`, o.Tag))
	x := b.settled(o.ID)
	require.Equal(t, csms.NotMetered, x.Settlement.Basis)
	require.True(t, x.Settlement.Cost.IsZero())
	require.Equal(t, cairn(1_000_000), b.ledger.Balance("driver"))
	require.Contains(t, x.Settlement.Reasons, csms.StartMissing)
}

func TestAnotherStationsSessionIsNotTouched(t *testing.T) {
	b := newBench(t, nil)
	r := b.raw("CP-1", ocpp.V16, func(s *csms.Station) { s.Connectors[0].Power = 0 })
	thief := b.raw("CP-2", ocpp.V16, nil)
	o := r.ordered(cairn(100))
	at := time.Now()
	id := r.start(o, at, 1000)
	thief.values(id, at, `"90000"`)
	thief.end(id, at, 90_000, "")
	answer := thief.call("StartTransaction", `{"connectorId":1,"idTag":%q,"meterStart":1,"timestamp":%q}`, o.Tag, stamp(at))
	require.Equal(t, "Invalid", answer["idTagInfo"].(map[string]any)["status"], "a tag is good at its own station")
	r.end(id, at.Add(time.Second), 2000, "")
	require.Equal(t, grid.WattHours(1000), b.settled(o.ID).Settlement.Energy)
}

func TestASilentStationIsSettledOnItsLastValue(t *testing.T) {
	b := newBench(t, func(c *csms.Config) { c.SilentAfter = 200 * time.Millisecond })
	r := b.raw("CP-1", ocpp.V16, func(s *csms.Station) { s.Connectors[0].Power = 0 })
	o := r.ordered(cairn(100))
	id := r.start(o, time.Now(), 1000)
	r.values(id, time.Now(), `"6000"`)
	r.conn.Close(1000, "")
	x := b.settled(o.ID)
	require.Equal(t, grid.WattHours(5000), x.Settlement.Energy)
	require.Equal(t, csms.LastValue, x.Settlement.Basis)
	require.True(t, x.Settlement.Hold, "the owner's part waits")
	require.Contains(t, x.Settlement.Reasons, csms.StopMissing)
	r.connect()
	r.end(id, time.Now(), 9000, "")
	require.Equal(t, cairn(11), b.ledger.Balance("owner"), "a late end changes nothing")
}

func TestATransactionIDGivenTwiceIsTwoSessions(t *testing.T) {
	b := newBench(t, nil)
	r := b.raw("CP-1", ocpp.V201, func(s *csms.Station) { s.Connectors[0].Power = 0 })
	event := func(kind string, at time.Time, register int, tag string) map[string]any {
		token := ""
		if tag != "" {
			token = fmt.Sprintf(`,"idToken":{"idToken":%q,"type":"Central"}`, tag)
		}
		return r.call("TransactionEvent", `{"eventType":%q,"timestamp":%q,"triggerReason":"Authorized","seqNo":0,"transactionInfo":{"transactionId":"same"},"evse":{"id":1},
			"meterValue":[{"timestamp":%q,"sampledValue":[{"value":%d}]}]%s}`, kind, stamp(at), stamp(at), register, token)
	}
	for i, at := range []time.Time{ago(20 * time.Second), ago(10 * time.Second)} {
		o := b.order("CP-1", cairn(100), 0)
		b.until("order", func() bool {
			return r.call("Authorize", `{"idToken":{"idToken":%q,"type":"Central"}}`, o.Tag)["idTokenInfo"].(map[string]any)["status"] == "Accepted"
		})
		for range 2 { // every message twice
			event("Started", at, 1000*(i+1), string(o.Tag))
		}
		for range 2 {
			event("Ended", at.Add(5*time.Second), 1000*(i+1)+4000, "")
		}
		require.Equal(t, grid.WattHours(4000), b.settled(o.ID).Settlement.Energy)
	}
	require.Equal(t, cairn(2*(1+8)), b.ledger.Balance("owner"))
}

func TestOfflineSessionsArriveInOrder(t *testing.T) {
	for _, offline := range []int{0, -1} {
		b := newBench(t, nil)
		b.ledger.Allow("CARD", "driver", cairn(50))
		s := b.station("CP-1", ocpp.V16, func(_ *csms.Station, c *chargepoint.Config) { c.Faults.OfflineID = offline })
		s.Plug(1, &chargepoint.Car{Capacity: 80_000, Power: 11_000})
		require.NoError(t, s.AwaitEmpty(b.wait()))
		require.NoError(t, s.Present(b.wait(), 1, "CARD"))
		require.NoError(t, s.AwaitEmpty(b.wait()))
		require.NoError(t, s.Unplug(1))
		b.stop() // the network is gone
		s.Plug(1, &chargepoint.Car{Capacity: 80_000, Power: 11_000})
		b.until("offline", func() bool { return s.Present(b.wait(), 1, "CARD") == nil })
		s.Charge(1, time.Hour)
		require.NoError(t, s.Unplug(1))
		b.start()
		require.NoError(t, s.AwaitEmpty(b.wait()))
		b.until("both sessions", func() bool { all, over := b.ledger.Count(); return all == 2 && over == 2 })
		x, _ := b.ledger.Session(2)
		require.Equal(t, grid.WattHours(11_000), x.Settlement.Energy, "%v", x.Settlement.Reasons)
	}
}

func TestNoStartIsAFullRefund(t *testing.T) {
	b := newBench(t, nil)
	b.raw("CP-1", ocpp.V16, nil).conn.Close(1000, "") // it takes no remote start
	b.ledger.Now = func() time.Time { return ago(6 * time.Minute) }
	o := b.order("CP-1", cairn(100), 0)
	nowhere := b.order("CP-unknown", cairn(100), 0)
	b.ledger.Now = time.Now
	b.until("refund", func() bool {
		x, _ := b.ledger.Session(o.ID)
		y, _ := b.ledger.Session(nowhere.ID)
		return x.Over && y.Over
	})
	require.Equal(t, cairn(1_000_000), b.ledger.Balance("driver"))
}

func TestALimitEndsTheSession(t *testing.T) {
	versions(t, func(t *testing.T, v ocpp.Version) {
		for name, c := range map[string]struct {
			escrow price.Amount
			most   grid.WattHours
			reason csms.Reason
		}{"escrow": {cairn(15), 0, csms.EscrowReached}, "energy": {cairn(100), 5_000, csms.LimitReached}} {
			b := newBench(t, nil)
			s := b.station("CP-1", v, nil)
			s.Plug(1, &chargepoint.Car{Capacity: 80_000, Power: 11_000})
			o := b.order("CP-1", c.escrow, c.most)
			require.NoError(t, s.AwaitStatus(b.wait(), 1, "Charging"), name)
			for s.Status(1) == "Charging" { // until it is told to stop
				s.Charge(1, time.Minute)
				require.NoError(t, s.AwaitEmpty(b.wait()))
			}
			x := b.settled(o.ID)
			require.Contains(t, x.Settlement.Reasons, c.reason, name)
			require.LessOrEqual(t, x.Settlement.Cost.Cmp(c.escrow), 0)
			require.Contains(t, strings.Join(s.Asked(), " "), "Stop")
		}
	})
}

func TestOnlyWhoProvesItselfEvictsTheOldConnection(t *testing.T) {
	b := newBench(t, nil)
	r := b.raw("CP-1", ocpp.V16, nil)
	old := r.conn
	for _, password := range []string{"", "wrong-password-0000"} {
		d := r.dial
		d.Password = password
		_, err := ocpp.Dial(b.wait(), d)
		var refused *ocpp.RefusedError
		require.True(t, errors.As(err, &refused), "%v", err)
		require.Equal(t, 401, refused.Status)
	}
	r.call("Heartbeat", `{}`) // still the old one
	r.connect()
	r.call("Heartbeat", `{}`)
	select {
	case <-old.Done():
	case <-b.wait().Done():
		t.Fatal("the old connection stays")
	}
	_, err := ocpp.Dial(b.wait(), ocpp.DialConfig{URL: b.info.URL, Station: "CP-nobody", Password: "0123456789012345", Versions: r.dial.Versions})
	require.ErrorContains(t, err, "401")
	d := r.dial
	d.Versions = []ocpp.Version{"ocpp9.9"}
	_, err = ocpp.Dial(b.wait(), d)
	require.ErrorContains(t, err, "400")
}

func TestASessionMayBeginBeforeItIsSaidWhoPays(t *testing.T) {
	b := newBench(t, nil)
	r := b.raw("CP-1", ocpp.V201, func(s *csms.Station) { s.Connectors[0].Power = 0 })
	o := b.order("CP-1", cairn(100), 0)
	b.until("order", func() bool {
		return r.call("Authorize", `{"idToken":{"idToken":%q,"type":"Central"}}`, o.Tag)["idTokenInfo"].(map[string]any)["status"] == "Accepted"
	})
	event := func(kind string, seq, register int, more string) map[string]any {
		return r.call("TransactionEvent", `{"eventType":%q,"timestamp":%q,"triggerReason":"CablePluggedIn","seqNo":%d,"transactionInfo":{"transactionId":"t"},"evse":{"id":1},
			"meterValue":[{"timestamp":%q,"sampledValue":[{"value":%d}]}]%s}`, kind, stamp(time.Now()), seq, stamp(time.Now()), register, more)
	}
	event("Started", 0, 1000, "")
	answer := event("Updated", 1, 1000, fmt.Sprintf(`,"idToken":{"idToken":%q,"type":"Central"}`, o.Tag))
	require.Equal(t, "Accepted", answer["idTokenInfo"].(map[string]any)["status"])
	event("Updated", 2, 4000, "")
	answer = event("Ended", 3, 6000, "")
	require.NotNil(t, answer["totalCost"])
	x := b.settled(o.ID)
	require.Equal(t, grid.WattHours(5000), x.Settlement.Energy)
	require.NotContains(t, x.Settlement.Reasons, csms.UnknownTag)
}

func TestALedgerThatLosesAnswersPaysOnce(t *testing.T) {
	b := newBench(t, nil)
	lost := make(map[string]bool)
	b.ledger.Fault = func(what string, done bool) error { // every answer is lost once, the call done
		if done && !lost[what] {
			lost[what] = true
			return errors.New("the answer was lost")
		}
		return nil
	}
	r := b.raw("CP-1", ocpp.V16, func(s *csms.Station) { s.Connectors[0].Power = 0 })
	o := r.ordered(cairn(100))
	id := r.start(o, time.Now(), 1000)
	r.end(id, time.Now(), 2000, "")
	b.settled(o.ID)
	b.until("the outbox is empty", func() bool { return b.service.Status().Outbox == 0 })
	require.Equal(t, cairn(3), b.ledger.Balance("owner"))
	x, ok, err := b.service.Session(csms.SessionNo(id))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, csms.Settled, x.State)
}
