package emission

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/price"
)

func amount(t *rapid.T, name string) price.Amount {
	words := rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, 1, 2, 1 << 63, ^uint64(0)}))
	return price.Amount{Hi: words.Draw(t, name+".hi"), Lo: words.Draw(t, name+".lo")}
}

// TestScheduleSumsToItsTotal is INV-EMISSION-1: over epochs of any lengths, to exhaustion.
func TestScheduleSumsToItsTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Schedule{Total: amount(t, "total"), HalvingSeconds: rapid.Uint64Range(1, 1<<40).Draw(t, "halving")}
		var clock uint64
		sum := new(big.Int)
		end := s.HalvingSeconds * periods
		for clock < end {
			step := rapid.Uint64Range(1, s.HalvingSeconds*3).Draw(t, "epoch")
			next := min(clock+step, end)
			issued := s.Between(clock, next)
			sum.Add(sum, issued.Big())
			clock = next
			if sum.Cmp(s.Issued(clock).Big()) != 0 {
				t.Fatalf("epochs until %d issued %s, the schedule %s", clock, sum, s.Issued(clock))
			}
			if sum.Cmp(s.Total.Big()) > 0 {
				t.Fatalf("issued %s of %s", sum, s.Total)
			}
		}
		if s.Issued(clock) != s.Total || s.Issued(^uint64(0)) != s.Total {
			t.Fatalf("issued %s of %s at the end", s.Issued(clock), s.Total)
		}
	})
}

// TestHalving: half of the total in the first period, half of the rest in the next.
func TestHalving(t *testing.T) {
	s := Schedule{Total: price.FromUint64(1_000_000), HalvingSeconds: 100}
	for _, tc := range []struct{ at, want uint64 }{
		{0, 0}, {1, 5_000}, {50, 250_000}, {100, 500_000}, {150, 625_000}, {200, 750_000}, {300, 875_000}, {1 << 60, 1_000_000},
	} {
		if got := s.Issued(tc.at); got != price.FromUint64(tc.want) {
			t.Errorf("issued %s after %d seconds, want %d", got, tc.at, tc.want)
		}
	}
}

// TestEachPeriodIssuesLess: per second, no later time issues more than an earlier one.
func TestEachPeriodIssuesLess(t *testing.T) {
	s := Schedule{Total: price.Amount{Hi: 1 << 20, Lo: 12345}, HalvingSeconds: 1000}
	last := s.Between(0, 1000)
	for p := uint64(1); p < periods; p++ {
		now := s.Between(p*1000, (p+1)*1000)
		if now.Cmp(last) > 0 {
			t.Fatalf("period %d issues %s, the one before %s", p, now, last)
		}
		last = now
	}
}

// TestSplitNeverGivesMore is INV-EMISSION-2.
func TestSplitNeverGivesMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := amount(t, "amount")
		weights := rapid.SliceOfN(rapid.Uint32Range(0, 600), 0, 5).Draw(t, "weights")
		sum := new(big.Int)
		for _, share := range Split(a, weights) {
			sum.Add(sum, share.Big())
		}
		if sum.Cmp(a.Big()) > 0 {
			t.Fatalf("split %s into %s by %v", a, sum, weights)
		}
	})
}

// TestAveragesNeverExceedWhatWasBurned is INV-EMISSION-3.
func TestAveragesNeverExceedWhatWasBurned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		epochs := rapid.Uint32Range(0, 1000).Draw(t, "epochs")
		var average price.Amount
		averages, burned := new(big.Int), new(big.Int)
		for range rapid.IntRange(1, 60).Draw(t, "length") {
			b := amount(t, "burned")
			average = Smooth(average, b, epochs)
			averages.Add(averages, average.Big())
			burned.Add(burned, b.Big())
			if averages.Cmp(burned) > 0 {
				t.Fatalf("averages sum to %s, burned %s", averages, burned)
			}
		}
	})
}

// TestSmoothFollowsWhatIsBurned: a steady amount is reached, up to rounding.
func TestSmoothFollowsWhatIsBurned(t *testing.T) {
	var average price.Amount
	for range 200 {
		average = Smooth(average, price.FromUint64(7_000_000), 7)
	}
	if got := average.Lo; got < 6_999_980 || got > 7_000_000 {
		t.Errorf("average %d after 200 epochs of 7000000", got)
	}
}
