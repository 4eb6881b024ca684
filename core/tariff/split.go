package tariff

import (
	"fmt"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
)

// BasisPoints are hundredths of a percent.
type BasisPoints uint16

// Whole is all of something.
const Whole BasisPoints = 10_000

// MaxShares is how many shares one may be split into.
const MaxShares = 64

// CheckShares refuses splits that do not sum to Whole: ErrTariff.
func CheckShares(shares []BasisPoints) error {
	if len(shares) == 0 || len(shares) > MaxShares {
		return fmt.Errorf("%w: split into %d shares, want 1 to %d", ErrTariff, len(shares), MaxShares)
	}
	sum := 0
	for _, s := range shares {
		sum += int(s)
	}
	if sum != int(Whole) {
		return fmt.Errorf("%w: shares of a split sum to %d basis points, want %d", ErrTariff, sum, Whole)
	}
	return nil
}

// Split divides total by shares. Each is rounded down, and the units left over go one each to the
// largest remainders, of equal ones to the first (INV-ENERGY-SPLIT). ErrTariff as CheckShares.
func Split(total price.Amount, shares []BasisPoints) ([]price.Amount, error) {
	if err := CheckShares(shares); err != nil {
		return nil, err
	}
	parts := make([]price.Amount, len(shares))
	remainders := make([]uint64, len(shares))
	rest := total
	unit := remainder(total)
	for i, s := range shares {
		parts[i], _ = total.MulDiv(uint64(s), uint64(Whole)) // at most total
		remainders[i] = unit * uint64(s) % uint64(Whole)
		rest, _ = rest.Sub(parts[i]) // the parts are at most the total
	}
	one := price.FromUint64(1)
	for !rest.IsZero() { // fewer than len(shares) times
		largest := 0
		for i, r := range remainders {
			if r > remainders[largest] {
				largest = i
			}
		}
		parts[largest], _ = parts[largest].Add(one)
		remainders[largest] = 0
		rest, _ = rest.Sub(one)
	}
	return parts, nil
}

// remainder returns total modulo Whole.
func remainder(total price.Amount) uint64 {
	quotient, _ := total.MulDiv(1, uint64(Whole))
	product, _ := quotient.MulDiv(uint64(Whole), 1)
	rest, _ := total.Sub(product)
	return rest.Lo
}

// Left is how much more a session may take.
type Left struct {
	Seconds uint64
	Energy  grid.WattHours
}

// Left returns for how long a session may go on charging with a power before it costs more than
// budget, VAT included, and the energy of that time; at most what a session may last at all. Charging
// so much never costs more than budget; where steps make the price jump, a little more might not
// either. Errors as of Price; zero where the session costs more than budget already.
func (t *Tariff) Left(s Session, budget price.Amount, power grid.Watts) (Left, error) {
	cost, err := t.Price(s)
	if err != nil {
		return Left{}, err
	}
	if cost.Total.InclVAT.Cmp(budget) > 0 || len(s.Periods) >= MaxPeriods || power < 0 {
		return Left{}, nil
	}
	room := MaxSeconds - cost.Used.seconds()
	periods := append(append([]Period(nil), s.Periods...), Period{State: Charging})
	s.Periods = periods
	affords := func(seconds uint64) (bool, error) {
		p := &periods[len(periods)-1]
		p.Seconds, p.Energy, p.Power = uint32(seconds), energyOf(power, seconds), Some(power) //nolint:gosec // below MaxSeconds
		if cost.Used.Energy+p.Energy > MaxEnergy {
			return false, nil
		}
		cost, err := t.Price(s)
		return err == nil && cost.Total.InclVAT.Cmp(budget) <= 0, err
	}
	// low is affordable, high is not or is beyond the bound.
	low, high := uint64(0), uint64(60)
	for {
		high = min(high, room+1)
		if high == room+1 {
			break
		}
		ok, err := affords(high)
		if err != nil {
			return Left{}, err
		}
		if !ok {
			break
		}
		low, high = high, high*2
	}
	for high-low > 1 {
		middle := low + (high-low)/2
		ok, err := affords(middle)
		if err != nil {
			return Left{}, err
		}
		if ok {
			low = middle
		} else {
			high = middle
		}
	}
	return Left{Seconds: low, Energy: energyOf(power, low)}, nil
}

// energyOf returns what a power delivers in a time, rounded down; bounded by MaxEnergy and a bit.
func energyOf(power grid.Watts, seconds uint64) grid.WattHours {
	return grid.WattHours(min(mulDiv(uint64(power), seconds, 3600), uint64(MaxEnergy)+1)) //nolint:gosec // not negative, bounded
}
