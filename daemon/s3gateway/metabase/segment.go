package metabase

import (
	"context"
	"encoding/binary"
	"fmt"
)

// addSegment stores a new segment named by one reference.
func (w *writeTx) addSegment(s Segment) error {
	s.Refs = 1
	s.CreatedAt = w.now.Unix()
	if b, err := w.Get(segmentKey(s.ID)); err != nil || b != nil {
		if err == nil {
			err = fmt.Errorf("segment %s is already stored", s.ID)
		}
		return err
	}
	if err := w.put(segmentKey(s.ID), s); err != nil {
		return err
	}
	for _, p := range s.Pieces {
		if err := w.Set(deviceSegmentKey(p.Device, s.ID), nil); err != nil {
			return err
		}
	}
	return w.Set(riskKey(s.Risk, s.ID), nil)
}

func segmentByID(tx Tx, id SegmentID) (s Segment, err error) {
	err = get(tx, segmentKey(id), &s, fmt.Errorf("%w: %s", ErrNoSegment, id))
	return s, err
}

// retain counts one more reference to every segment of extents.
func (w *writeTx) retain(extents []Extent) error {
	for _, e := range extents {
		for _, ref := range e.Segments {
			s, err := segmentByID(w, ref.ID)
			if err != nil {
				return err
			}
			s.Refs++
			if err := w.put(segmentKey(s.ID), s); err != nil {
				return err
			}
		}
	}
	return nil
}

