package renter

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"math"
	"math/big"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	sdkmath "cosmossdk.io/math"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/internal/clock"
)

// LeaseConfig says what the lease service may buy. Zero durations and sizes take the defaults of
// DefaultLeaseConfig.
type LeaseConfig struct {
	Denom string
	// Units is what is reserved on a device at first, and the least by which a reservation grows,
	// in bytes. Reserved bytes are paid whether used or not.
	Units uint64
	// GrowAt is the used share of a reservation, in percent, above which it grows.
	GrowAt uint64
	// Ahead is for how long escrow is put down. It is refilled when half of it is left.
	Ahead time.Duration
	// Term is the length of a new lease and of each extension.
	Term time.Duration
	// WarnBefore is how long before an escrow runs dry or the lease ends the owner is told.
	WarnBefore time.Duration
	// Egress is the share of the reserved bytes, in percent, that the escrow can pay to read back
	// within Ahead.
	Egress uint64
	// MaxStream and MaxMetered are the highest prices accepted, nil for any.
	MaxStream, MaxMetered *price.Rate
	// Budget bounds the escrow locked at any time, zero for no bound but the balance.
	Budget price.Amount
	// MaxDevices bounds the devices of the lease.
	MaxDevices int
	// Regions are the regions accepted; empty for any.
	Regions []string
	// MinBond is the bond that a device must have put up for the bytes that all leases reserve on its
	// offer, the new ones included. Without one, dropping data costs its owner nothing but the
	// income. Nil for that of DefaultLeaseConfig; a rate of zero accepts any.
	MinBond *price.Rate
}

// defaultBond makes every way of pretending to store lose money, in all that sim/adversary plays: 20
// CAIRN for a terabyte (10^12 bytes).
var defaultBond = price.Rate{Amount: price.Amount{Hi: 1, Lo: 20*1e18 - 1<<64}, Per: 1e12}

// DefaultLeaseConfig reserves 4 GiB on each of up to 80 devices for a month ahead.
func DefaultLeaseConfig() LeaseConfig {
	return LeaseConfig{
		Denom:      "acairn",
		Units:      4 << 30,
		GrowAt:     50,
		Ahead:      30 * 24 * time.Hour,
		Term:       90 * 24 * time.Hour,
		WarnBefore: 7 * 24 * time.Hour,
		Egress:     100,
		MaxDevices: 80,
		MinBond:    &defaultBond,
	}
}

func (c LeaseConfig) withDefaults() LeaseConfig {
	d := DefaultLeaseConfig()
	if c.Denom == "" {
		c.Denom = d.Denom
	}
	if c.Units == 0 {
		c.Units = d.Units
	}
	if c.GrowAt == 0 {
		c.GrowAt = d.GrowAt
	}
	if c.Ahead <= 0 {
		c.Ahead = d.Ahead
	}
	if c.Term <= 0 {
		c.Term = d.Term
	}
	if c.WarnBefore <= 0 {
		c.WarnBefore = d.WarnBefore
	}
	if c.Egress == 0 {
		c.Egress = d.Egress
	}
	if c.MaxDevices <= 0 {
		c.MaxDevices = d.MaxDevices
	}
	if c.MinBond == nil {
		c.MinBond = d.MinBond
	}
	return c
}

// Accepts says why a node cannot be bought from at the configured terms; 0 when it can.
func (c LeaseConfig) Accepts(n Node) Reason {
	c = c.withDefaults()
	switch {
	case n.Standing == StandingJailed:
		return ReasonJailed
	case n.Standing == StandingRetiring:
		return ReasonRetiring
	case n.Faults > 0:
		return ReasonFaults
	case n.Offer.ID == 0, n.Offer.Denom != c.Denom, n.Endpoint == "":
		return ReasonNoOffer
	case dearer(n.Offer.Stream, c.MaxStream), dearer(n.Offer.Metered, c.MaxMetered):
		return ReasonPrice
	case len(c.Regions) > 0 && !slices.Contains(c.Regions, n.Region):
		return ReasonRegion
	case !c.bonded(n, min(c.Units, n.Offer.Free())):
		return ReasonBond
	}
	return 0
}

