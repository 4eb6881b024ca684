package repair_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/core/segment"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter/rentertest"
	"github.com/cairn-network/cairn/daemon/s3gateway/repair"
	"github.com/cairn-network/cairn/internal/clock"
	wire "github.com/cairn-network/cairn/wire/piece"
)

const bucket = "photos"

// rig is a network with a metabase and a repair service.
type rig struct {
	*rentertest.Network
	t       *testing.T
	clock   *clock.Fake
	db      *metabase.DB
	repair  *repair.Service
	objects map[string]stored
}

type stored struct {
	key  seal.DataKey
	id   [16]byte
	data []byte
}

func newRig(t *testing.T, nodes int, config repair.Config) *rig {
	fake := clock.NewFake(rentertest.Epoch())
	db, err := metabase.OpenPebble(t.TempDir(), metabase.PebbleOptions{}, metabase.WithNow(fake.Now))
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	require.NoError(t, db.CreateBucket(t.Context(), metabase.Bucket{Name: bucket}))
	r := &rig{t: t, clock: fake, db: db, objects: make(map[string]stored)}
	r.Network = rentertest.New(t, rentertest.Options{
		Nodes: nodes, Clock: fake, Garbage: db,
		Pool:    renter.PoolConfig{LostAfter: time.Minute, Distrust: time.Minute},
		Corrupt: func(id metabase.SegmentID, p metabase.Piece) { r.repair.Report(id, p) },
	})
	r.repair = repair.New(repair.Deps{
		Config: config, DB: db, Engine: r.Engine, Pool: r.Pool, Links: r.Links, Clock: fake, Log: quiet,
	})
	require.NoError(t, r.Leases.Step(t.Context()))
	return r
}

func (r *rig) put(name string, size int) {
	r.t.Helper()
	s := stored{data: make([]byte, size)}
	rand.Read(s.data)
	rand.Read(s.id[:])
	var err error
	s.key, err = seal.NewDataKey(rand.Reader, seal.AES256GCM)
	require.NoError(r.t, err)
	segs, n, err := r.Engine.Store(r.t.Context(), renter.StoreRequest{Bucket: bucket, ObjectID: s.id, Key: s.key, Class: "dev"}, bytes.NewReader(s.data))
	require.NoError(r.t, err)
	extent := metabase.Extent{ObjectID: s.id, Size: n}
	for _, seg := range segs {
		extent.Segments = append(extent.Segments, metabase.SegmentRef{ID: seg.ID, Size: seg.PlainSize})
	}
	_, err = r.db.PutObject(r.t.Context(), metabase.Object{Bucket: bucket, Key: name, Size: n, Extents: []metabase.Extent{extent}}, segs, nil)
	require.NoError(r.t, err)
	r.objects[name] = s
}

func (r *rig) segments(name string) []metabase.Segment {
	r.t.Helper()
	o, _, err := r.db.Object(r.t.Context(), bucket, name, "")
	require.NoError(r.t, err)
	var ids []metabase.SegmentID
	for _, ref := range o.Extents[0].Segments {
		ids = append(ids, ref.ID)
	}
	segs, err := r.db.Segments(r.t.Context(), ids...)
	require.NoError(r.t, err)
	return segs
}

func (r *rig) get(name string) error {
	s := r.objects[name]
	var out bytes.Buffer
	err := r.Engine.Fetch(r.t.Context(), s.key, s.id, r.segments(name), 0, int64(len(s.data)), &out)
	if err == nil && !bytes.Equal(out.Bytes(), s.data) {
		err = fmt.Errorf("%s differs", name)
	}
	return err
}

func (r *rig) step() {
	r.t.Helper()
	require.NoError(r.t, r.repair.Step(r.t.Context()))
}

// lose kills nodes and lets the time pass after which they count as lost.
func (r *rig) lose(nodes ...*rentertest.Node) {
	r.t.Helper()
	for _, n := range nodes {
		n.Kill()
	}
	r.step()
	r.clock.Advance(2 * time.Minute)
}

