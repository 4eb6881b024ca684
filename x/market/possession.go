package market

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
)

// Leased is how many units of a resource consumers have reserved on a device. It looks at the
// device's open offers, whose number is bounded, and at closed ones of which something is reserved.
func (k *Keeper) Leased(ctx context.Context, device uint64, resource string) (uint64, error) {
	var sum uint64
	for _, state := range []marketv1.OfferState{marketv1.OfferState_OFFER_STATE_OPEN, marketv1.OfferState_OFFER_STATE_CLOSED} {
		found, err := k.offers.Indexes.Device.MatchExact(ctx, collections.Join(device, int32(state)))
		if err != nil {
			return 0, errorsmod.Wrapf(err, "looking up offers of device %d", device)
		}
		ids, err := found.PrimaryKeys()
		if err != nil {
			return 0, errorsmod.Wrapf(err, "looking up offers of device %d", device)
		}
		for _, id := range ids {
			o, err := k.offer(ctx, id)
			if err != nil {
				return 0, err
			}
			if o.Resource != resource {
				continue
			}
			if sum+o.Reserved < sum {
				return 0, errorsmod.Wrapf(ErrAmount, "device %d: units reserved overflow", device)
			}
			sum += o.Reserved
		}
	}
	return sum, nil
}

// Idle says since when a device has had no part in any lease, Unix seconds: 0 if it never had one,
// and false while it has. The registry asks before it lets a device go.
func (k *Keeper) Idle(ctx context.Context, device uint64) (since int64, idle bool, err error) {
	obliged, err := k.Obliged(ctx, device)
	if err != nil || obliged {
		return 0, false, err
	}
	r, err := k.reputation(ctx, device)
	return r.LastEnded, err == nil, err
}

// Serving gives the key that a lease's consumer signs with if the device serves the lease now;
// ErrItemClosed, ErrNoLease or ErrNoItem if not.
func (k *Keeper) Serving(ctx context.Context, lease, device uint64) (sessionKey []byte, err error) {
	l, err := k.lease(ctx, lease)
	if err != nil {
		return nil, err
	}
	item, err := k.item(ctx, lease, device)
	if err != nil {
		return nil, err
	}
	now := sdk.UnwrapSDKContext(ctx).BlockTime().Unix()
	if item.State != marketv1.ItemState_ITEM_STATE_OPEN || now >= l.ExpiresAt {
		return nil, errorsmod.Wrapf(ErrItemClosed, "lease %d, device %d: %s, expires_at %d", lease, device, item.State, l.ExpiresAt)
	}
	return l.SessionKey, nil
}

// SessionKey gives the key that a lease's consumer signs with, however the lease stands; ErrNoLease.
func (k *Keeper) SessionKey(ctx context.Context, lease uint64) ([]byte, error) {
	l, err := k.lease(ctx, lease)
	return l.SessionKey, err
}