// bonded reports whether the bond of a device covers what is reserved on it and more bytes.
func (c LeaseConfig) bonded(n Node, more uint64) bool {
	need, err := c.MinBond.Cost(n.Offer.Reserved + more)
	return err == nil && n.Bond.Cmp(need) >= 0
}

// dearer reports whether a rate is above a limit; nil is none.
func dearer(a price.Rate, limit *price.Rate) bool { return limit != nil && a.Cmp(*limit) > 0 }

// Item is one device's part of the lease.
type Item struct {
	Device, Offer   uint64
	Units           uint64 // bytes reserved
	Stream, Metered price.Rate
	Escrow          price.Amount // at AccruedAt
	Streamed        price.Amount // paid for bytes at rest so far
	Vouched         price.Amount // paid for bytes served so far
	AccruedAt       time.Time
	Open            bool
}

// accrued is what the device has earned at now that the chain has not booked yet.
func (it Item) accrued(now time.Time) price.Amount {
	seconds := now.Unix() - it.AccruedAt.Unix()
	if seconds <= 0 {
		return price.Amount{}
	}
	cost, err := it.Stream.StreamCost(it.Units, uint64(seconds))
	if err != nil {
		return it.Escrow
	}
	return cost
}

// left is the escrow that neither the stream nor vouchers signed up to promised have used.
func (it Item) left(now time.Time, promised price.Amount) price.Amount {
	left := minus(it.Escrow, it.accrued(now))
	return minus(left, minus(promised, it.Vouched))
}

// dryAt is when the stream alone will have used up left; the zero time for never.
func (it Item) dryAt(now time.Time, left price.Amount) time.Time {
	const day = 24 * 60 * 60
	perDay, err := it.Stream.StreamCost(it.Units, day)
	if err != nil || perDay.IsZero() {
		return time.Time{}
	}
	seconds := new(big.Int).Mul(left.Big(), big.NewInt(day))
	seconds.Div(seconds, perDay.Big())
	if limit := int64(100 * 365 * day); !seconds.IsInt64() || seconds.Int64() > limit {
		return time.Time{}
	}
	return now.Add(time.Duration(seconds.Int64()) * time.Second)
}

// minus is a-b, or zero where b is greater.
func minus(a, b price.Amount) price.Amount {
	d, underflow := a.Sub(b)
	if underflow {
		return price.Amount{}
	}
	return d
}

// plus is a+b, or the greatest amount on overflow.
func plus(a, b price.Amount) price.Amount {
	s, overflow := a.Add(b)
	if overflow {
		return price.Amount{Hi: math.MaxUint64, Lo: math.MaxUint64}
	}
	return s
}

// Lease is the gateway's lease as last read from the chain.
type Lease struct {
	ID        uint64
	ExpiresAt time.Time
	MaxTerm   time.Duration   // how far ahead of now it can be extended
	Items     map[uint64]Item // by device
}

// Warning is something that the gateway's owner should know; Code is stable, Text is for people.
type Warning struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// Warning codes of the lease service.
const (
	WarnEscrowLow   = "escrow_low"
	WarnExpiring    = "lease_expiring"
	WarnBudget      = "budget_reached"
	WarnNoLease     = "no_lease"
	WarnLeaseFailed = "lease_failed"
)

// LeaseService keeps one lease that spans every device the gateway uses: it opens it, adds devices
// as they appear, grows reservations before they are full, refills escrows before they are dry and
// extends the lease before it ends. Decisions are made by planLease, which is pure; the service reads the
// chain, asks, and sends at most one transaction a step.
type LeaseService struct {
	LeaseDeps

	stepping sync.Mutex // one step at a time
	steps    atomic.Uint64

	mu       sync.RWMutex // guards what follows
	lease    *Lease
	warnings []Warning
}

// LeaseDeps are what a lease service works with.
type LeaseDeps struct {
	Chain   Chain
	Config  LeaseConfig
	Session ed25519.PublicKey // of the lease
	Book    *Book
	Pool    *Pool // is told nodes and lease, and tells what is stored where
	// Exclusive runs a step while no other gateway of the same lease takes one; nil where there is
	// no other.
	Exclusive func(ctx context.Context, step func(context.Context) error) error
	Clock     clock.Clock
	Log       *slog.Logger
}

