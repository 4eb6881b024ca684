package market

import (
	"context"
	"slices"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/core/auction"
	"github.com/cairn-network/cairn/internal/modkit"
)

// checkOrder checks what an order asks for, against the params in force.
func checkOrder(o marketv1.Order, params marketv1.Params) error {
	if err := checkWish(o); err != nil {
		return err
	}
	if err := checkDenom(o.Denom, params); err != nil {
		return err
	}
	if err := checkSeconds("seconds", o.Seconds, 1, params.MaxLeaseSeconds); err != nil {
		return err
	}
	if o.Devices > params.MaxItemsPerLease {
		return errorsmod.Wrapf(ErrTooMany, "devices %d: a lease has at most %d", o.Devices, params.MaxItemsPerLease)
	}
	return nil
}

// checkWish checks what of an order no param has a say in.
func checkWish(o marketv1.Order) error {
	if err := checkSessionKey(o.SessionKey); err != nil {
		return err
	}
	if err := checkResource(o.Resource); err != nil {
		return err
	}
	if o.Units == 0 {
		return errorsmod.Wrap(ErrField, "units 0: want at least 1")
	}
	if _, err := parsePrice("max_stream", o.MaxStream); err != nil {
		return err
	}
	if _, err := parsePrice("max_metered", o.MaxMetered); err != nil {
		return err
	}
	if o.MinDevices == 0 || o.MinDevices > o.Devices {
		return errorsmod.Wrapf(ErrField, "min_devices %d of devices %d: want 1 to devices", o.MinDevices, o.Devices)
	}
	if len(o.Regions) > maxRegions {
		return errorsmod.Wrapf(ErrField, "%d regions: at most %d", len(o.Regions), maxRegions)
	}
	for i, region := range o.Regions {
		if len(region) != 2 {
			return errorsmod.Wrapf(ErrField, "regions[%d] %q: want an ISO 3166-1 alpha-2 code", i, modkit.Clip(region))
		}
	}
	if o.MinTier > maxTier {
		return errorsmod.Wrapf(ErrField, "min_tier %d: at most %d", o.MinTier, maxTier)
	}
	if _, err := parsePositive("escrow", o.Escrow); err != nil {
		return err
	}
	if _, err := orderEscrow(o); err != nil {
		return err
	}
	if o.Rule != marketv1.AwardRule_AWARD_RULE_CONSUMER && o.Rule != marketv1.AwardRule_AWARD_RULE_LOWEST {
		return errorsmod.Wrapf(ErrField, "rule %d: want %s or %s", o.Rule, marketv1.AwardRule_AWARD_RULE_CONSUMER, marketv1.AwardRule_AWARD_RULE_LOWEST)
	}
	return nil
}

// orderEscrow is what an open order holds: escrow for each device wanted.
func orderEscrow(o marketv1.Order) (math.Int, error) {
	each, err := parseAmount("escrow", o.Escrow)
	if err != nil {
		return math.Int{}, err
	}
	all, overflow := each.MulDiv(uint64(o.Devices), 1)
	if overflow {
		return math.Int{}, errorsmod.Wrapf(ErrAmount, "escrow %s for each of %d devices is beyond 128 bits", each, o.Devices)
	}
	return toInt(all), nil
}

// openOrder begins an order and locks its escrow.
func (b *book) openOrder(consumer account, o marketv1.Order) (uint64, error) {
	held, err := orderEscrow(o)
	if err != nil {
		return 0, err
	}
	if o.Id, err = b.k.nextOrder.Peek(b.ctx); err != nil {
		return 0, errorsmod.Wrap(err, "numbering an order")
	}
	b.ordering = true
	o.State = marketv1.OrderState_ORDER_STATE_OPEN
	o.Deadline = o.BidsUntil
	if o.Rule == marketv1.AwardRule_AWARD_RULE_CONSUMER {
		o.Deadline += b.params.GraceSeconds // to choose in
	}
	b.receive(consumer, o.Denom, held)
	b.orders.put(o.Id, queuedOrder{Order: o}).edit()
	b.chargeDeadlines(deadlinesPerOrder)
	if o.Rule == marketv1.AwardRule_AWARD_RULE_LOWEST { // no message will open its lease
		b.chargeDeadlines(deadlinesPerLease + uint64(o.Devices)*deadlinesPerItem)
	}
	b.emit(&marketv1.EventOrderCreated{Id: o.Id, Consumer: consumer.text, Resource: o.Resource})
	return o.Id, nil
}

