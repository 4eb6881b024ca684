package auction

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
)

// tickPrice is a thousandth of a CAIRN for each kilowatt-hour.
var tickPrice = price.FromUint64(1_000_000_000_000_000)

func orderID(n uint64) OrderID {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
}

// sizes say what a drawn market is like.
type sizes struct {
	nodes, orders int
	ticks         grid.Tick
	quantity      int64
	losses        bool
}

var small = sizes{nodes: 7, orders: 20, ticks: 12, quantity: 30}

func (z sizes) with(losses bool) sizes { z.losses = losses; return z }

func (z sizes) market(t *rapid.T) Market {
	nodes := []grid.Node{{ID: 1}}
	last := rapid.IntRange(1, z.nodes).Draw(t, "nodes")
	for id := 2; id <= last; id++ {
		nodes = append(nodes, grid.Node{ID: grid.NodeID(id), Parent: grid.NodeID(rapid.IntRange(1, id-1).Draw(t, "parent"))})
	}
	for i := range nodes {
		e := &nodes[i].Edge
		e.Fee = grid.Tick(rapid.IntRange(0, int(z.ticks)/3).Draw(t, "fee"))
		if rapid.Bool().Draw(t, "limited") {
			e.Capacity = grid.WattHours(rapid.Int64Range(-1, 2*z.quantity).Draw(t, "capacity"))
		}
		if z.losses && rapid.Bool().Draw(t, "loses") {
			e.Loss = rapid.SampledFrom([]grid.PPM{1, 5_000, 30_000, 77_777, grid.MaxLoss}).Draw(t, "loss")
		}
	}
	tree, err := grid.New(nodes)
	if err != nil {
		t.Fatal(err)
	}
	m := Market{Tree: tree, Ticks: z.ticks}
	if rapid.Bool().Draw(t, "utility") {
		feedIn := rapid.Int32Range(0, int32(z.ticks)-1).Draw(t, "feed-in")
		m.Utility = &Utility{FeedIn: grid.Tick(feedIn), Retail: grid.Tick(rapid.Int32Range(feedIn, int32(z.ticks)-1).Draw(t, "retail"))}
	}
	return m
}

func (z sizes) book(t *rapid.T, m Market) []Order {
	book := make([]Order, rapid.IntRange(0, z.orders).Draw(t, "orders"))
	for i := range book {
		book[i] = Order{
			ID:       orderID(uint64(i)),
			Node:     int32(rapid.IntRange(0, m.Tree.Len()-1).Draw(t, "node")),
			Side:     Side(rapid.IntRange(0, 1).Draw(t, "side")),
			Price:    grid.Tick(rapid.IntRange(0, int(m.Ticks)-1).Draw(t, "price")),
			Quantity: grid.WattHours(rapid.Int64Range(1, z.quantity).Draw(t, "quantity")),
		}
	}
	return book
}

func mustClear(t testing.TB, m Market, book []Order) *Clearing {
	t.Helper()
	c, err := m.Clear(book)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// welfare is what the trades are worth, in ticks times watt-hours.
func (c *Clearing) welfare() (w int64) {
	for i, o := range c.orders {
		if o.Side == Buy {
			w += value(o.Price, c.Fills[i])
		} else {
			w -= value(o.Price, c.Fills[i])
		}
	}
	for i, n := range c.Nodes {
		w -= value(c.market.Tree.Node(i).Fee, max(n.Lower, -n.Lower))
	}
	if u := c.market.Utility; u != nil {
		w += value(u.FeedIn, max(c.Nodes[0].Upper, 0)) - value(u.Retail, max(-c.Nodes[0].Upper, 0))
	}
	return w
}

func TestPropertiesOfClearing(t *testing.T) {
	for _, losses := range []bool{false, true} {
		t.Run(fmt.Sprintf("losses=%t", losses), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				m := small.with(losses).market(t)
				c, err := m.Clear(small.book(t, m))
				if err != nil {
					t.Fatal(err)
				}
				limitsHold(t, c)
				energyHolds(t, c)
				spreadHolds(t, c)
				moneyHolds(t, c, price.Amount{Lo: rapid.Uint64().Draw(t, "tick"), Hi: rapid.Uint64Max(1<<40).Draw(t, "tick.hi")})
			})
		})
	}
}

