package market

import (
	"cmp"
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
)

// DefaultGenesis is an empty market; the first offer, lease and order get id 1.
func DefaultGenesis() *marketv1.GenesisState {
	return &marketv1.GenesisState{Params: DefaultParams(), NextOffer: 1, NextLease: 1, NextOrder: 1}
}

// ValidateGenesis checks a genesis as far as it can be without a store: the form of everything in
// it, that every list is in the order of its keys without repeats, and the invariants that need no
// bank. Whether the module's account holds the escrows is INV-ESCROW's to say.
func ValidateGenesis(g *marketv1.GenesisState) error {
	if err := validateParams(g.Params); err != nil {
		return err
	}
	if g.NextOffer == 0 || g.NextLease == 0 || g.NextOrder == 0 {
		return errorsmod.Wrapf(ErrGenesis, "next_offer %d, next_lease %d, next_order %d: ids start at 1", g.NextOffer, g.NextLease, g.NextOrder)
	}
	for _, check := range []func(*marketv1.GenesisState) error{checkOffers, checkLeases, checkItems, checkOrders, checkReserved, checkTotals} {
		if err := check(g); err != nil {
			return err
		}
	}
	for i, r := range g.Reputations {
		if r.Device == 0 || i > 0 && r.Device <= g.Reputations[i-1].Device {
			return errorsmod.Wrapf(ErrGenesis, "reputations[%d] is of device %d: want devices in rising order", i, r.Device)
		}
	}
	return nil
}

// rising checks that ids are in rising order, at least 1 and below the next one.
func rising[T any](list string, values []T, id func(T) uint64, next uint64) error {
	var last uint64
	for i, v := range values {
		if id(v) <= last || id(v) >= next {
			return errorsmod.Wrapf(ErrGenesis, "%s[%d] has id %d: want above %d and below the next, %d", list, i, id(v), last, next)
		}
		last = id(v)
	}
	return nil
}

// risingPairs checks that keys of two ids are in rising order.
func risingPairs[T any](list string, values []T, key func(T) [2]uint64) error {
	for i := range values {
		if i == 0 {
			continue
		}
		before, here := key(values[i-1]), key(values[i])
		if c := cmp.Or(cmp.Compare(before[0], here[0]), cmp.Compare(before[1], here[1])); c >= 0 {
			return errorsmod.Wrapf(ErrGenesis, "%s[%d] has key %v after %v: want rising order", list, i, here, before)
		}
	}
	return nil
}

// InitGenesis writes a valid genesis into an empty store. Addresses are taken in any spelling.
func (k *Keeper) InitGenesis(ctx context.Context, g *marketv1.GenesisState) error {
	if err := k.params.Set(ctx, g.Params); err != nil {
		return errorsmod.Wrap(err, "writing params")
	}
	for _, next := range []struct {
		sequence collections.Sequence
		value    uint64
	}{{k.nextOffer, g.NextOffer}, {k.nextLease, g.NextLease}, {k.nextOrder, g.NextOrder}} {
		if err := next.sequence.Set(ctx, next.value); err != nil {
			return errorsmod.Wrap(err, "writing sequence")
		}
	}
	for _, o := range g.Offers {
		if err := k.offers.Set(ctx, o.Id, o); err != nil {
			return errorsmod.Wrapf(err, "writing offer %d", o.Id)
		}
		if err := k.requeue(ctx, collections.Join4(int64(0), offerDeadline, o.Id, uint64(0)), o.Deadline); err != nil {
			return err
		}
	}
	for _, l := range g.Leases {
		var err error
		if _, l.Consumer, err = k.parseAccount("consumer", l.Consumer); err != nil {
			return errorsmod.Wrapf(err, "lease %d", l.Id)
		}
		if err := k.leases.Set(ctx, l.Id, l); err != nil {
			return errorsmod.Wrapf(err, "writing lease %d", l.Id)
		}
		if err := k.requeue(ctx, collections.Join4(int64(0), leaseDeadline, l.Id, uint64(0)), l.Deadline); err != nil {
			return err
		}
	}
	for _, i := range g.Items {
		if err := k.items.Set(ctx, collections.Join(i.Lease, i.Device), i); err != nil {
			return errorsmod.Wrapf(err, "writing item of lease %d, device %d", i.Lease, i.Device)
		}
		if err := k.requeue(ctx, collections.Join4(int64(0), itemDeadline, i.Lease, i.Device), i.Deadline); err != nil {
			return err
		}
	}
	for _, o := range g.Orders {
		var err error
		if _, o.Consumer, err = k.parseAccount("consumer", o.Consumer); err != nil {
			return errorsmod.Wrapf(err, "order %d", o.Id)
		}
		if err := k.orders.Set(ctx, o.Id, o); err != nil {
			return errorsmod.Wrapf(err, "writing order %d", o.Id)
		}
		if err := k.requeue(ctx, collections.Join4(int64(0), orderDeadline, o.Id, uint64(0)), o.Deadline); err != nil {
			return err
		}
	}
	for _, b := range g.Bids {
		if err := k.bids.Set(ctx, collections.Join(b.Order, b.Device), b); err != nil {
			return errorsmod.Wrapf(err, "writing bid of device %d", b.Device)
		}
	}
	for _, r := range g.Reputations {
		if err := k.reputations.Set(ctx, r.Device, r); err != nil {
			return errorsmod.Wrapf(err, "writing reputation of device %d", r.Device)
		}
	}
	for _, t := range g.Totals {
		if err := k.totals.Set(ctx, collections.Join3(t.Device, t.Resource, t.Denom), t); err != nil {
			return errorsmod.Wrapf(err, "writing the total of device %d, resource %q, denom %q", t.Device, t.Resource, t.Denom)
		}
	}
	return nil
}

// ExportGenesis reads the whole state; InitGenesis of it restores the same state, the queue of
// deadlines with it.
func (k *Keeper) ExportGenesis(ctx context.Context) (*marketv1.GenesisState, error) {
	g := &marketv1.GenesisState{}
	var err error
	if g.Params, err = k.Params(ctx); err != nil {
		return nil, err
	}
	for _, next := range []struct {
		sequence collections.Sequence
		to       *uint64
	}{{k.nextOffer, &g.NextOffer}, {k.nextLease, &g.NextLease}, {k.nextOrder, &g.NextOrder}} {
		if *next.to, err = next.sequence.Peek(ctx); err != nil {
			return nil, errorsmod.Wrap(err, "reading sequence")
		}
	}
	for _, read := range []error{
		all(ctx, k.offers, &g.Offers),
		all(ctx, k.leases, &g.Leases),
		all(ctx, k.items, &g.Items),
		all(ctx, k.orders, &g.Orders),
		all(ctx, k.bids, &g.Bids),
		all(ctx, k.reputations, &g.Reputations),
		all(ctx, k.totals, &g.Totals),
	} {
		if read != nil {
			return nil, errorsmod.Wrap(read, "reading the market")
		}
	}
	return g, nil
}

// all reads every value of a map in the order of its keys.
func all[K, V any](ctx context.Context, m interface {
	Walk(context.Context, collections.Ranger[K], func(K, V) (bool, error)) error
}, to *[]V,
) error {
	return m.Walk(ctx, nil, func(_ K, v V) (bool, error) {
		*to = append(*to, v)
		return false, nil
	})
}
