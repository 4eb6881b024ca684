package s3

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Upload ids are UUIDs of version 8 (RFC 9562 section 5.8):
//
//	bits  content
//	  48  Unix time in milliseconds
//	   4  version, 8
//	  12  count within the millisecond
//	   2  variant
//	  30  the front of SHA-256(bucket, 0, key)
//	  32  random
//
// So ids of a key sort by the time their uploads began, which is the order S3
// lists them in, and a list marker can be told from one of another key even
// when its upload is gone by now.

// uploadIDs makes ids in ascending order. It is safe for concurrent use.
type uploadIDs struct {
	mu   sync.Mutex
	last uint64 // milliseconds << 12 | count
}

func (u *uploadIDs) next(now time.Time, bucket, key string) (string, error) {
	u.mu.Lock()
	u.last = max(u.last+1, uint64(now.UnixMilli())<<12)
	at := u.last
	u.mu.Unlock()

	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], at>>12<<16|0x8000|at&0xFFF)
	binary.BigEndian.PutUint32(id[8:12], 0x80000000|uploadTag(bucket, key))
	if _, err := rand.Read(id[12:]); err != nil {
		return "", fmt.Errorf("drawing an upload id: %w", err)
	}
	return id.String(), nil
}

func uploadTag(bucket, key string) uint32 {
	sum := sha256.Sum256(append(append([]byte(bucket), 0), key...))
	return binary.BigEndian.Uint32(sum[:4]) >> 2
}

// uploadOf says whether id could be of an upload of that key.
func uploadOf(id uuid.UUID, bucket, key string) bool {
	return id.Version() == 8 && binary.BigEndian.Uint32(id[8:12])&^0xC0000000 == uploadTag(bucket, key)
}
