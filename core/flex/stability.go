package flex

import (
	"fmt"
	"math/bits"

	"github.com/cairn-network/cairn/core/grid"
)

// mulDiv returns floor(a*b/c) of numbers that are not negative, where that fits.
func mulDiv(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	q, _ := bits.Div64(hi, lo, uint64(c))
	return int64(q)
}

// Flows are a community's in one slot. None is negative.
type Flows struct {
	Produced, Consumed grid.WattHours
	// Import from the utility and Export to it.
	Import, Export grid.WattHours
}

// Stability says how even a community's load is, and how much of its energy its own. Shares are in
// ten-thousandths, and zero where there is nothing that they could be a share of.
type Stability struct {
	// Peak is the largest import of a slot.
	Peak grid.WattHours
	// Ramp is the sum of all changes of net import from slot to slot, up and down.
	Ramp grid.WattHours
	// LoadFactor is the mean import of the peak.
	LoadFactor uint16
	// SelfSufficiency is what was consumed and not imported, SelfConsumption what was produced and not
	// exported.
	SelfSufficiency, SelfConsumption uint16
}

// MaxSlots of one Measure: a leap year.
const MaxSlots = 366 * grid.SlotsPerDay

// Measure computes the figures of consecutive slots.
func Measure(slots []Flows) (Stability, error) {
	if len(slots) > MaxSlots {
		return Stability{}, fmt.Errorf("%w: %d slots, at most %d", ErrSamples, len(slots), MaxSlots)
	}
	var s Stability
	var all Flows
	for i, f := range slots {
		if min(f.Produced, f.Consumed, f.Import, f.Export) < 0 || max(f.Produced, f.Consumed, f.Import, f.Export) > MaxSample {
			return Stability{}, fmt.Errorf("%w: %+v in slot %d, want 0 to %d", ErrSamples, f, i, MaxSample)
		}
		s.Peak = max(s.Peak, f.Import)
		if i > 0 {
			change := (f.Import - f.Export) - (slots[i-1].Import - slots[i-1].Export)
			s.Ramp += max(change, -change)
		}
		all.Produced += f.Produced
		all.Consumed += f.Consumed
		all.Import += f.Import
		all.Export += f.Export
	}
	s.LoadFactor = share(all.Import, s.Peak*grid.WattHours(len(slots)))
	s.SelfSufficiency = share(all.Consumed-all.Import, all.Consumed)
	s.SelfConsumption = share(all.Produced-all.Export, all.Produced)
	return s, nil
}

// share is part of whole in ten-thousandths, rounded down; parts below zero are none.
func share(part, whole grid.WattHours) uint16 {
	if part <= 0 || whole <= 0 {
		return 0
	}
	return uint16(mulDiv(int64(min(part, whole)), 10_000, int64(whole)))
}
