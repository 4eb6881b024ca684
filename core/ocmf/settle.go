package ocmf

import (
	"github.com/cairn-network/cairn/core/grid"
)

// MaxRecords is how many records one session may have: begin, end and a tariff change every quarter
// of an hour for a day.
const MaxRecords = 100

// MilliWattHours is energy as a signed register counts it.
type MilliWattHours int64

// WattHours rounds down, towards zero energy.
func (e MilliWattHours) WattHours() grid.WattHours { return grid.WattHours(e / 1000) }

// Rules are what the records of a session are held against.
type Rules struct {
	// Key is the registered key of the meter (never one that came with the records).
	Key Key
	// Serial is the registered number of the meter; "" takes any, so long as it is the same one.
	Serial string
	// MaxPower of the connector bounds the energy, with a tenth on top; 0 does not.
	MaxPower grid.Watts
	// Used tells whether a page of this meter has been billed before; nil if that is not known.
	Used func(Page) bool
}

// Mark is one end of a session.
type Mark struct {
	Time        Time
	Transaction Transaction
	Value       MilliWattHours
	Page        Page
}

// Settlement is what a session's records prove.
type Settlement struct {
	// Serial is the meter's, Register the OBIS code that was counted.
	Serial, Register string
	Begin, End       Mark
	// Energy is End.Value - Begin.Value.
	Energy MilliWattHours
	// TimeBillable tells whether the meter's clock allows billing time too; Seconds is how long it was.
	TimeBillable bool
	Seconds      uint64
	// User is as the first record has it.
	User User
	// Pages are what the session uses up.
	Pages []Page
}
