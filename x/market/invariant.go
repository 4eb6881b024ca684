package market

import (
	"cmp"
	"context"
	"fmt"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/internal/modkit"
)

// Invariants are the properties of the market that hold after every message and every block.
func (k *Keeper) Invariants() []modkit.Invariant {
	onState := func(check func(*marketv1.GenesisState) error) func(context.Context) error {
		return func(ctx context.Context) error {
			g, err := k.ExportGenesis(ctx)
			if err != nil {
				return err
			}
			return check(g)
		}
	}
	return []modkit.Invariant{
		{Name: "INV-ESCROW", Check: k.checkEscrow},
		{Name: "INV-RESERVED", Check: onState(checkReserved)},
		{Name: "INV-ITEMS", Check: onState(ValidateGenesis)},
		{Name: "INV-DEADLINE", Check: k.checkDeadlines},
		{Name: "INV-TOTALS", Check: onState(checkTotals)},
	}
}

// checkEscrow: INV-ESCROW: for every denomination, the escrows of all items and what all open orders
// hold add up to no more than the module account has. A closed item and an order that is over hold
// nothing.
func (k *Keeper) checkEscrow(ctx context.Context) error {
	g, err := k.ExportGenesis(ctx)
	if err != nil {
		return err
	}
	denoms := make(map[uint64]string, len(g.Leases))
	for _, l := range g.Leases {
		denoms[l.Id] = l.Denom
	}
	owed := sdk.NewCoins()
	for _, i := range g.Items {
		if i.State == marketv1.ItemState_ITEM_STATE_CLOSED && !i.Escrow.IsZero() {
			return fmt.Errorf("item of lease %d, device %d is closed and holds %s", i.Lease, i.Device, i.Escrow)
		}
		owed = plus(owed, sdk.Coin{Denom: denoms[i.Lease], Amount: i.Escrow})
	}
	for _, o := range g.Orders {
		if o.State == marketv1.OrderState_ORDER_STATE_OPEN {
			held, err := orderEscrow(o)
			if err != nil {
				return fmt.Errorf("order %d: %w", o.Id, err)
			}
			owed = plus(owed, sdk.Coin{Denom: o.Denom, Amount: held})
		}
	}
	for _, coin := range owed {
		if has := k.bank.GetBalance(ctx, k.account, coin.Denom); has.Amount.LT(coin.Amount) {
			return fmt.Errorf("items and orders hold %s, the module account %s", coin, has)
		}
	}
	return nil
}

// checkReserved: INV-RESERVED: what an offer says is reserved is the sum of the units of its open
// items, and not above its capacity.
func checkReserved(g *marketv1.GenesisState) error {
	units := make(map[uint64]math.Int, len(g.Offers))
	for _, i := range g.Items {
		if i.State == marketv1.ItemState_ITEM_STATE_OPEN {
			sum, begun := units[i.Offer]
			if !begun {
				sum = math.ZeroInt()
			}
			units[i.Offer] = sum.Add(math.NewIntFromUint64(i.Units))
		}
	}
	for _, o := range g.Offers {
		sum, some := units[o.Id]
		if !some {
			sum = math.ZeroInt()
		}
		if !sum.Equal(math.NewIntFromUint64(o.Reserved)) {
			return errorsmod.Wrapf(ErrGenesis, "offer %d says %d units are reserved, its open items reserve %s", o.Id, o.Reserved, sum)
		}
		if o.Reserved > o.Capacity {
			return errorsmod.Wrapf(ErrGenesis, "offer %d has %d units reserved of %d", o.Id, o.Reserved, o.Capacity)
		}
	}
	return nil
}

