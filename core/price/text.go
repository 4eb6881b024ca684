package price

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// ErrSyntax is wrapped by errors about text that is not an amount.
var ErrSyntax = errors.New("not an amount")

const coin = 1_000_000_000_000_000_000 // base units in one CAIRN

// String returns the decimal count of base units, "1500000000000000000".
func (a Amount) String() string {
	var digits [39]byte // 2^128 has 39 digits
	i := len(digits)
	for {
		var r uint64
		a, r = a.divCoin()
		whole := a.IsZero()
		for n := 0; n < Decimals && !(whole && r == 0 && i < len(digits)); n++ {
			i--
			digits[i] = '0' + byte(r%10)
			r /= 10
			if i == 0 {
				break
			}
		}
		if whole {
			return string(digits[i:])
		}
	}
}

// divCoin returns a/10^18 and the remainder.
func (a Amount) divCoin() (Amount, uint64) {
	var q Amount
	var r uint64
	q.Hi, r = a.Hi/coin, a.Hi%coin
	q.Lo, r = bits.Div64(r, a.Lo, coin)
	return q, r
}

// Format returns a as people read it, exact and without trailing zeros: "1.5 CAIRN".
func (a Amount) Format() string {
	whole, fraction := a.divCoin()
	s := whole.String()
	if fraction != 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%018d", fraction), "0")
	}
	return s + " " + Display
}

// Parse reads an amount with its unit: "1.5CAIRN", "1.5 CAIRN", "1.5cairn" or "123acairn".
// Base units have no fraction, CAIRN at most 18 decimals. Errors name the text and wrap ErrSyntax
// or ErrRange.
func Parse(s string) (Amount, error) {
	bad := func(why string) (Amount, error) {
		return Amount{}, fmt.Errorf("%w: %q %s", ErrSyntax, abbreviate(s), why)
	}
	end := len(s)
	for end > 0 && (s[end-1] < '0' || s[end-1] > '9') && s[end-1] != '.' {
		end--
	}
	number, unit := s[:end], strings.TrimPrefix(s[end:], " ")
	decimals := Decimals
	switch unit {
	case Denom:
		decimals = 0
	case Display, "cairn":
	case "":
		return bad("has no unit; write it as 1.5CAIRN or 123acairn")
	default:
		return bad("has a unit other than CAIRN and acairn")
	}
	whole, fraction, point := strings.Cut(number, ".")
	switch {
	case whole == "" || point && fraction == "":
		return bad("lacks digits; write it as 0.5CAIRN")
	case point && decimals == 0:
		return bad("has a fraction of a base unit")
	case len(fraction) > decimals:
		return bad("has more than 18 decimals")
	}
	a, err := parseDigits(whole + fraction + strings.Repeat("0", decimals-len(fraction)))
	if err != nil {
		return Amount{}, fmt.Errorf("reading amount %q: %w", abbreviate(s), err)
	}
	return a, nil
}

// ParseDecimal reads a count of base units, "123", as String writes it. Leading zeros are refused:
// each amount has one spelling. Errors wrap ErrSyntax or ErrRange.
func ParseDecimal(s string) (Amount, error) {
	if len(s) > 1 && s[0] == '0' {
		return Amount{}, fmt.Errorf("%w: %q has leading zeros", ErrSyntax, abbreviate(s))
	}
	a, err := parseDigits(s)
	if err != nil {
		return Amount{}, fmt.Errorf("reading amount %q: %w", abbreviate(s), err)
	}
	return a, nil
}

func parseDigits(s string) (Amount, error) {
	if s == "" {
		return Amount{}, fmt.Errorf("%w: no digits", ErrSyntax)
	}
	var a Amount
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return Amount{}, fmt.Errorf("%w: %q is not a digit", ErrSyntax, s[i])
		}
		ten, over := a.MulDiv(10, 1)
		var carry bool
		a, carry = ten.Add(Amount{Lo: uint64(s[i] - '0')})
		if over || carry {
			return Amount{}, ErrRange
		}
	}
	return a, nil
}

// MarshalText writes String's form, so that amounts are strings in JSON.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads ParseDecimal's form.
func (a *Amount) UnmarshalText(b []byte) error {
	v, err := ParseDecimal(string(b))
	if err != nil {
		return err
	}
	*a = v
	return nil
}

// abbreviate keeps what is quoted in an error short.
func abbreviate(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
