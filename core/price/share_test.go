package price

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func anyAmount(t *rapid.T, name string) Amount {
	words := rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, 1, 1 << 63, 1<<63 - 1, ^uint64(0), ^uint64(0) - 1}))
	return Amount{Hi: words.Draw(t, name+".hi"), Lo: words.Draw(t, name+".lo")}
}

// TestShareIsExact compares with arbitrary precision.
func TestShareIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, part, whole := anyAmount(t, "a"), anyAmount(t, "part"), anyAmount(t, "whole")
		got := a.Share(part, whole)
		want := new(big.Int)
		switch {
		case whole.IsZero():
		case part.Cmp(whole) >= 0:
			want = a.Big()
		default:
			want.Mul(a.Big(), part.Big())
			want.Div(want, whole.Big())
		}
		if got.Big().Cmp(want) != 0 {
			t.Fatalf("%s of %s/%s is %s, want %s", a, part, whole, got, want)
		}
	})
}

func BenchmarkShare(b *testing.B) {
	a, part, whole := Amount{3, 5}, Amount{1, 9}, Amount{7, 1}
	for b.Loop() {
		a.Share(part, whole)
	}
}
