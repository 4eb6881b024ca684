package auction

import (
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
)

// INV-ENERGY-4 and INV-ENERGY-7.
func TestMeteredSettlement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := small.with(true).market(t)
		feedIn := rapid.Int32Range(0, 11).Draw(t, "feed-in")
		m.Utility = &Utility{FeedIn: grid.Tick(feedIn), Retail: grid.Tick(rapid.Int32Range(feedIn, 11).Draw(t, "retail"))}
		readings := make([]Reading, rapid.IntRange(0, 12).Draw(t, "readings"))
		limit := rapid.Int32Range(0, 11)
		for i := range readings {
			readings[i] = Reading{
				ID: orderID(uint64(i)), Node: int32(rapid.IntRange(0, m.Tree.Len()-1).Draw(t, "node")),
				Surplus:   grid.WattHours(rapid.Int64Range(-40, 40).Draw(t, "surplus")),
				SellAbove: grid.Tick(limit.Draw(t, "sell above")), BuyBelow: grid.Tick(limit.Draw(t, "buy below")),
			}
		}
		tick := price.FromUint64(rapid.Uint64Range(0, 5000).Draw(t, "tick"))
		s, err := m.SettleMetered(readings, tick)
		if err != nil {
			t.Fatal(err)
		}
		in, out := s.ToCommunity.Big(), s.ToUtility.Big()
		for i, r := range readings {
			got := s.Shares[i]
			size := max(r.Surplus, -r.Surplus)
			if got.Local+got.Rest != size || got.Local < 0 || got.Rest < 0 {
				t.Fatalf("reading of %d: %d local, %d rest", r.Surplus, got.Local, got.Rest)
			}
			alone := func(p grid.Tick) *big.Int {
				v := new(big.Int).Mul(tick.Big(), big.NewInt(int64(p)*int64(size)))
				return v.Div(v, big.NewInt(1000))
			}
			if r.Surplus < 0 {
				in.Add(in, got.Money.Big())
				if most := alone(m.Utility.Retail); got.Money.Big().Cmp(most.Add(most, big.NewInt(1))) > 0 {
					t.Fatalf("%d Wh cost %s, retail %s", r.Surplus, got.Money, most)
				}
				if got.Local > 0 && got.Price > r.BuyBelow {
					t.Fatalf("bought locally at %d, limit %d", got.Price, r.BuyBelow)
				}
			} else {
				out.Add(out, got.Money.Big())
				if got.Money.Big().Cmp(alone(m.Utility.FeedIn)) < 0 {
					t.Fatalf("%d Wh earn %s", r.Surplus, got.Money)
				}
				if got.Local > 0 && got.Price < r.SellAbove {
					t.Fatalf("sold locally at %d, limit %d", got.Price, r.SellAbove)
				}
			}
		}
		for _, toll := range s.Tolls {
			out.Add(out, toll.Fee.Big())
			out.Add(out, toll.Rent.Big())
		}
		if in.Cmp(out.Add(out, s.Rounding.Big())) != 0 {
			t.Fatalf("%s in, %s out", in, out)
		}
	})
}

func TestNeighboursTradeBeforeTheUtility(t *testing.T) {
	m := Market{Tree: grid.Flat(), Ticks: 50, Utility: &Utility{Retail: 30, FeedIn: 8}}
	s, err := m.SettleMetered([]Reading{
		{ID: OrderID{1}, Surplus: 1000, SellAbove: 0, BuyBelow: 49},
		{ID: OrderID{2}, Surplus: -600, SellAbove: 0, BuyBelow: 49},
		{ID: OrderID{3}, Surplus: -200, SellAbove: 0, BuyBelow: 5}, // would rather pay the utility
		{ID: OrderID{4}},
	}, price.FromUint64(1000))
	if err != nil {
		t.Fatal(err)
	}
	// 600 Wh change hands at 8, where the seller's rest goes, too.
	for i, want := range []Share{
		{Local: 600, Rest: 400, Price: 8, Money: price.FromUint64(8000)},
		{Local: 600, Price: 8, Money: price.FromUint64(4800)},
		{Rest: 200, Price: 8, Money: price.FromUint64(6000)},
		{},
	} {
		if s.Shares[i] != want {
			t.Errorf("reading %d: %+v, want %+v", i, s.Shares[i], want)
		}
	}
	if s.ToUtility != price.FromUint64(6000) || s.ToCommunity != price.FromUint64(3200) {
		t.Errorf("to the utility %s, to the community %s", s.ToUtility, s.ToCommunity)
	}
}

func TestReadingsThatCannotBeSettled(t *testing.T) {
	m := Market{Tree: grid.Flat(), Ticks: 50}
	if _, err := m.SettleMetered(nil, tickPrice); !errors.Is(err, ErrUtility) {
		t.Fatalf("without a utility: %v", err)
	}
	m.Utility = &Utility{Retail: 30}
	for _, surplus := range []grid.WattHours{MaxQuantity + 1, -MaxQuantity - 1, -1 << 63} {
		if _, err := m.SettleMetered([]Reading{{Surplus: surplus}}, tickPrice); !errors.Is(err, ErrReading) {
			t.Fatalf("surplus of %d: %v", surplus, err)
		}
	}
	if _, err := m.SettleMetered([]Reading{{Surplus: 1, Node: 5}}, tickPrice); !errors.Is(err, ErrNode) {
		t.Fatalf("node that is not there: %v", err)
	}
}

func TestSpreadSumsToWhatTheRegisterCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := grid.WattHours(rapid.Int64Range(0, int64(grid.MaxEnergy)).Draw(t, "total"))
		estimates := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) grid.WattHours {
			return grid.WattHours(rapid.Int64Range(0, int64(MaxQuantity)).Draw(t, "estimate"))
		}), 1, 96).Draw(t, "estimates")
		parts, err := Spread(total, estimates)
		if err != nil {
			t.Fatal(err)
		}
		var sum grid.WattHours
		for _, p := range parts {
			if p < 0 {
				t.Fatalf("part of %d", p)
			}
			sum += p
		}
		if sum != total {
			t.Fatalf("parts sum to %d, want %d", sum, total)
		}
	})
	for _, c := range []struct {
		total     grid.WattHours
		estimates []grid.WattHours
	}{{-1, []grid.WattHours{1}}, {1, nil}, {1, []grid.WattHours{-1}}, {1, []grid.WattHours{MaxQuantity + 1}}} {
		if _, err := Spread(c.total, c.estimates); !errors.Is(err, ErrReading) {
			t.Errorf("%d over %v: %v", c.total, c.estimates, err)
		}
	}
	if parts, _ := Spread(7, []grid.WattHours{0, 0}); parts[0] != 4 || parts[1] != 3 {
		t.Errorf("evenly: %v", parts)
	}
}

func TestEstimateIsTheLatestDayThatIsKnown(t *testing.T) {
	early, late := grid.WattHours(5), grid.WattHours(7)
	if Estimate([]*grid.WattHours{nil, &late, &early}) != 7 || Estimate(nil) != 0 {
		t.Fatal("estimate")
	}
}
