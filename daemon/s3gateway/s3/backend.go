package s3

import (
	"context"
	"log/slog"
	"path"
	"strings"
	"time"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"

	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

// maxKey is the longest object key in bytes, as in S3.
const maxKey = 1024

// maxCopy is the largest object or range that one copy request may name, as in
// S3: larger ones go by parts.
const maxCopy = 5 << 30

// Deps is what a Backend works with.
type Deps struct {
	Metabase *metabase.DB
	Engine   Engine
	Root     seal.Root
	Log      *slog.Logger
	Now      func() time.Time // nil is time.Now
	// Faults turns engine errors into answers; nil when the engine returns
	// Fault values by itself.
	Faults func(error) (Fault, bool)
}

// Backend is the meaning of S3 operations. It implements versitygw's
// backend.Backend.
type Backend struct {
	backend.BackendUnsupported
	db      *metabase.DB
	engine  Engine
	vault   vault
	uploads uploadIDs
	log     *slog.Logger
	now     func() time.Time
	faults  func(error) (Fault, bool)

	// Reads outlive the request context, which versitygw recycles while a body
	// is still being sent; life ends them at shutdown.
	life context.Context
	stop context.CancelFunc
}

var _ backend.Backend = (*Backend)(nil)

// New returns a backend. Shutdown ends its reads.
func New(d Deps) *Backend {
	if d.Now == nil {
		d.Now = time.Now
	}
	life, stop := context.WithCancel(context.Background())
	return &Backend{
		db: d.Metabase, engine: d.Engine, vault: newVault(d.Root), log: d.Log, now: d.Now, faults: d.Faults,
		life: life, stop: stop,
	}
}

func (b *Backend) String() string { return "Cairn" }

// Shutdown cuts off reads in progress. The metabase and engine belong to the
// caller.
func (b *Backend) Shutdown() { b.stop() }

// NormalizeObjectKey implements backend.Backend: it gives the form of a key
// that policies are held against. To the store a key is any string and no two
// strings name the same object; but proxies and file systems resolve "..", so a
// grant on a/* must not reach a/../b, whatever becomes of that path on its way.
func (b *Backend) NormalizeObjectKey(_, object string) string {
	clean := strings.TrimPrefix(path.Clean("/"+object), "/")
	if strings.HasSuffix(object, "/") && clean != "" {
		clean += "/"
	}
	return clean
}

func checkKey(key *string) (string, error) {
	if key == nil || *key == "" {
		return "", s3err.GetAPIError(s3err.ErrNoSuchKey)
	}
	if len(*key) > maxKey {
		return "", s3err.GetKeyTooLongErr(int64(len(*key)), maxKey)
	}
	return *key, nil
}

// checkVersion accepts what a version id can be: empty, "null", or a ULID.
func checkVersion(version *string) (string, error) {
	v := str(version)
	if v == "" || v == metabase.NullVersion {
		return v, nil
	}
	if _, err := metabase.ParseVersionID(v); err != nil {
		return "", s3err.GetInvalidArgumentErr(s3err.InvalidArgVersionId, v)
	}
	return v, nil
}

// accountOf is the account that a request was authenticated as.
func accountOf(ctx context.Context) auth.Account {
	acct, _ := ctx.Value("account").(auth.Account)
	return acct
}

func str(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func ptr[T any](v T) *T { return &v }

// optional is nil for the empty string, as versitygw leaves out absent headers.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func quoted(etag string) string   { return `"` + etag + `"` }
func unquoted(etag string) string { return strings.Trim(etag, `"`) }

// versionHeader is the version id that answers carry: none for buckets that
// never had versioning.
func versionHeader(o metabase.Object, v metabase.Versioning) *string {
	if v == metabase.Unversioned {
		return nil
	}
	return ptr(o.VersionName())
}
