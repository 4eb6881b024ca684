package auction

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
)

func TestGate(t *testing.T) {
	const slot grid.Slot = 2_000_000
	start := slot.Start()
	for name, c := range map[string]struct {
		now  int64
		want error
	}{
		"a day ahead":          {start - 96*grid.SlotSeconds, nil},
		"earlier":              {start - 96*grid.SlotSeconds - 1, ErrAhead},
		"at the gate":          {start - GateClosure, nil},
		"a second late":        {start - GateClosure + 1, ErrGate},
		"after the slot":       {start + 10_000, ErrGate},
		"a clock that is lost": {-1 << 63, ErrAhead},
	} {
		if err := CheckGate(slot, c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestCurves(t *testing.T) {
	seller := Curve{ID: OrderID{1}, Node: 3, Side: Sell, Steps: []Step{{10, 100}, {12, 50}}}
	book, err := seller.Orders(nil, 150)
	if err != nil || len(book) != 2 || seller.Quantity() != 150 {
		t.Fatalf("%v, %v", book, err)
	}
	if want := (Order{ID: OrderID{1}, Node: 3, Side: Sell, Price: 12, Quantity: 50}); book[1] != want {
		t.Fatalf("%+v, want %+v", book[1], want)
	}
	for name, c := range map[string]struct {
		curve Curve
		says  string
	}{
		"no step":                 {Curve{}, "0 steps"},
		"too many":                {Curve{Steps: make([]Step, MaxSteps+1)}, "9 steps"},
		"cheaper for more":        {Curve{Side: Sell, Steps: []Step{{10, 1}, {9, 1}}}, "sell at 9 after 10"},
		"dearer for a buyer":      {Curve{Side: Buy, Steps: []Step{{10, 1}, {11, 1}}}, "buy at 11 after 10"},
		"twice the same":          {Curve{Side: Buy, Steps: []Step{{10, 1}, {10, 1}}}, "10 after 10"},
		"nothing":                 {Curve{Side: Buy, Steps: []Step{{10, 0}}}, "0 Wh"},
		"beyond the connection":   {Curve{Side: Buy, Steps: []Step{{10, 100}, {9, 51}}}, "50 left of the 150"},
		"neither sells nor buys":  {Curve{Side: 7, Steps: []Step{{10, 1}}}, "side 7"},
		"a quantity that wrapped": {Curve{Side: Sell, Steps: []Step{{10, 1 << 62}, {11, 1 << 62}}}, "4611686018427387904"},
	} {
		if left, err := c.curve.Orders(book, 150); !errors.Is(err, ErrCurve) || !strings.Contains(err.Error(), c.says) || len(left) != 2 {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// A kilowatt-hour that goes through the battery never costs more than it brings, whatever the prices.
func TestBatteriesEarnTheirWear(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Battery{
			BuyBelow: grid.Tick(rapid.Int32Range(0, 100).Draw(t, "buy")), SellAbove: grid.Tick(rapid.Int32Range(0, 100).Draw(t, "sell")),
			Wear: grid.Tick(rapid.Int32Range(0, 20).Draw(t, "wear")), Efficiency: grid.PPM(rapid.Uint32Range(1, grid.Million).Draw(t, "efficiency")),
			Capacity: 10_000, Charge: grid.WattHours(rapid.Int64Range(0, 10_000).Draw(t, "charge")), Power: 5000,
		}
		book, err := b.Orders(nil)
		kept := big.NewRat(int64(b.Efficiency), grid.Million)
		gain := new(big.Rat).Mul(kept, kept)
		gain.Mul(gain, big.NewRat(int64(b.SellAbove), 1)).Sub(gain, big.NewRat(int64(b.BuyBelow)+int64(b.Wear), 1))
		if pays := gain.Sign() >= 0 && b.BuyBelow < b.SellAbove; pays != (err == nil) {
			t.Fatalf("gain of %s at %+v: %v", gain.FloatString(6), b, err)
		}
		for _, o := range book {
			stored := new(big.Rat).Mul(kept, big.NewRat(int64(o.Quantity), 1))
			if o.Side == Buy && stored.Cmp(big.NewRat(int64(b.Capacity-b.Charge), 1)) > 0 {
				t.Fatalf("buys %d Wh into %d", o.Quantity, b.Capacity-b.Charge)
			}
			if o.Side == Sell && new(big.Rat).Mul(kept, big.NewRat(int64(b.Charge), 1)).Cmp(big.NewRat(int64(o.Quantity), 1)) < 0 {
				t.Fatalf("sells %d Wh out of %d", o.Quantity, b.Charge)
			}
			if o.Quantity > 1250 || o.Quantity < 1 {
				t.Fatalf("%d Wh at 5 kW", o.Quantity)
			}
		}
	})
	for name, b := range map[string]Battery{
		"efficiency above 1": {SellAbove: 2, Efficiency: grid.Million + 1},
		"no efficiency":      {SellAbove: 2},
		"negative price":     {BuyBelow: -1, SellAbove: 2, Efficiency: grid.Million},
		"more than full":     {SellAbove: 2, Efficiency: grid.Million, Capacity: 1, Charge: 2},
		"huge":               {SellAbove: 2, Efficiency: grid.Million, Capacity: MaxQuantity + 1},
		"negative power":     {SellAbove: 2, Efficiency: grid.Million, Power: -1},
	} {
		if _, err := b.Orders(nil); !errors.Is(err, ErrBattery) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestABatteryTradesOneWay(t *testing.T) {
	b := Battery{ID: OrderID{9}, BuyBelow: 10, SellAbove: 20, Wear: 2, Efficiency: 950_000, Capacity: 8000, Charge: 4000, Power: 4000}
	rapid.Check(t, func(t *rapid.T) {
		m := Market{Tree: grid.Flat(), Ticks: 40}
		book, err := b.Orders(small.book(t, Market{Tree: grid.Flat(), Ticks: 40}))
		if err != nil {
			t.Fatal(err)
		}
		c, err := m.Clear(book)
		if err != nil {
			t.Fatal(err)
		}
		if c.Fills[len(book)-1] > 0 && c.Fills[len(book)-2] > 0 {
			t.Fatalf("bought %d and sold %d at %d", c.Fills[len(book)-2], c.Fills[len(book)-1], c.Price)
		}
	})
}

// INV-ENERGY-8.
func TestImbalanceBalances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		feedIn := rapid.Int32Range(0, 40).Draw(t, "feed-in")
		u := Utility{FeedIn: grid.Tick(feedIn), Retail: grid.Tick(rapid.Int32Range(feedIn, 60).Draw(t, "retail"))}
		community := grid.Tick(rapid.Int32Range(0, 70).Draw(t, "community"))
		terms := Terms{
			Free: grid.WattHours(rapid.Int64Range(0, 60).Draw(t, "free")), FreeShare: BasisPoints(rapid.Uint32Range(0, 2000).Draw(t, "share")),
			Spread: grid.Tick(rapid.Int32Range(0, 5).Draw(t, "spread")),
			Short:  BasisPoints(rapid.Uint32Range(0, 10_000).Draw(t, "short")), Long: BasisPoints(rapid.Uint32Range(0, 10_000).Draw(t, "long")),
		}
		energy := rapid.Int64Range(-1000, 1000)
		positions := make([]Position, rapid.IntRange(0, 8).Draw(t, "positions"))
		for i := range positions {
			positions[i] = Position{
				ID: orderID(uint64(i)), Contract: grid.WattHours(energy.Draw(t, "contract")), Actual: grid.WattHours(energy.Draw(t, "actual")),
				Escrow: price.FromUint64(rapid.SampledFrom([]uint64{0, 1, 7777, 1 << 40}).Draw(t, "escrow")),
			}
		}
		tick := price.FromUint64(rapid.Uint64Range(0, 3000).Draw(t, "tick"))
		b, err := SettleImbalance(positions, community, u, terms, tick)
		if err != nil {
			t.Fatal(err)
		}
		in, out := b.ToCommunity.Big(), b.ToUtility.Big()
		out.Add(out, b.ToPool.Big())
		var netted grid.WattHours
		for i, p := range b.Positions {
			off := positions[i].Actual - positions[i].Contract
			if off >= 0 && p.Off != off || off < 0 && (p.Off < off || p.Off > 0) {
				t.Fatalf("position %d is off by %d, settled %d", i, off, p.Off)
			}
			if p.Off < 0 || off < 0 {
				in.Add(in, p.Money.Big())
				netted -= p.Netted
				if p.Money.Cmp(positions[i].Escrow) > 0 {
					t.Fatalf("position %d pays %s out of %s", i, p.Money, positions[i].Escrow)
				}
			} else {
				out.Add(out, p.Money.Big())
				netted += p.Netted
			}
		}
		if netted != 0 {
			t.Fatalf("%d Wh netted with nobody", netted)
		}
		if in.Cmp(out) != 0 {
			t.Fatalf("%s in, %s out", in, out)
		}
	})
}

func TestImbalanceByExample(t *testing.T) {
	u := Utility{Retail: 30, FeedIn: 8}
	terms := Terms{Free: 50, FreeShare: 500, Spread: 1, Short: 1000, Long: 5000}
	rich := price.FromUint64(1 << 60)
	at := func(contract, actual grid.WattHours, n byte) Position {
		return Position{ID: OrderID{n}, Contract: contract, Actual: actual, Escrow: rich}
	}
	for name, c := range map[string]struct {
		positions []Position
		want      []int64 // paid, or negative received, at 1000 base units a tick and kWh: one a tick and Wh
		pool      uint64
	}{
		// 100 Wh lacking, 5 % of 2000 are free: at the utility's price, without a penalty.
		"a lack within the tolerance": {[]Position{at(2000, 1900, 1)}, []int64{3000}, 0},
		// 40 more with a tenth added.
		"a lack beyond": {[]Position{at(2000, 1860, 1)}, []int64{3000 + 40*33}, 40 * 3},
		// 50 free, 50 at half the feed-in price.
		"a surplus beyond": {[]Position{at(0, 100, 1)}, []int64{-50*8 - 50*4}, 50 * 4},
		// Both within the tolerance: at the community's price.
		"netted": {[]Position{at(0, 50, 1), at(0, -50, 2)}, []int64{-1000, 1000}, 0},
		// Of 150 lacking 100 are netted: the free 50 first, then 50 at a tick more; 50 remain.
		"netted in part": {[]Position{at(0, 100, 1), at(0, -150, 2)}, []int64{-50*20 - 50*19, 50*20 + 50*21 + 50*33}, 50*2 + 50*3},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := SettleImbalance(c.positions, 20, u, terms, price.FromUint64(1000))
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range c.want {
				if got := b.Positions[i].Money; got != price.FromUint64(uint64(max(want, -want))) {
					t.Errorf("position %d: %s, want %d", i, got, want)
				}
			}
			if b.ToPool != price.FromUint64(c.pool) {
				t.Errorf("pool gets %s, want %d", b.ToPool, c.pool)
			}
		})
	}
}

func TestALackIsCappedByItsEscrow(t *testing.T) {
	p := []Position{{ID: OrderID{1}, Contract: 1000, Escrow: price.FromUint64(3300)}}
	b, err := SettleImbalance(p, 20, Utility{Retail: 30, FeedIn: 8}, Terms{Short: 1000}, price.FromUint64(1000))
	if err != nil {
		t.Fatal(err)
	}
	// 100 Wh at 33 are all that it pays for; the utility delivered the other 900 to a customer.
	if b.Positions[0].Off != -100 || b.Positions[0].Money != p[0].Escrow || b.ToUtility != price.FromUint64(3000) {
		t.Fatalf("%+v", b)
	}
}

func TestALateReadingIsMadeGood(t *testing.T) {
	u := Utility{Retail: 30, FeedIn: 8}
	late := []Position{
		{ID: OrderID{1}, Contract: -500, Actual: -700, Escrow: price.FromUint64(1 << 40)}, // used 200 more than estimated
		{ID: OrderID{2}, Contract: -500, Actual: -400, Escrow: price.FromUint64(1 << 40)}, // used 100 less
	}
	b, err := TrueUp(late, 20, u, price.FromUint64(1000))
	if err != nil {
		t.Fatal(err)
	}
	if b.Positions[0].Money != price.FromUint64(100*20+100*30) || b.Positions[1].Money != price.FromUint64(100*20) || !b.ToPool.IsZero() {
		t.Fatalf("%+v", b)
	}
}

func TestImbalancesThatCannotBeSettled(t *testing.T) {
	u := Utility{Retail: 30, FeedIn: 8}
	for name, c := range map[string]struct {
		position  Position
		community grid.Tick
		utility   Utility
		terms     Terms
		want      error
	}{
		"contract":  {Position{Contract: MaxQuantity + 1}, 20, u, Terms{}, ErrPosition},
		"reading":   {Position{Actual: -1 << 63}, 20, u, Terms{}, ErrPosition},
		"tolerance": {Position{}, 20, u, Terms{Free: -1}, ErrTerms},
		"penalty":   {Position{}, 20, u, Terms{Long: 10_001}, ErrTerms},
		"spread":    {Position{}, 20, u, Terms{Spread: -1}, ErrTerms},
		"utility":   {Position{}, 20, Utility{Retail: 3, FeedIn: 4}, Terms{}, ErrUtility},
		"community": {Position{}, -1, u, Terms{}, ErrUtility},
	} {
		if _, err := SettleImbalance([]Position{c.position}, c.community, c.utility, c.terms, tickPrice); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
