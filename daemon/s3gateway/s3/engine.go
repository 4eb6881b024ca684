package s3

import (
	"context"
	"io"

	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

// StoreRequest says what an engine is to store.
type StoreRequest struct {
	Bucket   string   // whose piece secret the piece ids derive from
	ObjectID [16]byte // bound into every sealed record
	Key      seal.DataKey
	Class    string // name of an erasure.Class; empty lets the engine choose
}

// Engine keeps plaintext streams in the storage network. It is safe for
// concurrent use. daemon/s3gateway/renter is the real one.
type Engine interface {
	// Store seals r under key into segments numbered from 0, and returns when
	// every segment is durable on enough providers, with the number of plaintext
	// bytes. An error of r is returned wrapped. When Store fails, whatever it had
	// stored by then is already on the way out.
	Store(ctx context.Context, req StoreRequest, r io.Reader) (segs []metabase.Segment, n int64, err error)

	// Fetch writes bytes [off, off+n) of the plaintext that Store sealed into
	// segs, complete and in order, to w.
	Fetch(ctx context.Context, key seal.DataKey, objectID [16]byte, segs []metabase.Segment, off, n int64, w io.Writer) error

	// Release gives up segments that no object came to name.
	Release(ctx context.Context, segs []metabase.Segment) error
}
