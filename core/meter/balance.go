package meter

import (
	"fmt"

	"github.com/cairn-network/cairn/core/grid"
)

// Balance is a community's slot: what came from where and went where.
type Balance struct {
	Produced, GridImport, StoredOut grid.WattHours
	Consumed, GridExport, StoredIn  grid.WattHours
	// Losses are what is left: positive where lines lost it, negative where meters counted more than
	// came in.
	Losses grid.WattHours
	// Shared is what members took from each other: the smaller of what they gave and took.
	Shared grid.WattHours
	// State says how far the slot is believed.
	State State
}

// Balance gives a slot's balance: INV-METER-BALANCE holds for it. Where no head meter told the slot,
// grid import and export are what is left between the members, and nothing is lost. loss is what the
// community's lines may lose. ErrBalance if members consumed less than nothing.
func (f Flow) Balance(loss grid.PPM) (Balance, error) {
	b := Balance{
		Produced: f.Generation, StoredIn: f.StoredIn, StoredOut: f.StoredOut,
		Consumed: f.Import + f.Generation + f.StoredOut - f.Export - f.StoredIn,
		Shared:   min(f.Import, f.Export),
	}
	if f.Heads > 0 {
		b.GridImport, b.GridExport = f.HeadImport, f.HeadExport
		b.Shared = max(0, min(f.Import, f.Export, f.Export-f.HeadExport))
		b.State = Feeder{
			Head: f.HeadImport - f.HeadExport, Sum: f.Import - f.Export, Squares: f.Squares, Loss: loss,
			Through: f.Import + f.Export, Meters: f.Told,
		}.State()
	} else if net := f.Import - f.Export; net > 0 {
		b.GridImport = net
	} else {
		b.GridExport = -net
	}
	b.Losses = b.Produced + b.GridImport + b.StoredOut - b.Consumed - b.GridExport - b.StoredIn
	// Each site's load may fall below zero by what its registers' steps and accuracy allow.
	if b.Consumed < -(floor*grid.WattHours(f.Told) + (f.Export+f.StoredIn)/50) {
		return b, fmt.Errorf("%w: %d Wh consumed", ErrBalance, b.Consumed)
	}
	return b, nil
}

// SelfSufficiency is the part of consumption that did not come from the grid, in basis points.
func (b Balance) SelfSufficiency() uint32 {
	if b.Consumed <= 0 {
		return 0
	}
	return uint32(max(0, b.Consumed-b.GridImport) * 10_000 / b.Consumed)
}
