package modkit

import (
	"bytes"
	"context"
	"errors"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/codec"
	"cosmossdk.io/collections/indexes"
)

// Multi is indexes.Multi for values that are rewritten much more often than their index key
// changes (balances, counters): a write that leaves the key as it is leaves the index alone,
// where indexes.Multi deletes and sets the entry again.
type Multi[R, K, V any] struct {
	*indexes.Multi[R, K, V]

	codec codec.KeyCodec[R]
	key   func(K, V) (R, error)
}

// NewMulti makes a Multi; the arguments are those of indexes.NewMulti.
func NewMulti[R, K, V any](
	schema *collections.SchemaBuilder,
	prefix collections.Prefix,
	name string,
	refCodec codec.KeyCodec[R],
	pkCodec codec.KeyCodec[K],
	key func(K, V) (R, error),
) *Multi[R, K, V] {
	return &Multi[R, K, V]{
		Multi: indexes.NewMulti(schema, prefix, name, refCodec, pkCodec, key),
		codec: refCodec,
		key:   key,
	}
}

// Reference is called by the IndexedMap for every value that it sets.
func (m *Multi[R, K, V]) Reference(ctx context.Context, pk K, value V, old func() (V, error)) error {
	before, err := old()
	if errors.Is(err, collections.ErrNotFound) {
		return m.Multi.Reference(ctx, pk, value, old)
	}
	if err != nil {
		return err
	}
	was, err := m.encode(pk, before)
	if err != nil {
		return err
	}
	is, err := m.encode(pk, value)
	if err != nil {
		return err
	}
	if bytes.Equal(was, is) {
		return nil
	}
	return m.Multi.Reference(ctx, pk, value, old)
}

func (m *Multi[R, K, V]) encode(pk K, value V) ([]byte, error) {
	ref, err := m.key(pk, value)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, m.codec.Size(ref))
	_, err = m.codec.Encode(buf, ref)
	return buf, err
}
