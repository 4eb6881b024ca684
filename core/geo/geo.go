// Package geo reads H3 cell indexes by bit operations alone, so that the chain and everything
// beside it agree on them to the bit. Coordinates become cells elsewhere: here is no floating
// point.
//
// Layout of a cell index (H3 core library, "H3Index Bit Layout"), most significant bit first:
//
//	bit    width  content
//	63     1      0
//	59     4      mode: 1 for a cell
//	56     3      0
//	52     4      resolution, 0..15
//	45     7      base cell, 0..121
//	42..0  15x3   digit of resolution 1..15: 0..6 up to the cell's own, 7 beyond it
//
// Twelve base cells are pentagons. They lack the child in direction 1 at every resolution, so the
// first digit of a pentagon's descendant that is not 0 is never 1.
package geo

import (
	"errors"
	"fmt"
)

// Cell is an H3 cell index.
type Cell uint64

// MaxResolution is the finest resolution; a cell's edge is then about 0.5 m.
const MaxResolution = 15

const (
	modeCell      = 1
	baseCells     = 122
	deletedDigit  = 1 // the direction that pentagons lack (K axis)
	unusedDigit   = 7
	resolutionBit = 52
	baseBit       = 45
	digitBits     = 3
)

// pentagons has bit n set where base cell n is a pentagon: 4, 14, 24, 38, 49, 58, 63, 72, 83,
// 97, 107 and 117.
var pentagons = [2]uint64{
	1<<4 | 1<<14 | 1<<24 | 1<<38 | 1<<49 | 1<<58 | 1<<63,
	1<<(72-64) | 1<<(83-64) | 1<<(97-64) | 1<<(107-64) | 1<<(117-64),
}

var (
	// ErrCell says that a number is not the index of a cell.
	ErrCell = errors.New("not an H3 cell")
	// ErrResolution says that a cell has another resolution than asked for.
	ErrResolution = errors.New("wrong H3 resolution")
)

// Valid says whether the index names a cell.
func (c Cell) Valid() bool { return c.fault() == "" }

// Check says what is wrong with an index that should be a cell of a resolution: ErrCell or
// ErrResolution, with the index.
func (c Cell) Check(resolution int) error {
	if fault := c.fault(); fault != "" {
		return fmt.Errorf("%w: %s: %s", ErrCell, c, fault)
	}
	if c.Resolution() != resolution {
		return fmt.Errorf("%w: %s has %d, want %d", ErrResolution, c, c.Resolution(), resolution)
	}
	return nil
}

// fault says why an index names no cell; empty when it does.
func (c Cell) fault() string {
	switch {
	case c>>63 != 0:
		return "bit 63 is set"
	case c>>59&0xf != modeCell:
		return "mode is not that of a cell"
	case c>>56&0x7 != 0:
		return "bits 56 to 58 are not zero"
	case c.base() >= baseCells:
		return "no such base cell"
	}
	leading := true // every digit so far is 0
	for r := 1; r <= MaxResolution; r++ {
		digit := c.digit(r)
		if r > c.Resolution() {
			if digit != unusedDigit {
				return "a digit beyond its resolution is not 7"
			}
			continue
		}
		if digit == unusedDigit {
			return "a digit within its resolution is 7"
		}
		if leading && digit == deletedDigit && c.onPentagon() {
			return "lies in the direction that a pentagon lacks"
		}
		leading = leading && digit == 0
	}
	return ""
}

// Resolution is the resolution of a cell, 0 (coarsest) to 15.
func (c Cell) Resolution() int { return int(c >> resolutionBit & 0xf) }

// Parent gives the ancestor of a valid cell at a coarser or equal resolution, and false where
// there is none.
func (c Cell) Parent(resolution int) (Cell, bool) {
	if resolution < 0 || resolution > c.Resolution() || !c.Valid() {
		return 0, false
	}
	unused := Cell(1)<<((MaxResolution-resolution)*digitBits) - 1
	return c&^(0xf<<resolutionBit) | Cell(resolution)<<resolutionBit | unused, true
}

// Pentagon says whether a valid cell is one of the twelve pentagons of its resolution.
func (c Cell) Pentagon() bool {
	if !c.onPentagon() {
		return false
	}
	for r := 1; r <= c.Resolution(); r++ {
		if c.digit(r) != 0 {
			return false
		}
	}
	return true
}

// String spells the index as H3 does: hexadecimal without leading zeros.
func (c Cell) String() string { return fmt.Sprintf("%x", uint64(c)) }

func (c Cell) base() int { return int(c >> baseBit & 0x7f) }

// digit is the direction taken at resolution r, 1..15.
func (c Cell) digit(r int) int { return int(c >> ((MaxResolution - r) * digitBits) & 0x7) }

// onPentagon says whether the base cell, which must be below 122, is a pentagon.
func (c Cell) onPentagon() bool { return pentagons[c.base()/64]>>(c.base()%64)&1 == 1 }