// ordered gives an order of a consumer that is still open.
func (b *book) ordered(id uint64, consumer string) (marketv1.Order, error) {
	o, err := b.k.order(b.ctx, id)
	if err != nil {
		return marketv1.Order{}, err
	}
	if o.Consumer != consumer {
		return marketv1.Order{}, errorsmod.Wrapf(ErrNotConsumer, "order %d is %s's, not %s's", id, o.Consumer, consumer)
	}
	return b.k.standing(b.ctx, id, b.now)
}

// picked gives the bids of the devices that a consumer chose, if it may choose and they can serve.
func (b *book) picked(o marketv1.Order, devices []uint64) ([]marketv1.Bid, error) {
	if o.Rule != marketv1.AwardRule_AWARD_RULE_CONSUMER {
		return nil, errorsmod.Wrapf(ErrAward, "order %d is awarded by %s at %d", o.Id, o.Rule, o.BidsUntil)
	}
	if n := uint64(len(devices)); n < uint64(o.MinDevices) || n > uint64(o.Devices) {
		return nil, errorsmod.Wrapf(ErrAward, "%d devices: order %d wants %d to %d", n, o.Id, o.MinDevices, o.Devices)
	}
	if err := checkDistinct("devices", devices); err != nil {
		return nil, err
	}
	bids := make([]marketv1.Bid, len(devices))
	for i, device := range devices {
		bid, err := b.k.bid(b.ctx, o.Id, device)
		if err != nil {
			return nil, err
		}
		if err := b.eligible(o, bid); err != nil {
			return nil, errorsmod.Wrapf(err, "devices[%d]", i)
		}
		bids[i] = bid
	}
	return bids, nil
}

// standing gives an order that still wants an answer from its consumer or its rule.
func (k *Keeper) standing(ctx context.Context, id uint64, now int64) (marketv1.Order, error) {
	o, err := k.order(ctx, id)
	if err != nil {
		return marketv1.Order{}, err
	}
	if o.State != marketv1.OrderState_ORDER_STATE_OPEN || now >= o.Deadline {
		return marketv1.Order{}, errorsmod.Wrapf(ErrOrderClosed, "order %d is %s, deadline %d, block time %d", id, o.State, o.Deadline, now)
	}
	return o, nil
}

// wanted is the lease that an order asks for, as of now.
func (b *book) wanted(o marketv1.Order) marketv1.Lease {
	return marketv1.Lease{
		Consumer:   o.Consumer,
		SessionKey: o.SessionKey,
		Resource:   o.Resource,
		Denom:      o.Denom,
		ExpiresAt:  b.now + o.Seconds,
	}
}

// partOf is the part in a lease that a bid stands for.
func partOf(o marketv1.Order, bid marketv1.Bid) (part, error) {
	escrow, err := parseAmount("escrow", o.Escrow)
	if err != nil {
		return part{}, err
	}
	stream, err := parsePrice("stream", bid.Stream)
	if err != nil {
		return part{}, err
	}
	metered, err := parsePrice("metered", bid.Metered)
	if err != nil {
		return part{}, err
	}
	return part{offer: bid.Offer, units: o.Units, escrow: escrow, stream: stream, metered: metered}, nil
}