// checkOffers checks the form of all offers.
func checkOffers(g *marketv1.GenesisState) error {
	if err := rising("offers", g.Offers, func(o marketv1.Offer) uint64 { return o.Id }, g.NextOffer); err != nil {
		return err
	}
	for _, o := range g.Offers {
		if o.State != marketv1.OfferState_OFFER_STATE_OPEN && o.State != marketv1.OfferState_OFFER_STATE_CLOSED {
			return errorsmod.Wrapf(ErrGenesis, "offer %d: state %d is none", o.Id, o.State)
		}
		if closed := o.State == marketv1.OfferState_OFFER_STATE_CLOSED; closed != (o.Deadline > 0) {
			return errorsmod.Wrapf(ErrGenesis, "offer %d: deadline %d while %s", o.Id, o.Deadline, o.State)
		}
		if err := checkResource(o.Resource); err != nil {
			return errorsmod.Wrapf(err, "offer %d", o.Id)
		}
		if err := checkTerms(o); err != nil {
			return errorsmod.Wrapf(err, "offer %d", o.Id)
		}
		if o.Device == 0 || o.MinSeconds < 0 || o.MaxSeconds < max(1, o.MinSeconds) || o.MaxSeconds > mostLeaseSeconds {
			return errorsmod.Wrapf(ErrGenesis, "offer %d: device %d, min_seconds %d, max_seconds %d", o.Id, o.Device, o.MinSeconds, o.MaxSeconds)
		}
	}
	return nil
}

// checkLeases checks the form of all leases.
func checkLeases(g *marketv1.GenesisState) error {
	if err := rising("leases", g.Leases, func(l marketv1.Lease) uint64 { return l.Id }, g.NextLease); err != nil {
		return err
	}
	for _, l := range g.Leases {
		if err := checkSessionKey(l.SessionKey); err != nil {
			return errorsmod.Wrapf(err, "lease %d", l.Id)
		}
		if err := sdk.ValidateDenom(l.Denom); err != nil {
			return errorsmod.Wrapf(ErrGenesis, "lease %d: %s", l.Id, err)
		}
		if l.Consumer == "" || l.OpenedAt < 0 || l.ExpiresAt < l.OpenedAt {
			return errorsmod.Wrapf(ErrGenesis, "lease %d: consumer %q, opened_at %d, expires_at %d", l.Id, l.Consumer, l.OpenedAt, l.ExpiresAt)
		}
	}
	return nil
}

// checkItems: INV-ITEMS: every item belongs to a lease, and while it is open to an offer of its own
// device; a lease counts exactly its items that are not closed and is open, without a deadline, while
// there are any; every amount is one, a carry is less than a base unit, and an item has a deadline
// exactly while it is not closed.
func checkItems(g *marketv1.GenesisState) error {
	if err := risingPairs("items", g.Items, func(i marketv1.LeaseItem) [2]uint64 { return [2]uint64{i.Lease, i.Device} }); err != nil {
		return err
	}
	offers := make(map[uint64]marketv1.Offer, len(g.Offers))
	for _, o := range g.Offers {
		offers[o.Id] = o
	}
	open := make(map[uint64]uint32, len(g.Leases))
	for _, l := range g.Leases {
		open[l.Id] = 0
	}
	for _, i := range g.Items {
		if _, known := open[i.Lease]; !known {
			return errorsmod.Wrapf(ErrGenesis, "item of device %d belongs to lease %d, which is none", i.Device, i.Lease)
		}
		o, known := offers[i.Offer]
		if known && o.Device != i.Device || !known && i.State == marketv1.ItemState_ITEM_STATE_OPEN {
			return errorsmod.Wrapf(ErrGenesis, "item of lease %d, device %d is of offer %d, which is none of the device's", i.Lease, i.Device, i.Offer)
		}
		if err := checkItem(i); err != nil {
			return errorsmod.Wrapf(err, "item of lease %d, device %d", i.Lease, i.Device)
		}
		if i.State != marketv1.ItemState_ITEM_STATE_CLOSED {
			open[i.Lease]++
		}
	}
	for _, l := range g.Leases {
		state := marketv1.LeaseState_LEASE_STATE_CLOSED
		if open[l.Id] > 0 {
			state = marketv1.LeaseState_LEASE_STATE_OPEN
		}
		if l.OpenItems != open[l.Id] || l.State != state {
			return errorsmod.Wrapf(ErrGenesis, "lease %d is %s with %d open items, and has %d", l.Id, l.State, l.OpenItems, open[l.Id])
		}
		if closed := open[l.Id] == 0; closed != (l.Deadline > 0) {
			return errorsmod.Wrapf(ErrGenesis, "lease %d: deadline %d while %s", l.Id, l.Deadline, l.State)
		}
	}
	return nil
}

