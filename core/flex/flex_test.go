package flex

import (
	"errors"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
)

// integer is p as a number.
func (p Part) integer() *big.Int {
	v := p.size().Big()
	if p.Negative() {
		v.Neg(v)
	}
	return v
}

// naiveUnevenness is V by its definition.
func naiveUnevenness(load []grid.WattHours) *big.Int {
	sum, v := new(big.Int), new(big.Int)
	for _, n := range load {
		sum.Add(sum, big.NewInt(int64(n)))
	}
	for _, n := range load {
		d := new(big.Int).Mul(big.NewInt(int64(len(load))), big.NewInt(int64(n)))
		d.Sub(d, sum)
		v.Add(v, d.Mul(d, d))
	}
	return v
}

// INV-FLEX-1.
func TestPartsSumToTheImprovement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.IntRange(1, 24).Draw(t, "samples")
		most := rapid.SampledFrom([]int64{3, 5000, int64(MaxSample) / 8}).Draw(t, "most")
		curve := func(label string) []grid.WattHours {
			x := make([]grid.WattHours, samples)
			for i := range x {
				x[i] = grid.WattHours(rapid.Int64Range(-most, most).Draw(t, label))
			}
			return x
		}
		load := curve("load")
		without := slices.Clone(load)
		injections := make([][]grid.WattHours, rapid.IntRange(0, 5).Draw(t, "devices"))
		for i := range injections {
			injections[i] = curve("injection")
			for at, b := range injections[i] {
				without[at] += b
			}
		}
		a, err := Attribute(load, injections)
		if err != nil {
			t.Fatal(err)
		}
		v0, v1 := naiveUnevenness(without), naiveUnevenness(load)
		if a.Without.integer().Cmp(v0) != 0 || a.With.integer().Cmp(v1) != 0 {
			t.Fatalf("V %s and %s, want %s and %s", a.Without.integer(), a.With.integer(), v0, v1)
		}
		sum := new(big.Int)
		for _, p := range a.Parts {
			sum.Add(sum, p.integer())
		}
		if v0.Sub(v0, v1).Cmp(sum) != 0 {
			t.Fatalf("parts sum to %s, the improvement is %s", sum, v0)
		}
	})
}

func TestWhoSmoothsAndWhoDoesNot(t *testing.T) {
	load := []grid.WattHours{100, 300, 200, 200} // with a battery that shaved 100 off a peak and filled a valley of 0
	a, err := Attribute(load, [][]grid.WattHours{
		{-100, 100, 0, 0}, // charges in the valley, discharges at the peak
		{0, 0, -50, 50},   // moves energy about where it is even already
		{50, 50, 50, 50},  // gives as much all the time
	})
	if err != nil {
		t.Fatal(err)
	}
	if a.Parts[0].Negative() || a.Parts[0] == (Part{}) {
		t.Errorf("who shaved the peak has %s", a.Parts[0].integer())
	}
	if a.Parts[2] != (Part{}) {
		t.Errorf("who changed nothing has %s", a.Parts[2].integer())
	}
}

