// Package nodetest runs real storage nodes on loopback for tests, over a chain that the test plays
// itself: real store, real protocol, and leases that are opened by a call.
package nodetest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"sync"
	"testing"
	"time"

	"cosmossdk.io/math"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/voucher"
	"github.com/cairn-network/cairn/daemon/storagenode"
	"github.com/cairn-network/cairn/internal/clock"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// ChainID is that of every fake chain.
const ChainID = "cairn-test-1"

// Chain is a storagenode.Chain in memory. It pays vouchers as x/market does: cumulative, by the
// session key's signature, from the item's escrow. Safe for concurrent use.
type Chain struct {
	Clock clock.Clock

	mu          sync.Mutex
	leases      map[uint64]marketv1.Lease
	items       map[[2]uint64]marketv1.LeaseItem // lease, device
	earned      map[uint64]math.Int              // device
	endpoints   map[uint64]string
	failure     error
	Settlements int // messages that paid
}

// NewChain makes an empty chain.
func NewChain(c clock.Clock) *Chain {
	return &Chain{
		Clock: c, leases: map[uint64]marketv1.Lease{}, items: map[[2]uint64]marketv1.LeaseItem{},
		earned: map[uint64]math.Int{}, endpoints: map[uint64]string{},
	}
}

// Terms of a lease item.
type Terms struct {
	Units   uint64        // bytes reserved; 1 GiB when 0
	Escrow  uint64        // acairn; 10^18 when 0
	Metered price.Rate    // for a byte served; free when zero
	Stream  price.Rate    // for a byte and second; free when zero
	For     time.Duration // length of the lease; 24 h when 0
}

// Open opens a lease for a session key on devices.
func (c *Chain) Open(lease uint64, session ed25519.PublicKey, t Terms, devices ...uint64) {
	if t.Units == 0 {
		t.Units = 1 << 30
	}
	if t.Escrow == 0 {
		t.Escrow = 1e18
	}
	if t.For == 0 {
		t.For = 24 * time.Hour
	}
	now := c.Clock.Now().Unix()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leases[lease] = marketv1.Lease{
		Id: lease, SessionKey: session, Resource: "storage", Denom: price.Denom, OpenedAt: now,
		ExpiresAt: now + int64(t.For/time.Second), State: marketv1.LeaseState_LEASE_STATE_OPEN, OpenItems: uint32(len(devices)),
	}
	for _, d := range devices {
		c.items[[2]uint64{lease, d}] = marketv1.LeaseItem{
			Lease: lease, Device: d, Offer: 1, Units: t.Units, Stream: rate(t.Stream), Metered: rate(t.Metered),
			Escrow: math.NewIntFromUint64(t.Escrow), Streamed: math.ZeroInt(), Vouched: math.ZeroInt(),
			AccruedAt: now, OpenedAt: now, State: marketv1.ItemState_ITEM_STATE_OPEN,
		}
	}
}

func rate(r price.Rate) marketv1.Price {
	return marketv1.Price{Amount: math.NewIntFromBigInt(r.Amount.Big()), Per: max(r.Per, 1)}
}

// Edit changes an item.
func (c *Chain) Edit(lease, device uint64, change func(*marketv1.LeaseItem)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.items[[2]uint64{lease, device}]
	change(&i)
	c.items[[2]uint64{lease, device}] = i
}

// CloseLease closes all items at once.
func (c *Chain) CloseLease(lease uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, i := range c.items {
		if k[0] == lease {
			i.State = marketv1.ItemState_ITEM_STATE_CLOSED
			c.items[k] = i
		}
	}
}

// Fail makes every call end with err; nil ends that.
func (c *Chain) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = err
}

// Endpoint is what a device announced.
func (c *Chain) Endpoint(device uint64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.endpoints[device]
}

// Earned is what a device was paid.
func (c *Chain) Earned(device uint64) *big.Int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.earnedLocked(device).BigInt()
}

func (c *Chain) earnedLocked(device uint64) math.Int {
	if e, ok := c.earned[device]; ok {
		return e
	}
	return math.ZeroInt()
}

