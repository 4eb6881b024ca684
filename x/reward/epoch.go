package reward

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/emission"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
)

// AfterEpoch fixes what every service may pay out for an epoch that has ended, and pays validators
// their part of what the schedule issued meanwhile. Its work depends on the number of services alone.
func (k *Keeper) AfterEpoch(ctx context.Context, ended auditv1.Epoch) error {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	params, err := k.Params(ctx)
	if err != nil {
		return err
	}
	seconds := uint64(max(sdkCtx.BlockTime().Unix()-ended.StartTime.Unix(), 0))
	seconds = min(seconds, params.MaxEpochSeconds)
	issued, err := k.issue(ctx, seconds)
	if err != nil {
		return err
	}
	weights := []uint32{params.ValidatorsPerMille}
	for _, s := range score.Services {
		weights = append(weights, weightOf(params, s).PerMille)
	}
	shares := emission.Split(issued, weights)
	if err := k.payValidators(sdkCtx, ended.Number, shares[0]); err != nil {
		return err
	}
	terms := termsOf(params, seconds)
	for i, s := range score.Services {
		if err := k.closeEpoch(sdkCtx, params, ended.Number, s, shares[i+1], terms); err != nil {
			return errorsmod.Wrapf(err, "closing epoch %d of %s", ended.Number, s)
		}
	}
	return nil
}

// issue moves the schedule on and gives what it issues for that time.
func (k *Keeper) issue(ctx context.Context, seconds uint64) (price.Amount, error) {
	e, err := k.emission.Get(ctx)
	if err != nil {
		return price.Amount{}, errorsmod.Wrap(err, "reading emission")
	}
	from := e.ElapsedSeconds
	e.ElapsedSeconds = sum(from, seconds)
	issued := schedule(e).Between(from, e.ElapsedSeconds)
	return issued, errorsmod.Wrap(k.emission.Set(ctx, e), "writing emission")
}

func schedule(e rewardv1.Emission) emission.Schedule {
	return emission.Schedule{Total: amount(e.Total), HalvingSeconds: e.HalvingSeconds}
}

// payValidators mints validators' part into the account that distribution empties every block.
func (k *Keeper) payValidators(ctx sdk.Context, epoch uint64, part price.Amount) error {
	if part.IsZero() {
		return nil
	}
	e, err := k.emission.Get(ctx)
	if err != nil {
		return errorsmod.Wrap(err, "reading emission")
	}
	coin := sdk.Coin{Denom: price.Denom, Amount: toInt(part)}
	if err := k.mint(ctx, e, coin); err != nil {
		return errorsmod.Wrap(err, "paying validators")
	}
	if err := k.bank.SendCoinsFromModuleToModule(ctx, ModuleName, k.validators, sdk.Coins{coin}); err != nil {
		return errorsmod.Wrap(err, "paying validators")
	}
	e.Validators = e.Validators.Add(coin.Amount)
	if err := k.emission.Set(ctx, e); err != nil {
		return errorsmod.Wrap(err, "writing emission")
	}
	return emit(ctx, &rewardv1.EventValidatorsPaid{Epoch: epoch, Amount: coin})
}

// mint makes coins in the module's account, never more than may exist.
func (k *Keeper) mint(ctx context.Context, e rewardv1.Emission, coin sdk.Coin) error {
	supply := k.bank.GetSupply(ctx, price.Denom).Amount
	if supply.Add(coin.Amount).GT(e.Cap) {
		return errorsmod.Wrapf(ErrCap, "%s exist, %s more would pass the cap of %s", supply, coin, e.Cap)
	}
	return errorsmod.Wrapf(k.bank.MintCoins(ctx, ModuleName, sdk.Coins{coin}), "minting %s", coin)
}

// termsOf gives the numbers of the rules for an epoch of that length.
func termsOf(p rewardv1.Params, seconds uint64) rewardv1.Terms {
	const trillion = 1_000_000_000_000 // seconds is at most a week: far from 64 bits
	return rewardv1.Terms{
		Usage:         p.UsagePerMille,
		Yield:         uint64(p.YieldPerMille) * seconds * (trillion / perMille) / yearSeconds,
		Share:         p.SharePerMille,
		Hold:          p.HoldPerMille,
		NeedHold:      p.NeedHoldPerMille,
		ReleaseEpochs: p.ReleaseEpochs,
		Miss:          p.MissPerMille,
		Fault:         p.FaultPerMille,
	}
}

