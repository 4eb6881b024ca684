package metabase

import (
	"context"
	"fmt"
)

// readObject decodes an object row found under key k.
func readObject(k, v []byte) (Object, error) {
	bucket, key, rest, err := takeKey(k)
	if err != nil {
		return Object{}, err
	}
	var o Object
	if err := decode(fmt.Sprintf("%q", k), v, &o); err != nil {
		return Object{}, err
	}
	o.Bucket, o.Key, o.Latest = bucket, key, len(rest) == 0
	return o, nil
}

// currentOf returns the live newest version of a key, or nil.
func currentOf(tx Tx, bucket, key string) (*Object, error) {
	k := currentKey(bucket, key)
	v, err := tx.Get(k)
	if err != nil || v == nil {
		return nil, err
	}
	o, err := readObject(k, v)
	if err != nil {
		return nil, err
	}
	return &o, nil
}

// newestHistoric returns the newest row of a key in tableVersion for which
// want holds (nil wants any), or nil.
func newestHistoric(tx Tx, bucket, key string, want func(Object) bool) (found *Object, err error) {
	prefix := versionsOf(bucket, key)
	err = tx.Scan(prefix, after(prefix), func(k, v []byte) (Next, error) {
		o, err := readObject(k, v)
		if err != nil {
			return Next{}, err
		}
		if want != nil && !want(o) {
			return Continue(), nil
		}
		found = &o
		return Stop(), nil
	})
	return found, err
}

// find returns a version of a key: the newest live one when version is empty,
// the one written without versioning when it is NullVersion. A key whose newest
// version is a delete marker gives that marker for an empty version.
func find(tx Tx, bucket, key, version string) (*Object, error) {
	cur, err := currentOf(tx, bucket, key)
	if err != nil {
		return nil, err
	}
	if cur != nil && (version == "" || version == cur.VersionName()) {
		return cur, nil
	}
	newest, err := newestHistoric(tx, bucket, key, nil)
	if err != nil {
		return nil, err
	}
	if cur == nil && newest == nil {
		return nil, fmt.Errorf("%w: %s/%s", ErrNoObject, bucket, key)
	}
	if version == "" {
		newest.Latest = true
		return newest, nil
	}
	o, err := historic(tx, bucket, key, version)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return nil, fmt.Errorf("%w: %s/%s version %s", ErrNoVersion, bucket, key, version)
	}
	// On top of a key's history stands either its current object or a delete marker.
	o.Latest = cur == nil && o.Version == newest.Version
	return o, nil
}

// historic returns the row of tableVersion that clients know as version, or nil.
func historic(tx Tx, bucket, key, version string) (*Object, error) {
	if version == NullVersion {
		return newestHistoric(tx, bucket, key, func(o Object) bool { return o.Null })
	}
	id, err := ParseVersionID(version)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoVersion, err)
	}
	k := versionKey(bucket, key, id)
	v, err := tx.Get(k)
	if err != nil || v == nil {
		return nil, err
	}
	o, err := readObject(k, v)
	if err != nil || o.Null {
		return nil, err
	}
	return &o, nil
}

// Object returns a version of a key with its inline bytes, and its bucket: the
// newest version when version is empty. It may be a delete marker. Errors:
// ErrNoBucket, ErrNoObject (the key has no version at all), ErrNoVersion.
func (db *DB) Object(ctx context.Context, bucket, key, version string) (o Object, b Bucket, err error) {
	err = db.view(ctx, func(tx Tx) error {
		if b, err = bucketByName(tx, bucket); err != nil {
			return err
		}
		p, err := find(tx, bucket, key, version)
		if err != nil {
			return err
		}
		o = *p
		return loadInline(tx, o.Extents)
	})
	return o, b, err
}

func loadInline(tx Tx, extents []Extent) error {
	for i, e := range extents {
		if !e.IsInline {
			continue
		}
		b, err := tx.Get(inlineKey(e.ObjectID))
		if err != nil {
			return err
		}
		if b == nil {
			return &CorruptionError{Where: fmt.Sprintf("inline bytes of object %x", e.ObjectID), Err: fmt.Errorf("row is missing")}
		}
		extents[i].Inline = b
	}
	return nil
}

