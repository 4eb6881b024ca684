package rentertest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	sdkmath "cosmossdk.io/math"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	storagev1 "github.com/cairn-network/cairn/api/cairn/storage/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/internal/clock"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// Prices of the offers of every node: a month of a GiB and a GiB served cost about a tenth of a CAIRN each.
var (
	Stream  = price.Rate{Amount: price.FromUint64(36), Per: 1}
	Metered = price.Rate{Amount: price.FromUint64(93_000_000), Per: 1}
)

// Bond is what every node has put up: 100 CAIRN.
var Bond = price.Amount{Hi: 5, Lo: 7766279631452241920}

// Ledger is a chain with nothing but a market and snapshots. It is safe for concurrent use.
type Ledger struct {
	clock clock.Clock

	mu       sync.Mutex // guards what follows
	nodes    []*Node
	offers   map[uint64]renter.Offer // by device
	standing map[uint64]renter.Standing
	judged   map[uint64]func(*renter.Node)
	leases   []*marketv1.Lease // ids are index+1
	items    map[uint64][]*marketv1.LeaseItem
	balance  sdkmath.Int
	snapshot storagev1.Snapshot
	// Refuse makes every transaction fail with this error; nil for none.
	refuse error
	params marketv1.Params
}

// NewLedger makes a chain whose only account has a million CAIRN.
func NewLedger(clk clock.Clock) *Ledger {
	coins, _ := sdkmath.NewIntFromString("1000000000000000000000000")
	return &Ledger{
		clock: clk, offers: make(map[uint64]renter.Offer), standing: make(map[uint64]renter.Standing), judged: make(map[uint64]func(*renter.Node)),
		items: make(map[uint64][]*marketv1.LeaseItem), balance: coins,
		params: marketv1.Params{MaxLeaseSeconds: 10 * 365 * 24 * 3600, MaxItemsPerLease: 256},
	}
}

// AddNode registers a node with an offer of capacity bytes and starts it.
func (l *Ledger) AddNode(owner, region string, capacity uint64) (*Node, error) {
	l.mu.Lock()
	device := uint64(len(l.nodes) + 1)
	n := newNode(l, device, owner, region)
	l.nodes = append(l.nodes, n)
	l.offers[device] = renter.Offer{ID: 1000 + device, Denom: "acairn", Stream: Stream, Metered: Metered, Capacity: capacity}
	l.mu.Unlock()
	return n, n.Start()
}

// SetOffer replaces a device's offer.
func (l *Ledger) SetOffer(device uint64, change func(*renter.Offer)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.offers[device]
	change(&o)
	l.offers[device] = o
}

// SetStanding jails, retires or frees a device.
func (l *Ledger) SetStanding(device uint64, s renter.Standing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.standing[device] = s
}

// Judge changes what the chain says of a device, from the next listing on.
func (l *Ledger) Judge(device uint64, change func(*renter.Node)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.judged[device] = change
}

// SetBalance sets what the account can spend.
func (l *Ledger) SetBalance(a price.Amount) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.balance = sdkmath.NewIntFromBigInt(a.Big())
}

// Refuse makes transactions fail; nil ends that.
func (l *Ledger) Refuse(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = err
}

// ChainID implements renter.Chain.
func (l *Ledger) ChainID() string { return "cairn-test-1" }

// Consumer implements renter.Chain.
func (l *Ledger) Consumer() string { return "cairn1renter" }

// Nodes implements renter.Chain.
func (l *Ledger) Nodes(context.Context) ([]renter.Node, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]renter.Node, len(l.nodes))
	for i, n := range l.nodes {
		list[i] = n.listing(l.offers[n.Device], l.standing[n.Device])
		list[i].Bond = Bond
		if change := l.judged[n.Device]; change != nil {
			change(&list[i])
		}
	}
	return list, nil
}

// Leases implements renter.Chain.
func (l *Ledger) Leases(context.Context) ([]marketv1.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []marketv1.Lease
	for _, lease := range slices.Backward(l.leases) {
		list = append(list, *lease)
	}
	return list, nil
}

