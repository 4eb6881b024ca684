package csms

import (
	"context"
	"errors"
	"time"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/tariff"
)

// Ledger holds the money: the chain, or csmstest.Ledger. Every method may be called again with the same arguments after
// a crash or a lost answer, and must then say the same and do nothing.
type Ledger interface {
	// Opened returns sessions that drivers opened on these stations after cursor, the oldest first, at most max, and the
	// cursor to ask with next. The cursor is opaque; "" is the beginning.
	Opened(ctx context.Context, cursor string, max int) (orders []Order, next string, err error)
	// Tariff is the tariff of a hash that an order names.
	Tariff(ctx context.Context, ref TariffRef) (*tariff.Tariff, error)
	// Grant says who pays for a card, by the hash of its tag; ErrNoGrant for nobody.
	Grant(ctx context.Context, tag [32]byte) (Grant, error)
	// OpenByCard opens a session for one that a card started, and locks its money. ErrRefused for good.
	OpenByCard(ctx context.Context, use CardUse) (Order, error)
	// Began says that charging has begun, so that the money does not go back at Order.StartBy. ErrRefused when it went back.
	Began(ctx context.Context, order OrderID, started time.Time) error
	// Settle pays what a session cost and returns the rest to the driver. ErrRefused for good.
	Settle(ctx context.Context, s Settlement) (Outcome, error)
	// Refund returns everything of a session that never started.
	Refund(ctx context.Context, order OrderID, reason Reason) (Outcome, error)
}

var (
	// ErrNoGrant says that nobody pays for a card.
	ErrNoGrant = errors.New("nobody pays for this card")
	// ErrRefused says that the ledger will never take this; anything else is tried again.
	ErrRefused = errors.New("refused by the ledger")
)

// CardUse is a session started by a card.
type CardUse struct {
	Key       Key       `json:"key"` // of the start: the same use has the same
	Grant     uint64    `json:"grant"`
	Tag       Tag       `json:"tag"`
	Station   string    `json:"station"`
	Connector int       `json:"connector"`
	Tariff    TariffRef `json:"tariff"`
	Started   time.Time `json:"started"`
}

// Outcome is what the ledger did.
type Outcome struct {
	// Receipt names it on the ledger: a transaction hash.
	Receipt string       `json:"receipt"`
	Cost    price.Amount `json:"cost"`
	Refund  price.Amount `json:"refund"`
}

// Basis says what the energy of a settlement rests on.
type Basis string

// Bases, the best first.
const (
	Signed     Basis = "signed"      // records of begin and end that verify
	Raw        Basis = "raw"         // start and stop values of a station that signs nothing, or did not
	LastValue  Basis = "last_value"  // the stop never came; the last value that did
	NotMetered Basis = "not_metered" // nothing that may be billed
)

// Settlement is what the ledger is told of a session. It never changes once it is in the outbox.
type Settlement struct {
	Order     OrderID   `json:"order"`
	Key       Key       `json:"key"`
	Station   string    `json:"station"`
	Connector int       `json:"connector"`
	Tag       Tag       `json:"tag"`
	Tariff    TariffRef `json:"tariff"`

	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	Zone  int32     `json:"zone,omitempty"` // seconds that local time is ahead of UTC
	Basis Basis     `json:"basis"`
	// Energy is what is billed; the registers are the raw ones, for who disputes it.
	Energy     grid.WattHours `json:"energy"`
	MeterStart grid.WattHours `json:"meter_start"`
	MeterStop  grid.WattHours `json:"meter_stop"`
	// Seconds of each state.
	Charging int64 `json:"charging_seconds"`
	Parked   int64 `json:"parked_seconds"`  // the car took nothing, or was done
	Waiting  int64 `json:"waiting_seconds"` // the station gave nothing
	// Periods are what was priced, as core/tariff takes them.
	Periods []tariff.Period `json:"periods"`
	// Records are signed ones, verbatim.
	Records []string `json:"records,omitempty"`
	// Cost is what we computed, at most the escrow; the ledger computes its own.
	Cost    price.Amount `json:"cost"`
	Reasons []Reason     `json:"reasons,omitempty"`
	// Hold asks the ledger to keep the owner's part back until disputes are over: the values are not signed by the
	// station's meter.
	Hold bool `json:"hold,omitempty"`
}