// checkItem checks what holds of one item by itself.
func checkItem(i marketv1.LeaseItem) error {
	stream, err := parsePrice("stream", i.Stream)
	if err != nil {
		return err
	}
	if _, err := parsePrice("metered", i.Metered); err != nil {
		return err
	}
	if _, err := parseAmount("escrow", i.Escrow); err != nil {
		return err
	}
	if _, err := parseAmount("vouched", i.Vouched); err != nil {
		return err
	}
	if i.Streamed.IsNil() || i.Streamed.IsNegative() {
		return errorsmod.Wrapf(ErrGenesis, "streamed %s", i.Streamed)
	}
	if i.Units == 0 || i.Carry >= stream.Per || i.MaxSeconds < 1 || i.OpenedAt < 0 || i.AccruedAt < i.OpenedAt {
		return errorsmod.Wrapf(ErrGenesis, "units %d, carry %d of %d, max_seconds %d, opened_at %d, accrued_at %d",
			i.Units, i.Carry, stream.Per, i.MaxSeconds, i.OpenedAt, i.AccruedAt)
	}
	switch i.State {
	case marketv1.ItemState_ITEM_STATE_OPEN, marketv1.ItemState_ITEM_STATE_CLOSING:
		if i.Deadline <= 0 {
			return errorsmod.Wrapf(ErrGenesis, "deadline %d while %s", i.Deadline, i.State)
		}
	case marketv1.ItemState_ITEM_STATE_CLOSED:
		if i.Deadline != 0 || !i.Escrow.IsZero() {
			return errorsmod.Wrapf(ErrGenesis, "deadline %d and escrow %s while closed", i.Deadline, i.Escrow)
		}
	default:
		return errorsmod.Wrapf(ErrGenesis, "state %d is none", i.State)
	}
	return nil
}

// checkOrders checks the form of all orders and that every bid is to one of them.
func checkOrders(g *marketv1.GenesisState) error {
	if err := rising("orders", g.Orders, func(o marketv1.Order) uint64 { return o.Id }, g.NextOrder); err != nil {
		return err
	}
	known := make(map[uint64]bool, len(g.Orders))
	for _, o := range g.Orders {
		known[o.Id] = true
		if err := checkWish(o); err != nil {
			return errorsmod.Wrapf(err, "order %d", o.Id)
		}
		if err := sdk.ValidateDenom(o.Denom); err != nil {
			return errorsmod.Wrapf(ErrGenesis, "order %d: %s", o.Id, err)
		}
		open := o.State == marketv1.OrderState_ORDER_STATE_OPEN
		awarded := o.State == marketv1.OrderState_ORDER_STATE_AWARDED
		if !open && !awarded && o.State != marketv1.OrderState_ORDER_STATE_CANCELLED {
			return errorsmod.Wrapf(ErrGenesis, "order %d: state %d is none", o.Id, o.State)
		}
		if o.Deadline <= 0 || awarded != (o.Lease != 0) || o.Lease >= g.NextLease || o.Consumer == "" || o.Seconds < 1 {
			return errorsmod.Wrapf(ErrGenesis, "order %d is %s: deadline %d, lease %d, consumer %q, seconds %d", o.Id, o.State, o.Deadline, o.Lease, o.Consumer, o.Seconds)
		}
	}
	if err := risingPairs("bids", g.Bids, func(b marketv1.Bid) [2]uint64 { return [2]uint64{b.Order, b.Device} }); err != nil {
		return err
	}
	for _, b := range g.Bids {
		if !known[b.Order] {
			return errorsmod.Wrapf(ErrGenesis, "bid of device %d is to order %d, which is none", b.Device, b.Order)
		}
		if _, err := parsePrice("stream", b.Stream); err != nil {
			return errorsmod.Wrapf(err, "bid of device %d to order %d", b.Device, b.Order)
		}
		if _, err := parsePrice("metered", b.Metered); err != nil {
			return errorsmod.Wrapf(err, "bid of device %d to order %d", b.Device, b.Order)
		}
	}
	return nil
}

