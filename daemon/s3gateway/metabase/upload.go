package metabase

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

func isMissing(err error) bool {
	return errors.Is(err, ErrNoObject) || errors.Is(err, ErrNoVersion)
}

func readUpload(k, v []byte) (Upload, error) {
	bucket, key, rest, err := takeKey(k)
	if err != nil {
		return Upload{}, err
	}
	id, _, err := takeString(rest)
	if err != nil {
		return Upload{}, &CorruptionError{Where: fmt.Sprintf("metabase key %x", k), Err: err}
	}
	var u Upload
	if err := decode(fmt.Sprintf("%q", k), v, &u); err != nil {
		return Upload{}, err
	}
	u.Bucket, u.Key, u.ID = bucket, key, id
	return u, nil
}

func uploadByID(tx Tx, bucket, key, id string) (Upload, error) {
	k := uploadKey(bucket, key, id)
	v, err := tx.Get(k)
	if err != nil {
		return Upload{}, err
	}
	if v == nil {
		return Upload{}, fmt.Errorf("%w: %s of %s/%s", ErrNoUpload, id, bucket, key)
	}
	return readUpload(k, v)
}

// uploadsOf returns all uploads of a bucket.
func uploadsOf(tx Tx, bucket string) (list []Upload, err error) {
	prefix := appendString([]byte{tableUpload}, bucket)
	err = tx.Scan(prefix, after(prefix), func(k, v []byte) (Next, error) {
		u, err := readUpload(k, v)
		list = append(list, u)
		return Continue(), err
	})
	return list, err
}

// partsFrom returns up to limit parts of an upload with numbers above after, in
// order, and whether there are more; limit < 0 is all.
func partsFrom(tx Tx, upload string, afterNumber int32, limit int) (list []Part, more bool, err error) {
	prefix := partsOf(upload)
	err = tx.Scan(following(partKey(upload, afterNumber)), after(prefix), func(k, v []byte) (Next, error) {
		if len(list) == limit {
			more = true
			return Stop(), nil
		}
		var p Part
		if err := decode(fmt.Sprintf("%q", k), v, &p); err != nil {
			return Next{}, err
		}
		if len(k) != len(prefix)+4 {
			return Next{}, &CorruptionError{Where: fmt.Sprintf("metabase key %x", k), Err: errKey}
		}
		p.Number = int32(binary.BigEndian.Uint32(k[len(prefix):]))
		list = append(list, p)
		return Continue(), nil
	})
	return list, more, err
}

// CreateUpload stores a new multipart upload. ID is the caller's, unguessable
// and fresh; CreatedAt is set by the metabase.
func (db *DB) CreateUpload(ctx context.Context, u Upload) error {
	return db.update(ctx, func(w *writeTx) error {
		if _, err := bucketByName(w, u.Bucket); err != nil {
			return err
		}
		u.CreatedAt = w.now.UTC()
		return w.put(uploadKey(u.Bucket, u.Key, u.ID), u)
	})
}

// Upload returns a multipart upload.
func (db *DB) Upload(ctx context.Context, bucket, key, id string) (u Upload, err error) {
	err = db.view(ctx, func(tx Tx) error {
		if _, err := bucketByName(tx, bucket); err != nil {
			return err
		}
		u, err = uploadByID(tx, bucket, key, id)
		return err
	})
	return u, err
}

// PutPart stores a part whose extents name segs, all new. A former part of the
// same number goes, and its segments with it. CreatedAt is set by the metabase.
func (db *DB) PutPart(ctx context.Context, bucket, key, upload string, p Part, segs []Segment) (Part, error) {
	err := db.update(ctx, func(w *writeTx) error {
		if _, err := uploadByID(w, bucket, key, upload); err != nil {
			return err
		}
		var old Part
		k := partKey(upload, p.Number)
		switch err := get(w, k, &old, ErrNoPart); {
		case err == nil:
			if err := w.release(old.Extents); err != nil {
				return err
			}
		case !errors.Is(err, ErrNoPart):
			return err
		}
		for _, s := range segs {
			if err := w.addSegment(s); err != nil {
				return err
			}
		}
		if err := w.storeInline(p.Extents); err != nil {
			return err
		}
		p.CreatedAt = w.now.UTC()
		return w.put(k, p)
	})
	return p, err
}

// Parts returns an upload and up to limit of its parts with numbers above
// after, in order, and whether there are more; a negative limit is all.
func (db *DB) Parts(ctx context.Context, bucket, key, upload string, afterNumber int32, limit int) (u Upload, list []Part, more bool, err error) {
	err = db.view(ctx, func(tx Tx) error {
		if _, err := bucketByName(tx, bucket); err != nil {
			return err
		}
		if u, err = uploadByID(tx, bucket, key, upload); err != nil {
			return err
		}
		list, more, err = partsFrom(tx, upload, afterNumber, limit)
		return err
	})
	return u, list, more, err
}

