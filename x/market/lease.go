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

type (
	offerVolume = *volume[uint64, queuedOffer]
	leaseVolume = *volume[uint64, queuedLease]
	itemVolume  = *volume[itemID, queuedItem]
)

// part is one device's part in a lease to be opened or grown.
type part struct {
	offer  uint64
	units  uint64
	escrow price.Amount
	// Prices to pay: those of the offer or of a bid.
	stream, metered price.Rate
}

// newLease begins a lease without items; one in a book.
func (b *book) newLease(l marketv1.Lease) (leaseVolume, error) {
	id, err := b.k.nextLease.Peek(b.ctx)
	if err != nil {
		return nil, errorsmod.Wrap(err, "numbering a lease")
	}
	b.opened = true
	l.Id = id
	l.OpenedAt = b.now
	l.State = marketv1.LeaseState_LEASE_STATE_OPEN
	l.MaxSeconds = b.params.MaxLeaseSeconds
	v := b.leases.put(id, queuedLease{Lease: l})
	v.edit()
	b.chargeDeadlines(deadlinesPerLease)
	return v, nil
}

// parse reads a new item's part in a lease: its prices are the offer's now, if they are not above
// what the consumer accepts.
func (b *book) parse(n int, i marketv1.NewItem) (part, error) {
	escrow, err := parsePositive("escrow", i.Escrow)
	if err != nil {
		return part{}, errorsmod.Wrapf(err, "items[%d]", n)
	}
	v, err := b.offer(i.Offer)
	if err != nil {
		return part{}, errorsmod.Wrapf(err, "items[%d]", n)
	}
	p := part{offer: i.Offer, units: i.Units, escrow: escrow}
	for _, side := range []struct {
		field   string
		asked   marketv1.Price
		highest *marketv1.Price
		to      *price.Rate
	}{
		{"stream", v.value.Stream, i.MaxStream, &p.stream},
		{"metered", v.value.Metered, i.MaxMetered, &p.metered},
	} {
		if *side.to, err = parsePrice(side.field, side.asked); err != nil {
			return part{}, errorsmod.Wrapf(err, "offer %d", i.Offer)
		}
		if side.highest == nil {
			continue
		}
		highest, err := parsePrice("max_"+side.field, *side.highest)
		if err != nil {
			return part{}, errorsmod.Wrapf(err, "items[%d]", n)
		}
		if side.to.Cmp(highest) > 0 {
			return part{}, errorsmod.Wrapf(ErrPriceAbove, "items[%d]: offer %d asks %s per %d (%s), max_%s is %s per %d",
				n, i.Offer, side.to.Amount, side.to.Per, side.field, side.field, highest.Amount, highest.Per)
		}
	}
	return p, nil
}

// addItems joins new items to a lease and takes their escrow from its consumer.
func (b *book) addItems(consumer account, l leaseVolume, items []marketv1.NewItem) error {
	if n := uint64(l.value.OpenItems) + uint64(len(items)); n > uint64(b.params.MaxItemsPerLease) {
		return errorsmod.Wrapf(ErrTooMany, "%d items in a lease: at most %d", n, b.params.MaxItemsPerLease)
	}
	for n, i := range items {
		p, err := b.parse(n, i)
		if err != nil {
			return err
		}
		if err := b.admit(l.value.Lease, p); err != nil {
			return errorsmod.Wrapf(err, "items[%d]", n)
		}
		if err := b.join(l, p); err != nil {
			return errorsmod.Wrapf(err, "items[%d]", n)
		}
		b.receive(consumer, l.value.Denom, i.Escrow)
	}
	return nil
}

// openLease begins a lease over offers of one resource and denomination.
func (b *book) openLease(consumer account, msg *marketv1.MsgOpenLease) (uint64, error) {
	if len(msg.Items) == 0 {
		return 0, errorsmod.Wrap(ErrField, "items is empty: a lease needs at least one")
	}
	first, err := b.offer(msg.Items[0].Offer)
	if err != nil {
		return 0, errorsmod.Wrap(err, "items[0]")
	}
	if err := checkDenom(first.value.Denom, b.params); err != nil {
		return 0, err
	}
	l, err := b.newLease(marketv1.Lease{
		Consumer:   consumer.text,
		SessionKey: msg.SessionKey,
		Resource:   first.value.Resource,
		Denom:      first.value.Denom,
		ExpiresAt:  b.now + msg.Seconds,
	})
	if err != nil {
		return 0, err
	}
	if err := b.addItems(consumer, l, msg.Items); err != nil {
		return 0, err
	}
	b.emit(&marketv1.EventLeaseOpened{
		Id:       l.key,
		Consumer: consumer.text,
		Resource: l.value.Resource,
		Items:    uint32(len(msg.Items)),
	})
	return l.key, nil
}

