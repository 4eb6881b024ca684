package ocmf

import (
	"encoding/binary"
	"math/big"
	"math/bits"
)

// maxLimbs is the length of the largest field's elements in words of 64 bits.
const maxLimbs = maxSize / 8

// residue is a number below a modulus in Montgomery form, x*2^(64*limbs) mod p, the least significant
// word first. Words beyond the modulus's limbs are zero, so that residues compare with ==.
type residue [maxLimbs]uint64

// modulus is an odd prime of 3, 4 or 6 words, and what Montgomery multiplication needs of it. Public
// numbers pass through here only: nothing runs in constant time, or has to.
type modulus struct {
	limbs   int
	p       residue
	inverse uint64  // -p^-1 mod 2^64
	square  residue // 2^(128*limbs) mod p
	one     residue // 2^(64*limbs) mod p
	big     *big.Int
}

func newModulus(p *big.Int) *modulus {
	m := &modulus{limbs: (p.BitLen() + 63) / 64, big: p}
	m.p = m.words(p)
	inverse := m.p[0] // Newton: each step doubles the bits that are right, beginning with 3
	for range 5 {
		inverse *= 2 - m.p[0]*inverse
	}
	m.inverse = -inverse
	r := new(big.Int).Lsh(big.NewInt(1), uint(64*m.limbs)) //nolint:gosec // at most 6 limbs
	m.one = m.words(r.Mod(r, p))
	r.Lsh(big.NewInt(1), uint(128*m.limbs)) //nolint:gosec // at most 6 limbs
	m.square = m.words(r.Mod(r, p))
	return m
}

// words returns n's words, n below 2^(64*limbs).
func (m *modulus) words(n *big.Int) (w residue) {
	var buf [maxSize]byte
	n.FillBytes(buf[:])
	for i := range w {
		w[i] = binary.BigEndian.Uint64(buf[maxSize-8*(i+1):])
	}
	return w
}

// from returns n in Montgomery form; n may be any number below 2^(64*limbs).
func (m *modulus) from(n *big.Int) residue {
	w := m.words(n)
	return m.mul(&w, &m.square)
}

// mul returns x*y/2^(64*limbs) mod p (Koç, Acar, Kaliski 1996, CIOS).
func (m *modulus) mul(x, y *residue) residue {
	var t [maxLimbs + 2]uint64
	n := m.limbs
	for i := range n {
		var hi, lo, carry, c uint64
		for j := range n {
			hi, lo = bits.Mul64(x[j], y[i])
			lo, carry = bits.Add64(lo, t[j], 0)
			hi += carry
			lo, carry = bits.Add64(lo, c, 0)
			t[j], c = lo, hi+carry
		}
		t[n], carry = bits.Add64(t[n], c, 0)
		t[n+1] = carry
		q := t[0] * m.inverse
		hi, lo = bits.Mul64(q, m.p[0])
		_, carry = bits.Add64(lo, t[0], 0)
		c = hi + carry
		for j := 1; j < n; j++ {
			hi, lo = bits.Mul64(q, m.p[j])
			lo, carry = bits.Add64(lo, t[j], 0)
			hi += carry
			lo, carry = bits.Add64(lo, c, 0)
			t[j-1], c = lo, hi+carry
		}
		t[n-1], carry = bits.Add64(t[n], c, 0)
		t[n] = t[n+1] + carry
	}
	var z residue
	copy(z[:n], t[:n])
	return m.reduce(z, t[n])
}

// reduce returns z, with the word above it, minus p if that is not negative; z is below 2p.
func (m *modulus) reduce(z residue, above uint64) residue {
	var d residue
	var borrow uint64
	for i := range m.limbs {
		d[i], borrow = bits.Sub64(z[i], m.p[i], borrow)
	}
	if above >= borrow {
		return d
	}
	return z
}

func (m *modulus) add(x, y *residue) (z residue) {
	var carry uint64
	for i := range m.limbs {
		z[i], carry = bits.Add64(x[i], y[i], carry)
	}
	return m.reduce(z, carry)
}

func (m *modulus) sub(x, y *residue) (z residue) {
	var borrow uint64
	for i := range m.limbs {
		z[i], borrow = bits.Sub64(x[i], y[i], borrow)
	}
	if borrow != 0 {
		var carry uint64
		for i := range m.limbs {
			z[i], carry = bits.Add64(z[i], m.p[i], carry)
		}
	}
	return z
}

func (m *modulus) neg(x *residue) residue {
	var zero residue
	return m.sub(&zero, x)
}

func (x *residue) isZero() bool { return *x == residue{} }
