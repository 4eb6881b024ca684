package command

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairn-network/cairn/core/auction"
	"github.com/cairn-network/cairn/core/exactjson"
	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/internal/cli"
)

func (s *session) energy() *cobra.Command {
	c := &cobra.Command{Use: "energy", Short: "Trade energy with your neighbours"}
	c.AddCommand(s.energyClear())
	return c
}

func (s *session) energyClear() *cobra.Command {
	var gridFile string
	c := &cobra.Command{
		Use: "clear BOOK.csv", Short: "Say what a book of orders would clear at", Args: cobra.ExactArgs(1),
		Example: "  cairn energy clear book.csv\n  cairn energy clear book.csv --grid village.json --json",
		Long: `Clears a book of orders as the chain would: one price at each node of the grid, the largest gain for
all, whatever order the lines come in. Nothing is sent anywhere. BOOK.csv has the columns

  id,side,quantity_wh,price,node

with a side of buy or sell and a price for a kilowatt-hour; "-" reads standard input. Without --grid
energy is worth the same everywhere, and the column node may be missing.`,
		RunE: func(_ *cobra.Command, args []string) error {
			b, err := s.openBook(args[0])
			if err != nil {
				return err
			}
			var result *whatIf
			if gridFile == "" {
				result, err = b.clearFlat()
			} else {
				result, err = s.clearOnGrid(b, gridFile)
			}
			if err != nil {
				return err
			}
			if s.JSON {
				return result.json(s.Out)
			}
			result.print(s.Out)
			return nil
		},
	}
	c.Flags().StringVar(&gridFile, "grid", "", "JSON file of the grid: nodes with fees, losses and capacities, and the utility's prices")
	return c
}

func (s *session) openBook(path string) (book, error) {
	if path == "-" {
		return readBook("standard input", s.In)
	}
	f, err := os.Open(path)
	if err != nil {
		return book{}, err
	}
	defer f.Close()
	return readBook(path, f)
}

func (b book) prices() []exactjson.Decimal {
	all := make([]exactjson.Decimal, len(b.orders))
	for i, o := range b.orders {
		all[i] = o.price
	}
	return all
}

// placed returns an order on a scale: whoever buys pays no more than they said, whoever sells gets no
// less.
func (o order) placed(s scale, node int32) auction.Order {
	up := roundUp
	if o.side == auction.Buy {
		up = roundDown
	}
	return auction.Order{
		ID: sha256.Sum256([]byte(o.id)), Node: node, Side: o.side,
		Price: s.tick(o.price, up), Quantity: o.quantity,
	}
}

// clearFlat clears a book without a grid.
func (b book) clearFlat() (*whatIf, error) {
	s, err := newRanks(b.prices())
	if err != nil {
		return nil, cli.Hint(err, "round them to fewer digits")
	}
	placed := make([]auction.Order, len(b.orders))
	for i, o := range b.orders {
		placed[i] = o.placed(s, 0)
	}
	c, err := auction.Market{Tree: grid.Flat(), Ticks: s.ticks()}.Clear(placed)
	if err != nil {
		return nil, err
	}
	return &whatIf{b, c, nil, []decimal{s.middle(c.Low, c.High)}, placed, nil}, nil
}

// clearOnGrid clears a book on the grid of a file.
func (s *session) clearOnGrid(b book, path string) (*whatIf, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := grid.ParseFile(data)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("reading %s: %w", path, err), `a grid is {"utility": {"retail": 0.32, "feed_in": 0.08}, "nodes": [{"name": "village"}, {"name": "north", "parent": "village", "fee": 0.01, "loss_ppm": 10000, "capacity_wh": 25000}]}`)
	}
	g, err := newPricedGrid(f, b.prices())
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if g.scale.rounded {
		s.Note("prices have more digits than a market has ticks: limits are rounded to %s, none beyond what its order says", g.scale.unit())
	}
	at := map[string]int32{}
	for i, name := range g.names {
		at[name] = int32(i)
	}
	placed := make([]auction.Order, len(b.orders))
	for i, o := range b.orders {
		node, ok := at[o.node]
		if !ok {
			return nil, cli.Hint(fmt.Errorf("order %.40q: node %.70q is not in %s", o.id, o.node, path), "nodes there: %s", some(g.names))
		}
		placed[i] = o.placed(g.scale, node)
	}
	c, err := g.market.Clear(placed)
	if err != nil {
		return nil, err
	}
	prices := make([]decimal, len(c.Nodes))
	for i, n := range c.Nodes {
		prices[i] = g.scale.price(n.Price)
	}
	return &whatIf{b, c, g.names, prices, placed, &g}, nil
}