// checkTotals: INV-TOTALS: in every denomination the totals of the resources and those of the devices
// add up to the total of everything, and no device has been paid less than its items that are still
// there say.
func checkTotals(g *marketv1.GenesisState) error {
	type sums struct{ paid, burned math.Int }
	all := make(map[string]sums)       // by denomination
	resources := make(map[string]sums) // added up, likewise
	devices := make(map[string]sums)   // added up, likewise
	gross := make(map[totalID]math.Int)
	add := func(to map[string]sums, t marketv1.Total) {
		if sum, begun := to[t.Denom]; begun {
			to[t.Denom] = sums{sum.paid.Add(t.Paid), sum.burned.Add(t.Burned)}
		} else {
			to[t.Denom] = sums{t.Paid, t.Burned}
		}
	}
	for n, t := range g.Totals {
		if n > 0 && totalOrder(g.Totals[n-1], t) >= 0 {
			return errorsmod.Wrapf(ErrGenesis, "totals[%d] is of device %d, resource %q, denom %q: want rising order", n, t.Device, t.Resource, t.Denom)
		}
		for _, side := range []math.Int{t.Paid, t.Burned, t.Units} {
			if side.IsNil() || side.IsNegative() {
				return errorsmod.Wrapf(ErrGenesis, "totals[%d]: paid %s, burned %s, units %s", n, t.Paid, t.Burned, t.Units)
			}
		}
		switch {
		case t.Device != 0 && t.Resource != "":
			return errorsmod.Wrapf(ErrGenesis, "totals[%d] is of device %d and of resource %q: want one of them", n, t.Device, t.Resource)
		case t.Device != 0:
			add(devices, t)
			gross[totalID{device: t.Device, denom: t.Denom}] = t.Paid.Add(t.Burned)
		case t.Resource != "":
			add(resources, t)
		default:
			add(all, t)
		}
	}
	for _, t := range g.Totals {
		whole := all[t.Denom]
		for _, side := range []struct {
			of  string
			sum sums
		}{{"resources", resources[t.Denom]}, {"devices", devices[t.Denom]}} {
			if whole.paid.IsNil() || side.sum.paid.IsNil() || !side.sum.paid.Equal(whole.paid) || !side.sum.burned.Equal(whole.burned) {
				return errorsmod.Wrapf(ErrGenesis, "totals of %s in %s: %s paid, %s burned, in all %s and %s",
					side.of, t.Denom, side.sum.paid, side.sum.burned, whole.paid, whole.burned)
			}
		}
	}
	denoms := make(map[uint64]string, len(g.Leases))
	for _, l := range g.Leases {
		denoms[l.Id] = l.Denom
	}
	for _, i := range g.Items {
		id := totalID{device: i.Device, denom: denoms[i.Lease]}
		rest, some := gross[id]
		if !some {
			rest = math.ZeroInt()
		}
		if gross[id] = rest.Sub(i.Streamed).Sub(i.Vouched); gross[id].IsNegative() {
			return errorsmod.Wrapf(ErrGenesis, "total of device %d in %s is %s below what its items were paid", i.Device, id.denom, gross[id].Neg())
		}
	}
	return nil
}

// totalOrder is the order of totals in the store.
func totalOrder(a, b marketv1.Total) int {
	return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Denom, b.Denom))
}

// checkDeadlines: INV-DEADLINE: the queue holds exactly one entry for each item that is not closed, each
// order, and each lease and offer that is closed, at its deadline, and nothing else.
func (k *Keeper) checkDeadlines(ctx context.Context) error {
	g, err := k.ExportGenesis(ctx)
	if err != nil {
		return err
	}
	want := 0
	expect := func(at int64, kind int32, id, device uint64) error {
		if at == 0 {
			return nil
		}
		want++
		entry := collections.Join4(at, kind, id, device)
		has, err := k.deadlines.Has(ctx, entry)
		if err == nil && !has {
			err = fmt.Errorf("no entry %s in the queue", deadlineCodec.Stringify(entry))
		}
		return err
	}
	for _, i := range g.Items {
		if err := expect(i.Deadline, itemDeadline, i.Lease, i.Device); err != nil {
			return err
		}
	}
	for _, o := range g.Orders {
		if err := expect(o.Deadline, orderDeadline, o.Id, 0); err != nil {
			return err
		}
	}
	for _, l := range g.Leases {
		if err := expect(l.Deadline, leaseDeadline, l.Id, 0); err != nil {
			return err
		}
	}
	for _, o := range g.Offers {
		if err := expect(o.Deadline, offerDeadline, o.Id, 0); err != nil {
			return err
		}
	}
	entries := 0
	err = k.deadlines.Walk(ctx, nil, func(deadlineKey) (bool, error) {
		entries++
		return false, nil
	})
	if err == nil && entries != want {
		err = fmt.Errorf("%d entries in the queue, want %d", entries, want)
	}
	return err
}
