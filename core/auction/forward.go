package auction

import (
	"errors"
	"fmt"

	"github.com/cairn-network/cairn/core/grid"
)

// Bounds of orders for slots to come.
const (
	// MaxSteps of one curve.
	MaxSteps = 8
	// MaxAhead is how many slots ahead an order may be for: a day.
	MaxAhead = grid.SlotsPerDay
	// GateClosure is how many seconds before its slot a book closes.
	GateClosure = 300
)

// Errors about orders for slots to come. Each message names the value.
var (
	ErrCurve   = errors.New("invalid limit curve")
	ErrGate    = errors.New("the book of this slot has closed")
	ErrAhead   = errors.New("slot too far ahead")
	ErrBattery = errors.New("invalid battery order")
)

// CheckGate returns what keeps an order made at now, Unix seconds, out of the book of slot.
func CheckGate(slot grid.Slot, now int64) error {
	switch current := grid.SlotAt(now); {
	case now > slot.Start()-GateClosure:
		return fmt.Errorf("%w: slot %d closed at %d, now is %d", ErrGate, slot, slot.Start()-GateClosure, now)
	case slot > current+MaxAhead:
		return fmt.Errorf("%w: %d, at most %d", ErrAhead, slot, current+MaxAhead)
	}
	return nil
}

// Step of a curve: that much more at this limit.
type Step struct {
	Price    grid.Tick
	Quantity grid.WattHours
}

// Curve is an order whose limit depends on how much is traded: dearer step by step for a seller,
// cheaper for a buyer.
type Curve struct {
	ID   OrderID
	Node int32
	Side Side
	// Steps, 1 to MaxSteps. A seller's prices ascend, a buyer's descend, strictly.
	Steps []Step
}

// Quantity is the sum over all steps.
func (c Curve) Quantity() (sum grid.WattHours) {
	for _, s := range c.Steps {
		sum += s.Quantity
	}
	return sum
}

// Orders appends an order a step to book, all with the curve's id: at different prices, they have no
// ties to break. rated is what the connection carries in a slot.
func (c Curve) Orders(book []Order, rated grid.WattHours) ([]Order, error) {
	if len(c.Steps) < 1 || len(c.Steps) > MaxSteps {
		return book, fmt.Errorf("%w: %d steps, want 1 to %d", ErrCurve, len(c.Steps), MaxSteps)
	}
	if c.Side > Buy {
		return book, fmt.Errorf("%w: %w: side %d", ErrCurve, ErrSide, c.Side)
	}
	left := rated
	all := book
	for i, s := range c.Steps {
		if i > 0 && (c.Side == Sell) != (s.Price > c.Steps[i-1].Price) || i > 0 && s.Price == c.Steps[i-1].Price {
			return book, fmt.Errorf("%w: step %d of a curve to %s at %d after %d", ErrCurve, i, c.Side, s.Price, c.Steps[i-1].Price)
		}
		if s.Quantity < 1 || s.Quantity > left {
			return book, fmt.Errorf("%w: step %d of %d Wh, %d left of the %d that its connection carries", ErrCurve, i, s.Quantity, left, rated)
		}
		left -= s.Quantity
		all = append(all, Order{ID: c.ID, Node: c.Node, Side: c.Side, Price: s.Price, Quantity: s.Quantity})
	}
	return all, nil
}

// Battery buys when energy is cheap and sells when it is dear.
type Battery struct {
	ID   OrderID
	Node int32
	// BuyBelow and SellAbove are the limits; Wear is what a kilowatt-hour through the battery costs it.
	BuyBelow, SellAbove, Wear grid.Tick
	// Efficiency one way, charging or discharging; its square comes back.
	Efficiency grid.PPM
	// Capacity of the battery, and Charge in it.
	Capacity, Charge grid.WattHours
	Power            grid.Watts
}

// Orders appends what the battery may buy and what it may sell in one slot, measured at the grid's
// side. At one price only one of the two is filled. A battery that would lose money by what it asks for
// is refused: of each kilowatt-hour bought, the square of Efficiency is sold, and that must pay for
// both purchase and wear.
func (b Battery) Orders(book []Order) ([]Order, error) {
	earned := int64(b.SellAbove) * int64(b.Efficiency) * int64(b.Efficiency)
	spent := (int64(b.BuyBelow) + int64(b.Wear)) * grid.Million * grid.Million
	switch {
	case b.Efficiency < 1 || b.Efficiency > grid.Million:
		return book, fmt.Errorf("%w: efficiency of %d ppm", ErrBattery, b.Efficiency)
	case min(b.BuyBelow, b.SellAbove, b.Wear) < 0 || max(b.BuyBelow, b.SellAbove, b.Wear) >= grid.MaxTicks:
		return book, fmt.Errorf("%w: buys below %d, sells above %d, wears %d, want 0 to %d", ErrBattery, b.BuyBelow, b.SellAbove, b.Wear, grid.MaxTicks-1)
	case b.BuyBelow >= b.SellAbove || earned < spent:
		return book, fmt.Errorf("%w: buying at %d and selling at %d does not pay for wear of %d at an efficiency of %d ppm each way",
			ErrBattery, b.BuyBelow, b.SellAbove, b.Wear, b.Efficiency)
	case b.Charge < 0 || b.Charge > b.Capacity || b.Capacity > MaxQuantity:
		return book, fmt.Errorf("%w: charge of %d in %d Wh", ErrBattery, b.Charge, b.Capacity)
	case b.Power < 0 || b.Power.Over() > MaxQuantity:
		return book, fmt.Errorf("%w: power of %d W", ErrBattery, b.Power)
	}
	buy := min(b.Power.Over(), (b.Capacity-b.Charge)*grid.Million/grid.WattHours(b.Efficiency), MaxQuantity)
	sell := min(b.Power.Over(), b.Charge*grid.WattHours(b.Efficiency)/grid.Million)
	if buy > 0 {
		book = append(book, Order{ID: b.ID, Node: b.Node, Side: Buy, Price: b.BuyBelow, Quantity: buy})
	}
	if sell > 0 {
		book = append(book, Order{ID: b.ID, Node: b.Node, Side: Sell, Price: b.SellAbove, Quantity: sell})
	}
	return book, nil
}