// some are the first few names.
func some(names []string) string {
	const few = 8
	text := ""
	for i, name := range names {
		if i == few {
			return text + ", ..."
		}
		if i > 0 {
			text += ", "
		}
		text += name
	}
	return text
}

// pricedGrid is a grid whose prices lie on one scale with a book's.
type pricedGrid struct {
	market auction.Market
	scale  even
	names  []string
}

func newPricedGrid(f grid.File, prices []exactjson.Decimal) (pricedGrid, error) {
	fees := make([]exactjson.Decimal, len(f.Nodes))
	losses := false
	for i, n := range f.Nodes {
		losses = losses || n.Loss > 0
		if n.Fee == "" {
			continue
		}
		var err error
		if fees[i], err = exactjson.ParseDecimal(n.Fee.String()); err != nil {
			return pricedGrid{}, fmt.Errorf("fee of node %q: %w", n.Name, err)
		}
		if fees[i].Mantissa < 0 {
			return pricedGrid{}, fmt.Errorf("fee of node %q: %s is below zero", n.Name, n.Fee)
		}
	}
	var retail, feedIn exactjson.Decimal
	if f.Utility != nil {
		var err error
		if retail, err = exactjson.ParseDecimal(f.Utility.Retail.String()); err != nil {
			return pricedGrid{}, fmt.Errorf("retail price of the utility: %w", err)
		}
		if feedIn, err = exactjson.ParseDecimal(f.Utility.FeedIn.String()); err != nil {
			return pricedGrid{}, fmt.Errorf("feed-in price of the utility: %w", err)
		}
		if compareDecimals(feedIn, retail) > 0 {
			return pricedGrid{}, fmt.Errorf("%w: feed-in of %s above retail of %s", auction.ErrUtility, feedIn, retail)
		}
		prices = append(prices, retail, feedIn)
	}
	s, err := newEven(prices, fees, losses)
	if err != nil {
		return pricedGrid{}, cli.Hint(err, "round prices to fewer digits")
	}
	ticks := make([]grid.Tick, len(fees))
	for i, fee := range fees {
		ticks[i] = s.width(fee)
	}
	g := pricedGrid{scale: s}
	g.market.Ticks = s.ticks()
	if f.Utility != nil {
		g.market.Utility = &auction.Utility{Retail: s.tick(retail, roundUp), FeedIn: s.tick(feedIn, roundDown)}
	}
	g.market.Tree, g.names, err = f.Tree(ticks)
	return g, err
}

// whatIf is what a book would clear at.
type whatIf struct {
	book     book
	clearing *auction.Clearing
	names    []string  // of nodes; none without a grid
	prices   []decimal // by node
	placed   []auction.Order
	grid     *pricedGrid // nil without one
}

// Parts of the JSON form. Energy is whole watt-hours, money in the book's unit.
type (
	nodeResult struct {
		Node   string         `json:"node"`
		Price  *decimal       `json:"price"` // null where nothing is traded anywhere
		Bought grid.WattHours `json:"bought_wh"`
		Sold   grid.WattHours `json:"sold_wh"`
	}
	// edgeResult is an edge, called after the node below it.
	edgeResult struct {
		Node string         `json:"node"`
		Flow grid.WattHours `json:"flow_wh"` // at the lower end, positive upwards
		Loss grid.WattHours `json:"loss_wh"`
		Fee  decimal        `json:"fee"`
		Rent decimal        `json:"congestion_rent"`
	}
	fillResult struct {
		ID       string         `json:"id"`
		Side     string         `json:"side"`
		Node     string         `json:"node,omitempty"`
		Quantity grid.WattHours `json:"quantity_wh"`
		Filled   grid.WattHours `json:"filled_wh"`
		Price    *decimal       `json:"price"` // null where nothing is filled
		Money    decimal        `json:"money"` // paid for buying, received for selling
	}
	// totals sum to zero: what buyers and the utility pay is what the others get.
	totals struct {
		BuyersPay   decimal        `json:"buyers_pay"`
		UtilityPays decimal        `json:"utility_pays"`
		SellersGet  decimal        `json:"sellers_get"`
		UtilityGets decimal        `json:"utility_gets"`
		Fees        decimal        `json:"fees"`
		Rent        decimal        `json:"congestion_rent"`
		Imported    grid.WattHours `json:"imported_wh"`
		Exported    grid.WattHours `json:"exported_wh"`
		Lost        grid.WattHours `json:"lost_wh"`
	}
)

