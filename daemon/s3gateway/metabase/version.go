package metabase

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
)

// VersionID names an object version: a ULID, so its bytes sort by time of
// creation. Within a key, later versions always have greater ids, even when
// the clock steps back.
type VersionID [16]byte

// NullVersion is how clients name the version written while versioning was off
// or suspended.
const NullVersion = "null"

func (v VersionID) String() string { return ulid.ULID(v).String() }

// ParseVersionID reads the 26-character form.
func ParseVersionID(s string) (VersionID, error) {
	id, err := ulid.ParseStrict(s)
	if err != nil {
		return VersionID{}, fmt.Errorf("version id %q: %w", s, err)
	}
	return VersionID(id), nil
}

// newVersionID makes an id for a version created at now. entropy must be fresh
// random bytes; the result is greater than after.
func newVersionID(now time.Time, entropy [10]byte, after VersionID) (VersionID, error) {
	var id ulid.ULID
	if err := id.SetTime(ulid.Timestamp(now)); err != nil {
		return VersionID{}, fmt.Errorf("version id for time %s: %w", now, err)
	}
	copy(id[6:], entropy[:])
	if id.Compare(ulid.ULID(after)) > 0 {
		return VersionID(id), nil
	}
	hi, lo := binary.BigEndian.Uint64(after[:8]), binary.BigEndian.Uint64(after[8:])
	lo++
	if lo == 0 {
		hi++
	}
	binary.BigEndian.PutUint64(after[:8], hi)
	binary.BigEndian.PutUint64(after[8:], lo)
	return after, nil
}