// INV-FLEX-2.
func TestPoolsAreShared(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := make([]Part, rapid.IntRange(0, 6).Draw(t, "owners"))
		for i := range parts {
			parts[i] = product(rapid.Int64().Draw(t, "part"), rapid.SampledFrom([]int64{0, 1, -1, 1 << 40}).Draw(t, "factor"))
		}
		amount := func(label string) price.Amount {
			return price.Amount{Hi: rapid.SampledFrom([]uint64{0, 0, 1 << 25}).Draw(t, label+".hi"), Lo: rapid.Uint64().Draw(t, label)}
		}
		pool, caps := amount("pool"), Caps{Reward: amount("reward"), Charge: amount("charge")}
		payments, left, err := SharePool(pool, parts, caps)
		if err != nil {
			t.Fatal(err)
		}
		positive := new(big.Int)
		for _, p := range parts {
			if !p.Negative() {
				positive.Add(positive, p.integer())
			}
		}
		balance := pool.Big()
		paid := new(big.Int)
		for i, p := range parts {
			want := new(big.Int)
			if positive.Sign() > 0 {
				want.Mul(pool.Big(), p.size().Big()).Div(want, positive)
			}
			got, cap := payments[i].Reward, caps.Reward
			if p.Negative() {
				got, cap = payments[i].Charge, caps.Charge
				if !payments[i].Reward.IsZero() {
					t.Fatalf("a part of %s is rewarded", p.integer())
				}
			} else if !payments[i].Charge.IsZero() {
				t.Fatalf("a part of %s is charged", p.integer())
			}
			if want.Cmp(cap.Big()) > 0 {
				want = cap.Big()
			}
			if got.Big().Cmp(want) != 0 {
				t.Fatalf("part of %s: %s, want %s", p.integer(), got, want)
			}
			paid.Add(paid, payments[i].Reward.Big())
			balance.Add(balance, payments[i].Charge.Big()).Sub(balance, payments[i].Reward.Big())
		}
		if paid.Cmp(pool.Big()) > 0 || left.Big().Cmp(balance) != 0 {
			t.Fatalf("%s paid of %s, %s left, want %s", paid, pool, left, balance)
		}
	})
}

func TestSamplesThatCannotBeAttributed(t *testing.T) {
	for name, c := range map[string]struct {
		load       []grid.WattHours
		injections [][]grid.WattHours
	}{
		"none":             {nil, nil},
		"too many":         {make([]grid.WattHours, MaxSamples+1), nil},
		"too many devices": {make([]grid.WattHours, 1), make([][]grid.WattHours, MaxDevices+1)},
		"too few":          {make([]grid.WattHours, 3), [][]grid.WattHours{{1, 2}}},
		"load":             {[]grid.WattHours{-1 << 63}, nil},
		"injection":        {[]grid.WattHours{0}, [][]grid.WattHours{{MaxSample + 1}}},
		"without devices":  {[]grid.WattHours{MaxSample}, [][]grid.WattHours{{1}}},
	} {
		if _, err := Attribute(c.load, c.injections); !errors.Is(err, ErrSamples) {
			t.Errorf("%s: %v", name, err)
		}
	}
	huge := Part{Hi: 1<<63 - 1}
	if _, _, err := SharePool(price.Amount{}, []Part{huge, huge, huge}, Caps{}); !errors.Is(err, ErrSamples) {
		t.Errorf("parts beyond 128 bits: %v", err)
	}
}

// INV-FLEX-3.
func TestCallsAreDrawn(t *testing.T) {
	beacon := [32]byte{1, 2, 3}
	due, discharge := 0, 0
	for slot := range grid.Slot(20_000) {
		c := NewCall(beacon, slot, 7)
		if c != NewCall(beacon, slot, 7) || c == NewCall(beacon, slot, 8) || c == NewCall([32]byte{1}, slot, 7) {
			t.Fatalf("call of slot %d", slot)
		}
		if c.Due(100) {
			due++
		}
		if c.Direction() == Discharge {
			discharge++
		}
		if s := c.Share(); s < 50 || s > 100 {
			t.Fatalf("share of %d %%", s)
		}
		if c.Due(0) || !c.Due(1) {
			t.Fatal("intervals of 0 and 1")
		}
	}
	if due < 130 || due > 270 || discharge < 9500 || discharge > 10_500 { // five standard deviations and more
		t.Fatalf("%d of 20,000 due at 1 in 100, %d to discharge", due, discharge)
	}
}