// amend changes a running lease: first its time, so that new items are held to it, then what it has,
// then what is new.
func (b *book) amend(consumer account, l leaseVolume, msg *marketv1.MsgAmendLease) error {
	if len(msg.Items) == 0 && len(msg.TopUps) == 0 && msg.Seconds == 0 {
		return errorsmod.Wrap(ErrField, "items, top_ups and seconds are empty: nothing to amend")
	}
	if err := checkSeconds("seconds", msg.Seconds, 0, b.params.MaxLeaseSeconds); err != nil {
		return err
	}
	if n := len(msg.TopUps); n > int(b.params.MaxItemsPerLease) {
		return errorsmod.Wrapf(ErrTooMany, "%d top_ups: at most %d", n, b.params.MaxItemsPerLease)
	}
	if msg.Seconds > 0 {
		b.chargeDeadlines(uint64(l.value.OpenItems)) // each item's entry will move itself on
		l.edit().ExpiresAt += msg.Seconds
	}
	for n, up := range msg.TopUps {
		if err := b.topUp(consumer, l, up); err != nil {
			return errorsmod.Wrapf(err, "top_ups[%d] of device %d", n, up.Device)
		}
	}
	if err := b.addItems(consumer, l, msg.Items); err != nil {
		return err
	}
	most := min(l.value.MaxSeconds, b.params.MaxLeaseSeconds)
	if ahead := l.value.ExpiresAt - b.now; msg.Seconds > 0 && ahead > most {
		return errorsmod.Wrapf(ErrDuration, "seconds %d: expiry would be %d seconds ahead, the offers of the lease take at most %d", msg.Seconds, ahead, most)
	}
	return nil
}

// topUp adds money to an open item, or changes its units, or both. The stream is paid first: new
// money does not pay for a time in which the escrow was dry, nor new units for a time without them.
func (b *book) topUp(consumer account, l leaseVolume, up marketv1.TopUp) error {
	added, err := parseAmount("escrow", up.Escrow)
	if err != nil {
		return err
	}
	i, err := b.item(l.key, up.Device)
	if err != nil {
		return err
	}
	if i.value.State != marketv1.ItemState_ITEM_STATE_OPEN {
		return errorsmod.Wrapf(ErrItemClosed, "lease %d, device %d: %s", l.key, up.Device, i.value.State)
	}
	resized := up.Units != 0 && up.Units != i.value.Units
	if added.IsZero() && !resized {
		return errorsmod.Wrapf(ErrAmount, "escrow 0 and units %d: nothing to change", up.Units)
	}
	if _, err := b.settle(l, i, nil); err != nil {
		return err
	}
	item := i.edit()
	item.Escrow = item.Escrow.Add(up.Escrow)
	if _, err := parseAmount("escrow", item.Escrow); err != nil {
		return err
	}
	b.receive(consumer, l.value.Denom, up.Escrow)
	if !resized {
		return nil
	}
	return b.resize(&item.LeaseItem, up.Units)
}

// resize changes the units that an open item reserves, from now on. More of them are subject to the
// offer as it stands: open, its device active, capacity free, and not dearer than the item is.
func (b *book) resize(item *marketv1.LeaseItem, units uint64) error {
	v, err := b.offer(item.Offer)
	if err != nil {
		return err
	}
	o := v.edit()
	grows := units > item.Units
	if grows {
		if err := b.growable(*item, o.Offer, units-item.Units); err != nil {
			return err
		}
	}
	o.Reserved = o.Reserved - item.Units + units
	item.Units = units
	if !grows {
		return nil
	}
	stream, err := parsePrice("stream", item.Stream)
	if err != nil {
		return err
	}
	escrow, err := parseAmount("escrow", item.Escrow)
	if err != nil {
		return err
	}
	return covers(escrow, stream, units, o.MinSeconds)
}

