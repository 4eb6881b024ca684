package tariff_test

import (
	"errors"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/tariff"
)

const milli = 1_000_000_000_000_000 // a thousandth of a currency's unit

func draw[T any](t *rapid.T, name string, values *rapid.Generator[T]) tariff.Optional[T] {
	if rapid.Bool().Draw(t, name+" set") {
		return tariff.Some(values.Draw(t, name))
	}
	return tariff.Optional[T]{}
}

func amounts(most uint64) *rapid.Generator[price.Amount] {
	return rapid.Custom(func(t *rapid.T) price.Amount {
		n := rapid.Uint64Range(0, most).Draw(t, "thousandths")
		a, _ := price.FromUint64(n).MulDiv(milli, 1)
		sum, _ := a.Add(price.FromUint64(rapid.Uint64Range(0, 3).Draw(t, "units")))
		return sum
	})
}

func restrictions(t *rapid.T) (r tariff.Restrictions) {
	minutes, days := rapid.Uint16Range(0, 1439), rapid.Int32Range(20_000, 20_004)
	energies, watts := rapid.Map(rapid.Int64Range(0, 60), func(n int64) grid.WattHours { return grid.WattHours(n) }), rapid.Map(rapid.Int64Range(0, 5000), func(n int64) grid.Watts { return grid.Watts(n) })
	currents, seconds := rapid.Map(rapid.Int64Range(0, 20), func(n int64) tariff.MilliAmperes { return tariff.MilliAmperes(n) }), rapid.Uint32Range(0, 300)
	switch rapid.IntRange(0, 6).Draw(t, "restriction") {
	case 0:
		r.StartTime, r.EndTime = draw(t, "from", minutes), draw(t, "to", minutes)
	case 1:
		r.StartDate, r.EndDate = draw(t, "first day", days), draw(t, "last day", days)
	case 2:
		r.MinEnergy, r.MaxEnergy = draw(t, "least energy", energies), draw(t, "most energy", energies)
	case 3:
		r.MinPower, r.MaxPower = draw(t, "least power", watts), draw(t, "most power", watts)
		r.MinCurrent, r.MaxCurrent = draw(t, "least current", currents), draw(t, "most current", currents)
	case 4:
		r.MinDuration, r.MaxDuration = draw(t, "least duration", seconds), draw(t, "most duration", seconds)
	case 5:
		r.Days = rapid.Uint8Range(0, 0x7f).Draw(t, "days")
		r.MaxEnergy = draw(t, "most energy", energies)
	}
	return r
}

// tariffs draws tariffs; steps above 1, graces and caps only if shaped.
func tariffs(shaped bool) *rapid.Generator[tariff.Tariff] {
	return rapid.Custom(func(t *rapid.T) tariff.Tariff {
		p := tariff.Tariff{CountryCode: "DE", PartyID: "ALL", ID: "t", Currency: "EUR", LastUpdated: rapid.Int64Range(0, 1<<35).Draw(t, "updated")}
		for range rapid.IntRange(1, 4).Draw(t, "elements") {
			var e tariff.Element
			e.Restrictions = restrictions(t)
			dimensions := []tariff.Dimension{tariff.Energy, tariff.Flat, tariff.ParkingTime, tariff.Time}
			if rapid.IntRange(0, 4).Draw(t, "reservation") == 0 {
				e.Restrictions.Reservation = tariff.ReservationKind(rapid.IntRange(1, 2).Draw(t, "kind"))
				dimensions = []tariff.Dimension{tariff.Flat, tariff.Time}
			}
			for _, d := range rapid.SliceOfNDistinct(rapid.SampledFrom(dimensions), 1, len(dimensions), rapid.ID).Draw(t, "dimensions") {
				c := tariff.Component{Dimension: d, Price: amounts(5000).Draw(t, "price"), VAT: draw(t, "vat", rapid.Map(rapid.Uint32Range(0, grid.Million), func(n uint32) tariff.VAT { return tariff.VAT(n) })), Step: 1}
				if shaped {
					c.Step = rapid.SampledFrom([]uint32{0, 1, 7, 60, 900}).Draw(t, "step")
					c.Cap = draw(t, "cap", amounts(100))
					if d != tariff.Flat {
						c.Grace = rapid.SampledFrom([]uint32{0, 0, 5, 100}).Draw(t, "grace")
					}
				}
				e.Components = append(e.Components, c)
			}
			p.Elements = append(p.Elements, e)
		}
		if shaped && rapid.Bool().Draw(t, "limits") {
			low, high := amounts(500).Draw(t, "least"), amounts(5000).Draw(t, "most")
			if low.Cmp(high) > 0 {
				low, high = high, low
			}
			p.Min, p.Max = tariff.Some(tariff.Limit{ExclVAT: low}), tariff.Some(tariff.Limit{ExclVAT: high})
			if rapid.Bool().Draw(t, "with VAT") {
				more, _ := high.MulDiv(12, 10)
				p.Max.Value.InclVAT = tariff.Some(more)
			}
		}
		return p
	})
}

