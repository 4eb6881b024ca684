package seal

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// Root is the renter's one secret. Everything else follows from it and what is stored.
type Root [32]byte

// BucketKey opens everything in one bucket, and nothing beside it.
type BucketKey [32]byte

// PrefixKey opens every object whose key begins with one prefix that ends in a slash.
type PrefixKey [32]byte

// ObjectKey wraps and unwraps the data keys of all versions of one object.
type ObjectKey [32]byte

// DataKey is the random key of one object version or multipart part. It says which cipher seals it.
type DataKey struct {
	Suite Suite
	Key   [32]byte
}

// SegmentKey seals one segment of one object version.
//
// INV-SEAL-1: a segment key seals one plaintext. Data keys are drawn anew for every version and
// every upload of a part, so no retry can seal other bytes under the same key.
type SegmentKey struct {
	suite   Suite
	key     [32]byte
	object  [16]byte
	segment uint32
}

// What fmt shows of keys: nothing, so that none ends in a log.
const hidden = "(secret)"

func (Root) String() string       { return hidden }
func (BucketKey) String() string  { return hidden }
func (PrefixKey) String() string  { return hidden }
func (ObjectKey) String() string  { return hidden }
func (DataKey) String() string    { return hidden }
func (SegmentKey) String() string { return hidden }
func (Box) String() string        { return hidden }

// Labels of the derivation tree, one for each kind of step: no two steps can give the same key.
const (
	labelSession  = "cairn/seal/v1 session"
	labelBucket   = "cairn/seal/v1 bucket"
	labelPieces   = "cairn/seal/v1 pieces"
	labelBox      = "cairn/seal/v1 box"
	labelSnapshot = "cairn/seal/v1 snapshot"
	labelPrefix   = "cairn/seal/v1 prefix"
	labelObject   = "cairn/seal/v1 object"
	labelNames    = "cairn/seal/v1 names"
	labelSegment  = "cairn/seal/v1 segment"
	labelRecords  = "cairn/seal/v1 records"
	labelCommit   = "cairn/seal/v1 commitment"
	labelAuth     = "cairn/seal/v1 siv authentication"
	labelEncrypt  = "cairn/seal/v1 siv encryption"
)

// derive is HKDF-Expand with SHA-256 (RFC 5869 section 2.3); info is the label, a zero byte and the
// name. Labels hold no zero byte, so that label and name cannot run into each other.
func derive(secret [32]byte, label string, name []byte) (key [32]byte) {
	info := make([]byte, 0, len(label)+1+len(name))
	info = append(append(append(info, label...), 0), name...)
	out, err := hkdf.Expand(sha256.New, secret[:], string(info), len(key))
	if err != nil {
		// 32 bytes are within HKDF's limit of 255 hashes, and SHA-256 is allowed everywhere.
		panic("seal: " + err.Error())
	}
	return [32]byte(out)
}

// FromSeed returns the root of a seed of at least 16 random bytes (a BIP-39 seed has 64).
func FromSeed(seed []byte) Root {
	out, err := hkdf.Extract(sha256.New, seed, []byte("cairn/seal/v1 root"))
	if err != nil {
		panic("seal: " + err.Error()) // only where SHA-256 is not allowed
	}
	return Root(out)
}

// SessionKey returns the Ed25519 key number n, which signs the vouchers of leases and names the
// renter to providers.
func (r Root) SessionKey(n uint64) ed25519.PrivateKey {
	seed := derive(r, labelSession, binary.BigEndian.AppendUint64(nil, n))
	return ed25519.NewKeyFromSeed(seed[:])
}

// Bucket returns the key of one bucket. It may be given away: it leads to no other bucket.
func (r Root) Bucket(name string) BucketKey { return derive(r, labelBucket, []byte(name)) }

// Box returns a key for small secrets of one purpose, such as the pointer to a metadata snapshot.
func (r Root) Box(purpose string) Box { return newBox(derive(r, labelBox, []byte(purpose))) }