// INV-ENERGY-2.
func limitsHold(t *rapid.T, c *Clearing) {
	for i, o := range c.orders {
		p, fill := c.Nodes[o.Node].Price, c.Fills[i]
		inside, outside := o.Price < p, o.Price > p
		if o.Side == Buy {
			inside, outside = outside, inside
		}
		switch {
		case fill < 0 || fill > o.Quantity:
			t.Fatalf("order %d of %d Wh filled %d", i, o.Quantity, fill)
		case outside && fill != 0:
			t.Fatalf("order %d (%s at %d) filled at price %d", i, o.Side, o.Price, p)
		case inside && fill != o.Quantity:
			t.Fatalf("order %d (%s at %d) filled %d of %d at price %d", i, o.Side, o.Price, fill, o.Quantity, p)
		}
	}
}

// INV-ENERGY-3.
func energyHolds(t *rapid.T, c *Clearing) {
	balance := make([]grid.WattHours, len(c.Nodes))
	for i, o := range c.orders {
		if o.Side == Sell {
			balance[o.Node] += c.Fills[i]
		} else {
			balance[o.Node] -= c.Fills[i]
		}
	}
	for i, n := range c.Nodes {
		if balance[i] != n.Sold-n.Bought {
			t.Fatalf("node %d sold %d, bought %d, its orders make %d", i, n.Sold, n.Bought, balance[i])
		}
	}
	for i, n := range c.Nodes {
		balance[i] -= n.Lower
		if parent := c.market.Tree.Parent(i); parent >= 0 {
			balance[parent] += n.Upper
		} else if c.market.Utility == nil && n.Lower != 0 {
			t.Fatalf("%d Wh leave a community without a utility", n.Lower)
		}
		sent, received := max(n.Lower, -n.Upper), max(n.Upper, -n.Lower)
		want := sent - sent*grid.WattHours(c.market.Tree.Node(i).Loss)/grid.Million
		if received != want {
			t.Fatalf("edge %d: sent %d, received %d, want %d", i, sent, received, want)
		}
		if n.Loss() < 0 {
			t.Fatalf("edge %d makes %d Wh", i, -n.Loss())
		}
	}
	for i, b := range balance {
		if b != 0 {
			t.Fatalf("node %d: %d Wh left over", i, b)
		}
	}
}

// INV-ENERGY-5. Without losses this and INV-ENERGY-2 are the conditions of complementary slackness,
// and so a proof that the trades are optimal.
func spreadHolds(t *rapid.T, c *Clearing) {
	for i, n := range c.Nodes {
		e := edgeOf(c.market.Tree.Node(i).Edge)
		var above grid.Tick
		switch parent := c.market.Tree.Parent(i); {
		case parent >= 0:
			above = c.Nodes[parent].Price
		case c.market.Utility == nil:
			continue
		case n.Upper < 0:
			above = c.market.Utility.Retail
		case n.Upper > 0:
			above = c.market.Utility.FeedIn
		default: // nothing is bought from, or sold to, a utility whose price is worse
			if int(n.Price) > e.importPrice(int(c.market.Utility.Retail)) || int(n.Price) < e.exportPrice(int(c.market.Utility.FeedIn)) {
				if e.capacity > 0 {
					t.Fatalf("root at %d beside a utility at %+v", n.Price, c.market.Utility)
				}
			}
			continue
		}
		export, imported := e.exportPrice(int(above)), e.importPrice(int(above))
		p, low, high := int(n.Price), export, imported
		switch flow := int64(n.Lower); {
		case flow > e.capacity || flow < -e.capacity:
			t.Fatalf("edge %d carries %d Wh of %d", i, flow, e.capacity)
		case e.capacity == 0:
			continue
		case flow == e.capacity:
			low, high = 0, export
		case flow == -e.capacity:
			low, high = imported, int(c.market.Ticks)
		case flow > 0:
			high = export
		case flow < 0:
			low = imported
			if e.loss > 0 { // prices between two ticks above the edge pay the dearer of them below it
				high = e.importPrice(int(above) + 1)
			} else {
				high = imported
			}
		}
		if e.loss > 0 && n.Lower == 0 {
			low, high = e.exportPrice(int(above)), e.importPrice(int(above)+1)
		}
		if p < low || p > high {
			t.Fatalf("edge %d carrying %d of %d: price %d below, %d above, want %d to %d", i, n.Lower, e.capacity, p, above, low, high)
		}
	}
}