// requireWhole checks that every segment has Optimal pieces, on nodes of different owners that hold
// what the segment's root says (INV-REPAIR-2, INV-REBUILD-1).
func (r *rig) requireWhole(name string) {
	r.t.Helper()
	for _, seg := range r.segments(name) {
		require.Equal(r.t, segment.Root(seg.PieceRoots), seg.Root)
		owners, indexes := make(map[string]bool), make(map[uint8]bool)
		for _, p := range seg.Pieces {
			node := r.Node(p.Device)
			owners[node.Owner], indexes[p.Index] = true, true
			err := r.Links.Do(r.t.Context(), p.Device, seg.Lease, func(c *wire.Conn) error {
				info, err := c.Stat(r.t.Context(), piece.DeriveID(rentertest.PieceSecret(bucket), seg.ID, p.Index))
				if err == nil && info.Root != seg.PieceRoots[p.Index] {
					err = fmt.Errorf("device %d holds another piece", p.Device)
				}
				return err
			})
			require.NoError(r.t, err)
		}
		require.Len(r.t, owners, 8)
		require.Len(r.t, indexes, 8)
		require.Equal(r.t, renter.RiskNone, seg.Risk)
	}
}

func TestLostNodesAreReplaced(t *testing.T) {
	r := newRig(t, 12, repair.Config{})
	for i := range 5 {
		r.put(fmt.Sprint("object", i), 100_000+i*1_500_000)
	}
	r.step()
	require.Equal(t, uint64(0), r.repair.Status().Degraded)
	r.lose(r.Nodes[0], r.Nodes[3], r.Nodes[7], r.Nodes[9])
	r.step()
	r.step()
	for name := range r.objects {
		r.requireWhole(name)
		require.NoError(t, r.get(name))
	}
	st := r.repair.Status()
	require.Zero(t, st.Degraded)
	require.Zero(t, st.Lost)
	require.Positive(t, st.Rebuilt)
	r.step()
	require.Equal(t, st.Rebuilt, r.repair.Status().Rebuilt, "a network that is whole is left alone")

	// The four come back, with pieces that nobody names any more, and four others go.
	for _, i := range []int{0, 3, 7, 9} {
		require.NoError(t, r.Nodes[i].Start())
	}
	r.clock.Advance(time.Minute)
	r.step()
	r.lose(r.Nodes[1], r.Nodes[2], r.Nodes[4], r.Nodes[5])
	r.step()
	r.step()
	for name := range r.objects {
		r.requireWhole(name)
		require.NoError(t, r.get(name))
	}
}

func TestNodesThatAreAwayAreWaitedFor(t *testing.T) {
	r := newRig(t, 12, repair.Config{})
	r.put("object", 3<<20)
	p := r.segments("object")[0].Pieces
	// One of eight away: above the threshold, nothing moves.
	r.Node(p[0].Device).Kill()
	r.step()
	r.step()
	require.Zero(t, r.repair.Status().Rebuilt)
	require.Equal(t, uint64(1), r.repair.Status().Degraded)
	// Four away: at the threshold, they are replaced, but not forgotten.
	for _, q := range p[1:4] {
		r.Node(q.Device).Kill()
	}
	r.step()
	require.Positive(t, r.repair.Status().Rebuilt)
	require.NoError(t, r.get("object"))
	require.Subset(t, r.segments("object")[0].Pieces, p)
}

func TestWrongAndMissingPiecesAreReplaced(t *testing.T) {
	for name, spoil := range map[string]func(*rentertest.Node){
		"corrupt": func(n *rentertest.Node) { n.SetFault(rentertest.Fault{Corrupt: true}) },
		"wiped":   func(n *rentertest.Node) { n.Wipe() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 12, repair.Config{Audits: 1})
			r.put("object", 3<<20)
			var bad uint64
			for _, p := range r.segments("object")[0].Pieces {
				if p.Index == 0 {
					bad = p.Device
				}
			}
			spoil(r.Node(bad))
			require.NoError(t, r.get("object"), "a reader does without it")
			r.step()
			r.step()
			for _, p := range r.segments("object")[0].Pieces {
				require.NotEqual(t, bad, p.Device)
			}
			r.requireWhole("object")
		})
	}
}

