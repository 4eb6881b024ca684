package vectors

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"testing"

	"github.com/cairn-network/cairn/core/auction"
	"github.com/cairn-network/cairn/core/flex"
	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
)

// lcg gives the same numbers in any language: x = (1103515245 x + 12345) mod 2^31, and of each the
// quotient by 65536.
type lcg uint32

func (g *lcg) below(n int) int {
	*g = (1103515245**g + 12345) % (1 << 31)
	return int(*g>>16) % n
}

// drawnMarket is a market on a tree of n nodes, node i below a lower one.
func drawnMarket(t *testing.T, seed lcg, n, orders int, losses bool) (auction.Market, []auction.Order) {
	g := &seed
	nodes := []grid.Node{{ID: 1}}
	for id := 2; id <= n; id++ {
		nodes = append(nodes, grid.Node{ID: grid.NodeID(id), Parent: grid.NodeID(1 + g.below(id-1))})
	}
	for i := range nodes {
		nodes[i].Fee = grid.Tick(g.below(8))
		if g.below(2) == 0 {
			nodes[i].Capacity = grid.WattHours(1 + g.below(3000))
		}
		if losses {
			nodes[i].Loss = grid.PPM(1000 * g.below(60))
		}
	}
	tree, err := grid.New(nodes)
	if err != nil {
		t.Fatal(err)
	}
	m := auction.Market{Tree: tree, Ticks: 100}
	if g.below(3) > 0 {
		m.Utility = &auction.Utility{FeedIn: grid.Tick(g.below(30))}
		m.Utility.Retail = m.Utility.FeedIn + grid.Tick(g.below(60))
	}
	book := make([]auction.Order, orders)
	for i := range book {
		book[i] = auction.Order{
			ID: sha256.Sum256([]byte(strconv.Itoa(i))), Node: int32(g.below(n)), Side: auction.Side(g.below(2)),
			Price: grid.Tick(g.below(100)), Quantity: grid.WattHours(1 + g.below(1000)),
		}
	}
	return m, book
}

func clearings(t *testing.T) file {
	f := file{About: "core/auction, docs/spec/energy-market.md: nodes in the tree's order as [id, parent, fee, loss ppm, capacity Wh (0 none, -1 closed)], " +
		"orders as [node's place in that order, side, price, Wh] with SHA-256 of their decimal place in the book as id, results by node as [price, bought, sold, lower, upper] and by order as Wh filled; " +
		"money of a clearing at 1234567 base units a tick and kWh: by order, fees and rents by node, to and from the utility, rounding."}
	for _, c := range []struct {
		seed      lcg
		n, orders int
		losses    bool
	}{{1, 1, 6, false}, {2, 2, 8, false}, {3, 4, 14, false}, {4, 7, 30, false}, {5, 7, 30, true}, {6, 12, 60, true}, {7, 3, 0, false}, {8, 9, 50, true}} {
		m, book := drawnMarket(t, c.seed, c.n, c.orders, c.losses)
		cleared, err := m.Clear(book)
		if err != nil {
			t.Fatal(err)
		}
		ledger, err := cleared.Settle(price.FromUint64(1_234_567))
		if err != nil {
			t.Fatal(err)
		}
		var nodes, results, orders, paid, fees, rents []string
		for i, n := range m.Tree.Nodes() {
			nodes = append(nodes, fmt.Sprint(n.ID, " ", n.Parent, " ", n.Fee, " ", n.Loss, " ", int64(n.Capacity)))
			r := cleared.Nodes[i]
			results = append(results, fmt.Sprint(r.Price, " ", r.Bought, " ", r.Sold, " ", r.Lower, " ", r.Upper))
			fees, rents = append(fees, ledger.Tolls[i].Fee.String()), append(rents, ledger.Tolls[i].Rent.String())
		}
		fills := make([]int64, len(book))
		for i, o := range book {
			orders = append(orders, fmt.Sprint(o.Node, " ", o.Side, " ", o.Price, " ", o.Quantity))
			fills[i] = int64(cleared.Fills[i])
			paid = append(paid, ledger.Orders[i].String())
		}
		utility := "none"
		if m.Utility != nil {
			utility = fmt.Sprint(m.Utility.Retail, " ", m.Utility.FeedIn)
		}
		f.Cases = append(f.Cases, of("ticks", int(m.Ticks), "utility", utility, "nodes", nodes, "orders", orders,
			"volume", int64(cleared.Volume()), "results", results, "fills", fills,
			"money", paid, "fees", fees, "rents", rents,
			"to_utility", ledger.ToUtility.String(), "to_community", ledger.ToCommunity.String(), "rounding", ledger.Rounding.String()))
	}
	return f
}

func flexibility(t *testing.T) file {
	f := file{About: "core/flex: parts of an unevenness (128 bits, two's complement, hexadecimal), shares of a pool of 10^18 with caps of 10^17, calls of a beacon, baselines."}
	g := lcg(9)
	for _, samples := range []int{1, 4, 24} {
		curve := func() []grid.WattHours {
			x := make([]grid.WattHours, samples)
			for i := range x {
				x[i] = grid.WattHours(g.below(4000) - 1000)
			}
			return x
		}
		load, devices := curve(), [][]grid.WattHours{curve(), curve(), curve()}
		a, err := flex.Attribute(load, devices)
		if err != nil {
			t.Fatal(err)
		}
		most := price.FromUint64(100_000_000_000_000_000)
		payments, left, err := flex.SharePool(price.FromUint64(1_000_000_000_000_000_000), a.Parts, flex.Caps{Reward: most, Charge: most})
		if err != nil {
			t.Fatal(err)
		}
		hexadecimal := func(p flex.Part) string { return fmt.Sprintf("%016x%016x", p.Hi, p.Lo) }
		var parts, rewards, charges []string
		for i, p := range a.Parts {
			parts = append(parts, hexadecimal(p))
			rewards, charges = append(rewards, payments[i].Reward.String()), append(charges, payments[i].Charge.String())
		}
		f.Cases = append(f.Cases, of("load", load, "injections", devices, "without", hexadecimal(a.Without), "with", hexadecimal(a.With),
			"parts", parts, "rewards", rewards, "charges", charges, "left", left.String()))
	}
	for device := range uint64(6) {
		beacon := sha256.Sum256([]byte("beacon"))
		c := flex.NewCall(beacon, 2_000_000, device)
		f.Cases = append(f.Cases, of("beacon", beacon, "slot", uint64(2_000_000), "device", device, "due_of_3", c.Due(3), "direction", int(c.Direction()), "share", int(c.Share())))
	}
	days := make([]flex.Day, flex.LikeDays)
	for i := range days {
		days[i] = flex.Day{Before: []grid.WattHours{grid.WattHours(g.below(500))}, During: []grid.WattHours{grid.WattHours(g.below(900)), grid.WattHours(g.below(900))}}
	}
	for _, before := range []grid.WattHours{0, 200, 250, 260, 900} {
		base, err := flex.Baseline(days, []grid.WattHours{before})
		if err != nil {
			t.Fatal(err)
		}
		f.Cases = append(f.Cases, of("days", days, "before", int64(before), "baseline", base))
	}
	return f
}