// INV-ENERGY-4.
func moneyHolds(t *rapid.T, c *Clearing, tick price.Amount) {
	l, err := c.Settle(tick)
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.Nodes {
		if c.margin(i) < value(c.market.Tree.Node(i).Fee, max(c.Nodes[i].Lower, -c.Nodes[i].Lower)) {
			t.Fatalf("edge %d is left %d, its fee is unpaid", i, c.margin(i))
		}
	}
	in, out := l.ToCommunity.Big(), l.ToUtility.Big()
	for i, o := range c.orders {
		exact := new(big.Int).Mul(tick.Big(), big.NewInt(value(c.Nodes[o.Node].Price, c.Fills[i])))
		floor := new(big.Int).Div(exact, big.NewInt(1000))
		if o.Side == Buy {
			in.Add(in, l.Orders[i].Big())
			floor.Neg(new(big.Int).Div(exact.Neg(exact), big.NewInt(1000)))
		} else {
			out.Add(out, l.Orders[i].Big())
		}
		if floor.Cmp(l.Orders[i].Big()) != 0 {
			t.Fatalf("order %d: %s, want %s", i, l.Orders[i], floor)
		}
	}
	for _, toll := range l.Tolls {
		out.Add(out, toll.Fee.Big())
		out.Add(out, toll.Rent.Big())
	}
	if in.Cmp(out.Add(out, l.Rounding.Big())) != 0 {
		t.Fatalf("%s in, %s out", in, out)
	}
}

// INV-ENERGY-1.
func TestClearingDoesNotDependOnArrival(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := small.with(true)
		z.ticks = 4 // many at the margin
		m := z.market(t)
		book := z.book(t, m)
		fills := func(book []Order) (map[OrderID]grid.WattHours, *Clearing) {
			c, err := m.Clear(book)
			if err != nil {
				t.Fatal(err)
			}
			all := map[OrderID]grid.WattHours{}
			for i, o := range book {
				all[o.ID] = c.Fills[i]
			}
			return all, c
		}
		one, c := fills(book)
		other, d := fills(rapid.Permutation(book).Draw(t, "arrival"))
		for id, fill := range one {
			if other[id] != fill {
				t.Fatalf("order %x gets %d and %d", id[:4], fill, other[id])
			}
		}
		if !slices.Equal(c.Nodes, d.Nodes) {
			t.Fatalf("%+v\n%+v", c.Nodes, d.Nodes)
		}
	})
}

// flat is a double auction without a grid, the plain way: sort, match from the best, and take the
// middle of the prices that leave no better match.
func flat(book []Order) (volume int64, low, high grid.Tick) {
	var bids, asks []grid.Tick
	for _, o := range book {
		for range o.Quantity {
			if o.Side == Buy {
				bids = append(bids, o.Price)
			} else {
				asks = append(asks, o.Price)
			}
		}
	}
	slices.Sort(asks)
	slices.Sort(bids)
	slices.Reverse(bids)
	n := 0
	for n < len(bids) && n < len(asks) && bids[n] >= asks[n] {
		n++
	}
	if n == 0 {
		return 0, 0, 0
	}
	low, high = asks[n-1], bids[n-1]
	if n < len(bids) {
		low = max(low, bids[n])
	}
	if n < len(asks) {
		high = min(high, asks[n])
	}
	return int64(n), low, high
}

