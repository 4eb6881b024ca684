package audit

import (
	"context"
	"math/bits"

	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/core/beacon"
)

// wholeBps is all of the voting power in basis points.
const wholeBps = 10_000

// A schedule says at which heights the running epoch's successor is prepared and started.
type schedule struct {
	collect int64 // first block that brings outputs
	due     int64 // first block that may start the next epoch
	anyway  int64 // from here on any output is enough
	weak    int64 // from here on none is needed
}

func newSchedule(epoch auditv1.Epoch, p auditv1.BeaconParams) schedule {
	due := epoch.StartHeight + int64(p.EpochBlocks)
	anyway := due + int64(p.PatienceBlocks)
	return schedule{
		collect: due - int64(p.CollectBlocks) + 1,
		due:     due,
		anyway:  anyway,
		weak:    anyway + int64(p.LastResortBlocks),
	}
}

// turns says whether the block at a height starts the next epoch, with outputs of so much of the
// voting power.
func (s schedule) turns(height int64, powerBps, minPowerBps, outputs uint32) bool {
	switch {
	case height < s.due:
		return false
	case height < s.anyway:
		return powerBps > minPowerBps
	case height < s.weak:
		return outputs > 0
	default:
		return true
	}
}

// shareBps is part of whole in basis points, rounded down, at most all.
func shareBps(part, whole int64) uint32 {
	if part <= 0 || whole <= 0 {
		return 0
	}
	if part >= whole {
		return wholeBps
	}
	hi, lo := bits.Mul64(uint64(part), wholeBps)
	share, _ := bits.Div64(hi, lo, uint64(whole))
	return uint32(share)
}

// Collects says whether the block at a height must bring the votes on the block before it. It is
// asked of the state that the block is built on.
func (k *Keeper) Collects(ctx context.Context, height int64) (bool, error) {
	epoch, err := k.Current(ctx)
	if err != nil {
		return false, err
	}
	params, err := k.Params(ctx)
	if err != nil {
		return false, err
	}
	return height >= newSchedule(epoch, params.Beacon).collect, nil
}

// round is what outputs for the successor of an epoch are made for.
func round(ctx context.Context, epoch auditv1.Epoch) beacon.Round {
	r := beacon.Round{ChainID: sdk.UnwrapSDKContext(ctx).ChainID(), Epoch: epoch.Number + 1}
	copy(r.Previous[:], epoch.Beacon)
	return r
}

// begin starts an epoch in this block and makes room for it.
func (k *Keeper) begin(ctx context.Context, epoch auditv1.Epoch, params auditv1.BeaconParams) error {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	epoch.StartHeight = max(1, sdkCtx.BlockHeight())
	epoch.StartTime = sdkCtx.BlockTime()
	if err := k.epochs.Set(ctx, epoch.Number, epoch); err != nil {
		return errorsmod.Wrapf(err, "writing epoch %d", epoch.Number)
	}
	if err := k.current.Set(ctx, epoch.Number); err != nil {
		return errorsmod.Wrap(err, "writing the running epoch's number")
	}
	if err := k.prune(ctx, epoch.Number, params.RetainEpochs); err != nil {
		return err
	}
	return errorsmod.Wrap(sdkCtx.EventManager().EmitTypedEvent(&auditv1.EventEpochStarted{
		Epoch: epoch.Number, Beacon: epoch.Beacon, PowerBps: epoch.PowerBps, Outputs: epoch.Outputs, Weak: epoch.Weak,
	}), "emitting event")
}

// pruneEpochs is how many old epochs go when one begins: two, so that a lowered retain_epochs is
// reached in time.
const pruneEpochs = 2

func (k *Keeper) prune(ctx context.Context, current uint64, retain uint32) error {
	var old []uint64
	err := k.epochs.Walk(ctx, nil, func(number uint64, _ auditv1.Epoch) (bool, error) {
		if number+uint64(retain) >= current || len(old) == pruneEpochs {
			return true, nil
		}
		old = append(old, number)
		return false, nil
	})
	if err != nil {
		return errorsmod.Wrap(err, "looking for old epochs")
	}
	for _, number := range old {
		if err := k.epochs.Remove(ctx, number); err != nil {
			return errorsmod.Wrapf(err, "forgetting epoch %d", number)
		}
		if err := k.forgetFailures(ctx, number); err != nil {
			return err
		}
	}
	return nil
}