func periods(t *rapid.T) tariff.Period {
	return tariff.Period{
		State:   tariff.State(rapid.IntRange(1, 4).Draw(t, "state")),
		Seconds: rapid.Uint32Range(0, 120).Draw(t, "seconds"),
		Energy:  grid.WattHours(rapid.Int64Range(0, 40).Draw(t, "energy")),
		Power:   draw(t, "power", rapid.Map(rapid.Int64Range(0, 5000), func(n int64) grid.Watts { return grid.Watts(n) })),
		Current: draw(t, "current", rapid.Map(rapid.Int64Range(0, 20), func(n int64) tariff.MilliAmperes { return tariff.MilliAmperes(n) })),
	}
}

func sessions(t *rapid.T) tariff.Session {
	s := tariff.Session{
		Start:       rapid.Int64Range(20_000*86_400, 20_003*86_400).Draw(t, "start"),
		ZoneSeconds: rapid.SampledFrom([]int32{0, 3600, -5 * 3600}).Draw(t, "zone"),
		Periods:     rapid.SliceOfN(rapid.Custom(periods), 0, 4).Draw(t, "periods"),
	}
	if rapid.IntRange(0, 3).Draw(t, "reserved") == 0 {
		s.Reservation = tariff.Some(tariff.Reservation{Start: s.Start - 300, Seconds: rapid.Uint32Range(0, 300).Draw(t, "for"), Expired: len(s.Periods) == 0})
	}
	return s
}

func mustPrice(t *rapid.T, p *tariff.Tariff, s tariff.Session) tariff.Cost {
	c, err := p.Price(s)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.JSON())
	}
	return c
}

// INV-ENERGY-BILL.
func TestABillSumsExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := tariffs(true).Draw(t, "tariff")
		c := mustPrice(t, &p, sessions(t))
		excl, incl := new(big.Int), new(big.Int)
		for _, l := range c.Lines {
			excl.Add(excl, l.ExclVAT.Big())
			incl.Add(incl, l.ExclVAT.Big()).Add(incl, l.Tax.Big())
		}
		excl.Add(excl, c.Raised.ExclVAT.Big()).Sub(excl, c.Lowered.ExclVAT.Big())
		incl.Add(incl, c.Raised.InclVAT.Big()).Sub(incl, c.Lowered.InclVAT.Big())
		if excl.Cmp(c.Total.ExclVAT.Big()) != 0 || incl.Cmp(c.Total.InclVAT.Big()) != 0 {
			t.Fatalf("lines sum to %s and %s, total %v", excl, incl, c.Total)
		}
		if c.Total.InclVAT.Cmp(c.Total.ExclVAT) < 0 {
			t.Fatalf("less with VAT than without: %v", c.Total)
		}
		if p.Max.Set && (c.Total.ExclVAT.Cmp(p.Max.Value.ExclVAT) > 0 || p.Max.Value.InclVAT.Set && c.Total.InclVAT.Cmp(p.Max.Value.InclVAT.Value) > 0) {
			t.Fatalf("%v is above the maximum %v", c.Total, p.Max.Value)
		}
	})
}

