package renter

import (
	"crypto/ed25519"
	"fmt"
)

// SharedPromises keeps the promises of a book where several gateways work under one lease: one
// chain of vouchers for each account, to which each of them adds.
type SharedPromises interface {
	// Update replaces an account's promise by what next makes of it, in a transaction that no
	// other of the account overlaps, and returns when it is on disk. next may run more than once;
	// its error is returned as it is and leaves no trace.
	Update(a Account, next func(Promise) (Promise, error)) error
	// Each calls fn for every account.
	Each(fn func(Account, Promise)) error
}

// OpenSharedBook makes a book whose promises lie in shared. INV-VOUCHER-1 holds across gateways, as
// every signature follows a transaction of its own. INV-VOUCHER-2 holds of their sum, as each adds
// what came in by its own connections; but of a voucher that got lost together with its connection,
// another gateway's may have taken its place, and then its bytes may be promised once more. slack is
// granted at every opening, as nobody knows how the last gateway ended.
func OpenSharedBook(chainID string, key ed25519.PrivateKey, slack uint64, shared SharedPromises) (*Book, error) {
	b := &Book{chainID: chainID, key: key, slack: slack, shared: shared, accounts: make(map[Account]*bookAccount)}
	return b, b.Refresh()
}

// Refresh takes over what other gateways promised; it does nothing where the book is not shared.
func (b *Book) Refresh() error {
	if b.shared == nil {
		return nil
	}
	err := b.shared.Each(func(a Account, p Promise) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.account(a).learn(p)
	})
	if err != nil {
		return fmt.Errorf("reading the vouchers of all gateways: %w", err)
	}
	return nil
}

// learn takes over a promise unless a later one is known.
func (acc *bookAccount) learn(p Promise) {
	if p.Seq > acc.promise.Seq {
		acc.promise = p
	}
}

// given is what this process has promised and the device may not hold yet. The bytes it stands for
// count as received until a voucher for them has arrived, and must not be promised again on top.
type given struct {
	units uint64 // promised, and as far as is known not taken off what counts as received
	asked uint64 // received bytes that the last voucher was asked for: taken off once it has arrived
	upto  uint64 // cumulative units of that voucher
}

// open is how much of it still counts as received, when the device holds a voucher for held units.
func (g given) open(held uint64) uint64 {
	if held >= g.upto {
		return g.units - min(g.units, g.asked)
	}
	return g.units
}

// commitShared is commit for promises that others change as well.
func (b *Book) commitShared(a Account, next func(*bookAccount) (Promise, error)) error {
	b.mu.Lock()
	mine := b.account(a).given
	b.mu.Unlock()
	var after Promise
	err := b.shared.Update(a, func(p Promise) (Promise, error) {
		var err error
		after, err = next(&bookAccount{promise: p, given: mine})
		return after, err
	})
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.account(a).learn(after)
	return nil
}

// pays makes the payments of one account take turns where the book is shared; the returned function
// ends the turn, with what was promised beyond what there was.
func (b *Book) pays(a Account, held, received uint64) (end func(more uint64, p Promise)) {
	if b.shared == nil {
		return func(uint64, Promise) {}
	}
	b.mu.Lock()
	acc := b.account(a)
	b.mu.Unlock()
	acc.turn.Lock()
	return func(more uint64, p Promise) {
		defer acc.turn.Unlock()
		b.mu.Lock()
		defer b.mu.Unlock()
		if p.Seq == 0 {
			return // nothing was promised
		}
		acc.given = given{units: acc.given.open(held) + more, asked: received, upto: p.Units}
		if more == 0 {
			acc.given.asked = 0 // the last one reads the same: whether this one arrives cannot be told
		}
	}
}
