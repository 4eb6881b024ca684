package auction

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cairn-network/cairn/core/grid"
)

// Bounds of a book.
const (
	// MaxOrders in one book: a few for each of a million meters.
	MaxOrders = 1 << 23
	// MaxQuantity of one order: no meter of a community passes a gigawatt-hour in a slot.
	MaxQuantity grid.WattHours = 1 << 30
)

// Errors about markets and orders. Each message names the order by its place in the book, and the value.
var (
	ErrMarket   = errors.New("invalid market")
	ErrUtility  = errors.New("invalid utility prices")
	ErrBook     = errors.New("book too large")
	ErrSide     = errors.New("order neither sells nor buys")
	ErrNode     = errors.New("order at no node of the grid")
	ErrLimit    = errors.New("order's limit is outside the market's ticks")
	ErrQuantity = errors.New("order's quantity out of range")
)

// Side tells whether an order sells or buys.
type Side uint8

const (
	// Sell at the limit or above: an ask.
	Sell Side = iota
	// Buy at the limit or below: a bid.
	Buy
)

func (s Side) String() string {
	if s == Sell {
		return "sell"
	}
	return "buy"
}

// OrderID is the hash of an order. It breaks ties, so that they do not fall to whoever comes first.
type OrderID [32]byte

// Order to trade up to a quantity within one slot.
type Order struct {
	ID OrderID
	// Node is where in the tree's order.
	Node int32
	Side Side
	// Price is the limit.
	Price    grid.Tick
	Quantity grid.WattHours
}

// Utility is what the root meets: it sells and buys any quantity.
type Utility struct {
	// Retail is what it sells at, FeedIn what it buys at, not above Retail.
	Retail, FeedIn grid.Tick
}

// Market is where orders meet.
type Market struct {
	Tree *grid.Tree
	// Ticks is K: prices are 0 to K-1.
	Ticks grid.Tick
	// Utility is nil where a community is on its own.
	Utility *Utility
}

// Check returns what makes m no market.
func (m Market) Check() error {
	switch {
	case m.Tree == nil:
		return fmt.Errorf("%w: no grid", ErrMarket)
	case m.Ticks < 1 || m.Ticks > grid.MaxTicks:
		return fmt.Errorf("%w: %d ticks, want 1 to %d", ErrMarket, m.Ticks, grid.MaxTicks)
	case m.Utility == nil:
		return nil
	case m.Utility.FeedIn < 0 || m.Utility.Retail >= m.Ticks || m.Utility.FeedIn > m.Utility.Retail:
		return fmt.Errorf("%w: buys at %d, sells at %d, want 0 <= buys <= sells < %d", ErrUtility, m.Utility.FeedIn, m.Utility.Retail, m.Ticks)
	}
	return nil
}

// CheckOrder returns what keeps o out of m, whose Check must have passed.
func (m Market) CheckOrder(o Order) error {
	switch {
	case o.Side > Buy:
		return fmt.Errorf("%w: side %d", ErrSide, o.Side)
	case o.Node < 0 || int(o.Node) >= m.Tree.Len():
		return fmt.Errorf("%w: %d of %d", ErrNode, o.Node, m.Tree.Len())
	case o.Price < 0 || o.Price >= m.Ticks:
		return fmt.Errorf("%w: %d, want 0 to %d", ErrLimit, o.Price, m.Ticks-1)
	case o.Quantity < 1 || o.Quantity > MaxQuantity:
		return fmt.Errorf("%w: %d Wh, want 1 to %d", ErrQuantity, o.Quantity, MaxQuantity)
	}
	return nil
}

// Clearing is the outcome of one slot.
type Clearing struct {
	market Market
	orders []Order
	// Price is the root's: in the middle of Low to High, the prices there that clear the book.
	Price, Low, High grid.Tick
	// Fills says how much of each order is traded, in the book's order.
	Fills []grid.WattHours
	// Nodes are in the tree's order.
	Nodes []NodeClearing
}

// NodeClearing is the outcome at a node and on its edge.
type NodeClearing struct {
	// Price that everyone at the node pays and gets. Where nobody could trade it says nothing.
	Price grid.Tick
	// Sold and Bought by the orders of this node itself.
	Sold, Bought grid.WattHours
	// Lower and Upper are the flow through the edge above the node at its two ends, positive upwards.
	// The difference is the loss.
	Lower, Upper grid.WattHours
}

// Loss is the energy that the node's edge loses.
func (n NodeClearing) Loss() grid.WattHours { return n.Lower - n.Upper }