// Device implements storagenode.Chain.
func (c *Chain) Device(_ context.Context, id uint64) (devicev1.Device, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return devicev1.Device{
		Id: id, Endpoint: c.endpoints[id],
		Pubkey: devicev1.PublicKey{Type: devicev1.KeyType_KEY_TYPE_ED25519, Key: deviceKey(id).Public().(ed25519.PublicKey)},
	}, c.failure
}

// Announce implements storagenode.Chain.
func (c *Chain) Announce(_ context.Context, m *devicev1.MsgAnnounce) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil {
		c.endpoints[m.Id] = m.Endpoint
	}
	return c.failure
}

// Item implements storagenode.Chain.
func (c *Chain) Item(_ context.Context, lease, device uint64) (marketv1.QueryItemResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		return marketv1.QueryItemResponse{}, c.failure
	}
	i, ok := c.items[[2]uint64{lease, device}]
	if !ok {
		return marketv1.QueryItemResponse{}, fmt.Errorf("item: %w", chainclient.ErrNotFound)
	}
	return marketv1.QueryItemResponse{Item: i, Accrued: math.ZeroInt(), LeaseInfo: c.leases[lease]}, nil
}

// DeviceItems implements storagenode.Chain.
func (c *Chain) DeviceItems(_ context.Context, device uint64) ([]marketv1.LeaseItem, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var items []marketv1.LeaseItem
	for k, i := range c.items {
		if k[1] == device && i.State != marketv1.ItemState_ITEM_STATE_CLOSED {
			items = append(items, i)
		}
	}
	return items, c.failure
}

// Totals implements storagenode.Chain.
func (c *Chain) Totals(_ context.Context, device uint64, _ string) ([]marketv1.Total, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := marketv1.Total{Device: device, Denom: price.Denom, Paid: c.earnedLocked(device), Burned: math.ZeroInt(), Units: math.ZeroInt()}
	return []marketv1.Total{total}, c.failure
}

// MarketParams implements storagenode.Chain.
func (c *Chain) MarketParams(context.Context) (marketv1.Params, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return marketv1.Params{MaxVouchersPerSettle: 50, GraceSeconds: 3600}, c.failure
}

// Settle implements storagenode.Chain.
func (c *Chain) Settle(_ context.Context, m *marketv1.MsgSettle) (marketv1.MsgSettleResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		return marketv1.MsgSettleResponse{}, c.failure
	}
	for _, v := range m.Vouchers {
		if err := c.check(v); err != nil {
			return marketv1.MsgSettleResponse{}, fmt.Errorf("voucher of lease %d: %w", v.Lease, &chainclient.Error{Code: chainclient.ErrVoucherSignature, Log: err.Error()})
		}
	}
	for _, v := range m.Vouchers {
		k := [2]uint64{v.Lease, v.Device}
		i := c.items[k]
		c.accrue(&i)
		if due := v.Amount.Sub(i.Vouched); due.IsPositive() && v.Seq > i.Seq {
			paid := math.MinInt(due, i.Escrow)
			i.Seq, i.VouchedUnits = v.Seq, v.Units
			i.Vouched, i.Escrow = i.Vouched.Add(paid), i.Escrow.Sub(paid)
			c.earned[v.Device] = c.earnedLocked(v.Device).Add(paid)
		}
		c.items[k] = i
	}
	for _, s := range m.Streams {
		k := [2]uint64{s.Lease, s.Device}
		i := c.items[k]
		c.accrue(&i)
		c.items[k] = i
	}
	c.Settlements++
	return marketv1.MsgSettleResponse{}, nil
}

func (c *Chain) accrue(i *marketv1.LeaseItem) {
	now := c.Clock.Now().Unix()
	r, err := price.FromBig(i.Stream.Amount.BigInt())
	if err != nil || now <= i.AccruedAt {
		return
	}
	cost, carry, err := price.Rate{Amount: r, Per: i.Stream.Per}.Accrue(i.Units, uint64(now-i.AccruedAt), i.Carry)
	if err != nil {
		return
	}
	paid := math.MinInt(math.NewIntFromBigInt(cost.Big()), i.Escrow)
	i.Carry, i.AccruedAt = carry, now
	i.Streamed, i.Escrow = i.Streamed.Add(paid), i.Escrow.Sub(paid)
	c.earned[i.Device] = c.earnedLocked(i.Device).Add(paid)
}

