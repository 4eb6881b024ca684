package auction

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/cairn-network/cairn/core/grid"
)

// district is a region of substations with feeders below: fees on every edge, a capacity on every
// feeder's, losses of a hundredth where asked, a utility above. Each feeder has its share of the orders,
// half of them asks, at prices between the utility's.
func district(substations, feeders, orders int, loss grid.PPM) (Market, []Order) {
	r := rand.New(rand.NewPCG(1, 2))
	nodes := []grid.Node{{ID: 1, Kind: grid.Region}}
	for s := range substations {
		nodes = append(nodes, grid.Node{ID: grid.NodeID(2 + s), Parent: 1, Kind: grid.Substation, Edge: grid.Edge{Fee: 20, Loss: loss}})
	}
	for f := range feeders {
		nodes = append(nodes, grid.Node{
			ID: grid.NodeID(2 + substations + f), Parent: grid.NodeID(2 + f%substations), Kind: grid.Feeder,
			Edge: grid.Edge{Fee: grid.Tick(5 + r.IntN(20)), Capacity: grid.WattHours(20_000 + r.IntN(30_000)), Loss: loss},
		})
	}
	tree, err := grid.New(nodes)
	if err != nil {
		panic(err)
	}
	m := Market{Tree: tree, Ticks: 1024, Utility: &Utility{FeedIn: 80, Retail: 900}}
	book := make([]Order, orders)
	for i := range book {
		feeder, side := i%feeders, Side(i/feeders%2)
		limit := 100 + r.IntN(500)
		if side == Buy {
			limit += 300
		}
		// Every other feeder has more to sell, so that energy crosses the tree.
		quantity := 50 + r.IntN(1000)
		if (feeder%2 == 0) == (side == Sell) {
			quantity *= 2
		}
		book[i] = Order{
			ID: orderID(uint64(i)), Node: int32(1 + substations + feeder), Side: side,
			Price: grid.Tick(limit), Quantity: grid.WattHours(quantity),
		}
	}
	return m, book
}

var districts = []struct {
	name                         string
	substations, feeders, orders int
	loss                         grid.PPM
}{
	{"100k-500", 10, 500, 100_000, 0},
	{"100k-500-losses", 10, 500, 100_000, 10_000},
	{"1M-10000", 100, 10_000, 1_000_000, 0},
}

// reportCPU is called before the loop, and what it returns after: the processor time of one turn, garbage
// collection included, which a busy machine leaves alone.
func reportCPU(b *testing.B) func() {
	begin := cpuTime()
	return func() {
		b.ReportMetric(float64(cpuTime()-begin)/float64(b.N)/1e6, "cpu-ms/op")
	}
}

func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func BenchmarkClear(b *testing.B) {
	for _, d := range districts {
		b.Run(d.name, func(b *testing.B) {
			m, book := district(d.substations, d.feeders, d.orders, d.loss)
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				c, err := m.Clear(book)
				if err != nil {
					b.Fatal(err)
				}
				if c.Volume() == 0 {
					b.Fatal("nothing traded")
				}
			}
		})
	}
}

// BenchmarkNaive finds no more than the root's price: it asks each level in turn, from the cheapest,
// and each node looks at all its orders again for each price that it sees.
func BenchmarkNaive(b *testing.B) {
	d := districts[0]
	m, book := district(d.substations, d.feeders, d.orders, d.loss)
	byNode := ordersByNode(m, book)
	want := mustClear(b, m, book).Price
	defer reportCPU(b)()
	for b.Loop() {
		level := 0
		for naiveNet(m, byNode, 0, level) < 0 {
			level++
		}
		if got := grid.Tick((level - 1) / 2); got > want { // the cheapest price that clears; want is in the middle of all that do
			b.Fatalf("naive price %d, price %d", got, want)
		}
	}
}

// BenchmarkSettle turns a clearing into money.
func BenchmarkSettle(b *testing.B) {
	d := districts[0]
	m, book := district(d.substations, d.feeders, d.orders, d.loss)
	c := mustClear(b, m, book)
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		if _, err := c.Settle(tickPrice); err != nil {
			b.Fatal(err)
		}
	}
}
