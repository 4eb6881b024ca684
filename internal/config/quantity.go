// Package config is what a person writes in flags and files, and where a program keeps its
// own: quantities with their units, the layout of a home directory, settings in TOML.
package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cairn-network/cairn/core/price"
)

// ErrSyntax says that a text is not the quantity it should be; what wraps it names the text.
var ErrSyntax = errors.New("cannot be read")

// Bytes is a count of bytes, written as people do: 500GB, 1.5TiB, 100000.
type Bytes uint64

// Units of bytes. A trailing B alone, or nothing, counts bytes.
var byteUnits = []struct {
	name string
	size uint64
}{
	{"PiB", 1 << 50},
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"PB", 1e15},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"KB", 1e3},
	{"B", 1},
	{"", 1},
}

// Month is the length of a month in prices: 30 days.
const Month = 30 * 24 * time.Hour

// ParseBytes reads a count of bytes. Units are decimal (GB) or binary (GiB), in any case;
// fractions are allowed where they come out as whole bytes or are cut off below one.
func ParseBytes(s string) (Bytes, error) {
	text := strings.TrimSpace(s)
	for _, u := range byteUnits {
		number, ok := cutSuffixFold(text, u.name)
		if !ok {
			continue
		}
		n, err := scale(strings.TrimSpace(number), u.size)
		if err != nil {
			return 0, fmt.Errorf("size %q %w: %w; write it as 500GB or 1.5TiB", s, ErrSyntax, err)
		}
		return Bytes(n), nil
	}
	panic("unreachable: the last unit is empty")
}

// String is the count in the largest decimal unit of which there is at least one, with at most
// two decimals.
func (b Bytes) String() string {
	for _, u := range []struct {
		name string
		size uint64
	}{{"PB", 1e15}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}} {
		if uint64(b) >= u.size {
			hundredths := uint64(b) / (u.size / 100)
			s := fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)
			return strings.TrimRight(strings.TrimRight(s, "0"), ".") + " " + u.name
		}
	}
	return fmt.Sprintf("%d B", uint64(b))
}

// Set makes Bytes a flag.
func (b *Bytes) Set(s string) error {
	v, err := ParseBytes(s)
	if err != nil {
		return err
	}
	*b = v
	return nil
}

// Type names the flag's value in help.
func (*Bytes) Type() string { return "size" }

// UnmarshalText reads ParseBytes's form.
func (b *Bytes) UnmarshalText(text []byte) error { return b.Set(string(text)) }

// MarshalText is exact: String where nothing is lost by it, else plain bytes.
func (b Bytes) MarshalText() ([]byte, error) {
	if back, err := ParseBytes(b.String()); err == nil && back == b {
		return []byte(b.String()), nil
	}
	return fmt.Appendf(nil, "%d", uint64(b)), nil
}

// StoragePrice is a price for bytes at rest, "4CAIRN/TB-month": a rate for every byte-second.
type StoragePrice struct{ price.Rate }

// ParseStoragePrice reads AMOUNT/SIZE-TIME, the size a unit of bytes and the time hour, day,
// month (30 days) or year (365 days).
func ParseStoragePrice(s string) (StoragePrice, error) {
	bad := func(err error) (StoragePrice, error) {
		return StoragePrice{}, fmt.Errorf("price %q %w: %w; write it as 4CAIRN/TB-month", s, ErrSyntax, err)
	}
	amount, per, ok := strings.Cut(s, "/")
	if !ok {
		return bad(errors.New("it does not say for how many bytes"))
	}
	size, span, ok := strings.Cut(per, "-")
	if !ok {
		return bad(errors.New("it does not say for how long"))
	}
	a, err := price.Parse(strings.TrimSpace(amount))
	if err != nil {
		return bad(err)
	}
	bytes, err := unitOfBytes(size)
	if err != nil {
		return bad(err)
	}
	seconds, ok := spans[strings.ToLower(strings.TrimSpace(span))]
	if !ok {
		return bad(fmt.Errorf("%q is not hour, day, month or year", span))
	}
	if bytes > ^uint64(0)/seconds {
		return bad(fmt.Errorf("%s for a %s is too large a unit", size, span))
	}
	return StoragePrice{price.Rate{Amount: a, Per: bytes * seconds}}, nil
}

var spans = map[string]uint64{
	"hour": 3600, "day": 24 * 3600, "month": uint64(Month / time.Second), "year": 365 * 24 * 3600,
}

