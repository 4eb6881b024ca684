package audit

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	auditv1 "github.com/cairn-network/cairn/api/cairn/audit/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// runHooks lets every module close the ended epoch, each on its own: what one does wrong is undone and
// recorded, and the next goes on.
func (k *Keeper) runHooks(ctx context.Context, ended auditv1.Epoch, gas uint64) error {
	for _, hook := range k.hooks {
		work := func(ctx context.Context) error { return hook.AfterEpoch(ctx, ended) }
		if err := k.attempt(ctx, hook.Name, ended.Number, gas, work); err != nil {
			return err
		}
	}
	return nil
}

// attempt does a piece of an epoch's end on its own: if it fails, it is undone and recorded. An error
// is one of recording that.
func (k *Keeper) attempt(ctx context.Context, name string, epoch, gas uint64, work func(context.Context) error) error {
	kind, failed := contained(ctx, gas, work)
	if failed == nil {
		return nil
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	sdkCtx.Logger().Error("work at an epoch's end failed and was undone", "epoch", epoch, "hook", name, "error", failed)
	failure := auditv1.HookFailure{Epoch: epoch, Hook: name, Height: sdkCtx.BlockHeight(), Error: kind}
	if err := k.failures.Set(ctx, collections.Join(epoch, name), failure); err != nil {
		return errorsmod.Wrapf(err, "recording the failure of %s", name)
	}
	event := &auditv1.EventHookFailed{Epoch: failure.Epoch, Hook: failure.Hook, Error: modkit.Clip(failed.Error())}
	return errorsmod.Wrap(sdkCtx.EventManager().EmitTypedEvent(event), "emitting event")
}

// Kinds of failure other than the registered errors, which are named by codespace and code. The state
// holds the kind alone: words may hold what differs between machines, such as an address, and go to
// the log and the event, which no hash covers.
const (
	failedByGas   = "out of gas"
	failedByPanic = "panic"
)

// contained does work on a copy of the state that is kept only if the work succeeds. It gives the kind
// of failure and its words.
func contained(ctx context.Context, gas uint64, work func(context.Context) error) (kind string, err error) {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	cached, write := sdkCtx.WithGasMeter(storetypes.NewGasMeter(gas)).CacheContext()
	defer func() {
		switch r := recover().(type) {
		case nil:
		case storetypes.ErrorOutOfGas:
			kind, err = failedByGas, fmt.Errorf("used more than %d gas in %s", gas, r.Descriptor)
		default:
			kind, err = failedByPanic, fmt.Errorf("panicked: %v", r)
		}
	}()
	if err := work(cached); err != nil {
		codespace, code, _ := errorsmod.ABCIInfo(err, false)
		return fmt.Sprintf("error %s %d", codespace, code), err
	}
	write()
	return "", nil
}

// forgetFailures drops what is recorded of an epoch.
func (k *Keeper) forgetFailures(ctx context.Context, epoch uint64) error {
	return errorsmod.Wrapf(k.failures.Clear(ctx, collections.NewPrefixedPairRange[uint64, string](epoch)),
		"forgetting failures of epoch %d", epoch)
}
