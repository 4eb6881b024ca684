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
		failed := runHook(ctx, hook, ended, gas)
		if failed == nil {
			continue
		}
		sdkCtx := sdk.UnwrapSDKContext(ctx)
		sdkCtx.Logger().Error("work at an epoch's end failed and was undone", "epoch", ended.Number, "hook", hook.Name, "error", failed)
		failure := auditv1.HookFailure{
			Epoch: ended.Number, Hook: hook.Name, Height: sdkCtx.BlockHeight(), Error: modkit.Clip(failed.Error()),
		}
		if err := k.failures.Set(ctx, collections.Join(ended.Number, hook.Name), failure); err != nil {
			return errorsmod.Wrapf(err, "recording the failure of %s", hook.Name)
		}
		event := &auditv1.EventHookFailed{Epoch: failure.Epoch, Hook: failure.Hook, Error: failure.Error}
		if err := sdkCtx.EventManager().EmitTypedEvent(event); err != nil {
			return errorsmod.Wrap(err, "emitting event")
		}
	}
	return nil
}

// runHook runs one hook on a copy of the state that is kept only if the hook succeeds.
func runHook(ctx context.Context, hook Hook, ended auditv1.Epoch, gas uint64) (err error) {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	cached, write := sdkCtx.WithGasMeter(storetypes.NewGasMeter(gas)).CacheContext()
	defer func() {
		switch r := recover().(type) {
		case nil:
		case storetypes.ErrorOutOfGas:
			err = fmt.Errorf("used more than %d gas in %s", gas, r.Descriptor)
		default:
			// The value may hold an address that differs between machines: only errors and text
			// reach the state.
			err = fmt.Errorf("panicked: %s", panicText(r))
		}
	}()
	if err := hook.AfterEpoch(cached, ended); err != nil {
		return err
	}
	write()
	return nil
}

func panicText(r any) string {
	switch v := r.(type) {
	case error:
		return v.Error()
	case string:
		return v
	default:
		return fmt.Sprintf("a %T", v)
	}
}

// forgetFailures drops what is recorded of an epoch.
func (k *Keeper) forgetFailures(ctx context.Context, epoch uint64) error {
	return errorsmod.Wrapf(k.failures.Clear(ctx, collections.NewPrefixedPairRange[uint64, string](epoch)),
		"forgetting failures of epoch %d", epoch)
}
