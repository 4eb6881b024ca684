package price

import (
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// INV-PRICE-2: any way to cut the time gives the exact total, rounded down once.
func TestAccrueLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rate{drawAmount(t, "amount"), max(1, drawWord(t, "per"))}
		exact, paid := new(big.Int), new(big.Int)
		var carry uint64
		for range rapid.IntRange(1, 20).Draw(t, "parts") {
			units, seconds := drawWord(t, "units"), drawWord(t, "seconds")
			cost, rest, err := r.Accrue(units, seconds, carry)
			if err != nil {
				if !errors.Is(err, ErrRange) {
					t.Fatal(err)
				}
				continue
			}
			carry = rest
			part := new(big.Int).SetUint64(units)
			part.Mul(part, new(big.Int).SetUint64(seconds))
			exact.Add(exact, part.Mul(part, r.Amount.Big()))
			paid.Add(paid, cost.Big())
		}
		per := new(big.Int).SetUint64(r.Per)
		want, rest := new(big.Int).DivMod(exact, per, new(big.Int))
		if r.Amount.IsZero() {
			want, rest = new(big.Int), new(big.Int)
		}
		if paid.Cmp(want) != 0 || new(big.Int).SetUint64(carry).Cmp(rest) != 0 {
			t.Fatalf("paid %s carrying %d, want %s carrying %s", paid, carry, want, rest)
		}
	})
}

func TestAccrueRefusesACarryOfAWholeUnit(t *testing.T) {
	if _, _, err := (Rate{FromUint64(1), 3}).Accrue(1, 1, 3); !errors.Is(err, ErrRange) {
		t.Fatalf("carry 3/3: %v", err)
	}
}

func TestCmpMatchesFractions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rate{drawAmount(t, "a"), max(1, drawWord(t, "per a"))}
		s := Rate{drawAmount(t, "b"), max(1, drawWord(t, "per b"))}
		if rapid.Bool().Draw(t, "scaled") { // equal prices, spelled differently
			r = Rate{FromUint64(drawWord(t, "n") >> 32), max(1, r.Per>>32)}
			k := max(1, drawWord(t, "k")>>32)
			hi, _ := r.Amount.MulDiv(k, 1)
			s = Rate{hi, r.Per * k}
		}
		a := new(big.Rat).SetFrac(r.Amount.Big(), new(big.Int).SetUint64(r.Per))
		b := new(big.Rat).SetFrac(s.Amount.Big(), new(big.Int).SetUint64(s.Per))
		if r.Cmp(s) != a.Cmp(b) {
			t.Fatalf("Cmp(%v, %v) = %d", r, s, r.Cmp(s))
		}
	})
}
