package score

import (
	"bytes"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/price"
)

const aCell = geo.Cell(0x85283473fffffff)

func words() *rapid.Generator[uint64] {
	return rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 1<<20), rapid.SampledFrom([]uint64{0, 1, 1 << 63, ^uint64(0), ^uint64(0) - 1}))
}

func amountOf(t *rapid.T, name string) price.Amount {
	hi := rapid.OneOf(rapid.Just(uint64(0)), words())
	return price.Amount{Hi: hi.Draw(t, name+".hi"), Lo: words().Draw(t, name+".lo")}
}

// anyFact draws a fact that may be absurd, but has an encoding.
func anyFact(t *rapid.T, device uint64) Fact {
	small := rapid.OneOf(rapid.Uint32Range(0, 3), rapid.Uint32())
	f := Fact{
		Device: device, Epoch: 9, Service: Storage,
		Challenged: rapid.Bool().Draw(t, "challenged"),
		Passed:     small.Draw(t, "passed"),
		Proved:     words().Draw(t, "proved"),
		Leased:     words().Draw(t, "leased"),
		Burned:     amountOf(t, "burned"),
		Bond:       amountOf(t, "bond"),
		Tier:       rapid.Uint32Range(0, MaxTier).Draw(t, "tier"),
		Need:       rapid.Uint32Range(MinNeed, MaxNeed).Draw(t, "need"),
		Boost:      amountOf(t, "boost"),
	}
	if rapid.IntRange(0, 3).Draw(t, "trouble") == 0 {
		f.Standing = Standing(rapid.Uint8Range(0, uint8(standings)).Draw(t, "standing"))
		f.Failed = small.Draw(t, "failed")
	}
	if rapid.Bool().Draw(t, "placed") {
		f.Cell = aCell
	}
	return f
}

func anyTerms(t *rapid.T) Terms {
	mille := rapid.OneOf(rapid.Uint32Range(0, 1000), rapid.Uint32())
	terms := Terms{
		Usage: mille.Draw(t, "usage"), Yield: words().Draw(t, "yield"), Share: mille.Draw(t, "share"),
		NeedHold: mille.Draw(t, "need hold"), ReleaseEpochs: rapid.Uint64Range(0, 5).Draw(t, "release"),
		Miss: mille.Draw(t, "miss"), Fault: mille.Draw(t, "fault"),
	}
	for i := range terms.Hold {
		terms.Hold[i] = mille.Draw(t, "hold")
	}
	return terms
}

// TestPaySumsToAtMostThePools is INV-SCORE-1: whatever the facts, as long as what they say was burned
// and boosted sums to what the pools say, as on the chain.
func TestPaySumsToAtMostThePools(t *testing.T) {
	paidSome := false
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "devices")
		facts := make([]Fact, n)
		pools := Pools{Usage: amountOf(t, "usage"), Bootstrap: amountOf(t, "bootstrap"), Terms: anyTerms(t)}
		total := uint64(0)
		points := make([]uint64, n)
		for i := range facts {
			facts[i] = anyFact(t, uint64(i+1))
			facts[i].Burned.Hi >>= 4 // sums of real balances fit
			facts[i].Boost.Hi >>= 4
			pools.TotalBurned, _ = pools.TotalBurned.Add(facts[i].Burned)
			pools.Boost, _ = pools.Boost.Add(facts[i].Boost)
			points[i], _ = RulesV1.Score(facts[i])
			var over bool
			if total, over = AddPoints(total, points[i]); over {
				t.Fatal("points overflow")
			}
		}
		sum := new(big.Int)
		for i, f := range facts {
			paid, held := RulesV1.Pay(f, points[i], total, pools)
			sum.Add(sum, paid.Big())
			sum.Add(sum, held.Big())
			paidSome = paidSome || !paid.IsZero()
			if points[i] == 0 && !(paid.IsZero() && held.IsZero()) {
				t.Fatalf("no points, and paid %s and %s", paid, held)
			}
		}
		budget := new(big.Int).Add(pools.Usage.Big(), pools.Bootstrap.Big())
		budget.Add(budget, pools.Boost.Big())
		if sum.Cmp(budget) > 0 {
			t.Fatalf("paid %s of %s", sum, budget)
		}
	})
	if !paidSome {
		t.Fatal("nothing was ever paid")
	}
}

