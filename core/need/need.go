// Package need says how much a place needs more of a service: the weight of the need map, from what
// is proved there and what is paid there.
//
// Each cell has a need of its own, from 0 to MaxExtra: how far its supply falls short of what is
// expected of a cell, and how much of the demand that counts in full is paid there. The weight of a
// place is Base plus the average of the needs of its cell and the cells within Rings around it. An
// average over a disk has no edges: two neighbours share most of their disks, whatever parents they
// have in the hierarchy of cells, so that moving by a cell changes little (products over parent cells
// pay a device on one side of a line three times what they pay its neighbour).
//
// INV-NEED-1: Base <= weight <= Base+MaxExtra.
//
// INV-NEED-2: weights of neighbours differ by at most MaxStep, away from the twelve pentagons.
//
// INV-NEED-3: more supply never raises a weight, more demand never lowers one.
package need

import (
	"github.com/cairn-network/cairn/core/price"
)

const (
	// Base is the weight of a place that needs nothing, per mille.
	Base = 1000
	// MaxExtra is what the greatest need adds.
	MaxExtra = 2000
	// Rings around a cell whose needs count for it.
	Rings = 2
	// DiskCells is the most cells within Rings.
	DiskCells = 1 + 3*Rings*(Rings+1)
	// MaxStep is the most that weights of neighbours differ by: disks of radius 2 around neighbours
	// have 14 of 19 cells in common; one more for rounding.
	MaxStep = MaxExtra*5/DiskCells + 1

	// unasked is how much of its scarcity a cell needs where nobody has paid anything yet, per mille:
	// a little, so that new places can begin.
	unasked  = 250
	perMille = 1000
)

// Target is what a cell is measured by.
type Target struct {
	// Supply in units from which a cell needs no more; 0 asks for none.
	Supply uint64
	// Demand paid in an epoch, acairn, from which demand counts in full; 0 counts any in full.
	Demand price.Amount
}

// Cell is what happened in a cell in an epoch.
type Cell struct {
	// Supply proved, in units.
	Supply uint64
	// Demand paid, acairn.
	Demand price.Amount
}

// Of is the cell's own need, 0..MaxExtra.
func (t Target) Of(c Cell) uint32 {
	if c.Supply >= t.Supply {
		return 0
	}
	short := price.FromUint64(MaxExtra).Share(price.FromUint64(t.Supply-c.Supply), price.FromUint64(t.Supply))
	asked := uint64(perMille)
	if c.Demand.Cmp(t.Demand) < 0 {
		asked = unasked + price.FromUint64(perMille-unasked).Share(c.Demand, t.Demand).Lo
	}
	return uint32(short.Lo * asked / perMille)
}

// Weight is a place's weight from the own needs of the cells in its disk: its own and those within
// Rings. Fewer than DiskCells, at most, around a pentagon; none gives Base.
func Weight(needs []uint32) uint32 {
	if len(needs) == 0 {
		return Base
	}
	var sum uint64
	for _, n := range needs {
		sum += uint64(min(n, MaxExtra))
	}
	return Base + uint32(sum/uint64(len(needs)))
}
