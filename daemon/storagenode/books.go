package storagenode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"cosmossdk.io/math"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/voucher"
	"github.com/cairn-network/cairn/internal/clock"
)

// books follows the leases on this device: it redeems what they owe and drops the pieces of those
// that ended. One goroutine works on it; the snapshot may be read by others.
type books struct {
	node    *Node
	handler *handler

	settledAt   map[uint64]time.Time // by lease: last attempt that succeeded
	maxVouchers int
	announced   bool

	mu       sync.Mutex
	seen     time.Time // last answer of the chain
	failure  error     // of the last round, nil when it went well
	reserved uint64
	open     int
	set      uint64 // changes when a lease opens or ends
	earned   price.Amount
	pending  price.Amount // promised by vouchers and not yet redeemed
	streamed price.Amount // accrued and not yet paid
	warnings []string
}

func newBooks(n *Node) *books {
	return &books{node: n, settledAt: map[uint64]time.Time{}, maxVouchers: 100}
}

func (b *books) run(ctx context.Context) error {
	return clock.Every(ctx, b.node.Clock, b.node.Config.Poll, func(ctx context.Context) error {
		err := b.round(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			b.node.Log.Warn("following leases", "error", err)
		}
		b.mu.Lock()
		b.failure = err
		b.mu.Unlock()
		return nil
	})
}

// health is why the last round failed.
func (b *books) health() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failure
}

// position is what one lease item owes.
type position struct {
	item    marketv1.LeaseItem
	accrued price.Amount // stream, owed by now
	voucher *voucher.Signed
	pending price.Amount // promised beyond what was paid for vouchers
	ends    time.Time    // after which nothing can be redeemed
}

// round is one step: look, drop what ended, redeem what is due. What fails does not keep the rest
// from being done.
func (b *books) round(ctx context.Context) error {
	n := b.node
	if !b.announced {
		if err := n.announce(ctx); err != nil {
			return fmt.Errorf("announcing the endpoint: %w", err)
		}
		b.announced = true
	}
	items, err := n.Chain.DeviceItems(ctx, n.Identity.Device)
	if err != nil {
		return err
	}
	params, err := n.Chain.MarketParams(ctx)
	if err != nil {
		return err
	}
	b.maxVouchers = max(1, min(int(params.MaxVouchersPerSettle), 200))
	totals, err := n.Chain.Totals(ctx, n.Identity.Device, "")
	if err != nil {
		return err
	}
	positions, err := b.positions(items)
	if err != nil {
		return err
	}
	b.observe(items, positions, totals)
	return errors.Join(b.clear(ctx, items), b.settle(ctx, positions))
}

// positions works out what every item owes now.
func (b *books) positions(items []marketv1.LeaseItem) ([]position, error) {
	now := b.node.Clock.Now()
	ps := make([]position, 0, len(items))
	for _, i := range items {
		p := position{item: i}
		if i.CloseAt > 0 {
			p.ends = time.Unix(i.CloseAt, 0)
		} else if i.Deadline > 0 {
			p.ends = time.Unix(i.Deadline, 0)
		}
		var err error
		if p.accrued, err = accrued(i, now.Unix()); err != nil {
			return nil, fmt.Errorf("lease %d: %w", i.Lease, err)
		}
		if v, ok := b.node.ledger.get(i.Lease); ok {
			paid, err := amountOf(i.Vouched)
			if err != nil {
				return nil, fmt.Errorf("lease %d: amount vouched: %w", i.Lease, err)
			}
			left, err := amountOf(i.Escrow)
			if err != nil {
				return nil, fmt.Errorf("lease %d: escrow: %w", i.Lease, err)
			}
			// What the escrow no longer holds will not be paid, however often it is asked for.
			left, _ = left.Sub(p.accrued)
			due, under := v.Amount.Sub(paid)
			if due.Cmp(left) > 0 {
				due = left
			}
			if !under && !due.IsZero() && v.Expiry > now.Unix() {
				p.voucher, p.pending = &v, due
			}
		}
		ps = append(ps, p)
	}
	return ps, nil
}

