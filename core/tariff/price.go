package tariff

import (
	"fmt"
	"math/bits"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
)

// units is how much of a dimension its price is for: a kilowatt-hour, an hour, once.
var units = [...]uint64{Energy: 1000, Flat: 1, ParkingTime: 3600, Time: 3600}

// Price returns what a session costs. It walks the session once, from one moment at which a
// restriction may begin or cease to hold to the next, and asks for each stretch which component of
// each dimension counts. ErrTariff, ErrSession or ErrRange where there is no answer.
//
// A flat price counts once for a session, the first that applies at any time; so does one of a
// reservation.
func (t *Tariff) Price(s Session) (Cost, error) {
	if err := t.Check(); err != nil {
		return Cost{}, err
	}
	if err := s.Check(); err != nil {
		return Cost{}, err
	}
	m := newMeter(t)
	if s.Reservation.Set {
		m.reserve(s.Reservation.Value, s.ZoneSeconds)
	}
	for _, p := range s.Periods {
		m.period(p, s.Start, s.ZoneSeconds)
	}
	return m.bill(len(s.Periods) > 0)
}

// meter counts what each component of a tariff is used for.
type meter struct {
	t *Tariff
	// used and counted are by element and component. counted tells which came into force at all.
	used    [][]uint64
	counted [][]bool
	// flat tells that a flat price counts already, for the session and for the reservation.
	flat [2]bool
	// last is the component that counted last, of energy, of either time, and of a reservation's time;
	// timed is that time's dimension.
	last  [3]place
	timed Dimension
	sum   Used
	cuts  cuts
}

// place is the position of a component; set tells that there is one.
type place struct {
	element, component int
	set                bool
}

// The positions in meter.last.
const (
	lastEnergy = iota
	lastTime
	lastReserved
)

func newMeter(t *Tariff) *meter {
	m := &meter{t: t, cuts: newCuts(t)}
	m.used, m.counted = make([][]uint64, len(t.Elements)), make([][]bool, len(t.Elements))
	for i, e := range t.Elements {
		m.used[i], m.counted[i] = make([]uint64, len(e.Components)), make([]bool, len(e.Components))
	}
	return m
}

// moment is when and how a stretch begins.
type moment struct {
	// local is the local time in seconds since 1970-01-01 there.
	local int64
	// seconds and energy are the session's so far.
	seconds uint64
	energy  grid.WattHours
	power   grid.Watts
	current Optional[MilliAmperes]
	// reservation is what the stretch is part of.
	reservation ReservationKind
}

// period counts one period of the session.
func (m *meter) period(p Period, start int64, zone int32) {
	power := p.Power.Value
	if !p.Power.Set && p.Seconds > 0 {
		power = grid.Watts(mulDiv(uint64(p.Energy), 3600, uint64(p.Seconds))) //nolint:gosec // not negative
	}
	begun, from := m.sum.seconds(), m.sum.Energy
	for at := (point{}); ; {
		now := moment{
			local:   start + int64(zone) + int64(begun+at.seconds), //nolint:gosec // bounded by Check
			seconds: begun + at.seconds, energy: from + at.energy, power: power, current: p.Current,
		}
		next := m.cuts.after(at, now, p)
		m.stretch(now, p.State, next.seconds-at.seconds, uint64(next.energy-at.energy)) //nolint:gosec // ascending
		at = next
		if at.seconds == uint64(p.Seconds) && at.energy == p.Energy {
			return
		}
	}
}

// stretch counts a part of a period throughout which the same components apply.
func (m *meter) stretch(now moment, state State, seconds, energy uint64) {
	m.count(now, Flat, 1)
	m.sum.Energy += grid.WattHours(energy) //nolint:gosec // bounded by Check
	if energy > 0 {
		m.count(now, Energy, energy)
	}
	switch state {
	case Charging:
		m.sum.Charging += seconds
		if seconds > 0 {
			m.count(now, Time, seconds)
		}
	case SuspendedByStation:
		m.sum.Waiting += seconds
	default:
		m.sum.Parking += seconds
		if seconds > 0 {
			m.count(now, ParkingTime, seconds)
		}
	}
}

// reserve counts a reservation.
func (m *meter) reserve(r Reservation, zone int32) {
	kind := Reserved
	if r.Expired {
		kind = Expires
	}
	m.sum.Reserved = uint64(r.Seconds)
	for done := uint64(0); ; {
		now := moment{local: r.Start + int64(zone) + int64(done), seconds: done, reservation: kind} //nolint:gosec // bounded by Check
		m.count(now, Flat, 1)
		if done == uint64(r.Seconds) {
			return
		}
		next := m.cuts.after(point{seconds: done}, now, Period{Seconds: r.Seconds})
		m.count(now, Time, next.seconds-done)
		done = next.seconds
	}
}