// growable says why an item cannot reserve more units of its offer, nil if it can.
func (b *book) growable(item marketv1.LeaseItem, o marketv1.Offer, more uint64) error {
	if o.State != marketv1.OfferState_OFFER_STATE_OPEN {
		return errorsmod.Wrapf(ErrOfferClosed, "offer %d", o.Id)
	}
	if _, err := b.k.devices.Active(b.ctx, o.Device); err != nil {
		return err
	}
	if err := b.k.devices.Permitted(b.ctx, o.Device, o.Resource); err != nil {
		return err
	}
	if free := o.Capacity - o.Reserved; more > free {
		return errorsmod.Wrapf(ErrCapacity, "offer %d has %d units free, not %d", o.Id, free, more)
	}
	for _, side := range []struct {
		field       string
		asked, paid marketv1.Price
	}{{"stream", o.Stream, item.Stream}, {"metered", o.Metered, item.Metered}} {
		asked, err := parsePrice(side.field, side.asked)
		if err != nil {
			return err
		}
		paid, err := parsePrice(side.field, side.paid)
		if err != nil {
			return err
		}
		if asked.Cmp(paid) > 0 {
			return errorsmod.Wrapf(ErrPriceAbove, "offer %d asks %s per %d (%s) by now, the item pays %s per %d",
				o.Id, asked.Amount, asked.Per, side.field, paid.Amount, paid.Per)
		}
	}
	return nil
}

// running takes a lease that has not ended, of a consumer, to change.
func (b *book) running(id uint64, consumer string) (leaseVolume, error) {
	l, err := b.lease(id)
	if err != nil {
		return nil, err
	}
	switch {
	case l.value.Consumer != consumer:
		return nil, errorsmod.Wrapf(ErrNotConsumer, "lease %d is %s's, not %s's", id, l.value.Consumer, consumer)
	case l.value.State != marketv1.LeaseState_LEASE_STATE_OPEN:
		return nil, errorsmod.Wrapf(ErrLeaseClosed, "lease %d", id)
	case b.now >= l.value.ExpiresAt:
		return nil, errorsmod.Wrapf(ErrLeaseExpired, "lease %d expired at %d, block time %d", id, l.value.ExpiresAt, b.now)
	}
	return l, nil
}

// admit says why a part cannot be joined to a lease, nil if it can: the offer is open and sells
// what the lease is for, its device is active, it has the capacity, and the escrow covers the
// shortest lease that the offer takes, so that capacity is not blocked for nothing.
func (b *book) admit(l marketv1.Lease, p part) error {
	v, err := b.offer(p.offer)
	if err != nil {
		return err
	}
	o := v.value
	if o.State != marketv1.OfferState_OFFER_STATE_OPEN {
		return errorsmod.Wrapf(ErrOfferClosed, "offer %d", o.Id)
	}
	if o.Resource != l.Resource || o.Denom != l.Denom {
		return errorsmod.Wrapf(ErrMixed, "offer %d sells %s for %s, the lease is of %s for %s", o.Id, o.Resource, o.Denom, l.Resource, l.Denom)
	}
	if _, err := b.k.devices.Active(b.ctx, o.Device); err != nil {
		return err
	}
	if err := b.k.devices.Permitted(b.ctx, o.Device, o.Resource); err != nil {
		return err
	}
	if p.units == 0 {
		return errorsmod.Wrapf(ErrField, "units 0 of offer %d: want at least 1", o.Id)
	}
	if free := o.Capacity - o.Reserved; p.units > free {
		return errorsmod.Wrapf(ErrCapacity, "offer %d has %d units free, not %d", o.Id, free, p.units)
	}
	remaining := l.ExpiresAt - b.now
	if remaining < o.MinSeconds || remaining > o.MaxSeconds {
		return errorsmod.Wrapf(ErrDuration, "offer %d takes leases of %d to %d seconds, this one has %d to run", o.Id, o.MinSeconds, o.MaxSeconds, remaining)
	}
	if err := covers(p.escrow, p.stream, p.units, o.MinSeconds); err != nil {
		return errorsmod.Wrapf(err, "offer %d", o.Id)
	}
	switch _, err := b.item(l.Id, o.Device); {
	case err == nil:
		return errorsmod.Wrapf(ErrDuplicate, "device %d has or had part in lease %d", o.Device, l.Id)
	case !errors.Is(err, ErrNoItem):
		return err
	}
	return nil
}

// covers says whether an escrow pays a stream for the time that an offer asks for at least.
func covers(escrow price.Amount, stream price.Rate, units uint64, seconds int64) error {
	least, err := stream.StreamCost(units, uint64(seconds))
	if err != nil {
		return errorsmod.Wrapf(ErrEscrowTooSmall, "escrow %s: %s", escrow, err)
	}
	if escrow.Cmp(least) < 0 {
		return errorsmod.Wrapf(ErrEscrowTooSmall, "escrow %s does not pay %d units for the least %d seconds, which cost %s", escrow, units, seconds, least)
	}
	return nil
}