// TestUsageNeverGivesBackWhatWasBurned is INV-SCORE-3: with no bond and no boost, pay is at most
// UsagePerMille of what was burned; with no usage, at most the yield on the bond.
func TestUsageNeverGivesBackWhatWasBurned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFact(t, 1)
		f.Standing, f.Failed, f.Passed, f.Boost = 0, 0, 1, price.Amount{}
		pools := Pools{Usage: amountOf(t, "usage"), Bootstrap: amountOf(t, "bootstrap"), TotalBurned: f.Burned, Terms: anyTerms(t)}
		points, _ := RulesV1.Score(f)

		paid, held := RulesV1.Pay(f, points, points, pools)
		earned := new(big.Int).Add(paid.Big(), held.Big())
		most := new(big.Int).Mul(f.Burned.Big(), big.NewInt(UsagePerMille))
		most.Div(most, big.NewInt(1000))
		yield := new(big.Int).Mul(f.Bond.Big(), new(big.Int).SetUint64(pools.Terms.Yield))
		yield.Div(yield, big.NewInt(trillion))
		if earned.Cmp(most.Add(most, yield)) > 0 {
			t.Fatalf("earned %s with %s burned and a bond of %s", earned, f.Burned, f.Bond)
		}
	})
}

// TestAccountsOverEpochs is INV-SCORE-2 over many epochs of any facts: sums hold, and what has been
// earned or paid never falls.
func TestAccountsOverEpochs(t *testing.T) {
	released, forfeited := false, false
	rapid.Check(t, func(t *rapid.T) {
		a := Account{Device: 1}
		epoch := uint64(0)
		for range rapid.IntRange(1, 20).Draw(t, "epochs") {
			epoch += rapid.Uint64Range(1, 4).Draw(t, "step")
			var f *Fact
			if rapid.IntRange(0, 4).Draw(t, "known") > 0 {
				drawn := anyFact(t, 1)
				f = &drawn
			}
			pools := Pools{Usage: amountOf(t, "usage"), Bootstrap: amountOf(t, "bootstrap"), Boost: amountOf(t, "boosts"), TotalBurned: amountOf(t, "burned"), Terms: anyTerms(t)}
			total := rapid.Uint64().Draw(t, "total")
			next := RulesV1.Next(a, f, epoch, total, pools)
			if !next.Check() {
				t.Fatalf("account %+v after %+v does not add up", next, a)
			}
			if next.Earned.Cmp(a.Earned) < 0 || next.Paid.Cmp(a.Paid) < 0 {
				t.Fatalf("account %+v after %+v", next, a)
			}
			if next.Epoch != epoch || next.Device != 1 {
				t.Fatalf("account of device %d in epoch %d", next.Device, next.Epoch)
			}
			if (next.Reason == Paid) != (next.Earned != a.Earned) {
				t.Fatalf("reason %s, earned %s after %s", next.Reason, next.Earned, a.Earned)
			}
			released = released || next.Paid != a.Paid
			forfeited = forfeited || !next.Forfeited().IsZero()
			encoded, err := next.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			var back Account
			if err := back.UnmarshalBinary(encoded); err != nil || back != next {
				t.Fatalf("account %+v came back as %+v, %v", next, back, err)
			}
			a = next
		}
	})
	if !released || !forfeited {
		t.Fatalf("released %v, forfeited %v", released, forfeited)
	}
}

// good is a fact that earns.
func good() Fact {
	return Fact{
		Device: 1, Epoch: 1, Service: Storage, Challenged: true, Passed: 1, Proved: 1 << 30, Leased: 1 << 31,
		Burned: price.FromUint64(1000), Bond: price.FromUint64(1_000_000), Need: MinNeed,
	}
}

// plain are pools without caps that bite.
func plain() Pools {
	return Pools{
		Usage: price.FromUint64(900), Bootstrap: price.FromUint64(10_000), TotalBurned: price.FromUint64(1000),
		Terms: Terms{Usage: 900, Yield: trillion, Share: 1000, ReleaseEpochs: 2, Miss: 100, Fault: 1000},
	}
}