// Lease implements renter.Chain.
func (l *Ledger) Lease(_ context.Context, id uint64) (marketv1.Lease, []marketv1.LeaseItem, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id == 0 || id > uint64(len(l.leases)) {
		return marketv1.Lease{}, nil, errors.New("no such lease")
	}
	var items []marketv1.LeaseItem
	for _, item := range l.items[id] {
		items = append(items, *item)
	}
	return *l.leases[id-1], items, nil
}

// MarketParams implements renter.Chain.
func (l *Ledger) MarketParams(context.Context) (marketv1.Params, error) { return l.params, nil }

// Balance implements renter.Chain.
func (l *Ledger) Balance(context.Context, string) (price.Amount, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return price.FromBig(l.balance.BigInt())
}

// OpenLease implements renter.Chain.
func (l *Ledger) OpenLease(_ context.Context, m *marketv1.MsgOpenLease) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		return 0, l.refuse
	}
	now := l.clock.Now().Unix()
	id := uint64(len(l.leases) + 1)
	lease := &marketv1.Lease{
		Id: id, Consumer: m.Consumer, SessionKey: m.SessionKey, Resource: renter.Resource, Denom: "acairn",
		OpenedAt: now, ExpiresAt: now + m.Seconds, MaxSeconds: l.params.MaxLeaseSeconds, State: marketv1.LeaseState_LEASE_STATE_OPEN,
	}
	if err := l.addItems(id, m.Items); err != nil {
		return 0, err
	}
	l.leases = append(l.leases, lease)
	return id, nil
}

func (l *Ledger) addItems(id uint64, items []marketv1.NewItem) error {
	now := l.clock.Now().Unix()
	total := sdkmath.ZeroInt()
	for _, it := range items {
		total = total.Add(it.Escrow)
	}
	if total.GT(l.balance) {
		return fmt.Errorf("balance of %s is below %s", l.balance, total)
	}
	for _, it := range items {
		device := it.Offer - 1000
		o, ok := l.offers[device]
		if !ok || o.ID != it.Offer || o.Free() < it.Units {
			return fmt.Errorf("offer %d has no room for %d", it.Offer, it.Units)
		}
		o.Reserved += it.Units
		l.offers[device] = o
		l.items[id] = append(l.items[id], &marketv1.LeaseItem{
			Lease: id, Device: device, Offer: it.Offer, Units: it.Units,
			Stream:  marketv1.Price{Amount: sdkmath.NewIntFromBigInt(o.Stream.Amount.Big()), Per: o.Stream.Per},
			Metered: marketv1.Price{Amount: sdkmath.NewIntFromBigInt(o.Metered.Amount.Big()), Per: o.Metered.Per},
			Escrow:  it.Escrow, Streamed: sdkmath.ZeroInt(), Vouched: sdkmath.ZeroInt(), AccruedAt: now,
			State: marketv1.ItemState_ITEM_STATE_OPEN,
		})
	}
	l.balance = l.balance.Sub(total)
	return nil
}

// AmendLease implements renter.Chain.
func (l *Ledger) AmendLease(_ context.Context, m *marketv1.MsgAmendLease) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		return l.refuse
	}
	if m.Id == 0 || m.Id > uint64(len(l.leases)) {
		return errors.New("no such lease")
	}
	for _, t := range m.TopUps {
		i := slices.IndexFunc(l.items[m.Id], func(it *marketv1.LeaseItem) bool { return it.Device == t.Device })
		if i < 0 || t.Escrow.GT(l.balance) {
			return fmt.Errorf("cannot top up device %d by %s", t.Device, t.Escrow)
		}
		item := l.items[m.Id][i]
		l.accrue(item)
		if t.Units > 0 {
			o := l.offers[t.Device]
			if t.Units > item.Units+o.Free() {
				return fmt.Errorf("offer of device %d has no room for %d", t.Device, t.Units)
			}
			o.Reserved += t.Units - item.Units
			l.offers[t.Device] = o
			item.Units = t.Units
		}
		item.Escrow = item.Escrow.Add(t.Escrow)
		l.balance = l.balance.Sub(t.Escrow)
	}
	l.leases[m.Id-1].ExpiresAt += m.Seconds
	return l.addItems(m.Id, m.Items)
}

