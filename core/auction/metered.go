package auction

import (
	"errors"
	"fmt"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
)

// ErrReading is wrapped by errors about readings that cannot be settled.
var ErrReading = errors.New("reading out of range")

// Reading is what one meter counted in a slot that is over, with its owner's standing limits. Nothing
// was forecast and nothing promised, so there is nothing to have missed.
type Reading struct {
	ID   OrderID
	Node int32
	// Surplus went into the grid; negative, came from it.
	Surplus grid.WattHours
	// SellAbove and BuyBelow bound the prices at which neighbours are traded with instead of the utility.
	SellAbove, BuyBelow grid.Tick
}

// Share is how one reading was settled.
type Share struct {
	// Local was traded with neighbours, Rest with the utility; together the reading without its sign.
	Local, Rest grid.WattHours
	// Price of the local part.
	Price grid.Tick
	// Money is paid for a deficit, received for a surplus.
	Money price.Amount
}

// Settlement is a slot after the meters were read.
//
// INV-ENERGY-7: nobody pays more for a deficit than the utility's retail price, nor gets less for a
// surplus than its feed-in price, up to one base unit of rounding.
type Settlement struct {
	// Clearing is of the local trades alone.
	*Clearing
	Shares []Share
	Tolls  []Toll
	// ToUtility pays for all that neighbours did not deliver, ToCommunity for all that they did not take.
	ToUtility, ToCommunity price.Amount
	Rounding               price.Amount
}

// SettleMetered trades what meters counted: first among neighbours, within everyone's limits and the
// utility's prices, over the tree with its fees; what remains with the utility at its posted prices,
// which include its own charges for the grid. m must have a utility. Readings of zero take part in
// nothing.
//
// INV-ENERGY-4 holds as for a Ledger.
func (m Market) SettleMetered(readings []Reading, tick price.Amount) (*Settlement, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	if m.Utility == nil {
		return nil, fmt.Errorf("%w: none, so that nobody delivers what neighbours do not", ErrUtility)
	}
	book := make([]Order, 0, len(readings))
	for i, r := range readings {
		if r.Surplus > MaxQuantity || r.Surplus < -MaxQuantity {
			return nil, fmt.Errorf("reading %d: %w: %d Wh, at most %d", i, ErrReading, r.Surplus, MaxQuantity)
		}
		o := Order{ID: r.ID, Node: r.Node, Side: Sell, Price: max(r.SellAbove, m.Utility.FeedIn), Quantity: r.Surplus}
		if r.Surplus < 0 {
			o.Side, o.Price, o.Quantity = Buy, min(r.BuyBelow, m.Utility.Retail), -r.Surplus
		}
		if r.Surplus != 0 {
			book = append(book, o)
		}
	}
	local := m
	local.Utility = nil
	c, err := local.Clear(book)
	if err != nil {
		return nil, fmt.Errorf("clearing metered surplus: %w", err)
	}
	return c.settleRest(readings, *m.Utility, tick)
}

// settleRest gives each reading its part of a clearing and the rest to the utility.
func (c *Clearing) settleRest(readings []Reading, u Utility, tick price.Amount) (*Settlement, error) {
	s := &Settlement{Clearing: c, Shares: make([]Share, len(readings)), Tolls: make([]Toll, len(c.Nodes))}
	p := purse{rate: price.Rate{Amount: tick, Per: PerTick}}
	var imported, exported int64 // ticks times watt-hours
	at := 0
	for i, r := range readings {
		if r.Surplus == 0 {
			continue
		}
		share := Share{Local: c.Fills[at], Price: c.Nodes[r.Node].Price}
		at++
		worth := value(share.Price, share.Local)
		if r.Surplus > 0 {
			share.Rest = r.Surplus - share.Local
			rest := value(u.FeedIn, share.Rest)
			exported += rest
			share.Money = p.out(worth + rest)
		} else {
			share.Rest = -r.Surplus - share.Local
			rest := value(u.Retail, share.Rest)
			imported += rest
			share.Money = p.in(worth + rest)
		}
		s.Shares[i] = share
	}
	c.tolls(s.Tolls, &p)
	s.ToUtility, s.ToCommunity = p.out(imported), p.in(exported)
	var err error
	s.Rounding, err = p.rest(len(readings))
	return s, err
}
