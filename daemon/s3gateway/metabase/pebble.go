package metabase

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// errReadOnly is returned by writes inside a View.
var errReadOnly = errors.New("write inside a read-only transaction")

// errClosed is returned by calls after Close.
var errClosed = errors.New("metabase is closed")

// PebbleOptions tunes an embedded store. The zero value is what a gateway uses.
type PebbleOptions struct {
	FS        vfs.FS // nil is the operating system's
	CacheSize int64  // block cache in bytes; 0 means 16 MiB
}

// pebbleKV keeps the rows in a Pebble database owned by this process.
//
// An update runs under mu against an indexed batch, is applied to the memtable
// and the log, and only then, outside mu, waits for the log's fsync. Updates
// that queued meanwhile share the next fsync. The log is written in the order
// of mu, so nothing that survives a crash builds on something that did not.
type pebbleKV struct {
	db *pebble.DB

	mu sync.Mutex // held while an update runs and is applied

	life   sync.RWMutex // read-held by calls in progress
	closed bool         // guarded by life
}

func newPebbleKV(dir string, o PebbleOptions) (*pebbleKV, error) {
	if o.CacheSize == 0 {
		o.CacheSize = 16 << 20
	}
	cache := pebble.NewCache(o.CacheSize)
	defer cache.Unref()
	db, err := pebble.Open(dir, &pebble.Options{
		Cache:        cache,
		FS:           o.FS,
		MemTableSize: 16 << 20,
		Logger:       silentLogger{},
	})
	if err != nil {
		return nil, fmt.Errorf("opening metabase in %s: %w", dir, err)
	}
	return &pebbleKV{db: db}, nil
}

func (kv *pebbleKV) enter() error {
	kv.life.RLock()
	if kv.closed {
		kv.life.RUnlock()
		return errClosed
	}
	return nil
}

func (kv *pebbleKV) View(ctx context.Context, fn func(Tx) error) error {
	if err := kv.enter(); err != nil {
		return err
	}
	defer kv.life.RUnlock()
	snap := kv.db.NewSnapshot()
	err := fn(&pebbleTx{ctx: ctx, r: snap})
	if cerr := snap.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("closing a snapshot of the metabase: %w", cerr)
	}
	return err
}

func (kv *pebbleKV) Update(ctx context.Context, fn func(Tx) error) error {
	if err := kv.enter(); err != nil {
		return err
	}
	defer kv.life.RUnlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	batch := kv.db.NewIndexedBatch()
	err := kv.apply(ctx, batch, fn)
	if err == nil && !batch.Empty() {
		if err = batch.SyncWait(); err != nil {
			err = fmt.Errorf("syncing metabase log: %w", err)
		}
	}
	if cerr := batch.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("closing a metabase batch: %w", cerr)
	}
	return err
}

func (kv *pebbleKV) apply(ctx context.Context, batch *pebble.Batch, fn func(Tx) error) error {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	if err := fn(&pebbleTx{ctx: ctx, r: batch, w: batch}); err != nil {
		return err
	}
	if batch.Empty() {
		return nil
	}
	if err := kv.db.ApplyNoSyncWait(batch, pebble.Sync); err != nil {
		return fmt.Errorf("writing metabase log: %w", err)
	}
	return nil
}

func (kv *pebbleKV) Close() error {
	kv.life.Lock()
	defer kv.life.Unlock()
	if kv.closed {
		return nil
	}
	kv.closed = true
	if err := kv.db.Close(); err != nil {
		return fmt.Errorf("closing metabase: %w", err)
	}
	return nil
}

type pebbleTx struct {
	ctx context.Context
	r   pebble.Reader
	w   *pebble.Batch // nil in a View
}

func (tx *pebbleTx) Get(key []byte) ([]byte, error) {
	v, closer, err := tx.r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading metabase row %q: %w", key, err)
	}
	defer closer.Close()
	return append(make([]byte, 0, len(v)), v...), nil
}

func (tx *pebbleTx) Set(key, value []byte) error {
	if tx.w == nil {
		return errReadOnly
	}
	return tx.w.Set(key, value, nil)
}

func (tx *pebbleTx) Delete(key []byte) error {
	if tx.w == nil {
		return errReadOnly
	}
	return tx.w.Delete(key, nil)
}

func (tx *pebbleTx) Scan(start, end []byte, fn func(key, value []byte) (Next, error)) (err error) {
	it, err := tx.r.NewIterWithContext(tx.ctx, &pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return fmt.Errorf("scanning metabase from %q: %w", start, err)
	}
	defer func() {
		if cerr := it.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("scanning metabase from %q: %w", start, cerr)
		}
	}()
	for ok := it.First(); ok; {
		if err := tx.ctx.Err(); err != nil {
			return err
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("reading metabase row %q: %w", it.Key(), err)
		}
		next, err := fn(it.Key(), v)
		switch {
		case err != nil:
			return err
		case next.stop:
			return nil
		case next.seek != nil && bytes.Compare(next.seek, it.Key()) > 0:
			ok = it.SeekGE(next.seek)
		default:
			ok = it.Next()
		}
	}
	return nil
}

// silentLogger drops Pebble's own chatter; what matters comes back as errors.
type silentLogger struct{}

func (silentLogger) Infof(string, ...any)  {}
func (silentLogger) Errorf(string, ...any) {}
func (silentLogger) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("pebble: "+format, args...))
}
