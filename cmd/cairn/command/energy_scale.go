package command

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"slices"
	"strings"

	"github.com/cairn-network/cairn/core/exactjson"
	"github.com/cairn-network/cairn/core/grid"
)

// decimal is the exact number value / 10^decimals.
type decimal struct {
	value    *big.Int
	decimals int
}

// MarshalJSON writes a number, not text.
func (d decimal) MarshalJSON() ([]byte, error) { return []byte(d.String()), nil }

// String writes d without needless zeros.
func (d decimal) String() string {
	digits := new(big.Int).Abs(d.value).String()
	if len(digits) <= d.decimals {
		digits = strings.Repeat("0", d.decimals+1-len(digits)) + digits
	}
	whole, part := digits[:len(digits)-d.decimals], strings.TrimRight(digits[len(digits)-d.decimals:], "0")
	if part != "" {
		whole += "." + part
	}
	if d.value.Sign() < 0 {
		return "-" + whole
	}
	return whole
}

// times returns d times an energy, as money: prices are for a kilowatt-hour.
func (d decimal) times(q grid.WattHours) decimal {
	return decimal{new(big.Int).Mul(d.value, big.NewInt(int64(q))), d.decimals + 3}
}

// plus and minus are for two numbers of the same decimals.
func (d decimal) plus(e decimal) decimal {
	return decimal{new(big.Int).Add(d.value, e.value), d.decimals}
}

func (d decimal) minus(e decimal) decimal {
	return decimal{new(big.Int).Sub(d.value, e.value), d.decimals}
}

// scale places prices on ticks.
type scale interface {
	// tick is where a price lies, rounded down or up if it lies on none.
	tick(p exactjson.Decimal, up rounding) grid.Tick
}

type rounding bool

const (
	roundDown rounding = false
	roundUp   rounding = true
)

// ranks is the scale of a market without a grid, where only the order of prices matters: tick t is the
// t-th smallest price.
type ranks []exactjson.Decimal

func newRanks(prices []exactjson.Decimal) (ranks, error) {
	sorted := slices.Clone(prices)
	slices.SortFunc(sorted, compareDecimals)
	sorted = slices.CompactFunc(sorted, func(a, b exactjson.Decimal) bool { return compareDecimals(a, b) == 0 })
	if len(sorted) > grid.MaxTicks {
		return nil, fmt.Errorf("%d different prices, at most %d", len(sorted), grid.MaxTicks)
	}
	if len(sorted) == 0 {
		sorted = ranks{{}}
	}
	return sorted, nil
}

func (r ranks) tick(p exactjson.Decimal, _ rounding) grid.Tick {
	at, _ := slices.BinarySearchFunc(r, p, compareDecimals)
	return grid.Tick(at)
}

func (r ranks) price(t grid.Tick) decimal {
	return decimal{rescale(r[t], exactjson.MaxScale+1, roundDown), exactjson.MaxScale + 1}
}

func (r ranks) ticks() grid.Tick { return grid.Tick(len(r)) }

// middle is the exact middle of two prices.
func (r ranks) middle(a, b grid.Tick) decimal {
	sum := new(big.Int).Add(r.price(a).value, r.price(b).value) // even: a digit more than any price has
	return decimal{sum.Rsh(sum, 1), exactjson.MaxScale + 1}
}

// even is the scale of a market on a grid, where fees are differences of prices: tick t is
// base + t*step, in 10^-decimals.
type even struct {
	base, step int64
	decimals   int
	count      grid.Tick
	// rounded says that not every price lies on a tick.
	rounded bool
}

// maxBits of what is multiplied by ten within 64.
const maxBits = 58

// errScale is what a book gets whose prices no scale holds.
var errScale = errors.New("prices cannot be placed on a scale")

