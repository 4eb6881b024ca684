package metabase

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
)

// Errors of snapshots.
var (
	// ErrNotEmpty is returned by Restore into a metabase that holds something.
	ErrNotEmpty = errors.New("metabase is not empty")
	// ErrTrimmed is returned by Changes when the feed no longer reaches back far
	// enough: take a full snapshot.
	ErrTrimmed = errors.New("change feed does not reach back that far")
	// ErrGap is returned by Restore for a delta that does not continue the
	// metabase's state.
	ErrGap = errors.New("delta does not continue this state")
)

// A snapshot or delta is, integers big-endian or uvarint:
//
//	offset  size  field
//	     0     8  magic "CRNMETA1"
//	     8     1  kind: 1 full, 2 delta
//	     9     8  since: sequence number that a delta continues; 0 in a full one
//	    17     8  upto: sequence number of the state
//	    25        rows, ascending by key:
//	              1 | uvarint key length | key | uvarint value length | value
//	              2 | uvarint key length | key                     (deltas only: row is gone)
//	              0                                                (end)
//	          32  SHA-256 of everything before
const (
	snapshotMagic = "CRNMETA1"

	kindFull  = 1
	kindDelta = 2

	rowEnd    = 0
	rowSet    = 1
	rowDelete = 2

	// maxSnapshotKey and maxSnapshotValue bound what a reader believes.
	maxSnapshotKey   = 16 << 10
	maxSnapshotValue = 256 << 20
)

// Sequence returns the sequence number of the last update that changed rows of
// snapshots.
func (db *DB) Sequence(ctx context.Context) (seq uint64, err error) {
	err = db.view(ctx, func(tx Tx) error {
		seq, err = number(tx, stateSequence)
		return err
	})
	return seq, err
}

// Snapshot writes the whole content, as of one moment, and returns its sequence
// number.
func (db *DB) Snapshot(ctx context.Context, w io.Writer) (upto uint64, err error) {
	err = db.view(ctx, func(tx Tx) error {
		if upto, err = number(tx, stateSequence); err != nil {
			return err
		}
		sw := newSnapshotWriter(w, kindFull, 0, upto)
		err := tx.Scan([]byte{0}, nil, func(k, v []byte) (Next, error) {
			if derived(k) {
				return Seek([]byte{k[0] + 1}), nil
			}
			return Continue(), sw.row(rowSet, k, v)
		})
		if err != nil {
			return err
		}
		return sw.end()
	})
	if err != nil {
		return 0, fmt.Errorf("writing a metabase snapshot: %w", err)
	}
	return upto, nil
}

// Changes writes what changed after sequence number since as a delta, and
// returns the sequence number that it leads to. It keeps the changed keys in
// memory.
func (db *DB) Changes(ctx context.Context, since uint64, w io.Writer) (upto uint64, err error) {
	err = db.view(ctx, func(tx Tx) error {
		if upto, err = number(tx, stateSequence); err != nil {
			return err
		}
		trimmed, err := number(tx, stateTrimmed)
		if err != nil {
			return err
		}
		if since < trimmed || since > upto {
			return fmt.Errorf("%w: asked for changes after %d, the feed has %d to %d", ErrTrimmed, since, trimmed, upto)
		}
		keys, err := changedKeys(tx, since)
		if err != nil {
			return err
		}
		sw := newSnapshotWriter(w, kindDelta, since, upto)
		for _, k := range keys {
			v, err := tx.Get([]byte(k))
			if err != nil {
				return err
			}
			op := byte(rowSet)
			if v == nil {
				op = rowDelete
			}
			if err := sw.row(op, []byte(k), v); err != nil {
				return err
			}
		}
		return sw.end()
	})
	if err != nil {
		return 0, fmt.Errorf("writing metabase changes: %w", err)
	}
	return upto, nil
}

