package flex

import (
	"fmt"
	"math/big"
	"math/bits"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
)

// Bounds of an attribution. They keep each part within 127 bits.
const (
	// MaxSamples is a day of five minutes each.
	MaxSamples = 288
	// MaxDevices of one feeder.
	MaxDevices = 1 << 12
	// MaxSample bounds a load, an injection, and the load without all injections.
	MaxSample grid.WattHours = 1 << 40
)

// Part is a device's share of an unevenness, in (samples times watt-hours)^2: 128 bits in two's
// complement.
type Part struct{ Hi, Lo uint64 }

// Add returns p+q modulo 2^128; sums of an Attribution's parts do not come near it.
func (p Part) Add(q Part) Part {
	lo, carry := bits.Add64(p.Lo, q.Lo, 0)
	return Part{p.Hi + q.Hi + carry, lo}
}

// Sub returns p-q modulo 2^128.
func (p Part) Sub(q Part) Part {
	lo, borrow := bits.Sub64(p.Lo, q.Lo, 0)
	return Part{p.Hi - q.Hi - borrow, lo}
}

// Negative tells whether p made the load less even.
func (p Part) Negative() bool { return p.Hi>>63 != 0 }

// size is p without its sign.
func (p Part) size() price.Amount {
	if p.Negative() {
		p = Part{}.Sub(p)
	}
	return price.Amount(p)
}

func product(a, b int64) Part {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if p := (Part{hi, lo}); (a < 0) == (b < 0) {
		return p
	}
	return Part{}.Sub(Part{hi, lo})
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

// Attribution says what made a load as even as it is.
type Attribution struct {
	// Without and With the devices: V(N0) and V(N1).
	Without, With Part
	// Parts of the devices, in the order they were given. They sum to Without less With.
	Parts []Part
}

// Attribute computes each device's part of what a metered load is evener than it would have been. load
// is what the feeder drew in each sample, negative where it gave; each of injections what one device
// gave, negative where it drew.
func Attribute(load []grid.WattHours, injections [][]grid.WattHours) (Attribution, error) {
	t := len(load)
	if t < 1 || t > MaxSamples {
		return Attribution{}, fmt.Errorf("%w: %d of the load, want 1 to %d", ErrSamples, t, MaxSamples)
	}
	if len(injections) > MaxDevices {
		return Attribution{}, fmt.Errorf("%w: %d devices, at most %d", ErrSamples, len(injections), MaxDevices)
	}
	without := make([]grid.WattHours, t)
	for at, n := range load {
		if n > MaxSample || n < -MaxSample {
			return Attribution{}, fmt.Errorf("%w: load of %d Wh in sample %d, at most %d", ErrSamples, n, at, MaxSample)
		}
		without[at] = n
	}
	for i, b := range injections {
		if len(b) != t {
			return Attribution{}, fmt.Errorf("%w: %d of device %d, %d of the load", ErrSamples, len(b), i, t)
		}
		for at, injected := range b {
			if injected > MaxSample || injected < -MaxSample {
				return Attribution{}, fmt.Errorf("%w: device %d gave %d Wh in sample %d, at most %d", ErrSamples, i, injected, at, MaxSample)
			}
			without[at] += injected // at most 2^40 * (2^12 + 1) in size
		}
	}
	for at, n := range without {
		if n > MaxSample || n < -MaxSample {
			return Attribution{}, fmt.Errorf("%w: load without devices of %d Wh in sample %d, at most %d", ErrSamples, n, at, MaxSample)
		}
	}
	d0, d1 := centred(without), centred(load)
	a := Attribution{Without: unevenness(d0), With: unevenness(d1), Parts: make([]Part, len(injections))}
	for i, b := range injections {
		for at, d := range centred(b) {
			a.Parts[i] = a.Parts[i].Add(product(d, d0[at]+d1[at]))
		}
	}
	return a, nil
}

// centred returns T*x - sum of x; below 2^50 in size.
func centred(x []grid.WattHours) []int64 {
	var sum int64
	for _, v := range x {
		sum += int64(v)
	}
	d := make([]int64, len(x))
	for i, v := range x {
		d[i] = int64(len(x))*int64(v) - sum
	}
	return d
}

func unevenness(d []int64) (v Part) {
	for _, x := range d {
		v = v.Add(product(x, x))
	}
	return v
}

// Caps bound what one owner gets from a day's pool, and what one owes to it.
type Caps struct{ Reward, Charge price.Amount }

// Payment is what one owner gets, or owes.
type Payment struct{ Reward, Charge price.Amount }

// SharePool shares a day's pool over the owners' parts. Whoever made the load evener gets their share of
// all positive parts, whoever made it less even owes at the same rate, both up to a cap. What a cap
// cuts off stays in the pool. left is the pool afterwards, charges included.
//
// Where nobody made it evener there is no rate, and nobody gets or owes anything.
func SharePool(pool price.Amount, parts []Part, caps Caps) (payments []Payment, left price.Amount, err error) {
	var positive price.Amount
	for _, p := range parts {
		if !p.Negative() {
			var over bool
			if positive, over = positive.Add(p.size()); over {
				return nil, price.Amount{}, fmt.Errorf("%w: parts sum to more than 128 bits", ErrSamples)
			}
		}
	}
	payments = make([]Payment, len(parts))
	left = pool
	for i, p := range parts {
		size := p.size()
		if !p.Negative() {
			payments[i].Reward = smaller(pool.Share(size, positive), caps.Reward)
			left, _ = left.Sub(payments[i].Reward) // rounded down, and so at most the pool in all
		}
	}
	for i, p := range parts {
		if !p.Negative() || positive.IsZero() {
			continue
		}
		payments[i].Charge = charge(pool, p.size(), positive, caps.Charge)
		var over bool
		if left, over = left.Add(payments[i].Charge); over {
			return nil, price.Amount{}, fmt.Errorf("%w: pool of %s and its charges", ErrTerms, pool)
		}
	}
	return payments, left, nil
}

// charge is pool*part/positive rounded down, at most most. It may be far above the pool.
func charge(pool, part, positive, most price.Amount) price.Amount {
	owed := new(big.Int).Mul(pool.Big(), part.Big())
	if owed.Div(owed, positive.Big()).Cmp(most.Big()) >= 0 {
		return most
	}
	a, _ := price.FromBig(owed) // below most
	return a
}

func smaller(a, b price.Amount) price.Amount {
	if a.Cmp(b) < 0 {
		return a
	}
	return b
}
