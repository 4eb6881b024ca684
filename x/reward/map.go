package reward

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/need"
	"github.com/cairn-network/cairn/core/score"
)

// weigh computes the need of a cell in an epoch from what happened in and around it the epoch before:
// facts that cannot change any more, and that the app hash commits to.
func (k *Keeper) weigh(ctx context.Context, params rewardv1.Params, epoch uint64, service score.Service, place geo.Cell) (uint32, error) {
	weight := weightOf(params, service)
	target := need.Target{Supply: weight.CellSupply, Demand: amount(weight.CellDemand)}
	var needs []uint32
	for _, near := range place.Disk(need.Rings) {
		c, err := k.cell(ctx, collections.Join3(max(epoch, 1)-1, uint32(service), uint64(near)))
		if err != nil {
			return 0, errorsmod.Wrapf(err, "weighing cell %s", place)
		}
		needs = append(needs, target.Of(need.Cell{Supply: c.Units, Demand: amount(c.Paid)}))
	}
	return need.Weight(needs), nil
}

// Need gives how much a place needs a service in an epoch, per mille: that of the cell of the need map
// that it lies in. The map's resolution and targets are those in force now.
func (k *Keeper) Need(ctx context.Context, epoch uint64, service score.Service, place geo.Cell) (uint32, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return 0, err
	}
	cell, mapped := mapCell(place, params)
	if !mapped {
		return need.Base, nil
	}
	c, err := k.cell(ctx, collections.Join3(epoch, uint32(service), uint64(cell)))
	if err != nil || c.Need > 0 {
		return c.Need, err
	}
	return k.weigh(ctx, params, epoch, service, cell)
}
