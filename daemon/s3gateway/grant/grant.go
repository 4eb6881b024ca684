// Package grant is what a renter hands to somebody who may read some of its objects without its gateway: a
// file with the keys that open them, where their pieces lie, and a lease of its own that pays the nodes for
// what is read. Whoever has the file can read, until it expires or its escrow is used up; nothing else of
// the renter's is in it. It holds what was there when it was made, and nothing that came later. A grant to
// verify has no keys that open anything and names no object: with it the nodes can be made to prove that
// they hold the pieces.
//
// A file is "CAIRNGRANT", a version (1), the CBOR of a Grant, and the SHA-256 of all that.
package grant

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/pass"
	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

// MaxSize is the largest file, bytes: about 1.2 KB for each 8 MiB shared make it some 400 GB.
const MaxSize = 64 << 20

const (
	magic   = "CAIRNGRANT"
	version = 1
	// maxInline is the largest object kept in the file itself, sealed.
	maxInline = metabase.InlineLimit + 1024
)

// ErrInvalid is wrapped by errors about a file that is damaged or none of ours.
var ErrInvalid = errors.New("not a grant")

// Grant is the content of a file. It is a secret.
type Grant struct {
	ChainID string `cbor:"1,keyasint"`
	// Keys is a seal.Grant as text: it opens the data keys of Objects.
	Keys string `cbor:"2,keyasint"`
	// PieceSecret is what the ids of the bucket's pieces derive from.
	PieceSecret [32]byte `cbor:"3,keyasint"`
	// Lease pays the nodes; SessionSeed is the seed of its session key.
	Lease       uint64                      `cbor:"4,keyasint"`
	SessionSeed [ed25519.SeedSize]byte      `cbor:"5,keyasint"`
	DataLease   uint64                      `cbor:"6,keyasint"` // that the pieces lie under
	Expiry      int64                       `cbor:"7,keyasint"` // of the pass, Unix seconds
	Signature   [ed25519.SignatureSize]byte `cbor:"8,keyasint"` // of the pass
	Objects     []Object                    `cbor:"9,keyasint"`
	Segments    []metabase.Segment          `cbor:"10,keyasint"`
}

// Object is one object, the version that was current when the grant was made.
type Object struct {
	Key     string   `cbor:"1,keyasint"`
	Size    int64    `cbor:"2,keyasint"`
	Extents []Extent `cbor:"3,keyasint,omitempty"`
}

// Extent is a run of bytes under one data key: in Inline, or in segments, by their place in
// Grant.Segments.
type Extent struct {
	ObjectID   [16]byte `cbor:"1,keyasint"`
	WrappedKey []byte   `cbor:"2,keyasint"`
	Size       int64    `cbor:"3,keyasint"`
	Inline     []byte   `cbor:"4,keyasint,omitempty"`
	Segments   []int    `cbor:"5,keyasint,omitempty"`
}

// Session is the key of the lease that pays.
func (g Grant) Session() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(g.SessionSeed[:]) }

// Pass lets the lease that pays read what lies under the other.
func (g Grant) Pass() pass.Signed {
	return pass.Signed{
		Pass:      pass.Pass{ChainID: g.ChainID, Lease: g.DataLease, Reader: g.Lease, Expiry: g.Expiry},
		Signature: g.Signature,
	}
}

// Bucket is the bucket that the objects are in.
func (g Grant) Bucket() string {
	keys, err := seal.ParseGrant(g.Keys)
	if err != nil {
		return ""
	}
	return keys.Bucket
}

// String says what the grant is for, without its keys.
func (g Grant) String() string {
	keys, err := seal.ParseGrant(g.Keys)
	if err != nil {
		return "invalid grant"
	}
	return keys.String()
}

// Check says why nothing can be read with a grant, nil if it is well formed.
func (g Grant) Check() error {
	keys, err := seal.ParseGrant(g.Keys)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := g.Pass().Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	for i, s := range g.Segments {
		class, known := erasure.ClassByName(s.Class)
		if !known || len(s.PieceRoots) != class.Total || s.SealedSize == 0 || s.PlainSize > s.SealedSize || s.SealedSize > erasure.MaxSegment {
			return fmt.Errorf("%w: segment %d: class %q, %d roots, %d bytes of %d", ErrInvalid, i, s.Class, len(s.PieceRoots), s.PlainSize, s.SealedSize)
		}
		for _, p := range s.Pieces {
			if int(p.Index) >= class.Total || p.Device == 0 {
				return fmt.Errorf("%w: segment %d: piece %d on device %d", ErrInvalid, i, p.Index, p.Device)
			}
		}
	}
	for _, o := range g.Objects {
		if _, err := keys.Object(o.Key); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		var whole int64
		for _, e := range o.Extents {
			if len(e.Inline) > maxInline || e.Size < 0 || e.Size > o.Size || len(e.Inline) > 0 && len(e.Segments) > 0 {
				return fmt.Errorf("%w: %q: an extent of %d bytes, %d of them inline", ErrInvalid, o.Key, e.Size, len(e.Inline))
			}
			whole += e.Size
			var inSegments int64
			for _, n := range e.Segments {
				if n < 0 || n >= len(g.Segments) {
					return fmt.Errorf("%w: %q: segment %d of %d", ErrInvalid, o.Key, n, len(g.Segments))
				}
				inSegments += int64(g.Segments[n].PlainSize)
			}
			if len(e.Inline) == 0 && inSegments != e.Size {
				return fmt.Errorf("%w: %q: %d bytes of %d in segments", ErrInvalid, o.Key, inSegments, e.Size)
			}
		}
		if whole != o.Size {
			return fmt.Errorf("%w: %q: %d bytes of %d in extents", ErrInvalid, o.Key, whole, o.Size)
		}
	}
	return nil
}

var (
	encoding = must(cbor.CoreDetEncOptions().EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxArrayElements: 1 << 20, MaxMapPairs: 64, MaxNestedLevels: 8, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode())
)

// must holds what only a defect of this program can break: fixed options.
func must[T any](mode T, err error) T {
	if err != nil {
		panic(err)
	}
	return mode
}

// Encode writes a grant as a file.
func (g Grant) Encode() ([]byte, error) {
	if err := g.Check(); err != nil {
		return nil, err
	}
	body, err := encoding.Marshal(g)
	if err != nil {
		return nil, fmt.Errorf("encoding a grant: %w", err)
	}
	b := append([]byte(magic), version)
	b = append(b, body...)
	sum := sha256.Sum256(b)
	if b = append(b, sum[:]...); len(b) > MaxSize {
		return nil, fmt.Errorf("a grant for so much has %d bytes, at most %d: share less at once", len(b), MaxSize)
	}
	return b, nil
}

// Parse reads a file; ErrInvalid for anything else.
func Parse(b []byte) (Grant, error) {
	const around = len(magic) + 1 + sha256.Size
	if len(b) < around || len(b) > MaxSize || !bytes.HasPrefix(b, []byte(magic)) {
		return Grant{}, fmt.Errorf("%w: %d bytes", ErrInvalid, len(b))
	}
	body, given := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], given) {
		return Grant{}, fmt.Errorf("%w: it is damaged", ErrInvalid)
	}
	if v := body[len(magic)]; v != version {
		return Grant{}, fmt.Errorf("%w: version %d is not known", ErrInvalid, v)
	}
	var g Grant
	if err := decoding.Unmarshal(body[len(magic)+1:], &g); err != nil {
		return Grant{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return g, g.Check()
}
