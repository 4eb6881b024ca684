package reward

import (
	"context"
	"errors"
	"math"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdkmath "cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
)

// What the running epoch gathers. Each function here is called by a message, does work that does not
// depend on how many devices there are, and writes at most one entry of each kind.

func newLedger(service uint32) rewardv1.Ledger {
	zero := sdkmath.ZeroInt()
	return rewardv1.Ledger{Service: service, Average: zero, Earned: zero, Claimed: zero, Pools: zero}
}

func newEpoch(epoch uint64, service uint32) rewardv1.Epoch {
	return rewardv1.Epoch{Epoch: epoch, Service: service, Burned: sdkmath.ZeroInt(), Boost: sdkmath.ZeroInt()}
}

func newFact(key epochItemKey) rewardv1.DeviceEpoch {
	return rewardv1.DeviceEpoch{Epoch: key.K1(), Service: key.K2(), Device: key.K3(), Burned: sdkmath.ZeroInt()}
}

func newCell(key epochItemKey) rewardv1.CellEpoch {
	return rewardv1.CellEpoch{Epoch: key.K1(), Service: key.K2(), Cell: key.K3(), Paid: sdkmath.ZeroInt(), Boost: sdkmath.ZeroInt()}
}

func (k *Keeper) total(ctx context.Context, epoch uint64, service uint32) (rewardv1.Epoch, error) {
	t, err := orNew(ctx, k.totals, collections.Join(epoch, service), func() rewardv1.Epoch { return newEpoch(epoch, service) })
	return t, errorsmod.Wrapf(err, "reading totals of epoch %d", epoch)
}

func (k *Keeper) fact(ctx context.Context, key epochItemKey) (rewardv1.DeviceEpoch, error) {
	f, err := orNew(ctx, k.facts, key, func() rewardv1.DeviceEpoch { return newFact(key) })
	return f, errorsmod.Wrapf(err, "reading facts of device %d in epoch %d", key.K3(), key.K1())
}

func (k *Keeper) cell(ctx context.Context, key epochItemKey) (rewardv1.CellEpoch, error) {
	c, err := orNew(ctx, k.cells, key, func() rewardv1.CellEpoch { return newCell(key) })
	return c, errorsmod.Wrapf(err, "reading cell %x in epoch %d", key.K3(), key.K1())
}

// AfterSettle records that a settlement paid a device's owner and burned a fee. The market calls it
// once a device and message. Resources that are no service, and other denominations than CAIRN, are
// income of the owner and earn no reward.
func (k *Keeper) AfterSettle(ctx context.Context, device uint64, resource string, paid, burned sdk.Coin) error {
	d, err := k.devices.Device(ctx, device)
	if err != nil {
		return errorsmod.Wrapf(err, "looking up device %d", device)
	}
	if err := k.income(ctx, d.Owner, paid.Denom, func(i *rewardv1.Income) {
		i.Leases = i.Leases.Add(paid.Amount)
		i.Burned = i.Burned.Add(burned.Amount)
	}); err != nil {
		return err
	}
	service, err := score.ParseService(resource)
	if err != nil || burned.Denom != price.Denom || paid.Denom != price.Denom {
		return nil
	}
	epoch, err := k.epochs.Current(ctx)
	if err != nil {
		return errorsmod.Wrap(err, "recording a settlement")
	}
	total, err := k.total(ctx, epoch.Number, uint32(service))
	if err != nil {
		return err
	}
	total.Burned = total.Burned.Add(burned.Amount)
	if err := k.totals.Set(ctx, collections.Join(epoch.Number, uint32(service)), total); err != nil {
		return errorsmod.Wrapf(err, "writing totals of epoch %d", epoch.Number)
	}
	key := collections.Join3(epoch.Number, uint32(service), device)
	f, err := k.fact(ctx, key)
	if err != nil {
		return err
	}
	f.Burned = f.Burned.Add(burned.Amount)
	if err := k.facts.Set(ctx, key, f); err != nil {
		return errorsmod.Wrapf(err, "writing facts of device %d", device)
	}
	return k.addDemand(ctx, epoch.Number, service, geo.Cell(d.Cell), paid.Amount)
}

// addDemand counts money in the cell of the device that got it.
func (k *Keeper) addDemand(ctx context.Context, epoch uint64, service score.Service, at geo.Cell, paid sdkmath.Int) error {
	params, err := k.Params(ctx)
	if err != nil {
		return err
	}
	place, mapped := mapCell(at, params)
	if !mapped {
		return nil
	}
	key := collections.Join3(epoch, uint32(service), uint64(place))
	c, err := k.cell(ctx, key)
	if err != nil {
		return err
	}
	c.Paid = c.Paid.Add(paid)
	return errorsmod.Wrapf(k.cells.Set(ctx, key, c), "writing cell %s", place)
}

