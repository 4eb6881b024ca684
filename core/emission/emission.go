// Package emission says how many coins come into being, when and for whom. It is arithmetic on
// integers: the chain calls it once an epoch, and anyone can repeat it.
//
// New coins come from the schedule alone: validators' share and the bootstrap pools. What reports pay
// for usage replaces coins that settlements have burned, at most 0.9 of them.
//
// INV-EMISSION-1: however time is cut into epochs, what the schedule issues sums to Issued of the whole
// time, and never to more than Total.
//
// INV-EMISSION-2: the parts of an amount that Split gives sum to at most that amount.
//
// INV-EMISSION-3: the sum of all averages that Smooth ever gives, from an average of zero and at one
// number of epochs, is at most the sum of all that was burned.
package emission

import "github.com/cairn-network/cairn/core/price"

// Schedule issues half of Total, acairn, evenly over the first HalvingSeconds, half of the rest over
// the next, and so on.
type Schedule struct {
	Total          price.Amount
	HalvingSeconds uint64
}

// periods after which nothing of 2^128-1 is left.
const periods = 128

// Issued is what the schedule has issued after so many seconds, acairn. It rises from 0 to Total and
// never falls. A schedule without a period issues nothing.
func (s Schedule) Issued(seconds uint64) price.Amount {
	if s.HalvingSeconds == 0 {
		return price.Amount{}
	}
	period, within := seconds/s.HalvingSeconds, seconds%s.HalvingSeconds
	before := s.left(period)
	issued, _ := s.Total.Sub(before)
	of, _ := before.Sub(s.left(period + 1))
	now, _ := issued.Add(of.Share(price.FromUint64(within), price.FromUint64(s.HalvingSeconds)))
	return now
}

// Between is what the schedule issues from one second to a later one.
func (s Schedule) Between(from, to uint64) price.Amount {
	if to <= from {
		return price.Amount{}
	}
	issued, _ := s.Issued(to).Sub(s.Issued(from))
	return issued
}

// left is what is not issued when a period begins: Total halved so many times, rounded down.
func (s Schedule) left(period uint64) price.Amount {
	if period >= periods {
		return price.Amount{}
	}
	left := s.Total
	for range period {
		left.Lo = left.Lo>>1 | left.Hi<<63
		left.Hi >>= 1
	}
	return left
}

const perMille = 1000

// Split gives each share of an amount by its weight of 1,000, rounded down. Weights that sum to more
// than 1,000 are no weights: it gives nothing.
func Split(amount price.Amount, weights []uint32) []price.Amount {
	shares := make([]price.Amount, len(weights))
	var sum uint64
	for _, w := range weights {
		sum += uint64(w)
	}
	if sum > perMille {
		return shares
	}
	for i, w := range weights {
		shares[i] = amount.Share(price.FromUint64(uint64(w)), price.FromUint64(perMille))
	}
	return shares
}

// Smooth moves an average towards what an epoch burned, by one part in epochs (at least 1).
func Smooth(average, burned price.Amount, epochs uint32) price.Amount {
	n := price.FromUint64(uint64(max(epochs, 1)))
	kept := average.Share(price.FromUint64(uint64(max(epochs, 1)-1)), n)
	moved, over := kept.Add(burned.Share(price.FromUint64(1), n))
	if over { // n = 1 and more than 2^128-1: no real sum
		return burned
	}
	return moved
}
