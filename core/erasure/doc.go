// Package erasure turns a segment into pieces of which any K restore it.
//
// The code is systematic Reed-Solomon over GF(2^8) with the polynomial x^8+x^4+x^3+x^2+1 (0x11d):
// the Vandermonde matrix V[r][c] = r^c of Total rows and K columns, times the inverse of its top K
// rows. docs/format/segment.md writes it down, a naive reference in the tests computes it.
//
// A segment is coded in stripes of ShareSize bytes a share, never whole: a stripe stays in cache, and
// a reader of a few bytes fetches one stripe's shares, or one share where the holder is healthy.
//
// INV-ERASURE-1: any K pieces give back the segment, byte for byte, and every other piece.
//
// INV-ERASURE-2: pieces are a pure function of class and segment: whoever rebuilds a piece gets the
// same bytes, and so the same root.
package erasure
