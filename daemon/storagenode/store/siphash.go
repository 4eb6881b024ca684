package store

import "math/bits"

// fingerprint is SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, 2012, and the authors'
// reference implementation for the double-width variant) of a key's 40 bytes. The store's secret
// keeps owners of pieces from finding two ids that meet in the index.
func fingerprint(secret [16]byte, k Key) (hi, lo uint64) {
	h := newSip(secret)
	h.word(k.Lease)
	for i := 0; i < 32; i += 8 {
		h.word(le.Uint64(k.ID[i:]))
	}
	return h.sum(40)
}

type sip struct{ v0, v1, v2, v3 uint64 }

func newSip(key [16]byte) sip {
	k0, k1 := le.Uint64(key[:]), le.Uint64(key[8:])
	return sip{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d ^ 0xee, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
}

func (s *sip) round() {
	s.v0 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v0 = bits.RotateLeft64(s.v0, 32)
	s.v2 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	s.v0 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v2 = bits.RotateLeft64(s.v2, 32)
}

func (s *sip) word(m uint64) {
	s.v3 ^= m
	s.round()
	s.round()
	s.v0 ^= m
}

// sum ends a message whose length in bytes is a multiple of 8.
func (s *sip) sum(length int) (first, second uint64) {
	s.word(uint64(length&0xff) << 56)
	s.v2 ^= 0xee
	for range 4 {
		s.round()
	}
	first = s.v0 ^ s.v1 ^ s.v2 ^ s.v3
	s.v1 ^= 0xdd
	for range 4 {
		s.round()
	}
	return first, s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}
