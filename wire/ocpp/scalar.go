package ocpp

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Time is a point in time on the wire, to the millisecond, always written in UTC. The zero Time is what a peer meant
// by an empty text.
type Time struct{ time.Time }

// TimeOf is t on the wire.
func TimeOf(t time.Time) Time { return Time{t} }

// timeLayouts are the forms seen in the field, the standard's first. Without a zone UTC is meant (OCPP 1.6
// section 3.14 recommends it).
var timeLayouts = []string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05.999999999",
	"2006-01-02T15:04:05.999999999Z0700",
	"2006-01-02T15:04:05.999999999Z07",
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04Z07:00",
}

// ParseTime reads a time in any of the forms seen in the field.
func ParseTime(s string) (Time, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return Time{}, nil
	}
	if len(s) > 64 {
		return Time{}, fmt.Errorf("time of %d characters", len(s))
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			if y := t.Year(); y < 1970 || y > 9999 {
				return Time{}, fmt.Errorf("time %q is outside the years 1970 to 9999", s)
			}
			return Time{t.UTC()}, nil
		}
	}
	return Time{}, fmt.Errorf("time %q is not written like 2026-01-31T12:00:00Z", s)
}

// UnmarshalJSON reads a text in any of the forms seen in the field; null and "" are the zero Time.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if len(b) < 2 || b[0] != '"' {
		return fmt.Errorf("time %.40s is not a text", b)
	}
	parsed, err := ParseTime(text(b))
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

// MarshalJSON writes UTC to the millisecond.
func (t Time) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 26)
	return t.UTC().AppendFormat(b, `"2006-01-02T15:04:05.000Z"`), nil
}

// Decimal is a number as the peer wrote it; it never passes through a float.
type Decimal string

// ErrNumber says that a text is no finite decimal number within range.
var ErrNumber = errors.New("no decimal number")

// DecimalOf is n with so many decimals: DecimalOf(1234, 3) is 1.234.
func DecimalOf(n int64, decimals int) Decimal {
	s := strconv.FormatInt(n, 10)
	if decimals == 0 {
		return Decimal(s)
	}
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	if len(s) <= decimals {
		s = strings.Repeat("0", decimals-len(s)+1) + s
	}
	return Decimal(sign + s[:len(s)-decimals] + "." + s[len(s)-decimals:])
}

// Scaled is the number times 10^decimals, rounded towards zero: "1.2345" scaled by 3 is 1234. NaN, infinities, texts that
// are no number and numbers beyond 2^63 are ErrNumber.
func (d Decimal) Scaled(decimals int) (int64, error) {
	const longest, largestExponent = 40, 30
	s := strings.TrimSpace(string(d))
	bad := func(why string) (int64, error) {
		return 0, fmt.Errorf("%w: %q %s", ErrNumber, clip(string(d), longest), why)
	}
	if s == "" || len(s) > longest {
		return bad("has no or too many digits")
	}
	negative := s[0] == '-'
	if s[0] == '-' || s[0] == '+' {
		s = s[1:]
	}
	exponent := decimals
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e, err := strconv.Atoi(strings.TrimPrefix(s[i+1:], "+"))
		if err != nil || e < -largestExponent || e > largestExponent {
			return bad("has an exponent out of range")
		}
		exponent += e
		s = s[:i]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return bad("is not made of digits")
	}
	// The point moves exponent places to the right.
	at := len(whole) + exponent
	switch {
	case at <= 0:
		return 0, nil
	case at <= len(digits):
		digits = digits[:at]
	default:
		digits += strings.Repeat("0", at-len(digits))
	}
	digits = strings.TrimLeft(digits, "0")
	if digits == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return bad("is too large")
	}
	if negative {
		n = -n
	}
	return n, nil
}

// UnmarshalJSON takes a number, or a text that holds one. NaN and the like are kept and refused by Scaled, so that one
// bad sample does not cost the message around it.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	s := text(b)
	if s == "" || len(s) > 64 {
		return fmt.Errorf("%w: %.40s", ErrNumber, b)
	}
	*d = Decimal(s)
	return nil
}

// MarshalJSON writes the number bare.
func (d Decimal) MarshalJSON() ([]byte, error) {
	if d == "" || d[0] != '-' && (d[0] < '0' || d[0] > '9') || !json.Valid([]byte(d)) {
		return nil, fmt.Errorf("%w: %q", ErrNumber, string(d))
	}
	return []byte(d), nil
}