// TestEveryZeroHasItsReason: a fact with one thing wrong gets no points and says what.
func TestEveryZeroHasItsReason(t *testing.T) {
	for _, tc := range []struct {
		want   Reason
		change func(*Fact)
	}{
		{Paid, func(*Fact) {}},
		{Paid, func(f *Fact) { f.Challenged, f.Passed = false, 0 }}, // not due in this epoch
		{DeviceBanned, func(f *Fact) { f.Standing = Banned | Jailed }},
		{NotPermitted, func(f *Fact) { f.Standing = Refused }},
		{DeviceJailed, func(f *Fact) { f.Standing = Jailed }},
		{FailedProof, func(f *Fact) { f.Failed = 1 }},
		{ProvenFault, func(f *Fact) { f.Standing = Faulted }},
		{MissedChallenge, func(f *Fact) { f.Passed = 0 }},
		{TooNew, func(f *Fact) { f.Standing = New }},
		{NothingProved, func(f *Fact) { f.Proved = 0 }},
		{NotLeased, func(f *Fact) { f.Leased = 0 }},
		{TooSmall, func(f *Fact) { f.Proved = PointBytes - 1 }},
	} {
		f := good()
		tc.change(&f)
		points, reason := RulesV1.Score(f)
		if reason != tc.want || (points > 0) != (reason == Paid) {
			t.Errorf("%+v: %d points, %s; want %s", f, points, reason, tc.want)
		}
		if reason.Text() == "" || reason.String() == "" {
			t.Errorf("%d says nothing", reason)
		}
	}
	f := good()
	f.Burned, f.Bond = price.Amount{}, price.Amount{}
	if got := RulesV1.Next(Account{Device: 1}, &f, 1, 1<<14, plain()); got.Reason != NoStake || got.Points == 0 || !got.Earned.IsZero() {
		t.Errorf("without stake: %+v", got)
	}
	f = good()
	if got := RulesV1.Next(Account{Device: 1}, &f, 1, 1<<14, Pools{}); got.Reason != PoolEmpty {
		t.Errorf("of empty pools: %+v", got)
	}
	if got := RulesV1.Next(Account{Device: 1}, nil, 1, 0, plain()); got.Reason != NoFact {
		t.Errorf("without a fact: %+v", got)
	}
	if _, reason := Rules(2).Score(good()); reason != NoFact || Rules(2).Known() {
		t.Errorf("unknown rules say %s", reason)
	}
	if Reason(999).Text() == "" || Reason(999).Valid() {
		t.Error("an unknown reason")
	}
}

// TestPointsAreMinOfProvedAndLeased is INV-TREE's share in the rules.
func TestPointsAreMinOfProvedAndLeased(t *testing.T) {
	for _, tc := range []struct {
		proved, leased uint64
		tier, need     uint32
		want           uint64
	}{
		{1 << 20, 1 << 30, 0, 1000, 16},
		{1 << 30, 1 << 20, 0, 1000, 16},
		{1 << 20, 1 << 20, 1, 3000, 17},  // need counts from tier 2
		{1 << 20, 1 << 20, 2, 3000, 62},  // 16 * 1.3 * 3
		{1 << 20, 1 << 20, 3, 3000, 72},  // 16 * 1.5 * 3
		{1 << 20, 1 << 20, 99, 9000, 72}, // beyond all bounds
		{^uint64(0), ^uint64(0), 3, 3000, MaxPoints},
	} {
		f := good()
		f.Proved, f.Leased, f.Tier, f.Need = tc.proved, tc.leased, tc.tier, tc.need
		if got, _ := RulesV1.Score(f); got != tc.want {
			t.Errorf("proved %d, leased %d, tier %d, need %d: %d points, want %d", tc.proved, tc.leased, tc.tier, tc.need, got, tc.want)
		}
	}
}

// TestHeldWaitsOneToTwoPeriods follows an amount through the buckets.
func TestHeldWaitsOneToTwoPeriods(t *testing.T) {
	pools := plain()
	pools.Terms.Hold = [4]uint32{500, 500, 500, 500}
	pools.Terms.ReleaseEpochs = 10
	f := good()
	points, _ := RulesV1.Score(f)
	a := RulesV1.Next(Account{Device: 1}, &f, 10, points, pools)
	if a.Earned != price.FromUint64(10_900) || a.Paid != price.FromUint64(5_900) || a.Young != price.FromUint64(5_000) {
		t.Fatalf("first epoch: %+v", a)
	}
	for epoch := uint64(11); epoch < 20; epoch++ {
		a = RulesV1.Next(a, nil, epoch, 0, pools)
	}
	if a.Young != price.FromUint64(5_000) || !a.Old.IsZero() {
		t.Fatalf("within the period: %+v", a)
	}
	a = RulesV1.Next(a, nil, 20, 0, pools)
	if !a.Young.IsZero() || a.Old != price.FromUint64(5_000) || a.Paid != price.FromUint64(5_900) {
		t.Fatalf("after a period: %+v", a)
	}
	missed := good()
	missed.Passed = 0
	b := RulesV1.Next(a, &missed, 21, points, pools)
	if b.Old != price.FromUint64(4_500) || b.Forfeited() != price.FromUint64(500) || b.Reason != MissedChallenge {
		t.Fatalf("after a miss: %+v", b)
	}
	failed := good()
	failed.Failed = 1
	if c := RulesV1.Next(a, &failed, 30, points, pools); !c.Held().IsZero() || c.Forfeited() != price.FromUint64(5_000) || c.Paid != a.Paid {
		t.Fatalf("after a fault at the very end: %+v", c)
	}
	if d := RulesV1.Next(a, nil, 30, 0, pools); d.Paid != price.FromUint64(10_900) || !d.Held().IsZero() {
		t.Fatalf("after two periods: %+v", d)
	}
	if d := RulesV1.Next(Account{Device: 1, Epoch: 3, Earned: price.FromUint64(9), Young: price.FromUint64(4), Old: price.FromUint64(5)}, nil, 999, 0, pools); d.Paid != price.FromUint64(9) {
		t.Fatalf("after a long time without reports: %+v", d)
	}
}

