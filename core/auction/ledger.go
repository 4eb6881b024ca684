package auction

import (
	"errors"
	"fmt"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
)

// PerTick is the energy, in watt-hours, that what a tick is worth is told for: a kilowatt-hour.
const PerTick = 1000

// ErrMoney is wrapped by errors about sums beyond what an Amount holds.
var ErrMoney = errors.New("money out of range")

// Toll is what passing energy leaves at an edge, in base units.
type Toll struct {
	// Fee is the edge's fee for each watt-hour at its lower end.
	Fee price.Amount
	// Rent is what remains of the difference of prices: of congestion, where the edge is full, and
	// of ticks that a loss does not make whole.
	Rent price.Amount
}

// Ledger is the money of one slot. Buyers pay their part rounded up, sellers get theirs rounded down.
//
// INV-ENERGY-4: the sum of what bids pay and ToCommunity is the sum of what asks get, ToUtility,
// all tolls and Rounding.
type Ledger struct {
	// Orders is what each bid pays and each ask gets, in the book's order.
	Orders []price.Amount
	// Tolls are in the tree's order.
	Tolls []Toll
	// ToUtility pays for what the community imports, ToCommunity for what it exports.
	ToUtility, ToCommunity price.Amount
	Rounding               price.Amount
}

// Settle turns ticks into money: tick is what one is worth, in base units for each kilowatt-hour.
// It fails only where a sum leaves the range of an Amount.
func (c *Clearing) Settle(tick price.Amount) (Ledger, error) {
	p := purse{rate: price.Rate{Amount: tick, Per: PerTick}}
	l := Ledger{Orders: make([]price.Amount, len(c.orders)), Tolls: make([]Toll, len(c.Nodes))}
	for i, o := range c.orders {
		worth := value(c.Nodes[o.Node].Price, c.Fills[i])
		if o.Side == Buy {
			l.Orders[i] = p.in(worth)
		} else {
			l.Orders[i] = p.out(worth)
		}
	}
	c.tolls(l.Tolls, &p)
	if u := c.market.Utility; u != nil {
		l.ToUtility = p.out(value(u.Retail, max(-c.Nodes[0].Upper, 0)))
		l.ToCommunity = p.in(value(u.FeedIn, max(c.Nodes[0].Upper, 0)))
	}
	var err error
	l.Rounding, err = p.rest(len(c.orders))
	return l, err
}

// tolls pays the edges.
func (c *Clearing) tolls(tolls []Toll, p *purse) {
	for i, n := range c.Nodes {
		fee := value(c.market.Tree.Node(i).Fee, max(n.Lower, -n.Lower))
		tolls[i] = Toll{Fee: p.out(fee), Rent: p.out(c.margin(i) - fee)}
	}
}

// margin is what node i's edge takes at the one end and leaves at the other.
func (c *Clearing) margin(i int) int64 {
	n := c.Nodes[i]
	above := n.Price // what crosses the root's edge without a utility is nothing
	switch parent := c.market.Tree.Parent(i); {
	case parent >= 0:
		above = c.Nodes[parent].Price
	case n.Upper < 0:
		above = c.market.Utility.Retail
	case n.Upper > 0:
		above = c.market.Utility.FeedIn
	}
	return value(above, n.Upper) - value(n.Price, n.Lower)
}

// value is in ticks times watt-hours. Bounds of both keep it within 62 bits: grid.MaxTicks (20) times
// grid.MaxEnergy (39), which losses of a fifth on grid.MaxDepth+1 edges make less than eight times (3).
func value(p grid.Tick, q grid.WattHours) int64 { return int64(p) * int64(q) }

// purse counts what comes in and goes out.
type purse struct {
	rate      price.Rate
	paid, got price.Amount
	overflow  bool
}

// in takes a value in, rounded up.
func (p *purse) in(value int64) price.Amount {
	a, rest, err := p.rate.Accrue(uint64(value), 1, 0)
	if rest > 0 {
		var over bool
		a, over = a.Add(price.FromUint64(1))
		p.overflow = p.overflow || over
	}
	return p.count(&p.paid, a, err)
}

// out gives a value out, rounded down.
func (p *purse) out(value int64) price.Amount {
	a, _, err := p.rate.Accrue(uint64(value), 1, 0)
	return p.count(&p.got, a, err)
}

// rest is what remains once everyone has paid and got theirs.
func (p *purse) rest(accounts int) (price.Amount, error) {
	rest, negative := p.paid.Sub(p.got)
	if p.overflow || negative {
		return price.Amount{}, fmt.Errorf("%w: settling %d accounts at %s acairn a tick and kWh", ErrMoney, accounts, p.rate.Amount)
	}
	return rest, nil
}

func (p *purse) count(side *price.Amount, a price.Amount, err error) price.Amount {
	sum, over := side.Add(a)
	*side, p.overflow = sum, p.overflow || over || err != nil
	return a
}
