package auction

import (
	"cmp"
	"math/bits"
	"slices"
)

// portion is someone's part of what is shared.
type portion struct {
	index    int   // whose
	quantity int64 // what they may have at most
	part     int64 // what they have
	rest     uint64
}

// share divides total, at most the sum of quantities, so that nobody has more than theirs.
func share(total int64, portions []portion, before func(a, b portion) int) {
	if total > 0 {
		divide(total, portions, before)
	}
}

// divide divides any total pro rata by quantities, of which one at least is positive: everyone gets the
// part rounded down, and what is left goes by one to the largest remainders, equal ones in the order of
// before.
func divide(total int64, portions []portion, before func(a, b portion) int) {
	var sum uint64
	for _, p := range portions {
		sum += uint64(p.quantity)
	}
	left := total
	for i := range portions {
		p := &portions[i]
		hi, lo := bits.Mul64(uint64(p.quantity), uint64(total))
		part, rest := bits.Div64(hi, lo, sum) // quantity <= sum, so the part is at most total
		p.part, p.rest = int64(part), rest
		left -= p.part
	}
	if left == 0 {
		return
	}
	slices.SortFunc(portions, func(a, b portion) int {
		return cmp.Or(cmp.Compare(b.rest, a.rest), before(a, b))
	})
	for i := range left {
		portions[i].part++
	}
}
