// Package csmstest has what tests of the central system stand on: a ledger in memory that conserves money.
package csmstest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/ocmf"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/tariff"
	"github.com/cairn-network/cairn/daemon/csms"
)

// StartWindow is how long an order may wait for its start.
const StartWindow = 5 * time.Minute

// Ledger is a csms.Ledger in memory. Money only moves: what all accounts and escrows hold together never changes but by
// Mint. Its methods are idempotent as a chain's are; Fault lets a test lose answers.
type Ledger struct {
	mu       sync.Mutex
	balances map[string]price.Amount
	minted   price.Amount
	sessions []*Session // by order number less 1
	byKey    map[csms.Key]csms.OrderID
	tariffs  map[csms.TariffRef]*tariff.Tariff
	grants   map[[32]byte]grantOf
	pages    map[string]csms.OrderID // of signed records, by meter and page
	settles  int                     // calls of Settle that paid

	// Fault is asked before and after every call that moves money; an error is what the caller gets, after the call was
	// done when done is true. nil for none.
	Fault func(what string, done bool) error
	// Owner is who is paid.
	Owner string
	// Now is the ledger's time.
	Now func() time.Time
	// ChainID is part of tags.
	ChainID string
}

// Session is what the ledger knows of one.
type Session struct {
	Order      csms.Order
	Driver     string
	Held       price.Amount // of the escrow
	Began      bool
	Over       bool
	Outcome    csms.Outcome
	Settlement *csms.Settlement
	Refunded   csms.Reason // set when it was
}

type grantOf struct {
	csms.Grant
	payer string
}

// NewLedger is an empty one, paying owner.
func NewLedger(owner string, now func() time.Time) *Ledger {
	return &Ledger{
		balances: make(map[string]price.Amount), byKey: make(map[csms.Key]csms.OrderID), tariffs: make(map[csms.TariffRef]*tariff.Tariff),
		grants: make(map[[32]byte]grantOf), pages: make(map[string]csms.OrderID), Owner: owner, Now: now, ChainID: "test-1",
	}
}

// Mint gives an account money.
func (l *Ledger) Mint(account string, amount price.Amount) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.balances[account], _ = l.balances[account].Add(amount)
	l.minted, _ = l.minted.Add(amount)
}

// Balance is what an account has.
func (l *Ledger) Balance(account string) price.Amount {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.balances[account]
}

// Publish makes a tariff known and returns its name.
func (l *Ledger) Publish(t tariff.Tariff) csms.TariffRef {
	l.mu.Lock()
	defer l.mu.Unlock()
	ref := csms.TariffRef(t.Hash())
	l.tariffs[ref] = &t
	return ref
}

// Allow lets a card charge on payer's account.
func (l *Ledger) Allow(tag csms.Tag, payer string, most price.Amount) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.grants[tag.Hash()] = grantOf{csms.Grant{ID: uint64(len(l.grants) + 1), MaxSpend: most}, payer}
}

// Open is a driver opening a session: escrow is locked.
func (l *Ledger) Open(driver, station string, connector int, ref csms.TariffRef, escrow price.Amount, maxEnergy grid.WattHours) (csms.Order, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open(driver, station, connector, ref, escrow, maxEnergy, "")
}

func (l *Ledger) open(driver, station string, connector int, ref csms.TariffRef, escrow price.Amount, maxEnergy grid.WattHours, tag csms.Tag) (csms.Order, error) {
	rest, short := l.balances[driver].Sub(escrow)
	if short {
		return csms.Order{}, fmt.Errorf("%s has %s, not the %s of the escrow: %w", driver, l.balances[driver], escrow, csms.ErrRefused)
	}
	l.balances[driver] = rest
	id := csms.OrderID(len(l.sessions) + 1)
	now := l.Now().UTC()
	o := csms.Order{
		ID: id, Station: station, Connector: connector, Tag: tag, Tariff: ref, Escrow: escrow, MaxEnergy: maxEnergy,
		Opened: now, StartBy: now.Add(StartWindow),
	}
	if tag == "" {
		o.Tag = csms.TagOf(l.ChainID, id, sha256.Sum256(binary.BigEndian.AppendUint64([]byte(driver), uint64(id))))
	}
	l.sessions = append(l.sessions, &Session{Order: o, Driver: driver, Held: escrow})
	return o, nil
}

