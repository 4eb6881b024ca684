// Package meter is what energy is counted with, the same on chain and off: registers, the signed
// frames in which a meter tells them, the receipt that a gateway gives for one, and the hour of a
// community in a Merkle sum tree whose totals must add up.
//
// # Mental model
//
// A meter counts up: how much it imported, exported, generated, stored and took out of storage since
// it was new. A frame tells these registers at the beginning of its first slot and at the end of each
// step, so that a lost frame loses nothing: the next one tells what the lost one would have told.
// A slot is a quarter of an hour; four slots are an hour, and no frame crosses one.
//
//	meter --frames--> aggregator --receipt-->
//	                      | each hour: one Leaf a meter, one Node over all
//	                      v
//	                  the chain: totals, and the root behind them
//
// A leaf follows from its frames by Replay and from nothing else, so that whoever has the frames can
// show that a leaf is wrong. Energy in frames is in MilliWattHours; in leaves and the market it is in
// grid.WattHours, cut from the registers (not from differences), so that slots add up to registers.
//
// Formats: docs/format/frame.md. What is believed of a reading, and why not: reason.go.
//
// # Invariants
//
// INV-METER-1: frames have one encoding, and there is none for a register that falls.
//
// INV-METER-2: the watt hours of any run of slots sum to the difference of the registers at its ends,
// each cut to watt hours.
//
// INV-METER-TREE: under one root a place belongs to one leaf, and every node carries the sums of its
// leaves; no sum overflows.
//
// INV-METER-BALANCE: produced + grid import + stored out = consumed + grid export + stored in +
// losses, exactly, in every slot.
//
// INV-METER-TOTAL: no bytes make a function panic or work beyond its stated bounds.
package meter

import (
	"errors"
	"fmt"

	"github.com/cairn-network/cairn/core/grid"
)

// MilliWattHours is energy as registers count it.
type MilliWattHours int64

// MaxRegister is the most that a register shows: 2^60 mWh, more than a thousand terawatt hours.
const MaxRegister MilliWattHours = 1 << 60

// milli is how many MilliWattHours a grid.WattHours has.
const milli = 1000

// WattHours cuts to whole watt hours.
func (e MilliWattHours) WattHours() grid.WattHours { return grid.WattHours(e / milli) }

// HourSlots is how many slots an hour has.
const HourSlots = grid.SlotsPerHour

// Hour counts hours since the Unix epoch.
type Hour uint64

// HourOf is the hour that a slot lies in.
func HourOf(s grid.Slot) Hour { return Hour(s / HourSlots) }

// First is the first slot of an hour.
func (h Hour) First() grid.Slot { return grid.Slot(h) * HourSlots }

// Begin is when an hour begins, Unix seconds.
func (h Hour) Begin() int64 { return int64(h) * HourSlots * grid.SlotSeconds }

// HourAt is the hour at a time, Unix seconds.
func HourAt(unix int64) Hour { return HourOf(grid.SlotAt(unix)) }

var (
	// ErrFrame is wrapped by errors about frames that no meter may send.
	ErrFrame = errors.New("invalid frame")
	// ErrEncoding is wrapped by errors about bytes that are nothing in its only encoding.
	ErrEncoding = errors.New("invalid meter encoding")
	// ErrEvidence is wrapped by errors about frames from which no leaf follows.
	ErrEvidence = errors.New("frames make no leaf")
	// ErrProof is wrapped by errors about what is not under a root as it is said to be.
	ErrProof = errors.New("meter proof does not hold")
	// ErrLeaves is wrapped by errors about leaves that make no tree.
	ErrLeaves = errors.New("leaves make no tree")
	// ErrBalance is wrapped by errors about totals that no community can have.
	ErrBalance = errors.New("totals make no balance")
)

// Registers are what a meter counted since it was new. What it cannot count stays 0.
type Registers struct {
	// Import and Export crossed the connection to the grid.
	Import, Export MilliWattHours
	// Generation came from the site's own source.
	Generation MilliWattHours
	// StoredIn went into the site's battery, StoredOut came out of it.
	StoredIn, StoredOut MilliWattHours
}

const registers = 5

func (r Registers) array() [registers]MilliWattHours {
	return [registers]MilliWattHours{r.Import, r.Export, r.Generation, r.StoredIn, r.StoredOut}
}

func ofArray(a [registers]MilliWattHours) Registers {
	return Registers{Import: a[0], Export: a[1], Generation: a[2], StoredIn: a[3], StoredOut: a[4]}
}

var registerNames = [registers]string{"import", "export", "generation", "stored in", "stored out"}

// Check refuses registers outside 0..MaxRegister; ErrFrame.
func (r Registers) Check() error {
	for i, v := range r.array() {
		if v < 0 || v > MaxRegister {
			return fmt.Errorf("%w: %s register is %d mWh, want 0..%d", ErrFrame, registerNames[i], v, MaxRegister)
		}
	}
	return nil
}

// Falls names the first register that is lower in next than in r; false if none is.
func (r Registers) Falls(next Registers) (name string, falls bool) {
	after := next.array()
	for i, v := range r.array() {
		if after[i] < v {
			return registerNames[i], true
		}
	}
	return "", false
}

// Energy is what flowed through a meter in some time.
type Energy struct {
	Import, Export, Generation, StoredIn, StoredOut grid.WattHours
}

// Between is the energy between two readings of the same meter, the earlier one first; what fell
// comes out negative.
func Between(from, to Registers) Energy {
	var d [registers]grid.WattHours
	a, b := from.array(), to.array()
	for i := range d {
		d[i] = b[i].WattHours() - a[i].WattHours()
	}
	return Energy{Import: d[0], Export: d[1], Generation: d[2], StoredIn: d[3], StoredOut: d[4]}
}

// Load is what the site used itself: what came in by the grid, its own source and its battery, less
// what went out and into the battery. It is negative where the meter counts what cannot be.
func (e Energy) Load() grid.WattHours {
	return e.Import + e.Generation + e.StoredOut - e.Export - e.StoredIn
}

func (e Energy) array() [registers]grid.WattHours {
	return [registers]grid.WattHours{e.Import, e.Export, e.Generation, e.StoredIn, e.StoredOut}
}

func energyOf(a [registers]grid.WattHours) Energy {
	return Energy{Import: a[0], Export: a[1], Generation: a[2], StoredIn: a[3], StoredOut: a[4]}
}