func changedKeys(tx Tx, since uint64) ([]string, error) {
	changed := make(map[string]struct{})
	err := tx.Scan(feedKey(since+1), []byte{tableFeed + 1}, func(k, v []byte) (Next, error) {
		for len(v) > 0 {
			n, size := binary.Uvarint(v)
			if size <= 0 || n > uint64(len(v)-size) {
				return Next{}, &CorruptionError{Where: fmt.Sprintf("metabase row %q", k), Err: errKey}
			}
			changed[string(v[size:size+int(n)])] = struct{}{}
			v = v[size+int(n):]
		}
		return Continue(), nil
	})
	return slices.Sorted(maps.Keys(changed)), err
}

// TrimChanges forgets the change feed up to and including sequence number upto,
// once a snapshot or delta reaching there is safe. A feed that is never trimmed
// grows by about the length of the changed keys an update.
func (db *DB) TrimChanges(ctx context.Context, upto uint64) error {
	for more := true; more; {
		err := db.kv.Update(ctx, func(tx Tx) error {
			more = false
			seq, err := number(tx, stateSequence)
			if err != nil {
				return err
			}
			upto = min(upto, seq)
			trimmed, err := number(tx, stateTrimmed)
			if err != nil || upto <= trimmed {
				return err
			}
			var rows [][]byte
			err = tx.Scan([]byte{tableFeed}, feedKey(upto+1), func(k, _ []byte) (Next, error) {
				if more = len(rows) == restoreBatch; more {
					return Stop(), nil
				}
				rows = append(rows, bytes.Clone(k))
				return Continue(), nil
			})
			if err != nil {
				return err
			}
			for _, k := range rows {
				if err := tx.Delete(k); err != nil {
					return err
				}
			}
			if more {
				return nil
			}
			return setNumber(tx, stateTrimmed, upto)
		})
		if err != nil {
			return fmt.Errorf("trimming the change feed: %w", err)
		}
	}
	return nil
}

type snapshotWriter struct {
	w   *bufio.Writer
	sum hash.Hash
	dst io.Writer
	buf []byte
	err error
}

func newSnapshotWriter(w io.Writer, kind byte, since, upto uint64) *snapshotWriter {
	sw := &snapshotWriter{sum: sha256.New(), dst: w}
	sw.w = bufio.NewWriterSize(io.MultiWriter(w, sw.sum), 256<<10)
	head := append([]byte(snapshotMagic), kind)
	head = binary.BigEndian.AppendUint64(head, since)
	sw.write(binary.BigEndian.AppendUint64(head, upto))
	return sw
}

func (sw *snapshotWriter) write(b []byte) {
	if sw.err == nil {
		_, sw.err = sw.w.Write(b)
	}
}

func (sw *snapshotWriter) row(op byte, k, v []byte) error {
	sw.buf = binary.AppendUvarint(append(sw.buf[:0], op), uint64(len(k)))
	sw.buf = append(sw.buf, k...)
	if op == rowSet {
		sw.buf = binary.AppendUvarint(sw.buf, uint64(len(v)))
		sw.buf = append(sw.buf, v...)
	}
	sw.write(sw.buf)
	return sw.err
}

func (sw *snapshotWriter) end() error {
	sw.write([]byte{rowEnd})
	if sw.err == nil {
		sw.err = sw.w.Flush()
	}
	if sw.err == nil {
		_, sw.err = sw.dst.Write(sw.sum.Sum(nil))
	}
	return sw.err
}

// snapshotRow is a row read back; a nil value is a deletion.
type snapshotRow struct{ key, value []byte }

type snapshotReader struct {
	r           *bufio.Reader
	sum         hash.Hash
	kind        byte
	since, upto uint64
	last        []byte // key of the row before
	rows        int
}

// newSnapshotReader reads the head of a snapshot. Every error about its content
// is a *CorruptionError.
func newSnapshotReader(r io.Reader) (*snapshotReader, error) {
	sr := &snapshotReader{r: bufio.NewReaderSize(r, 256<<10), sum: sha256.New()}
	head, err := sr.read(25)
	if err != nil {
		return nil, sr.corrupt(err)
	}
	if string(head[:8]) != snapshotMagic {
		return nil, sr.corrupt(fmt.Errorf("begins with %q, want %q", head[:8], snapshotMagic))
	}
	sr.kind, sr.since, sr.upto = head[8], binary.BigEndian.Uint64(head[9:]), binary.BigEndian.Uint64(head[17:])
	switch {
	case sr.kind != kindFull && sr.kind != kindDelta:
		return nil, sr.corrupt(fmt.Errorf("kind %d is not known", sr.kind))
	case sr.kind == kindFull && sr.since != 0 || sr.since > sr.upto:
		return nil, sr.corrupt(fmt.Errorf("goes from sequence number %d to %d", sr.since, sr.upto))
	}
	return sr, nil
}