// String is the price of a TB for a month.
func (p StoragePrice) String() string {
	return perUnit(p.Rate, 1e12*uint64(Month/time.Second), "TB-month")
}

// Set makes StoragePrice a flag.
func (p *StoragePrice) Set(s string) (err error) {
	v, err := ParseStoragePrice(s)
	if err != nil {
		return err
	}
	*p = v
	return nil
}

// Type names the flag's value in help.
func (*StoragePrice) Type() string { return "amount/size-time" }

// EgressPrice is a price for bytes served, "2CAIRN/TB".
type EgressPrice struct{ price.Rate }

// ParseEgressPrice reads AMOUNT/SIZE, the size a unit of bytes; "0" and "free" are free.
func ParseEgressPrice(s string) (EgressPrice, error) {
	bad := func(err error) (EgressPrice, error) {
		return EgressPrice{}, fmt.Errorf("price %q %w: %w; write it as 2CAIRN/TB, or free", s, ErrSyntax, err)
	}
	if s == "0" || s == "free" {
		return EgressPrice{price.Rate{Per: 1}}, nil
	}
	amount, size, ok := strings.Cut(s, "/")
	if !ok {
		return bad(errors.New("it does not say for how many bytes"))
	}
	a, err := price.Parse(strings.TrimSpace(amount))
	if err != nil {
		return bad(err)
	}
	bytes, err := unitOfBytes(size)
	if err != nil {
		return bad(err)
	}
	return EgressPrice{price.Rate{Amount: a, Per: bytes}}, nil
}

// String is the price of a TB.
func (p EgressPrice) String() string { return perUnit(p.Rate, 1e12, "TB") }

// Set makes EgressPrice a flag.
func (p *EgressPrice) Set(s string) error {
	v, err := ParseEgressPrice(s)
	if err != nil {
		return err
	}
	*p = v
	return nil
}

// Type names the flag's value in help.
func (*EgressPrice) Type() string { return "amount/size" }

func perUnit(r price.Rate, units uint64, name string) string {
	if r.Amount.IsZero() {
		return "free"
	}
	cost, err := r.Cost(units)
	if err != nil {
		return fmt.Sprintf("%s acairn for every %d", r.Amount, r.Per)
	}
	return cost.Format() + "/" + name
}

// unitOfBytes reads "TB" as 10^12 and "100GB" as its count.
func unitOfBytes(s string) (uint64, error) {
	s = strings.TrimSpace(s)
	for _, u := range byteUnits {
		if u.name != "" && strings.EqualFold(s, u.name) {
			return u.size, nil
		}
	}
	b, err := ParseBytes(s)
	if err != nil {
		return 0, err
	}
	if b == 0 {
		return 0, errors.New("zero bytes")
	}
	return uint64(b), nil
}

func cutSuffixFold(s, suffix string) (string, bool) {
	if len(s) < len(suffix) || !strings.EqualFold(s[len(s)-len(suffix):], suffix) {
		return s, false
	}
	return s[:len(s)-len(suffix)], true
}

// scale is floor(number * unit) for a decimal number without sign or exponent.
func scale(number string, unit uint64) (uint64, error) {
	whole, fraction, _ := strings.Cut(number, ".")
	if whole == "" || len(whole) > 20 || len(fraction) > 18 {
		return 0, errors.New("not a number")
	}
	var total, over uint64
	for _, c := range whole {
		if c < '0' || c > '9' {
			return 0, errors.New("not a number")
		}
		digit := uint64(c - '0')
		if total > (^uint64(0)-digit)/10 {
			return 0, errors.New("too large")
		}
		total = 10*total + digit
	}
	if total > ^uint64(0)/unit {
		return 0, errors.New("too large")
	}
	total *= unit
	tenth := uint64(1)
	a := price.Amount{}
	for _, c := range fraction {
		if c < '0' || c > '9' {
			return 0, errors.New("not a number")
		}
		ten, _ := a.MulDiv(10, 1)
		a, _ = ten.Add(price.FromUint64(uint64(c - '0')))
		tenth *= 10
	}
	part, _ := a.MulDiv(unit, tenth)
	over = part.Lo // a fraction of one unit: below 2^50
	if total > ^uint64(0)-over {
		return 0, errors.New("too large")
	}
	return total + over, nil
}