// closeEpoch fixes a service's pools of an ended epoch. A service that is given nothing, and that
// nothing happened to, has no entry.
func (k *Keeper) closeEpoch(ctx sdk.Context, params rewardv1.Params, epoch uint64, service score.Service, bootstrap price.Amount, terms rewardv1.Terms) error {
	ledger, err := k.ledger(ctx, service)
	if err != nil {
		return err
	}
	total, err := k.total(ctx, epoch, uint32(service))
	if err != nil {
		return err
	}
	if bootstrap.IsZero() && ledger.Average.IsZero() && total.Burned.IsZero() && total.Boost.IsZero() {
		return nil
	}
	average := emission.Smooth(amount(ledger.Average), amount(total.Burned), params.SmoothingEpochs)
	// No rule pays more for usage than a part of what was burned in the same epoch, so no pool holds more:
	// whatever the average, and whatever votes do to it, usage never mints what was not burned.
	backed := average
	if burned := amount(total.Burned); burned.Cmp(backed) < 0 {
		backed = burned
	}
	pools := score.Pools{
		Usage:       backed.Share(price.FromUint64(uint64(params.UsagePerMille)), price.FromUint64(perMille)),
		Bootstrap:   bootstrap,
		Boost:       amount(total.Boost),
		TotalBurned: amount(total.Burned),
	}
	budget, over := pools.Budget()
	if over {
		return errorsmod.Wrapf(ErrAmount, "pools of epoch %d overflow", epoch)
	}
	ledger.Average = toInt(average)
	ledger.Pools = ledger.Pools.Add(toInt(budget))
	total.Pools = &rewardv1.Pools{
		Usage:       toInt(pools.Usage),
		Bootstrap:   toInt(pools.Bootstrap),
		Boost:       toInt(pools.Boost),
		TotalBurned: toInt(pools.TotalBurned),
		Terms:       terms,
	}
	if err := k.ledgers.Set(ctx, uint32(service), ledger); err != nil {
		return errorsmod.Wrap(err, "writing ledger")
	}
	if err := k.totals.Set(ctx, collections.Join(epoch, uint32(service)), total); err != nil {
		return errorsmod.Wrap(err, "writing totals")
	}
	return emit(ctx, &rewardv1.EventEpochPools{
		Epoch:     epoch,
		Service:   uint32(service),
		Usage:     total.Pools.Usage,
		Bootstrap: total.Pools.Bootstrap,
		Boost:     total.Pools.Boost,
	})
}

// Pools gives what a service may pay out for an epoch, with the numbers of the rules; ErrNoEpoch
// until the epoch has ended and after it is no longer kept.
func (k *Keeper) Pools(ctx context.Context, service score.Service, epoch uint64) (score.Pools, error) {
	total, err := k.total(ctx, epoch, uint32(service))
	if err != nil {
		return score.Pools{}, err
	}
	if total.Pools == nil {
		return score.Pools{}, errorsmod.Wrapf(ErrNoEpoch, "epoch %d of %s", epoch, service)
	}
	return poolsOf(*total.Pools), nil
}

func poolsOf(p rewardv1.Pools) score.Pools {
	terms := score.Terms{
		Usage:         p.Terms.Usage,
		Yield:         p.Terms.Yield,
		Share:         p.Terms.Share,
		NeedHold:      p.Terms.NeedHold,
		ReleaseEpochs: p.Terms.ReleaseEpochs,
		Miss:          p.Terms.Miss,
		Fault:         p.Terms.Fault,
	}
	copy(terms.Hold[:], p.Terms.Hold)
	return score.Pools{
		Usage:       amount(p.Usage),
		Bootstrap:   amount(p.Bootstrap),
		Boost:       amount(p.Boost),
		TotalBurned: amount(p.TotalBurned),
		Terms:       terms,
	}
}