// eligible says why a bid cannot be awarded now, nil if it can.
func (b *book) eligible(o marketv1.Order, bid marketv1.Bid) error {
	d, err := b.k.devices.Active(b.ctx, bid.Device)
	if err != nil {
		return err
	}
	if len(o.Regions) > 0 && !slices.Contains(o.Regions, d.Region) {
		return errorsmod.Wrapf(ErrNotEligible, "device %d is in region %q, order %d wants %v", d.Id, d.Region, o.Id, o.Regions)
	}
	tier, err := b.k.devices.TierOf(b.ctx, d.Id)
	if err != nil {
		return err
	}
	if tier < o.MinTier {
		return errorsmod.Wrapf(ErrNotEligible, "device %d has tier %d, order %d wants %d", d.Id, tier, o.Id, o.MinTier)
	}
	p, err := partOf(o, bid)
	if err != nil {
		return err
	}
	maxStream, err := parsePrice("max_stream", o.MaxStream)
	if err != nil {
		return err
	}
	maxMetered, err := parsePrice("max_metered", o.MaxMetered)
	if err != nil {
		return err
	}
	if p.stream.Cmp(maxStream) > 0 {
		return errorsmod.Wrapf(ErrPriceAbove, "stream %s per %d: order %d accepts %s per %d", p.stream.Amount, p.stream.Per, o.Id, maxStream.Amount, maxStream.Per)
	}
	if p.metered.Cmp(maxMetered) > 0 {
		return errorsmod.Wrapf(ErrPriceAbove, "metered %s per %d: order %d accepts %s per %d", p.metered.Amount, p.metered.Per, o.Id, maxMetered.Amount, maxMetered.Per)
	}
	return b.admit(b.wanted(o), p)
}

// bidsOf lists the bids of an order by device.
func (k *Keeper) bidsOf(ctx context.Context, order uint64) ([]marketv1.Bid, error) {
	var bids []marketv1.Bid
	err := k.bids.Walk(ctx, collections.NewPrefixedPairRange[uint64, uint64](order), func(_ bidKey, bid marketv1.Bid) (bool, error) {
		bids = append(bids, bid)
		return false, nil
	})
	return bids, errorsmod.Wrapf(err, "reading bids of order %d", order)
}

// ranking is what the order of bids depends on.
func (k *Keeper) ranking(ctx context.Context, bid marketv1.Bid) (auction.Bid, error) {
	r, err := k.reputation(ctx, bid.Device)
	if err != nil {
		return auction.Bid{}, err
	}
	stream, err := parsePrice("stream", bid.Stream)
	if err != nil {
		return auction.Bid{}, err
	}
	metered, err := parsePrice("metered", bid.Metered)
	if err != nil {
		return auction.Bid{}, err
	}
	return auction.Bid{Device: bid.Device, Stream: stream, Metered: metered, Completed: r.Completed, Abandoned: r.Abandoned}, nil
}

// place records a bid. An order keeps a bounded number; when it is full a better bid drives out the
// worst, so that nobody can shut others out by bidding first.
func (k *Keeper) place(ctx context.Context, bid marketv1.Bid, params marketv1.Params) error {
	others, err := k.bidsOf(ctx, bid.Order)
	if err != nil {
		return err
	}
	others = slices.DeleteFunc(others, func(other marketv1.Bid) bool { return other.Device == bid.Device })
	if uint32(len(others)) >= params.MaxBidsPerOrder {
		mine, err := k.ranking(ctx, bid)
		if err != nil {
			return err
		}
		worst := mine
		for _, other := range others {
			theirs, err := k.ranking(ctx, other)
			if err != nil {
				return err
			}
			if auction.Compare(theirs, worst) > 0 {
				worst = theirs
			}
		}
		if worst.Device == mine.Device {
			return errorsmod.Wrapf(ErrOutbid, "order %d has %d bids, all better than %s per %d", bid.Order, len(others), mine.Stream.Amount, mine.Stream.Per)
		}
		if err := k.bids.Remove(ctx, collections.Join(bid.Order, worst.Device)); err != nil {
			return errorsmod.Wrapf(err, "removing bid of device %d", worst.Device)
		}
	}
	return errorsmod.Wrapf(k.bids.Set(ctx, collections.Join(bid.Order, bid.Device), bid), "writing bid of device %d", bid.Device)
}

