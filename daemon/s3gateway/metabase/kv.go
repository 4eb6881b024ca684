package metabase

import "context"

// KV is an ordered key-value store with transactions: all that DB needs of a
// database. Keys and values are byte strings; order is bytewise.
type KV interface {
	// View runs fn on one consistent snapshot. Methods of Tx that write fail.
	View(ctx context.Context, fn func(Tx) error) error

	// Update runs fn in a transaction that no other update of the same
	// database overlaps, in this process or another, and commits when fn
	// returns nil. It returns once the commit is on disk. An error of fn is
	// returned as it is and leaves no trace. fn may run more than once and
	// must not keep its Tx.
	Update(ctx context.Context, fn func(Tx) error) error

	// Close releases the database. Calls in progress end first.
	Close() error
}

// Tx is a transaction. It sees its own writes. Returned slices belong to the
// caller; slices handed in may be kept until the transaction ends.
type Tx interface {
	// Get returns the value of key, or nil when there is none. A stored empty
	// value comes back as an empty non-nil slice.
	Get(key []byte) ([]byte, error)
	Set(key, value []byte) error
	Delete(key []byte) error

	// Scan calls fn for keys in [start, end) in ascending order. Slices passed
	// to fn are valid during the call only. fn says where to go on by its Next;
	// an error of fn ends the scan and is returned. Writes made while a scan
	// runs may or may not be seen by it. A nil end is the end of the keyspace.
	Scan(start, end []byte, fn func(key, value []byte) (Next, error)) error
}

// Next tells a scan how to go on.
type Next struct {
	stop bool
	seek []byte
}

// Continue goes on with the next key.
func Continue() Next { return Next{} }

// Stop ends the scan.
func Stop() Next { return Next{stop: true} }

// Seek goes on with the first key at or after key, which must lie after the
// present one.
func Seek(key []byte) Next { return Next{seek: key} }
