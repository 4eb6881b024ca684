package price

import (
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func drawAmount(t *rapid.T, label string) Amount {
	// Shifting makes small values and values next to word boundaries as likely as large ones.
	a := Amount{drawWord(t, label+".hi"), drawWord(t, label+".lo")}
	shift := rapid.IntRange(0, 128).Draw(t, label+".shift")
	b := new(big.Int).Rsh(a.Big(), uint(shift))
	a, err := FromBig(b)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func drawWord(t *rapid.T, label string) uint64 {
	if rapid.Bool().Draw(t, label+".edge") {
		return rapid.SampledFrom([]uint64{0, 1, 2, 1 << 32, 1 << 63, 1<<64 - 1}).Draw(t, label)
	}
	return rapid.Uint64().Draw(t, label) >> rapid.IntRange(0, 64).Draw(t, label+".shift")
}

// INV-PRICE-1: every operation agrees with unbounded integers.
func TestArithmeticMatchesBigIntegers(t *testing.T) {
	limit := new(big.Int).Lsh(big.NewInt(1), 128)
	fits := func(b *big.Int) bool { return b.Sign() >= 0 && b.Cmp(limit) < 0 }
	check := func(t *rapid.T, what string, got Amount, outside bool, want *big.Int) {
		if outside == fits(want) {
			t.Fatalf("%s: out of range is %v, want value %s", what, outside, want)
		}
		if !outside && got.Big().Cmp(want) != 0 {
			t.Fatalf("%s = %s, want %s", what, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawAmount(t, "a"), drawAmount(t, "b")
		n, d := drawWord(t, "n"), drawWord(t, "d")
		sum, over := a.Add(b)
		check(t, "a+b", sum, over, new(big.Int).Add(a.Big(), b.Big()))
		diff, under := a.Sub(b)
		check(t, "a-b", diff, under, new(big.Int).Sub(a.Big(), b.Big()))
		if a.Cmp(b) != a.Big().Cmp(b.Big()) {
			t.Fatalf("Cmp(%s, %s) = %d", a, b, a.Cmp(b))
		}
		if d == 0 {
			if _, over := a.MulDiv(n, d); !over {
				t.Fatal("division by zero has an answer")
			}
			return
		}
		num, den := new(big.Int).SetUint64(n), new(big.Int).SetUint64(d)
		q, over := a.MulDiv(n, d)
		check(t, "a*n/d", q, over, new(big.Int).Div(new(big.Int).Mul(a.Big(), num), den))
		c, err := Rate{a, d}.StreamCost(n, b.Lo)
		if err != nil && !errors.Is(err, ErrRange) {
			t.Fatal(err)
		}
		held := new(big.Int).Mul(num, new(big.Int).SetUint64(b.Lo))
		check(t, "n*b*a/d", c, err != nil, held.Div(held.Mul(held, a.Big()), den))
	})
}

// Products beyond 192 bits whose middle words look harmless.
func TestCostsBeyondTheRangeAreRefused(t *testing.T) {
	const most = 1<<64 - 1
	for _, c := range []struct {
		rate           Rate
		units, seconds uint64
	}{
		{Rate{Amount{Hi: 1 << 63}, most}, 1 << 63, 1 << 63},
		{Rate{Amount{most, most}, most}, 4504149450301441, 8191}, // units * seconds = 2^65-1
		{Rate{Amount{1, 0}, 1}, most, 2},
	} {
		if got, err := c.rate.StreamCost(c.units, c.seconds); !errors.Is(err, ErrRange) {
			t.Errorf("%d units for %d s at %+v cost %s, %v", c.units, c.seconds, c.rate, got, err)
		}
	}
	if _, err := (Rate{Amount: FromUint64(1)}).Cost(1); !errors.Is(err, ErrRate) {
		t.Errorf("a rate for every 0 units: %v", err)
	}
	if got, err := (Rate{}).StreamCost(most, most); err != nil || !got.IsZero() {
		t.Errorf("what is free costs %s, %v", got, err)
	}
}

func TestTextRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAmount(t, "a")
		if a.String() != a.Big().String() {
			t.Fatalf("String() = %s, want %s", a, a.Big())
		}
		for _, read := range []struct {
			text  string
			parse func(string) (Amount, error)
		}{{a.String(), ParseDecimal}, {a.Format(), Parse}, {a.String() + Denom, Parse}} {
			got, err := read.parse(read.text)
			if err != nil || got != a {
				t.Fatalf("%q reads as %v, %v; want %v", read.text, got, err, a)
			}
		}
	})
}

func TestParse(t *testing.T) {
	for s, want := range map[string]string{
		"1.5CAIRN": "1500000000000000000", "1.5 CAIRN": "1500000000000000000", "2cairn": "2000000000000000000",
		"0.000000000000000001CAIRN": "1", "123acairn": "123", "123 acairn": "123", "0CAIRN": "0", "007acairn": "7",
		"340282366920938463463374607431768211455acairn":  "340282366920938463463374607431768211455",
		"340282366920938463463.374607431768211455 CAIRN": "340282366920938463463374607431768211455",
	} {
		if got, err := Parse(s); err != nil || got.String() != want {
			t.Errorf("Parse(%q) = %v, %v; want %s", s, got, err, want)
		}
	}
	for s, want := range map[string]error{
		"": ErrSyntax, "1": ErrSyntax, "CAIRN": ErrSyntax, ".5CAIRN": ErrSyntax, "1.CAIRN": ErrSyntax, "1.5acairn": ErrSyntax,
		"-1CAIRN": ErrSyntax, "+1CAIRN": ErrSyntax, "1e3CAIRN": ErrSyntax, "1,5CAIRN": ErrSyntax, "1.2.3CAIRN": ErrSyntax,
		"1  CAIRN": ErrSyntax, " 1CAIRN": ErrSyntax, "1CAIRN ": ErrSyntax, "1ucairn": ErrSyntax, "0.0000000000000000001CAIRN": ErrSyntax,
		"340282366920938463463374607431768211456acairn": ErrRange, "999999999999999999999CAIRN": ErrRange,
	} {
		if got, err := Parse(s); !errors.Is(err, want) {
			t.Errorf("Parse(%q) = %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "01", "-1", "1.0", "0x1"} {
		if _, err := ParseDecimal(s); !errors.Is(err, ErrSyntax) {
			t.Errorf("ParseDecimal(%q): %v", s, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1.5CAIRN", "123acairn", "0.000000000000000001 CAIRN", ".CAIRN", "1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := ParseDecimal(s); err == nil && a.String() != s {
			t.Fatalf("%q reads as %s", s, a)
		}
		a, err := Parse(s)
		if err != nil {
			return
		}
		if b, err := Parse(a.Format()); err != nil || a != b {
			t.Fatalf("%q reads as %s, and that as %v, %v", s, a.Format(), b, err)
		}
	})
}