// award opens the lease of an order with the given bids, which must be eligible, gives back the
// escrow of the devices that were wanted and not found, and says which lease it is.
func (b *book) award(o marketv1.Order, bids []marketv1.Bid) (uint64, error) {
	l, err := b.newLease(b.wanted(o))
	if err != nil {
		return 0, err
	}
	for _, bid := range bids {
		p, err := partOf(o, bid)
		if err != nil {
			return 0, err
		}
		if err := b.join(l, p); err != nil {
			return 0, err
		}
	}
	consumer, err := b.consumer(o.Consumer)
	if err != nil {
		return 0, err
	}
	missing := int64(o.Devices) - int64(len(bids))
	b.refund(consumer, o.Denom, o.Escrow.MulRaw(missing))
	o.State = marketv1.OrderState_ORDER_STATE_AWARDED
	o.Lease = l.key
	b.end(o)
	b.emit(&marketv1.EventOrderAwarded{Id: o.Id, Lease: l.key})
	b.emit(&marketv1.EventLeaseOpened{Id: l.key, Consumer: o.Consumer, Resource: o.Resource, Items: uint32(len(bids))})
	return l.key, nil
}

// cancel ends an order without a lease: all it holds goes back.
func (b *book) cancel(o marketv1.Order) error {
	consumer, err := b.consumer(o.Consumer)
	if err != nil {
		return err
	}
	held, err := orderEscrow(o)
	if err != nil {
		return err
	}
	b.refund(consumer, o.Denom, held)
	o.State = marketv1.OrderState_ORDER_STATE_CANCELLED
	b.end(o)
	b.emit(&marketv1.EventOrderCancelled{Id: o.Id})
	return nil
}

// end writes an order that is over when the book is committed; it stays for its readers for a while.
func (b *book) end(o marketv1.Order) {
	queued := o.Deadline
	o.Deadline = b.now + b.params.RetentionSeconds
	b.orders.put(o.Id, queuedOrder{o, queued}).edit()
}

// meetOrder ends an order whose time is up: the rule awards it if enough of its bids can be, and
// otherwise it is cancelled. The work grows with the bids looked at. An order that is over is removed.
func (b *book) meetOrder(entry deadlineKey) (work int, err error) {
	o, err := b.k.order(b.ctx, entry.K3())
	if err != nil {
		return 1, err
	}
	if o.State != marketv1.OrderState_ORDER_STATE_OPEN {
		return b.k.pruneOrder(b.ctx, entry)
	}
	work = 1
	var winners []marketv1.Bid
	if o.Rule == marketv1.AwardRule_AWARD_RULE_LOWEST {
		if winners, work, err = b.lowest(o); err != nil {
			return work, err
		}
	}
	if len(winners) >= int(o.MinDevices) && len(winners) > 0 {
		_, err = b.award(o, winners)
	} else {
		err = b.cancel(o)
	}
	if err != nil {
		return work, err
	}
	return work, b.commit()
}

// lowest gives the best bids of an order that can be awarded now, at most as many as it wants, best
// first, and how much work it was.
func (b *book) lowest(o marketv1.Order) (winners []marketv1.Bid, work int, err error) {
	bids, err := b.k.bidsOf(b.ctx, o.Id)
	if err != nil {
		return nil, 1, err
	}
	work = 1 + len(bids)
	byDevice := make(map[uint64]marketv1.Bid, len(bids))
	ranked := make([]auction.Bid, len(bids))
	for i, bid := range bids {
		byDevice[bid.Device] = bid
		if ranked[i], err = b.k.ranking(b.ctx, bid); err != nil {
			return nil, work, err
		}
	}
	auction.Rank(ranked)
	for _, candidate := range ranked {
		if len(winners) == int(o.Devices) {
			break
		}
		// Whatever keeps a bid from being awarded now (capacity gone, device jailed) makes room
		// for the next.
		if bid := byDevice[candidate.Device]; b.eligible(o, bid) == nil {
			winners = append(winners, bid)
		}
	}
	return winners, work, nil
}
