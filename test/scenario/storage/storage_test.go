package storage_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
)

// TestNodesDieWhileWritingAndReading kills four of twelve nodes while objects are written and read:
// what was acknowledged is read back, and so it is when the four are back and four others are gone.
func TestNodesDieWhileWritingAndReading(t *testing.T) {
	r := newRig(t, 12)
	first, err := r.store(t.Context(), "dev", 30<<20)
	require.NoError(t, err)
	var group errgroup.Group
	objects := make([]object, 6)
	for i := range objects {
		group.Go(func() (err error) {
			objects[i], err = r.store(t.Context(), "dev", 10<<20)
			return err
		})
	}
	group.Go(func() error { return r.check(t.Context(), first) })
	for _, p := range r.providers[:4] {
		p.Stop()
	}
	require.NoError(t, group.Wait())
	for _, o := range append(objects, first) {
		require.NoError(t, r.check(t.Context(), o))
	}
	for _, p := range r.providers[:4] {
		p.Restart()
	}
	for _, p := range r.providers[:4] {
		require.NoError(t, awaitOnline(t.Context(), r, p.Device))
	}
	for _, p := range r.providers[4:8] {
		p.Stop()
	}
	// Written when only eight nodes were there, an object may have four of its eight pieces left.
	for _, o := range append(objects, first) {
		require.NoError(t, r.check(t.Context(), o))
	}
}

// awaitOnline asks a node until it answers.
func awaitOnline(ctx context.Context, r *rig, device uint64) error {
	for {
		err := r.links.Probe(ctx, device, lease)
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

func TestSmallObjectsSideBySide(t *testing.T) {
	r := newRig(t, 12)
	var group errgroup.Group
	group.SetLimit(32)
	for range 200 {
		group.Go(func() error {
			o, err := r.store(t.Context(), "", 20_000)
			if err == nil {
				err = r.check(t.Context(), o)
			}
			return err
		})
	}
	require.NoError(t, group.Wait())
}

func TestTooFewNodesAreSaid(t *testing.T) {
	r := newRig(t, 7)
	_, err := r.store(t.Context(), "dev", 1<<20)
	require.ErrorIs(t, err, renter.ErrTooFewNodes)
}

// TestReadsThatAreGivenUpCostNoCredit cuts off many more reads than a provider's credit window has
// room for, and then reads on: what was charged and never sent must not stay owed.
func TestReadsThatAreGivenUpCostNoCredit(t *testing.T) {
	r := newRig(t, 12)
	o, err := r.store(t.Context(), "dev", 4<<20)
	require.NoError(t, err)
	seg := o.segs[0]
	p := seg.Pieces[0]
	conn, err := r.links.Conn(t.Context(), p.Device, lease)
	require.NoError(t, err)
	id := r.engine.PieceID(seg.Bucket, seg.ID, p.Index)
	const size = 1 << 20
	for range 1500 {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := conn.Get(ctx, id, 0, size, hangUp{cancel})
		require.ErrorIs(t, err, context.Canceled)
	}
	_, err = conn.GetBytes(t.Context(), id, 0, make([]byte, size))
	require.NoError(t, err)
	require.NoError(t, r.check(t.Context(), o))
}

// hangUp is a reader that leaves with the first bytes.
type hangUp struct{ cancel context.CancelFunc }

func (h hangUp) Write([]byte) (int, error) {
	h.cancel()
	return 0, context.Canceled
}