// INV-ENERGY-MONOTONE: what follows never makes a session cheaper. With steps that is not so in OCPI:
// parking that follows spares charging time its rounding.
func TestMoreNeverCostsLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, s := tariffs(false).Draw(t, "tariff"), sessions(t)
		if s.Reservation.Value.Expired {
			s.Reservation = tariff.Optional[tariff.Reservation]{}
		}
		before := mustPrice(t, &p, s)
		s.Periods = append(slices.Clip(s.Periods), periods(t))
		after := mustPrice(t, &p, s)
		if after.Total.ExclVAT.Cmp(before.Total.ExclVAT) < 0 || after.Total.InclVAT.Cmp(before.Total.InclVAT) < 0 {
			t.Fatalf("%v, then %v", before.Total, after.Total)
		}
	})
}

// naive prices a session by walking it in the finest steps there are and asking for each, with the
// calendar of package time, which component counts: no cuts, no rounding to steps.
func naive(p *tariff.Tariff, s tariff.Session) map[[2]int]uint64 {
	used := map[[2]int]uint64{}
	zone := time.FixedZone("", int(s.ZoneSeconds))
	apply := func(d tariff.Dimension, amount uint64, at time.Time, seconds int64, energy grid.WattHours, power grid.Watts, current tariff.Optional[tariff.MilliAmperes], kind tariff.ReservationKind) {
		for i, e := range p.Elements {
			for j, c := range e.Components {
				if c.Dimension != d || e.Restrictions.Reservation != kind || !matches(e.Restrictions, at, seconds, energy, power, current) {
					continue
				}
				if d == tariff.Flat {
					for key := range used {
						if p.Elements[key[0]].Components[key[1]].Dimension == tariff.Flat && p.Elements[key[0]].Restrictions.Reservation == kind {
							return
						}
					}
				}
				if amount > 0 {
					used[[2]int{i, j}] += amount
				}
				return
			}
		}
	}
	var elapsed int64
	var energy grid.WattHours
	for _, period := range s.Periods {
		power := period.Power.Value
		if !period.Power.Set && period.Seconds > 0 {
			power = grid.Watts(int64(period.Energy) * 3600 / int64(period.Seconds))
		}
		type point struct{ t, e int64 }
		points := []point{{int64(period.Seconds), int64(period.Energy)}}
		for t := range int64(period.Seconds) {
			points = append(points, point{t, int64(period.Energy) * t / int64(period.Seconds)})
		}
		for e := range int64(period.Energy) {
			points = append(points, point{e * int64(period.Seconds) / int64(period.Energy), e})
		}
		slices.SortFunc(points, func(a, b point) int {
			if a.t != b.t {
				return int(a.t - b.t)
			}
			return int(a.e - b.e)
		})
		for i, from := range points {
			to := points[min(i+1, len(points)-1)]
			if i == len(points)-1 && len(points) > 1 {
				break
			}
			at := time.Unix(s.Start+elapsed+from.t, 0).In(zone)
			ask := func(d tariff.Dimension, amount int64) {
				apply(d, uint64(amount), at, elapsed+from.t, energy+grid.WattHours(from.e), power, period.Current, tariff.NoReservation)
			}
			ask(tariff.Flat, 1)
			ask(tariff.Energy, to.e-from.e)
			switch period.State {
			case tariff.Charging:
				ask(tariff.Time, to.t-from.t)
			case tariff.SuspendedByCar, tariff.Idle:
				ask(tariff.ParkingTime, to.t-from.t)
			}
		}
		elapsed += int64(period.Seconds)
		energy += period.Energy
	}
	return used
}

func matches(r tariff.Restrictions, at time.Time, seconds int64, energy grid.WattHours, power grid.Watts, current tariff.Optional[tariff.MilliAmperes]) bool {
	minute := at.Hour()*60 + at.Minute()
	from, to := int(r.StartTime.Value), 1440
	if r.EndTime.Set && r.EndTime.Value != 0 {
		to = int(r.EndTime.Value)
	}
	inDay := minute >= from && minute < to
	if r.StartTime.Set && r.EndTime.Set && int(r.EndTime.Value) <= from { // over midnight
		inDay = minute >= from || minute < int(r.EndTime.Value)
	}
	day := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC).Unix() / 86_400
	weekday := (int(at.Weekday()) + 6) % 7
	needsCurrent := r.MinCurrent.Set || r.MaxCurrent.Set
	return inDay &&
		!(r.StartDate.Set && day < int64(r.StartDate.Value)) && !(r.EndDate.Set && day >= int64(r.EndDate.Value)) &&
		(r.Days == 0 || r.Days&(1<<weekday) != 0) &&
		!(r.MinEnergy.Set && energy < r.MinEnergy.Value) && !(r.MaxEnergy.Set && energy >= r.MaxEnergy.Value) &&
		!(r.MinPower.Set && power < r.MinPower.Value) && !(r.MaxPower.Set && power >= r.MaxPower.Value) &&
		!(needsCurrent && !current.Set) &&
		!(r.MinCurrent.Set && current.Value < r.MinCurrent.Value) && !(r.MaxCurrent.Set && current.Value >= r.MaxCurrent.Value) &&
		!(r.MinDuration.Set && seconds < int64(r.MinDuration.Value)) && !(r.MaxDuration.Set && seconds >= int64(r.MaxDuration.Value))
}

func TestPricingAgreesWithTheFinestSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, s := tariffs(false).Draw(t, "tariff"), sessions(t)
		s.Reservation = tariff.Optional[tariff.Reservation]{}
		want := naive(&p, s)
		got := map[[2]int]uint64{}
		for _, l := range mustPrice(t, &p, s).Lines {
			got[[2]int{l.Element, l.Component}] = l.Used
			if l.Billed != l.Used {
				t.Fatalf("billed %d of %d without steps", l.Billed, l.Used)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("used %v, want %v\n%s", got, want, p.JSON())
		}
	})
}

func TestJSONIsCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := tariffs(true).Draw(t, "tariff")
		p.Type = rapid.SampledFrom([]string{"", "REGULAR"}).Draw(t, "type")
		if rapid.Bool().Draw(t, "texts") {
			p.AltText = []tariff.Text{{Language: "de", Text: rapid.StringN(0, 20, 100).Draw(t, "text")}}
			p.AltURL = "https://example.org/?a=1&b=2"
		}
		back, err := tariff.ParseJSON(p.JSON())
		if err != nil {
			t.Fatalf("%v\n%s", err, p.JSON())
		}
		if !reflect.DeepEqual(back, p) || back.Hash() != p.Hash() {
			t.Fatalf("%s\nis read as\n%s", p.JSON(), back.JSON())
		}
	})
}

// INV-ENERGY-SPLIT.
func TestSplitSumsExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := price.Amount{Hi: rapid.Uint64().Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")}
		if rapid.Bool().Draw(t, "small") {
			total = price.FromUint64(total.Lo % 20_000)
		}
		var shares []tariff.BasisPoints
		for left := tariff.Whole; left > 0 && len(shares) < tariff.MaxShares; {
			s := tariff.BasisPoints(rapid.IntRange(0, int(left)).Draw(t, "share"))
			if len(shares) == tariff.MaxShares-1 {
				s = left
			}
			shares, left = append(shares, s), left-s
		}
		parts, err := tariff.Split(total, shares)
		if err != nil {
			t.Fatal(err)
		}
		sum := new(big.Int)
		for i, part := range parts {
			sum.Add(sum, part.Big())
			exact := new(big.Int).Mul(total.Big(), big.NewInt(int64(shares[i])))
			scaled := new(big.Int).Mul(part.Big(), big.NewInt(int64(tariff.Whole)))
			if scaled.Sub(scaled, exact).CmpAbs(big.NewInt(int64(tariff.Whole))) >= 0 {
				t.Fatalf("share %d of %s is %s", shares[i], total, part)
			}
		}
		if sum.Cmp(total.Big()) != 0 {
			t.Fatalf("parts of %s sum to %s", total, sum)
		}
	})
	for _, bad := range [][]tariff.BasisPoints{nil, {9999}, {5000, 5001}, make([]tariff.BasisPoints, 65)} {
		if _, err := tariff.Split(price.FromUint64(1), bad); !errors.Is(err, tariff.ErrTariff) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if parts, err := tariff.Split(price.FromUint64(10), []tariff.BasisPoints{3333, 3333, 3334}); err != nil || parts[0].Lo != 3 || parts[1].Lo != 3 || parts[2].Lo != 4 {
		t.Errorf("%v, %v", parts, err)
	}
}

