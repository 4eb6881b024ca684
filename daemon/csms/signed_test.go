package csms_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/daemon/csms"
	"github.com/cairn-network/cairn/sim/chargepoint"
	"github.com/cairn-network/cairn/wire/ocpp"
)

func meter(t *testing.T, serial, curve string) *chargepoint.Meter {
	t.Helper()
	m, err := chargepoint.NewMeter(serial, curve)
	require.NoError(t, err)
	return m
}

func TestSignedSessionsRestOnTheirRecords(t *testing.T) {
	versions(t, func(t *testing.T, v ocpp.Version) {
		for _, curve := range []string{chargepoint.P256, chargepoint.P384, chargepoint.K256} {
			b := newBench(t, nil)
			m := meter(t, "M-1", curve)
			s := b.station("CP-1", v, func(r *csms.Station, c *chargepoint.Config) {
				c.Meter = m
				r.Meters = []csms.MeterKey{{Serial: "M-1", Key: m.PublicKey()}}
			})
			for i := range 2 { // the pages go on
				s.Plug(1, &chargepoint.Car{Capacity: 50_000, Power: 11_000})
				o := b.order("CP-1", cairn(100), 0)
				require.NoError(t, s.AwaitStatus(b.wait(), 1, "Charging"))
				s.Charge(1, 30*time.Minute)
				require.NoError(t, s.Unplug(1))
				x := b.settled(o.ID)
				require.Equal(t, csms.Signed, x.Settlement.Basis, "%s %v", curve, x.Settlement.Reasons)
				require.False(t, x.Settlement.Hold)
				require.Equal(t, grid.WattHours(5_500), x.Settlement.Energy)
				require.Len(t, x.Settlement.Records, 1)
				require.Contains(t, x.Settlement.Records[0], fmt.Sprintf(`"PG":"T%d"`, i+1), "verbatim")
			}
		}
	})
}

// What a signed record is worth that does not hold: nothing. The session is then settled on the station's plain values,
// with the owner's part held, and says why.
func TestRecordsThatDoNotHold(t *testing.T) {
	type station struct {
		m      *chargepoint.Meter
		at     time.Time
		user   string
		record string
	}
	good := func(t *testing.T, s *station) {
		s.m.Begin(s.at)
		s.m.Register += 4_000
		var err error
		s.record, err = s.m.End(s.at.Add(30*time.Minute), s.user)
		require.NoError(t, err)
	}
	for name, spoil := range map[string]func(t *testing.T, s *station){
		"a changed value": func(t *testing.T, s *station) {
			good(t, s)
			s.record = strings.Replace(s.record, "16.345", "96.345", 1)
		},
		"another key": func(t *testing.T, s *station) {
			s.m = meter(t, "M-1", chargepoint.P256)
			good(t, s)
		},
		"an embedded key of its own": func(t *testing.T, s *station) {
			s.m = meter(t, "M-1", chargepoint.P256)
			good(t, s)
			wrapped, err := json.Marshal(map[string]string{
				"signedMeterData": base64.StdEncoding.EncodeToString([]byte(s.record)), "signingMethod": chargepoint.P256, "encodingMethod": "OCMF",
				"publicKey": base64.StdEncoding.EncodeToString([]byte("oca:base16:asn1:" + s.m.PublicKey())),
			})
			require.NoError(t, err)
			s.record = string(wrapped)
		},
		"another driver's": func(t *testing.T, s *station) { s.user = "SOMEBODY ELSE"; good(t, s) },
		"another meter":    func(t *testing.T, s *station) { s.m = meter(t, "M-2", chargepoint.P256); good(t, s) },
		"a bare hash": func(t *testing.T, s *station) {
			good(t, s)
			i := strings.LastIndex(s.record, `"SD":"`)
			s.record = s.record[:i] + `"SD":"` + strings.Repeat("ab", 32) + `"}`
		},
		"no record at all":    func(*testing.T, *station) {},
		"a record of nothing": func(_ *testing.T, s *station) { s.record = "OCMF||" },
		"a huge record":       func(_ *testing.T, s *station) { s.record = strings.Repeat("A", 20_000) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			registered := meter(t, "M-1", chargepoint.P256)
			start := ago(time.Hour)
			s := &station{m: registered, at: start}
			r := b.raw("CP-1", ocpp.V16, func(r *csms.Station) {
				r.Meters = []csms.MeterKey{{Serial: "M-1", Key: registered.PublicKey()}}
			})
			spoil(t, s)
			o := b.backdated(r, start)
			id := r.start(o, start, 12_345)
			more := ""
			if s.record != "" {
				quoted, err := json.Marshal(s.record)
				require.NoError(t, err)
				more = fmt.Sprintf(`,"transactionData":[{"timestamp":%q,"sampledValue":[{"value":%s,"format":"SignedData","context":"Transaction.End"}]}]`, stamp(start.Add(30*time.Minute)), quoted)
			}
			r.end(id, start.Add(30*time.Minute), 12_345+4_000, more)
			x := b.settled(o.ID)
			require.Equal(t, csms.Raw, x.Settlement.Basis)
			require.True(t, x.Settlement.Hold)
			require.Empty(t, x.Settlement.Records)
			require.Equal(t, grid.WattHours(4_000), x.Settlement.Energy)
			require.Contains(t, x.Settlement.Reasons, csms.EvidenceMissing)
		})
	}
}