// NewLeaseService makes the service; Step or Run makes it act.
func NewLeaseService(d LeaseDeps) *LeaseService {
	d.Config = d.Config.withDefaults()
	if d.Exclusive == nil {
		d.Exclusive = func(ctx context.Context, step func(context.Context) error) error { return step(ctx) }
	}
	return &LeaseService{LeaseDeps: d}
}

// Current is the lease as last read; nil before there is one.
func (s *LeaseService) Current() *Lease {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.lease
}

// Warnings lists what the owner should know, most urgent first.
func (s *LeaseService) Warnings() []Warning {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.warnings)
}

// Terms are what a voucher to device may say now.
func (s *LeaseService) Terms(device uint64) (Account, Terms, error) {
	s.mu.RLock()
	lease := s.lease
	s.mu.RUnlock()
	if lease == nil {
		return Account{}, Terms{}, fmt.Errorf("device %d: %w", device, ErrNotInLease)
	}
	item, ok := lease.Items[device]
	if !ok || !item.Open {
		return Account{}, Terms{}, fmt.Errorf("device %d: %w", device, ErrNotInLease)
	}
	left := minus(item.Escrow, item.accrued(s.Clock.Now()))
	return Account{Lease: lease.ID, Device: device}, Terms{
		Metered: item.Metered,
		Limit:   plus(item.Vouched, left),
		Expiry:  lease.ExpiresAt.Add(30 * 24 * time.Hour).Unix(),
	}, nil
}

// Step reads the lease and does what is due. An error leaves everything as it was; the next step
// starts afresh from the chain.
func (s *LeaseService) Step(ctx context.Context) error { return s.stepUnless(ctx, math.MaxUint64) }

// StepAfter is Step for one of many callers who found at about the same time that something ran out:
// it does nothing if a step has ended since Steps returned seen.
func (s *LeaseService) StepAfter(ctx context.Context, seen uint64) error {
	return s.stepUnless(ctx, seen)
}

// Steps counts the steps that have ended.
func (s *LeaseService) Steps() uint64 { return s.steps.Load() }

func (s *LeaseService) stepUnless(ctx context.Context, seen uint64) error {
	s.stepping.Lock()
	defer s.stepping.Unlock()
	if s.steps.Load() > seen {
		return nil
	}
	defer s.steps.Add(1)
	if err := s.Exclusive(ctx, s.step); err != nil {
		s.setWarnings(append([]Warning{{Code: WarnLeaseFailed, Text: err.Error()}}, s.lasting()...))
		return err
	}
	return nil
}

// Read takes nodes and lease from the chain and buys nothing.
func (s *LeaseService) Read(ctx context.Context) error {
	s.stepping.Lock()
	defer s.stepping.Unlock()
	if err := s.Pool.Refresh(ctx, s.Chain); err != nil {
		return err
	}
	lease, err := s.find(ctx)
	if err != nil {
		return err
	}
	s.publish(lease, leasePlan{})
	return nil
}