func amountOf(i math.Int) (price.Amount, error) {
	if i.IsNil() {
		return price.Amount{}, nil
	}
	return price.FromBig(i.BigInt())
}

// accrued is what an item's stream has earned since it was last paid, at most its escrow.
func accrued(i marketv1.LeaseItem, now int64) (price.Amount, error) {
	if i.Deadline > 0 {
		now = min(now, i.Deadline) // the chain then ends the item
	}
	if i.State != marketv1.ItemState_ITEM_STATE_OPEN || now <= i.AccruedAt {
		return price.Amount{}, nil
	}
	amount, err := amountOf(i.Stream.Amount)
	if err != nil {
		return price.Amount{}, fmt.Errorf("stream price: %w", err)
	}
	escrow, err := amountOf(i.Escrow)
	if err != nil {
		return price.Amount{}, fmt.Errorf("escrow: %w", err)
	}
	earned, _, err := price.Rate{Amount: amount, Per: i.Stream.Per}.Accrue(i.Units, uint64(now-i.AccruedAt), i.Carry)
	if err != nil || earned.Cmp(escrow) > 0 {
		return escrow, nil // what is more than any escrow takes all of it
	}
	return earned, nil
}

// observe updates the snapshot.
func (b *books) observe(items []marketv1.LeaseItem, ps []position, totals []marketv1.Total) {
	var reserved uint64
	var pending, streamed price.Amount
	var warnings []string
	var set uint64
	open := 0
	now := b.node.Clock.Now()
	for n, i := range items {
		if i.State == marketv1.ItemState_ITEM_STATE_OPEN {
			reserved += i.Units
			open++
			set = (set ^ i.Lease) * 1099511628211
		}
		pending, _ = pending.Add(ps[n].pending)
		streamed, _ = streamed.Add(ps[n].accrued)
		if v, ok := b.node.ledger.get(i.Lease); ok && v.Expiry <= now.Unix() && ps[n].pending.IsZero() {
			if paid, err := amountOf(i.Vouched); err == nil && v.Amount.Cmp(paid) > 0 {
				warnings = append(warnings, fmt.Sprintf("the last voucher of lease %d expired unredeemed", i.Lease))
			}
		}
	}
	var earned price.Amount
	for _, t := range totals {
		if t.Denom != price.Denom {
			continue
		}
		var err error
		if earned, err = amountOf(t.Paid.Add(t.Burned)); err != nil {
			warnings = append(warnings, fmt.Sprintf("amount earned is unreadable: %v", err))
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen, b.reserved, b.open, b.set, b.earned, b.pending, b.streamed, b.warnings = now, reserved, open, set, earned, pending, streamed, warnings
}

// clear moves the pieces of leases that ended to the trash, and after a while drops them. A lease
// that is not among the open items is asked for by name before anything is done to its pieces.
func (b *books) clear(ctx context.Context, items []marketv1.LeaseItem) error {
	n := b.node
	open := make(map[uint64]bool, len(items))
	for _, i := range items {
		open[i.Lease] = true
	}
	var errs []error
	var gone []uint64
	for _, l := range n.store.Leases() {
		ended := false
		if !open[l.Lease] {
			var err error
			if ended, err = b.ended(ctx, l.Lease); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		now := n.Clock.Now()
		switch {
		case !ended && l.Trashed != 0:
			errs = append(errs, n.store.Restore(l.Lease))
		case ended && n.proofs.Holds(l.Lease): // the chain may still ask for them
		case ended && l.Trashed == 0:
			n.Log.Info("lease ended; its pieces go to the trash", "lease", l.Lease, "pieces", l.Pieces, "bytes", l.Bytes)
			errs = append(errs, n.store.Trash(l.Lease))
			n.leases.forget(l.Lease)
		case ended && now.Sub(time.Unix(l.Trashed, 0)) >= n.Config.KeepTrash:
			n.Log.Info("dropping the pieces of an ended lease", "lease", l.Lease, "pieces", l.Pieces, "bytes", l.Bytes)
			errs = append(errs, n.store.Drop(l.Lease))
			gone = append(gone, l.Lease)
		}
	}
	if len(gone) > 0 {
		errs = append(errs, n.store.Unlink())
	}
	// Vouchers of closed items pay nothing any more, whether pieces are left or not.
	for _, v := range n.ledger.all() {
		if open[v.Lease] {
			continue
		}
		ended, err := b.ended(ctx, v.Lease)
		if err != nil {
			errs = append(errs, err)
		} else if ended {
			gone = append(gone, v.Lease)
		}
	}
	return errors.Join(append(errs, n.accounts.drop(gone))...)
}

// ended asks the chain whether a lease item is closed, or was never there.
func (b *books) ended(ctx context.Context, lease uint64) (bool, error) {
	r, err := b.node.Chain.Item(ctx, lease, b.node.Identity.Device)
	if errors.Is(err, chainclient.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking for lease %d: %w", lease, err)
	}
	return r.Item.State == marketv1.ItemState_ITEM_STATE_CLOSED, nil
}

// settle redeems what is due: everything once much waits on all leases together, and each lease
// whose money has waited long, or cannot wait.
func (b *books) settle(ctx context.Context, ps []position) error {
	n := b.node
	now := n.Clock.Now()
	var waiting price.Amount
	for _, p := range ps {
		waiting, _ = waiting.Add(p.pending)
		waiting, _ = waiting.Add(p.accrued)
	}
	all := waiting.Cmp(n.Config.SettleAbove) >= 0
	var due []position
	for _, p := range ps {
		if p.pending.IsZero() && p.accrued.IsZero() {
			continue
		}
		last, known := b.settledAt[p.item.Lease]
		if !known {
			// After a start nobody knows when it was last done; the stream does.
			last = time.Unix(p.item.AccruedAt, 0)
		}
		soon := now.Add(2*n.Config.Poll + time.Minute)
		urgent := !p.ends.IsZero() && p.ends.Before(soon) || p.voucher != nil && time.Unix(p.voucher.Expiry, 0).Before(soon)
		if all || urgent || now.Sub(last) >= n.Config.SettleEvery {
			due = append(due, p)
		}
	}
	slices.SortFunc(due, func(a, c position) int { return cmp.Compare(a.item.Lease, c.item.Lease) })
	var errs []error
	for batch := range slices.Chunk(due, b.maxVouchers) {
		if err := b.redeem(ctx, batch); err != nil {
			errs = append(errs, err)
		}
	}
	for _, p := range due {
		n.leases.forget(p.item.Lease)
	}
	return errors.Join(errs...)
}

// redeem settles some positions in one message. When the chain refuses the message for what is in
// it, the halves are tried apart, so that one bad position does not hold up the rest.
func (b *books) redeem(ctx context.Context, ps []position) error {
	n := b.node
	m := &marketv1.MsgSettle{AcceptPartial: true}
	for _, p := range ps {
		if p.voucher == nil {
			m.Streams = append(m.Streams, marketv1.ItemRef{Lease: p.item.Lease, Device: n.Identity.Device})
			continue
		}
		v := p.voucher
		m.Vouchers = append(m.Vouchers, marketv1.Voucher{
			Lease: v.Lease, Device: v.Device, Units: v.Units, Amount: math.NewIntFromBigInt(v.Amount.Big()),
			Seq: v.Seq, Expiry: v.Expiry, Signature: v.Signature[:],
		})
	}
	paid, err := n.Chain.Settle(ctx, m)
	if err != nil {
		if refusal := (*chainclient.Error)(nil); len(ps) > 1 && errors.As(err, &refusal) {
			return errors.Join(b.redeem(ctx, ps[:len(ps)/2]), b.redeem(ctx, ps[len(ps)/2:]))
		}
		return fmt.Errorf("settling %d leases from lease %d on: %w", len(ps), ps[0].item.Lease, err)
	}
	now := n.Clock.Now()
	for _, p := range ps {
		b.settledAt[p.item.Lease] = now
	}
	n.Log.Info("settled", "vouchers", len(m.Vouchers), "streams", len(m.Streams), "paid", fmt.Sprint(paid.Paid))
	return nil
}
