package price

import (
	"fmt"
	"math/bits"
)

// Accrue returns what holding units for some more seconds adds to an account that still carried
// carry/Per of a base unit, and what it carries from there, below Per. carry must be below Per.
// ErrRate or ErrRange where there is no answer.
//
// INV-PRICE-2: however a time is cut into parts and the units change between them, the parts
// accrued one after the other sum to the exact total, rounded down once.
func (r Rate) Accrue(units, seconds, carry uint64) (cost Amount, rest uint64, err error) {
	if r.Amount.IsZero() {
		return Amount{}, 0, nil
	}
	if err := r.Check(); err != nil {
		return Amount{}, 0, err
	}
	if carry >= r.Per {
		return Amount{}, 0, fmt.Errorf("carrying %d/%d of a base unit: %w", carry, r.Per, ErrRange)
	}
	var held Amount
	held.Hi, held.Lo = bits.Mul64(units, seconds)
	cost, rest, overflow := mulAddDiv(r.Amount, held, carry, r.Per)
	if overflow {
		return Amount{}, 0, fmt.Errorf("accruing %d units for %d s at %s acairn per %d: %w",
			units, seconds, r.Amount, r.Per, ErrRange)
	}
	return cost, rest, nil
}

// Cmp compares what r and s ask for the same units: -1, 0 or 1 as r is cheaper, equal or dearer.
// Exact, and no unit count is needed.
func (r Rate) Cmp(s Rate) int {
	a, b := r.times(s.Per), s.times(r.Per)
	for i := range a {
		if a[i] != b[i] {
			if a[i] < b[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// times returns Amount*n as three words, most significant first. The zero Rate's Per counts as 1.
func (r Rate) times(n uint64) [3]uint64 {
	n = max(n, 1)
	h1, lo := bits.Mul64(r.Amount.Lo, n)
	h2, m2 := bits.Mul64(r.Amount.Hi, n)
	mid, carry := bits.Add64(h1, m2, 0)
	return [3]uint64{h2 + carry, mid, lo}
}