func (s *LeaseService) step(ctx context.Context) error {
	if err := s.Book.Refresh(); err != nil {
		return err
	}
	params, err := s.Chain.MarketParams(ctx)
	if err != nil {
		return fmt.Errorf("reading market parameters: %w", err)
	}
	nodes, err := s.Chain.Nodes(ctx)
	if err != nil {
		return fmt.Errorf("listing storage nodes: %w", err)
	}
	s.Pool.SetNodes(nodes)
	lease, err := s.find(ctx)
	if err != nil {
		return err
	}
	view := leaseView{
		now: s.Clock.Now(), config: s.Config, params: params, nodes: nodes,
		lease: lease, used: s.Pool.DeviceBytes(), vacant: s.Pool.Vacant(), promised: s.promised(lease),
	}
	if view.balance, err = s.Chain.Balance(ctx, s.Config.Denom); err != nil {
		return fmt.Errorf("reading balance of %s: %w", s.Chain.Consumer(), err)
	}
	plan := planLease(view)
	switch {
	case lease == nil && len(plan.items) > 0:
		id, err := s.Chain.OpenLease(ctx, &marketv1.MsgOpenLease{
			Consumer:   s.Chain.Consumer(),
			SessionKey: s.Session,
			Items:      plan.items,
			Seconds:    plan.seconds,
		})
		if err != nil {
			return fmt.Errorf("opening lease with %d devices: %w", len(plan.items), err)
		}
		s.Log.Info("lease opened", "lease", id, "devices", len(plan.items), "escrow", plan.escrow.Format())
	case lease != nil && !plan.empty():
		err := s.Chain.AmendLease(ctx, &marketv1.MsgAmendLease{
			Consumer: s.Chain.Consumer(),
			Id:       lease.ID,
			Items:    plan.items,
			TopUps:   plan.topUps,
			Seconds:  plan.seconds,
		})
		if err != nil {
			return fmt.Errorf("amending lease %d: %w", lease.ID, err)
		}
		s.Log.Info("lease amended", "lease", lease.ID, "added", len(plan.items), "topped_up", len(plan.topUps), "extended_s", plan.seconds, "escrow", plan.escrow.Format())
	}
	if len(plan.closes) > 0 {
		if err := s.Chain.CloseLease(ctx, lease.ID, plan.closes...); err != nil {
			return fmt.Errorf("ending lease %d with %s: %w", lease.ID, deviceList(plan.closes), err)
		}
		s.Log.Info("ended what was leased of devices that are jailed or leave and hold nothing of ours", "lease", lease.ID, "devices", plan.closes)
	}
	if !plan.empty() || len(plan.closes) > 0 {
		if lease, err = s.find(ctx); err != nil {
			return err
		}
	}
	s.publish(lease, plan)
	return nil
}

// find reads the open lease that carries our session key; nil when there is none.
func (s *LeaseService) find(ctx context.Context) (*Lease, error) {
	leases, err := s.Chain.Leases(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing leases of %s: %w", s.Chain.Consumer(), err)
	}
	for _, l := range leases {
		if l.State != marketv1.LeaseState_LEASE_STATE_OPEN || !ed25519.PublicKey(l.SessionKey).Equal(s.Session) {
			continue
		}
		l, items, err := s.Chain.Lease(ctx, l.Id)
		if err != nil {
			return nil, fmt.Errorf("reading lease %d: %w", l.Id, err)
		}
		return convertLease(l, items)
	}
	return nil, nil
}

func convertLease(l marketv1.Lease, items []marketv1.LeaseItem) (*Lease, error) {
	lease := &Lease{
		ID:        l.Id,
		ExpiresAt: time.Unix(l.ExpiresAt, 0),
		MaxTerm:   time.Duration(l.MaxSeconds) * time.Second,
		Items:     make(map[uint64]Item, len(items)),
	}
	for _, it := range items {
		item := Item{
			Device: it.Device, Offer: it.Offer, Units: it.Units,
			AccruedAt: time.Unix(it.AccruedAt, 0),
			Open:      it.State == marketv1.ItemState_ITEM_STATE_OPEN,
		}
		var err error
		for _, f := range []struct {
			to   *price.Amount
			from sdkmath.Int
			name string
		}{
			{&item.Stream.Amount, it.Stream.Amount, "stream price"},
			{&item.Metered.Amount, it.Metered.Amount, "metered price"},
			{&item.Escrow, it.Escrow, "escrow"},
			{&item.Streamed, it.Streamed, "streamed amount"},
			{&item.Vouched, it.Vouched, "vouched amount"},
		} {
			if *f.to, err = toAmount(f.from); err != nil {
				return nil, fmt.Errorf("lease %d, device %d, %s: %w", l.Id, it.Device, f.name, err)
			}
		}
		item.Stream.Per, item.Metered.Per = max(it.Stream.Per, 1), max(it.Metered.Per, 1)
		lease.Items[it.Device] = item
	}
	return lease, nil
}

func toAmount(i sdkmath.Int) (price.Amount, error) {
	if i.IsNil() {
		return price.Amount{}, nil
	}
	return price.FromBig(i.BigInt())
}

func toInt(a price.Amount) sdkmath.Int { return sdkmath.NewIntFromBigInt(a.Big()) }

func toPrice(r price.Rate) *marketv1.Price {
	return &marketv1.Price{Amount: toInt(r.Amount), Per: max(r.Per, 1)}
}