// Extend moves the time until which an order may wait for its start, before the central system asks for it.
func (l *Ledger) Extend(id csms.OrderID, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions[id-1].Order.StartBy = until.UTC()
}

func (l *Ledger) fault(what string, done bool) error {
	if l.Fault == nil {
		return nil
	}
	return l.Fault(what, done)
}

// Opened lists sessions that drivers opened, not those of cards.
func (l *Ledger) Opened(_ context.Context, cursor string, max int) ([]csms.Order, string, error) {
	if err := l.fault("opened", false); err != nil {
		return nil, "", err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at := 0
	if cursor != "" {
		n, err := strconv.Atoi(cursor)
		if err != nil || n < 0 || n > len(l.sessions) {
			return nil, "", fmt.Errorf("cursor %q", cursor)
		}
		at = n
	}
	var out []csms.Order
	for at < len(l.sessions) && len(out) < max {
		if s := l.sessions[at]; s.Driver != "" && !l.byCard(s.Order.ID) {
			out = append(out, s.Order)
		}
		at++
	}
	return out, strconv.Itoa(at), nil
}

func (l *Ledger) byCard(id csms.OrderID) bool { return l.sessions[id-1].Order.StartBy.IsZero() }

// Tariff is a published one.
func (l *Ledger) Tariff(_ context.Context, ref csms.TariffRef) (*tariff.Tariff, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tariffs[ref]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("tariff %x: %w", ref, csms.ErrRefused)
}

// Grant is an allowed card's.
func (l *Ledger) Grant(_ context.Context, tag [32]byte) (csms.Grant, error) {
	if err := l.fault("grant", false); err != nil {
		return csms.Grant{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if g, ok := l.grants[tag]; ok {
		return g.Grant, nil
	}
	return csms.Grant{}, csms.ErrNoGrant
}

// OpenByCard locks what a card's grant allows.
func (l *Ledger) OpenByCard(_ context.Context, use csms.CardUse) (csms.Order, error) {
	if err := l.fault("open", false); err != nil {
		return csms.Order{}, err
	}
	l.mu.Lock()
	id, done := l.byKey[use.Key]
	if !done {
		g, ok := l.grants[use.Tag.Hash()]
		if !ok {
			l.mu.Unlock()
			return csms.Order{}, fmt.Errorf("card %s: %w", use.Tag, csms.ErrRefused)
		}
		o, err := l.open(g.payer, use.Station, use.Connector, use.Tariff, g.MaxSpend, g.MaxEnergy, use.Tag)
		if err != nil {
			l.mu.Unlock()
			return csms.Order{}, err
		}
		id = o.ID
		l.sessions[id-1].Order.StartBy = time.Time{}
		l.byKey[use.Key] = id
	}
	o := l.sessions[id-1].Order
	l.mu.Unlock()
	return o, l.fault("open", true)
}

// Began keeps an order from being refunded.
func (l *Ledger) Began(_ context.Context, id csms.OrderID, _ time.Time) error {
	if err := l.fault("began", false); err != nil {
		return err
	}
	l.mu.Lock()
	if id == 0 || int(id) > len(l.sessions) {
		l.mu.Unlock()
		return fmt.Errorf("order %d: %w", id, csms.ErrRefused)
	}
	x := l.sessions[id-1]
	if x.Refunded != "" {
		l.mu.Unlock()
		return fmt.Errorf("order %d was refunded: %w", id, csms.ErrRefused)
	}
	x.Began = true
	l.mu.Unlock()
	return l.fault("began", true)
}

// Settle pays the owner what the session cost and the driver the rest. A second settlement of the same session must be the
// same one, and moves nothing.
func (l *Ledger) Settle(_ context.Context, s csms.Settlement) (csms.Outcome, error) {
	if err := l.fault("settle", false); err != nil {
		return csms.Outcome{}, err
	}
	out, err := l.settle(s)
	if err != nil {
		return csms.Outcome{}, err
	}
	return out, l.fault("settle", true)
}

func (l *Ledger) settle(s csms.Settlement) (csms.Outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.Order == 0 || int(s.Order) > len(l.sessions) {
		return csms.Outcome{}, fmt.Errorf("order %d: %w", s.Order, csms.ErrRefused)
	}
	x := l.sessions[s.Order-1]
	if x.Over {
		if x.Settlement == nil || x.Settlement.Key != s.Key || x.Settlement.Energy != s.Energy || x.Settlement.Cost != s.Cost {
			return csms.Outcome{}, fmt.Errorf("order %d is over, and otherwise: %w", s.Order, csms.ErrRefused)
		}
		return x.Outcome, nil
	}
	if other, used := l.byKey[s.Key]; used && other != s.Order {
		return csms.Outcome{}, fmt.Errorf("the start of order %d was billed with order %d: %w", s.Order, other, csms.ErrRefused)
	}
	refund, over := x.Held.Sub(s.Cost)
	if over {
		return csms.Outcome{}, fmt.Errorf("order %d costs %s, more than the %s held: %w", s.Order, s.Cost, x.Held, csms.ErrRefused)
	}
	var pages []string
	for _, text := range s.Records {
		r, err := ocmf.Parse([]byte(text))
		if err != nil {
			return csms.Outcome{}, fmt.Errorf("order %d: %w: %w", s.Order, err, csms.ErrRefused)
		}
		page := r.Serial() + "\x00" + r.Page.String()
		if other, used := l.pages[page]; used && other != s.Order {
			return csms.Outcome{}, fmt.Errorf("record %s of order %d was billed with order %d: %w", r.Page, s.Order, other, csms.ErrRefused)
		}
		pages = append(pages, page)
	}
	for _, p := range pages {
		l.pages[p] = s.Order
	}
	l.byKey[s.Key] = s.Order
	l.pay(l.Owner, s.Cost)
	l.pay(x.Driver, refund)
	x.Held, x.Over, x.Settlement = price.Amount{}, true, &s
	x.Outcome = csms.Outcome{Receipt: fmt.Sprintf("settled-%d", s.Order), Cost: s.Cost, Refund: refund}
	l.settles++
	return x.Outcome, nil
}

func (l *Ledger) pay(account string, amount price.Amount) {
	l.balances[account], _ = l.balances[account].Add(amount)
}

// Refund gives everything back.
func (l *Ledger) Refund(_ context.Context, id csms.OrderID, reason csms.Reason) (csms.Outcome, error) {
	if err := l.fault("refund", false); err != nil {
		return csms.Outcome{}, err
	}
	l.mu.Lock()
	if id == 0 || int(id) > len(l.sessions) {
		l.mu.Unlock()
		return csms.Outcome{}, fmt.Errorf("order %d: %w", id, csms.ErrRefused)
	}
	x := l.sessions[id-1]
	if !x.Over {
		l.pay(x.Driver, x.Held)
		x.Outcome = csms.Outcome{Receipt: fmt.Sprintf("refunded-%d", id), Refund: x.Held}
		x.Held, x.Over, x.Refunded = price.Amount{}, true, reason
	} else if x.Settlement != nil {
		l.mu.Unlock()
		return csms.Outcome{}, fmt.Errorf("order %d was settled: %w", id, csms.ErrRefused)
	}
	out := x.Outcome
	l.mu.Unlock()
	return out, l.fault("refund", true)
}

// Session is a copy of what the ledger knows of an order.
func (l *Ledger) Session(id csms.OrderID) (Session, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id == 0 || int(id) > len(l.sessions) {
		return Session{}, false
	}
	return *l.sessions[id-1], true
}

// Count says how many sessions there are and how many are over.
func (l *Ledger) Count() (all, over int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		if s.Over {
			over++
		}
	}
	return len(l.sessions), over
}

// Conserved says whether all money that was minted is still there, once.
func (l *Ledger) Conserved() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var sum price.Amount
	for _, b := range l.balances {
		sum, _ = sum.Add(b)
	}
	for _, s := range l.sessions {
		sum, _ = sum.Add(s.Held)
	}
	if sum != l.minted {
		return fmt.Errorf("accounts and escrows hold %s, minted were %s", sum, l.minted)
	}
	return nil
}
