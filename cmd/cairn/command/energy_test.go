package command

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/core/exactjson"
	"github.com/cairn-network/cairn/core/grid"
)

func drawDecimal(t *rapid.T, label string, most int64, finest uint8) exactjson.Decimal {
	return exactjson.Decimal{Mantissa: rapid.Int64Range(-most, most).Draw(t, label), Scale: rapid.Uint8Range(0, finest).Draw(t, label+" scale")}
}

func rational(d exactjson.Decimal) *big.Rat {
	return new(big.Rat).SetFrac(big.NewInt(d.Mantissa), powerOfTen(int(d.Scale)))
}

func (d decimal) rational() *big.Rat { return new(big.Rat).SetFrac(d.value, powerOfTen(d.decimals)) }

func TestDecimalsCompareExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawDecimal(t, "a", 1<<62, 18)
		b := drawDecimal(t, "b", 1<<62, 18)
		if rapid.Bool().Draw(t, "near") {
			b = exactjson.Decimal{Mantissa: a.Mantissa/10 + rapid.Int64Range(-1, 1).Draw(t, "by"), Scale: max(a.Scale, 1) - 1}
		}
		if got, want := compareDecimals(a, b), rational(a).Cmp(rational(b)); got != want {
			t.Fatalf("%s against %s: %d, want %d", a, b, got, want)
		}
	})
}

// A scale never moves a limit to its owner's disadvantage, and where it says that it is exact moves none.
func TestScaleHoldsPrices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		finest := rapid.Uint8Range(0, 18).Draw(t, "finest")
		most := rapid.SampledFrom([]int64{5, 1000, 1 << 40, 1 << 62}).Draw(t, "most")
		prices := make([]exactjson.Decimal, rapid.IntRange(0, 6).Draw(t, "prices"))
		for i := range prices {
			prices[i] = drawDecimal(t, "price", most, finest)
		}
		fee := drawDecimal(t, "fee", most, finest)
		fee.Mantissa = max(fee.Mantissa, -fee.Mantissa)
		s, err := newEven(prices, []exactjson.Decimal{fee}, false)
		if err != nil {
			t.Skip(err)
		}
		if s.count < 1 || s.count > grid.MaxTicks {
			t.Fatalf("%d ticks", s.count)
		}
		for _, p := range prices {
			exact := rational(p)
			down, up := s.tick(p, roundDown), s.tick(p, roundUp)
			if down < 0 || up >= s.count || up > down+1 || !s.rounded && up != down {
				t.Fatalf("%s lies at %d to %d of %d ticks", p, down, up, s.count)
			}
			if s.price(down).rational().Cmp(exact) > 0 || s.price(up).rational().Cmp(exact) < 0 {
				t.Fatalf("%s lies between %s and %s", p, s.price(down), s.price(up))
			}
		}
		unit := s.unit().rational()
		width := new(big.Rat).Mul(unit, new(big.Rat).SetInt64(int64(s.width(fee))))
		if s.width(fee) < min(s.count, grid.MaxTicks-1) {
			if short := new(big.Rat).Sub(rational(fee), width); short.Sign() > 0 || !s.rounded && short.Sign() != 0 {
				t.Fatalf("fee of %s is %s", fee, width)
			}
		}
	})
}

func TestDecimalsInWriting(t *testing.T) {
	for _, c := range []struct {
		value    int64
		decimals int
		want     string
	}{{0, 3, "0"}, {5, 0, "5"}, {5, 3, "0.005"}, {-1230, 3, "-1.23"}, {120, 1, "12"}, {-5, 1, "-0.5"}} {
		if got := (decimal{big.NewInt(c.value), c.decimals}).String(); got != c.want {
			t.Errorf("%d / 10^%d is %s, want %s", c.value, c.decimals, got, c.want)
		}
	}
}

func FuzzBook(f *testing.F) {
	f.Add("id,side,quantity_wh,price,node\na,buy,5,0.3,n\nb,sell,5,1e-1,n\n")
	f.Add("\ufeffid,side,quantity_wh,price\n\"a\nb\",ask,1,-2\n")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := readBook("book", strings.NewReader(text))
		if err != nil || len(b.orders) > 100 {
			return
		}
		w, err := b.clearFlat()
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := w.json(&out); err != nil {
			t.Fatal(err)
		}
	})
}