// AbortUpload removes an upload and its parts. when, if not nil, may refuse.
func (db *DB) AbortUpload(ctx context.Context, bucket, key, id string, when func(Upload) error) error {
	return db.update(ctx, func(w *writeTx) error {
		if _, err := bucketByName(w, bucket); err != nil {
			return err
		}
		u, err := uploadByID(w, bucket, key, id)
		if err != nil {
			return err
		}
		if when != nil {
			if err := when(u); err != nil {
				return err
			}
		}
		return w.dropUpload(u)
	})
}

// dropUpload removes an upload with all parts and what they hold.
func (w *writeTx) dropUpload(u Upload) error {
	parts, _, err := partsFrom(w, u.ID, 0, -1)
	if err != nil {
		return err
	}
	return w.removeUpload(u, parts)
}

// removeUpload removes an upload and the contents of the given parts, and
// the rows of those parts.
func (w *writeTx) removeUpload(u Upload, parts []Part) error {
	for _, p := range parts {
		if err := w.release(p.Extents); err != nil {
			return err
		}
		if err := w.Delete(partKey(u.ID, p.Number)); err != nil {
			return err
		}
	}
	return w.Delete(uploadKey(u.Bucket, u.Key, u.ID))
}

// CompleteUpload turns an upload into the newest version of its key. No bytes
// move. assemble gets the upload and all its parts in order and returns the
// object to store and the numbers of the parts that it is made of, in order;
// extents of those parts become the object's, the others are dropped. cond is
// asked as in PutObject.
func (db *DB) CompleteUpload(ctx context.Context, bucket, key, id string, cond Condition,
	assemble func(Upload, []Part) (Object, []int32, error),
) (Object, error) {
	var out Object
	err := db.update(ctx, func(w *writeTx) error {
		if _, err := bucketByName(w, bucket); err != nil {
			return err
		}
		u, err := uploadByID(w, bucket, key, id)
		if err != nil {
			return err
		}
		parts, _, err := partsFrom(w, id, 0, -1)
		if err != nil {
			return err
		}
		o, numbers, err := assemble(u, parts)
		if err != nil {
			return err
		}
		o.Bucket, o.Key, o.Upload = bucket, key, id
		o.Extents = nil
		byNumber := make(map[int32]Part, len(parts))
		for _, p := range parts {
			byNumber[p.Number] = p
		}
		for _, n := range numbers {
			p, ok := byNumber[n]
			if !ok {
				return fmt.Errorf("%w: part %d of upload %s", ErrNoPart, n, id)
			}
			delete(byNumber, n)
			if err := w.Delete(partKey(id, n)); err != nil {
				return err
			}
			// Extents change owner: reference counts and inline rows stay as they are.
			if err := loadInline(w, p.Extents); err != nil {
				return err
			}
			o.Extents = append(o.Extents, p.Extents...)
		}
		unused := make([]Part, 0, len(byNumber))
		for _, p := range parts {
			if _, ok := byNumber[p.Number]; ok {
				unused = append(unused, p)
			}
		}
		if err := w.removeUpload(u, unused); err != nil {
			return err
		}
		out = o
		return w.storeNew(&out, cond)
	})
	return out, err
}

// ListUploads returns a page of multipart uploads.
func (db *DB) ListUploads(ctx context.Context, q UploadQuery) (UploadPage, error) {
	var page UploadPage
	base := appendString([]byte{tableUpload}, q.Bucket)
	first := appendPrefix(base[:len(base):len(base)], q.Prefix)
	start, end := first, after(first)
	if q.AfterKey != "" && q.AfterKey >= q.Prefix {
		key := appendString(base[:len(base):len(base)], q.AfterKey)
		start = after(key)
		if q.AfterID != "" {
			start = following(appendString(key[:len(key):len(key)], q.AfterID))
		} else if strings.HasPrefix(q.AfterKey, q.Prefix) {
			if p, ok := roll(q.AfterKey, q.Prefix, q.Delimiter); ok {
				start = after(appendPrefix(base[:len(base):len(base)], p))
			}
		}
	}
	err := db.view(ctx, func(tx Tx) error {
		if _, err := bucketByName(tx, q.Bucket); err != nil {
			return err
		}
		if q.Limit <= 0 {
			return nil
		}
		return tx.Scan(start, end, func(k, v []byte) (Next, error) {
			u, err := readUpload(k, v)
			if err != nil {
				return Next{}, err
			}
			if len(page.Uploads)+len(page.Prefixes) == q.Limit {
				page.Truncated = true
				return Stop(), nil
			}
			page.NextKey, page.NextID = u.Key, u.ID
			if p, ok := roll(u.Key, q.Prefix, q.Delimiter); ok {
				page.Prefixes = append(page.Prefixes, p)
				page.NextKey = p
				return Seek(after(appendPrefix(base[:len(base):len(base)], p))), nil
			}
			page.Uploads = append(page.Uploads, u)
			return Continue(), nil
		})
	})
	if !page.Truncated {
		page.NextKey, page.NextID = "", ""
	}
	return page, err
}
