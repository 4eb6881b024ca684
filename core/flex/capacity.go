package flex

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
)

// dispatchDomain is 16 bytes of ASCII.
const dispatchDomain = "cairn/dispatch/1"

// Direction is which way a called device is to act.
type Direction uint8

const (
	// Discharge means giving to the grid, or drawing less.
	Discharge Direction = iota
	// Charge means drawing more.
	Charge
)

// Call is what one slot's beacon holds for one device: whether it is called, and which way. The beacon
// must not be known before the slot.
type Call struct{ seed [sha256.Size]byte }

// NewCall returns the draw of a device and a slot.
func NewCall(beacon [32]byte, slot grid.Slot, device uint64) Call {
	var b [16 + 32 + 8 + 8]byte
	copy(b[:], dispatchDomain)
	copy(b[16:], beacon[:])
	binary.BigEndian.PutUint64(b[48:], uint64(slot))
	binary.BigEndian.PutUint64(b[56:], device)
	return Call{sha256.Sum256(b[:])}
}

// Due says whether the call is one of the 1 in interval that are made; never for interval 0. A week has
// 672 slots.
func (c Call) Due(interval uint32) bool {
	return interval > 0 && (interval == 1 || binary.BigEndian.Uint64(c.seed[:8]) < math.MaxUint64/uint64(interval))
}

// Direction of the call.
func (c Call) Direction() Direction { return Direction(c.seed[8] & 1) }

// Share is which part of its power the device is to use: half, three quarters or all of it, in percent.
func (c Call) Share() uint8 { return [...]uint8{50, 75, 100, 100}[c.seed[9]&3] }

// Test is a call and what the meter says of it. Energies are of one slot, at the device's own meter,
// positive where it gave.
type Test struct {
	Direction Direction
	// Asked is what the device was to give, or draw, beside what it did anyway.
	Asked grid.WattHours
	// Baseline is what it would have done, Metered what it did.
	Baseline, Metered grid.WattHours
}

// PassPercent is what must be delivered of what was asked.
const PassPercent = 90

// Passed tells whether the device did what it was asked.
func (t Test) Passed() bool {
	bound := func(e grid.WattHours) bool { return e <= MaxSample && e >= -MaxSample }
	if t.Asked < 1 || !bound(t.Asked) || !bound(t.Baseline) || !bound(t.Metered) {
		return false
	}
	moved := t.Metered - t.Baseline
	if t.Direction == Charge {
		moved = -moved
	}
	return 100*moved >= PassPercent*t.Asked
}

// Availability is a period of being ready.
type Availability struct {
	// Power that is promised.
	Power grid.Watts
	// Slots in which the device was connected and free to act.
	Slots uint32
	// Called and Passed count tests.
	Called, Passed uint32
}

// Pay returns what a period earns at a rate in base units for so many watts and slots: all of it where
// nobody called, otherwise the part of tests passed, and nothing where that is less than half.
func (a Availability) Pay(rate price.Rate) (price.Amount, error) {
	if a.Power < 0 || a.Passed > a.Called {
		return price.Amount{}, fmt.Errorf("%w: %d W, %d of %d tests passed", ErrTerms, a.Power, a.Passed, a.Called)
	}
	full, err := rate.StreamCost(uint64(a.Power), uint64(a.Slots))
	if err != nil {
		return price.Amount{}, fmt.Errorf("paying for %d W in %d slots: %w", a.Power, a.Slots, err)
	}
	switch {
	case a.Called == 0:
		return full, nil
	case 2*uint64(a.Passed) < uint64(a.Called):
		return price.Amount{}, nil
	}
	paid, _ := full.MulDiv(uint64(a.Passed), uint64(a.Called)) // at most full
	return paid, nil
}
