package repair

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/renter"
	wire "github.com/cairn-network/cairn/wire/piece"
)

// audit challenges random pieces: a node that signs receipts and keeps nothing is found out before
// anybody misses the data.
func (s *Service) audit(ctx context.Context) error {
	for range s.Config.Audits {
		seg, ok, err := s.randomSegment(ctx)
		if err != nil || !ok {
			return err
		}
		if len(seg.Pieces) == 0 {
			continue
		}
		class, ok := erasure.ClassByName(seg.Class)
		if !ok {
			continue
		}
		p := seg.Pieces[mathrand.IntN(len(seg.Pieces))]
		if !s.Pool.Online(p.Device) || int(p.Index) >= len(seg.PieceRoots) {
			continue
		}
		size := class.Geometry(int(seg.SealedSize)).PieceSize
		chunk := mathrand.IntN(int(piece.Chunks(uint64(size))))
		s.metrics.audits.Inc()
		err = s.Links.Do(ctx, p.Device, seg.Lease, func(conn *wire.Conn) error {
			return conn.Challenge(ctx, s.Engine.PieceID(seg.Bucket, seg.ID, p.Index), seg.PieceRoots[p.Index], uint32(size), chunk)
		})
		switch {
		case errors.Is(err, wire.ErrNotFound), errors.Is(err, wire.ErrCorrupt), errors.Is(err, wire.ErrRange):
			s.metrics.failed.Inc()
			s.Pool.Caught(p.Device)
			s.Log.Warn("node failed an audit", "segment", seg.ID, "piece", p.Index, "device", p.Device, "error", err)
			if err := s.drop(ctx, seg.ID, p); err != nil {
				return err
			}
		case err != nil && ctx.Err() == nil:
			s.Links.Blame(p.Device, err)
		}
	}
	return ctx.Err()
}

// randomSegment returns the segment that follows a random id.
func (s *Service) randomSegment(ctx context.Context) (found metabase.Segment, ok bool, err error) {
	var from metabase.SegmentID
	rand.Read(from[:])
	for range 2 { // around the end of the ids
		err = s.DB.EachSegment(ctx, from, func(seg metabase.Segment) bool {
			found, ok = seg, true
			return false
		})
		if err != nil || ok {
			return found, ok, err
		}
		from = metabase.SegmentID{}
	}
	return found, false, nil
}

// compare takes the lists of the nodes that are due.
func (s *Service) compare(ctx context.Context) error {
	now := s.Clock.Now()
	var errs []error
	for _, device := range s.devices() {
		if !s.Pool.Online(device) || now.Sub(s.compared[device]) < s.Config.Compare {
			continue
		}
		if err := s.compareDevice(ctx, device, now); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s.Links.Blame(device, err)
			errs = append(errs, fmt.Errorf("device %d: %w", device, err))
			continue
		}
		s.compared[device] = now
	}
	return summary(errs)
}

// expectation is what a node should have.
type expectation struct {
	segment metabase.SegmentID
	piece   metabase.Piece
	seen    bool
}

// compareDevice lists a node's pieces and compares: what it misses is given up and rebuilt, what
// nobody names is deleted when the grace is over.
func (s *Service) compareDevice(ctx context.Context, device uint64, now time.Time) error {
	lease := s.Pool.Lease()
	expected, err := s.expected(ctx, device, lease.ID)
	if err != nil {
		return err
	}
	unknown := make(map[piece.ID]time.Time)
	var bytes, pieces uint64
	var after piece.ID
	for more := true; more; {
		var page []wire.Listed
		err := s.Links.Do(ctx, device, lease.ID, func(conn *wire.Conn) (err error) {
			page, more, err = conn.List(ctx, after)
			return err
		})
		if err != nil {
			return err
		}
		for _, l := range page {
			bytes, pieces = bytes+uint64(l.Size), pieces+1
			if x, ok := expected[l.ID]; ok {
				if x != nil {
					x.seen = true
				}
				continue
			}
			since, ok := s.unknown[device][l.ID]
			if !ok {
				since = now
			}
			unknown[l.ID] = since
		}
		if len(page) > 0 {
			after = page[len(page)-1].ID
		}
	}
	s.Pool.SetBytes(device, bytes, pieces)
	for id, x := range expected {
		if x == nil || x.seen {
			continue
		}
		if err := s.confirmMissing(ctx, device, lease.ID, id, *x); err != nil {
			return err
		}
	}
	s.unknown[device] = unknown
	return s.deleteUnknown(ctx, device, lease.ID, now)
}