func (s *LeaseService) promised(lease *Lease) map[uint64]price.Amount {
	if lease == nil {
		return nil
	}
	promised := make(map[uint64]price.Amount, len(lease.Items))
	for device := range lease.Items {
		promised[device] = s.Book.Promised(Account{Lease: lease.ID, Device: device}).Amount
	}
	return promised
}

func (s *LeaseService) publish(lease *Lease, plan leasePlan) {
	s.mu.Lock()
	s.lease = lease
	s.mu.Unlock()
	s.Pool.SetLease(lease)
	var warnings []Warning
	if lease == nil {
		why := "no storage node offers what the settings ask for"
		if plan.short {
			why = "there is no money for one; put CAIRN on " + s.Chain.Consumer()
		}
		warnings = append(warnings, Warning{Code: WarnNoLease, Text: "no lease: " + why})
	}
	s.setWarnings(append(append(warnings, plan.warnings...), s.lasting()...))
}

// lasting computes the warnings that follow from the lease as it stands.
func (s *LeaseService) lasting() []Warning {
	lease := s.Current()
	if lease == nil {
		return nil
	}
	now := s.Clock.Now()
	var warnings []Warning
	var low []uint64
	var first time.Time
	promised := s.promised(lease)
	for device, item := range lease.Items {
		if !item.Open {
			continue
		}
		dry := item.dryAt(now, item.left(now, promised[device]))
		if dry.IsZero() || dry.Sub(now) > s.Config.WarnBefore {
			continue
		}
		low = append(low, device)
		if first.IsZero() || dry.Before(first) {
			first = dry
		}
	}
	if len(low) > 0 {
		warnings = append(warnings, Warning{Code: WarnEscrowLow, Text: fmt.Sprintf(
			"escrow of lease %d for %s runs dry from %s on; put money on %s", lease.ID, deviceList(low), first.UTC().Format(time.RFC3339), s.Chain.Consumer())})
	}
	if left := lease.ExpiresAt.Sub(now); left < s.Config.WarnBefore {
		warnings = append(warnings, Warning{Code: WarnExpiring, Text: fmt.Sprintf(
			"lease %d ends at %s", lease.ID, lease.ExpiresAt.UTC().Format(time.RFC3339))})
	}
	return warnings
}

// setWarnings logs what is new and what is over.
func (s *LeaseService) setWarnings(warnings []Warning) {
	s.mu.Lock()
	before := s.warnings
	s.warnings = warnings
	s.mu.Unlock()
	has := func(list []Warning, code string) bool {
		return slices.ContainsFunc(list, func(w Warning) bool { return w.Code == code })
	}
	for _, w := range warnings {
		if !has(before, w.Code) {
			s.Log.Warn("lease needs attention", "code", w.Code, "what", w.Text)
		}
	}
	for _, w := range before {
		if !has(warnings, w.Code) {
			s.Log.Info("lease is well again", "code", w.Code)
		}
	}
}

// Run steps at every interval until ctx is done. Errors are logged: the next step tries again.
func (s *LeaseService) Run(ctx context.Context, interval time.Duration) error {
	return clock.Every(ctx, s.Clock, interval, func(ctx context.Context) error {
		if err := s.Step(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("keeping the lease", "error", err)
		}
		return nil
	})
}

// LeaseFigures sum the lease up for the status page.
type LeaseFigures struct {
	ID           uint64
	Escrow       price.Amount // left over all items
	Spent        price.Amount // streamed and vouched over all items
	RatePerMonth price.Amount // of 30 days, for the bytes reserved now
	DryAt        time.Time    // of the first item to run dry; zero for never
	ExpiresAt    time.Time
}

// Figures computes the sums at this moment; the zero value when there is no lease.
func (s *LeaseService) Figures() LeaseFigures {
	lease := s.Current()
	if lease == nil {
		return LeaseFigures{}
	}
	now := s.Clock.Now()
	f := LeaseFigures{ID: lease.ID, ExpiresAt: lease.ExpiresAt}
	promised := s.promised(lease)
	for device, item := range lease.Items {
		vouched := item.Vouched
		if p := promised[device]; p.Cmp(vouched) > 0 {
			vouched = p
		}
		f.Spent = plus(f.Spent, plus(item.Streamed, vouched))
		if !item.Open {
			continue
		}
		left := item.left(now, promised[device])
		f.Escrow = plus(f.Escrow, left)
		f.Spent = plus(f.Spent, item.accrued(now))
		if monthly, err := item.Stream.StreamCost(item.Units, month); err == nil {
			f.RatePerMonth = plus(f.RatePerMonth, monthly)
		}
		if dry := item.dryAt(now, left); !dry.IsZero() && (f.DryAt.IsZero() || dry.Before(f.DryAt)) {
			f.DryAt = dry
		}
	}
	return f
}