// storeInline puts the inline bytes of extents into their own rows, so that
// listings do not read them.
func (w *writeTx) storeInline(extents []Extent) error {
	for _, e := range extents {
		if !e.IsInline {
			continue
		}
		if len(e.Inline) == 0 {
			return fmt.Errorf("object %x is inline and has no bytes", e.ObjectID)
		}
		if err := w.Set(inlineKey(e.ObjectID), e.Inline); err != nil {
			return err
		}
	}
	return nil
}

// PutObject makes o the newest version of its key, with segs, all new, named
// by o's extents. Version, Null and CreatedAt are set by the metabase from the
// bucket's versioning state; the returned object has them. In a bucket without
// versioning the former object goes, and its segments with it.
//
// cond, when not nil, is asked within the transaction.
func (db *DB) PutObject(ctx context.Context, o Object, segs []Segment, cond Condition) (Object, error) {
	var out Object
	err := db.update(ctx, func(w *writeTx) error {
		out = o
		if err := w.storeNew(&out, cond); err != nil {
			return err
		}
		for _, s := range segs {
			if err := w.addSegment(s); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// CopyObject makes o the newest version of its key like PutObject; segments its
// extents name exist already and are shared with the source. Inline extents
// carry their bytes and an object id of their own.
func (db *DB) CopyObject(ctx context.Context, o Object, cond Condition) (Object, error) {
	var out Object
	err := db.update(ctx, func(w *writeTx) error {
		out = o
		// Retain first: the object replaced may be the source itself.
		if err := w.retain(out.Extents); err != nil {
			return err
		}
		return w.storeNew(&out, cond)
	})
	return out, err
}

// storeNew writes o as newest version of its key and sees to the one before.
func (w *writeTx) storeNew(o *Object, cond Condition) error {
	b, err := bucketByName(w, o.Bucket)
	if err != nil {
		return err
	}
	cur, err := currentOf(w, o.Bucket, o.Key)
	if err != nil {
		return err
	}
	if cond != nil {
		if err := cond(cur); err != nil {
			return err
		}
	}
	if err := w.makeRoom(b, o, cur); err != nil {
		return err
	}
	if err := w.storeInline(o.Extents); err != nil {
		return err
	}
	return w.setCurrent(o)
}

// The four functions below are the only ones that make or remove rows of
// objects, and keep the bucket's usage.

func (w *writeTx) setCurrent(o *Object) error {
	if err := w.count(o.Bucket, 1, 1, o.Size); err != nil {
		return err
	}
	return w.put(currentKey(o.Bucket, o.Key), o)
}

func (w *writeTx) unsetCurrent(o *Object) error {
	if err := w.count(o.Bucket, -1, -1, -o.Size); err != nil {
		return err
	}
	return w.Delete(currentKey(o.Bucket, o.Key))
}

func (w *writeTx) setHistoric(o *Object) error {
	if err := w.count(o.Bucket, 0, 1, o.Size); err != nil {
		return err
	}
	return w.put(versionKey(o.Bucket, o.Key, o.Version), o)
}

func (w *writeTx) unsetHistoric(o *Object) error {
	if err := w.count(o.Bucket, 0, -1, -o.Size); err != nil {
		return err
	}
	return w.Delete(versionKey(o.Bucket, o.Key, o.Version))
}

// makeRoom gives o its version and moves or removes what it supersedes, so that
// the key has no current row.
func (w *writeTx) makeRoom(b Bucket, o, cur *Object) error {
	var last VersionID
	if cur != nil {
		last = cur.Version
	}
	if b.Versioning != Unversioned {
		// A delete marker may be newer than any live version.
		h, err := newestHistoric(w, o.Bucket, o.Key, nil)
		if err != nil {
			return err
		}
		if cur == nil && h != nil {
			last = h.Version
		}
	}
	id, err := w.newVersion(last)
	if err != nil {
		return err
	}
	o.Version, o.Null, o.Latest = id, b.Versioning != VersioningEnabled, true
	o.CreatedAt = w.now.UTC()

	if o.Null && b.Versioning == VersioningSuspended && (cur == nil || !cur.Null) {
		if err := w.dropHistoricNull(o.Bucket, o.Key); err != nil {
			return err
		}
	}
	if cur == nil {
		return nil
	}
	if err := w.unsetCurrent(cur); err != nil {
		return err
	}
	if o.Null && cur.Null {
		return w.release(cur.Extents)
	}
	return w.setHistoric(cur)
}

// dropHistoricNull removes the null version of a key from tableVersion.
func (w *writeTx) dropHistoricNull(bucket, key string) error {
	o, err := newestHistoric(w, bucket, key, func(o Object) bool { return o.Null })
	if err != nil || o == nil {
		return err
	}
	if err := w.unsetHistoric(o); err != nil {
		return err
	}
	return w.release(o.Extents)
}

// DeleteObject deletes like S3. Without version: in a bucket without
// versioning the object goes; otherwise a delete marker becomes the newest
// version. With version: exactly that version goes. Deleting what is not there
// succeeds and reports so by a zero Deleted.Version.
//
// cond is asked with the version that the deletion would remove or cover, nil
// when there is none.
func (db *DB) DeleteObject(ctx context.Context, bucket, key, version string, cond Condition) (Deleted, error) {
	var d Deleted
	err := db.update(ctx, func(w *writeTx) error {
		d = Deleted{}
		b, err := bucketByName(w, bucket)
		if err != nil {
			return err
		}
		if version != "" {
			return w.deleteVersion(bucket, key, version, cond, &d)
		}
		cur, err := currentOf(w, bucket, key)
		if err != nil {
			return err
		}
		if cond != nil {
			if err := cond(cur); err != nil {
				return err
			}
		}
		if b.Versioning == Unversioned {
			if cur == nil {
				return nil
			}
			d = Deleted{Version: cur.Version, Null: true}
			if err := w.unsetCurrent(cur); err != nil {
				return err
			}
			return w.release(cur.Extents)
		}
		marker := Object{Bucket: bucket, Key: key, DeleteMarker: true}
		if err := w.makeRoom(b, &marker, cur); err != nil {
			return err
		}
		d = Deleted{Version: marker.Version, Null: marker.Null, DeleteMarker: true}
		return w.setHistoric(&marker)
	})
	return d, err
}

func (w *writeTx) deleteVersion(bucket, key, version string, cond Condition, d *Deleted) error {
	o, err := find(w, bucket, key, version)
	if isMissing(err) {
		if cond != nil {
			return cond(nil)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if cond != nil {
		if err := cond(o); err != nil {
			return err
		}
	}
	*d = Deleted{Version: o.Version, Null: o.Null, DeleteMarker: o.DeleteMarker}
	if err := w.release(o.Extents); err != nil {
		return err
	}
	if !o.Latest {
		return w.unsetHistoric(o)
	}
	remove := w.unsetCurrent
	if o.DeleteMarker {
		remove = w.unsetHistoric
	}
	if err := remove(o); err != nil {
		return err
	}
	return w.promote(bucket, key, o.Version)
}

// promote makes the newest remaining version of a key current after its newest
// one, gone, was removed. A delete marker on top stays where it is.
func (w *writeTx) promote(bucket, key string, gone VersionID) error {
	next, err := newestHistoric(w, bucket, key, func(o Object) bool { return o.Version != gone })
	if err != nil || next == nil || next.DeleteMarker {
		return err
	}
	if err := w.unsetHistoric(next); err != nil {
		return err
	}
	return w.setCurrent(next)
}

// UpdateObject changes tags, lock state or other descriptive fields of one
// version: fn edits it in place. Identity, size and extents are kept whatever
// fn does. The version found may be a delete marker.
func (db *DB) UpdateObject(ctx context.Context, bucket, key, version string, fn func(b Bucket, o *Object) error) error {
	return db.update(ctx, func(w *writeTx) error {
		b, err := bucketByName(w, bucket)
		if err != nil {
			return err
		}
		o, err := find(w, bucket, key, version)
		if err != nil {
			return err
		}
		edited := *o
		if err := fn(b, &edited); err != nil {
			return err
		}
		o.Headers, o.Metadata, o.Tags, o.Lock = edited.Headers, edited.Metadata, edited.Tags, edited.Lock
		if o.Latest && !o.DeleteMarker {
			return w.put(currentKey(bucket, key), o)
		}
		return w.put(versionKey(bucket, key, o.Version), o)
	})
}
