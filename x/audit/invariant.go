package audit

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// Invariants are the properties of epochs and beacons that always hold.
func (k *Keeper) Invariants() []modkit.Invariant {
	return []modkit.Invariant{
		{Name: "INV-EPOCH", Check: k.checkEpochs},
		{Name: "INV-HOOK", Check: k.checkFailures},
		{Name: "INV-AUDIT-BOND", Check: k.checkBonds},
		{Name: "INV-REPORT", Check: k.checkReports},
	}
}

// checkEpochs: INV-EPOCH: the epochs that are kept follow one another without a gap, in number and
// in height, up to the running one; each has a beacon, and is weak just if nobody contributed.
func (k *Keeper) checkEpochs(ctx context.Context) error {
	epochs, err := values(ctx, k.epochs)
	if err != nil {
		return err
	}
	if err := validateEpochs(epochs); err != nil {
		return err
	}
	current, err := k.current.Get(ctx)
	if err != nil {
		return err
	}
	if len(epochs) == 0 || epochs[len(epochs)-1].Number != current {
		return fmt.Errorf("the running epoch %d is not the last of %d", current, len(epochs))
	}
	return nil
}

// checkFailures: INV-HOOK: every failure that is recorded stands under its epoch and hook, and its
// epoch has ended.
func (k *Keeper) checkFailures(ctx context.Context) error {
	current, err := k.current.Get(ctx)
	if err != nil {
		return err
	}
	return k.failures.Walk(ctx, nil, func(key collections.Pair[uint64, string], f auditv1.HookFailure) (bool, error) {
		if key.K1() != f.Epoch || key.K2() != f.Hook || f.Epoch >= current {
			return true, fmt.Errorf("failure of %s at epoch %d stands under %s, %d, in epoch %d", f.Hook, f.Epoch, key.K2(), key.K1(), current)
		}
		return false, nil
	})
}