func TestWhoPassesATest(t *testing.T) {
	for name, c := range map[string]struct {
		test Test
		want bool
	}{
		"all of it":              {Test{Discharge, 100, -50, 50}, true},
		"nine tenths":            {Test{Discharge, 100, 0, 90}, true},
		"less":                   {Test{Discharge, 100, 0, 89}, false},
		"more":                   {Test{Discharge, 100, 0, 500}, true},
		"the wrong way":          {Test{Discharge, 100, 0, -100}, false},
		"charging":               {Test{Charge, 100, 20, -80}, true},
		"did what it always did": {Test{Charge, 100, -100, -100}, false},
		"nothing asked":          {Test{Charge, 0, 0, 0}, false},
		"a wrapped reading":      {Test{Discharge, 100, 0, 1 << 62}, false},
	} {
		if c.test.Passed() != c.want {
			t.Errorf("%s: passed %t", name, !c.want)
		}
	}
}

func TestAvailabilityIsPaid(t *testing.T) {
	rate := price.Rate{Amount: price.FromUint64(3), Per: 1000}
	for name, c := range map[string]struct {
		a    Availability
		want uint64
	}{
		"never called":   {Availability{Power: 5000, Slots: 96}, 1440},
		"passed all":     {Availability{Power: 5000, Slots: 96, Called: 4, Passed: 4}, 1440},
		"passed three":   {Availability{Power: 5000, Slots: 96, Called: 4, Passed: 3}, 1080},
		"passed half":    {Availability{Power: 5000, Slots: 96, Called: 4, Passed: 2}, 720},
		"passed less":    {Availability{Power: 5000, Slots: 96, Called: 4, Passed: 1}, 0},
		"rounded down":   {Availability{Power: 1, Slots: 999}, 2},
		"never there":    {Availability{Power: 5000}, 0},
		"more than ever": {Availability{Power: 1, Slots: 1<<32 - 1, Called: 1<<32 - 1, Passed: 1<<32 - 1}, 12_884_901},
	} {
		if got, err := c.a.Pay(rate); err != nil || got != price.FromUint64(c.want) {
			t.Errorf("%s: %s, %v, want %d", name, got, err, c.want)
		}
	}
	for _, a := range []Availability{{Power: -1}, {Passed: 1}} {
		if _, err := a.Pay(rate); !errors.Is(err, ErrTerms) {
			t.Errorf("%+v: %v", a, err)
		}
	}
	if _, err := (Availability{Power: 1 << 62, Slots: 1 << 31}).Pay(price.Rate{Amount: price.Amount{Hi: 1}, Per: 1}); !errors.Is(err, price.ErrRange) {
		t.Errorf("out of range: %v", err)
	}
}

func like(before, during grid.WattHours) Day {
	return Day{Before: []grid.WattHours{before}, During: []grid.WattHours{during, 2 * during}}
}

func TestBaseline(t *testing.T) {
	days := []Day{
		like(10, 100), like(10, 50), like(20, 300), like(10, 10), like(10, 200), like(10, 110),
		like(10, 120), like(10, 40), like(10, 30), like(10, 20), like(999, 9999), // the eleventh counts no more
	}
	// The five highest are 300, 200, 120, 110 and 100: 166 on average, drawn after 60/5 = 12 before.
	for name, c := range map[string]struct {
		before grid.WattHours
		want   []grid.WattHours
	}{
		"as usual":        {12, []grid.WattHours{166, 332}},
		"a little more":   {13, []grid.WattHours{830 * 13 / 60, 1660 * 13 / 60}},
		"much more":       {1000, []grid.WattHours{199, 398}},
		"much less":       {1, []grid.WattHours{132, 265}},
		"nothing at all":  {0, []grid.WattHours{132, 265}},
		"at the very top": {14, []grid.WattHours{830 * 14 / 60, 1660 * 14 / 60}},
	} {
		got, err := Baseline(days, []grid.WattHours{c.before})
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
	}
	for i := range days {
		days[i].Before = nil
	}
	if got, err := Baseline(days, nil); err != nil || !slices.Equal(got, []grid.WattHours{166, 332}) {
		t.Errorf("without adjustment: %v, %v", got, err)
	}
}

func TestBaselineStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		energy := rapid.Custom(func(t *rapid.T) grid.WattHours {
			return grid.WattHours(rapid.SampledFrom([]int64{0, 1, 500, int64(MaxSample)}).Draw(t, "energy"))
		})
		days := make([]Day, rapid.IntRange(5, 12).Draw(t, "days"))
		for i := range days {
			days[i] = Day{Before: []grid.WattHours{energy.Draw(t, "before")}, During: []grid.WattHours{energy.Draw(t, "during")}}
		}
		got, err := Baseline(days, []grid.WattHours{energy.Draw(t, "today")})
		if err != nil {
			t.Fatal(err)
		}
		var highest grid.WattHours
		for _, d := range days[:min(len(days), LikeDays)] {
			highest = max(highest, d.During[0])
		}
		if got[0] < 0 || got[0] > highest*mostAdjustment/100 {
			t.Fatalf("baseline of %d, highest day %d", got[0], highest)
		}
	})
}

func TestDaysWithoutABaseline(t *testing.T) {
	good := []Day{like(1, 1), like(1, 1), like(1, 1), like(1, 1), like(1, 1)}
	today := []grid.WattHours{1}
	if _, err := Baseline(good, today); err != nil {
		t.Fatal(err)
	}
	with := func(change func([]Day)) []Day {
		days := slices.Clone(good)
		change(days)
		return days
	}
	for name, c := range map[string]struct {
		days  []Day
		today []grid.WattHours
	}{
		"four days":        {good[:4], today},
		"no event":         {make([]Day, 5), nil},
		"other slots":      {with(func(d []Day) { d[2].During = today }), today},
		"other before":     {good, nil},
		"negative day":     {with(func(d []Day) { d[4] = like(-1, 1) }), today},
		"huge day":         {with(func(d []Day) { d[4] = like(1, MaxSample) }), today},
		"negative today":   {good, []grid.WattHours{-1}},
		"too long a while": {good, make([]grid.WattHours, MaxEvent+1)},
	} {
		if _, err := Baseline(c.days, c.today); !errors.Is(err, ErrDays) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestResponse(t *testing.T) {
	got, err := Response([]grid.WattHours{100, 100, 100}, []grid.WattHours{40, 170, -10})
	if err != nil || got != 60+110 {
		t.Fatalf("%d, %v", got, err)
	}
	for _, metered := range [][]grid.WattHours{{1}, {1, -1 << 63, 1}} {
		if _, err := Response([]grid.WattHours{100, 100, 100}, metered); !errors.Is(err, ErrDays) {
			t.Errorf("%v: %v", metered, err)
		}
	}
}

func TestStability(t *testing.T) {
	got, err := Measure([]Flows{
		{Produced: 0, Consumed: 100, Import: 100},
		{Produced: 300, Consumed: 100, Export: 200},
		{Produced: 100, Consumed: 200, Import: 100},
		{Consumed: 200, Import: 200},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Stability{Peak: 200, Ramp: 300 + 300 + 100, LoadFactor: 5000, SelfSufficiency: 3333, SelfConsumption: 5000}); got != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
	if got, err := Measure(nil); err != nil || got != (Stability{}) {
		t.Fatalf("nothing: %+v, %v", got, err)
	}
	for _, f := range []Flows{{Import: -1}, {Export: MaxSample + 1}} {
		if _, err := Measure([]Flows{f}); !errors.Is(err, ErrSamples) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// CityLearn's community of 2022 (17 buildings, a year): the figures that its totals give.
func TestStabilityOfAKnownCommunity(t *testing.T) {
	got, err := Measure([]Flows{{Produced: 103_425_000, Consumed: 169_644_000, Import: 94_425_000, Export: 28_207_000}})
	if err != nil || got.SelfSufficiency != 4433 || got.SelfConsumption != 7272 {
		t.Fatalf("%+v, %v", got, err)
	}
}
