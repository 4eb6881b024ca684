// Package risk says which segment to repair first. Plain counts mislead: eight pieces with one
// operator die together, and a provider that has been away for an hour mostly comes back.
//
// INV-RISK-1: a segment above the repair threshold survives the loss of any one group, because
// pieces of a group beyond the class's MaxPerGroup = Repair-K count for nothing.
//
// INV-RISK-2: a piece that gets worse, or moves into a group that holds more, never makes a segment
// look safer.
package risk

import (
	"cmp"
	"slices"

	"github.com/cairn-network/cairn/core/erasure"
)

// State is what is known of one piece, from worst to best.
type State uint8

const (
	// Lost pieces are gone, or their provider has been away too long to count on.
	Lost State = iota
	// Away pieces lie with a provider that cannot be reached at the moment.
	Away
	// Leaving pieces can be read, from a provider that is on its way out.
	Leaving
	// Healthy pieces can be read and are meant to stay.
	Healthy
)

// Piece is one stored piece of a segment.
type Piece struct {
	State State
	// Group of providers that can fail together: an operator, a network, a region. Callers number
	// groups; pieces of one group have one number.
	Group uint64
}

// Score is how far a segment is from being lost, in thousandths of a healthy and independent piece
// above K. Smaller is more urgent; below zero the segment may be unreadable.
type Score int64

// perPiece is the weight of a healthy piece.
const perPiece = 1000

// weight of a piece in thousandths: an absent provider mostly comes back within hours, one that
// leaves serves until it has left.
func (s State) weight() int64 {
	switch s {
	case Healthy:
		return perPiece
	case Leaving:
		return 500
	case Away:
		return 250
	}
	return 0
}

// Of returns the score of a segment: the sum over groups of their pieces' weight, of each group at
// most MaxPerGroup healthy pieces' worth, less that of K pieces. It sorts pieces.
func Of(c erasure.Class, pieces []Piece) Score {
	slices.SortFunc(pieces, func(a, b Piece) int { return cmp.Compare(a.Group, b.Group) })
	most := int64(c.MaxPerGroup()) * perPiece
	var sum, group int64
	for i, p := range pieces {
		if i > 0 && p.Group != pieces[i-1].Group {
			sum += min(group, most)
			group = 0
		}
		group += p.State.weight()
	}
	sum += min(group, most)
	return Score(sum - int64(c.K)*perPiece)
}

// Threshold returns the score at and below which a segment of a class is repaired.
func Threshold(c erasure.Class) Score { return Score(c.Repair-c.K) * perPiece }

// Readable returns how many pieces can be read now: a segment with fewer than K cannot be repaired
// before some come back.
func Readable(pieces []Piece) int {
	n := 0
	for _, p := range pieces {
		if p.State >= Leaving {
			n++
		}
	}
	return n
}
