package price

import "math/bits"

// Share returns floor(a*part/whole), exact through 256 bits: part of whole's share of a. A part above
// whole counts as whole, and a whole of zero has no parts, so that the result never exceeds a and
// shares whose parts sum to at most whole sum to at most a.
func (a Amount) Share(part, whole Amount) Amount {
	if whole.IsZero() {
		return Amount{}
	}
	if part.Cmp(whole) >= 0 {
		return a
	}
	if whole.Hi == 0 {
		q, _, _ := mulAddDiv(a, part, 0, whole.Lo) // fits: part < whole
		return q
	}
	p := product(a, part)
	// Division of four words by two (Knuth, The Art of Computer Programming vol. 2, 4.3.1,
	// algorithm D), the divisor shifted so that its top bit is set.
	shift := uint(bits.LeadingZeros64(whole.Hi))
	d1, d0 := whole.Hi<<shift|whole.Lo>>(64-shift), whole.Lo<<shift
	if shift == 0 {
		d1 = whole.Hi
	}
	u := [4]uint64{p[0] << shift}
	for i := 1; i < 4; i++ {
		u[i] = p[i]<<shift | p[i-1]>>(64-shift)
		if shift == 0 {
			u[i] = p[i]
		}
	}
	// The product is below whole*2^128, so that its top two words are below the divisor and the
	// quotient has two words.
	var q Amount
	q.Hi, u[2], u[1] = step(u[3], u[2], u[1], d1, d0)
	q.Lo, _, _ = step(u[2], u[1], u[0], d1, d0)
	return q
}

// step divides three words by two, with the top two words below the divisor: one word of quotient,
// and the remainder.
func step(u2, u1, u0, d1, d0 uint64) (q, r1, r0 uint64) {
	if u2 >= d1 {
		q = ^uint64(0)
	} else {
		q, _ = bits.Div64(u2, u1, d1)
	}
	for {
		// u - q*d; q is at most two too large.
		h0, l0 := bits.Mul64(q, d0)
		h1, l1 := bits.Mul64(q, d1)
		m1, carry := bits.Add64(h0, l1, 0)
		m2 := h1 + carry
		var borrow uint64
		r0, borrow = bits.Sub64(u0, l0, 0)
		r1, borrow = bits.Sub64(u1, m1, borrow)
		_, borrow = bits.Sub64(u2, m2, borrow)
		if borrow == 0 {
			return q, r1, r0
		}
		q--
	}
}
