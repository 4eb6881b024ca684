// Package fakenet is a storage network in a directory, for tests of what stands
// on an engine: it seals segments with the real keys, writes each to a file,
// fsyncs, and checks on reading that what it was asked for is what it stored.
// It has no nodes and no erasure coding.
package fakenet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/s3"
)

// SegmentSize is the most plaintext in a segment, in bytes.
const SegmentSize = 4 << 20

// Engine implements s3.Engine. It is safe for concurrent use.
type Engine struct {
	dir  string
	sync bool
	fail atomic.Pointer[error]
}

var _ s3.Engine = (*Engine)(nil)

// New keeps segments in dir, which exists. Sync says whether to fsync them.
func New(dir string, sync Sync) *Engine { return &Engine{dir: dir, sync: sync == Durable} }

// Sync chooses between speed and surviving a power cut.
type Sync bool

// The two ways to store.
const (
	Volatile Sync = false
	Durable  Sync = true
)

// Fail makes all further calls of Store and Fetch fail with err; nil ends that.
func (e *Engine) Fail(err error) {
	if err == nil {
		e.fail.Store(nil)
		return
	}
	e.fail.Store(&err)
}

func (e *Engine) failure() error {
	if p := e.fail.Load(); p != nil {
		return *p
	}
	return nil
}

func (e *Engine) path(id metabase.SegmentID) string { return filepath.Join(e.dir, id.String()) }

// Store implements s3.Engine.
func (e *Engine) Store(ctx context.Context, req s3.StoreRequest, r io.Reader) (segs []metabase.Segment, n int64, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Release(context.WithoutCancel(ctx), segs))
			segs = nil
		}
	}()
	if err := e.failure(); err != nil {
		return nil, 0, err
	}
	plain := make([]byte, SegmentSize)
	var sealed []byte
	for {
		got, rerr := io.ReadFull(r, plain)
		if rerr != nil && !errors.Is(rerr, io.EOF) && !errors.Is(rerr, io.ErrUnexpectedEOF) {
			return segs, n, fmt.Errorf("reading what to store: %w", rerr)
		}
		if got > 0 {
			if sealed, err = req.Key.Segment(req.ObjectID, uint32(len(segs))).Seal(sealed[:0], plain[:got]); err != nil {
				return segs, n, err
			}
			s, err := e.write(req, sealed, got)
			if err != nil {
				return segs, n, err
			}
			segs, n = append(segs, s), n+int64(got)
		}
		if rerr != nil {
			return segs, n, ctx.Err()
		}
	}
}

func (e *Engine) write(req s3.StoreRequest, sealed []byte, plain int) (metabase.Segment, error) {
	s := metabase.Segment{Class: req.Class, Bucket: req.Bucket, PlainSize: uint32(plain), SealedSize: uint32(len(sealed))}
	if _, err := rand.Read(s.ID[:]); err != nil {
		return s, err
	}
	for i := range uint8(4) {
		s.Pieces = append(s.Pieces, metabase.Piece{Index: i, Device: uint64(i) + 1})
	}
	f, err := os.OpenFile(e.path(s.ID), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return s, err
	}
	_, err = f.Write(sealed)
	if err == nil && e.sync {
		err = f.Sync()
	}
	return s, errors.Join(err, f.Close())
}

// Fetch implements s3.Engine.
func (e *Engine) Fetch(ctx context.Context, key seal.DataKey, objectID [16]byte, segs []metabase.Segment, off, n int64, w io.Writer) error {
	if err := e.failure(); err != nil {
		return err
	}
	for i, s := range segs {
		size := int64(s.PlainSize)
		if off >= size {
			off -= size
			continue
		}
		if n <= 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		sealed, err := os.ReadFile(e.path(s.ID))
		if err != nil {
			return fmt.Errorf("reading segment %s: %w", s.ID, err)
		}
		plain, err := key.Segment(objectID, uint32(i)).Open(nil, sealed)
		if err != nil {
			return fmt.Errorf("opening segment %s: %w", s.ID, err)
		}
		take := min(size-off, n)
		if _, err := w.Write(plain[off : off+take]); err != nil {
			return err
		}
		off, n = 0, n-take
	}
	if n > 0 {
		return fmt.Errorf("%d bytes asked for beyond the end of the segments", n)
	}
	return nil
}

// Release implements s3.Engine.
func (e *Engine) Release(_ context.Context, segs []metabase.Segment) error {
	for _, s := range segs {
		if err := os.Remove(e.path(s.ID)); err != nil {
			return fmt.Errorf("releasing segment %s: %w", s.ID, err)
		}
	}
	return nil
}

// Segments returns how many segments are stored.
func (e *Engine) Segments() (int, error) {
	list, err := os.ReadDir(e.dir)
	return len(list), err
}
