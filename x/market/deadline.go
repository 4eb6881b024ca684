package market

import (
	"context"
	"fmt"
	"runtime/debug"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
)

// The queue of deadlines holds one entry for every item that is not closed, every order, and every
// lease and offer that is closed (INV-DEADLINE), at the time in its `deadline` field. At the end of a block the entries whose
// time has come are worked off, oldest first, up to params.deadlines_per_block units of work.
//
// An item's entry says when to look, not what will be found: extending a lease leaves the entries
// of its items where they are, and an entry that comes up too early moves itself on. So an
// extension costs the same however many items there are.
//
// Each entry is worked off on a cache of the store that is thrown away if it fails or panics. What
// fails is looked at again after retrySeconds and holds up nothing else.

// deadlineKey is one entry of the queue: when (Unix seconds), what kind, and of what.
type deadlineKey = collections.Quad[int64, int32, uint64, uint64]

const (
	itemDeadline  int32 = 1 // of lease and device
	orderDeadline int32 = 2 // of order and 0
	leaseDeadline int32 = 3 // of lease and 0
	offerDeadline int32 = 4 // of offer and 0
)

// retrySeconds is how long work that failed at its deadline waits for the next attempt.
const retrySeconds = 3600

var deadlineCodec = collections.NamedQuadKeyCodec(
	"at", collections.Int64Key, "kind", collections.Int32Key, "id", collections.Uint64Key, "device", collections.Uint64Key)

// requeue moves an entry of the queue to another time; 0 stands for "not in the queue".
func (k *Keeper) requeue(ctx context.Context, entry deadlineKey, at int64) error {
	if entry.K1() == at {
		return nil
	}
	if entry.K1() != 0 {
		if err := k.deadlines.Remove(ctx, entry); err != nil {
			return errorsmod.Wrap(err, "removing deadline")
		}
	}
	if at == 0 {
		return nil
	}
	return errorsmod.Wrap(k.deadlines.Set(ctx, collections.Join4(at, entry.K2(), entry.K3(), entry.K4())), "setting deadline")
}

// EndBlock works off deadlines. It never fails: what cannot be done is logged and left, so that
// the market's trouble is not the chain's.
func (k *Keeper) EndBlock(ctx context.Context) error {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	params, err := k.Params(ctx)
	if err != nil {
		sdkCtx.Logger().Error("market deadlines stand still", "err", err)
		return nil
	}
	due, err := k.due(ctx, sdkCtx.BlockTime().Unix(), int(params.DeadlinesPerBlock))
	if err != nil {
		sdkCtx.Logger().Error("market deadlines stand still", "err", err)
		return nil
	}
	budget := int(params.DeadlinesPerBlock)
	for _, entry := range due {
		if budget <= 0 {
			break
		}
		budget -= k.attempt(sdkCtx, entry)
	}
	return nil
}

// due lists the entries whose time has come, oldest first, at most so many.
func (k *Keeper) due(ctx context.Context, now int64, most int) ([]deadlineKey, error) {
	var entries []deadlineKey
	until := new(collections.Range[deadlineKey]).EndExclusive(collections.QuadPrefix[int64, int32, uint64, uint64](now + 1))
	err := k.deadlines.Walk(ctx, until, func(entry deadlineKey) (bool, error) {
		entries = append(entries, entry)
		return len(entries) >= most, nil
	})
	return entries, errorsmod.Wrap(err, "reading deadlines")
}

// attempt works off one entry, or moves it on if that fails. It gives the work done: at least 1.
func (k *Keeper) attempt(ctx sdk.Context, entry deadlineKey) (work int) {
	work = 1
	err := isolated(ctx, func(ctx sdk.Context) error {
		done, err := k.meet(ctx, entry)
		work = max(work, done)
		return err
	})
	if err == nil {
		return work
	}
	ctx.Logger().Error("market deadline failed, will be tried again", "deadline", deadlineCodec.Stringify(entry), "err", err)
	err = isolated(ctx, func(ctx sdk.Context) error { return k.postpone(ctx, entry) })
	if err == nil {
		return work
	}
	// What it points at cannot be read or written. Without its entry it waits for a migration,
	// with it the queue would come back to it for ever.
	ctx.Logger().Error("market deadline dropped", "deadline", deadlineCodec.Stringify(entry), "err", err)
	err = isolated(ctx, func(ctx sdk.Context) error { return k.deadlines.Remove(ctx, entry) })
	if err != nil {
		ctx.Logger().Error("market deadline cannot be dropped", "deadline", deadlineCodec.Stringify(entry), "err", err)
	}
	return work
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

// meet does what is due and gives the work it took.
func (k *Keeper) meet(ctx sdk.Context, entry deadlineKey) (work int, err error) {
	b, err := k.openBook(ctx)
	if err != nil {
		return 1, err
	}
	switch entry.K2() {
	case orderDeadline:
		return b.meetOrder(entry)
	case leaseDeadline:
		return k.pruneLease(ctx, entry)
	case offerDeadline:
		return 1, b.pruneOffer(entry)
	default:
		return 1, b.meetItem(entry.K3(), entry.K4())
	}
}

// meetItem takes an item one step on: from open to closing when its lease has expired, from closing
// to closed when the grace window is over, or, when a lease was extended meanwhile, to its new time.
func (b *book) meetItem(lease, device uint64) error {
	l, err := b.lease(lease)
	if err != nil {
		return err
	}
	i, err := b.item(lease, device)
	if err != nil {
		return err
	}
	switch {
	case i.value.State == marketv1.ItemState_ITEM_STATE_OPEN && b.now < l.value.ExpiresAt:
		i.edit().Deadline = l.value.ExpiresAt
	case i.value.State == marketv1.ItemState_ITEM_STATE_OPEN:
		err = b.beginClosing(l, i)
	case i.value.State == marketv1.ItemState_ITEM_STATE_CLOSING && b.now < i.value.CloseAt:
		i.edit().Deadline = i.value.CloseAt
	default:
		err = b.finish(l, i, served)
	}
	if err != nil {
		return err
	}
	return b.commit()
}

// postpone moves an entry on to the next attempt and says so.
func (k *Keeper) postpone(ctx sdk.Context, entry deadlineKey) error {
	b, err := k.openBook(ctx)
	if err != nil {
		return err
	}
	at := b.now + retrySeconds
	event := &marketv1.EventDeadlinePostponed{RetryAt: at}
	switch entry.K2() {
	case orderDeadline:
		event.Order = entry.K3()
		o, err := k.order(ctx, event.Order)
		if err != nil {
			return err
		}
		v := b.orders.put(o.Id, queuedOrder{o, entry.K1()})
		v.edit().Deadline = at
	case leaseDeadline:
		event.Lease = entry.K3()
		v, err := b.lease(event.Lease)
		if err != nil {
			return err
		}
		v.edit().Deadline = at
	case offerDeadline:
		event.Offer = entry.K3()
		v, err := b.offer(event.Offer)
		if err != nil {
			return err
		}
		v.edit().Deadline = at
	default:
		event.Lease, event.Device = entry.K3(), entry.K4()
		v, err := b.item(event.Lease, event.Device)
		if err != nil {
			return err
		}
		v.edit().Deadline = at
	}
	// Whatever the record says of where it stands, this entry goes.
	if err := k.deadlines.Remove(ctx, entry); err != nil {
		return errorsmod.Wrap(err, "removing deadline")
	}
	b.emit(event)
	return b.commit()
}