// newEven returns the coarsest scale with a tick at every price and fee, and one in the middle of any
// two; where that are too many ticks, one whose prices are rounded to as many decimals as it can hold.
// With losses it starts at zero: a part is lost of a price, not of a difference.
func newEven(prices, fees []exactjson.Decimal, losses bool) (even, error) {
	least, most, finest := exactjson.Decimal{}, exactjson.Decimal{}, uint8(0)
	for i, p := range prices {
		if i == 0 || compareDecimals(p, least) < 0 {
			least = p
		}
		if i == 0 || compareDecimals(p, most) > 0 {
			most = p
		}
	}
	if losses {
		if least.Mantissa < 0 {
			return even{}, fmt.Errorf("%w: price %s on a grid with losses, which carries nothing below zero", errScale, least)
		}
		least = exactjson.Decimal{}
	}
	for _, d := range slices.Concat(prices, fees) {
		finest = max(finest, d.Scale)
	}
	for decimals := int(finest); decimals >= 0; decimals-- {
		base, top := rescale(least, decimals, roundDown), rescale(most, decimals, roundUp)
		span := new(big.Int).Sub(top, base)
		if max(span.BitLen(), base.BitLen(), top.BitLen()) > maxBits {
			continue
		}
		step := int64(1)
		if decimals == int(finest) {
			step = max(commonStep(base.Int64(), decimals, prices, fees), 1)
		}
		s := even{base: 10 * base.Int64(), step: 5 * step, decimals: decimals + 1, rounded: decimals < int(finest)}
		n := 10 * span.Int64() / s.step
		if n >= grid.MaxTicks {
			s.step, n = 2*s.step, n/2
		}
		if n < grid.MaxTicks {
			s.count = grid.Tick(n) + 1
			return s, nil
		}
	}
	return even{}, fmt.Errorf("%w: from %s to %s are more than %d whole numbers", errScale, least, most, grid.MaxTicks)
}

// commonStep is the greatest common divisor of all differences of prices and of all fees, which may lie
// beyond maxBits; 1 then.
func commonStep(base int64, decimals int, prices, fees []exactjson.Decimal) int64 {
	var step int64
	for _, p := range prices {
		step = gcd(step, rescale(p, decimals, roundDown).Int64()-base)
	}
	for _, f := range fees {
		fee := rescale(f, decimals, roundUp)
		if fee.BitLen() > maxBits {
			return 1
		}
		step = gcd(step, fee.Int64())
	}
	return step
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return max(a, -a)
}

func (s even) tick(p exactjson.Decimal, up rounding) grid.Tick {
	at := rescale(p, s.decimals, up)
	t := at.Sub(at, big.NewInt(s.base)).Int64()
	if up {
		t += s.step - 1
	}
	return grid.Tick(min(t/s.step, int64(s.count)-1))
}

// width is how many ticks a fee is, rounded up so that no edge is out of pocket. A fee of more ticks
// than there are is dearer than any trade gains.
func (s even) width(fee exactjson.Decimal) grid.Tick {
	w := rescale(fee, s.decimals, roundUp)
	w.Add(w, big.NewInt(s.step-1)).Div(w, big.NewInt(s.step))
	if most := min(s.count, grid.MaxTicks-1); w.Cmp(big.NewInt(int64(most))) > 0 {
		return most
	}
	return grid.Tick(w.Int64())
}

// unit is the worth of one tick.
func (s even) unit() decimal { return decimal{big.NewInt(s.step), s.decimals} }

func (s even) price(t grid.Tick) decimal {
	return decimal{big.NewInt(s.base + int64(t)*s.step), s.decimals}
}

func (s even) ticks() grid.Tick { return s.count }

// rescale returns d in 10^-decimals, rounded where that is coarser than d.
func rescale(d exactjson.Decimal, decimals int, up rounding) *big.Int {
	v := big.NewInt(d.Mantissa)
	if by := decimals - int(d.Scale); by >= 0 {
		return v.Mul(v, powerOfTen(by))
	}
	rest := new(big.Int)
	v.DivMod(v, powerOfTen(int(d.Scale)-decimals), rest) // Euclidean: down
	if up && rest.Sign() > 0 {
		v.Add(v, big.NewInt(1))
	}
	return v
}

func powerOfTen(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// compareDecimals compares exactly.
func compareDecimals(a, b exactjson.Decimal) int {
	if a.Scale == b.Scale || (a.Mantissa < 0) != (b.Mantissa < 0) {
		return cmp.Compare(a.Mantissa, b.Mantissa)
	}
	if a.Mantissa < 0 {
		return compareDecimals(exactjson.Decimal{Mantissa: -b.Mantissa, Scale: b.Scale}, exactjson.Decimal{Mantissa: -a.Mantissa, Scale: a.Scale})
	}
	scale := max(a.Scale, b.Scale)
	ah, al := bits.Mul64(uint64(a.Mantissa), tenTo(scale-a.Scale))
	bh, bl := bits.Mul64(uint64(b.Mantissa), tenTo(scale-b.Scale))
	return cmp.Or(cmp.Compare(ah, bh), cmp.Compare(al, bl))
}

func tenTo(n uint8) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}