// TestNeedIsHeldBackAndPaidFromTierTwo: the part of bootstrap that need adds, and boosts.
func TestNeedIsHeldBackAndPaidFromTierTwo(t *testing.T) {
	pools := plain()
	pools.Usage, pools.TotalBurned = price.Amount{}, price.Amount{}
	pools.Terms.NeedHold = 500
	pools.Boost = price.FromUint64(100)
	f := good()
	f.Need, f.Tier, f.Boost = MaxNeed, 2, price.FromUint64(100)
	points, _ := RulesV1.Score(f)
	paid, held := RulesV1.Pay(f, points, points, pools)
	// 10,000 of bootstrap, 3,333 of it at need 1; the other 6,667 and 100 of boost are held by half.
	if held != price.FromUint64(3_383) || paid != price.FromUint64(10_100-3_383) {
		t.Errorf("paid %s, held %s", paid, held)
	}
	f.Tier, f.Boost = 1, price.Amount{}
	if paid, held := RulesV1.Pay(f, points, points, pools); paid != price.FromUint64(10_000) || !held.IsZero() {
		t.Errorf("at tier 1: paid %s, held %s", paid, held)
	}
}

// TestFactEncoding: one encoding for each fact, and nothing else decodes.
func TestFactEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFact(t, rapid.Uint64().Draw(t, "device"))
		b, err := f.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var back Fact
		if err := back.UnmarshalBinary(b); err != nil || back != f {
			t.Fatalf("%+v came back as %+v, %v", f, back, err)
		}
	})
	for _, change := range []func(*Fact){
		func(f *Fact) { f.Service = 0 }, func(f *Fact) { f.Service = 5 }, func(f *Fact) { f.Tier = 4 }, func(f *Fact) { f.Need = 999 },
		func(f *Fact) { f.Need = 3001 }, func(f *Fact) { f.Cell = 1 }, func(f *Fact) { f.Standing = 1 << 6 },
	} {
		f := good()
		change(&f)
		if _, err := f.MarshalBinary(); err == nil {
			t.Errorf("%+v has an encoding", f)
		}
	}
}

func FuzzFact(f *testing.F) {
	b, _ := good().MarshalBinary()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var fact Fact
		if fact.UnmarshalBinary(b) != nil {
			return
		}
		again, err := fact.MarshalBinary()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is a fact and encodes as %x, %v", b, again, err)
		}
	})
}

func FuzzAccount(f *testing.F) {
	b, _ := Account{Device: 1, Earned: price.FromUint64(9), Paid: price.FromUint64(4), Young: price.FromUint64(5)}.MarshalBinary()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var a Account
		if a.UnmarshalBinary(b) != nil {
			return
		}
		again, err := a.MarshalBinary()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is an account and encodes as %x, %v", b, again, err)
		}
		if !RulesV1.Next(a, nil, a.Epoch, 0, plain()).Check() {
			t.Fatalf("what follows %+v does not add up", a)
		}
	})
}

func TestServices(t *testing.T) {
	for _, s := range Services {
		if got, err := ParseService(s.String()); err != nil || got != s || !s.Valid() {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	if _, err := ParseService("water"); err == nil || Service(0).Valid() || Service(9).String() != "service 9" {
		t.Error("water is a service")
	}
}

func BenchmarkNext(b *testing.B) {
	f, pools := good(), plain()
	a := Account{Device: 1}
	for b.Loop() {
		RulesV1.Next(a, &f, 2, 1<<20, pools)
	}
}