// count adds to the component of a dimension that applies, if there is one. An expired reservation is
// priced by elements for that, and where there is none of the dimension as one that did not expire.
func (m *meter) count(now moment, d Dimension, amount uint64) {
	p, ok := m.t.find(now, d)
	if !ok && now.reservation == Expires && !m.t.has(Expires, d) {
		now.reservation = Reserved
		p, ok = m.t.find(now, d)
	}
	if !ok {
		return
	}
	reserved := now.reservation != NoReservation
	if d == Flat {
		if i := index(reserved); !m.flat[i] {
			m.flat[i] = true
			m.used[p.element][p.component], m.counted[p.element][p.component] = 1, true
		}
		return
	}
	m.used[p.element][p.component] += amount
	m.counted[p.element][p.component] = true
	switch {
	case reserved:
		m.last[lastReserved] = p
	case d == Energy:
		m.last[lastEnergy] = p
	default:
		m.last[lastTime], m.timed = p, d
	}
}

func index(reserved bool) int {
	if reserved {
		return 1
	}
	return 0
}

// find returns the first component of a dimension whose element's restrictions hold.
func (t *Tariff) find(now moment, d Dimension) (place, bool) {
	for i := range t.Elements {
		e := &t.Elements[i]
		if e.Restrictions.Reservation != now.reservation {
			continue
		}
		for j := range e.Components {
			if e.Components[j].Dimension == d && e.Restrictions.hold(now) {
				return place{i, j, true}, true
			}
		}
	}
	return place{}, false
}

// has tells whether any element of a kind prices a dimension.
func (t *Tariff) has(kind ReservationKind, d Dimension) bool {
	for _, e := range t.Elements {
		for _, c := range e.Components {
			if e.Restrictions.Reservation == kind && c.Dimension == d {
				return true
			}
		}
	}
	return false
}

// hold tells whether all restrictions but the reservation's hold at a moment.
func (r *Restrictions) hold(now moment) bool {
	day, second := floorDiv(now.local, daySeconds)
	minute := uint16(second / 60) //nolint:gosec // below 1440
	switch {
	case r.StartTime.Set && r.EndTime.Set && !within(minute, r.StartTime.Value, r.EndTime.Value):
	case r.StartTime.Set && !r.EndTime.Set && minute < r.StartTime.Value:
	case !r.StartTime.Set && r.EndTime.Set && r.EndTime.Value != 0 && minute >= r.EndTime.Value:
	case r.StartDate.Set && day < int64(r.StartDate.Value):
	case r.EndDate.Set && day >= int64(r.EndDate.Value):
	case r.Days != 0 && r.Days>>weekday(day)&1 == 0:
	case r.MinEnergy.Set && now.energy < r.MinEnergy.Value:
	case r.MaxEnergy.Set && now.energy >= r.MaxEnergy.Value:
	case r.MinPower.Set && now.power < r.MinPower.Value:
	case r.MaxPower.Set && now.power >= r.MaxPower.Value:
	case (r.MinCurrent.Set || r.MaxCurrent.Set) && !now.current.Set:
	case r.MinCurrent.Set && now.current.Value < r.MinCurrent.Value:
	case r.MaxCurrent.Set && now.current.Value >= r.MaxCurrent.Value:
	case r.MinDuration.Set && now.seconds < uint64(r.MinDuration.Value):
	case r.MaxDuration.Set && now.seconds >= uint64(r.MaxDuration.Value):
	default:
		return true
	}
	return false
}

// within tells whether a minute of the day is from start until end, over midnight where end is not
// after start.
func within(minute, start, end uint16) bool {
	if start < end {
		return start <= minute && minute < end
	}
	return minute >= start || minute < end
}

const daySeconds = 24 * 3600

// weekday returns 0 for Monday to 6 for Sunday; 1970-01-01 was a Thursday.
func weekday(day int64) uint {
	_, d := floorDiv(day+3, 7)
	return uint(d) //nolint:gosec // 0..6
}

func floorDiv(a, b int64) (quotient, remainder int64) {
	quotient, remainder = a/b, a%b
	if remainder < 0 {
		quotient, remainder = quotient-1, remainder+b
	}
	return quotient, remainder
}

// mulDiv returns floor(a*b/c), which must be below 2^64; 0 for c = 0.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi >= c {
		return 0
	}
	q, _ := bits.Div64(hi, lo, c)
	return q
}

