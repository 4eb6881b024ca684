package auction

import (
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/price"
)

func rate(amount, per uint64) price.Rate {
	return price.Rate{Amount: price.FromUint64(amount), Per: per}
}

func TestCompareCriteriaInOrder(t *testing.T) {
	base := Bid{Device: 5, Stream: rate(10, 3), Metered: rate(7, 1), Completed: 2, Abandoned: 1}
	with := func(change func(*Bid)) Bid {
		b := base
		change(&b)
		return b
	}
	for name, better := range map[string]Bid{
		"stream price before all else":                with(func(b *Bid) { b.Stream = rate(33, 10); b.Metered = rate(9, 1); b.Abandoned = 9; b.Device = 9 }),
		"then metered price":                          with(func(b *Bid) { b.Metered = rate(6, 1); b.Abandoned = 9; b.Device = 9 }),
		"then record":                                 with(func(b *Bid) { b.Completed = 3; b.Device = 9 }),
		"then the older device":                       with(func(b *Bid) { b.Device = 4 }),
		"equal price spelled otherwise, older device": with(func(b *Bid) { b.Stream = rate(20, 6); b.Device = 4 }),
	} {
		if Compare(better, base) != -1 || Compare(base, better) != 1 {
			t.Errorf("%s: %+v against %+v", name, better, base)
		}
	}
}

func TestNewcomerStandsBetweenKeepersAndBreakers(t *testing.T) {
	keeper, newcomer, breaker := Bid{Device: 3, Completed: 1}, Bid{Device: 2}, Bid{Device: 1, Abandoned: 1}
	bids := []Bid{breaker, newcomer, keeper}
	Rank(bids)
	if !slices.Equal(bids, []Bid{keeper, newcomer, breaker}) {
		t.Fatalf("ranked %+v", bids)
	}
}

// INV-AUCTION-1.
func TestRankDoesNotDependOnArrival(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		small := rapid.Uint64Range(0, 3)
		bids := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Bid {
			return Bid{
				Device:    rapid.Uint64Range(1, 99).Draw(t, "device"),
				Stream:    rate(small.Draw(t, "stream"), 1+small.Draw(t, "per")),
				Metered:   rate(small.Draw(t, "metered"), 1),
				Completed: small.Draw(t, "completed"),
				Abandoned: small.Draw(t, "abandoned"),
			}
		}), 0, 12, func(b Bid) uint64 { return b.Device }).Draw(t, "bids")
		other := rapid.Permutation(bids).Draw(t, "arrival")
		one := slices.Clone(bids)
		Rank(one)
		Rank(other)
		if !slices.Equal(one, other) {
			t.Fatalf("%+v\n%+v", one, other)
		}
	})
}

func TestRecordMatchesFractions(t *testing.T) {
	record := func(b Bid) *big.Rat {
		c, d := new(big.Int).SetUint64(b.Completed), new(big.Int).SetUint64(b.Abandoned)
		c.Add(c, big.NewInt(1))
		return new(big.Rat).SetFrac(c, d.Add(d.Add(d, big.NewInt(1)), c))
	}
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.Uint64Max(1<<64 - 2)
		a := Bid{Completed: word.Draw(t, "ca"), Abandoned: word.Draw(t, "da")}
		b := Bid{Completed: word.Draw(t, "cb"), Abandoned: word.Draw(t, "db")}
		if compareRecord(a, b) != record(a).Cmp(record(b)) {
			t.Fatalf("%+v against %+v", a, b)
		}
	})
}
