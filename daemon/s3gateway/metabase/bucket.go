package metabase

import (
	"context"
	"fmt"
	"strings"
)

func bucketByName(tx Tx, name string) (b Bucket, err error) {
	err = get(tx, bucketKey(name), &b, fmt.Errorf("%w: %s", ErrNoBucket, name))
	b.Name = name
	return b, err
}

// CreateBucket stores a new bucket. CreatedAt is set by the metabase.
func (db *DB) CreateBucket(ctx context.Context, b Bucket) error {
	return db.update(ctx, func(w *writeTx) error {
		row, err := w.Get(bucketKey(b.Name))
		if err != nil {
			return err
		}
		if row != nil {
			return fmt.Errorf("%w: %s", ErrBucketExists, b.Name)
		}
		b.CreatedAt = w.now.UTC()
		return w.put(bucketKey(b.Name), b)
	})
}

// Bucket returns a bucket.
func (db *DB) Bucket(ctx context.Context, name string) (b Bucket, err error) {
	err = db.view(ctx, func(tx Tx) error {
		b, err = bucketByName(tx, name)
		return err
	})
	return b, err
}

// UpdateBucket changes a bucket's configuration: fn edits it in place. Name
// and CreatedAt are kept whatever fn does.
func (db *DB) UpdateBucket(ctx context.Context, name string, fn func(*Bucket) error) error {
	return db.update(ctx, func(w *writeTx) error {
		b, err := bucketByName(w, name)
		if err != nil {
			return err
		}
		created := b.CreatedAt
		if err := fn(&b); err != nil {
			return err
		}
		b.CreatedAt = created
		return w.put(bucketKey(name), b)
	})
}

// DeleteBucket removes a bucket that holds no object version and no delete
// marker. Multipart uploads in progress in it are aborted.
func (db *DB) DeleteBucket(ctx context.Context, name string) error {
	return db.update(ctx, func(w *writeTx) error {
		if _, err := bucketByName(w, name); err != nil {
			return err
		}
		for _, table := range []byte{tableCurrent, tableVersion} {
			prefix := appendString([]byte{table}, name)
			err := w.Scan(prefix, after(prefix), func(_, _ []byte) (Next, error) {
				return Next{}, fmt.Errorf("%w: %s", ErrBucketNotEmpty, name)
			})
			if err != nil {
				return err
			}
		}
		uploads, err := uploadsOf(w, name)
		if err != nil {
			return err
		}
		for _, u := range uploads {
			if err := w.dropUpload(u); err != nil {
				return err
			}
		}
		if err := w.Delete(usageKey(name)); err != nil {
			return err
		}
		return w.Delete(bucketKey(name))
	})
}

// HiddenPrefix begins the names of buckets that hold the gateway's own objects,
// such as its metadata snapshots. No S3 client can spell one, and Buckets does
// not list them.
const HiddenPrefix = "\x00"

// Buckets returns up to limit buckets with names greater than after that start
// with prefix and that keep accepts (nil accepts all), by name, and whether
// there are more.
func (db *DB) Buckets(ctx context.Context, prefix, afterName string, limit int, keep func(Bucket) bool) (list []Bucket, more bool, err error) {
	start := appendPrefix([]byte{tableBucket}, prefix)
	end := after(start)
	if afterName != "" && afterName >= prefix {
		start = following(bucketKey(afterName))
	}
	err = db.view(ctx, func(tx Tx) error {
		return tx.Scan(start, end, func(k, v []byte) (Next, error) {
			name, _, err := takeString(k[1:])
			if err != nil {
				return Next{}, &CorruptionError{Where: fmt.Sprintf("metabase key %x", k), Err: err}
			}
			var b Bucket
			if err := decode(fmt.Sprintf("%q", k), v, &b); err != nil {
				return Next{}, err
			}
			b.Name = name
			if strings.HasPrefix(name, HiddenPrefix) || keep != nil && !keep(b) {
				return Continue(), nil
			}
			if len(list) == limit {
				more = true
				return Stop(), nil
			}
			list = append(list, b)
			return Continue(), nil
		})
	})
	return list, more, err
}

// Usage returns what a bucket holds. It reads one row.
func (db *DB) Usage(ctx context.Context, bucket string) (u Usage, err error) {
	err = db.view(ctx, func(tx Tx) error {
		if _, err := bucketByName(tx, bucket); err != nil {
			return err
		}
		u, err = usageOf(tx, bucket)
		return err
	})
	return u, err
}

func usageOf(tx Tx, bucket string) (u Usage, err error) {
	v, err := tx.Get(usageKey(bucket))
	if err != nil || v == nil {
		return u, err
	}
	return u, decode("usage of bucket "+bucket, v, &u)
}

// count changes a bucket's usage.
func (w *writeTx) count(bucket string, objects, versions, bytes int64) error {
	u, err := usageOf(w, bucket)
	if err != nil {
		return err
	}
	// Unsigned addition of a negative number subtracts.
	u.Objects, u.Versions, u.Bytes = u.Objects+uint64(objects), u.Versions+uint64(versions), u.Bytes+uint64(bytes)
	return w.put(usageKey(bucket), u)
}
