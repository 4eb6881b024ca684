package market

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/core/price"
)

// A payment is added to three totals of its denomination: that of everything, that of its resource
// and that of its device (INV-TOTALS). They are never removed: there are as many as denominations
// times resources and devices that have ever been paid.

// totalKey is what a total is of: device (0 for all), resource (empty for all), denomination.
type totalKey = collections.Triple[uint64, string, string]

var totalCodec = collections.NamedTripleKeyCodec(
	"device", collections.Uint64Key, "resource", collections.StringKey, "denom", collections.StringKey)

// totalID is a totalKey that can key a Go map.
type totalID struct {
	device          uint64
	resource, denom string
}

func (id totalID) key() totalKey { return collections.Join3(id.device, id.resource, id.denom) }

// total reads a total; what has not been paid for yet has one of nothing.
func (k *Keeper) total(ctx context.Context, id totalID) (marketv1.Total, error) {
	t, err := k.totals.Get(ctx, id.key())
	if errors.Is(err, collections.ErrNotFound) {
		return marketv1.Total{
			Device:   id.device,
			Resource: id.resource,
			Denom:    id.denom,
			Paid:     math.ZeroInt(),
			Burned:   math.ZeroInt(),
			Units:    math.ZeroInt(),
		}, nil
	}
	return t, errorsmod.Wrapf(err, "reading the total of device %d, resource %q, denom %q", id.device, id.resource, id.denom)
}

// Settled gives what a device has been paid since the chain began, net of fees, and the fees that
// were burned of it, in acairn. Both only ever rise; device 0 stands for all devices.
func (k *Keeper) Settled(ctx context.Context, device uint64) (paid, burned math.Int, err error) {
	t, err := k.total(ctx, totalID{device: device, denom: price.Denom})
	return t.Paid, t.Burned, err
}

// SettledOf is Settled of one resource over all devices.
func (k *Keeper) SettledOf(ctx context.Context, resource string) (paid, burned math.Int, err error) {
	t, err := k.total(ctx, totalID{resource: resource, denom: price.Denom})
	return t.Paid, t.Burned, err
}

// totalsOf lists the totals of a device or a resource by denomination.
func (k *Keeper) totalsOf(ctx context.Context, device uint64, resource string) ([]marketv1.Total, error) {
	var found []marketv1.Total
	err := k.totals.Walk(ctx, collections.NewSuperPrefixedTripleRange[uint64, string, string](device, resource),
		func(_ totalKey, t marketv1.Total) (bool, error) {
			found = append(found, t)
			return false, nil
		})
	return found, errorsmod.Wrapf(err, "reading totals of device %d, resource %q", device, resource)
}

// count adds a payment to the totals. units is what a voucher in it says was delivered.
func (b *book) count(device uint64, resource string, net, fee sdk.Coin, units uint64) error {
	for _, id := range []totalID{{denom: net.Denom}, {resource: resource, denom: net.Denom}, {device: device, denom: net.Denom}} {
		v, err := b.totals.take(id, func() (marketv1.Total, error) { return b.k.total(b.ctx, id) })
		if err != nil {
			return err
		}
		t := v.edit()
		t.Paid, t.Burned = t.Paid.Add(net.Amount), t.Burned.Add(fee.Amount)
		if id.device != 0 {
			t.Units = t.Units.Add(math.NewIntFromUint64(units))
		}
	}
	return nil
}
