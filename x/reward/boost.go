package reward

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/geo"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/score"
)

// addBoost escrows a sponsor's money for a cell, from the next epoch on.
func (k *Keeper) addBoost(ctx sdk.Context, sponsor sdk.AccAddress, b rewardv1.Boost, epochs uint64) (uint64, sdk.Coin, error) {
	params, err := k.Params(ctx)
	if err != nil {
		return 0, sdk.Coin{}, err
	}
	perEpoch, err := parseAmount("per_epoch", b.PerEpoch)
	if err != nil {
		return 0, sdk.Coin{}, err
	}
	if b.PerEpoch.LT(params.MinBoost) || perEpoch.IsZero() {
		return 0, sdk.Coin{}, errorsmod.Wrapf(ErrAmount, "per_epoch %s: want at least %s", b.PerEpoch, params.MinBoost)
	}
	if epochs == 0 || epochs > params.MaxBoostEpochs {
		return 0, sdk.Coin{}, errorsmod.Wrapf(ErrField, "epochs %d: want 1 to %d", epochs, params.MaxBoostEpochs)
	}
	if err := geo.Cell(b.Cell).Check(int(params.NeedResolution)); err != nil {
		return 0, sdk.Coin{}, errorsmod.Wrap(ErrCell, err.Error())
	}
	current, err := k.epochs.Current(ctx)
	if err != nil {
		return 0, sdk.Coin{}, err
	}
	if err := k.makeRoom(ctx, params, b.Service, b.Cell, current.Number); err != nil {
		return 0, sdk.Coin{}, err
	}
	b.First = sum(current.Number, 1)
	b.Last = sum(current.Number, epochs)
	b.Left = b.PerEpoch.Mul(math.NewIntFromUint64(epochs))
	if _, err := parseAmount("per_epoch times epochs", b.Left); err != nil {
		return 0, sdk.Coin{}, err
	}
	escrow := sdk.Coin{Denom: price.Denom, Amount: b.Left}
	if err := k.bank.SendCoinsFromAccountToModule(ctx, sponsor, ModuleName, sdk.Coins{escrow}); err != nil {
		return 0, sdk.Coin{}, errorsmod.Wrapf(err, "taking %s from %s into escrow", escrow, b.Sponsor)
	}
	if b.Id, err = k.nextBoost.Next(ctx); err != nil {
		return 0, sdk.Coin{}, errorsmod.Wrap(err, "numbering a boost")
	}
	return b.Id, escrow, errorsmod.Wrapf(k.boosts.Set(ctx, b.Id, b), "writing boost %d", b.Id)
}

// makeRoom ends boosts of a cell that are over, and says whether one more may stand there.
func (k *Keeper) makeRoom(ctx sdk.Context, params rewardv1.Params, service uint32, cell, epoch uint64) error {
	boosts, err := k.boostsOf(ctx, service, cell)
	if err != nil {
		return err
	}
	standing := 0
	for _, b := range boosts {
		if b.Last >= epoch {
			standing++
			continue
		}
		if _, err := k.endBoost(ctx, b); err != nil {
			return err
		}
	}
	if standing >= int(params.MaxBoostsPerCell) {
		return errorsmod.Wrapf(ErrTooMany, "cell %x has %d boosts: at most %d", cell, standing, params.MaxBoostsPerCell)
	}
	return nil
}

// boostsOf lists the boosts of a cell: bounded by params.max_boosts_per_cell.
func (k *Keeper) boostsOf(ctx context.Context, service uint32, cell uint64) ([]rewardv1.Boost, error) {
	found, err := k.boosts.Indexes.Cell.MatchExact(ctx, collections.Join(service, cell))
	if err != nil {
		return nil, errorsmod.Wrapf(err, "looking up boosts of cell %x", cell)
	}
	ids, err := found.PrimaryKeys()
	if err != nil {
		return nil, errorsmod.Wrapf(err, "looking up boosts of cell %x", cell)
	}
	boosts := make([]rewardv1.Boost, len(ids))
	for i, id := range ids {
		if boosts[i], err = k.boosts.Get(ctx, id); err != nil {
			return nil, errorsmod.Wrapf(err, "reading boost %d", id)
		}
	}
	return boosts, nil
}

// draw takes what boosts give a cell for an epoch out of their escrows and burns it. The same amount
// joins the epoch's pools: it is minted again when the devices claim.
func (k *Keeper) draw(ctx context.Context, epoch uint64, service score.Service, place geo.Cell) (math.Int, error) {
	boosts, err := k.boostsOf(ctx, uint32(service), uint64(place))
	if err != nil {
		return zero, err
	}
	drawn := math.ZeroInt()
	for _, b := range boosts {
		if epoch < b.First || epoch > b.Last || b.PaidEpoch >= epoch || b.Left.LT(b.PerEpoch) {
			continue
		}
		b.Left = b.Left.Sub(b.PerEpoch)
		b.PaidEpoch = epoch
		if err := k.boosts.Set(ctx, b.Id, b); err != nil {
			return zero, errorsmod.Wrapf(err, "writing boost %d", b.Id)
		}
		drawn = drawn.Add(b.PerEpoch)
	}
	if drawn.IsZero() {
		return drawn, nil
	}
	if err := k.bank.BurnCoins(ctx, ModuleName, sdk.Coins{{Denom: price.Denom, Amount: drawn}}); err != nil {
		return zero, errorsmod.Wrap(err, "burning boosts")
	}
	total, err := k.total(ctx, epoch, uint32(service))
	if err != nil {
		return zero, err
	}
	total.Boost = total.Boost.Add(drawn)
	return drawn, errorsmod.Wrap(k.totals.Set(ctx, collections.Join(epoch, uint32(service)), total), "writing totals")
}

// endBoost gives back what is left of a boost and forgets it.
func (k *Keeper) endBoost(ctx sdk.Context, b rewardv1.Boost) (sdk.Coin, error) {
	refund := sdk.Coin{Denom: price.Denom, Amount: b.Left}
	sponsor, err := k.addresses.StringToBytes(b.Sponsor)
	if err != nil {
		return refund, errorsmod.Wrapf(ErrAddress, "sponsor of boost %d: %s", b.Id, err)
	}
	if err := k.boosts.Remove(ctx, b.Id); err != nil {
		return refund, errorsmod.Wrapf(err, "removing boost %d", b.Id)
	}
	if err := k.send(ctx, sponsor, refund.Amount); err != nil {
		return refund, errorsmod.Wrapf(err, "giving back what is left of boost %d", b.Id)
	}
	return refund, emit(ctx, &rewardv1.EventBoostEnded{Id: b.Id, Refund: refund})
}