const month = 30 * 24 * 60 * 60 // seconds

// leaseView is all that planLease looks at.
type leaseView struct {
	now      time.Time
	config   LeaseConfig
	params   marketv1.Params
	nodes    []Node
	lease    *Lease // nil when there is none
	used     map[uint64]uint64
	vacant   []uint64 // devices that hold nothing and are to get nothing
	promised map[uint64]price.Amount
	balance  price.Amount
}

// leasePlan is the one transaction that a view calls for, and another that ends parts of the lease.
type leasePlan struct {
	closes   []uint64
	items    []marketv1.NewItem
	topUps   []marketv1.TopUp
	seconds  int64
	escrow   price.Amount // sum over items and topUps
	short    bool         // balance or budget held something back
	warnings []Warning
}

func (p leasePlan) empty() bool { return len(p.items) == 0 && len(p.topUps) == 0 && p.seconds == 0 }

// planLease decides. Money goes first to what holds data (top-ups), then to new devices, and never
// beyond the balance or the budget.
func planLease(v leaseView) leasePlan {
	var p leasePlan
	locked := price.Amount{}
	if v.lease != nil {
		for _, item := range v.lease.Items {
			locked = plus(locked, item.Escrow)
		}
	}
	funds := v.balance
	if !v.config.Budget.IsZero() {
		if room := minus(v.config.Budget, locked); room.Cmp(funds) < 0 {
			funds = room
		}
	}
	spend := func(a price.Amount) bool {
		if a.Cmp(minus(funds, p.escrow)) > 0 {
			p.short = true
			return false
		}
		p.escrow = plus(p.escrow, a)
		return true
	}
	remaining := v.term()
	offers := make(map[uint64]Node, len(v.nodes))
	for _, n := range v.nodes {
		offers[n.Device] = n
	}
	open := 0
	if v.lease != nil {
		for _, device := range sortedDevices(v.lease.Items) {
			item := v.lease.Items[device]
			if !item.Open {
				continue
			}
			if slices.Contains(v.vacant, device) {
				p.closes = append(p.closes, device)
				continue
			}
			open++
			if t, ok := planTopUp(v, item, offers[device]); ok && spend(t.escrow) {
				p.topUps = append(p.topUps, marketv1.TopUp{Device: device, Escrow: toInt(t.escrow), Units: t.units})
			}
		}
		term := remaining
		if remaining = v.lease.ExpiresAt.Sub(v.now); remaining < term/2 {
			p.seconds = int64((term - remaining) / time.Second)
			remaining = term
		}
	} else {
		p.seconds = int64(remaining / time.Second)
	}
	room := min(v.config.MaxDevices, int(v.params.MaxItemsPerLease)) - open
	for _, n := range newcomers(v, remaining) {
		if room <= 0 {
			break
		}
		units := min(v.config.Units, n.Offer.Free())
		escrow := escrowFor(v.config, n.Offer, units)
		if !spend(escrow) {
			break
		}
		p.items = append(p.items, marketv1.NewItem{
			Offer: n.Offer.ID, Units: units, Escrow: toInt(escrow),
			MaxStream: toPrice(n.Offer.Stream), MaxMetered: toPrice(n.Offer.Metered),
		})
		room--
	}
	if v.lease == nil && len(p.items) == 0 {
		p.seconds = 0
	}
	if p.short {
		p.warnings = append(p.warnings, Warning{Code: WarnBudget, Text: fmt.Sprintf(
			"the lease needs more than the %s that balance and budget allow", funds.Format())})
	}
	return p
}

