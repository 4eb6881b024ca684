package renter

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/cairn-network/cairn/core/pass"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/voucher"
	"github.com/cairn-network/cairn/internal/clock"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// Links holds one connection to each node, for one lease. Connections are dialled when first asked
// for and shared by everyone; a broken one is replaced by the next who asks. Safe for concurrent
// use.
type Links struct {
	chainID string
	key     ed25519.PrivateKey
	pool    *Pool
	purse   wire.VoucherSource
	clock   clock.Clock
	timeout time.Duration        // of a dial
	slack   func(Account) uint64 // Book.TakeSlack
	pass    *pass.Signed         // shown to nodes; nil for none

	mu     sync.Mutex // guards what follows
	links  map[Account]*link
	owed   map[Account]uint64 // bytes received over former connections and not vouched for
	closed bool
}

// link is the connection to a device under a lease, or the attempt to make it.
type link struct {
	endpoint string
	ready    chan struct{} // closed when conn or err is set
	ended    sync.Once     // its debts are booked once, whoever ends it
	conn     *wire.Conn
	err      error
	failed   time.Time
}

// redialAfter is for how long a failed dial answers for the node.
const redialAfter = 2 * time.Second

// NewLinks makes an empty set of connections that speak with the session key.
func NewLinks(chainID string, key ed25519.PrivateKey, pool *Pool, book *Book, leases *LeaseService, clk clock.Clock) *Links {
	return &Links{
		chainID: chainID, key: key, pool: pool, purse: purse{book: book, leases: leases}, clock: clk,
		timeout: 5 * time.Second, slack: book.TakeSlack,
		links: make(map[Account]*link), owed: make(map[Account]uint64),
	}
}

// Show has a pass shown to every node, so that this lease reads what lies under another. Call it before
// the first connection.
func (l *Links) Show(p pass.Signed) { l.pass = &p }

// purse pays what connections ask for: they count the bytes that came in, the book signs.
type purse struct {
	book   *Book
	leases *LeaseService
}

// Voucher implements wire.VoucherSource. Where the escrow is used up it has it refilled first: the
// node waits for a while before it stops serving.
func (p purse) Voucher(ctx context.Context, lease, device, held, units uint64) (voucher.Signed, error) {
	for attempt := 0; ; attempt++ {
		steps := p.leases.Steps()
		a, terms, err := p.leases.Terms(device)
		if err != nil {
			return voucher.Signed{}, err
		}
		if a.Lease != lease {
			return voucher.Signed{}, fmt.Errorf("paying device %d under lease %d: %w", device, lease, ErrNotInLease)
		}
		v, err := p.book.Pay(a, held, units, terms)
		if !errors.Is(err, ErrEscrowDry) || attempt > 0 {
			return v, err
		}
		if err := p.leases.StepAfter(ctx, steps); err != nil {
			return voucher.Signed{}, err
		}
	}
}

// Resume implements wire.VoucherSource.
func (p purse) Resume(last voucher.Signed) {
	// The connection has verified it; what is left to go wrong is the disk, which the next Pay
	// reports, too.
	_ = p.book.Adopt(last)
}

// Conn returns the connection to a device under a lease, dialling if there is none. It counts a
// node that cannot be reached as offline.
func (l *Links) Conn(ctx context.Context, device, lease uint64) (*wire.Conn, error) {
	node, ok := l.pool.Node(device)
	if !ok || node.Endpoint == "" {
		return nil, fmt.Errorf("device %d: %w", device, ErrUnknownNode)
	}
	a := Account{Lease: lease, Device: device}
	for {
		k, dials, err := l.slot(a, node.Endpoint)
		if err != nil {
			return nil, err
		}
		if dials {
			l.dial(k, a, node)
		}
		select {
		case <-k.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if k.err != nil {
			return nil, k.err
		}
		if k.conn.Err() == nil {
			return k.conn, nil
		}
		l.drop(a, k)
	}
}

// Do runs an operation on the connection to a device. When the connection turns out to have broken
// before or during it, Do tries once more on a fresh one: a node that restarted is not offline.
func (l *Links) Do(ctx context.Context, device, lease uint64, op func(*wire.Conn) error) error {
	for attempt := 0; ; attempt++ {
		conn, err := l.Conn(ctx, device, lease)
		if err != nil {
			return err
		}
		err = op(conn)
		if err == nil || conn.Err() == nil || attempt > 0 || ctx.Err() != nil {
			return err
		}
	}
}

// slot finds or makes a link; dials says that the caller has to connect it.
func (l *Links) slot(a Account, endpoint string) (k *link, dials bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, false, fmt.Errorf("device %d: %w", a.Device, net.ErrClosed)
	}
	old := l.links[a]
	if old != nil && old.endpoint == endpoint && (old.failed.IsZero() || l.clock.Now().Sub(old.failed) < redialAfter) {
		return old, false, nil
	}
	k = &link{endpoint: endpoint, ready: make(chan struct{})}
	l.links[a] = k
	if old != nil {
		go l.retire(a, old)
	}
	return k, true, nil
}

