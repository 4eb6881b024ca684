package tariff

import (
	"errors"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
)

// Bounds of a session.
const (
	MaxPeriods = 4096
	// MaxSeconds and MaxEnergy bound a session's totals, far beyond real ones.
	MaxSeconds = 366 * 24 * 3600
	MaxEnergy  = grid.WattHours(1) << 40
)

// ErrSession is wrapped by errors about sessions that cannot be priced; they name the field.
var ErrSession = errors.New("invalid charging session")

// ErrRange is wrapped by errors about costs beyond 2^128-1.
var ErrRange = errors.New("cost out of range")

// State is what a connector with a car does.
type State uint8

// The states. OCPI has two times: Charging is TIME; SuspendedByCar and Idle are PARKING_TIME. What the
// station itself holds back costs the driver nothing: SuspendedByStation is neither.
const (
	Charging           State = iota + 1 // energy flows
	SuspendedByCar                      // the car takes none
	SuspendedByStation                  // the station gives none: load management, a fault
	Idle                                // charging is over, the car still stands there
)

// Session is what happened, in order and without gaps.
type Session struct {
	// Start is in Unix seconds; ZoneSeconds the local time's lead over UTC, fixed for the session.
	Start       int64
	ZoneSeconds int32
	// Reservation is the one that was made before, if any.
	Reservation Optional[Reservation]
	Periods     []Period
}

// Reservation ended when the car came, or Expired.
type Reservation struct {
	Start   int64 // Unix seconds
	Seconds uint32
	Expired bool
}

// Period is a stretch of a session in one state. Energy flows evenly within it.
type Period struct {
	State   State
	Seconds uint32
	Energy  grid.WattHours
	// Power and Current, where they were measured: power is else the period's average, and
	// restrictions on a current that is not known never hold.
	Power   Optional[grid.Watts]
	Current Optional[MilliAmperes]
}

// Cost is a bill.
type Cost struct {
	// Lines are by element, then by component; each with what it counts.
	Lines []Line
	// Raised is what the tariff's minimum adds to the lines, Lowered what its maximum takes off.
	Raised, Lowered Total
	// Total is what is due: lines + Raised - Lowered, without VAT and with it.
	Total Total
	// VATKnown is false if some line's VAT is not said, so that InclVAT has none for it.
	VATKnown bool
	// Energy and the seconds are the session's own.
	Energy                          grid.WattHours
	ChargingSeconds, ParkingSeconds uint64
	WaitingSeconds, ReservedSeconds uint64
}

// Total is a sum of money without and with VAT.
type Total struct{ ExclVAT, InclVAT price.Amount }

// Line is what one price component costs in a session.
type Line struct {
	// Element and Component are positions in the tariff.
	Element, Component int
	Dimension          Dimension
	// Reservation tells that it is the price of one.
	Reservation ReservationKind
	// Used is how many Wh or seconds (or 1) it counted for, Billed after step and grace.
	Used, Billed uint64
	Price        price.Amount
	VAT          Optional[VAT]
	// ExclVAT is rounded down once, and so is its tax.
	ExclVAT, Tax price.Amount
}
