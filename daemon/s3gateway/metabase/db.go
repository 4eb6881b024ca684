package metabase

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// DB is the typed metabase. It is safe for concurrent use.
type DB struct {
	kv  KV
	now func() time.Time
	rnd io.Reader
}

// Option changes a DB made by New.
type Option func(*DB)

// WithNow sets the clock that stamps versions, uploads and garbage.
func WithNow(now func() time.Time) Option { return func(db *DB) { db.now = now } }

// New puts the typed layer over kv and takes ownership of it. A restore that
// was interrupted in kv is undone.
func New(ctx context.Context, kv KV, opts ...Option) (*DB, error) {
	db := &DB{kv: kv, now: time.Now, rnd: rand.Reader}
	for _, o := range opts {
		o(db)
	}
	if err := db.undoRestore(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the metabase: %w", err), kv.Close())
	}
	return db, nil
}

// OpenPebble opens or creates an embedded metabase in dir. One process at a
// time may have it open.
func OpenPebble(dir string, o PebbleOptions, opts ...Option) (*DB, error) {
	kv, err := newPebbleKV(dir, o)
	if err != nil {
		return nil, err
	}
	return New(context.Background(), kv, opts...)
}

// Close closes the underlying store.
func (db *DB) Close() error { return db.kv.Close() }

var (
	encMode = mustEnc()
	decMode = mustDec()
)

// mustEnc makes the deterministic encoding of rows. Times are RFC 3339 text:
// CBOR's numeric times are floats and would lose nanoseconds.
func mustEnc() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.Time = cbor.TimeRFC3339NanoUTC
	m, err := o.EncMode()
	if err != nil {
		panic(err)
	}
	return m
}

func mustDec() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		MaxArrayElements: 1 << 20,
		MaxMapPairs:      1 << 16,
		MaxNestedLevels:  8,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}

func decode(where string, b []byte, v any) error {
	if err := decMode.Unmarshal(b, v); err != nil {
		return &CorruptionError{Where: "metabase row " + where, Err: err}
	}
	return nil
}

// update is KV.Update plus the change feed.
func (db *DB) update(ctx context.Context, fn func(*writeTx) error) error {
	return db.kv.Update(ctx, func(tx Tx) error {
		w := &writeTx{Tx: tx, now: db.now(), rnd: db.rnd}
		if err := fn(w); err != nil {
			return err
		}
		return w.feed()
	})
}

func (db *DB) view(ctx context.Context, fn func(Tx) error) error { return db.kv.View(ctx, fn) }

// writeTx is a transaction that remembers which keys it changed.
type writeTx struct {
	Tx
	now     time.Time // of this update
	rnd     io.Reader
	changed map[string]struct{}
}

func (w *writeTx) Set(key, value []byte) error {
	w.touch(key)
	return w.Tx.Set(key, value)
}

func (w *writeTx) Delete(key []byte) error {
	w.touch(key)
	return w.Tx.Delete(key)
}

func (w *writeTx) touch(key []byte) {
	if derived(key) {
		return
	}
	if w.changed == nil {
		w.changed = make(map[string]struct{})
	}
	w.changed[string(key)] = struct{}{}
}

// derived says whether a row can be made again from others, or means nothing
// elsewhere, and so stays out of feed and snapshots.
func derived(key []byte) bool {
	switch key[0] {
	case tableDeviceSegment, tableRisk, tableShared, tableState, tableFeed:
		return true
	}
	return false
}

func (w *writeTx) put(key []byte, v any) error {
	b, err := encMode.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding metabase row %q: %w", key, err)
	}
	return w.Set(key, b)
}

// get decodes the row at key into v, or returns missing when there is none.
func get(tx Tx, key []byte, v any, missing error) error {
	b, err := tx.Get(key)
	if err != nil {
		return err
	}
	if b == nil {
		return missing
	}
	return decode(fmt.Sprintf("%q", key), b, v)
}

// number reads a row of tableState; 0 when there is none.
func number(tx Tx, row []byte) (uint64, error) {
	b, err := tx.Get(row)
	if err != nil || b == nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, &CorruptionError{Where: fmt.Sprintf("metabase row %q", row), Err: fmt.Errorf("%d bytes, want 8", len(b))}
	}
	return binary.BigEndian.Uint64(b), nil
}

func setNumber(tx Tx, row []byte, n uint64) error {
	return tx.Set(row, binary.BigEndian.AppendUint64(nil, n))
}

func (w *writeTx) feed() error {
	if len(w.changed) == 0 {
		return nil
	}
	seq, err := number(w.Tx, stateSequence)
	if err != nil {
		return err
	}
	seq++
	keys := make([]byte, 0, 64*len(w.changed))
	for k := range w.changed {
		keys = binary.AppendUvarint(keys, uint64(len(k)))
		keys = append(keys, k...)
	}
	if err := w.Tx.Set(feedKey(seq), keys); err != nil {
		return err
	}
	return setNumber(w.Tx, stateSequence, seq)
}

// newVersion makes a version id greater than after.
func (w *writeTx) newVersion(after VersionID) (VersionID, error) {
	var entropy [10]byte
	if _, err := io.ReadFull(w.rnd, entropy[:]); err != nil {
		return VersionID{}, fmt.Errorf("reading randomness: %w", err)
	}
	return newVersionID(w.now, entropy, after)
}

// Value returns a durable value stored by SetValue, or ErrNoValue. Values are
// the engine's own small state, such as voucher counters.
func (db *DB) Value(ctx context.Context, name string) (v []byte, err error) {
	err = db.view(ctx, func(tx Tx) error {
		v, err = tx.Get(valueKey(name))
		if err == nil && v == nil {
			return ErrNoValue
		}
		return err
	})
	return v, err
}

// SetValue stores a durable value; nil removes it.
func (db *DB) SetValue(ctx context.Context, name string, v []byte) error {
	return db.UpdateValue(ctx, name, func([]byte) ([]byte, error) { return v, nil })
}

// UpdateValue replaces a value by what fn makes of it, atomically. old is nil
// when there is none; returning nil removes it.
func (db *DB) UpdateValue(ctx context.Context, name string, fn func(old []byte) ([]byte, error)) error {
	return db.update(ctx, func(w *writeTx) error { return replace(w, valueKey(name), fn) })
}

// replace makes of a row what fn makes of it; nil is no row.
func replace(tx Tx, key []byte, fn func(old []byte) ([]byte, error)) error {
	old, err := tx.Get(key)
	if err != nil {
		return err
	}
	v, err := fn(old)
	switch {
	case err != nil:
		return err
	case v != nil:
		return tx.Set(key, v)
	case old != nil:
		return tx.Delete(key)
	}
	return nil
}

// Values calls fn for every value whose name starts with prefix, in order.
func (db *DB) Values(ctx context.Context, prefix string, fn func(name string, v []byte) error) error {
	return db.named(ctx, tableValue, prefix, fn)
}

// named calls fn for the rows of a table of names.
func (db *DB) named(ctx context.Context, table byte, prefix string, fn func(name string, v []byte) error) error {
	return db.view(ctx, func(tx Tx) error {
		start := appendPrefix([]byte{table}, prefix)
		return tx.Scan(start, after(start), func(k, v []byte) (Next, error) {
			name, rest, err := takeString(k[1:])
			if err != nil || len(rest) != 0 {
				return Next{}, &CorruptionError{Where: fmt.Sprintf("metabase key %x", k), Err: errors.Join(errKey, err)}
			}
			return Continue(), fn(name, v)
		})
	})
}
