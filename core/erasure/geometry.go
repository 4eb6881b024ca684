package erasure

import (
	"errors"
	"fmt"
)

const (
	// ShareSize is what one piece gets of each stripe but the last, in bytes. At 16 KiB a stripe of
	// the widest class stays in a core's second-level cache; whole segments cost up to twice the time.
	ShareSize = 16 << 10
	// MaxSegment is the size in bytes of the largest segment of any class.
	MaxSegment = 16 << 20
	// MaxPiece is the size in bytes of the largest piece, the same as piece.MaxSize.
	MaxPiece = 1 << 20
	// shareAlign is what the last stripe's share is rounded up to: one cache line, one BLAKE3 block.
	shareAlign = 64
)

var (
	// ErrSize is wrapped by errors about segments, pieces and ranges of the wrong size.
	ErrSize = errors.New("wrong size")
	// ErrTooFew says that there are fewer than K usable pieces.
	ErrTooFew = errors.New("too few pieces")
)

// Class is a way of spreading a segment over independent providers: any K of Total pieces restore it.
type Class struct {
	Name string
	// K pieces are enough. Below or at Repair healthy ones the segment is repaired. Upload is
	// acknowledged at Optimal. Total are coded and attempted, so that slow providers can be left behind.
	K, Repair, Optimal, Total int
}

// Classes lists all classes, from the fewest providers needed to the most.
func Classes() []Class {
	return []Class{Dev, Small, SmallNet, Archive, Standard, Wide}
}

// The classes there are. Their sizes come from a model of correlated loss: with at most Repair-K
// pieces in any group that can fail together, losing a whole group at the repair threshold loses
// nothing.
var (
	Dev      = Class{"dev", 4, 6, 8, 10}         // a network on one machine
	Small    = Class{"small", 4, 7, 10, 12}      // objects of 4..256 KiB: few pieces, cheap to open
	SmallNet = Class{"small-net", 8, 14, 20, 24} // 25 to 60 independent providers
	Standard = Class{"standard", 16, 26, 36, 44} // 60 and more
	Wide     = Class{"wide", 29, 46, 65, 78}     // 500 and more
	Archive  = Class{"archive", 20, 28, 32, 38}  // by choice: cheap to hold, dear to repair
)

// ClassByName finds a class by its name: dev, small, small-net, standard, wide, archive.
func ClassByName(name string) (Class, bool) {
	for _, c := range Classes() {
		if c.Name == name {
			return c, true
		}
	}
	return Class{}, false
}

// ClassFor returns the class for a pool of so many groups of providers that fail independently.
func ClassFor(independentGroups int) Class {
	switch {
	case independentGroups >= 500:
		return Wide
	case independentGroups >= 60:
		return Standard
	case independentGroups >= 25:
		return SmallNet
	}
	return Dev
}

// MaxPerGroup returns how many pieces of a segment may lie in one group that can fail together
// (an operator's region, an autonomous system): Repair-K.
func (c Class) MaxPerGroup() int { return c.Repair - c.K }

// MaxSegment returns the size in bytes of the class's largest segment: MaxSegment, or less where K
// pieces of MaxPiece hold less (dev and small 4 MiB, small-net 8 MiB).
func (c Class) MaxSegment() int { return min(MaxSegment, c.K*MaxPiece) }

// Geometry is how a segment of one size lies in the pieces of a class. The segment is cut into
// stripes of K shares; piece i is the concatenation of share i of each stripe. Shares 0..K-1 are the
// data itself, in order, the last stripe's padded with zeros.
type Geometry struct {
	// K, Total are the class's.
	K, Total int
	// SegmentSize in bytes, at least 1.
	SegmentSize int
	// Stripes is at least 1. All but the last have shares of ShareSize bytes, the last of LastShareSize.
	Stripes, ShareSize, LastShareSize int
	// PieceSize in bytes: (Stripes-1)*ShareSize + LastShareSize.
	PieceSize int
}

// Geometry returns how a segment of size bytes lies in pieces. The zero Geometry if size is below 1
// or above c.MaxSegment().
func (c Class) Geometry(size int) Geometry {
	if size < 1 || size > c.MaxSegment() {
		return Geometry{}
	}
	stripe := c.K * ShareSize
	stripes := (size-1)/stripe + 1
	rest := size - (stripes-1)*stripe
	last := (rest-1)/c.K + 1
	last = (last + shareAlign - 1) / shareAlign * shareAlign
	return Geometry{
		K: c.K, Total: c.Total, SegmentSize: size,
		Stripes: stripes, ShareSize: ShareSize, LastShareSize: last,
		PieceSize: (stripes-1)*ShareSize + last,
	}
}

// Share returns the size of a share of stripe s.
func (g Geometry) Share(s int) int {
	if s == g.Stripes-1 {
		return g.LastShareSize
	}
	return g.ShareSize
}

// offset returns where data share i of a stripe begins in the segment.
func (g Geometry) offset(stripe, i int) int { return stripe*g.K*g.ShareSize + i*g.Share(stripe) }

// StripesFor returns the stripes that hold bytes off..off+n-1 of the segment, first to last
// inclusive, and where they lie in every piece. ErrSize if the range is empty or leaves the segment.
func (g Geometry) StripesFor(off, n int) (first, last, pieceOff, pieceLen int, err error) {
	if off < 0 || n < 1 || off > g.SegmentSize-n {
		return 0, 0, 0, 0, fmt.Errorf("range of %d bytes at %d of a segment of %d: %w", n, off, g.SegmentSize, ErrSize)
	}
	stripe := g.K * g.ShareSize
	first, last = off/stripe, (off+n-1)/stripe
	pieceOff = first * g.ShareSize
	return first, last, pieceOff, (last-first)*g.ShareSize + g.Share(last), nil
}

// Holds tells whether data piece i (0..K-1) holds any byte of off..off+n-1: a range needs no other
// data piece than these while they are healthy.
func (g Geometry) Holds(i, off, n int) bool {
	first, last, _, _, err := g.StripesFor(off, n)
	if err != nil || i < 0 || i >= g.K {
		return false
	}
	if last > first+1 {
		return true
	}
	for s := first; s <= last; s++ {
		from := g.offset(s, i)
		if from < off+n && from+g.Share(s) > off {
			return true
		}
	}
	return false
}