// Volume is all energy that was delivered to someone: bought by orders, and by the utility.
func (c *Clearing) Volume() grid.WattHours {
	volume := max(c.Nodes[0].Upper, 0)
	for _, n := range c.Nodes {
		volume += n.Bought
	}
	return volume
}

// Clear finds the prices, flows and fills of a book, whatever order it comes in. It fails only for a
// market, or an order, that Check refuses, or a book too large. The book must not be changed as long as
// the Clearing is in use.
//
// With losses, limits of orders reach other nodes as whole ticks and energy as whole watt-hours, both
// rounded so that no edge is out of pocket. So a trade over n edges with losses is not found if it gains
// less than n ticks for each watt-hour.
func (m Market) Clear(book []Order) (*Clearing, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	if len(book) > MaxOrders {
		return nil, fmt.Errorf("%w: %d orders, at most %d", ErrBook, len(book), MaxOrders)
	}
	var total grid.WattHours
	for i, o := range book {
		if err := m.CheckOrder(o); err != nil {
			return nil, fmt.Errorf("order %d: %w", i, err)
		}
		if total += o.Quantity; total > grid.MaxEnergy {
			return nil, fmt.Errorf("%w: order %d brings it above %d Wh", ErrBook, i, grid.MaxEnergy)
		}
	}
	c := &clearer{
		Clearing: &Clearing{
			market: m, orders: book,
			Fills: make([]grid.WattHours, len(book)),
			Nodes: make([]NodeClearing, m.Tree.Len()),
		},
		net:    make([]staircase, m.Tree.Len()),
		target: make([]int, m.Tree.Len()),
	}
	c.group()
	c.merge()
	c.meetUtility()
	for i := range c.Nodes {
		c.allocate(i)
	}
	c.Price = c.Nodes[0].Price
	c.Low, c.High = min(c.Low, c.Price), max(c.High, c.Price)
	return c.Clearing, nil
}

// clearer is the work of one Clear.
type clearer struct {
	*Clearing
	byNode   []int32 // indices of orders, node by node
	first    []int32 // where a node's begin, and one more
	net      []staircase
	target   []int // the step that a node's parent would have it clear at
	portions []portion
}

// group sorts the book by node, by counting.
func (c *clearer) group() {
	c.first = make([]int32, len(c.Nodes)+1)
	for _, o := range c.orders {
		c.first[o.Node+1]++
	}
	for i := range c.Nodes {
		c.first[i+1] += c.first[i]
	}
	c.byNode = make([]int32, len(c.orders))
	next := slices.Clone(c.first)
	for i, o := range c.orders {
		c.byNode[next[o.Node]] = int32(i)
		next[o.Node]++
	}
}

func (c *clearer) at(node int) []int32 { return c.byNode[c.first[node]:c.first[node+1]] }

func (c *clearer) edge(node int) edge { return edgeOf(c.market.Tree.Node(node).Edge) }

// merge builds each node's staircase from its orders and its children's, children first.
func (c *clearer) merge() {
	s := newSlope(2 * int(c.market.Ticks))
	var arena []stair
	for i := len(c.Nodes) - 1; i >= 0; i-- {
		for _, at := range c.at(i) {
			o := &c.orders[at]
			s.order(o.Side, o.Side.step(o.Price), int64(o.Quantity))
		}
		first, end := c.market.Tree.Children(i)
		for child := first; child < end; child++ {
			s.child(c.net[child], c.edge(child))
		}
		c.net[i], arena = s.take(arena)
	}
}

// meetUtility sets the flow through the root's own edge and the root's price.
func (c *clearer) meetUtility() {
	net, e := c.net[0], c.edge(0)
	floor, ceiling := 0, int(c.market.Ticks)-1
	if u := c.market.Utility; u != nil {
		retail, feedIn := e.importPrice(int(u.Retail)), e.exportPrice(int(u.FeedIn))
		if short := net.at(2*retail + 1); short < 0 && retail <= ceiling {
			c.flow(0, e.upper(e.limit(short)), e.limit(short))
			c.target[0] = 2 * retail
			c.Low, c.High = c.market.Ticks, 0 // one price alone
			return
		}
		if long := net.at(2*feedIn + 1); long > 0 && feedIn >= 0 {
			c.flow(0, e.upper(e.limit(long)), e.limit(long))
			c.target[0] = 2*feedIn + 1
			c.Low, c.High = c.market.Ticks, 0
			return
		}
		floor, ceiling = max(floor, feedIn), min(ceiling, retail)
	}
	// The community is on its own: the middle of the prices that clear it, or, where only one side has
	// orders, the end of them that it has.
	first, last := net.clearing(0, 2*int(c.market.Ticks))
	low, high := min(max(first/2, floor), ceiling), max(min(last/2, ceiling), floor)
	middle := (low + high) / 2
	switch {
	case net.at(2*int(c.market.Ticks)) == 0: // nobody sells
		middle, high = low, low
	case net.start == 0: // nobody buys
		middle, low = high, high
	}
	c.target[0] = 2 * middle
	c.Low, c.High = grid.Tick(low), grid.Tick(high)
}