func TestNodesThatSignAndKeepNothingAreFound(t *testing.T) {
	// Not by audits of some, but by the comparison with all that they should have.
	r := newRig(t, 12, repair.Config{Audits: 1, Compare: time.Hour})
	r.Nodes[4].SetFault(rentertest.Fault{Forget: true})
	for i := range 6 {
		r.put(fmt.Sprint("object", i), 500_000)
	}
	held := 0
	for name := range r.objects {
		for _, p := range r.segments(name)[0].Pieces {
			if p.Device == 5 {
				held++
			}
		}
	}
	require.Positive(t, held)
	r.step()
	r.step()
	for name := range r.objects {
		r.requireWhole(name)
	}
	require.Zero(t, r.Nodes[4].Pieces())
}

func TestDeletedObjectsLeaveNothingBehind(t *testing.T) {
	r := newRig(t, 12, repair.Config{Linger: 10 * time.Minute})
	r.put("gone", 5<<20)
	r.put("stays", 1<<20)
	_, err := r.db.DeleteObject(t.Context(), bucket, "gone", "", nil)
	require.NoError(t, err)
	before := r.pieces()
	r.step()
	require.Equal(t, before, r.pieces(), "readers may still be at it")
	r.clock.Advance(11 * time.Minute)
	r.step()
	require.Equal(t, 8, r.pieces())
	require.NoError(t, r.get("stays"))
	devices, err := r.db.GarbageDevices(t.Context())
	require.NoError(t, err)
	require.Empty(t, devices)
}

func (r *rig) pieces() (n int) {
	for _, node := range r.Nodes {
		n += node.Pieces()
	}
	return n
}

// TestUnknownPiecesGoAfterTheGrace holds INV-REPAIR-3.
func TestUnknownPiecesGoAfterTheGrace(t *testing.T) {
	r := newRig(t, 12, repair.Config{Compare: time.Hour, Grace: 48 * time.Hour, Audits: 1})
	r.put("object", 1<<20)
	// An upload whose commit never came.
	segs, _, err := r.Engine.Store(t.Context(), renter.StoreRequest{Bucket: bucket, Class: "dev", Key: seal.DataKey{Suite: seal.AES256GCM}}, bytes.NewReader(make([]byte, 1<<20)))
	require.NoError(t, err)
	require.Equal(t, 16, r.pieces())
	for range 47 {
		r.step()
		r.clock.Advance(time.Hour)
	}
	require.Equal(t, 16, r.pieces())
	for range 3 {
		r.step()
		r.clock.Advance(time.Hour)
	}
	require.Equal(t, 8, r.pieces())
	for _, p := range segs[0].Pieces {
		require.False(t, r.Node(p.Device).Holds(piece.DeriveID(rentertest.PieceSecret(bucket), segs[0].ID, p.Index)))
	}
	require.NoError(t, r.get("object"))
}

func TestRepairSurvivesBeingCutOff(t *testing.T) {
	r := newRig(t, 12, repair.Config{})
	for i := range 4 {
		r.put(fmt.Sprint("object", i), 2<<20)
	}
	r.lose(r.Nodes[0], r.Nodes[1], r.Nodes[2], r.Nodes[3])
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.repair.Step(ctx), context.Canceled)
	// A new service knows nothing and finds everything in the metabase.
	r.repair = repair.New(repair.Deps{DB: r.db, Engine: r.Engine, Pool: r.Pool, Links: r.Links, Clock: r.clock, Log: quiet})
	r.step()
	r.step()
	for name := range r.objects {
		r.requireWhole(name)
	}
}

func TestPiecesOnLeavingNodesAreMovedWhileTheyCanBeRead(t *testing.T) {
	r := newRig(t, 12, repair.Config{})
	r.put("object", 2<<20)
	p := r.segments("object")[0].Pieces
	for _, q := range p[:2] {
		r.Ledger.SetStanding(q.Device, renter.StandingRetiring)
	}
	require.NoError(t, r.Leases.Step(t.Context()))
	r.step()
	require.Equal(t, uint64(2), r.repair.Status().Copied, "read from the leaving nodes themselves")
	require.Zero(t, r.repair.Status().Rebuilt)
	moved := r.segments("object")[0].Pieces
	for _, q := range moved {
		require.NotContains(t, []uint64{p[0].Device, p[1].Device}, q.Device)
	}
	r.lose(r.Node(p[0].Device), r.Node(p[1].Device))
	r.step()
	r.requireWhole("object")
}