// join makes an admitted part an item of a lease. The money must be received beside it.
func (b *book) join(l leaseVolume, p part) error {
	v, err := b.offer(p.offer)
	if err != nil {
		return err
	}
	o := v.edit()
	o.Reserved += p.units
	lease := l.edit()
	lease.OpenItems++
	lease.MaxSeconds = min(lease.MaxSeconds, o.MaxSeconds)
	b.items.put(itemID{lease.Id, o.Device}, queuedItem{LeaseItem: marketv1.LeaseItem{
		Lease:      lease.Id,
		Device:     o.Device,
		Offer:      o.Id,
		Units:      p.units,
		Stream:     toPrice(p.stream),
		Metered:    toPrice(p.metered),
		Escrow:     toInt(p.escrow),
		Streamed:   math.ZeroInt(),
		Vouched:    math.ZeroInt(),
		AccruedAt:  b.now,
		State:      marketv1.ItemState_ITEM_STATE_OPEN,
		OpenedAt:   b.now,
		MaxSeconds: o.MaxSeconds,
		Deadline:   lease.ExpiresAt,
	}}).edit()
	b.chargeDeadlines(deadlinesPerItem)
	return nil
}

// settle pays an item's stream up to now, and what a voucher adds if there is one. Where the escrow
// does not hold all of the voucher, unpaid is the rest.
func (b *book) settle(l leaseVolume, i itemVolume, v *voucher) (unpaid math.Int, err error) {
	before := i.value // put back if the voucher does not hold
	delivered := i.value.VouchedUnits
	item := i.edit()
	streamed, err := accrue(&item.LeaseItem, min(b.now, l.value.ExpiresAt))
	if err != nil {
		return math.Int{}, err
	}
	vouched, unpaid := math.ZeroInt(), math.ZeroInt()
	if v != nil {
		if vouched, unpaid, err = redeem(&item.LeaseItem, *v); err != nil {
			i.value = before
			return math.Int{}, err
		}
	}
	gross := streamed.Add(vouched)
	if gross.IsZero() {
		return unpaid, nil
	}
	to, net, fee, err := b.pay(item.Device, l.value.Lease, gross, item.VouchedUnits-delivered)
	if err != nil {
		return math.Int{}, err
	}
	b.emit(&marketv1.EventSettled{
		Lease:    item.Lease,
		Device:   item.Device,
		Owner:    to.text,
		Paid:     net,
		Burned:   fee,
		Streamed: streamed,
		Unpaid:   unpaid,
	})
	return unpaid, nil
}

// graceEnd gives the time, Unix seconds, until which an item takes vouchers, and false while it is
// open and has no such end. An item whose lease has expired is as good as closing, whether or not
// the queue has come to it.
func (b *book) graceEnd(l marketv1.Lease, i marketv1.LeaseItem) (int64, bool) {
	switch {
	case i.State == marketv1.ItemState_ITEM_STATE_CLOSING:
		return i.CloseAt, true
	case i.State == marketv1.ItemState_ITEM_STATE_OPEN && b.now >= l.ExpiresAt:
		return l.ExpiresAt + b.params.GraceSeconds, true
	default:
		return 0, false
	}
}

// beginClosing stops an open item: its stream is paid up to now or the expiry of its lease, its
// units are free again, and only vouchers are taken from it until the end of the grace window.
func (b *book) beginClosing(l leaseVolume, i itemVolume) error {
	stopped := min(b.now, l.value.ExpiresAt)
	if _, err := b.settle(l, i, nil); err != nil {
		return err
	}
	item := i.edit()
	if err := b.free(item.Offer, item.Units); err != nil {
		return err
	}
	item.State = marketv1.ItemState_ITEM_STATE_CLOSING
	item.Carry = 0 // less than a base unit: the protocol's favour is not to ask for it
	item.CloseAt = stopped + b.params.GraceSeconds
	item.Deadline = item.CloseAt
	b.emit(&marketv1.EventItemClosing{Lease: item.Lease, Device: item.Device, CloseAt: item.CloseAt})
	return nil
}

// free gives units back to an offer.
func (b *book) free(offer, units uint64) error {
	v, err := b.offer(offer)
	if err != nil {
		return err
	}
	o := v.edit()
	if units > o.Reserved {
		return errorsmod.Wrapf(ErrCapacity, "offer %d has %d units reserved, not %d", offer, o.Reserved, units)
	}
	o.Reserved -= units
	return nil
}

// ending says how an item ended.
type ending int

