package metabase

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/cairn-network/cairn/core/piece"
)

// InlineLimit is the largest plaintext, in bytes, kept sealed in the metabase
// instead of being cut into pieces.
const InlineLimit = 4 << 10

// Errors that callers tell apart with errors.Is.
var (
	ErrNoBucket       = errors.New("no such bucket")
	ErrBucketExists   = errors.New("bucket already exists")
	ErrBucketNotEmpty = errors.New("bucket is not empty")
	ErrNoObject       = errors.New("no such object")
	ErrNoVersion      = errors.New("no such version")
	ErrNoUpload       = errors.New("no such multipart upload")
	ErrNoPart         = errors.New("no such part")
	ErrNoSegment      = errors.New("no such segment")
	ErrNoValue        = errors.New("no such value")
)

// CorruptionError reports a row or snapshot that cannot be read back.
type CorruptionError struct {
	Where string // table and key, or position in a snapshot
	Err   error
}

func (e *CorruptionError) Error() string { return fmt.Sprintf("corrupt %s: %v", e.Where, e.Err) }
func (e *CorruptionError) Unwrap() error { return e.Err }

// SegmentID names a segment for ever; random, chosen by the engine.
type SegmentID [16]byte

func (id SegmentID) String() string { return hex.EncodeToString(id[:]) }

// Piece says which device holds which piece of a segment. The piece's id is
// not stored: it is derived from the renter's secret, the segment's id and
// Index (piece.DeriveID).
type Piece struct {
	_      struct{} `cbor:",toarray"`
	Index  uint8    // 0 <= Index < class.Total
	Device uint64
}

// Segment is a sealed, erasure-coded run of at most 16 MiB.
type Segment struct {
	ID         SegmentID    `cbor:"1,keyasint"`
	Class      string       `cbor:"2,keyasint"` // name of an erasure.Class
	PlainSize  uint32       `cbor:"3,keyasint"` // bytes before sealing
	SealedSize uint32       `cbor:"4,keyasint"` // bytes that were coded into pieces
	Root       [32]byte     `cbor:"5,keyasint"` // segment.Root over PieceRoots
	PieceRoots []piece.Root `cbor:"6,keyasint"` // all class.Total, stored or not
	Pieces     []Piece      `cbor:"7,keyasint"` // pieces with a signed receipt
	Lease      uint64       `cbor:"8,keyasint"`
	Expiry     int64        `cbor:"9,keyasint"`            // Unix seconds until which providers keep the pieces
	Risk       uint64       `cbor:"10,keyasint"`           // core/risk score when last evaluated; smaller is more urgent
	Refs       uint32       `cbor:"11,keyasint"`           // maintained by DB: object versions and parts naming this segment
	CreatedAt  int64        `cbor:"12,keyasint"`           // Unix seconds
	Bucket     string       `cbor:"13,keyasint,omitempty"` // bucket whose piece secret the piece ids derive from
}

// SegmentRef is a segment's place in an extent.
type SegmentRef struct {
	_    struct{} `cbor:",toarray"`
	ID   SegmentID
	Size uint32 // plaintext bytes
}

// Extent is a run of bytes sealed under one data key: a whole simple object,
// or one part of a multipart object. Its plaintext is either inline or the
// concatenation of its segments.
type Extent struct {
	ObjectID   [16]byte     `cbor:"1,keyasint"` // bound into every sealed record as associated data
	WrappedKey []byte       `cbor:"2,keyasint"` // data key sealed under the bucket's key
	Size       int64        `cbor:"3,keyasint"` // plaintext bytes
	Segments   []SegmentRef `cbor:"4,keyasint,omitempty"`
	IsInline   bool         `cbor:"5,keyasint,omitempty"` // bytes are sealed in table inline
	Inline     []byte       `cbor:"-"`                    // those bytes; listings leave it nil
}

// Checksum is an S3 additional checksum, for example CRC64NVME.
type Checksum struct {
	Algorithm string `cbor:"1,keyasint,omitempty"` // as S3 spells it: CRC32, CRC32C, CRC64NVME, SHA1, SHA256, ...
	Type      string `cbor:"2,keyasint,omitempty"` // FULL_OBJECT or COMPOSITE
	Value     string `cbor:"3,keyasint,omitempty"` // base64, for composites followed by -N
}

// Headers are the HTTP headers that S3 keeps with an object.
type Headers struct {
	ContentType        string `cbor:"1,keyasint,omitempty"`
	ContentEncoding    string `cbor:"2,keyasint,omitempty"`
	ContentDisposition string `cbor:"3,keyasint,omitempty"`
	ContentLanguage    string `cbor:"4,keyasint,omitempty"`
	CacheControl       string `cbor:"5,keyasint,omitempty"`
	Expires            string `cbor:"6,keyasint,omitempty"`
	WebsiteRedirect    string `cbor:"7,keyasint,omitempty"`
}

// Lock is S3 Object Lock's state of one object version.
type Lock struct {
	Retention []byte `cbor:"1,keyasint,omitempty"` // versitygw's JSON of mode and date; nil is none
	LegalHold *bool  `cbor:"2,keyasint,omitempty"` // nil is never set
}

