package rentertest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/internal/clock"
)

// Network is a ledger, its nodes, and an engine that uses them.
type Network struct {
	Ledger *Ledger
	Nodes  []*Node
	Pool   *renter.Pool
	Leases *renter.LeaseService
	Links  *renter.Links
	Book   *renter.Book
	Engine *renter.Engine
	Trash  *Trash
}

// Trash is a Discarder that remembers.
type Trash struct {
	mu   sync.Mutex
	segs []metabase.Segment
}

// Discard implements renter.Discarder.
func (t *Trash) Discard(_ context.Context, segs []metabase.Segment) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.segs = append(t.segs, segs...)
	return nil
}

// Segments lists what was discarded.
func (t *Trash) Segments() []metabase.Segment {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]metabase.Segment(nil), t.segs...)
}

// Options of New. Zero values are good.
type Options struct {
	Nodes   int // 12 when 0
	Owners  int // nodes share this many owners; as many as nodes when 0
	Dir     string
	Clock   clock.Clock
	Lease   renter.LeaseConfig
	Engine  renter.Config
	Pool    renter.PoolConfig
	Garbage renter.Discarder
	Corrupt func(metabase.SegmentID, metabase.Piece)
	Ledger  *Ledger // an existing one, with its nodes
	Log     *slog.Logger
}

// SessionKey is the session key of every Network.
var SessionKey = Root().SessionKey(0)

// Root is the renter's secret of every Network.
func Root() seal.Root { return seal.FromSeed(bytes.Repeat([]byte{3}, 32)) }

// PieceSecret is the piece secret of a bucket of every Network.
func PieceSecret(bucket string) [32]byte { return Root().Bucket(bucket).PieceSecret() }

// New starts a network, which ends with the test.
func New(t testing.TB, o Options) *Network {
	t.Helper()
	if o.Nodes == 0 {
		o.Nodes = 12
	}
	if o.Owners == 0 {
		o.Owners = o.Nodes
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Pool == (renter.PoolConfig{}) {
		o.Pool = renter.PoolConfig{LostAfter: time.Hour, Distrust: time.Hour}
	}
	o.Pool.Policy.LoopbackIsDistinct = true
	n := &Network{Ledger: o.Ledger, Trash: &Trash{}}
	if n.Ledger == nil {
		n.Ledger = NewLedger(o.Clock)
		for i := range o.Nodes {
			if _, err := n.Ledger.AddNode(fmt.Sprintf("cairn1owner%d", i%o.Owners), "", 1<<40); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(n.Ledger.Close)
	}
	n.Nodes = n.Ledger.nodes
	if o.Garbage == nil {
		o.Garbage = n.Trash
	}
	var err error
	if n.Book, err = renter.OpenBook(filepath.Join(o.Dir, "vouchers"), n.Ledger.ChainID(), SessionKey, 16<<20); err != nil {
		t.Fatal(err)
	}
	n.Pool = renter.NewPool(o.Pool, o.Lease.Accepts, o.Clock)
	n.Leases = renter.NewLeaseService(renter.LeaseDeps{
		Chain: n.Ledger, Config: o.Lease, Session: SessionKey.Public().(ed25519.PublicKey), Book: n.Book,
		Pool: n.Pool, Clock: o.Clock, Log: o.Log,
	})
	n.Links = renter.NewLinks(n.Ledger.ChainID(), SessionKey, n.Pool, n.Book, n.Leases, o.Clock)
	n.Engine, err = renter.NewEngine(renter.Deps{
		Config: o.Engine, Pool: n.Pool, Links: n.Links, Leases: n.Leases, Garbage: o.Garbage,
		PieceSecret: PieceSecret, Clock: o.Clock, Log: o.Log, Corrupt: o.Corrupt,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// Close ends the engine, not the nodes. It may be called more than once.
func (n *Network) Close() error {
	return errors.Join(n.Links.Close(), n.Engine.Close(), n.Book.Close())
}

// Node returns the node of a device.
func (n *Network) Node(device uint64) *Node { return n.Nodes[device-1] }