const (
	served    ending = iota // as it should
	abandoned               // by its device, early
)

// finish closes an item that is closing: what its escrow still holds goes back to the consumer.
func (b *book) finish(l leaseVolume, i itemVolume, how ending) error {
	if i.value.State != marketv1.ItemState_ITEM_STATE_CLOSING {
		return errorsmod.Wrapf(ErrItemClosed, "lease %d, device %d: %s", i.key.lease, i.key.device, i.value.State)
	}
	consumer, err := b.consumer(l.value.Consumer)
	if err != nil {
		return err
	}
	r, err := b.reputation(i.key.device)
	if err != nil {
		return err
	}
	item, lease := i.edit(), l.edit()
	rest := item.Escrow
	b.refund(consumer, lease.Denom, rest)
	item.Escrow = math.ZeroInt()
	item.State = marketv1.ItemState_ITEM_STATE_CLOSED
	item.Deadline = 0
	lease.OpenItems--
	if lease.OpenItems == 0 {
		lease.State = marketv1.LeaseState_LEASE_STATE_CLOSED
		lease.Deadline = b.now + b.params.RetentionSeconds
	}
	r.LastEnded = b.now
	if how == abandoned {
		r.Abandoned++
	} else {
		r.Completed++
	}
	b.emit(&marketv1.EventItemClosed{
		Lease:  item.Lease,
		Device: item.Device,
		Refund: sdk.Coin{Denom: lease.Denom, Amount: rest},
	})
	return nil
}

// leave ends an item at once for its operator, who waives the grace window. It counts as abandoned
// unless the consumer or the clock has ended it already, the device has served as long as it ever
// offered to, or the escrow has run dry.
func (b *book) leave(l leaseVolume, i itemVolume) error {
	how := served
	if i.value.State == marketv1.ItemState_ITEM_STATE_OPEN {
		expired := b.now >= l.value.ExpiresAt
		fulfilled := b.now-i.value.OpenedAt >= i.value.MaxSeconds
		if err := b.beginClosing(l, i); err != nil {
			return err
		}
		if dry := i.value.Escrow.IsZero(); !expired && !fulfilled && !dry {
			how = abandoned
		}
	}
	return b.finish(l, i, how)
}

// closeItems ends items for their consumer: those of the devices, or, if none is named, all that
// are open.
func (b *book) closeItems(l leaseVolume, devices []uint64) error {
	if l.value.State != marketv1.LeaseState_LEASE_STATE_OPEN {
		return errorsmod.Wrapf(ErrLeaseClosed, "lease %d", l.key)
	}
	if err := checkDistinct("devices", devices); err != nil {
		return err
	}
	if len(devices) == 0 {
		var err error
		if devices, err = b.k.openDevices(b.ctx, l.key); err != nil {
			return err
		}
		if len(devices) == 0 {
			return errorsmod.Wrapf(ErrItemClosed, "lease %d: all of its items are closing", l.key)
		}
	}
	for _, device := range devices {
		i, err := b.item(l.key, device)
		if err != nil {
			return err
		}
		if i.value.State != marketv1.ItemState_ITEM_STATE_OPEN {
			return errorsmod.Wrapf(ErrItemClosed, "lease %d, device %d: %s", l.key, device, i.value.State)
		}
		if err := b.beginClosing(l, i); err != nil {
			return err
		}
	}
	return nil
}

// openDevices lists the devices whose items of a lease are open.
func (k *Keeper) openDevices(ctx context.Context, lease uint64) ([]uint64, error) {
	var devices []uint64
	err := k.items.Walk(ctx, collections.NewPrefixedPairRange[uint64, uint64](lease), func(key itemKey, i marketv1.LeaseItem) (bool, error) {
		if i.State == marketv1.ItemState_ITEM_STATE_OPEN {
			devices = append(devices, key.K2())
		}
		return false, nil
	})
	return devices, errorsmod.Wrapf(err, "reading items of lease %d", lease)
}

// leaveAs ends one device's item for an account that may act for the device.
func (b *book) leaveAs(sender string, l leaseVolume, devices []uint64) error {
	if len(devices) != 1 {
		return errorsmod.Wrapf(ErrNotConsumer, "lease %d is %s's, not %s's: others may end exactly their own device's part, devices names %d", l.key, l.value.Consumer, sender, len(devices))
	}
	i, err := b.item(l.key, devices[0])
	if err != nil {
		return err
	}
	if _, err := b.k.devices.Operated(b.ctx, devices[0], sender); err != nil {
		return err
	}
	return b.leave(l, i)
}