// EndBlock removes facts of epochs, and incomes of months, that are no longer kept: at most a number of entries that
// governance sets.
func (k *Keeper) EndBlock(ctx context.Context) error {
	params, err := k.Params(ctx)
	if err != nil {
		return err
	}
	left := int(params.PrunePerBlock)
	first := oldestMonth(sdk.UnwrapSDKContext(ctx).BlockTime(), params.RetainMonths)
	if left, err = prune(ctx, k.incomes, left, func(key incomeKey) bool { return key.K1() < first }); err != nil {
		return errorsmod.Wrap(err, "removing incomes")
	}
	current, err := k.epochs.Current(ctx)
	if err != nil {
		return err
	}
	if current.Number <= params.RetainEpochs {
		return nil
	}
	oldest := current.Number - params.RetainEpochs
	return k.forget(ctx, oldest, left)
}

// forget removes what epochs before oldest left behind, at most so many entries: one epoch after the
// other, and of each its totals last, so that only the first epoch that is kept may be there in part.
func (k *Keeper) forget(ctx context.Context, oldest uint64, most int) error {
	for most > 0 {
		first, some, err := k.firstEpoch(ctx)
		if err != nil || !some || first >= oldest {
			return err
		}
		if most, err = prune(ctx, k.facts, most, func(key epochItemKey) bool { return key.K1() == first }); err != nil {
			return errorsmod.Wrap(err, "removing facts")
		}
		if most, err = prune(ctx, k.cells, most, func(key epochItemKey) bool { return key.K1() == first }); err != nil {
			return errorsmod.Wrap(err, "removing cells")
		}
		if most, err = prune(ctx, k.totals, most, func(key epochKey) bool { return key.K1() == first }); err != nil {
			return errorsmod.Wrap(err, "removing totals")
		}
	}
	return nil
}

// firstEpoch gives the first epoch that anything is kept of.
func (k *Keeper) firstEpoch(ctx context.Context) (epoch uint64, some bool, err error) {
	earliest := func(first uint64, any bool) {
		if any && (!some || first < epoch) {
			epoch, some = first, true
		}
	}
	fact, any, err := firstKey(ctx, k.facts)
	if err != nil {
		return 0, false, errorsmod.Wrap(err, "reading facts")
	}
	earliest(fact.K1(), any)
	cell, any, err := firstKey(ctx, k.cells)
	if err != nil {
		return 0, false, errorsmod.Wrap(err, "reading cells")
	}
	earliest(cell.K1(), any)
	total, any, err := firstKey(ctx, k.totals)
	if err != nil {
		return 0, false, errorsmod.Wrap(err, "reading totals")
	}
	earliest(total.K1(), any)
	return epoch, some, nil
}

// firstKey gives the first key of a map, false if it is empty.
func firstKey[K, V any](ctx context.Context, m collections.Map[K, V]) (key K, some bool, err error) {
	iterator, err := m.Iterate(ctx, nil)
	if err != nil {
		return key, false, err
	}
	if some = iterator.Valid(); some {
		key, err = iterator.Key()
	}
	return key, some, firstOf(err, iterator.Close())
}

// prune removes entries from the beginning of a map while they are old, at most so many, and gives how
// many more it might have removed.
func prune[K, V any](ctx context.Context, m collections.Map[K, V], most int, old func(K) bool) (left int, err error) {
	if most <= 0 {
		return 0, nil
	}
	iterator, err := m.Iterate(ctx, nil)
	if err != nil {
		return 0, err
	}
	var keys []K
	for ; iterator.Valid() && len(keys) < most; iterator.Next() {
		key, err := iterator.Key()
		if err != nil {
			return 0, firstOf(err, iterator.Close())
		}
		if !old(key) {
			break
		}
		keys = append(keys, key)
	}
	if err := iterator.Close(); err != nil {
		return 0, err
	}
	for _, key := range keys {
		if err := m.Remove(ctx, key); err != nil {
			return 0, err
		}
	}
	return most - len(keys), nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func emit(ctx sdk.Context, event proto.Message) error {
	return errorsmod.Wrap(ctx.EventManager().EmitTypedEvent(event), "emitting event")
}

var zero = math.ZeroInt()
