package energy

import (
	"context"
	"fmt"
	"runtime/debug"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"
)

// retrySeconds is how long a session whose deadline failed waits for the next attempt.
const retrySeconds = 3600

// EndBlock works off deadlines, oldest first, at most as many as the params say. It never fails: what
// cannot be done is logged and tried again later, so that the module's trouble is not the chain's.
func (k *Keeper) EndBlock(ctx context.Context) error {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	params, err := k.Params(ctx)
	if err != nil {
		sdkCtx.Logger().Error("energy deadlines stand still", "err", err)
		return nil
	}
	entries, err := k.passed(ctx, sdkCtx.BlockTime().Unix(), int(params.Charging.DeadlinesPerBlock))
	if err != nil {
		sdkCtx.Logger().Error("energy deadlines stand still", "err", err)
		return nil
	}
	for _, entry := range entries {
		k.attempt(sdkCtx, entry)
	}
	return nil
}

// passed lists the entries whose time has come, oldest first, at most so many.
func (k *Keeper) passed(ctx context.Context, now int64, most int) ([]deadlineKey, error) {
	var entries []deadlineKey
	until := new(collections.Range[deadlineKey]).EndExclusive(collections.PairPrefix[int64, uint64](now + 1))
	err := k.deadlines.Walk(ctx, until, func(entry deadlineKey) (bool, error) {
		entries = append(entries, entry)
		return len(entries) >= most, nil
	})
	return entries, errorsmod.Wrap(err, "reading deadlines")
}

// attempt works off one entry, or moves it on if that fails.
func (k *Keeper) attempt(ctx sdk.Context, entry deadlineKey) {
	err := isolated(ctx, func(ctx sdk.Context) error {
		s, err := k.session(ctx, entry.K2())
		if err != nil {
			return err
		}
		_, err = k.due(ctx, s)
		return err
	})
	if err == nil {
		return
	}
	ctx.Logger().Error("energy deadline failed, will be tried again", "session", entry.K2(), "err", err)
	err = isolated(ctx, func(ctx sdk.Context) error {
		s, err := k.session(ctx, entry.K2())
		if err != nil {
			return err
		}
		if err := k.deadlines.Remove(ctx, entry); err != nil {
			return err
		}
		s.Deadline = ctx.BlockTime().Unix() + retrySeconds
		if err := k.sessions.Set(ctx, s.Id, s); err != nil {
			return err
		}
		return k.deadlines.Set(ctx, collections.Join(s.Deadline, s.Id))
	})
	if err != nil {
		ctx.Logger().Error("energy deadline cannot be moved", "session", entry.K2(), "err", err)
	}
}

// isolated runs work on a cache of the store: all of it is written and its events sent, or, after
// an error or a panic, nothing.
func isolated(ctx sdk.Context, work func(sdk.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	cache, write := ctx.CacheContext()
	if err := work(cache); err != nil {
		return err
	}
	write()
	return nil
}