// release drops one reference to every segment of extents, and their inline
// rows. Segments without references go, and their pieces become garbage.
func (w *writeTx) release(extents []Extent) error {
	for _, e := range extents {
		if e.IsInline {
			if err := w.Delete(inlineKey(e.ObjectID)); err != nil {
				return err
			}
		}
		for _, ref := range e.Segments {
			s, err := segmentByID(w, ref.ID)
			if err != nil {
				return err
			}
			if s.Refs > 1 {
				s.Refs--
				if err := w.put(segmentKey(s.ID), s); err != nil {
					return err
				}
				continue
			}
			if err := w.dropSegment(s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writeTx) dropSegment(s Segment) error {
	for _, k := range [][]byte{segmentKey(s.ID), riskKey(s.Risk, s.ID)} {
		if err := w.Delete(k); err != nil {
			return err
		}
	}
	for _, p := range s.Pieces {
		if err := w.Delete(deviceSegmentKey(p.Device, s.ID)); err != nil {
			return err
		}
		if err := w.discard(s, p); err != nil {
			return err
		}
	}
	return nil
}

func (w *writeTx) discard(s Segment, p Piece) error {
	return w.put(garbageKey(p.Device, s.ID, p.Index), Garbage{Lease: s.Lease, QueuedAt: w.now.Unix(), Bucket: s.Bucket})
}

// Segments returns the segments with the given ids, in that order.
func (db *DB) Segments(ctx context.Context, ids ...SegmentID) ([]Segment, error) {
	segs := make([]Segment, len(ids))
	err := db.view(ctx, func(tx Tx) error {
		for i, id := range ids {
			var err error
			if segs[i], err = segmentByID(tx, id); err != nil {
				return err
			}
		}
		return nil
	})
	return segs, err
}

// UpdateSegment changes where a segment's pieces lie, its lease, expiry or
// risk, atomically: fn gets the present segment and edits it. Pieces that fn
// took away become garbage on their device unless the device is in lost. Ids,
// sizes and roots must not change; Refs is kept whatever fn does.
func (db *DB) UpdateSegment(ctx context.Context, id SegmentID, lost map[uint64]bool, fn func(*Segment) error) error {
	return db.update(ctx, func(w *writeTx) error {
		old, err := segmentByID(w, id)
		if err != nil {
			return err
		}
		s := old
		s.Pieces = append([]Piece(nil), old.Pieces...)
		if err := fn(&s); err != nil {
			return err
		}
		if s.ID != old.ID || s.Root != old.Root || s.PlainSize != old.PlainSize || s.SealedSize != old.SealedSize {
			return fmt.Errorf("segment %s: identity changed by an update", id)
		}
		s.Refs, s.CreatedAt = old.Refs, old.CreatedAt
		if err := w.put(segmentKey(id), s); err != nil {
			return err
		}
		if s.Risk != old.Risk {
			if err := w.Delete(riskKey(old.Risk, id)); err != nil {
				return err
			}
			if err := w.Set(riskKey(s.Risk, id), nil); err != nil {
				return err
			}
		}
		return w.movePieces(old, s, lost)
	})
}

func (w *writeTx) movePieces(old, now Segment, lost map[uint64]bool) error {
	had, has := make(map[Piece]bool), make(map[Piece]bool)
	devices := make(map[uint64]bool)
	for _, p := range old.Pieces {
		had[p] = true
	}
	for _, p := range now.Pieces {
		has[p], devices[p.Device] = true, true
		if had[p] {
			continue
		}
		// The same piece may have been discarded here before and come back.
		if err := w.Delete(garbageKey(p.Device, now.ID, p.Index)); err != nil {
			return err
		}
		if err := w.Set(deviceSegmentKey(p.Device, now.ID), nil); err != nil {
			return err
		}
	}
	for _, p := range old.Pieces {
		if has[p] {
			continue
		}
		if !devices[p.Device] {
			if err := w.Delete(deviceSegmentKey(p.Device, now.ID)); err != nil {
				return err
			}
		}
		if lost[p.Device] {
			continue
		}
		if err := w.discard(old, p); err != nil {
			return err
		}
	}
	return nil
}

// EachSegment calls fn for segments with ids greater than after, by id. fn
// returns false to stop.
func (db *DB) EachSegment(ctx context.Context, after SegmentID, fn func(Segment) bool) error {
	return db.view(ctx, func(tx Tx) error {
		return tx.Scan(following(segmentKey(after)), []byte{tableSegment + 1}, func(k, v []byte) (Next, error) {
			var s Segment
			if err := decode(fmt.Sprintf("%q", k), v, &s); err != nil {
				return Next{}, err
			}
			if !fn(s) {
				return Stop(), nil
			}
			return Continue(), nil
		})
	})
}

// SegmentsOnDevice returns up to limit ids greater than after of segments with
// a piece on device, by id. Start with the zero id.
func (db *DB) SegmentsOnDevice(ctx context.Context, device uint64, after SegmentID, limit int) ([]SegmentID, error) {
	prefix := binary.BigEndian.AppendUint64([]byte{tableDeviceSegment}, device)
	return db.segmentIDs(ctx, following(deviceSegmentKey(device, after)), prefix, limit)
}

// SegmentsByRisk returns up to limit ids of segments with a risk score of at
// most max, most urgent first.
func (db *DB) SegmentsByRisk(ctx context.Context, max uint64, limit int) (ids []SegmentID, err error) {
	err = db.view(ctx, func(tx Tx) error {
		return tx.Scan([]byte{tableRisk}, []byte{tableRisk + 1}, func(k, _ []byte) (Next, error) {
			if len(ids) >= limit || len(k) != 25 || binary.BigEndian.Uint64(k[1:]) > max {
				return Stop(), nil
			}
			ids = append(ids, SegmentID(k[9:]))
			return Continue(), nil
		})
	})
	return ids, err
}

func (db *DB) segmentIDs(ctx context.Context, start, prefix []byte, limit int) (ids []SegmentID, err error) {
	err = db.view(ctx, func(tx Tx) error {
		return tx.Scan(start, after(prefix), func(k, _ []byte) (Next, error) {
			if len(ids) >= limit {
				return Stop(), nil
			}
			ids = append(ids, SegmentID(k[len(prefix):]))
			return Continue(), nil
		})
	})
	return ids, err
}

// Discard queues pieces of segments that were never committed for deletion:
// an upload that was cut off after some providers had stored theirs.
func (db *DB) Discard(ctx context.Context, segs []Segment) error {
	return db.update(ctx, func(w *writeTx) error {
		for _, s := range segs {
			if b, err := w.Get(segmentKey(s.ID)); err != nil || b != nil {
				if err == nil {
					err = fmt.Errorf("discarding segment %s: it is in use", s.ID)
				}
				return err
			}
			for _, p := range s.Pieces {
				if err := w.discard(s, p); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// GarbageDevices returns the devices that have pieces to delete.
func (db *DB) GarbageDevices(ctx context.Context) (devices []uint64, err error) {
	err = db.view(ctx, func(tx Tx) error {
		return tx.Scan([]byte{tableGarbage}, []byte{tableGarbage + 1}, func(k, _ []byte) (Next, error) {
			device := binary.BigEndian.Uint64(k[1:])
			devices = append(devices, device)
			end := after(k[:9])
			if end == nil {
				return Stop(), nil
			}
			return Seek(end), nil
		})
	})
	return devices, err
}

// Garbage returns up to limit pieces that device should delete, any order.
func (db *DB) Garbage(ctx context.Context, device uint64, limit int) (list []Garbage, err error) {
	prefix := binary.BigEndian.AppendUint64([]byte{tableGarbage}, device)
	err = db.view(ctx, func(tx Tx) error {
		return tx.Scan(prefix, after(prefix), func(k, v []byte) (Next, error) {
			if len(list) >= limit {
				return Stop(), nil
			}
			if len(k) != 1+8+16+1 {
				return Next{}, &CorruptionError{Where: fmt.Sprintf("metabase key %x", k), Err: errKey}
			}
			var g Garbage
			if err := decode(fmt.Sprintf("%q", k), v, &g); err != nil {
				return Next{}, err
			}
			g.Device, g.Segment, g.Index = device, SegmentID(k[9:25]), k[25]
			list = append(list, g)
			return Continue(), nil
		})
	})
	return list, err
}

// GarbageGone forgets pieces that their providers have deleted, or that lie on
// a device given up.
func (db *DB) GarbageGone(ctx context.Context, list []Garbage) error {
	return db.update(ctx, func(w *writeTx) error {
		for _, g := range list {
			if err := w.Delete(garbageKey(g.Device, g.Segment, g.Index)); err != nil {
				return err
			}
		}
		return nil
	})
}
