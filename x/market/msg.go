package market

import (
	"context"

	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
)

// msgServer answers the module's messages. Each handler parses, authorises, makes one change and
// says so in typed events.
type msgServer struct{ *Keeper }

// NewMsgServer is the module's message service over a keeper.
func NewMsgServer(k *Keeper) marketv1.MsgServer { return msgServer{k} }

// emit sends a typed event.
func emit(ctx context.Context, event proto.Message) error {
	return errorsmod.Wrap(sdk.UnwrapSDKContext(ctx).EventManager().EmitTypedEvent(event), "emitting event")
}

// begin reads the account in a field of a message and opens the book of what the message changes.
func (s msgServer) begin(ctx context.Context, field, text string) (account, *book, error) {
	raw, canonical, err := s.parseAccount(field, text)
	if err != nil {
		return account{}, nil, err
	}
	b, err := s.openBook(ctx)
	return account{raw, canonical}, b, err
}

// CreateOffer puts a device's capacity on sale.
func (s msgServer) CreateOffer(ctx context.Context, msg *marketv1.MsgCreateOffer) (*marketv1.MsgCreateOfferResponse, error) {
	_, operator, err := s.parseAccount("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	params, err := s.Params(ctx)
	if err != nil {
		return nil, err
	}
	o := marketv1.Offer{
		Device:     msg.Device,
		Resource:   msg.Resource,
		Denom:      msg.Denom,
		Stream:     msg.Stream,
		Metered:    msg.Metered,
		Capacity:   msg.Capacity,
		MinSeconds: msg.MinSeconds,
		MaxSeconds: msg.MaxSeconds,
		Terms:      msg.Terms,
	}
	if err := checkOffer(o, params); err != nil {
		return nil, err
	}
	if _, err := s.devices.Operated(ctx, o.Device, operator); err != nil {
		return nil, err
	}
	if _, err := s.devices.Active(ctx, o.Device); err != nil {
		return nil, err
	}
	if err := s.devices.Permitted(ctx, o.Device, o.Resource); err != nil {
		return nil, err
	}
	id, err := s.addOffer(ctx, o, params)
	if err != nil {
		return nil, err
	}
	return &marketv1.MsgCreateOfferResponse{Id: id}, emit(ctx, &marketv1.EventOfferCreated{Id: id, Device: o.Device, Resource: o.Resource})
}

// UpdateOffer changes price and capacity for leases to come.
func (s msgServer) UpdateOffer(ctx context.Context, msg *marketv1.MsgUpdateOffer) (*marketv1.MsgUpdateOfferResponse, error) {
	_, operator, err := s.parseAccount("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	o, err := s.operatedOffer(ctx, msg.Id, operator)
	if err != nil {
		return nil, err
	}
	o.Stream, o.Metered, o.Capacity = msg.Stream, msg.Metered, msg.Capacity
	if err := checkTerms(o); err != nil {
		return nil, err
	}
	if o.Capacity < o.Reserved {
		return nil, errorsmod.Wrapf(ErrCapacity, "capacity %d: %d units are reserved", o.Capacity, o.Reserved)
	}
	if err := s.offers.Set(ctx, o.Id, o); err != nil {
		return nil, errorsmod.Wrapf(err, "writing offer %d", o.Id)
	}
	return &marketv1.MsgUpdateOfferResponse{}, emit(ctx, &marketv1.EventOfferUpdated{Id: o.Id})
}

// CloseOffer ends an offer; running leases go on.
func (s msgServer) CloseOffer(ctx context.Context, msg *marketv1.MsgCloseOffer) (*marketv1.MsgCloseOfferResponse, error) {
	_, operator, err := s.parseAccount("operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	if _, err := s.operatedOffer(ctx, msg.Id, operator); err != nil {
		return nil, err
	}
	b, err := s.openBook(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.closeOffer(msg.Id); err != nil {
		return nil, err
	}
	return &marketv1.MsgCloseOfferResponse{}, b.commit()
}

// OpenLease takes offers and locks escrow.
func (s msgServer) OpenLease(ctx context.Context, msg *marketv1.MsgOpenLease) (*marketv1.MsgOpenLeaseResponse, error) {
	consumer, b, err := s.begin(ctx, "consumer", msg.Consumer)
	if err != nil {
		return nil, err
	}
	if err := checkSessionKey(msg.SessionKey); err != nil {
		return nil, err
	}
	if err := checkSeconds("seconds", msg.Seconds, 1, b.params.MaxLeaseSeconds); err != nil {
		return nil, err
	}
	id, err := b.openLease(consumer, msg)
	if err != nil {
		return nil, err
	}
	return &marketv1.MsgOpenLeaseResponse{Id: id}, b.commit()
}

// AmendLease adds devices to a lease, money to its items, units, or time.
func (s msgServer) AmendLease(ctx context.Context, msg *marketv1.MsgAmendLease) (*marketv1.MsgAmendLeaseResponse, error) {
	consumer, b, err := s.begin(ctx, "consumer", msg.Consumer)
	if err != nil {
		return nil, err
	}
	l, err := b.running(msg.Id, consumer.text)
	if err != nil {
		return nil, err
	}
	if err := b.amend(consumer, l, msg); err != nil {
		return nil, err
	}
	b.emit(&marketv1.EventLeaseAmended{Id: msg.Id})
	return &marketv1.MsgAmendLeaseResponse{}, b.commit()
}

// CloseLease ends items: the consumer's after a grace window, a device's own at once.
func (s msgServer) CloseLease(ctx context.Context, msg *marketv1.MsgCloseLease) (*marketv1.MsgCloseLeaseResponse, error) {
	sender, b, err := s.begin(ctx, "sender", msg.Sender)
	if err != nil {
		return nil, err
	}
	l, err := b.lease(msg.Id)
	if err != nil {
		return nil, err
	}
	if l.value.Consumer == sender.text {
		err = b.closeItems(l, msg.Devices)
	} else {
		err = b.leaveAs(sender.text, l, msg.Devices)
	}
	if err != nil {
		return nil, err
	}
	return &marketv1.MsgCloseLeaseResponse{}, b.commit()
}

// Settle redeems vouchers and pays streams. Anyone may send it: owners are paid.
func (s msgServer) Settle(ctx context.Context, msg *marketv1.MsgSettle) (*marketv1.MsgSettleResponse, error) {
	_, b, err := s.begin(ctx, "sender", msg.Sender)
	if err != nil {
		return nil, err
	}
	switch n := len(msg.Vouchers) + len(msg.Streams); {
	case n == 0:
		return nil, errorsmod.Wrap(ErrField, "vouchers and streams are empty: nothing to settle")
	case n > int(b.params.MaxVouchersPerSettle):
		return nil, errorsmod.Wrapf(ErrTooMany, "%d vouchers and streams: at most %d in a message", n, b.params.MaxVouchersPerSettle)
	}
	if err := b.settleAll(msg.Vouchers, msg.Streams, msg.AcceptPartial); err != nil {
		return nil, err
	}
	return &marketv1.MsgSettleResponse{Paid: b.paid, Burned: b.burned}, b.commit()
}

// CreateOrder asks for bids and locks escrow for every device wanted.
func (s msgServer) CreateOrder(ctx context.Context, msg *marketv1.MsgCreateOrder) (*marketv1.MsgCreateOrderResponse, error) {
	consumer, b, err := s.begin(ctx, "consumer", msg.Consumer)
	if err != nil {
		return nil, err
	}
	if err := checkSeconds("bidding_seconds", msg.BiddingSeconds, 1, b.params.MaxBiddingSeconds); err != nil {
		return nil, err
	}
	o := marketv1.Order{
		Consumer:   consumer.text,
		SessionKey: msg.SessionKey,
		Resource:   msg.Resource,
		Denom:      msg.Denom,
		Units:      msg.Units,
		MaxStream:  msg.MaxStream,
		MaxMetered: msg.MaxMetered,
		Devices:    msg.Devices,
		MinDevices: msg.MinDevices,
		Regions:    msg.Regions,
		MinTier:    msg.MinTier,
		Seconds:    msg.Seconds,
		Escrow:     msg.Escrow,
		BidsUntil:  b.now + msg.BiddingSeconds,
		Rule:       msg.Rule,
	}
	if err := checkOrder(o, b.params); err != nil {
		return nil, err
	}
	id, err := b.openOrder(consumer, o)
	if err != nil {
		return nil, err
	}
	return &marketv1.MsgCreateOrderResponse{Id: id}, b.commit()
}

// CancelOrder withdraws an open order.
func (s msgServer) CancelOrder(ctx context.Context, msg *marketv1.MsgCancelOrder) (*marketv1.MsgCancelOrderResponse, error) {
	consumer, b, err := s.begin(ctx, "consumer", msg.Consumer)
	if err != nil {
		return nil, err
	}
	o, err := b.ordered(msg.Id, consumer.text)
	if err != nil {
		return nil, err
	}
	if err := b.cancel(o); err != nil {
		return nil, err
	}
	return &marketv1.MsgCancelOrderResponse{}, b.commit()
}

// PlaceBid answers an order with one of the operator's offers.
func (s msgServer) PlaceBid(ctx context.Context, msg *marketv1.MsgPlaceBid) (*marketv1.MsgPlaceBidResponse, error) {
	operator, b, err := s.begin(ctx, "operator", msg.Operator)
	if err != nil {
		return nil, err
	}
	offer, err := s.operatedOffer(ctx, msg.Offer, operator.text)
	if err != nil {
		return nil, err
	}
	o, err := s.standing(ctx, msg.Order, b.now)
	if err != nil {
		return nil, err
	}
	if b.now >= o.BidsUntil {
		return nil, errorsmod.Wrapf(ErrBiddingOver, "order %d took bids until %d, block time %d", o.Id, o.BidsUntil, b.now)
	}
	bid := marketv1.Bid{
		Order:    o.Id,
		Device:   offer.Device,
		Offer:    offer.Id,
		Stream:   msg.Stream,
		Metered:  msg.Metered,
		PlacedAt: b.now,
	}
	if err := b.eligible(o, bid); err != nil {
		return nil, err
	}
	b.chargeDeadlines(deadlinesPerBid)
	if err := s.place(ctx, bid, b.params); err != nil {
		return nil, err
	}
	return &marketv1.MsgPlaceBidResponse{}, emit(ctx, &marketv1.EventBidPlaced{Order: o.Id, Device: bid.Device})
}

// Award picks bids and opens the lease.
func (s msgServer) Award(ctx context.Context, msg *marketv1.MsgAward) (*marketv1.MsgAwardResponse, error) {
	consumer, b, err := s.begin(ctx, "consumer", msg.Consumer)
	if err != nil {
		return nil, err
	}
	o, err := b.ordered(msg.Order, consumer.text)
	if err != nil {
		return nil, err
	}
	winners, err := b.picked(o, msg.Devices)
	if err != nil {
		return nil, err
	}
	lease, err := b.award(o, winners)
	if err != nil {
		return nil, err
	}
	return &marketv1.MsgAwardResponse{Lease: lease}, b.commit()
}

// UpdateParams replaces all params; governance's.
func (s msgServer) UpdateParams(ctx context.Context, msg *marketv1.MsgUpdateParams) (*marketv1.MsgUpdateParamsResponse, error) {
	_, authority, err := s.parseAccount("authority", msg.Authority)
	if err != nil {
		return nil, err
	}
	if authority != s.authority {
		return nil, errorsmod.Wrapf(ErrNotAuthority, "authority %s: want %s", authority, s.authority)
	}
	if err := validateParams(msg.Params); err != nil {
		return nil, err
	}
	return &marketv1.MsgUpdateParamsResponse{}, errorsmod.Wrap(s.params.Set(ctx, msg.Params), "writing market params")
}
