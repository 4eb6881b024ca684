// Package price holds amounts of money and exact prices, the same on chain and off.
//
// Money is an unsigned 128-bit count of base units. The cap on all CAIRN that will ever exist is
// 10^27 base units (below 2^90), so 128 bits hold any sum of real balances; what an attacker may
// write is larger, and so every operation that can leave the range says so in its result and none
// of them wraps.
//
// INV-PRICE-1: a cost is rounded down exactly once, at the end of one exact computation, so that
// charging in one step never costs less than charging the same units in many.
package price

import (
	"errors"
	"fmt"
	"math/big"
	"math/bits"
)

const (
	// Denom is the base denomination: one CAIRN is 10^18 acairn.
	Denom = "acairn"
	// Display is what people read and write.
	Display = "CAIRN"
	// Decimals is the number of decimals of Display.
	Decimals = 18
)

var (
	// ErrRange is wrapped by errors about values outside 0..2^128-1.
	ErrRange = errors.New("amount outside 0..2^128-1")
	// ErrRate is wrapped by errors about rates that no cost can be computed from.
	ErrRate = errors.New("rate with zero units")
)

// Amount is a count of base units, 0..2^128-1. The zero value is zero.
type Amount struct{ Hi, Lo uint64 }

// FromUint64 returns n base units.
func FromUint64(n uint64) Amount { return Amount{Lo: n} }

// FromBig returns b base units; ErrRange if b is nil, negative or above 2^128-1.
func FromBig(b *big.Int) (Amount, error) {
	if b == nil {
		return Amount{}, fmt.Errorf("converting a nil integer: %w", ErrRange)
	}
	if b.Sign() < 0 || b.BitLen() > 128 {
		return Amount{}, fmt.Errorf("converting %s: %w", abbreviate(b.String()), ErrRange)
	}
	var buf [16]byte
	b.FillBytes(buf[:])
	return FromBytes(buf), nil
}

// Big returns a new integer equal to a.
func (a Amount) Big() *big.Int {
	b := a.Bytes()
	return new(big.Int).SetBytes(b[:])
}

// FromBytes is the inverse of Bytes.
func FromBytes(b [16]byte) Amount {
	var a Amount
	for i := 0; i < 8; i++ {
		a.Hi = a.Hi<<8 | uint64(b[i])
		a.Lo = a.Lo<<8 | uint64(b[8+i])
	}
	return a
}

// Bytes returns a as 16 big-endian bytes.
func (a Amount) Bytes() (b [16]byte) {
	for i := 0; i < 8; i++ {
		b[i] = byte(a.Hi >> (56 - 8*i))
		b[8+i] = byte(a.Lo >> (56 - 8*i))
	}
	return b
}

// IsZero tells whether a is zero.
func (a Amount) IsZero() bool { return a.Hi|a.Lo == 0 }

// Cmp returns -1, 0 or 1 as a is below, equal to or above b.
func (a Amount) Cmp(b Amount) int {
	switch {
	case a.Hi < b.Hi || a.Hi == b.Hi && a.Lo < b.Lo:
		return -1
	case a == b:
		return 0
	}
	return 1
}

// Add returns a+b modulo 2^128, and whether the true sum is larger.
func (a Amount) Add(b Amount) (sum Amount, overflow bool) {
	lo, carry := bits.Add64(a.Lo, b.Lo, 0)
	hi, carry := bits.Add64(a.Hi, b.Hi, carry)
	return Amount{hi, lo}, carry != 0
}

// Sub returns a-b modulo 2^128, and whether the true difference is negative.
func (a Amount) Sub(b Amount) (difference Amount, underflow bool) {
	lo, borrow := bits.Sub64(a.Lo, b.Lo, 0)
	hi, borrow := bits.Sub64(a.Hi, b.Hi, borrow)
	return Amount{hi, lo}, borrow != 0
}

// MulDiv returns floor(a*n/d), exact through a 192-bit product. The second result is true, and the
// first zero, if that is above 2^128-1 or d is zero.
func (a Amount) MulDiv(n, d uint64) (quotient Amount, overflow bool) {
	quotient, _, overflow = mulAddDiv(a, Amount{Lo: n}, 0, d)
	return quotient, overflow
}

// mulAddDiv returns quotient and remainder of (a*b+c)/d, exact through 256 bits; true where the
// quotient does not fit within 128 bits or there is none.
func mulAddDiv(a, b Amount, c, d uint64) (q Amount, r uint64, overflow bool) {
	if d == 0 {
		return Amount{}, 0, true
	}
	p := product(a, b)
	var carry, hi uint64
	p[0], carry = bits.Add64(p[0], c, 0)
	p[1], carry = bits.Add64(p[1], 0, carry)
	p[2], carry = bits.Add64(p[2], 0, carry)
	p[3] += carry
	if p[3] != 0 || p[2] >= d {
		return Amount{}, 0, true
	}
	q.Hi, hi = bits.Div64(p[2], p[1], d)
	q.Lo, r = bits.Div64(hi, p[0], d)
	return q, r, false
}

// product returns the four words of a*b, the least significant first.
func product(a, b Amount) (p [4]uint64) {
	var carry uint64
	p[1], p[0] = bits.Mul64(a.Lo, b.Lo)
	p[3], p[2] = bits.Mul64(a.Hi, b.Hi)
	for _, cross := range [2][2]uint64{{a.Hi, b.Lo}, {a.Lo, b.Hi}} {
		hi, lo := bits.Mul64(cross[0], cross[1])
		p[1], carry = bits.Add64(p[1], lo, 0)
		p[2], carry = bits.Add64(p[2], hi, carry)
		p[3] += carry
	}
	return p
}

// Rate is an exact price: Amount base units for every Per units of a resource. A zero Amount is
// free. Per is at least 1; the zero Rate is free, too.
type Rate struct {
	Amount Amount
	Per    uint64
}

// Check returns ErrRate if r asks for money for every zero units.
func (r Rate) Check() error {
	if r.Per == 0 && !r.Amount.IsZero() {
		return fmt.Errorf("%s acairn for every 0 units: %w", r.Amount, ErrRate)
	}
	return nil
}

// Cost returns floor(units*Amount/Per); ErrRate or ErrRange where there is none.
func (r Rate) Cost(units uint64) (Amount, error) { return r.StreamCost(units, 1) }

// StreamCost returns floor(units*seconds*Amount/Per), the cost of holding units for seconds;
// ErrRate or ErrRange where there is none.
func (r Rate) StreamCost(units, seconds uint64) (Amount, error) {
	if r.Amount.IsZero() {
		return Amount{}, nil
	}
	if err := r.Check(); err != nil {
		return Amount{}, err
	}
	var held Amount
	held.Hi, held.Lo = bits.Mul64(units, seconds)
	cost, _, overflow := mulAddDiv(r.Amount, held, 0, r.Per)
	if overflow {
		return Amount{}, fmt.Errorf("cost of %d units for %d s at %s acairn per %d: %w",
			units, seconds, r.Amount, r.Per, ErrRange)
	}
	return cost, nil
}
