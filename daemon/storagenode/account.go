package storagenode

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/voucher"
	"github.com/cairn-network/cairn/internal/clock"
	"github.com/cairn-network/cairn/wire/piece"
)

const (
	// forgiveInterval is how often a lease's unpaid bytes may be written off when its consumer
	// comes back: a consumer that lost its memory, or bytes that were lost on the way, must not
	// use up the credit for ever.
	forgiveInterval = 10 * time.Minute
	// payPatience is how long a get waits for a voucher, where nothing else is said.
	payPatience = 15 * time.Second
	// demandAgain is how often a waiting get repeats its bill.
	demandAgain = 100 * time.Millisecond
	// voucherLife is how long a voucher must still be good for: time enough to redeem it.
	voucherLife = 10 * time.Minute
)

// account is what a lease owes for bytes served. Safe for concurrent use.
type account struct {
	lease    uint64
	credit   uint64
	patience time.Duration

	mu       sync.Mutex
	served   uint64 // bytes since the lease began, or since this node started
	paid     uint64 // units of the best voucher
	demanded uint64 // served when the last bill was sent
	conns    int
	forgiven time.Time
	changed  chan struct{} // closed and replaced when paid grows
}

// accounts are those of all leases, with the ledger behind them.
type accounts struct {
	credit   uint64
	patience time.Duration // how long a get waits for a voucher
	ledger   *ledger
	clock    clock.Clock

	mu      sync.Mutex
	byLease map[uint64]*account
}

func newAccounts(l *ledger, credit uint64, c clock.Clock) *accounts {
	return &accounts{credit: credit, patience: payPatience, ledger: l, clock: c, byLease: map[uint64]*account{}}
}

// open counts one more connection of a lease. close must follow.
func (a *accounts) open(lease uint64) *account {
	a.mu.Lock()
	defer a.mu.Unlock()
	acc := a.byLease[lease]
	if acc == nil {
		acc = &account{lease: lease, credit: a.credit, patience: a.patience, changed: make(chan struct{})}
		if v, ok := a.ledger.get(lease); ok {
			// What was served beyond the voucher before this node started is written off.
			acc.served, acc.paid = v.Units, v.Units
		}
		acc.forgiven = a.clock.Now()
		a.byLease[lease] = acc
	}
	acc.mu.Lock()
	defer acc.mu.Unlock()
	now := a.clock.Now()
	if acc.conns == 0 && acc.served > acc.paid && now.Sub(acc.forgiven) >= forgiveInterval {
		acc.served, acc.demanded, acc.forgiven = acc.paid, acc.paid, now
	}
	acc.conns++
	return acc
}

func (a *accounts) close(acc *account) {
	acc.mu.Lock()
	acc.conns--
	acc.mu.Unlock()
}

// drop forgets leases that have ended.
func (a *accounts) drop(leases []uint64) error {
	a.mu.Lock()
	for _, id := range leases {
		delete(a.byLease, id)
	}
	a.mu.Unlock()
	return a.ledger.drop(leases)
}

// state is the figures of Terms and Demand.
func (acc *account) state() (served, paid uint64) {
	acc.mu.Lock()
	defer acc.mu.Unlock()
	return acc.served, acc.paid
}

// charge books n bytes that are about to be served, waiting for a voucher when they would exceed
// the credit. Half-way through the credit it sends a bill ahead, so that honest clients never wait.
func (acc *account) charge(ctx context.Context, client piece.Client, n uint64) error {
	var deadline <-chan time.Time
	var again *time.Ticker
	for {
		acc.mu.Lock()
		fits := acc.served+n <= acc.paid+acc.credit
		if fits {
			acc.served += n
		}
		d := piece.Demand{Served: acc.served, Paid: acc.paid}
		bill := acc.served > acc.paid+acc.credit/2 && acc.served >= acc.demanded+acc.credit/16
		if bill {
			acc.demanded = acc.served
		}
		changed := acc.changed
		acc.mu.Unlock()
		if bill || !fits {
			if err := client.Demand(ctx, d); err != nil {
				return err
			}
		}
		if fits {
			return nil
		}
		if again == nil {
			timer := time.NewTimer(acc.patience)
			defer timer.Stop()
			deadline = timer.C
			again = time.NewTicker(demandAgain)
			defer again.Stop()
		}
		select {
		case <-changed:
		case <-again.C:
		case <-deadline:
			return piece.Errorf(piece.ErrUnpaid, "%d bytes served, %d paid for, credit is %d", d.Served, d.Paid, acc.credit)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refund takes back the charge for bytes that were not sent after all.
func (acc *account) refund(n uint64) {
	acc.mu.Lock()
	defer acc.mu.Unlock()
	acc.served -= min(n, acc.served)
	acc.demanded = min(acc.demanded, acc.served)
	close(acc.changed)
	acc.changed = make(chan struct{})
}

// pay takes a voucher: it must be signed by the lease's session key, be better than the last, pay
// the price of its units, stay good long enough to redeem, and be covered by the escrow. When pay
// returns nil the voucher is durable.
func (a *accounts) pay(acc *account, chainID string, item *Item, v voucher.Signed) error {
	refuse := func(format string, args ...any) error {
		return piece.Errorf(piece.ErrBadVoucher, format, args...)
	}
	now := a.clock.Now()
	switch {
	case v.ChainID != chainID:
		return refuse("it is of chain %q, want %q", v.ChainID, chainID)
	case v.Lease != item.Lease || v.Device != item.Device:
		return refuse("it is of lease %d for device %d, want %d and %d", v.Lease, v.Device, item.Lease, item.Device)
	case time.Unix(v.Expiry, 0).Before(now.Add(voucherLife)):
		return refuse("it expires at %d, less than %s from now", v.Expiry, voucherLife)
	}
	cost, err := item.Metered.Cost(v.Units)
	if err != nil {
		return refuse("%d units have no price: %v", v.Units, err)
	}
	if v.Amount.Cmp(cost) < 0 {
		return refuse("%s acairn for %d units, want %s", v.Amount, v.Units, cost)
	}
	if err := coveredBy(item, v.Amount); err != nil {
		return err
	}
	// Last, because it costs the most: a stranger cannot make us verify.
	if err := v.Verify(item.SessionKey); err != nil {
		return refuse("%v", err)
	}
	if err := a.ledger.put(v); err != nil {
		acc.mu.Lock()
		overtaken := errors.Is(err, voucher.ErrStale) && v.Units < acc.paid
		acc.mu.Unlock()
		if overtaken {
			return nil // of two gateways that pay by one chain of vouchers, the other's came first and covers it
		}
		for _, stale := range []error{voucher.ErrForeign, voucher.ErrStale, voucher.ErrLower} {
			if errors.Is(err, stale) {
				return refuse("%v", err)
			}
		}
		return fmt.Errorf("keeping a voucher of lease %d: %w", v.Lease, err)
	}
	acc.mu.Lock()
	defer acc.mu.Unlock()
	acc.paid = max(acc.paid, v.Units)
	close(acc.changed)
	acc.changed = make(chan struct{})
	return nil
}

// coveredBy refuses a promise that the escrow cannot keep.
func coveredBy(item *Item, amount price.Amount) error {
	due, under := amount.Sub(item.Vouched)
	if under {
		return piece.Errorf(piece.ErrBadVoucher, "%s acairn, and %s have been paid", amount, item.Vouched)
	}
	if left := item.available(); due.Cmp(left) > 0 {
		return piece.Errorf(piece.ErrUnpaid, "%s acairn are due and the escrow holds %s: top it up", due, left)
	}
	return nil
}