func (sr *snapshotReader) corrupt(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &CorruptionError{Where: fmt.Sprintf("metabase snapshot, row %d", sr.rows), Err: err}
}

// read returns n bytes, growing its buffer only as they come.
func (sr *snapshotReader) read(n int) ([]byte, error) {
	var b bytes.Buffer
	if _, err := io.CopyN(&b, sr.r, int64(n)); err != nil {
		return nil, err
	}
	sr.sum.Write(b.Bytes())
	return b.Bytes(), nil
}

// ReadByte implements io.ByteReader for binary.ReadUvarint.
func (sr *snapshotReader) ReadByte() (byte, error) {
	c, err := sr.r.ReadByte()
	if err == nil {
		sr.sum.Write([]byte{c})
	}
	return c, err
}

func (sr *snapshotReader) bytes(limit uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(sr)
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("length %d is beyond %d", n, limit)
	}
	return sr.read(int(n))
}

// next returns the next row, or io.EOF after the last once the digest proved
// right.
func (sr *snapshotReader) next() (snapshotRow, error) {
	op, err := sr.ReadByte()
	if err != nil {
		return snapshotRow{}, sr.corrupt(err)
	}
	switch {
	case op == rowEnd:
		return snapshotRow{}, sr.finish()
	case op != rowSet && (op != rowDelete || sr.kind != kindDelta):
		return snapshotRow{}, sr.corrupt(fmt.Errorf("row type %d", op))
	}
	var row snapshotRow
	if row.key, err = sr.bytes(maxSnapshotKey); err != nil {
		return row, sr.corrupt(err)
	}
	if len(row.key) == 0 || derived(row.key) || bytes.Compare(row.key, sr.last) <= 0 {
		return row, sr.corrupt(fmt.Errorf("key %q does not belong after %q", row.key, sr.last))
	}
	if op == rowSet {
		if row.value, err = sr.bytes(maxSnapshotValue); err != nil {
			return row, sr.corrupt(err)
		}
		if row.value == nil {
			row.value = []byte{}
		}
	}
	sr.last = row.key
	sr.rows++
	return row, nil
}

func (sr *snapshotReader) finish() error {
	want := sr.sum.Sum(nil)
	var got [sha256.Size]byte
	if _, err := io.ReadFull(sr.r, got[:]); err != nil {
		return sr.corrupt(err)
	}
	if !bytes.Equal(want, got[:]) {
		return sr.corrupt(errors.New("digest does not match"))
	}
	if _, err := sr.r.ReadByte(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("bytes follow the digest")
		}
		return sr.corrupt(err)
	}
	return io.EOF
}

// restoreBatch is the most rows written in one transaction.
const restoreBatch = 1000

// Restore reads what Snapshot or Changes wrote. A full snapshot goes into an
// empty metabase (ErrNotEmpty), a delta onto the state that it continues
// (ErrGap); afterwards the sequence number is the snapshot's. When a full
// restore fails, what it wrote is removed; an interrupted one is removed by the
// next New. A delta is checked whole before any of it is written, in memory.
func (db *DB) Restore(ctx context.Context, r io.Reader) error {
	sr, err := newSnapshotReader(r)
	if err == nil {
		if sr.kind == kindFull {
			err = db.restoreFull(ctx, sr)
		} else {
			err = db.restoreDelta(ctx, sr)
		}
	}
	if err != nil {
		return fmt.Errorf("restoring a metabase: %w", err)
	}
	return nil
}

