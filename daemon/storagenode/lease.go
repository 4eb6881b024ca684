package storagenode

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/internal/clock"
)

// ErrNoLease says that the chain knows no such lease on this device.
var ErrNoLease = errors.New("no such lease on this device")

// ItemState is where a lease item stands.
type ItemState uint8

// States of an item.
const (
	ItemOpen    ItemState = 1 // pieces are taken and served
	ItemClosing ItemState = 2 // pieces are served until CloseAt
	ItemClosed  ItemState = 3 // nothing is owed to anyone
)

// Item is this device's part of a lease, as the chain has it.
type Item struct {
	Lease, Device uint64
	SessionKey    ed25519.PublicKey
	Units         uint64     // bytes reserved
	Metered       price.Rate // for a byte served
	State         ItemState
	ExpiresAt     time.Time // of the lease
	CloseAt       time.Time // end of a closing item's grace window
	DryAt         time.Time // when the stream will have emptied the escrow; zero for never
	Escrow        price.Amount
	Accrued       price.Amount // of the escrow, owed for the stream and not yet paid
	Vouched       price.Amount // paid for vouchers so far
	VouchedUnits  uint64
	Seq           uint64 // of the last voucher paid
}

// End is when the item stops being paid for.
func (i *Item) End() time.Time {
	end := i.ExpiresAt
	if !i.DryAt.IsZero() && i.DryAt.Before(end) {
		end = i.DryAt
	}
	return end
}

// takes tells whether pieces are taken.
func (i *Item) takes(now time.Time) bool { return i.State == ItemOpen && now.Before(i.End()) }

// serves tells whether pieces are served, with a grace window after the end.
func (i *Item) serves(now time.Time, grace time.Duration) bool {
	switch i.State {
	case ItemOpen:
		return now.Before(i.End().Add(grace))
	case ItemClosing:
		return now.Before(i.CloseAt.Add(grace))
	}
	return false
}

// available is what the escrow still holds for vouchers.
func (i *Item) available() price.Amount {
	left, under := i.Escrow.Sub(i.Accrued)
	if under {
		return price.Amount{}
	}
	return left
}

// LeaseAuthority says who may do what. ErrNoLease for a lease that is not on this device.
type LeaseAuthority interface {
	// Item is the device's part of a lease, as it was at most maxAge ago. While the chain is
	// unreachable it may be older.
	Item(ctx context.Context, lease uint64, maxAge time.Duration) (Item, error)
}

// leaseBook is a LeaseAuthority that asks the chain and remembers. Safe for concurrent use.
type leaseBook struct {
	chain  Chain
	device uint64
	clock  clock.Clock

	mu    sync.Mutex
	items map[uint64]*bookEntry
}

type bookEntry struct {
	mu    sync.Mutex // one question at a time
	item  Item
	err   error // ErrNoLease, or nil
	asked time.Time
	known bool
}

const (
	// itemFresh is for how long an answer of the chain is taken for granted.
	itemFresh = 10 * time.Second
	// missFresh is the same before something is refused: what was opened or topped up a moment
	// ago is used at once.
	missFresh = time.Second
	// askPatience is how long the chain may take to answer when an old answer is at hand.
	askPatience = 3 * time.Second
	// itemStale is for how long an old answer serves while the chain is unreachable.
	itemStale = time.Hour
	// maxBook bounds the memory that strangers' lease ids can take.
	maxBook = 1 << 14
)

func newLeaseBook(chain Chain, device uint64, c clock.Clock) *leaseBook {
	return &leaseBook{chain: chain, device: device, clock: c, items: map[uint64]*bookEntry{}}
}

// Item implements LeaseAuthority.
func (b *leaseBook) Item(ctx context.Context, lease uint64, maxAge time.Duration) (Item, error) {
	e := b.entry(lease)
	e.mu.Lock()
	defer e.mu.Unlock()
	now := b.clock.Now()
	age := now.Sub(e.asked)
	if e.err != nil {
		maxAge = min(maxAge, missFresh)
	}
	if e.known && age >= 0 && age < maxAge {
		return e.item, e.err
	}
	if e.known && e.err == nil && age < itemStale {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, askPatience)
		defer cancel()
	}
	answer, err := b.chain.Item(ctx, lease, b.device)
	switch {
	case errors.Is(err, chainclient.ErrNotFound):
		e.item, e.err = Item{}, fmt.Errorf("%w: lease %d", ErrNoLease, lease)
	case err != nil && e.known && e.err == nil && age < itemStale:
		return e.item, nil // the chain is unreachable; what it said last holds for a while
	case err != nil:
		return Item{}, fmt.Errorf("asking the chain for lease %d: %w", lease, err)
	default:
		item, err := parseItem(answer)
		if err != nil {
			return Item{}, fmt.Errorf("reading lease %d: %w", lease, err)
		}
		e.item, e.err = item, nil
	}
	e.asked, e.known = now, true
	return e.item, e.err
}

func (b *leaseBook) entry(lease uint64) *bookEntry {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.items[lease]; e != nil {
		return e
	}
	if len(b.items) >= maxBook {
		for id := range b.items {
			delete(b.items, id) // any: it is a cache
			break
		}
	}
	e := &bookEntry{}
	b.items[lease] = e
	return e
}

// forget makes the next question go to the chain.
func (b *leaseBook) forget(lease uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.items, lease)
}

func parseItem(r marketv1.QueryItemResponse) (Item, error) {
	i, l := r.Item, r.LeaseInfo
	item := Item{
		Lease: i.Lease, Device: i.Device, SessionKey: ed25519.PublicKey(l.SessionKey), Units: i.Units,
		ExpiresAt: time.Unix(l.ExpiresAt, 0), VouchedUnits: i.VouchedUnits, Seq: i.Seq,
	}
	if len(l.SessionKey) != ed25519.PublicKeySize {
		return Item{}, fmt.Errorf("session key of %d bytes, want %d", len(l.SessionKey), ed25519.PublicKeySize)
	}
	if i.CloseAt != 0 {
		item.CloseAt = time.Unix(i.CloseAt, 0)
	}
	if r.DryAt != 0 {
		item.DryAt = time.Unix(r.DryAt, 0)
	}
	switch i.State {
	case marketv1.ItemState_ITEM_STATE_OPEN:
		item.State = ItemOpen
	case marketv1.ItemState_ITEM_STATE_CLOSING:
		item.State = ItemClosing
	case marketv1.ItemState_ITEM_STATE_CLOSED:
		item.State = ItemClosed
	default:
		return Item{}, fmt.Errorf("unknown state %d", i.State)
	}
	amounts := []struct {
		name string
		from interface{ String() string }
		to   *price.Amount
	}{
		{"escrow", i.Escrow, &item.Escrow},
		{"accrued", r.Accrued, &item.Accrued},
		{"vouched", i.Vouched, &item.Vouched},
		{"metered price", i.Metered.Amount, &item.Metered.Amount},
	}
	for _, a := range amounts {
		var err error
		if *a.to, err = price.ParseDecimal(a.from.String()); err != nil {
			return Item{}, fmt.Errorf("%s: %w", a.name, err)
		}
	}
	item.Metered.Per = i.Metered.Per
	return item, item.Metered.Check()
}
