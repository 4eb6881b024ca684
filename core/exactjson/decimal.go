package exactjson

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// MaxScale is the most decimals a Decimal has.
const MaxScale = 18

// ErrDecimal is wrapped by errors about text that is no decimal number within the bounds.
var ErrDecimal = errors.New("invalid decimal number")

// Decimal is the number Mantissa / 10^Scale, exactly. Scale is at most MaxScale, and is kept as
// written: a meter's 1.50 says more than 1.5.
type Decimal struct {
	Mantissa int64
	Scale    uint8
}

// ParseDecimal reads digits with an optional sign, point and exponent, as JSON writes numbers, with
// any number of leading zeros. ErrDecimal for anything else, and for what a Decimal cannot hold.
func ParseDecimal(s string) (Decimal, error) {
	bad := func(why string) (Decimal, error) {
		return Decimal{}, fmt.Errorf("%w: %.40q %s", ErrDecimal, s, why)
	}
	number, exponent, err := cutExponent(s)
	if err != nil {
		return bad("has no exponent of at most two digits")
	}
	digits := strings.TrimPrefix(number, "-")
	var mantissa uint64
	scale, point, seen := 0, false, false
	for i := 0; i < len(digits); i++ {
		c := digits[i]
		if c == '.' && !point && seen && i+1 < len(digits) {
			point = true
			continue
		}
		if c < '0' || c > '9' {
			return bad("is not digits with at most one point")
		}
		seen = true
		hi, lo := bits.Mul64(mantissa, 10)
		sum, carry := bits.Add64(lo, uint64(c-'0'), 0)
		if hi|carry != 0 || sum > 1<<63-1 {
			return bad("has too many digits")
		}
		mantissa = sum
		if point {
			scale++
		}
	}
	if !seen {
		return bad("has no digits")
	}
	for scale -= exponent; scale < 0; scale++ {
		if mantissa > (1<<63-1)/10 {
			return bad("is too large")
		}
		mantissa *= 10
	}
	if scale > MaxScale {
		return bad("has more than 18 decimals")
	}
	d := Decimal{int64(mantissa), uint8(scale)} //nolint:gosec // both bounded above
	if len(digits) != len(number) {
		d.Mantissa = -d.Mantissa
	}
	return d, nil
}

// cutExponent splits s at its exponent, of at most two digits; 0 if there is none.
func cutExponent(s string) (number string, exponent int, err error) {
	i := strings.IndexAny(s, "eE")
	if i < 0 {
		return s, 0, nil
	}
	number, rest := s[:i], s[i+1:]
	digits := strings.TrimLeft(rest, "+-")
	if len(rest)-len(digits) > 1 || len(digits) == 0 || len(digits) > 2 {
		return "", 0, ErrDecimal
	}
	for j := 0; j < len(digits); j++ {
		if digits[j] < '0' || digits[j] > '9' {
			return "", 0, ErrDecimal
		}
		exponent = 10*exponent + int(digits[j]-'0')
	}
	if rest[0] == '-' {
		exponent = -exponent
	}
	return number, exponent, nil
}

// Scaled returns d times 10^places as an integer; false where it is none or does not fit.
func (d Decimal) Scaled(places uint8) (int64, bool) {
	m := d.Mantissa
	for scale := d.Scale; scale > places; scale-- {
		if m%10 != 0 {
			return 0, false
		}
		m /= 10
	}
	for scale := d.Scale; scale < places; scale++ {
		if m > (1<<63-1)/10 || m < -(1<<63-1)/10 {
			return 0, false
		}
		m *= 10
	}
	return m, true
}

// String returns d with as many decimals as it has.
func (d Decimal) String() string {
	sign, m := "", uint64(d.Mantissa) //nolint:gosec // two's complement, undone below
	if d.Mantissa < 0 {
		sign, m = "-", -m
	}
	digits := fmt.Sprintf("%0*d", int(d.Scale)+1, m)
	if d.Scale == 0 {
		return sign + digits
	}
	point := len(digits) - int(d.Scale)
	return sign + digits[:point] + "." + digits[point:]
}
