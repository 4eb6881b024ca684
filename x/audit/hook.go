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
		kind, failed := runHook(ctx, hook, ended, gas)
		if failed == nil {
			continue
		}
		sdkCtx := sdk.UnwrapSDKContext(ctx)
		sdkCtx.Logger().Error("work at an epoch's end failed and was undone", "epoch", ended.Number, "hook", hook.Name, "error", failed)
		failure := auditv1.HookFailure{
			Epoch: ended.Number, Hook: hook.Name, Height: sdkCtx.BlockHeight(), Error: kind,
		}
		if err := k.failures.Set(ctx, collections.Join(ended.Number, hook.Name), failure); err != nil {
			return errorsmod.Wrapf(err, "recording the failure of %s", hook.Name)
		}
		event := &auditv1.EventHookFailed{Epoch: failure.Epoch, Hook: failure.Hook, Error: modkit.Clip(failed.Error())}
		if err := sdkCtx.EventManager().EmitTypedEvent(event); err != nil {
			return errorsmod.Wrap(err, "emitting event")
		}
	}
	return nil
}

// Kinds of failure other than the registered errors, which are named by codespace and code. The state
// holds the kind alone: words may hold what differs between machines, such as an address, and go to
// the log and the event, which no hash covers.
const (
	failedByGas   = "out of gas"
	failedByPanic = "panic"
)

// runHook runs one hook on a copy of the state that is kept only if the hook succeeds. It gives the kind
// of failure and its words.
func runHook(ctx context.Context, hook Hook, ended auditv1.Epoch, gas uint64) (kind string, err error) {
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
	if err := hook.AfterEpoch(cached, ended); err != nil {
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