func (w *whatIf) traded() bool { return w.clearing.Volume() > 0 }

// price is the root's, nil where nothing is traded.
func (w *whatIf) price() *decimal {
	if !w.traded() {
		return nil
	}
	return &w.prices[0]
}

func (w *whatIf) fill(i int) fillResult {
	o, filled := &w.book.orders[i], w.clearing.Fills[i]
	price := w.prices[w.placed[i].Node]
	r := fillResult{ID: o.id, Side: o.side.String(), Node: o.node, Quantity: o.quantity, Filled: filled, Money: price.times(filled)}
	if filled > 0 {
		r.Price = &price
	}
	return r
}

// nodes are those of the grid or, without one, all that the book names: one price for all of them.
func (w *whatIf) nodes() []nodeResult {
	if w.grid == nil {
		return w.places()
	}
	all := make([]nodeResult, len(w.names))
	for i, name := range w.names {
		n := w.clearing.Nodes[i]
		all[i] = nodeResult{Node: name, Bought: n.Bought, Sold: n.Sold}
		if w.traded() {
			all[i].Price = &w.prices[i]
		}
	}
	return all
}

func (w *whatIf) places() []nodeResult {
	all := []nodeResult{}
	at := map[string]int{}
	for i, o := range w.book.orders {
		if o.node == "" {
			continue
		}
		if _, known := at[o.node]; !known {
			at[o.node] = len(all)
			all = append(all, nodeResult{Node: o.node, Price: w.price()})
		}
		if n := &all[at[o.node]]; o.side == auction.Buy {
			n.Bought += w.clearing.Fills[i]
		} else {
			n.Sold += w.clearing.Fills[i]
		}
	}
	slices.SortFunc(all, func(a, b nodeResult) int { return strings.Compare(a.Node, b.Node) })
	return all
}

// edges are what passes between nodes, and what that costs.
func (w *whatIf) edges() []edgeResult {
	all := make([]edgeResult, len(w.names))
	for i, name := range w.names {
		n := w.clearing.Nodes[i]
		above := w.prices[i] // nothing flows where neither of the following is so
		if parent := w.grid.market.Tree.Parent(i); parent >= 0 {
			above = w.prices[parent]
		} else if n.Upper != 0 {
			above = w.grid.utilityPrice(n.Upper)
		}
		fee := decimal{new(big.Int).Mul(w.grid.scale.unit().value, big.NewInt(int64(w.grid.market.Tree.Node(i).Fee))), w.grid.scale.decimals}
		paid := fee.times(max(n.Lower, -n.Lower))
		all[i] = edgeResult{
			Node: name, Flow: n.Lower, Loss: n.Loss(), Fee: paid,
			Rent: above.times(n.Upper).minus(w.prices[i].times(n.Lower)).minus(paid),
		}
	}
	return all
}

// utilityPrice is what a flow to the utility, or from it, is worth there.
func (g *pricedGrid) utilityPrice(flow grid.WattHours) decimal {
	if flow < 0 {
		return g.scale.price(g.market.Utility.Retail)
	}
	return g.scale.price(g.market.Utility.FeedIn)
}

