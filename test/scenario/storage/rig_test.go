// Package storage_test runs the renter's engine against real storage nodes: the real store on disk,
// the real protocol, and a chain that the tests play.
package storage_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	marketv1 "github.com/cairn-network/cairn/api/cairn/market/v1"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/daemon/storagenode"
	"github.com/cairn-network/cairn/daemon/storagenode/nodetest"
	"github.com/cairn-network/cairn/internal/clock"
)

var (
	root    = seal.FromSeed(bytes.Repeat([]byte{9}, 32))
	session = root.SessionKey(0)
	rate    = price.Rate{Amount: price.FromUint64(3), Per: 7}
)

const lease = 1

// rig is a set of storage nodes and an engine that has a lease with all of them.
type rig struct {
	t         testing.TB
	chain     *nodetest.Chain
	providers []*nodetest.Provider
	pool      *renter.Pool
	leases    *renter.LeaseService
	links     *renter.Links
	book      *renter.Book
	engine    *renter.Engine
}

func newRig(t testing.TB, nodes int, change ...func(*storagenode.Deps)) *rig {
	r := &rig{t: t, chain: nodetest.NewChain(clock.System{})}
	devices := make([]uint64, nodes)
	for i := range devices {
		devices[i] = uint64(i + 1)
	}
	r.chain.Open(lease, session.Public().(ed25519.PublicKey), nodetest.Terms{Units: 1 << 36, Metered: rate}, devices...)
	for _, d := range devices {
		r.providers = append(r.providers, nodetest.Start(t, r.chain, d, change...))
	}
	r.open(t.TempDir(), nil)
	return r
}

// open starts the engine over what is in dir.
func (r *rig) open(dir string, corrupt func(metabase.SegmentID, metabase.Piece)) {
	chain := &market{r}
	config := renter.LeaseConfig{}
	var err error
	r.book, err = renter.OpenBook(filepath.Join(dir, "vouchers"), nodetest.ChainID, session, 16<<20)
	require.NoError(r.t, err)
	r.pool = renter.NewPool(renter.PoolConfig{LostAfter: time.Minute, Distrust: time.Minute, Policy: renter.Policy{LoopbackIsDistinct: true}}, config.Accepts, clock.System{})
	quiet := slog.New(slog.DiscardHandler)
	r.leases = renter.NewLeaseService(renter.LeaseDeps{
		Chain: chain, Config: config, Session: session.Public().(ed25519.PublicKey), Book: r.book, Pool: r.pool, Clock: clock.System{}, Log: quiet,
	})
	r.links = renter.NewLinks(nodetest.ChainID, session, r.pool, r.book, r.leases, clock.System{})
	r.engine, err = renter.NewEngine(renter.Deps{
		Pool: r.pool, Links: r.links, Leases: r.leases, Garbage: forget{}, PieceSecret: pieceSecret,
		Clock: clock.System{}, Log: quiet, Corrupt: corrupt,
	})
	require.NoError(r.t, err)
	r.t.Cleanup(func() {
		r.links.Close()
		r.engine.Close()
		r.book.Close()
	})
	require.NoError(r.t, r.leases.Read(r.t.Context()))
}

func pieceSecret(bucket string) [32]byte { return root.Bucket(bucket).PieceSecret() }

type forget struct{}

func (forget) Discard(context.Context, []metabase.Segment) error { return nil }

// market shows the nodes and their one lease as a chain would.
type market struct{ *rig }

func (m *market) ChainID() string  { return nodetest.ChainID }
func (m *market) Consumer() string { return "cairn1renter" }

func (m *market) Nodes(context.Context) ([]renter.Node, error) {
	var list []renter.Node
	for _, p := range m.providers {
		list = append(list, renter.Node{
			Device: p.Device, Owner: fmt.Sprintf("cairn1owner%d", p.Device), Endpoint: p.Endpoint, Key: p.Public,
			Offer: renter.Offer{ID: 1, Denom: price.Denom, Metered: rate, Capacity: 1 << 40},
		})
	}
	return list, nil
}

func (m *market) Leases(ctx context.Context) ([]marketv1.Lease, error) {
	l, _, err := m.Lease(ctx, lease)
	return []marketv1.Lease{l}, err
}

func (m *market) Lease(ctx context.Context, id uint64) (l marketv1.Lease, items []marketv1.LeaseItem, err error) {
	for _, p := range m.providers {
		answer, err := m.chain.Item(ctx, id, p.Device)
		if err != nil {
			return l, nil, err
		}
		l, items = answer.LeaseInfo, append(items, answer.Item)
	}
	return l, items, nil
}

func (m *market) MarketParams(context.Context) (marketv1.Params, error) {
	return marketv1.Params{MaxLeaseSeconds: 1 << 30, MaxItemsPerLease: 256}, nil
}

func (m *market) Balance(context.Context, string) (price.Amount, error) { return price.Amount{}, nil }

var errFixed = errors.New("the lease of this test is fixed")

func (m *market) OpenLease(context.Context, *marketv1.MsgOpenLease) (uint64, error) {
	return 0, errFixed
}
func (m *market) AmendLease(context.Context, *marketv1.MsgAmendLease) error { return errFixed }
func (m *market) CloseLease(context.Context, uint64, ...uint64) error       { return errFixed }

// object is a stored stream.
type object struct {
	req  renter.StoreRequest
	size int64
	segs []metabase.Segment
}

// pattern is size bytes that only their position determines, at the cost of a copy: a random run of
// a length that no segment, stripe or page divides, over and over.
func pattern(size int64) io.Reader { return io.LimitReader(&repeater{}, size) }

var run = func() []byte {
	b := make([]byte, 1_000_003)
	rand.Read(b)
	return b
}()

type repeater struct{ at int }

func (r *repeater) Read(p []byte) (int, error) {
	n := copy(p, run[r.at:])
	r.at = (r.at + n) % len(run)
	return n, nil
}

func (r *rig) store(ctx context.Context, class string, size int64) (object, error) {
	o := object{req: renter.StoreRequest{Bucket: "b", Class: class}, size: size}
	rand.Read(o.req.ObjectID[:])
	key, err := seal.NewDataKey(rand.Reader, seal.AES256GCM)
	if err != nil {
		return o, err
	}
	o.req.Key = key
	o.segs, _, err = r.engine.Store(ctx, o.req, pattern(size))
	return o, err
}

// check reads an object back and compares it.
func (r *rig) check(ctx context.Context, o object) error {
	got, w := io.Pipe()
	go func() {
		w.CloseWithError(r.engine.Fetch(ctx, o.req.Key, o.req.ObjectID, o.segs, 0, o.size, w))
	}()
	defer got.Close()
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	want := pattern(o.size)
	for off := int64(0); ; {
		n, err := io.ReadFull(want, a)
		if n == 0 {
			break
		}
		if _, gotErr := io.ReadFull(got, b[:n]); gotErr != nil {
			return gotErr
		}
		if !bytes.Equal(a[:n], b[:n]) {
			return fmt.Errorf("bytes differ within 64 KiB of %d", off)
		}
		off += int64(n)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
	}
	if _, err := io.ReadFull(got, b[:1]); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the end came %w", err)
	}
	return nil
}
