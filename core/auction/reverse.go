package auction

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/cairn-network/cairn/core/price"
)

// Bid is one device's answer to an order.
type Bid struct {
	// Device is the bidder; a device bids once.
	Device uint64
	// Stream is asked for a unit reserved during a second.
	Stream price.Rate
	// Metered is asked for a unit delivered.
	Metered price.Rate
	// Completed and Abandoned count how the device's past lease items ended.
	Completed, Abandoned uint64
}

// Compare orders bids best first: by stream price, then metered price, then record, then device
// id. A record is (completed+1)/(completed+abandoned+2), the rule of succession: without any past
// it is one half, so that a newcomer stands before a device that mostly abandons and behind one
// that mostly completes.
func Compare(a, b Bid) int {
	if c := a.Stream.Cmp(b.Stream); c != 0 {
		return c
	}
	if c := a.Metered.Cmp(b.Metered); c != 0 {
		return c
	}
	if c := compareRecord(b, a); c != 0 { // the better record first
		return c
	}
	return cmp.Compare(a.Device, b.Device)
}

// Rank sorts bids in place, best first.
func Rank(bids []Bid) { slices.SortFunc(bids, Compare) }

// compareRecord compares (c+1)/(c+d+2) of two bids: as (ca+1)/(da+1) against (cb+1)/(db+1), which
// has the same order, cross-multiplied.
func compareRecord(a, b Bid) int {
	ah, al := bits.Mul64(successor(a.Completed), successor(b.Abandoned))
	bh, bl := bits.Mul64(successor(b.Completed), successor(a.Abandoned))
	if c := cmp.Compare(ah, bh); c != 0 {
		return c
	}
	return cmp.Compare(al, bl)
}

// successor is n+1, or n where there is none.
func successor(n uint64) uint64 {
	if n+1 == 0 {
		return n
	}
	return n + 1
}
