package seal

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// GrantKind says what a grant allows.
type GrantKind uint8

const (
	// ReadObject opens all versions of one object.
	ReadObject GrantKind = 1
	// ReadPrefix opens every object under a prefix; the empty prefix is the whole bucket.
	ReadPrefix GrantKind = 2
	// Verify opens nothing: it finds, checks and repairs the pieces of a bucket.
	Verify GrantKind = 3
)

// ErrGrant is wrapped by errors about grants that are damaged or do not reach so far.
var ErrGrant = errors.New("grant does not hold")

// Grant is a part of a renter's keys to give away: whoever has it can do what it says, for ever, and
// no server is asked. Its text is a secret.
type Grant struct {
	Kind GrantKind
	// Bucket and Path say where it reaches: Path is an object's key, a prefix, or empty.
	Bucket, Path string
	// Key is the ObjectKey, the PrefixKey or the bucket's PieceSecret.
	Key [32]byte
}

// GrantObject lets others read one object of the bucket named bucket.
func (b BucketKey) GrantObject(bucket, key string) Grant {
	return Grant{ReadObject, bucket, key, b.Object(key)}
}

// GrantPrefix lets others read everything under prefix, which is empty or ends in a slash.
func (b BucketKey) GrantPrefix(bucket, prefix string) (Grant, error) {
	key, err := b.Prefix(prefix)
	return Grant{ReadPrefix, bucket, prefix, key}, err
}

// GrantVerify lets others check and repair the bucket's pieces without reading them.
func (b BucketKey) GrantVerify(bucket string) Grant {
	return Grant{Verify, bucket, "", b.PieceSecret()}
}

// Object returns the key of the object with that full key; ErrGrant if the grant does not open it.
func (g Grant) Object(key string) (ObjectKey, error) {
	switch rest, under := strings.CutPrefix(key, g.Path); {
	case g.Kind == ReadObject && key == g.Path:
		return g.Key, nil
	case g.Kind == ReadPrefix && under:
		return PrefixKey(g.Key).Object(rest), nil
	}
	return ObjectKey{}, fmt.Errorf("%w: it does not open %q", ErrGrant, key)
}

// String says what the grant is for, without its key.
func (g Grant) String() string {
	switch g.Kind {
	case ReadObject:
		return fmt.Sprintf("read %s/%s", g.Bucket, g.Path)
	case ReadPrefix:
		return fmt.Sprintf("read everything under %s/%s", g.Bucket, g.Path)
	case Verify:
		return fmt.Sprintf("verify %s", g.Bucket)
	}
	return fmt.Sprintf("unknown grant %d", g.Kind)
}

const (
	grantPrefix   = "cairn-grant-"
	grantVersion  = 1
	maxBucket     = 255
	maxPath       = 1024 // the longest key of S3
	grantChecksum = 4
)

// Encode returns the grant as text to hand over: "cairn-grant-" and URL-safe base64 of
//
//	version (1), kind, length of bucket (1), bucket, length of path (2), path, key (32),
//	first 4 bytes of SHA-256 of all that, against typing errors
//
// ErrGrant if it has no valid form.
func (g Grant) Encode() (string, error) {
	if err := g.check(); err != nil {
		return "", err
	}
	b := []byte{grantVersion, byte(g.Kind), byte(len(g.Bucket))}
	b = append(b, g.Bucket...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(g.Path)))
	b = append(b, g.Path...)
	b = append(b, g.Key[:]...)
	sum := sha256.Sum256(b)
	return grantPrefix + base64.RawURLEncoding.EncodeToString(append(b, sum[:grantChecksum]...)), nil
}

func (g Grant) check() error {
	switch {
	case g.Kind < ReadObject || g.Kind > Verify:
		return fmt.Errorf("%w: kind %d is not known", ErrGrant, g.Kind)
	case g.Bucket == "" || len(g.Bucket) > maxBucket:
		return fmt.Errorf("%w: bucket name has %d bytes, want 1..%d", ErrGrant, len(g.Bucket), maxBucket)
	case len(g.Path) > maxPath:
		return fmt.Errorf("%w: path has %d bytes, want at most %d", ErrGrant, len(g.Path), maxPath)
	case g.Kind == ReadPrefix && g.Path != "" && !strings.HasSuffix(g.Path, "/"):
		return fmt.Errorf("%w: prefix %q does not end in a slash", ErrGrant, g.Path)
	case g.Kind == Verify && g.Path != "":
		return fmt.Errorf("%w: a bucket is verified whole, not %q", ErrGrant, g.Path)
	}
	return nil
}

// ParseGrant reads what Encode wrote and refuses all other text with ErrGrant.
func ParseGrant(text string) (Grant, error) {
	body, ok := strings.CutPrefix(text, grantPrefix)
	if !ok {
		return Grant{}, fmt.Errorf("%w: want it to begin with %s", ErrGrant, grantPrefix)
	}
	b, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || base64.RawURLEncoding.EncodeToString(b) != body {
		return Grant{}, fmt.Errorf("%w: characters are missing or mistyped", ErrGrant)
	}
	const least = 3 + 2 + 32 + grantChecksum
	if len(b) < least {
		return Grant{}, fmt.Errorf("%w: it is cut off", ErrGrant)
	}
	b, given := b[:len(b)-grantChecksum], b[len(b)-grantChecksum:]
	if sum := sha256.Sum256(b); string(sum[:grantChecksum]) != string(given) {
		return Grant{}, fmt.Errorf("%w: characters are missing or mistyped", ErrGrant)
	}
	if b[0] != grantVersion {
		return Grant{}, fmt.Errorf("%w: version %d is not known", ErrGrant, b[0])
	}
	g, n := Grant{Kind: GrantKind(b[1])}, int(b[2])
	if b = b[3:]; len(b) < n+2+32 {
		return Grant{}, fmt.Errorf("%w: it is cut off", ErrGrant)
	}
	g.Bucket, b = string(b[:n]), b[n:]
	n = int(binary.BigEndian.Uint16(b))
	if b = b[2:]; len(b) != n+32 {
		return Grant{}, fmt.Errorf("%w: it is cut off", ErrGrant)
	}
	g.Path, g.Key = string(b[:n]), [32]byte(b[n:])
	return g, g.check()
}