// dial connects in a goroutine of its own, so that the first caller's context does not decide for
// those who wait with it.
func (l *Links) dial(k *link, a Account, node Node) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), l.timeout)
		defer cancel()
		began := l.clock.Now()
		owed := l.takeOwed(a)
		conn, err := wire.Dial(ctx, node.Endpoint, node.Device, node.Key,
			wire.Session{ChainID: l.chainID, Lease: a.Lease, Key: l.key, Pass: l.pass},
			wire.Options{Vouchers: l.purse, Now: l.clock.Now, Owed: owed})
		if err != nil {
			l.addOwed(a, owed)
			l.pool.Unreachable(node.Device, err)
		} else {
			l.pool.Succeeded(node.Device, l.clock.Now().Sub(began))
		}
		l.mu.Lock()
		k.conn, k.err = conn, err
		if err != nil {
			k.failed = l.clock.Now()
		}
		stale := l.closed || l.links[a] != k
		l.mu.Unlock()
		close(k.ready)
		if stale && conn != nil {
			l.hangUp(a, k)
		}
	}()
}

func (l *Links) takeOwed(a Account) uint64 {
	slack := l.slack(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	owed := l.owed[a] + slack
	delete(l.owed, a)
	return owed
}

func (l *Links) addOwed(a Account, bytes uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owed[a] += bytes
}

// hangUp closes a link's connection and keeps what it owes for the next one.
func (l *Links) hangUp(a Account, k *link) {
	k.ended.Do(func() {
		_ = k.conn.Close() // it is broken, or nobody uses it any more
		l.addOwed(a, k.conn.Owed())
	})
}

// drop forgets a broken link.
func (l *Links) drop(a Account, k *link) {
	l.mu.Lock()
	if l.links[a] == k {
		delete(l.links, a)
	}
	l.mu.Unlock()
	l.retire(a, k)
}

// retire closes a link's connection if there is one; a dialler finds out by itself that its link is
// stale.
func (l *Links) retire(a Account, k *link) {
	select {
	case <-k.ready:
		if k.conn != nil {
			l.hangUp(a, k)
		}
	default:
	}
}

// Blame judges an error of an operation on a device: it tells the pool, and says why placement
// should look elsewhere. Errors of the caller's own context blame nobody.
func (l *Links) Blame(device uint64, err error) Reason {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return ReasonFailed
	case errors.Is(err, wire.ErrBadReceipt):
		l.pool.Caught(device)
		return ReasonFaulty
	case errors.Is(err, wire.ErrNoSpace), errors.Is(err, wire.ErrQuota):
		l.pool.Full(device)
		return ReasonFull
	case errors.Is(err, wire.ErrUnpaid), errors.Is(err, wire.ErrLeaseClosed), errors.Is(err, wire.ErrUnauthorized):
		l.pool.Full(device)
		return ReasonUnpaid
	case errors.Is(err, ErrUnknownNode):
		return ReasonNoOffer
	case errors.Is(err, wire.ErrNotFound), errors.Is(err, wire.ErrCorrupt):
		l.pool.Failed(device)
		return ReasonFailed
	case errors.Is(err, wire.ErrBusy), errors.Is(err, context.DeadlineExceeded):
		l.pool.Failed(device)
		return ReasonFailed
	case wire.CodeOf(err) != wire.ErrInternal: // it answered
		l.pool.Failed(device)
		return ReasonFailed
	}
	l.pool.Unreachable(device, err)
	return ReasonOffline
}

// Probe asks a device for a sign of life: a connection and an answer to a small request.
func (l *Links) Probe(ctx context.Context, device, lease uint64) error {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	var took time.Duration
	err := l.Do(ctx, device, lease, func(conn *wire.Conn) error {
		began := l.clock.Now()
		_, err := conn.Stat(ctx, piece.ID{})
		took = l.clock.Now().Sub(began)
		return err
	})
	if err != nil && !errors.Is(err, wire.ErrNotFound) {
		l.Blame(device, err)
		return err
	}
	l.pool.Succeeded(device, took)
	return nil
}

// Close closes all connections; those that are being dialled close when they come up.
func (l *Links) Close() error {
	l.mu.Lock()
	links := l.links
	l.links = make(map[Account]*link)
	l.closed = true
	l.mu.Unlock()
	for a, k := range links {
		l.retire(a, k)
	}
	return nil
}
