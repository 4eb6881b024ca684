package market

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
)

// checkOffer checks what an offer says, against the params in force.
func checkOffer(o marketv1.Offer, params marketv1.Params) error {
	if err := checkResource(o.Resource); err != nil {
		return err
	}
	if err := checkDenom(o.Denom, params); err != nil {
		return err
	}
	if err := checkTerms(o); err != nil {
		return err
	}
	if err := checkSeconds("max_seconds", o.MaxSeconds, 1, params.MaxLeaseSeconds); err != nil {
		return err
	}
	return checkSeconds("min_seconds", o.MinSeconds, 0, o.MaxSeconds)
}

// checkTerms checks what of an offer no param has a say in.
func checkTerms(o marketv1.Offer) error {
	if _, err := parsePrice("stream", o.Stream); err != nil {
		return err
	}
	if _, err := parsePrice("metered", o.Metered); err != nil {
		return err
	}
	if o.Capacity == 0 {
		return errorsmod.Wrap(ErrCapacity, "capacity 0: want at least 1")
	}
	if len(o.Terms) > maxTermsBytes {
		return errorsmod.Wrapf(ErrField, "terms of %d bytes: at most %d", len(o.Terms), maxTermsBytes)
	}
	return nil
}

// addOffer puts an offer on sale and gives its id.
func (k *Keeper) addOffer(ctx context.Context, o marketv1.Offer, params marketv1.Params) (uint64, error) {
	open := collections.Join(o.Device, int32(marketv1.OfferState_OFFER_STATE_OPEN))
	standing := uint32(0)
	err := k.offers.Indexes.Device.Walk(ctx, collections.NewPrefixedPairRange[deviceState, uint64](open),
		func(deviceState, uint64) (bool, error) {
			standing++
			return standing >= params.MaxOffersPerDevice, nil
		})
	if err != nil {
		return 0, errorsmod.Wrapf(err, "counting offers of device %d", o.Device)
	}
	if standing >= params.MaxOffersPerDevice {
		return 0, errorsmod.Wrapf(ErrTooMany, "device %d has %d open offers, the limit is %d", o.Device, standing, params.MaxOffersPerDevice)
	}
	if o.Id, err = k.nextOffer.Next(ctx); err != nil {
		return 0, errorsmod.Wrap(err, "numbering an offer")
	}
	o.State = marketv1.OfferState_OFFER_STATE_OPEN
	return o.Id, errorsmod.Wrapf(k.offers.Set(ctx, o.Id, o), "writing offer %d", o.Id)
}

// operatedOffer gives an open offer whose device the account may act for.
func (k *Keeper) operatedOffer(ctx context.Context, id uint64, operator string) (marketv1.Offer, error) {
	o, err := k.offer(ctx, id)
	if err != nil {
		return marketv1.Offer{}, err
	}
	if _, err := k.devices.Operated(ctx, o.Device, operator); err != nil {
		return marketv1.Offer{}, err
	}
	if o.State != marketv1.OfferState_OFFER_STATE_OPEN {
		return marketv1.Offer{}, errorsmod.Wrapf(ErrOfferClosed, "offer %d", id)
	}
	return o, nil
}

// closeOffer ends an open offer; it stays for its readers for a while, and for the items that reserve
// something of it.
func (b *book) closeOffer(id uint64) error {
	v, err := b.offer(id)
	if err != nil {
		return err
	}
	o := v.edit()
	o.State = marketv1.OfferState_OFFER_STATE_CLOSED
	o.Deadline = b.now + b.params.RetentionSeconds
	b.chargeDeadlines(deadlinesPerOffer)
	b.emit(&marketv1.EventOfferClosed{Id: id})
	return nil
}