// PartInfo remembers a part's size and checksum after completion, for reads by
// part number and GetObjectAttributes.
type PartInfo struct {
	_        struct{} `cbor:",toarray"`
	Number   int32
	Size     int64
	Checksum string
}

// Object is one version of one key, or a delete marker.
type Object struct {
	Bucket       string            `cbor:"-"` // in the row's key
	Key          string            `cbor:"-"` // in the row's key
	Version      VersionID         `cbor:"1,keyasint"`
	Null         bool              `cbor:"2,keyasint,omitempty"` // written while versioning was off or suspended: clients know it as "null"
	DeleteMarker bool              `cbor:"3,keyasint,omitempty"`
	CreatedAt    time.Time         `cbor:"4,keyasint"`
	Size         int64             `cbor:"5,keyasint,omitempty"`
	ETag         string            `cbor:"6,keyasint,omitempty"` // without quotes
	Owner        string            `cbor:"7,keyasint,omitempty"` // access key of the account that wrote it
	Headers      Headers           `cbor:"8,keyasint,omitempty"`
	Metadata     map[string]string `cbor:"9,keyasint,omitempty"`
	Tags         map[string]string `cbor:"10,keyasint,omitempty"`
	Checksum     Checksum          `cbor:"11,keyasint,omitempty"`
	Lock         Lock              `cbor:"12,keyasint,omitempty"`
	Extents      []Extent          `cbor:"13,keyasint,omitempty"`
	Parts        []PartInfo        `cbor:"14,keyasint,omitempty"` // of a multipart object, in order
	Upload       string            `cbor:"15,keyasint,omitempty"` // upload id it was completed from
	Latest       bool              `cbor:"-"`                     // newest version of its key, delete markers included
}

// Versioning is a bucket's versioning state.
type Versioning uint8

// The states of versioning.
const (
	Unversioned Versioning = iota
	VersioningEnabled
	VersioningSuspended
)

// Bucket is a bucket and its configuration documents. Documents are kept as
// the S3 layer received them (JSON or XML) and are nil when not set.
type Bucket struct {
	Name       string            `cbor:"-"` // in the row's key
	CreatedAt  time.Time         `cbor:"1,keyasint"`
	Owner      string            `cbor:"2,keyasint,omitempty"` // access key of the owning account
	Class      string            `cbor:"3,keyasint,omitempty"` // erasure class by name; empty lets the engine choose
	Versioning Versioning        `cbor:"4,keyasint,omitempty"`
	ACL        []byte            `cbor:"5,keyasint,omitempty"`
	Policy     []byte            `cbor:"6,keyasint,omitempty"`
	CORS       []byte            `cbor:"7,keyasint,omitempty"`
	Website    []byte            `cbor:"8,keyasint,omitempty"`
	Lifecycle  []byte            `cbor:"9,keyasint,omitempty"`
	ObjectLock []byte            `cbor:"10,keyasint,omitempty"`
	Ownership  string            `cbor:"11,keyasint,omitempty"`
	Tags       map[string]string `cbor:"12,keyasint,omitempty"`
}

// Usage is what a bucket holds. Parts of uploads in progress are not counted.
type Usage struct {
	Objects  uint64 `cbor:"1,keyasint,omitempty"` // current ones
	Versions uint64 `cbor:"2,keyasint,omitempty"` // all versions and delete markers
	Bytes    uint64 `cbor:"3,keyasint,omitempty"` // plaintext of all versions; shared segments count for each
}

// Upload is a multipart upload in progress.
type Upload struct {
	Bucket    string            `cbor:"-"` // in the row's key
	Key       string            `cbor:"-"` // in the row's key
	ID        string            `cbor:"-"` // in the row's key
	CreatedAt time.Time         `cbor:"1,keyasint"`
	Initiator string            `cbor:"2,keyasint,omitempty"`
	Headers   Headers           `cbor:"3,keyasint,omitempty"`
	Metadata  map[string]string `cbor:"4,keyasint,omitempty"`
	Tags      map[string]string `cbor:"5,keyasint,omitempty"`
	Checksum  Checksum          `cbor:"6,keyasint,omitempty"` // algorithm and type; no value yet
	Lock      Lock              `cbor:"7,keyasint,omitempty"`
}

// Part is an uploaded part. A part number uploaded again replaces the former.
type Part struct {
	Number    int32     `cbor:"-"` // in the row's key
	CreatedAt time.Time `cbor:"1,keyasint"`
	Size      int64     `cbor:"2,keyasint,omitempty"`
	ETag      string    `cbor:"3,keyasint"` // without quotes: MD5 of the part's plaintext in hex
	Checksum  Checksum  `cbor:"4,keyasint,omitempty"`
	Extents   []Extent  `cbor:"5,keyasint,omitempty"`
}

// Garbage is a piece that no segment names any more and that its provider
// should delete.
type Garbage struct {
	Device   uint64    `cbor:"-"` // in the row's key
	Segment  SegmentID `cbor:"-"` // in the row's key
	Index    uint8     `cbor:"-"` // in the row's key
	Lease    uint64    `cbor:"1,keyasint,omitempty"`
	QueuedAt int64     `cbor:"2,keyasint"`           // Unix seconds
	Bucket   string    `cbor:"3,keyasint,omitempty"` // as in Segment
}
