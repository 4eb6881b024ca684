package need

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/price"
)

// world is cells' own needs, drawn from a seed without storing them.
func world(seed uint64) func(geo.Cell) uint32 {
	return func(c geo.Cell) uint32 {
		h := (uint64(c) ^ seed) * 0x9e3779b97f4a7c15
		h ^= h >> 29
		h *= 0xbf58476d1ce4e5b9
		if h>>60 < 6 {
			return 0
		}
		if h>>60 < 12 {
			return MaxExtra
		}
		return uint32(h>>32) % (MaxExtra + 1)
	}
}

func weight(own func(geo.Cell) uint32, c geo.Cell) uint32 {
	var needs []uint32
	for _, near := range c.Disk(Rings) {
		needs = append(needs, own(near))
	}
	return Weight(needs)
}

// start is a cell of resolution 5 far from every pentagon; tests walk away from it.
const start = geo.Cell(0x85283473fffffff)

// TestNoCliffs is INV-NEED-2: whatever the needs, the weights of neighbours differ by at most MaxStep,
// whether or not a parent's boundary lies between them.
func TestNoCliffs(t *testing.T) {
	inside, across := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		own := world(rapid.Uint64().Draw(t, "seed"))
		// One seed in two has an edge of its own: everything on one side of a parent needs all,
		// everything on the other nothing.
		if rapid.Bool().Draw(t, "edge") {
			parent, _ := start.Parent(3)
			own = func(c geo.Cell) uint32 {
				if p, _ := c.Parent(3); p == parent {
					return MaxExtra
				}
				return 0
			}
		}
		at := start
		for range 12 {
			near := at.Neighbors()
			next := near[rapid.IntRange(0, len(near)-1).Draw(t, "to")]
			a, b := weight(own, at), weight(own, next)
			if a > b+MaxStep || b > a+MaxStep {
				t.Fatalf("%s weighs %d, its neighbour %s %d", at, a, next, b)
			}
			if a < Base || a > Base+MaxExtra {
				t.Fatalf("%s weighs %d", at, a) // INV-NEED-1
			}
			p, _ := at.Parent(4)
			if q, _ := next.Parent(4); p == q {
				inside++
			} else {
				across++
			}
			at = next
		}
	})
	if inside == 0 || across == 0 {
		t.Fatalf("walked %d steps within a parent, %d across", inside, across)
	}
}

// TestProductOverParentsWouldHaveCliffs shows that the bound can fail: the weight by parent does.
func TestProductOverParentsWouldHaveCliffs(t *testing.T) {
	parent, _ := start.Parent(4)
	byParent := func(c geo.Cell) uint32 {
		if p, _ := c.Parent(4); p == parent {
			return Base + MaxExtra
		}
		return Base
	}
	for _, near := range start.Disk(3) {
		for _, next := range near.Neighbors() {
			if byParent(near) > byParent(next)+MaxStep {
				return
			}
		}
	}
	t.Fatal("no cliff")
}

// TestMoreSupplyNeedsLess is INV-NEED-3.
func TestMoreSupplyNeedsLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, 1, ^uint64(0)}))
		target := Target{Supply: numbers.Draw(t, "target"), Demand: price.Amount{Hi: numbers.Draw(t, "dh"), Lo: numbers.Draw(t, "dl")}}
		c := Cell{Supply: numbers.Draw(t, "supply"), Demand: price.Amount{Hi: numbers.Draw(t, "h"), Lo: numbers.Draw(t, "l")}}
		of := target.Of(c)
		if of > MaxExtra {
			t.Fatalf("need %d", of)
		}
		more := c
		if more.Supply < ^uint64(0) {
			more.Supply++
		}
		if got := target.Of(more); got > of {
			t.Fatalf("need rose from %d to %d with supply", of, got)
		}
		more = c
		if sum, over := c.Demand.Add(price.FromUint64(numbers.Draw(t, "added"))); !over {
			more.Demand = sum
		}
		if got := target.Of(more); got < of {
			t.Fatalf("need fell from %d to %d with demand", of, got)
		}
	})
}

func TestNeed(t *testing.T) {
	target := Target{Supply: 1000, Demand: price.FromUint64(100)}
	for _, tc := range []struct {
		supply, demand uint64
		want           uint32
	}{
		{0, 0, 500}, {0, 100, 2000}, {0, 1000, 2000}, {0, 50, 1250}, {500, 100, 1000}, {1000, 100, 0}, {5000, 0, 0}, {999, 100, 2},
	} {
		if got := target.Of(Cell{tc.supply, price.FromUint64(tc.demand)}); got != tc.want {
			t.Errorf("supply %d, demand %d: need %d, want %d", tc.supply, tc.demand, got, tc.want)
		}
	}
	if got := (Target{}).Of(Cell{}); got != 0 {
		t.Errorf("where nothing is expected the need is %d", got)
	}
	if got := Weight(nil); got != Base {
		t.Errorf("weight of nothing is %d", got)
	}
}
