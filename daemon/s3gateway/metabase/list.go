package metabase

import (
	"context"
	"fmt"
	"strings"
)

// roll returns the common prefix that key falls under, or false: the part of
// key up to and including the first delimiter after prefix.
func roll(key, prefix, delimiter string) (string, bool) {
	if delimiter == "" {
		return "", false
	}
	i := strings.Index(key[len(prefix):], delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(prefix)+i+len(delimiter)], true
}

// ListObjects returns a page of current objects. A common prefix costs one
// seek however many keys it covers.
func (db *DB) ListObjects(ctx context.Context, q ListQuery) (ListPage, error) {
	var page ListPage
	base := appendString([]byte{tableCurrent}, q.Bucket)
	first := appendPrefix(base[:len(base):len(base)], q.Prefix)
	start, end := first, after(first)
	if q.After != "" && q.After >= q.Prefix {
		start = following(appendString(base[:len(base):len(base)], q.After))
		// A marker that is a common prefix, or lies within one, is past all of it.
		if strings.HasPrefix(q.After, q.Prefix) {
			if p, ok := roll(q.After, q.Prefix, q.Delimiter); ok {
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
			_, key, _, err := takeKey(k)
			if err != nil {
				return Next{}, err
			}
			if len(page.Objects)+len(page.Prefixes) == q.Limit {
				page.Truncated = true
				return Stop(), nil
			}
			page.Next = key
			if p, ok := roll(key, q.Prefix, q.Delimiter); ok {
				page.Prefixes = append(page.Prefixes, p)
				page.Next = p
				return Seek(after(appendPrefix(base[:len(base):len(base)], p))), nil
			}
			o, err := readObject(k, v)
			if err != nil {
				return Next{}, err
			}
			page.Objects = append(page.Objects, o)
			return Continue(), nil
		})
	})
	if !page.Truncated {
		page.Next = ""
	}
	return page, err
}

// ListVersions returns a page of all versions and delete markers. It merges
// the current objects with history, key by key.
func (db *DB) ListVersions(ctx context.Context, q VersionQuery) (VersionPage, error) {
	var page VersionPage
	err := db.view(ctx, func(tx Tx) error {
		if _, err := bucketByName(tx, q.Bucket); err != nil {
			return err
		}
		if q.Limit <= 0 {
			return nil
		}
		l := versionLister{tx: tx, q: q, page: &page}
		return l.run()
	})
	return page, err
}

type versionLister struct {
	tx   Tx
	q    VersionQuery
	page *VersionPage
}

func (l *versionLister) run() error {
	key, skip, more, err := l.start()
	for err == nil && more {
		var next string
		var ok bool
		if next, ok, err = l.nextKey(key, skip); err != nil || !ok {
			return err
		}
		if p, rolled := roll(next, l.q.Prefix, l.q.Delimiter); rolled {
			if l.full() {
				return nil
			}
			l.page.Prefixes = append(l.page.Prefixes, p)
			l.page.NextKey, l.page.NextVersion = p, ""
			key, skip = p, skipPrefix
			continue
		}
		more, err = l.key(next, "")
		key, skip = next, skipKey
	}
	return err
}

// skipMode says how far past a string the next key must lie.
type skipMode uint8

const (
	skipNothing skipMode = iota // at or after it
	skipKey                     // after it
	skipPrefix                  // after all keys starting with it
)

// start turns the query's markers into the place to go on from, and lists the
// rest of the key that a version marker points into. more is false when that
// filled the page.
func (l *versionLister) start() (from string, skip skipMode, more bool, err error) {
	q := l.q
	if q.AfterKey == "" || q.AfterKey < q.Prefix {
		return q.Prefix, skipNothing, true, nil
	}
	if strings.HasPrefix(q.AfterKey, q.Prefix) {
		if p, ok := roll(q.AfterKey, q.Prefix, q.Delimiter); ok {
			return p, skipPrefix, true, nil
		}
		if q.AfterVersion != "" {
			more, err = l.key(q.AfterKey, q.AfterVersion)
			return q.AfterKey, skipKey, more, err
		}
	}
	return q.AfterKey, skipKey, true, nil
}

// full marks the page truncated when it has no room.
func (l *versionLister) full() bool {
	if len(l.page.Versions)+len(l.page.Prefixes) < l.q.Limit {
		return false
	}
	l.page.Truncated = true
	return true
}

// nextKey finds the smallest key that has any version, past from as skip says.
func (l *versionLister) nextKey(from string, skip skipMode) (best string, ok bool, err error) {
	for _, table := range []byte{tableCurrent, tableVersion} {
		base := appendString([]byte{table}, l.q.Bucket)
		end := after(appendPrefix(base[:len(base):len(base)], l.q.Prefix))
		var start []byte
		switch skip {
		case skipNothing:
			start = appendPrefix(base, from)
		case skipKey:
			// after, not following: rows of tableVersion continue the key.
			start = after(appendString(base, from))
		case skipPrefix:
			start = after(appendPrefix(base, from))
		}
		err := l.tx.Scan(start, end, func(k, _ []byte) (Next, error) {
			_, key, _, err := takeKey(k)
			if err == nil && (!ok || key < best) {
				best, ok = key, true
			}
			return Stop(), err
		})
		if err != nil {
			return "", false, err
		}
	}
	return best, ok, nil
}

// key lists the versions of one key that are older than version (all when it
// is empty). It returns false when the page is full.
func (l *versionLister) key(key, version string) (bool, error) {
	passed := version == ""
	add := func(o Object) (bool, error) {
		if !passed {
			passed = o.VersionName() == version
			return true, nil
		}
		if l.full() {
			return false, nil
		}
		l.page.Versions = append(l.page.Versions, o)
		l.page.NextKey, l.page.NextVersion = key, o.VersionName()
		return true, nil
	}
	cur, err := currentOf(l.tx, l.q.Bucket, key)
	if err != nil {
		return false, err
	}
	if cur != nil {
		if more, err := add(*cur); err != nil || !more {
			return more, err
		}
	}
	more, latest := true, cur == nil
	prefix := versionsOf(l.q.Bucket, key)
	err = l.tx.Scan(prefix, after(prefix), func(k, v []byte) (Next, error) {
		o, err := readObject(k, v)
		if err != nil {
			return Next{}, err
		}
		o.Latest, latest = latest, false
		if more, err = add(o); err != nil || !more {
			return Stop(), err
		}
		return Continue(), nil
	})
	return more, err
}

// VersionName is the version id as clients know it: NullVersion for a version
// written while versioning was off or suspended.
func (o Object) VersionName() string {
	if o.Null {
		return NullVersion
	}
	return o.Version.String()
}

// EachVersion calls fn for every version and delete marker of a bucket whose
// key starts with prefix, newest first within a key, reading the bucket in
// pages so that no snapshot is held for long. fn returns false to stop.
func (db *DB) EachVersion(ctx context.Context, bucket, prefix string, fn func(Object) (bool, error)) error {
	q := VersionQuery{Bucket: bucket, Prefix: prefix, Limit: 1000}
	for {
		page, err := db.ListVersions(ctx, q)
		if err != nil {
			return fmt.Errorf("walking versions of %s: %w", bucket, err)
		}
		for _, o := range page.Versions {
			if more, err := fn(o); err != nil || !more {
				return err
			}
		}
		if !page.Truncated {
			return nil
		}
		q.AfterKey, q.AfterVersion = page.NextKey, page.NextVersion
	}
}