func TestWithoutFeesATreeIsOneMarket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := []grid.Node{{ID: 1}}
		last := rapid.IntRange(1, 6).Draw(t, "nodes")
		for id := 2; id <= last; id++ {
			nodes = append(nodes, grid.Node{ID: grid.NodeID(id), Parent: grid.NodeID(rapid.IntRange(1, id-1).Draw(t, "parent"))})
		}
		tree, err := grid.New(nodes)
		if err != nil {
			t.Fatal(err)
		}
		m := Market{Tree: tree, Ticks: 10}
		book := small.with(false).book(t, Market{Tree: tree, Ticks: 10})
		c, err := m.Clear(book)
		if err != nil {
			t.Fatal(err)
		}
		volume, low, high := flat(book)
		if int64(c.Volume()) != volume {
			t.Fatalf("volume %d, a flat market trades %d", c.Volume(), volume)
		}
		if volume > 0 && (c.Price != (low+high)/2 || c.Low != low || c.High != high) {
			t.Fatalf("price %d of %d to %d, a flat market clears at %d to %d", c.Price, c.Low, c.High, low, high)
		}
		for i, n := range c.Nodes {
			if volume > 0 && n.Price != c.Price {
				t.Fatalf("node %d at %d, root at %d", i, n.Price, c.Price)
			}
		}
	})
}

func TestMarginalOrdersShareProRata(t *testing.T) {
	m := Market{Tree: grid.Flat(), Ticks: 10}
	book := []Order{
		{ID: OrderID{3}, Side: Buy, Price: 9, Quantity: 10},
		{ID: OrderID{2}, Side: Sell, Price: 5, Quantity: 10},
		{ID: OrderID{1}, Side: Sell, Price: 5, Quantity: 10},
		{ID: OrderID{4}, Side: Sell, Price: 5, Quantity: 10},
		{ID: OrderID{5}, Side: Sell, Price: 6, Quantity: 100},
	}
	c := mustClear(t, m, book)
	// A third of 10 each; the one that is left goes to the smallest hash.
	if want := []grid.WattHours{10, 3, 4, 3, 0}; !slices.Equal(c.Fills, want) || c.Price != 5 {
		t.Fatalf("filled %v at %d, want %v at 5", c.Fills, c.Price, want)
	}
}

func TestPriceIsTheMiddleOfWhatClears(t *testing.T) {
	m := Market{Tree: grid.Flat(), Ticks: 100}
	ask, bid := Order{Side: Sell, Price: 10, Quantity: 5}, Order{Side: Buy, Price: 30, Quantity: 5}
	for name, c := range map[string]struct {
		utility *Utility
		book    []Order
		want    grid.Tick
	}{
		"both filled":                  {nil, []Order{ask, bid}, 20},
		"within the utility's prices":  {&Utility{Retail: 16, FeedIn: 11}, []Order{ask, bid}, 13},
		"seller alone":                 {nil, []Order{ask}, 10},
		"buyer alone":                  {nil, []Order{bid}, 30},
		"nobody":                       {nil, nil, 0},
		"buyer with a dear utility":    {&Utility{Retail: 40, FeedIn: 11}, []Order{bid}, 30},
		"buyer with a cheap utility":   {&Utility{Retail: 25, FeedIn: 11}, []Order{bid}, 25},
		"seller with a utility":        {&Utility{Retail: 25, FeedIn: 11}, []Order{ask}, 11},
		"seller with a stingy utility": {&Utility{Retail: 25, FeedIn: 3}, []Order{ask}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			m := m
			m.Utility = c.utility
			if got := mustClear(t, m, c.book); got.Price != c.want {
				t.Fatalf("price %d, want %d", got.Price, c.want)
			}
		})
	}
}

