package auction

import (
	"fmt"

	"github.com/cairn-network/cairn/core/grid"
)

// Estimate is what stands for a slot whose reading is missing: what the same meter counted in the same
// slot of the last day that has one, given the latest first. Nothing where none has. Whatever is settled
// on it is marked, and made good by TrueUp.
func Estimate(days []*grid.WattHours) grid.WattHours {
	for _, day := range days {
		if day != nil {
			return *day
		}
	}
	return 0
}

// Spread divides what a register counted over a gap among the gap's slots, in proportion to their
// estimates, evenly where these are all zero. The parts sum to total; slot order breaks ties. Estimates
// must not be negative.
func Spread(total grid.WattHours, estimates []grid.WattHours) ([]grid.WattHours, error) {
	if total < 0 || total > grid.MaxEnergy {
		return nil, fmt.Errorf("%w: %d Wh over a gap", ErrReading, total)
	}
	if len(estimates) == 0 {
		return nil, fmt.Errorf("%w: %d Wh over a gap of no slots", ErrReading, total)
	}
	portions := make([]portion, len(estimates))
	var sum int64
	for i, e := range estimates {
		if e < 0 || e > MaxQuantity {
			return nil, fmt.Errorf("%w: estimate of %d Wh for slot %d of a gap", ErrReading, e, i)
		}
		portions[i] = portion{index: i, quantity: int64(e)}
		if sum += int64(e); sum > int64(grid.MaxEnergy) {
			return nil, fmt.Errorf("%w: estimates of more than %d Wh over a gap", ErrReading, grid.MaxEnergy)
		}
	}
	if sum == 0 {
		for i := range portions {
			portions[i].quantity = 1
		}
	}
	divide(int64(total), portions, func(a, b portion) int { return a.index - b.index })
	parts := make([]grid.WattHours, len(estimates))
	for _, p := range portions {
		parts[p.index] = grid.WattHours(p.part)
	}
	return parts, nil
}
