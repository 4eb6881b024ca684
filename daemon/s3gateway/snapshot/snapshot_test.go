package snapshot_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter/rentertest"
	"github.com/cairn-network/cairn/daemon/s3gateway/snapshot"
	"github.com/cairn-network/cairn/internal/clock"
)

var quiet = slog.New(slog.DiscardHandler)

// machine is one gateway's metabase, engine and snapshot service.
type machine struct {
	*rentertest.Network
	t     *testing.T
	clock *clock.Fake
	db    *metabase.DB
	*snapshot.Service
}

// newMachine starts a gateway; on a ledger that exists it is a second one of the same renter.
func newMachine(t *testing.T, ledger *rentertest.Ledger, fake *clock.Fake, config snapshot.Config) *machine {
	db, err := metabase.OpenPebble(t.TempDir(), metabase.PebbleOptions{}, metabase.WithNow(fake.Now))
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	m := &machine{t: t, clock: fake, db: db}
	m.Network = rentertest.New(t, rentertest.Options{Clock: fake, Garbage: db, Ledger: ledger})
	m.Service = snapshot.New(snapshot.Deps{
		Config: config, Chain: m.Ledger, Renter: m.Ledger.Consumer(), Root: rentertest.Root(),
		DB: db, Engine: m.Engine, Clock: fake, Log: quiet,
	})
	require.NoError(t, m.Leases.Read(t.Context()))
	return m
}

func (m *machine) source() snapshot.Source {
	return snapshot.Source{Chain: m.Ledger, Renter: m.Ledger.Consumer(), Root: rentertest.Root(), Engine: m.Engine}
}

// put stores an object of two kinds: even ones inline, odd ones in segments.
func (m *machine) put(name string, size int) {
	m.t.Helper()
	err := m.db.CreateBucket(m.t.Context(), metabase.Bucket{Name: "photos"})
	if err != nil {
		require.ErrorIs(m.t, err, metabase.ErrBucketExists)
	}
	id, key := keyOf(name)
	segs, _, err := m.Engine.Store(m.t.Context(), renter.StoreRequest{Bucket: "photos", ObjectID: id, Key: key}, bytes.NewReader(contentOf(name, size)))
	require.NoError(m.t, err)
	extent := metabase.Extent{ObjectID: id, Size: int64(size)}
	for _, seg := range segs {
		extent.Segments = append(extent.Segments, metabase.SegmentRef{ID: seg.ID, Size: seg.PlainSize})
	}
	_, err = m.db.PutObject(m.t.Context(), metabase.Object{Bucket: "photos", Key: name, Size: int64(size), Extents: []metabase.Extent{extent}}, segs, nil)
	require.NoError(m.t, err)
}

func contentOf(name string, size int) []byte {
	return bytes.Repeat([]byte(name), size/len(name)+1)[:size]
}

func keyOf(name string) (id [16]byte, key seal.DataKey) {
	key.Suite = seal.AES256GCM
	copy(key.Key[:], name)
	copy(id[:], name)
	return id, key
}

func (m *machine) requireReads(name string, size int) {
	m.t.Helper()
	o, _, err := m.db.Object(m.t.Context(), "photos", name, "")
	require.NoError(m.t, err)
	var ids []metabase.SegmentID
	for _, ref := range o.Extents[0].Segments {
		ids = append(ids, ref.ID)
	}
	segs, err := m.db.Segments(m.t.Context(), ids...)
	require.NoError(m.t, err)
	id, key := keyOf(name)
	var out bytes.Buffer
	require.NoError(m.t, m.Engine.Fetch(m.t.Context(), key, id, segs, 0, int64(size), &out))
	require.True(m.t, bytes.Equal(contentOf(name, size), out.Bytes()))
}

func TestRecoverFromTheKeyAlone(t *testing.T) {
	fake := clock.NewFake(rentertest.Epoch())
	m := newMachine(t, nil, fake, snapshot.Config{})
	for round := range 4 {
		for i := range 3 {
			m.put(fmt.Sprintf("object-%d-%d", round, i), 1+round*700_000)
		}
		require.NoError(t, m.Flush(t.Context()))
		require.Equal(t, uint64(round+1), m.Status().Version)
	}
	_, err := m.db.DeleteObject(t.Context(), "photos", "object-0-0", "", nil)
	require.NoError(t, err)
	require.NoError(t, m.Flush(t.Context()))
	m.put("too-late", 1000)
	for _, n := range m.Nodes[:4] {
		n.Kill()
	}
	require.NoError(t, m.Close()) // the machine burns down, and four nodes with it

	other := newMachine(t, m.Ledger, fake, snapshot.Config{})
	got, err := snapshot.Recover(t.Context(), other.source(), other.db)
	require.NoError(t, err)
	require.Equal(t, uint64(5), got.Version)
	require.Greater(t, got.Streams, 1, "deltas, not one full snapshot after the other")
	for round := range 4 {
		for i := range 3 {
			if round == 0 && i == 0 {
				continue
			}
			other.requireReads(fmt.Sprintf("object-%d-%d", round, i), 1+round*700_000)
		}
	}
	for _, gone := range []string{"object-0-0", "too-late"} {
		_, _, err := other.db.Object(t.Context(), "photos", gone, "")
		require.ErrorIs(t, err, metabase.ErrNoObject)
	}
	_, err = snapshot.Recover(t.Context(), other.source(), other.db)
	require.ErrorIs(t, err, metabase.ErrNotEmpty)

	// The new machine goes on where the old one stopped.
	for _, n := range m.Nodes[:4] {
		require.NoError(t, n.Start())
	}
	fake.Advance(time.Minute)
	other.put("after", 5000)
	require.NoError(t, other.Flush(t.Context()))
	require.Equal(t, uint64(6), other.Status().Version)
}