func TestARecordIsBilledOnce(t *testing.T) {
	b := newBench(t, nil)
	m := meter(t, "M-1", chargepoint.P256)
	r := b.raw("CP-1", ocpp.V16, func(r *csms.Station) {
		r.Connectors[0].Power = 0
		r.Meters = []csms.MeterKey{{Serial: "M-1", Key: m.PublicKey()}}
	})
	at := time.Now()
	m.Begin(at)
	m.Register += 4_000
	record, err := m.End(at.Add(time.Second), "")
	require.NoError(t, err)
	quoted, err := json.Marshal(record)
	require.NoError(t, err)
	more := fmt.Sprintf(`,"transactionData":[{"timestamp":%q,"sampledValue":[{"value":%s,"format":"SignedData"}]}]`, stamp(at), quoted)
	first := r.ordered(cairn(100))
	r.end(r.start(first, at, 12_345), at, 16_345, more)
	require.Equal(t, csms.Signed, b.settled(first.ID).Settlement.Basis)
	second := r.ordered(cairn(100))
	r.end(r.start(second, at.Add(time.Second), 12_345), at.Add(time.Second), 16_345, more)
	x := b.settled(second.ID)
	require.NotEqual(t, csms.Signed, x.Settlement.Basis, "a replayed record proves nothing")
	require.Contains(t, x.Settlement.Reasons, csms.EvidenceBad)
}

func TestASignedRecordBringsBackALostStart(t *testing.T) {
	b := newBench(t, nil)
	m := meter(t, "M-1", chargepoint.K256)
	s := b.station("CP-1", ocpp.V16, func(r *csms.Station, c *chargepoint.Config) {
		c.Meter, c.Faults.LoseStart = m, true
		r.Meters = []csms.MeterKey{{Serial: "M-1", Key: m.PublicKey()}}
	})
	s.Plug(1, &chargepoint.Car{Capacity: 50_000, Power: 11_000})
	o := b.order("CP-1", cairn(100), 0)
	require.NoError(t, s.AwaitStatus(b.wait(), 1, "Charging"))
	s.Charge(1, time.Hour)
	require.NoError(t, s.Unplug(1))
	x := b.settled(o.ID)
	require.Equal(t, csms.Signed, x.Settlement.Basis, "%v", x.Settlement.Reasons)
	require.Equal(t, grid.WattHours(11_000), x.Settlement.Energy)
}