// bill rounds, prices and sums up. charged tells that there was a session, and not a reservation alone.
func (m *meter) bill(charged bool) (Cost, error) {
	billed := m.billed()
	c := Cost{VATKnown: true, Used: m.sum}
	var tax price.Amount
	var overflow bool
	for i, e := range m.t.Elements {
		for j, component := range e.Components {
			if !m.counted[i][j] {
				continue
			}
			line := Line{
				Element: i, Component: j, Dimension: component.Dimension, Reservation: e.Restrictions.Reservation,
				Used: m.used[i][j], Billed: billed[i][j], Price: component.Price, VAT: component.VAT,
			}
			if line.ExclVAT, overflow = component.Price.MulDiv(line.Billed, units[component.Dimension]); overflow {
				return Cost{}, fmt.Errorf("%w: %d units at %s", ErrRange, line.Billed, component.Price)
			}
			if component.Cap.Set && line.ExclVAT.Cmp(component.Cap.Value) > 0 {
				line.ExclVAT = component.Cap.Value
			}
			line.Tax, _ = line.ExclVAT.MulDiv(uint64(component.VAT.Value), grid.Million) // at most the price
			c.VATKnown = c.VATKnown && component.VAT.Set
			if c.Total.ExclVAT, overflow = c.Total.ExclVAT.Add(line.ExclVAT); overflow {
				return Cost{}, fmt.Errorf("%w: the sum without VAT", ErrRange)
			}
			tax, _ = tax.Add(line.Tax) // at most the sum
			c.Lines = append(c.Lines, line)
		}
	}
	if c.Total.InclVAT, overflow = c.Total.ExclVAT.Add(tax); overflow {
		return Cost{}, fmt.Errorf("%w: the sum with VAT", ErrRange)
	}
	if m.t.Min.Set && charged {
		raised := c.Total.bound(m.t.Min.Value, 1)
		c.Raised, c.Total = raised.minus(c.Total), raised
	}
	if m.t.Max.Set {
		lowered := c.Total.bound(m.t.Max.Value, -1)
		c.Lowered, c.Total = c.Total.minus(lowered), lowered
	}
	return c, nil
}

// billed takes grace off what each component counted, and rounds the totals up to the steps (OCPI
// 2.2.1 mod_cdrs, step_size): of energy, of a reservation's time, and of that time of the session
// which came last. What rounding adds is on the last component's account.
func (m *meter) billed() [][]uint64 {
	billed := make([][]uint64, len(m.used))
	for i, e := range m.t.Elements {
		billed[i] = make([]uint64, len(m.used[i]))
		for j, c := range e.Components {
			billed[i][j] = m.used[i][j] - min(m.used[i][j], uint64(c.Grace))
		}
	}
	for i, last := range m.last {
		if !last.set {
			continue
		}
		step := uint64(max(1, m.t.Elements[last.element].Components[last.component].Step))
		dimension := Energy
		switch i {
		case lastTime:
			dimension = m.timed
		case lastReserved:
			dimension = Time
		}
		total := m.total(billed, dimension, i == lastReserved)
		if rest := total % step; rest != 0 {
			billed[last.element][last.component] += step - rest
		}
	}
	return billed
}

// total sums a dimension over the elements of a session, or of reservations.
func (m *meter) total(billed [][]uint64, d Dimension, reserved bool) (sum uint64) {
	for i, e := range m.t.Elements {
		if (e.Restrictions.Reservation != NoReservation) != reserved {
			continue
		}
		for j, c := range e.Components {
			if c.Dimension == d {
				sum += billed[i][j]
			}
		}
	}
	return sum
}

// bound returns t moved to a limit where it lies beyond: below it for sign 1, above it for -1. Where
// the limit does not say what it is with VAT, the tax moves with the price.
func (t Total) bound(limit Limit, sign int) Total {
	tax, _ := t.InclVAT.Sub(t.ExclVAT) // never negative
	out := t
	if t.ExclVAT.Cmp(limit.ExclVAT)*sign < 0 {
		out.ExclVAT = limit.ExclVAT
		if !limit.InclVAT.Set {
			scaled := scale(tax, limit.ExclVAT, t.ExclVAT)
			var overflow bool
			if out.InclVAT, overflow = limit.ExclVAT.Add(scaled); overflow {
				out.InclVAT = limit.ExclVAT
			}
		}
	}
	if limit.InclVAT.Set && t.InclVAT.Cmp(limit.InclVAT.Value)*sign < 0 {
		out.InclVAT = limit.InclVAT.Value
	}
	if out.InclVAT.Cmp(out.ExclVAT) < 0 {
		out.InclVAT = out.ExclVAT
	}
	return out
}

// scale returns tax*to/from, rounded down, nothing for a price of nothing.
func scale(tax, to, from price.Amount) price.Amount {
	if to.Cmp(from) <= 0 {
		return tax.Share(to, from)
	}
	if from.IsZero() {
		return price.Amount{}
	}
	// Upwards the quotient may be large: whole multiples first, then the rest.
	b := tax.Big()
	b.Mul(b, to.Big())
	b.Quo(b, from.Big())
	scaled, err := price.FromBig(b)
	if err != nil {
		return price.Amount{}
	}
	return scaled
}

func (t Total) minus(u Total) (d Total) {
	d.ExclVAT, _ = t.ExclVAT.Sub(u.ExclVAT)
	d.InclVAT, _ = t.InclVAT.Sub(u.InclVAT)
	return d
}
