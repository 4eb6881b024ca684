package tariff

import (
	"slices"

	"github.com/cairn-network/cairn/core/grid"
)

// cuts are all the moments at which a restriction of a tariff begins or ceases to hold.
type cuts struct {
	// seconds of the local day, ascending; midnight is among them if dates or weekdays matter.
	daily []int64
	// seconds and energies of a session, ascending.
	seconds  []uint64
	energies []grid.WattHours
}

func newCuts(t *Tariff) (c cuts) {
	for i := range t.Elements {
		r := &t.Elements[i].Restrictions
		for _, minute := range [...]Optional[uint16]{r.StartTime, r.EndTime} {
			if minute.Set {
				c.daily = append(c.daily, int64(minute.Value)*60)
			}
		}
		if r.StartTime.Set || r.EndTime.Set || r.StartDate.Set || r.EndDate.Set || r.Days != 0 {
			c.daily = append(c.daily, 0)
		}
		for _, seconds := range [...]Optional[uint32]{r.MinDuration, r.MaxDuration} {
			if seconds.Set {
				c.seconds = append(c.seconds, uint64(seconds.Value))
			}
		}
		for _, energy := range [...]Optional[grid.WattHours]{r.MinEnergy, r.MaxEnergy} {
			if energy.Set {
				c.energies = append(c.energies, energy.Value)
			}
		}
	}
	slices.Sort(c.daily)
	slices.Sort(c.seconds)
	slices.Sort(c.energies)
	c.daily, c.seconds, c.energies = slices.Compact(c.daily), slices.Compact(c.seconds), slices.Compact(c.energies)
	return c
}

// point is a moment within a period: the seconds and energy since it began. Energy flows evenly: at t
// of S seconds floor(E*t/S) of E have, and e of E Wh have at floor(e*S/E) seconds. The two roundings
// agree on which of two points comes first.
type point struct {
	seconds uint64
	energy  grid.WattHours
}

// after returns the first point after at where anything may change, at the latest p's end.
func (c *cuts) after(at point, now moment, p Period) point {
	whole, total := uint64(p.Seconds), uint64(p.Energy) //nolint:gosec // not negative
	next := point{whole, p.Energy}
	earlier := func(q point) {
		if q != at && (q.seconds < next.seconds || q.seconds == next.seconds && q.energy < next.energy) {
			next = q
		}
	}
	byTime := func(seconds uint64) {
		if seconds < whole {
			earlier(point{seconds, grid.WattHours(mulDiv(total, seconds, whole))}) //nolint:gosec // at most total
		}
	}
	if len(c.daily) > 0 {
		_, second := floorDiv(now.local, daySeconds)
		wait := c.daily[0] + daySeconds - second
		for _, cut := range c.daily {
			if cut > second {
				wait = cut - second
				break
			}
		}
		byTime(at.seconds + uint64(wait)) //nolint:gosec // positive
	}
	for _, cut := range c.seconds {
		if cut > now.seconds {
			byTime(at.seconds + cut - now.seconds)
			break
		}
	}
	for _, cut := range c.energies {
		if cut > now.energy {
			if e := at.energy + cut - now.energy; e < p.Energy {
				earlier(point{mulDiv(uint64(e), whole, total), e}) //nolint:gosec // not negative
			}
			break
		}
	}
	return next
}