// CloseLease implements renter.Chain.
func (l *Ledger) CloseLease(_ context.Context, id uint64, devices ...uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		return l.refuse
	}
	for _, device := range devices {
		i := slices.IndexFunc(l.items[id], func(it *marketv1.LeaseItem) bool { return it.Device == device })
		if i < 0 || l.items[id][i].State != marketv1.ItemState_ITEM_STATE_OPEN {
			return fmt.Errorf("lease %d has nothing open with device %d", id, device)
		}
		item := l.items[id][i]
		l.accrue(item)
		l.balance = l.balance.Add(item.Escrow)
		item.Escrow, item.State = sdkmath.ZeroInt(), marketv1.ItemState_ITEM_STATE_CLOSED
	}
	return nil
}

// accrue books the stream of an item up to now.
func (l *Ledger) accrue(item *marketv1.LeaseItem) {
	now := l.clock.Now().Unix()
	owed := sdkmath.NewIntFromUint64(item.Units).MulRaw(now - item.AccruedAt).Mul(item.Stream.Amount).Quo(sdkmath.NewIntFromUint64(item.Stream.Per))
	owed = sdkmath.MinInt(owed, item.Escrow)
	item.Escrow, item.Streamed, item.AccruedAt = item.Escrow.Sub(owed), item.Streamed.Add(owed), now
}

// Drain takes the escrow of a device's item away, as a stream of years would.
func (l *Ledger) Drain(lease, device uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, item := range l.items[lease] {
		if item.Device == device {
			item.Streamed = item.Streamed.Add(item.Escrow)
			item.Escrow = sdkmath.ZeroInt()
		}
	}
}

// admit tells a node whether peer may speak for a lease, and at what price it reads.
func (l *Ledger) admit(lease, device uint64, peer ed25519.PublicKey) (price.Rate, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lease == 0 || lease > uint64(len(l.leases)) {
		return price.Rate{}, wire.ErrLeaseClosed
	}
	if !ed25519.PublicKey(l.leases[lease-1].SessionKey).Equal(peer) {
		return price.Rate{}, wire.ErrUnauthorized
	}
	for _, item := range l.items[lease] {
		if item.Device == device {
			amount, err := price.FromBig(item.Metered.Amount.BigInt())
			return price.Rate{Amount: amount, Per: item.Metered.Per}, err
		}
	}
	return price.Rate{}, wire.ErrLeaseClosed
}

// Snapshot returns the last one committed.
func (l *Ledger) Snapshot(_ context.Context, renter string) (storagev1.Snapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.snapshot, nil
}

// CommitSnapshot replaces the snapshot; its version must be one above the last.
func (l *Ledger) CommitSnapshot(_ context.Context, m *storagev1.MsgCommitSnapshot) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		return l.refuse
	}
	if m.Version != l.snapshot.Version+1 {
		return fmt.Errorf("snapshot version %d after %d", m.Version, l.snapshot.Version)
	}
	l.snapshot = storagev1.Snapshot{
		Renter: m.Renter, Version: m.Version, Root: m.Root, Pointer: m.Pointer, CommittedAt: l.clock.Now().Unix(),
	}
	return nil
}

// Close stops all nodes.
func (l *Ledger) Close() {
	l.mu.Lock()
	nodes := slices.Clone(l.nodes)
	l.mu.Unlock()
	for _, n := range nodes {
		n.Kill()
	}
}

var _ renter.Chain = (*Ledger)(nil)

// Epoch is where fake clocks of tests start; real nodes compare clocks, so it is now.
func Epoch() time.Time { return time.Now().Truncate(time.Second) }