func (w *whatIf) totals(edges []edgeResult) totals {
	zero := w.prices[0].times(0)
	t := totals{BuyersPay: zero, UtilityPays: zero, SellersGet: zero, UtilityGets: zero, Fees: zero, Rent: zero}
	for i, n := range w.clearing.Nodes {
		t.BuyersPay = t.BuyersPay.plus(w.prices[i].times(n.Bought))
		t.SellersGet = t.SellersGet.plus(w.prices[i].times(n.Sold))
	}
	for _, e := range edges {
		t.Fees, t.Rent, t.Lost = t.Fees.plus(e.Fee), t.Rent.plus(e.Rent), t.Lost+e.Loss
	}
	switch flow := w.clearing.Nodes[0].Upper; {
	case flow < 0:
		t.Imported, t.UtilityGets = -flow, w.grid.utilityPrice(flow).times(-flow)
	case flow > 0:
		t.Exported, t.UtilityPays = flow, w.grid.utilityPrice(flow).times(flow)
	}
	return t
}

// json writes the result, its fills one by one: a book may have millions.
func (w *whatIf) json(out io.Writer) error {
	edges := w.edges()
	head := struct {
		Price  *decimal       `json:"price"`
		Volume grid.WattHours `json:"volume_wh"`
		Tick   *decimal       `json:"tick,omitempty"`
		Totals totals         `json:"totals"`
		Nodes  []nodeResult   `json:"nodes"`
		Fees   []edgeResult   `json:"fees"`
	}{Price: w.price(), Volume: w.clearing.Volume(), Totals: w.totals(edges), Nodes: w.nodes(), Fees: edges}
	if w.grid != nil {
		tick := w.grid.scale.unit()
		head.Tick = &tick
	}
	text, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		return fmt.Errorf("writing result: %w", err)
	}
	b := bufio.NewWriterSize(out, 1<<16)
	fmt.Fprintf(b, "%s,\n  \"fills\": [", bytes.TrimSuffix(text, []byte("\n}"))) // errors of b stay until Flush
	between, end := "", ""
	for i := range w.book.orders {
		text, err := json.Marshal(w.fill(i))
		if err != nil {
			return fmt.Errorf("writing result: %w", err)
		}
		fmt.Fprintf(b, "%s\n    %s", between, text)
		between, end = ",", "\n  "
	}
	fmt.Fprintf(b, "%s]\n}\n", end)
	if err := b.Flush(); err != nil {
		return fmt.Errorf("writing result: %w", err)
	}
	return nil
}

// fewFills is how many orders a person is shown.
const fewFills = 40

func (w *whatIf) print(out io.Writer) {
	if !w.traded() {
		fmt.Fprintf(out, "nothing is traded: no buyer of %d orders pays what a seller asks\n", len(w.book.orders))
		return
	}
	edges := w.edges()
	t := w.totals(edges)
	fmt.Fprintf(out, "price   %s a kWh\nvolume  %d Wh\n", w.prices[0], w.clearing.Volume())
	fmt.Fprintf(out, "money   buyers pay %s, sellers get %s", t.BuyersPay, t.SellersGet)
	if w.grid != nil {
		fmt.Fprintf(out, ", fees %s, congestion rent %s, the utility gets %s and pays %s", t.Fees, t.Rent, t.UtilityGets, t.UtilityPays)
	}
	fmt.Fprintln(out)
	if w.grid != nil {
		rows := make([][]string, len(edges))
		for i, n := range w.nodes() {
			e := edges[i]
			rows[i] = []string{n.Node, n.Price.String(), wh(n.Bought), wh(n.Sold), wh(e.Flow), wh(e.Loss), e.Fee.String(), e.Rent.String()}
		}
		fmt.Fprintln(out)
		cli.Table(out, []string{"NODE", "PRICE", "BOUGHT", "SOLD", "UPWARDS", "LOST", "FEES", "RENT"}, rows)
	}
	if len(w.book.orders) > fewFills {
		fmt.Fprintf(out, "\n%d orders: --json shows what each of them gets\n", len(w.book.orders))
		return
	}
	rows := make([][]string, len(w.book.orders))
	for i := range rows {
		f := w.fill(i)
		rows[i] = []string{f.ID, f.Side, wh(f.Quantity), wh(f.Filled), f.Money.String()}
	}
	fmt.Fprintln(out)
	cli.Table(out, []string{"ORDER", "SIDE", "WH", "FILLED", "MONEY"}, rows)
}

func wh(q grid.WattHours) string { return strconv.FormatInt(int64(q), 10) }