func (c *Chain) check(v marketv1.Voucher) error {
	i, ok := c.items[[2]uint64{v.Lease, v.Device}]
	if !ok || i.State == marketv1.ItemState_ITEM_STATE_CLOSED {
		return errors.New("no open item")
	}
	if c.Clock.Now().Unix() > v.Expiry {
		return errors.New("expired")
	}
	amount, err := price.FromBig(v.Amount.BigInt())
	if err != nil || len(v.Signature) != 64 {
		return errors.New("malformed")
	}
	return voucher.Signed{
		Voucher:   voucher.Voucher{ChainID: ChainID, Lease: v.Lease, Device: v.Device, Units: v.Units, Amount: amount, Seq: v.Seq, Expiry: v.Expiry},
		Signature: [64]byte(v.Signature),
	}.Verify(c.leases[v.Lease].SessionKey)
}

// Provider is a running node.
type Provider struct {
	Device   uint64
	Key      ed25519.PrivateKey
	Public   ed25519.PublicKey
	Endpoint string
	Info     storagenode.Info
	Node     *storagenode.Node

	t    testing.TB
	deps storagenode.Deps
	stop context.CancelFunc
	done chan error
}

// Key is a key that only its seed determines.
func Key(seed uint64) ed25519.PrivateKey {
	b := make([]byte, ed25519.SeedSize)
	for i := range 8 {
		b[i] = byte(seed >> (8 * i))
	}
	return ed25519.NewKeyFromSeed(b)
}

func deviceKey(device uint64) ed25519.PrivateKey { return Key(1_000_000 + device) }

// session is a lease's key.
func (c *Chain) session(lease uint64) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leases[lease].SessionKey
}

// Start runs a node for a device until the test ends. change may edit its dependencies.
func Start(t testing.TB, chain *Chain, device uint64, change ...func(*storagenode.Deps)) *Provider {
	t.Helper()
	p := &Provider{t: t, Device: device, Key: deviceKey(device)}
	p.Public = p.Key.Public().(ed25519.PublicKey)
	p.deps = storagenode.Deps{
		Config: storagenode.Config{
			Path: t.TempDir(), Name: fmt.Sprintf("node-%d", device), MinFree: 1, Listen: "127.0.0.1:0", StatusListen: "127.0.0.1:0",
		},
		Identity: storagenode.Identity{ChainID: ChainID, Device: device, Key: p.Key},
		Chain:    chain, Clock: chain.Clock, Log: slog.New(slog.DiscardHandler),
	}
	for _, fn := range change {
		fn(&p.deps)
	}
	t.Cleanup(p.Stop)
	p.Restart()
	return p
}

// Restart runs the node again, on the same address, after Stop.
func (p *Provider) Restart() {
	p.t.Helper()
	ready := make(chan storagenode.Info, 1)
	deps := p.deps
	deps.Ready = func(i storagenode.Info) { ready <- i }
	if p.Endpoint != "" {
		deps.Config.Listen = p.Endpoint
	}
	node, err := storagenode.New(deps)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()
	select {
	case p.Info = <-ready:
	case err := <-done:
		stop()
		p.t.Fatalf("starting storage node %d: %v", p.Device, err)
	}
	p.Node, p.stop, p.done, p.Endpoint = node, stop, done, p.Info.Listen
}

// Stop ends the node as a signal would.
func (p *Provider) Stop() {
	p.t.Helper()
	if p.stop == nil {
		return
	}
	p.stop()
	if err := <-p.done; err != nil {
		p.t.Errorf("stopping storage node %d: %v", p.Device, err)
	}
	p.stop = nil
}

// Dial connects a client of a lease whose session key is key.
func (p *Provider) Dial(ctx context.Context, lease uint64, key ed25519.PrivateKey, o wire.Options) (*wire.Conn, error) {
	return wire.Dial(ctx, p.Endpoint, p.Device, p.Public, wire.Session{ChainID: ChainID, Lease: lease, Key: key}, o)
}