// gsy-e's documentation of grid fees has a load behind market N1 bidding 0.30, a PV behind N2 asking
// 0.10, and fees of 0.01, 0.02 and 0.01 on the way. There the load pays 0.30 and the PV gets 0.26: all
// the gain goes to the seller. Here they differ by just the same fees, 0.04, and share the gain.
func TestFeesOnAPath(t *testing.T) {
	tree, err := grid.New([]grid.Node{
		{ID: 1},
		{ID: 2, Parent: 1, Edge: grid.Edge{Fee: 1}}, // half of the grid market's fee of 2 is on either side of it
		{ID: 3, Parent: 2, Edge: grid.Edge{Fee: 1}},
		{ID: 4, Parent: 1, Edge: grid.Edge{Fee: 1}},
		{ID: 5, Parent: 4, Edge: grid.Edge{Fee: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	load, _ := tree.Index(3)
	pv, _ := tree.Index(5)
	c := mustClear(t, Market{Tree: tree, Ticks: 100}, []Order{
		{ID: OrderID{1}, Node: int32(load), Side: Buy, Price: 30, Quantity: 1000},
		{ID: OrderID{2}, Node: int32(pv), Side: Sell, Price: 10, Quantity: 1000},
	})
	pays, gets := c.Nodes[load].Price, c.Nodes[pv].Price
	if pays-gets != 4 || pays > 30 || gets < 10 || c.Volume() != 1000 {
		t.Fatalf("load pays %d, PV gets %d for %d Wh", pays, gets, c.Volume())
	}
	l, err := c.Settle(price.FromUint64(1000))
	if err != nil {
		t.Fatal(err)
	}
	var fees uint64
	for _, toll := range l.Tolls {
		fees += toll.Fee.Lo
		if !toll.Rent.IsZero() {
			t.Fatalf("rent %s where nothing is full", toll.Rent)
		}
	}
	if fees != 4000 || l.Orders[0].Lo-l.Orders[1].Lo != fees {
		t.Fatalf("fees %d of %s paid and %s earned", fees, l.Orders[0], l.Orders[1])
	}
}

func TestAFullEdgeEarnsRent(t *testing.T) {
	tree, err := grid.New([]grid.Node{{ID: 1}, {ID: 2, Parent: 1, Edge: grid.Edge{Fee: 1, Capacity: 300}}})
	if err != nil {
		t.Fatal(err)
	}
	c := mustClear(t, Market{Tree: tree, Ticks: 100}, []Order{
		{ID: OrderID{1}, Node: 0, Side: Buy, Price: 30, Quantity: 1000},
		{ID: OrderID{2}, Node: 1, Side: Sell, Price: 10, Quantity: 1000},
	})
	if c.Nodes[0].Price != 30 || c.Nodes[1].Price != 10 || c.Nodes[1].Lower != 300 {
		t.Fatalf("%+v", c.Nodes)
	}
	l, err := c.Settle(price.FromUint64(1000))
	if err != nil {
		t.Fatal(err)
	}
	if l.Tolls[1] != (Toll{Fee: price.FromUint64(300), Rent: price.FromUint64(19 * 300)}) {
		t.Fatalf("%+v", l.Tolls[1])
	}
}

// naiveNet is a node's net supply at a level by its definition, each order looked at again.
func naiveNet(m Market, byNode [][]Order, node, level int) (net int64) {
	for _, o := range byNode[node] {
		switch {
		case o.Side == Sell && 2*int(o.Price) < level:
			net += int64(o.Quantity)
		case o.Side == Buy && 2*int(o.Price)+1 >= level:
			net -= int64(o.Quantity)
		}
	}
	first, end := m.Tree.Children(node)
	for child := first; child < end; child++ {
		e := edgeOf(m.Tree.Node(child).Edge)
		exported := max(naiveNet(m, byNode, child, e.exportLevel(level)), 0)
		imported := min(naiveNet(m, byNode, child, e.importLevel(level)), 0)
		net += e.upper(e.limit(exported + imported))
	}
	return net
}

func ordersByNode(m Market, book []Order) [][]Order {
	byNode := make([][]Order, m.Tree.Len())
	for _, o := range book {
		byNode[o.Node] = append(byNode[o.Node], o)
	}
	return byNode
}

func TestStaircasesMatchTheirDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := small.with(true).market(t)
		book := small.book(t, m)
		c := &clearer{
			Clearing: &Clearing{market: m, orders: book, Nodes: make([]NodeClearing, m.Tree.Len())},
			net:      make([]staircase, m.Tree.Len()),
		}
		c.group()
		c.merge()
		byNode := ordersByNode(m, book)
		for i := range c.net {
			for level := 0; level <= 2*int(m.Ticks); level++ {
				if got, want := c.net[i].at(level), naiveNet(m, byNode, i, level); got != want {
					t.Fatalf("node %d at level %d: %d, want %d", i, level, got, want)
				}
			}
		}
	})
}

// Each formula of an edge against the sentence that defines it.
func TestPricesThroughAnEdge(t *testing.T) {
	const ticks = 40
	rapid.Check(t, func(t *rapid.T) {
		e := edge{fee: rapid.IntRange(0, 9).Draw(t, "fee"), loss: rapid.Int64Range(0, int64(grid.MaxLoss)).Draw(t, "loss")}
		keeps := grid.Million - e.loss
		var exports, imports []int // steps above for each below
		for s := range 2 * ticks {
			j := s / 2
			// Selling at j below pays from the first price p above with p(1-loss) - fee >= j.
			p := 0
			for int64(p)*keeps < int64(j+e.fee)*grid.Million {
				p++
			}
			exports = append(exports, 2*p+s%2)
			if got := e.exportStep(s); got != exports[s] {
				t.Fatalf("export of step %d at %d, want %d", s, got, exports[s])
			}
		}
		for level := range 2 * ticks {
			sold := 0
			for sold < len(exports) && exports[sold] < level {
				sold++
			}
			if got := e.exportLevel(level); sold < len(exports) && got != sold {
				t.Fatalf("exports at level %d from level %d, want %d", level, got, sold)
			}
			// Buying at p above costs p/(1-loss) + fee below, in whole ticks.
			p := 0
			for int64(p-e.fee)*keeps < int64(level/2)*grid.Million {
				p++
			}
			imports = append(imports, 2*p+level%2)
			if got := e.importLevel(level); got != imports[level] {
				t.Fatalf("imports at level %d from level %d, want %d", level, got, imports[level])
			}
		}
		for s := range ticks { // the level just above importStep is the first whose imports begin above s
			at := e.importStep(s)
			if at >= 0 && imports[at] > s || imports[max(at, -1)+1] <= s {
				t.Fatalf("import of step %d up to %d", s, at)
			}
		}
	})
}

func TestFlowsThroughAnEdge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := edge{loss: rapid.Int64Range(0, int64(grid.MaxLoss)).Draw(t, "loss"), capacity: int64(grid.MaxEnergy)}
		flow := rapid.Int64Range(-1<<42, 1<<42).Draw(t, "flow")
		up := e.upper(flow)
		if e.upper(flow+1) < up {
			t.Fatalf("%d Wh look like more than %d", flow, flow+1)
		}
		if back := e.lower(up); flow < 0 && back != flow || flow >= 0 && (back < flow || e.upper(back) != up) {
			t.Fatalf("%d Wh look like %d, which looks like %d", flow, up, back)
		}
		sent, received := new(big.Int).SetInt64(max(flow, -up)), max(up, -flow)
		loss := sent.Mul(sent, big.NewInt(e.loss)).Div(sent, big.NewInt(grid.Million)).Int64()
		if received != max(flow, -up)-loss {
			t.Fatalf("of %d Wh with %d ppm lost %d arrive", max(flow, -up), e.loss, received)
		}
	})
}

func TestShareGivesAllAndNoMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quantities := rapid.SliceOfN(rapid.Int64Range(0, 1<<45), 1, 9).Draw(t, "quantities")
		var sum int64
		portions := make([]portion, len(quantities))
		for i, q := range quantities {
			portions[i], sum = portion{index: i, quantity: q}, sum+q
		}
		total := rapid.Int64Range(0, sum).Draw(t, "total")
		share(total, portions, func(a, b portion) int { return a.index - b.index })
		var got int64
		for _, p := range portions {
			got += p.part
			exact := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(p.quantity), big.NewInt(total)), big.NewInt(max(sum, 1)))
			off := exact.Sub(exact, new(big.Rat).SetInt64(p.part))
			if p.part > p.quantity || off.Cmp(big.NewRat(1, 1)) >= 0 || off.Cmp(big.NewRat(-1, 1)) <= 0 {
				t.Fatalf("%d of %d for %d of %d", p.part, total, p.quantity, sum)
			}
		}
		if got != total {
			t.Fatalf("%d of %d shared", got, total)
		}
	})
}

func TestRefusedMarketsAndOrders(t *testing.T) {
	good := Market{Tree: grid.Flat(), Ticks: 10}
	fine := Order{Price: 3, Quantity: 1}
	with := func(change func(*Order)) []Order {
		o := fine
		change(&o)
		return []Order{fine, o}
	}
	large := make([]Order, int(grid.MaxEnergy/MaxQuantity)+1)
	for i := range large {
		large[i] = Order{Quantity: MaxQuantity}
	}
	for name, c := range map[string]struct {
		market Market
		book   []Order
		want   error
		says   string
	}{
		"no grid":              {Market{Ticks: 10}, nil, ErrMarket, "no grid"},
		"no ticks":             {Market{Tree: grid.Flat()}, nil, ErrMarket, "0 ticks"},
		"too many ticks":       {Market{Tree: grid.Flat(), Ticks: grid.MaxTicks + 1}, nil, ErrMarket, "1048577"},
		"utility buys dearer":  {Market{Tree: grid.Flat(), Ticks: 10, Utility: &Utility{Retail: 2, FeedIn: 3}}, nil, ErrUtility, "buys at 3, sells at 2"},
		"utility out of range": {Market{Tree: grid.Flat(), Ticks: 10, Utility: &Utility{Retail: 10}}, nil, ErrUtility, "10"},
		"negative feed-in":     {Market{Tree: grid.Flat(), Ticks: 10, Utility: &Utility{FeedIn: -1}}, nil, ErrUtility, "-1"},
		"side":                 {good, with(func(o *Order) { o.Side = 2 }), ErrSide, "order 1: "},
		"node":                 {good, with(func(o *Order) { o.Node = 1 }), ErrNode, "1 of 1"},
		"negative node":        {good, with(func(o *Order) { o.Node = -1 }), ErrNode, "-1"},
		"limit":                {good, with(func(o *Order) { o.Price = 10 }), ErrLimit, "10, want 0 to 9"},
		"negative limit":       {good, with(func(o *Order) { o.Price = -1 }), ErrLimit, "-1"},
		"nothing":              {good, with(func(o *Order) { o.Quantity = 0 }), ErrQuantity, "0 Wh"},
		"negative quantity":    {good, with(func(o *Order) { o.Quantity = -4 }), ErrQuantity, "-4"},
		"too much":             {good, with(func(o *Order) { o.Quantity = MaxQuantity + 1 }), ErrQuantity, "1073741825"},
		"too much together":    {good, large, ErrBook, "order 512"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.market.Clear(c.book); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want %v with %q", err, c.want, c.says)
			}
		})
	}
}

func TestMoneyOutOfRange(t *testing.T) {
	c := mustClear(t, Market{Tree: grid.Flat(), Ticks: 10}, []Order{
		{ID: OrderID{1}, Side: Sell, Price: 9, Quantity: 1 << 20}, {ID: OrderID{2}, Side: Buy, Price: 9, Quantity: 1 << 20},
	})
	if _, err := c.Settle(price.Amount{Hi: 1 << 63}); !errors.Is(err, ErrMoney) {
		t.Fatalf("got %v", err)
	}
}
