// Package tariff prices charging sessions: OCPI 2.2.1's tariffs in integers, the same on chain, in
// the central system and in front of the driver.
//
// Money is price.Amount in 10^-18 of the tariff's currency, so that a tariff in CAIRN is priced in
// acairn and one in EUR in 10^-18 EUR by the same arithmetic. A tariff is a list of elements; for each
// dimension (energy, charging time, parking time, flat) the first element whose restrictions match
// counts, at every moment anew. Price walks a session's periods, cuts them where a restriction begins
// or ends to hold, and rounds once for each line of the bill.
//
// Where OCPI's first print of 2.2.1 has examples that contradict each other on step_size, the edition
// 2.2.1-d2 (and 2.3.0) is followed: one rounding for each of energy, charging time and parking time,
// by the step of the last component that counted, and none for charging time that parking follows.
//
// Two things that stations need and OCPI cannot say are fields of our own on a price component, that
// OCPI's readers skip: grace (the first units are free) and a cap (the component never costs more).
//
// INV-ENERGY-BILL: a bill's lines, raised to the minimum and lowered to the maximum, sum exactly to
// its total, without VAT and with it.
//
// INV-ENERGY-MONOTONE: with steps of 1, what follows never makes a session cheaper. (With larger steps
// OCPI's rules do: parking that follows spares charging time its rounding.)
//
// INV-ENERGY-SPLIT: the shares of a split sum exactly to what was split.
package tariff

import (
	"errors"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
)

// Bounds of a tariff. Longer ones are refused, so that pricing is cheap for every validator.
const (
	MaxElements   = 32
	MaxComponents = 4 // one for each dimension
	MaxTexts      = 8
	MaxText       = 512
	MaxJSON       = 16 << 10
)

// ErrTariff is wrapped by errors about tariffs that no session can be priced by; they name the field.
var ErrTariff = errors.New("invalid tariff")

// Optional is a value that may be left out.
type Optional[T any] struct {
	Set   bool
	Value T
}

// Some is an Optional with a value.
func Some[T any](v T) Optional[T] { return Optional[T]{Set: true, Value: v} }

// Dimension is what a price is for (OCPI TariffDimensionType).
type Dimension uint8

// The dimensions.
const (
	Energy      Dimension = iota + 1 // price per kWh, counted in Wh
	Flat                             // price once
	ParkingTime                      // price per hour connected and not charging, counted in seconds
	Time                             // price per hour charging (or reserved), counted in seconds
)

// VAT is a tax rate in millionths: 5.2 % is 52,000.
type VAT = grid.PPM

// Tariff is an immutable price list: a change is another tariff.
type Tariff struct {
	CountryCode, PartyID, ID string
	// Currency is an ISO 4217 code, or "CAIRN".
	Currency string
	// Type is one of Types, or "" for all sessions.
	Type string
	// AltText and AltURL say it to people.
	AltText []Text
	AltURL  string
	// Min and Max bound the whole session.
	Min, Max Optional[Limit]
	Elements []Element
	// From and Until are when sessions may begin by it, in Unix seconds.
	From, Until Optional[int64]
	// LastUpdated is in Unix seconds.
	LastUpdated int64
}

// Types are OCPI's TariffTypes.
var Types = [...]string{"AD_HOC_PAYMENT", "PROFILE_CHEAP", "PROFILE_FAST", "PROFILE_GREEN", "REGULAR"}

// Text is a text in a language (ISO 639-1).
type Text struct{ Language, Text string }

// Limit is a price without VAT and, if said, with it.
type Limit struct {
	ExclVAT price.Amount
	InclVAT Optional[price.Amount]
}

// Element is a group of price components under the same restrictions, which must all hold.
type Element struct {
	Components   []Component
	Restrictions Restrictions
}

// Component is the price of one dimension.
type Component struct {
	Dimension Dimension
	// Price is per kWh, per hour or once, in 10^-18 of the currency, without VAT.
	Price price.Amount
	// VAT that is not set is not known, which is not the same as none.
	VAT Optional[VAT]
	// Step is the block, in Wh or seconds, that the session's total is rounded up to.
	Step uint32
	// Grace is how many Wh or seconds of the session's total are free before this component counts.
	Grace uint32
	// Cap is the most that this component costs in a session, without VAT.
	Cap Optional[price.Amount]
}

// ReservationKind restricts an element to reservations.
type ReservationKind uint8

// The kinds.
const (
	NoReservation ReservationKind = iota
	Reserved                      // RESERVATION
	Expires                       // RESERVATION_EXPIRES
)

// Restrictions say when an element counts. "From" is inclusive, "below" and "until" are exclusive.
type Restrictions struct {
	// StartTime and EndTime are minutes of the local day, 0..1439. An end at or before the start is on
	// the next day; an end of 0 is midnight.
	StartTime, EndTime Optional[uint16]
	// StartDate and EndDate are local days since 1970-01-01.
	StartDate, EndDate Optional[int32]
	// MinEnergy and MaxEnergy bound the energy of the session so far.
	MinEnergy, MaxEnergy Optional[grid.WattHours]
	// MinCurrent and MaxCurrent bound the current over all phases.
	MinCurrent, MaxCurrent Optional[MilliAmperes]
	// MinPower and MaxPower bound the power.
	MinPower, MaxPower Optional[grid.Watts]
	// MinDuration and MaxDuration bound the seconds of the session so far.
	MinDuration, MaxDuration Optional[uint32]
	// Days has bit 0 for Monday to bit 6 for Sunday; 0 is every day.
	Days uint8
	// Reservation is set for prices of reservations.
	Reservation ReservationKind
}

// MilliAmperes of current.
type MilliAmperes int64