// TestJailedDevicesAreEmptiedAndNoLongerPaid moves what lies on a jailed device, deletes it there, and
// ends its part of the lease once nothing can be under way to it any more.
func TestJailedDevicesAreEmptiedAndNoLongerPaid(t *testing.T) {
	r := newRig(t, 12, repair.Config{})
	r.put("object", 2<<20)
	jailed := r.segments("object")[0].Pieces[0].Device
	r.Ledger.SetStanding(jailed, renter.StandingJailed)
	settle := func() {
		t.Helper()
		require.NoError(t, r.Leases.Step(t.Context()))
		r.step()
	}
	settle()
	settle()
	for _, q := range r.segments("object")[0].Pieces {
		require.NotEqual(t, jailed, q.Device, "others have it")
	}
	r.requireWhole("object")
	require.NoError(t, r.get("object"))
	require.True(t, r.Pool.Lease().Items[jailed].Open)
	r.clock.Advance(time.Hour) // what was read from it goes on for a while
	settle()
	require.Zero(t, r.Node(jailed).Pieces())
	require.NoError(t, r.Leases.Step(t.Context()))
	require.True(t, r.Pool.Lease().Items[jailed].Open, "an upload may be under way")
	r.clock.Advance(49 * time.Hour)
	r.step()
	require.NoError(t, r.Leases.Step(t.Context()))
	item := r.Pool.Lease().Items[jailed]
	require.False(t, item.Open)
	require.True(t, item.Escrow.IsZero(), "what was left came back")
	require.Len(t, r.Pool.Lease().Items, 12)
	settle()
	require.NoError(t, r.get("object"))
}

func TestTooManyLostIsSaidAndNotHidden(t *testing.T) {
	r := newRig(t, 12, repair.Config{})
	r.put("object", 1<<20)
	for _, p := range r.segments("object")[0].Pieces[:5] {
		r.Node(p.Device).Kill()
	}
	require.ErrorIs(t, r.repair.Step(t.Context()), renter.ErrUnavailable)
	r.clock.Advance(2 * time.Minute)
	require.ErrorIs(t, r.repair.Step(t.Context()), renter.ErrUnavailable)
	require.Equal(t, uint64(1), r.repair.Status().Lost)
	require.ErrorIs(t, r.get("object"), renter.ErrUnavailable)
}

func TestWhatCannotBePlacedIsNotRead(t *testing.T) {
	r := newRig(t, 12, repair.Config{})
	for i := range 4 {
		r.put(fmt.Sprint("object", i), 3<<20)
	}
	r.lose(r.Nodes[:4]...) // eight left: whole again
	r.step()
	r.step()
	before := r.pieces()
	r.Nodes[4].Kill() // seven left: nobody can take an eighth piece
	for range 3 {
		_ = r.repair.Step(t.Context())
		r.clock.Advance(2 * time.Minute)
	}
	served := r.served()
	for range 20 {
		require.ErrorIs(t, ignoreNil(r.repair.Step(t.Context())), renter.ErrTooFewNodes)
		r.clock.Advance(time.Hour)
	}
	require.Equal(t, served, r.served(), "nothing was read for nothing")
	require.Equal(t, uint64(4), r.repair.Status().Queue)
	// One comes back, and gets what is missing.
	require.NoError(t, r.Nodes[0].Start())
	r.step()
	r.step()
	require.Zero(t, r.repair.Status().Queue)
	require.GreaterOrEqual(t, r.pieces(), before)
	for name := range r.objects {
		r.requireWhole(name)
	}
}

// ignoreNil stands a shortage in for a step that had nothing to try.
func ignoreNil(err error) error {
	if err == nil {
		return renter.ErrTooFewNodes
	}
	return err
}

func (r *rig) served() (n uint64) {
	for _, node := range r.Nodes {
		served, _ := node.Served(r.Pool.Lease().ID)
		n += served
	}
	return n
}