func simple(t *testing.T) tariff.Tariff {
	t.Helper()
	p, err := tariff.Simple{
		CountryCode: "DE", PartyID: "CRN", ID: "1", Currency: "CAIRN",
		Start: coins("0.5"), PerKWh: coins("0.25"), Idle: coins("6"), Grace: 600, IdleCap: tariff.Some(coins("3")),
		VAT: tariff.Some(tariff.VAT(190_000)),
	}.Tariff()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func coins(s string) price.Amount {
	a, err := price.Parse(s + price.Display)
	if err != nil {
		panic(err)
	}
	return a
}

func TestIdleFeeHasGraceAndCap(t *testing.T) {
	p := simple(t)
	for _, c := range []struct {
		idle uint32
		want string
	}{{0, "5.5"}, {600, "5.5"}, {660, "5.6"}, {1200, "6.5"}, {4 * 3600, "8.5"}} {
		cost, err := p.Price(tariff.Session{Periods: []tariff.Period{{State: tariff.Charging, Seconds: 3600, Energy: 20_000}, {State: tariff.SuspendedByStation, Seconds: 7200}, {State: tariff.Idle, Seconds: c.idle}}})
		if err != nil || cost.Total.ExclVAT != coins(c.want) {
			t.Errorf("idle for %d s: %s, want %s, %v", c.idle, cost.Total.ExclVAT.Format(), c.want, err)
		}
		if withVAT, _ := cost.Total.ExclVAT.MulDiv(119, 100); cost.Total.InclVAT != withVAT {
			t.Errorf("idle for %d s: %s with VAT", c.idle, cost.Total.InclVAT.Format())
		}
	}
	if want := "Parking after charging is free for 10 min and costs at most 3 CAIRN."; len(p.AltText) != 1 || p.AltText[0].Text != want {
		t.Errorf("%v", p.AltText)
	}
	free, err := tariff.Simple{CountryCode: "DE", PartyID: "CRN", ID: "1", Currency: "EUR"}.Tariff()
	if err != nil {
		t.Fatal(err)
	}
	if cost, err := free.Price(tariff.Session{Periods: []tariff.Period{{State: tariff.Charging, Seconds: 9, Energy: 9}}}); err != nil || !cost.Total.InclVAT.IsZero() {
		t.Errorf("%v, %v", cost, err)
	}
}

func TestLeftNeverSpendsMoreThanThereIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, s := tariffs(rapid.Bool().Draw(t, "shaped")).Draw(t, "tariff"), sessions(t)
		if s.Reservation.Value.Expired {
			s.Reservation = tariff.Optional[tariff.Reservation]{}
		}
		budget := amounts(3000).Draw(t, "budget")
		power := grid.Watts(rapid.Int64Range(0, 50_000).Draw(t, "power"))
		left, err := p.Left(s, budget, power)
		if err != nil {
			t.Fatal(err)
		}
		if left == (tariff.Left{}) {
			return
		}
		s.Periods = append(slices.Clip(s.Periods), tariff.Period{State: tariff.Charging, Seconds: uint32(left.Seconds), Energy: left.Energy, Power: tariff.Some(power)})
		if c := mustPrice(t, &p, s); c.Total.InclVAT.Cmp(budget) > 0 {
			t.Fatalf("%v costs %s of %s", left, c.Total.InclVAT, budget)
		}
	})
}

func TestLeftIsWhatTheBudgetBuys(t *testing.T) {
	p := simple(t)
	budget := coins("5.95") // 0.5 and 18 kWh at 0.25, and 19 % VAT
	left, err := p.Left(tariff.Session{}, budget, 9000)
	if err != nil || left.Energy != 18_000 || left.Seconds != 7200 {
		t.Errorf("%+v, %v", left, err)
	}
	left, err = p.Left(tariff.Session{Periods: []tariff.Period{{State: tariff.Charging, Seconds: 3600, Energy: 9000}}}, budget, 9000)
	if err != nil || left.Energy != 9000 || left.Seconds != 3600 {
		t.Errorf("%+v, %v", left, err)
	}
	left, err = p.Left(tariff.Session{Periods: []tariff.Period{{State: tariff.Charging, Seconds: 3600, Energy: 18_001}}}, budget, 9000)
	if err != nil || left != (tariff.Left{}) {
		t.Errorf("%+v, %v", left, err)
	}
	free, _ := tariff.Simple{CountryCode: "DE", PartyID: "CRN", ID: "1", Currency: "EUR"}.Tariff()
	if left, err = free.Left(tariff.Session{}, price.Amount{}, 1000); err != nil || left.Seconds != tariff.MaxSeconds {
		t.Errorf("free of charge: %+v, %v", left, err)
	}
}