// term is how far ahead the lease should reach: the configured term, or less where the offers do not
// go so far. Of offers with different limits, one in five may be too short to join a new lease.
func (v leaseView) term() time.Duration {
	term := min(v.config.Term, time.Duration(v.params.MaxLeaseSeconds)*time.Second)
	if v.lease != nil {
		// A block's time may lie behind ours.
		const lag = time.Minute
		return min(term, v.lease.MaxTerm-lag)
	}
	var limits []time.Duration
	for _, n := range v.nodes {
		if v.config.Accepts(n) == 0 && n.Offer.MaxTerm > 0 {
			limits = append(limits, n.Offer.MaxTerm)
		}
	}
	if len(limits) == 0 {
		return term
	}
	slices.Sort(limits)
	return min(term, limits[len(limits)/5])
}

// newcomers are the nodes to take into a lease that has still to run for remaining, in order: first
// one of each owner, cheapest first, as only independent nodes add durability. A device that has had
// part in the lease cannot join it again.
func newcomers(v leaseView, remaining time.Duration) []Node {
	const leastUnits = 64 << 20
	owners := make(map[string]int)
	var list []Node
	for _, n := range v.nodes {
		if v.lease != nil {
			if _, ok := v.lease.Items[n.Device]; ok {
				owners[n.Owner]++
				continue
			}
		}
		if v.config.Accepts(n) != 0 || n.Offer.Free() < min(leastUnits, v.config.Units) {
			continue
		}
		if n.Offer.MinTerm > remaining || (n.Offer.MaxTerm > 0 && n.Offer.MaxTerm < remaining) {
			continue
		}
		list = append(list, n)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if c := a.Offer.Stream.Cmp(b.Offer.Stream); c != 0 {
			return c < 0
		}
		return a.Device < b.Device
	})
	rank := make(map[uint64]int, len(list))
	for _, n := range list {
		rank[n.Device] = owners[n.Owner]
		owners[n.Owner]++
	}
	sort.SliceStable(list, func(i, j int) bool { return rank[list[i].Device] < rank[list[j].Device] })
	return list
}

type topUp struct {
	units  uint64 // 0 leaves the reservation
	escrow price.Amount
}

// planTopUp says what an open item needs; false for nothing.
func planTopUp(v leaseView, item Item, n Node) (topUp, bool) {
	var t topUp
	units := item.Units
	used := v.used[item.Device]
	if n.Standing == StandingJailed {
		return t, false // what it has will do until its pieces are elsewhere
	}
	if used > item.Units/100*v.config.GrowAt {
		want := min(max(2*used, item.Units+v.config.Units), item.Units+n.Offer.Free())
		if want > item.Units && growable(item, n) && v.config.bonded(n, want-item.Units) {
			units, t.units = want, want
		}
	}
	need := escrowFor(v.config, Offer{Stream: item.Stream, Metered: item.Metered, MinTerm: n.Offer.MinTerm}, units)
	left := item.left(v.now, v.promised[item.Device])
	half, _ := need.MulDiv(1, 2)
	if left.Cmp(half) < 0 || (t.units > 0 && left.Cmp(need) < 0) {
		t.escrow = minus(need, left)
	}
	return t, t.units > 0 || !t.escrow.IsZero()
}

// growable reports whether a reservation can grow: the offer it came from stands, its device takes
// new data, and neither price has risen.
func growable(item Item, n Node) bool {
	return n.Offer.ID == item.Offer && n.Standing == StandingActive &&
		!dearer(n.Offer.Stream, &item.Stream) && !dearer(n.Offer.Metered, &item.Metered)
}

// escrowFor is the price of holding units for Ahead, or the shortest time that the offer takes, and
// of reading Egress percent of them.
func escrowFor(c LeaseConfig, o Offer, units uint64) price.Amount {
	rest, err := o.Stream.StreamCost(units, uint64(max(c.Ahead, o.MinTerm)/time.Second))
	if err != nil {
		return price.Amount{Hi: math.MaxUint64, Lo: math.MaxUint64}
	}
	egress, err := o.Metered.Cost(units / 100 * c.Egress)
	if err != nil {
		return price.Amount{Hi: math.MaxUint64, Lo: math.MaxUint64}
	}
	return plus(rest, egress)
}

func sortedDevices(items map[uint64]Item) []uint64 {
	devices := make([]uint64, 0, len(items))
	for d := range items {
		devices = append(devices, d)
	}
	slices.Sort(devices)
	return devices
}