// mapCell gives the cell of the need map that a place lies in, false for a device that does not say
// where it is.
func mapCell(place geo.Cell, params rewardv1.Params) (geo.Cell, bool) {
	if place == 0 {
		return 0, false
	}
	return place.Parent(int(params.NeedResolution))
}

// AddSupply records that a device has shown, in the running epoch, that it holds units of a service:
// the lesser of what it proved and what is leased of it. Services call it when a challenge is
// passed; further calls of the same epoch change nothing. place is the device's cell as it is
// registered, tier its effective tier.
func (k *Keeper) AddSupply(ctx context.Context, service score.Service, device uint64, place geo.Cell, tier uint32, units uint64) error {
	if !service.Valid() {
		return errorsmod.Wrapf(ErrService, "service %d", uint8(service))
	}
	epoch, err := k.epochs.Current(ctx)
	if err != nil {
		return errorsmod.Wrap(err, "recording supply")
	}
	key := collections.Join3(epoch.Number, uint32(service), device)
	f, err := k.fact(ctx, key)
	if err != nil || f.Units > 0 || units == 0 {
		return err
	}
	params, err := k.Params(ctx)
	if err != nil {
		return err
	}
	f.Units = units
	cell, mapped := mapCell(place, params)
	if mapped {
		f.Cell = uint64(cell)
		if tier >= params.BoostTier {
			f.BoostedUnits = units
		}
		if err := k.addToCell(ctx, params, epoch.Number, service, cell, f); err != nil {
			return err
		}
	}
	return errorsmod.Wrapf(k.facts.Set(ctx, key, f), "writing facts of device %d", device)
}

// addToCell counts a device's supply in its cell. The first supply of an epoch fixes the cell's need,
// and the first that boosts are shared by takes them from their escrows.
func (k *Keeper) addToCell(ctx context.Context, params rewardv1.Params, epoch uint64, service score.Service, place geo.Cell, f rewardv1.DeviceEpoch) error {
	key := collections.Join3(epoch, uint32(service), uint64(place))
	c, err := k.cell(ctx, key)
	if err != nil {
		return err
	}
	if c.Need == 0 {
		if c.Need, err = k.weigh(ctx, params, epoch, service, place); err != nil {
			return err
		}
	}
	if c.BoostedUnits == 0 && f.BoostedUnits > 0 {
		if c.Boost, err = k.draw(ctx, epoch, service, place); err != nil {
			return err
		}
	}
	c.Units = sum(c.Units, f.Units)
	c.BoostedUnits = sum(c.BoostedUnits, f.BoostedUnits)
	return errorsmod.Wrapf(k.cells.Set(ctx, key, c), "writing cell %s", place)
}

// sum is a+b, or all that 64 bits hold.
func sum(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// Usage gives what a device's settlements burned in an epoch, acairn: of an epoch that is over and
// still kept, for ever the same.
func (k *Keeper) Usage(ctx context.Context, service score.Service, epoch, device uint64) (price.Amount, error) {
	f, err := k.fact(ctx, collections.Join3(epoch, uint32(service), device))
	return amount(f.Burned), err
}

// Complete fills what this module knows of a device into a fact of it: Burned, Cell, Need and Boost.
// Service, Epoch and Device must be set. Of an epoch that is over it gives the same as long as the
// epoch is kept, and ErrNoEpoch from then on: what is removed must not read as nothing.
func (k *Keeper) Complete(ctx context.Context, f *score.Fact) error {
	params, err := k.Params(ctx)
	if err != nil {
		return err
	}
	current, err := k.epochs.Current(ctx)
	if err != nil {
		return errorsmod.Wrap(err, "completing a fact")
	}
	if current.Number > f.Epoch && current.Number-f.Epoch > params.RetainEpochs {
		return errorsmod.Wrapf(ErrNoEpoch, "epoch %d: kept are %d, the running one is %d", f.Epoch, params.RetainEpochs, current.Number)
	}
	own, err := k.fact(ctx, collections.Join3(f.Epoch, uint32(f.Service), f.Device))
	if err != nil {
		return err
	}
	f.Burned, f.Cell, f.Need, f.Boost = amount(own.Burned), geo.Cell(own.Cell), score.MinNeed, price.Amount{}
	if own.Cell == 0 {
		return nil
	}
	c, err := k.cell(ctx, collections.Join3(f.Epoch, uint32(f.Service), own.Cell))
	if err != nil {
		return err
	}
	f.Need = max(c.Need, score.MinNeed)
	f.Boost = amount(c.Boost).Share(price.FromUint64(own.BoostedUnits), price.FromUint64(c.BoostedUnits))
	return nil
}

// absent says whether an error is about something that is not there.
func absent(err error) bool { return errors.Is(err, collections.ErrNotFound) }