func TestBadTariffsAreRefused(t *testing.T) {
	const good = `{"country_code":"DE","party_id":"ALL","id":"1","currency":"EUR","elements":[{"price_components":[{"type":"ENERGY","price":0.25,"step_size":1}]}],"last_updated":"2018-12-17T11:16:55Z"}`
	if _, err := tariff.ParseJSON([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, names string }{
		{`"DE"`, `"DEU"`, "country_code"},
		{`"EUR"`, `"€"`, "currency"},
		{`0.25`, `-0.25`, "price"},
		{`0.25`, `"0.25"`, "price"},
		{`0.25`, `0.2500000000000000001`, "price"},
		{`0.25`, `NaN`, "JSON"},
		{`"price":0.25`, `"price":1,"price":2`, "twice"},
		{`"price":0.25,`, ``, "price"},
		{`"step_size":1`, `"step_size":1.5`, "step_size"},
		{`"step_size":1`, `"step_size":100000000`, "step_size"},
		{`"step_size":1`, `"step_size":1,"vat":-1`, "vat"},
		{`"step_size":1`, `"step_size":1,"vat":101`, "vat"},
		{`ENERGY`, `POWER`, "type"},
		{`"elements":[{`, `"elements":[],"x":[{`, "elements"},
		{`"price_components":[{"type":"ENERGY","price":0.25,"step_size":1}]`, `"price_components":[]`, "components"},
		{`"step_size":1}]`, `"step_size":1},{"type":"ENERGY","price":1,"step_size":1}]`, "second time"},
		{`"step_size":1}]`, `"step_size":1}],"restrictions":{"start_time":"24:00"}`, "start_time"},
		{`"step_size":1}]`, `"step_size":1}],"restrictions":{"start_date":"2015-02-30"}`, "start_date"},
		{`"step_size":1}]`, `"step_size":1}],"restrictions":{"day_of_week":["FUNDAY"]}`, "day_of_week"},
		{`"step_size":1}]`, `"step_size":1}],"restrictions":{"reservation":"MAYBE"}`, "reservation"},
		{`"step_size":1}]`, `"step_size":1}],"restrictions":{"reservation":"RESERVATION"}`, "reservation"},
		{`"step_size":1}]`, `"step_size":1}],"restrictions":{"max_kwh":1.0001}`, "max_kwh"},
		{`"step_size":1}]`, `"step_size":1}],"restrictions":[]`, "restrictions"},
		{`"elements"`, `"min_price":{"excl_vat":2},"max_price":{"excl_vat":1},"elements"`, "min_price"},
		{`"elements"`, `"max_price":{"excl_vat":2,"incl_vat":1},"elements"`, "max_price"},
		{`"elements"`, `"type":"CHEAP","elements"`, "type"},
		{`2018-12-17`, `2018-13-17`, "last_updated"},
		{`{"country`, `[{"country`, "JSON"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		_, err := tariff.ParseJSON([]byte(text))
		if !errors.Is(err, tariff.ErrTariff) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s for %s: %v", c.new, c.old, err)
		}
	}
	if _, err := tariff.ParseJSON(make([]byte, tariff.MaxJSON+1)); !errors.Is(err, tariff.ErrTariff) {
		t.Error(err)
	}
}

func TestBadSessionsAreRefused(t *testing.T) {
	p := simple(t)
	for name, s := range map[string]tariff.Session{
		"state":       {Periods: []tariff.Period{{State: 5}}},
		"no state":    {Periods: []tariff.Period{{}}},
		"negative":    {Periods: []tariff.Period{{State: tariff.Charging, Energy: -1}}},
		"too much":    {Periods: []tariff.Period{{State: tariff.Charging, Energy: tariff.MaxEnergy}, {State: tariff.Charging, Energy: 1}}},
		"too long":    {Periods: []tariff.Period{{State: tariff.Idle, Seconds: tariff.MaxSeconds}, {State: tariff.Idle, Seconds: 1}}},
		"too many":    {Periods: make([]tariff.Period, tariff.MaxPeriods+1)},
		"early":       {Start: -1},
		"zone":        {ZoneSeconds: 19 * 3600},
		"reservation": {Reservation: tariff.Some(tariff.Reservation{Expired: true}), Periods: []tariff.Period{{State: tariff.Idle}}},
		"reserved":    {Reservation: tariff.Some(tariff.Reservation{Seconds: tariff.MaxSeconds + 1})},
	} {
		if _, err := p.Price(s); !errors.Is(err, tariff.ErrSession) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dear := p
	dear.Elements = []tariff.Element{{Components: []tariff.Component{{Dimension: tariff.Energy, Price: price.Amount{Hi: 1 << 63}, Step: 1}}}}
	if _, err := dear.Price(tariff.Session{Periods: []tariff.Period{{State: tariff.Charging, Energy: 5000}}}); !errors.Is(err, tariff.ErrRange) {
		t.Errorf("overflow: %v", err)
	}
}

// No tariff that is read makes pricing fail in any way but by an error, and each has one spelling.
func FuzzTariff(f *testing.F) {
	f.Add([]byte(`{"country_code":"DE","party_id":"ALL","id":"1","currency":"EUR","elements":[{"price_components":[{"type":"TIME","price":1.2,"vat":5.2,"step_size":1800,"cairn_grace":3,"cairn_cap":4}],"restrictions":{"start_time":"00:00","end_time":"17:00","max_kwh":1.5,"day_of_week":["MONDAY"],"reservation":"RESERVATION"}}],"last_updated":"2018-12-18T17:07:11Z"}`), int64(1), uint32(9000), int64(20_000))
	f.Add([]byte(`{"country_code":"DE","party_id":"ALL","id":"22","currency":"EUR","min_price":{"excl_vat":1},"max_price":{"excl_vat":9,"incl_vat":10},"elements":[{"price_components":[{"type":"FLAT","price":2,"step_size":0},{"type":"ENERGY","price":0.3,"step_size":100},{"type":"PARKING_TIME","price":6,"step_size":60}],"restrictions":{"min_power":3,"max_duration":300}}],"last_updated":"2018-12-18T17:07:11Z"}`), int64(1_700_000_000), uint32(600), int64(5))
	f.Fuzz(func(t *testing.T, text []byte, start int64, seconds uint32, energy int64) {
		p, err := tariff.ParseJSON(text)
		if err != nil {
			return
		}
		back, err := tariff.ParseJSON(p.JSON())
		if err != nil || !reflect.DeepEqual(back, p) {
			t.Fatalf("%s is read as %s: %v", p.JSON(), back.JSON(), err)
		}
		s := tariff.Session{
			Start: start, Reservation: tariff.Some(tariff.Reservation{Start: start, Seconds: seconds}),
			Periods: []tariff.Period{{State: tariff.Charging, Seconds: seconds, Energy: grid.WattHours(energy)}, {State: tariff.Idle, Seconds: seconds}},
		}
		if _, err := p.Price(s); err != nil && !errors.Is(err, tariff.ErrSession) && !errors.Is(err, tariff.ErrRange) {
			t.Fatal(err)
		}
	})
}

func BenchmarkPrice(b *testing.B) {
	p := tariff.Tariff{CountryCode: "DE", PartyID: "ALL", ID: "1", Currency: "EUR"}
	for i := range 8 {
		p.Elements = append(p.Elements, tariff.Element{
			Components:   []tariff.Component{{Dimension: tariff.Energy, Price: coins("0.25"), Step: 1}, {Dimension: tariff.ParkingTime, Price: coins("2"), Step: 60}},
			Restrictions: tariff.Restrictions{StartTime: tariff.Some(uint16(i * 180)), EndTime: tariff.Some(uint16((i + 1) * 180 % 1440))},
		})
	}
	s := tariff.Session{}
	for range 48 {
		s.Periods = append(s.Periods, tariff.Period{State: tariff.Charging, Seconds: 900, Energy: 2500}, tariff.Period{State: tariff.SuspendedByCar, Seconds: 60})
	}
	for b.Loop() {
		if _, err := p.Price(s); err != nil {
			b.Fatal(err)
		}
	}
}
