package market

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
)

// What is closed or over stays for params.retention_seconds and is then removed from the state by the
// queue of deadlines, so that the state grows with what the market does at a time and not with what it
// has ever done. Ids are never given again, so a voucher of a removed lease is of no lease.
//
// A closed item stays as long as its lease: while the lease is open, the item is what keeps its device
// from joining again and being paid old vouchers.

// pruneStep is how many records of one lease or order are removed at once, at most. An entry with more
// stays at the head of the queue, for the next block.
const pruneStep = 100

// pruneLease removes a closed lease and its items.
func (k *Keeper) pruneLease(ctx sdk.Context, entry deadlineKey) (work int, err error) {
	id := entry.K3()
	l, err := k.lease(ctx, id)
	if err != nil {
		return 1, err
	}
	if l.State != marketv1.LeaseState_LEASE_STATE_CLOSED {
		return 1, errorsmod.Wrapf(ErrField, "lease %d is %s", id, l.State)
	}
	removed, err := removeSome(ctx, k.items, id)
	if err != nil || removed == pruneStep {
		return removed, errorsmod.Wrapf(err, "removing items of lease %d", id)
	}
	if err := k.leases.Remove(ctx, id); err != nil {
		return removed + 1, errorsmod.Wrapf(err, "removing lease %d", id)
	}
	return removed + 1, k.requeue(ctx, entry, 0)
}

// pruneOrder removes an order that is over, and its bids.
func (k *Keeper) pruneOrder(ctx sdk.Context, entry deadlineKey) (work int, err error) {
	id := entry.K3()
	removed, err := removeSome(ctx, k.bids, id)
	if err != nil || removed == pruneStep {
		return removed, errorsmod.Wrapf(err, "removing bids of order %d", id)
	}
	if err := k.orders.Remove(ctx, id); err != nil {
		return removed + 1, errorsmod.Wrapf(err, "removing order %d", id)
	}
	return removed + 1, k.requeue(ctx, entry, 0)
}

// pruneOffer removes a closed offer, or, while an open item still reserves something of it, looks
// again later.
func (b *book) pruneOffer(entry deadlineKey) error {
	v, err := b.offer(entry.K3())
	if err != nil {
		return err
	}
	if v.value.State != marketv1.OfferState_OFFER_STATE_CLOSED {
		return errorsmod.Wrapf(ErrField, "offer %d is %s", v.key, v.value.State)
	}
	if v.value.Reserved > 0 {
		v.edit().Deadline = b.now + b.params.RetentionSeconds
		return b.commit()
	}
	if err := b.k.offers.Remove(b.ctx, v.key); err != nil {
		return errorsmod.Wrapf(err, "removing offer %d", v.key)
	}
	return b.k.requeue(b.ctx, entry, 0)
}

// removeSome removes up to pruneStep values whose keys begin with an id and says how many.
func removeSome[V any](ctx sdk.Context, m interface {
	Walk(ctx context.Context, ranger collections.Ranger[collections.Pair[uint64, uint64]], walk func(collections.Pair[uint64, uint64], V) (bool, error)) error
	Remove(ctx context.Context, key collections.Pair[uint64, uint64]) error
}, id uint64,
) (int, error) {
	var keys []collections.Pair[uint64, uint64] // a store must not change under an iterator
	err := m.Walk(ctx, collections.NewPrefixedPairRange[uint64, uint64](id), func(key collections.Pair[uint64, uint64], _ V) (bool, error) {
		keys = append(keys, key)
		return len(keys) == pruneStep, nil
	})
	if err != nil {
		return 0, err
	}
	for _, key := range keys {
		if err := m.Remove(ctx, key); err != nil {
			return 0, err
		}
	}
	return len(keys), nil
}
