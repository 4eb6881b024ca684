package reward

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	rewardv1 "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
)

// Final takes a report that has become final: its devices may claim from now. What they earned beyond
// the final report before must be within the pools of the epoch (INV-REWARD); ErrReport if it is not,
// and then nothing changes. Coins come into being only when they are claimed: what is forfeited, or
// never asked for, is never minted.
func (k *Keeper) Final(ctx context.Context, service score.Service, epoch uint64, root report.Root) error {
	ledger, err := k.ledger(ctx, service)
	if err != nil {
		return err
	}
	if ledger.FinalEpoch >= epoch {
		return errorsmod.Wrapf(ErrReport, "epoch %d of %s: epoch %d is final already", epoch, service, ledger.FinalEpoch)
	}
	pools, err := k.Pools(ctx, service, epoch)
	if err != nil {
		return err
	}
	budget, _ := pools.Budget() // fitted when the epoch was closed
	added, less := root.Earned.Sub(amount(ledger.Earned))
	if less || added.Cmp(budget) > 0 {
		return errorsmod.Wrapf(ErrReport, "epoch %d of %s: earned %s after %s, the pools hold %s", epoch, service, root.Earned, ledger.Earned, budget)
	}
	ledger.Earned, ledger.FinalEpoch = toInt(root.Earned), epoch
	if err := k.ledgers.Set(ctx, uint32(service), ledger); err != nil {
		return errorsmod.Wrapf(err, "writing ledger of %s", service)
	}
	if err := k.roots.Set(ctx, collections.Join(uint32(service), epoch), rewardv1.Root{
		Service: uint32(service),
		Epoch:   epoch,
		Hash:    root.Hash[:],
		Devices: root.Leaves,
		Points:  root.Points,
		Earned:  ledger.Earned,
	}); err != nil {
		return errorsmod.Wrapf(err, "writing root of epoch %d of %s", epoch, service)
	}
	if err := k.forgetRoot(ctx, service); err != nil {
		return err
	}
	return emit(sdk.UnwrapSDKContext(ctx), &rewardv1.EventReportPayable{Epoch: epoch, Service: uint32(service), Earned: toInt(added)})
}

// forgetRoot removes a service's oldest roots until no more stand than claims may name: one, or a few
// after a vote has lowered the number.
func (k *Keeper) forgetRoot(ctx context.Context, service score.Service) error {
	params, err := k.Params(ctx)
	if err != nil {
		return err
	}
	roots, err := k.rootsOf(ctx, service)
	if err != nil {
		return err
	}
	for len(roots) > int(params.RetainRoots) {
		if err := k.roots.Remove(ctx, collections.Join(uint32(service), roots[0].Epoch)); err != nil {
			return errorsmod.Wrapf(err, "removing root of epoch %d of %s", roots[0].Epoch, service)
		}
		roots = roots[1:]
	}
	return nil
}

// rootsOf lists the roots of a service, ascending by epoch; at most one more than params.retain_roots.
func (k *Keeper) rootsOf(ctx context.Context, service score.Service) ([]rewardv1.Root, error) {
	var roots []rewardv1.Root
	err := k.roots.Walk(ctx, collections.NewPrefixedPairRange[uint32, uint64](uint32(service)), func(_ rootKey, r rewardv1.Root) (bool, error) {
		roots = append(roots, r)
		return false, nil
	})
	return roots, errorsmod.Wrapf(err, "reading roots of %s", service)
}

func rootOf(r rewardv1.Root) report.Root {
	return report.Root{Hash: [32]byte(r.Hash), Leaves: r.Devices, Points: r.Points, Earned: amount(r.Earned)}
}
