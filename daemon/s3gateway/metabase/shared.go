package metabase

import "context"

// UpdateShared replaces a value by what fn makes of it, atomically and
// durably, as UpdateValue does, but leaves no trace in the change feed and in
// snapshots: for figures that several gateways over one database keep up to
// date between them and that mean nothing to a restored one. fn may run more
// than once.
func (db *DB) UpdateShared(ctx context.Context, name string, fn func(old []byte) ([]byte, error)) error {
	return db.update(ctx, func(w *writeTx) error { return replace(w, sharedKey(name), fn) })
}

// Shared calls fn for every shared value whose name starts with prefix, in
// order.
func (db *DB) Shared(ctx context.Context, prefix string, fn func(name string, v []byte) error) error {
	return db.named(ctx, tableShared, prefix, fn)
}

// exclusive is a KV that several processes may have open and that can lock
// names between them.
type exclusive interface {
	// Exclusive runs fn while it holds the lock of this name. The context that
	// fn gets ends when the lock is lost.
	Exclusive(ctx context.Context, name string, fn func(context.Context) error) error
}

// Exclusive waits until no other gateway over the same database runs a
// function under this name, and runs fn. Where one process alone has the
// database, it does so at once. The context that fn gets ends with ctx, or when
// the lock is lost.
func (db *DB) Exclusive(ctx context.Context, name string, fn func(context.Context) error) error {
	if kv, ok := db.kv.(exclusive); ok {
		return kv.Exclusive(ctx, name, fn)
	}
	return fn(ctx)
}