func (c *clearer) flow(node int, upper, lower int64) {
	c.Nodes[node].Upper, c.Nodes[node].Lower = grid.WattHours(upper), grid.WattHours(lower)
}

// allocate finds the price of a node whose flow is known, fills its orders and tells its children
// theirs.
func (c *clearer) allocate(i int) {
	n := &c.Nodes[i]
	net := int64(n.Lower)
	firstStep, lastStep := c.net[i].clearing(net, 2*int(c.market.Ticks))
	step := min(max(c.target[i], firstStep), lastStep)
	n.Price = grid.Tick(step / 2)

	// What happens at any price near this one, and who may have how much of the rest.
	rest := net
	marginal := Side(step % 2)
	var own int64 // quantity of this node's orders at the step itself
	for _, at := range c.at(i) {
		switch o := &c.orders[at]; {
		case o.Side.step(o.Price) == step:
			own += int64(o.Quantity)
			if marginal == Buy { // bids at the step are net demand at the level below it
				rest += int64(o.Quantity)
			}
		case o.Side == Sell && o.Side.step(o.Price) < step:
			c.fill(n, at, o.Quantity)
			rest -= int64(o.Quantity)
		case o.Side == Buy && o.Side.step(o.Price) > step:
			c.fill(n, at, o.Quantity)
			rest += int64(o.Quantity)
		}
	}
	c.portions = append(c.portions[:0], portion{index: -1, quantity: own})
	first, end := c.market.Tree.Children(i)
	for child := first; child < end; child++ {
		low, high := c.seen(child, step), c.seen(child, step+1)
		c.flow(child, low, 0)
		rest -= low
		c.portions = append(c.portions, portion{index: child, quantity: high - low})
	}
	share(rest, c.portions, func(a, b portion) int { return cmp.Compare(a.index, b.index) })

	var mine int64
	for _, p := range c.portions {
		if p.index < 0 {
			mine = p.part
			continue
		}
		c.descend(p.index, int64(c.Nodes[p.index].Upper)+p.part, step)
	}
	if marginal == Buy {
		mine = own - mine
	}
	c.shareOrders(i, step, mine)
}

// seen is what a child's edge shows of it at a level.
func (c *clearer) seen(child, level int) int64 {
	e, net := c.edge(child), c.net[child]
	return e.upper(e.limit(max(net.at(e.exportLevel(level)), 0) + min(net.at(e.importLevel(level)), 0)))
}

// descend gives a child the flow that its parent, clearing at a step, sees of it.
func (c *clearer) descend(child int, upper int64, step int) {
	e, net := c.edge(child), c.net[child]
	lower := e.lower(upper)
	c.target[child] = step
	switch {
	case upper > 0:
		// Several flows may look the same above: no more than what is there at the parent's price.
		lower = min(lower, e.limit(net.at(e.exportLevel(step+1))))
		c.target[child] = 2*e.exportPrice(step/2) + step%2
	case upper < 0:
		c.target[child] = 2*e.importPrice(step/2) + step%2
	}
	c.flow(child, upper, lower)
}

func (c *clearer) fill(n *NodeClearing, at int32, quantity grid.WattHours) {
	c.Fills[at] = quantity
	if c.orders[at].Side == Sell {
		n.Sold += quantity
	} else {
		n.Bought += quantity
	}
}

// shareOrders divides a quantity among a node's orders at the step it clears at.
func (c *clearer) shareOrders(node, step int, quantity int64) {
	if quantity == 0 {
		return
	}
	c.portions = c.portions[:0]
	for _, at := range c.at(node) {
		if o := &c.orders[at]; o.Side.step(o.Price) == step {
			c.portions = append(c.portions, portion{index: int(at), quantity: int64(o.Quantity)})
		}
	}
	share(quantity, c.portions, func(a, b portion) int {
		x, y := &c.orders[a.index], &c.orders[b.index]
		return cmp.Or(bytes.Compare(x.ID[:], y.ID[:]), cmp.Compare(a.quantity, b.quantity))
	})
	for _, p := range c.portions {
		c.fill(&c.Nodes[node], int32(p.index), grid.WattHours(p.part))
	}
}