// Snapshot returns the key that wraps the data keys of metadata snapshots.
func (r Root) Snapshot() ObjectKey { return derive(r, labelSnapshot, nil) }

// PieceSecret returns what piece ids in the bucket are derived from (piece.DeriveID). Whoever holds
// it finds and repairs pieces and reads nothing.
func (b BucketKey) PieceSecret() [32]byte { return derive(b, labelPieces, nil) }

// Prefix returns the key of all objects under prefix, which is empty or ends in a slash. It may be
// given away: it leads neither to the object named like the prefix without its slash, nor upwards.
func (b BucketKey) Prefix(prefix string) (PrefixKey, error) {
	return PrefixKey(derive(b, labelPrefix, nil)).Prefix(prefix)
}

// Prefix returns the key of what lies under prefix, relative to p.
func (p PrefixKey) Prefix(prefix string) (PrefixKey, error) {
	if prefix == "" {
		return p, nil
	}
	if !strings.HasSuffix(prefix, "/") {
		return PrefixKey{}, fmt.Errorf("deriving the key of prefix %q: want it empty or ending in a slash", prefix)
	}
	for component := range strings.SplitSeq(prefix[:len(prefix)-1], "/") {
		p = derive(p, labelPrefix, []byte(component))
	}
	return p, nil
}

// Object returns the key of the object with that full key.
func (b BucketKey) Object(key string) ObjectKey {
	return PrefixKey(derive(b, labelPrefix, nil)).Object(key)
}

// Object returns the key of the object whose key is the prefix and then name; name may hold slashes.
func (p PrefixKey) Object(name string) ObjectKey {
	for {
		component, rest, more := strings.Cut(name, "/")
		if !more {
			return derive(p, labelObject, []byte(component))
		}
		p, name = derive(p, labelPrefix, []byte(component)), rest
	}
}

// NewDataKey draws a data key from 32 bytes of random, which must be cryptographically random.
func NewDataKey(random io.Reader, suite Suite) (DataKey, error) {
	if err := suite.check(); err != nil {
		return DataKey{}, err
	}
	k := DataKey{Suite: suite}
	if _, err := io.ReadFull(random, k.Key[:]); err != nil {
		return DataKey{}, fmt.Errorf("drawing a data key: %w", err)
	}
	return k, nil
}

// WrappedSize is the length of a wrapped data key: version, suite, 32-byte synthetic IV, key.
const WrappedSize = 2 + 32 + 32

const wrapVersion = 1

// Wrap encrypts a data key for storing beside the object. Deterministic, which reveals nothing:
// data keys are random. The 32-byte tag commits to the key that opens it.
func (k ObjectKey) Wrap(d DataKey) []byte {
	out := []byte{wrapVersion, byte(d.Suite)}
	return newBox(k).seal(out, d.Key[:], out[:2], sha256.Size)
}

// Unwrap is the inverse of Wrap; ErrCorrupt if it was not wrapped by this key.
func (k ObjectKey) Unwrap(wrapped []byte) (DataKey, error) {
	if len(wrapped) != WrappedSize || wrapped[0] != wrapVersion || Suite(wrapped[1]).check() != nil {
		return DataKey{}, fmt.Errorf("unwrapping a data key of %d bytes: %w", len(wrapped), ErrCorrupt)
	}
	plain, err := newBox(k).open(nil, wrapped[2:], wrapped[:2], sha256.Size)
	if err != nil {
		return DataKey{}, fmt.Errorf("unwrapping a data key: %w", err)
	}
	return DataKey{Suite(wrapped[1]), [32]byte(plain)}, nil
}

// Segment returns the key of one segment. object is the version's own id, so that segments cannot
// be moved between objects, number counts segments from 0, so that they cannot be reordered.
func (k DataKey) Segment(object [16]byte, number uint32) SegmentKey {
	name := binary.BigEndian.AppendUint32(object[:], number)
	return SegmentKey{k.Suite, derive(k.Key, labelSegment, append(name, byte(k.Suite))), object, number}
}
