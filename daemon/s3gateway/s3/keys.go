package s3

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

// vault makes, wraps and unwraps data keys, and seals inline bytes.
type vault struct {
	root seal.Root
	rnd  io.Reader
}

func (v vault) objectKey(bucket, key string) seal.ObjectKey { return v.root.Bucket(bucket).Object(key) }

// fresh makes the data key and id of a new extent of an object, wrapped.
func (v vault) fresh(bucket, key string) (metabase.Extent, seal.DataKey, error) {
	var e metabase.Extent
	dk, err := seal.NewDataKey(v.rnd, seal.AES256GCM)
	if err != nil {
		return e, dk, fmt.Errorf("making a data key: %w", err)
	}
	if _, err := io.ReadFull(v.rnd, e.ObjectID[:]); err != nil {
		return e, dk, fmt.Errorf("drawing an object id: %w", err)
	}
	e.WrappedKey = v.objectKey(bucket, key).Wrap(dk)
	return e, dk, nil
}

func (v vault) open(bucket, key string, e metabase.Extent) (seal.DataKey, error) {
	dk, err := v.objectKey(bucket, key).Unwrap(e.WrappedKey)
	if err != nil {
		return dk, fmt.Errorf("opening the data key of %s/%s: %w", bucket, key, err)
	}
	return dk, nil
}

// rewrap moves an extent's data key from one object's key to another's. The
// extent's bytes stay where they are.
func (v vault) rewrap(bucket, from, to string, e metabase.Extent) (metabase.Extent, error) {
	dk, err := v.open(bucket, from, e)
	if err != nil {
		return e, err
	}
	e.WrappedKey = v.objectKey(bucket, to).Wrap(dk)
	return e, nil
}

// sealInline fills e with the sealed form of plain.
func (v vault) sealInline(e *metabase.Extent, dk seal.DataKey, plain []byte) error {
	sealed, err := dk.Segment(e.ObjectID, 0).Seal(nil, plain)
	if err != nil {
		return fmt.Errorf("sealing an inline object: %w", err)
	}
	e.Inline, e.IsInline, e.Size = sealed, true, int64(len(plain))
	return nil
}

func (v vault) openInline(e metabase.Extent, dk seal.DataKey) ([]byte, error) {
	plain, err := dk.Segment(e.ObjectID, 0).Open(nil, e.Inline)
	if err != nil {
		return nil, fmt.Errorf("opening an inline object: %w", err)
	}
	return plain, nil
}

func newVault(root seal.Root) vault { return vault{root: root, rnd: rand.Reader} }

// head reads up to limit+1 bytes of r to tell small bodies from large ones. It
// returns what it read and whether that was all.
func head(r io.Reader, limit int) ([]byte, bool, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, int64(limit)+1))
	return b.Bytes(), err == nil && n <= int64(limit), err
}