func TestSnapshotsAreTakenWhenSomethingChanged(t *testing.T) {
	fake := clock.NewFake(rentertest.Epoch())
	m := newMachine(t, nil, fake, snapshot.Config{MaxAge: time.Minute, MaxChanges: 10})
	require.NoError(t, m.Step(t.Context()))
	require.Zero(t, m.Status().Version, "there is nothing to keep")
	m.put("first", 1000)
	require.NoError(t, m.Step(t.Context()))
	require.Zero(t, m.Status().Version)
	fake.Advance(59 * time.Second)
	require.NoError(t, m.Step(t.Context()))
	require.Zero(t, m.Status().Version)
	require.Equal(t, int64(59), m.Status().Pending)
	fake.Advance(time.Second)
	require.NoError(t, m.Step(t.Context()))
	require.Equal(t, uint64(1), m.Status().Version)
	for range 5 {
		fake.Advance(time.Hour)
		require.NoError(t, m.Step(t.Context()))
		require.NoError(t, m.Flush(t.Context()))
	}
	require.Equal(t, uint64(1), m.Status().Version, "a snapshot is no reason for a snapshot")
	require.Equal(t, int64(5*3600), m.Status().AgeSeconds)
	for i := range 10 {
		m.put(fmt.Sprint("burst", i), 10)
	}
	require.NoError(t, m.Step(t.Context()))
	require.Equal(t, uint64(2), m.Status().Version, "many changes do not wait")
}

func TestFormerSnapshotsAreDeleted(t *testing.T) {
	m := newMachine(t, nil, clock.NewFake(rentertest.Epoch()), snapshot.Config{MaxDeltas: 3})
	most := 0
	for i := range 12 {
		m.put(fmt.Sprint("object", i), 10)
		require.NoError(t, m.Flush(t.Context()))
		n := 0
		require.NoError(t, m.db.EachVersion(t.Context(), snapshot.Bucket, "", func(metabase.Object) (bool, error) { n++; return true, nil }))
		most = max(most, n)
	}
	require.Equal(t, 1+3+1, most, "a full stream, three deltas and a manifest")
	buckets, _, err := m.db.Buckets(t.Context(), "", "", 10, nil)
	require.NoError(t, err)
	require.Len(t, buckets, 1, "the snapshots' own bucket is not listed")
}

// TestAnInterruptedSnapshotHarmsNothing holds INV-SNAP-1.
func TestAnInterruptedSnapshotHarmsNothing(t *testing.T) {
	fake := clock.NewFake(rentertest.Epoch())
	m := newMachine(t, nil, fake, snapshot.Config{})
	m.put("first", 1000)
	require.NoError(t, m.Flush(t.Context()))
	m.put("second", 1000)
	m.Ledger.Refuse(errors.New("out of gas"))
	for range 3 {
		require.ErrorContains(t, m.Flush(t.Context()), "out of gas")
	}
	require.Contains(t, m.Status().Trouble, "out of gas")
	other := newMachine(t, m.Ledger, fake, snapshot.Config{})
	_, err := snapshot.Recover(t.Context(), other.source(), other.db)
	require.NoError(t, err)
	other.requireReads("first", 1000)
	m.Ledger.Refuse(nil)
	require.NoError(t, m.Flush(t.Context()))
	require.Empty(t, m.Status().Trouble)
	n := 0
	require.NoError(t, m.db.EachVersion(t.Context(), snapshot.Bucket, "", func(metabase.Object) (bool, error) { n++; return true, nil }))
	require.Equal(t, 3, n, "what failed attempts stored is gone: two streams and a manifest")
}

// TestTwoMachinesDoNotOverwriteEachOther holds INV-SNAP-2.
func TestTwoMachinesDoNotOverwriteEachOther(t *testing.T) {
	fake := clock.NewFake(rentertest.Epoch())
	m := newMachine(t, nil, fake, snapshot.Config{})
	m.put("first", 1000)
	require.NoError(t, m.Flush(t.Context()))
	other := newMachine(t, m.Ledger, fake, snapshot.Config{})
	_, err := snapshot.Recover(t.Context(), other.source(), other.db)
	require.NoError(t, err)
	other.put("second", 1000)
	require.NoError(t, other.Flush(t.Context()))
	// The first one wakes up. Its deltas would continue nothing, so it anchors itself whole.
	m.put("third", 1000)
	require.NoError(t, m.Flush(t.Context()))
	third := newMachine(t, m.Ledger, fake, snapshot.Config{})
	got, err := snapshot.Recover(t.Context(), third.source(), third.db)
	require.NoError(t, err)
	require.Equal(t, 1, got.Streams)
	third.requireReads("third", 1000)
}

func TestForeignPointersAreRefused(t *testing.T) {
	fake := clock.NewFake(rentertest.Epoch())
	m := newMachine(t, nil, fake, snapshot.Config{})
	empty := newMachine(t, m.Ledger, fake, snapshot.Config{})
	_, err := snapshot.Recover(t.Context(), empty.source(), empty.db)
	require.ErrorIs(t, err, snapshot.ErrNone)
	m.put("first", 1000)
	require.NoError(t, m.Flush(t.Context()))
	src := empty.source()
	var seed [32]byte
	rand.Read(seed[:])
	src.Root = seal.FromSeed(seed[:])
	_, err = snapshot.Recover(t.Context(), src, empty.db)
	require.ErrorIs(t, err, snapshot.ErrForeign)
	_, err = snapshot.Recover(canceled(t), empty.source(), empty.db)
	require.ErrorIs(t, err, context.Canceled)
	_, err = snapshot.Recover(t.Context(), empty.source(), empty.db)
	require.NoError(t, err, "an attempt that was cut off leaves an empty metabase")
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