func (db *DB) restoreFull(ctx context.Context, sr *snapshotReader) error {
	err := db.kv.Update(ctx, func(tx Tx) error {
		err := tx.Scan([]byte{0}, nil, func(_, _ []byte) (Next, error) { return Next{}, ErrNotEmpty })
		if err != nil {
			return err
		}
		return tx.Set(stateRestoring, []byte{})
	})
	if err != nil {
		return err
	}
	if err = db.restoreRows(ctx, sr); err != nil {
		return errors.Join(err, db.undoRestore(context.WithoutCancel(ctx)))
	}
	return nil
}

func (db *DB) restoreRows(ctx context.Context, sr *snapshotReader) error {
	for last := false; !last; {
		var rows []snapshotRow
		for size := 0; len(rows) < restoreBatch && size < 4<<20; {
			row, err := sr.next()
			if errors.Is(err, io.EOF) {
				last = true
				break
			}
			if err != nil {
				return err
			}
			rows, size = append(rows, row), size+len(row.value)
		}
		err := db.kv.Update(ctx, func(tx Tx) error {
			for _, row := range rows {
				if err := restoreRow(tx, row); err != nil {
					return err
				}
			}
			if !last {
				return nil
			}
			return finishRestore(tx, sr.upto)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// finishRestore makes the restored state current. Its feed begins there.
func finishRestore(tx Tx, upto uint64) error {
	for _, row := range [][]byte{stateSequence, stateTrimmed} {
		if err := setNumber(tx, row, upto); err != nil {
			return err
		}
	}
	return tx.Delete(stateRestoring)
}

// restoreRow writes a row and the derived rows that follow from it.
func restoreRow(tx Tx, row snapshotRow) error {
	if row.key[0] == tableSegment {
		old, err := tx.Get(row.key)
		if err != nil {
			return err
		}
		if err := index(row.key, old, tx.Delete); err != nil {
			return err
		}
		set := func(k []byte) error { return tx.Set(k, nil) }
		if err := index(row.key, row.value, set); err != nil {
			return err
		}
	}
	if row.value == nil {
		return tx.Delete(row.key)
	}
	return tx.Set(row.key, row.value)
}

// index calls do for the derived keys of a segment row, which may be nil.
func index(key, value []byte, do func([]byte) error) error {
	if value == nil {
		return nil
	}
	var s Segment
	if err := decode(fmt.Sprintf("%q", key), value, &s); err != nil {
		return err
	}
	for _, p := range s.Pieces {
		if err := do(deviceSegmentKey(p.Device, s.ID)); err != nil {
			return err
		}
	}
	return do(riskKey(s.Risk, s.ID))
}

// undoRestore empties a metabase in which a full restore did not come to its
// end. Such a metabase was empty before.
func (db *DB) undoRestore(ctx context.Context) error {
	for more := true; more; {
		err := db.kv.Update(ctx, func(tx Tx) error {
			more = false
			marker, err := tx.Get(stateRestoring)
			if err != nil || marker == nil {
				return err
			}
			var rows [][]byte
			err = tx.Scan([]byte{0}, nil, func(k, _ []byte) (Next, error) {
				if bytes.Equal(k, stateRestoring) {
					return Continue(), nil
				}
				rows = append(rows, bytes.Clone(k))
				if more = len(rows) == restoreBatch; more {
					return Stop(), nil
				}
				return Continue(), nil
			})
			if err != nil {
				return err
			}
			if !more {
				rows = append(rows, stateRestoring)
			}
			for _, k := range rows {
				if err := tx.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("undoing an interrupted restore: %w", err)
		}
	}
	return nil
}

func (db *DB) restoreDelta(ctx context.Context, sr *snapshotReader) error {
	var rows []snapshotRow
	for {
		row, err := sr.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	return db.kv.Update(ctx, func(tx Tx) error {
		seq, err := number(tx, stateSequence)
		if err != nil {
			return err
		}
		if seq != sr.since {
			return fmt.Errorf("%w: it continues sequence number %d, this metabase is at %d", ErrGap, sr.since, seq)
		}
		for _, row := range rows {
			if err := restoreRow(tx, row); err != nil {
				return err
			}
		}
		// The feed has no entry for what a delta changed.
		return finishRestore(tx, sr.upto)
	})
}