// expected maps the ids that the metabase names on a device: to nil those that only wait for their
// deletion.
func (s *Service) expected(ctx context.Context, device, lease uint64) (map[piece.ID]*expectation, error) {
	const page = 512
	expected := make(map[piece.ID]*expectation)
	var after metabase.SegmentID
	for {
		ids, err := s.DB.SegmentsOnDevice(ctx, device, after, page)
		if err != nil {
			return nil, err
		}
		if len(ids) == 0 {
			break
		}
		segs, err := s.existing(ctx, ids)
		if err != nil {
			return nil, err
		}
		for _, seg := range segs {
			for _, p := range seg.Pieces {
				if p.Device == device && seg.Lease == lease {
					expected[s.Engine.PieceID(seg.Bucket, seg.ID, p.Index)] = &expectation{segment: seg.ID, piece: p}
				}
			}
		}
		after = ids[len(ids)-1]
	}
	garbage, err := s.DB.Garbage(ctx, device, maxGarbage)
	if err != nil {
		return nil, err
	}
	for _, g := range garbage {
		expected[s.Engine.PieceID(g.Bucket, g.Segment, g.Index)] = nil
	}
	return expected, nil
}

// maxGarbage bounds the garbage of one device looked at in one step.
const maxGarbage = 100_000

// confirmMissing gives a piece up that a list did not show, if the node says so when asked for it.
func (s *Service) confirmMissing(ctx context.Context, device, lease uint64, id piece.ID, x expectation) error {
	err := s.Links.Do(ctx, device, lease, func(conn *wire.Conn) error {
		_, err := conn.Stat(ctx, id)
		return err
	})
	if !errors.Is(err, wire.ErrNotFound) {
		return err
	}
	s.Pool.Caught(device)
	s.Log.Warn("node lost a piece", "segment", x.segment, "piece", x.piece.Index, "device", device)
	return s.drop(ctx, x.segment, x.piece)
}

// deleteUnknown deletes what has been unknown for the grace.
func (s *Service) deleteUnknown(ctx context.Context, device, lease uint64, now time.Time) error {
	var ids []piece.ID
	for id, since := range s.unknown[device] {
		if now.Sub(since) >= s.Config.Grace {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	err := s.release(ctx, device, lease, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		delete(s.unknown[device], id)
	}
	s.metrics.unknown.Add(float64(len(ids)))
	s.Log.Info("deleted pieces that no segment names", "device", device, "pieces", len(ids))
	return nil
}

// release has pieces deleted.
func (s *Service) release(ctx context.Context, device, lease uint64, ids []piece.ID) error {
	if s.Released != nil {
		s.Released(device, lease, ids)
	}
	return s.Links.Do(ctx, device, lease, func(conn *wire.Conn) error { return conn.Delete(ctx, ids) })
}

// sweep deletes the pieces of deleted objects. Those on lost nodes stay queued: if the node comes
// back they go, and if it never does they cost nothing.
func (s *Service) sweep(ctx context.Context) error {
	devices, err := s.DB.GarbageDevices(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, device := range devices {
		if !s.Pool.Online(device) {
			continue
		}
		if err := s.sweepDevice(ctx, device); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s.Links.Blame(device, err)
			errs = append(errs, fmt.Errorf("device %d: %w", device, err))
		}
	}
	return summary(errs)
}

// vacate finds the devices that are jailed or leave and that hold nothing of ours any more. An upload
// under way may have put something there that the metabase does not name yet, hence the grace.
func (s *Service) vacate(ctx context.Context) error {
	for _, device := range s.devices() {
		if s.Pool.ChainStanding(device) == renter.StandingActive {
			delete(s.empty, device)
			continue
		}
		ids, err := s.DB.SegmentsOnDevice(ctx, device, metabase.SegmentID{}, 1)
		if err != nil {
			return err
		}
		if len(ids) > 0 {
			delete(s.empty, device)
			continue
		}
		since, ok := s.empty[device]
		if !ok {
			since = s.Clock.Now()
			s.empty[device] = since
		}
		if s.Clock.Now().Sub(since) >= s.Config.Grace {
			s.Pool.Vacate(device)
		}
	}
	return nil
}

func (s *Service) sweepDevice(ctx context.Context, device uint64) error {
	list, err := s.DB.Garbage(ctx, device, maxGarbage)
	if err != nil {
		return err
	}
	due := s.Clock.Now().Add(-s.Config.Linger).Unix()
	byLease := make(map[uint64][]metabase.Garbage)
	for _, g := range list {
		if g.QueuedAt <= due {
			byLease[g.Lease] = append(byLease[g.Lease], g)
		}
	}
	for lease, garbage := range byLease {
		ids := make([]piece.ID, len(garbage))
		for i, g := range garbage {
			ids[i] = s.Engine.PieceID(g.Bucket, g.Segment, g.Index)
		}
		err := s.release(ctx, device, lease, ids)
		// A lease that is over took its pieces with it.
		if err != nil && !errors.Is(err, wire.ErrLeaseClosed) && !errors.Is(err, renter.ErrUnknownNode) {
			return err
		}
		if err := s.DB.GarbageGone(ctx, garbage); err != nil {
			return err
		}
		s.note(func(st *Status) { st.Deleted += uint64(len(garbage)) })
		s.metrics.deleted.Add(float64(len(garbage)))
	}
	return nil
}
