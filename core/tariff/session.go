package tariff

import (
	"errors"
	"fmt"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
)

// Bounds of a session.
const (
	MaxPeriods = 4096
	// MaxSeconds and MaxEnergy bound a session's totals, far beyond real ones.
	MaxSeconds = 31 * 24 * 3600
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
	// Lines are in the tariff's order, by element and component, each once.
	Lines []Line
	// Raised is what the tariff's minimum adds to the lines, Lowered what its maximum takes off.
	Raised, Lowered Total
	// Total is what is due: lines + Raised - Lowered, without VAT and with it.
	Total Total
	// VATKnown is false if some line's VAT is not said, so that InclVAT has none for it.
	VATKnown bool
	// Used is what the session was.
	Used Used
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

// Used sums up a session.
type Used struct {
	Energy grid.WattHours
	// Charging, Parking (OCPI's two times), Waiting (the station held back) and Reserved are seconds.
	Charging, Parking, Waiting, Reserved uint64
}

// seconds is how long the car was connected.
func (u Used) seconds() uint64 { return u.Charging + u.Parking + u.Waiting }

// Check refuses sessions that no bill can be made for: ErrSession, naming the field.
func (s *Session) Check() error {
	if len(s.Periods) > MaxPeriods {
		return fmt.Errorf("%w: %d periods, at most %d are read", ErrSession, len(s.Periods), MaxPeriods)
	}
	if s.Start < 0 || s.Start > maxUnix {
		return fmt.Errorf("%w: start %d, want Unix seconds 0..%d", ErrSession, s.Start, int64(maxUnix))
	}
	if s.ZoneSeconds < -maxZone || s.ZoneSeconds > maxZone {
		return fmt.Errorf("%w: zone of %d s, want at most 18 hours", ErrSession, s.ZoneSeconds)
	}
	if r := s.Reservation.Value; s.Reservation.Set {
		switch {
		case r.Seconds > MaxSeconds:
			return fmt.Errorf("%w: reservation of %d s, want at most %d", ErrSession, r.Seconds, MaxSeconds)
		case r.Start < 0 || r.Start > maxUnix:
			return fmt.Errorf("%w: reservation starts at %d, want Unix seconds 0..%d", ErrSession, r.Start, int64(maxUnix))
		case r.Expired && len(s.Periods) > 0:
			return fmt.Errorf("%w: the reservation expired, and yet there are %d periods", ErrSession, len(s.Periods))
		}
	}
	var seconds uint64
	var energy grid.WattHours
	for i, p := range s.Periods {
		seconds += uint64(p.Seconds)
		switch {
		case p.State < Charging || p.State > Idle:
			return fmt.Errorf("%w: period %d has state %d, want 1..4", ErrSession, i+1, p.State)
		case p.Energy < 0 || p.Energy > MaxEnergy-energy:
			return fmt.Errorf("%w: period %d has %d Wh, want 0..%d in all", ErrSession, i+1, p.Energy, MaxEnergy)
		case seconds > MaxSeconds:
			return fmt.Errorf("%w: lasts %d s up to period %d, want at most %d", ErrSession, seconds, i+1, MaxSeconds)
		}
		energy += p.Energy
	}
	return nil
}

const (
	maxUnix = 1 << 38 // year 10,680
	maxZone = 18 * 3600
)
