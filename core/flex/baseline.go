package flex

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cairn-network/cairn/core/grid"
)

// Bounds of an event's baseline: the mean of the highest five of the last ten like days, adjusted by
// what the same day was like just before.
const (
	LikeDays    = 10
	HighestDays = 5
	// MaxEvent is the most slots of an event, and of the time before it: a day.
	MaxEvent = grid.SlotsPerDay
	// The adjustment lies between these, in per cent.
	leastAdjustment, mostAdjustment = 80, 120
)

// Day is what a customer drew in the slots before an event and during it, or on a like day (a working
// day for a working day, without an event) in the same slots.
type Day struct{ Before, During []grid.WattHours }

// Baseline returns what a customer would have drawn in each slot of an event. days are like days, the
// latest first, at least HighestDays of them; those after the first LikeDays do not count. before is
// what the customer drew on the day itself, in as many slots as each day's Before; none means no
// adjustment. Of equal days the later counts as higher. Values are rounded down.
func Baseline(days []Day, before []grid.WattHours) ([]grid.WattHours, error) {
	days = days[:min(len(days), LikeDays)]
	if len(days) < HighestDays {
		return nil, fmt.Errorf("%w: %d like days, want at least %d", ErrDays, len(days), HighestDays)
	}
	slots := len(days[0].During)
	if slots < 1 || slots > MaxEvent || len(before) > MaxEvent {
		return nil, fmt.Errorf("%w: event of %d slots, %d before it, at most %d", ErrDays, slots, len(before), MaxEvent)
	}
	type ranked struct {
		Day
		sum int64
	}
	byDraw := make([]ranked, len(days))
	for i, d := range days {
		if len(d.During) != slots || len(d.Before) != len(before) {
			return nil, fmt.Errorf("%w: day %d has %d slots and %d before them, want %d and %d", ErrDays, i, len(d.During), len(d.Before), slots, len(before))
		}
		for _, e := range slices.Concat(d.During, d.Before) {
			if e < 0 || e > MaxSample {
				return nil, fmt.Errorf("%w: %d Wh on day %d, want 0 to %d", ErrDays, e, i, MaxSample)
			}
		}
		byDraw[i] = ranked{d, sum(d.During)}
	}
	for i, e := range before {
		if e < 0 || e > MaxSample {
			return nil, fmt.Errorf("%w: %d Wh in slot %d before the event, want 0 to %d", ErrDays, e, i, MaxSample)
		}
	}
	slices.SortStableFunc(byDraw, func(a, b ranked) int { return cmp.Compare(b.sum, a.sum) })
	byDraw = byDraw[:HighestDays]

	var usual int64 // of the days' slots before, summed over days
	for _, d := range byDraw {
		usual += sum(d.Before)
	}
	numerator, denominator := adjustment(sum(before), usual)
	base := make([]grid.WattHours, slots)
	for at := range base {
		var total int64
		for _, d := range byDraw {
			total += int64(d.During[at])
		}
		base[at] = grid.WattHours(mulDiv(total, numerator, denominator))
	}
	return base, nil
}

// adjustment is what a sum over HighestDays is multiplied by, and divided by, to become their mean made
// like today: by what was drawn before the event today against the same days' sum, within bounds.
func adjustment(today, usual int64) (numerator, denominator int64) {
	switch percent := 100 * HighestDays * today; {
	case today == 0 && usual == 0:
		return 1, HighestDays
	case percent > mostAdjustment*usual:
		return mostAdjustment, 100 * HighestDays
	case percent < leastAdjustment*usual:
		return leastAdjustment, 100 * HighestDays
	}
	return today, usual
}

func sum(energies []grid.WattHours) (total int64) {
	for _, e := range energies {
		total += int64(e)
	}
	return total
}

// Response is what a customer drew less than the baseline, slot by slot; drawing more in one slot takes
// nothing from another. Nothing is below zero.
func Response(baseline, metered []grid.WattHours) (grid.WattHours, error) {
	if len(baseline) != len(metered) || len(metered) > MaxEvent {
		return 0, fmt.Errorf("%w: %d slots metered of %d, at most %d", ErrDays, len(metered), len(baseline), MaxEvent)
	}
	var total grid.WattHours
	for i, b := range baseline {
		m := metered[i]
		if b < 0 || b > 2*MaxSample || m > MaxSample || m < -MaxSample {
			return 0, fmt.Errorf("%w: baseline of %d Wh and %d Wh metered in slot %d", ErrDays, b, m, i)
		}
		total += max(b-m, 0)
	}
	return total, nil
}
