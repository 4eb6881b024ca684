package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

// PutObject implements backend.Backend.
func (b *Backend) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	var out s3response.PutObjectOutput
	key, err := checkKey(in.Key)
	if err != nil {
		return out, err
	}
	at := where{bucket: *in.Bucket, key: key}
	tags, err := backend.ParseObjectTags(str(in.Tagging))
	if err != nil {
		return out, err
	}
	bkt, err := b.bucket(ctx, *in.Bucket)
	if err != nil {
		return out, err
	}
	lock, err := b.newLock(bkt, in.ObjectLockMode, in.ObjectLockRetainUntilDate, in.ObjectLockLegalHoldStatus)
	if err != nil {
		return out, b.answer(err, at)
	}
	cond := writeCondition(in.IfMatch, in.IfNoneMatch)
	if err := b.refuseEarly(ctx, at, cond); err != nil {
		drain(in.Body)
		return out, err
	}

	want := putInputSums(&in).get()
	if want.Algorithm == "" {
		want.Algorithm = string(in.ChecksumAlgorithm)
	}
	if want.Algorithm == "" {
		want.Algorithm = string(defaultAlgorithm)
	}
	body, err := newIntake(in.Body, want)
	if err != nil {
		return out, b.answer(err, at)
	}
	defer body.close()
	extent, segs, err := b.store(ctx, bkt, key, body)
	if err == nil {
		err = complete(ctx, in.ContentLength, body.n)
	}
	if err != nil {
		b.release(segs)
		return out, b.answer(err, at)
	}
	algorithm := want.Algorithm
	if body.trailer != nil {
		algorithm = canonical(body.trailer.Algorithm())
	}
	o := metabase.Object{
		Bucket: bkt.Name, Key: key, Size: body.n, ETag: body.etag(), Owner: accountOf(ctx).Access,
		Headers: metabase.Headers{
			ContentType: str(in.ContentType), ContentEncoding: str(in.ContentEncoding), ContentDisposition: str(in.ContentDisposition),
			ContentLanguage: str(in.ContentLanguage), CacheControl: str(in.CacheControl), Expires: str(in.Expires),
			WebsiteRedirect: str(in.WebsiteRedirectLocation),
		},
		Metadata: in.Metadata, Tags: tags, Checksum: body.sum(algorithm), Lock: lock, Extents: extents(extent),
	}
	if o.Size == 0 && strings.HasSuffix(key, "/") {
		// File managers tell folders by this; clients send the default.
		o.Headers.ContentType = backend.DirContentType
	}
	o, err = b.db.PutObject(ctx, o, segs, cond)
	if err != nil {
		b.release(segs)
		return out, b.answer(err, at)
	}
	out = s3response.PutObjectOutput{ETag: quoted(o.ETag), Size: &o.Size, ChecksumType: types.ChecksumType(o.Checksum.Type)}
	if !o.Null {
		out.VersionID = o.Version.String()
	}
	putOutputSums(&out).set(o.Checksum)
	return out, nil
}

// canonical is S3's spelling of the checksum algorithm that a trailer names.
func canonical(algorithm string) string {
	for _, a := range algorithms {
		if strings.EqualFold(string(a), algorithm) {
			return string(a)
		}
	}
	return algorithm
}

// extents is the extent list of an object that is one extent, or empty.
func extents(e metabase.Extent) []metabase.Extent {
	if e.Size == 0 {
		return nil
	}
	return []metabase.Extent{e}
}

// store keeps a body under a fresh data key: sealed inline when it is small,
// otherwise through the engine. The body has been read to its end when store
// succeeds. Segments, when there are any, must be committed or released.
func (b *Backend) store(ctx context.Context, bkt metabase.Bucket, key string, body *intake) (metabase.Extent, []metabase.Segment, error) {
	extent, dk, err := b.vault.fresh(bkt.Name, key)
	if err != nil {
		return extent, nil, err
	}
	first, all, err := head(body, metabase.InlineLimit)
	if err != nil {
		return extent, nil, err
	}
	if all {
		if len(first) == 0 {
			return extent, nil, nil
		}
		err := b.vault.sealInline(&extent, dk, first)
		return extent, nil, err
	}
	return b.storeSegments(ctx, bkt, extent, dk, first, body)
}

func (b *Backend) storeSegments(ctx context.Context, bkt metabase.Bucket, extent metabase.Extent, dk seal.DataKey, first []byte, rest *intake) (metabase.Extent, []metabase.Segment, error) {
	req := StoreRequest{Bucket: bkt.Name, ObjectID: extent.ObjectID, Key: dk, Class: bkt.Class}
	segs, n, err := b.engine.Store(ctx, req, &rejoined{first: first, rest: rest})
	if err != nil {
		// The body's own error says more than the engine's wrapping of it.
		if rest.err != nil {
			return extent, segs, rest.err
		}
		drain(rest)
		return extent, segs, err
	}
	extent.Size = n
	for _, s := range segs {
		extent.Segments = append(extent.Segments, metabase.SegmentRef{ID: s.ID, Size: s.PlainSize})
	}
	return extent, segs, nil
}

// rejoined reads the head of a body and then the rest.
type rejoined struct {
	first []byte
	rest  io.Reader
}

func (r *rejoined) Read(p []byte) (int, error) {
	if len(r.first) > 0 {
		n := copy(p, r.first)
		r.first = r.first[n:]
		return n, nil
	}
	return r.rest.Read(p)
}

// complete checks that a body of n bytes is as long as its request said. A
// connection that breaks must not leave a shorter object.
//
// Only for PUT: the length of a file inside a browser's form is an estimate.
func complete(ctx context.Context, declared *int64, n int64) error {
	rc, ok := ctx.(*fasthttp.RequestCtx)
	if !ok || !rc.IsPut() || declared == nil || *declared == n {
		return nil
	}
	return s3err.GetAPIError(s3err.ErrIncompleteBody)
}

// release gives up stored segments whose object was not committed. It works
// even when the request is already over.
func (b *Backend) release(segs []metabase.Segment) {
	if len(segs) == 0 {
		return
	}
	if err := b.engine.Release(b.life, segs); err != nil {
		b.log.Error("releasing segments of an upload that was not committed", "segments", len(segs), "error", err)
	}
}

// writeCondition is If-Match and If-None-Match of a write; nil when there are
// none.
func writeCondition(ifMatch, ifNoneMatch *string) metabase.Condition {
	if ifMatch == nil && ifNoneMatch == nil {
		return nil
	}
	return func(current *metabase.Object) error {
		if current == nil {
			return backend.EvaluateObjectPutPreconditions("", ifMatch, ifNoneMatch, false)
		}
		return backend.EvaluateObjectPutPreconditions(current.ETag, ifMatch, ifNoneMatch, true)
	}
}

// refuseEarly asks a write's condition before its body is read, to spare the
// client an upload in vain. The answer that counts is the one at commit.
func (b *Backend) refuseEarly(ctx context.Context, at where, cond metabase.Condition) error {
	if cond == nil {
		return nil
	}
	cur, _, err := b.db.Object(ctx, at.bucket, at.key, "")
	switch {
	case errors.Is(err, metabase.ErrNoObject) || err == nil && cur.DeleteMarker:
		return b.answer(cond(nil), at)
	case err != nil:
		return b.answer(err, at)
	}
	return b.answer(cond(&cur), at)
}

// newLock is the object lock state of a new version: what its request asks
// for, otherwise the bucket's default retention counted from now.
func (b *Backend) newLock(bkt metabase.Bucket, mode types.ObjectLockMode, until *time.Time, hold types.ObjectLockLegalHoldStatus) (metabase.Lock, error) {
	var lock metabase.Lock
	cfg, err := lockConfig(bkt)
	if err != nil {
		return lock, err
	}
	if !cfg.Enabled {
		if mode != "" || hold == types.ObjectLockLegalHoldStatusOn {
			return lock, s3err.GetAPIError(s3err.ErrMissingObjectLockConfigurationNoSpaces)
		}
		return lock, nil
	}
	if hold == types.ObjectLockLegalHoldStatusOn {
		lock.LegalHold = ptr(true)
	}
	r := types.ObjectLockRetention{Mode: types.ObjectLockRetentionMode(mode), RetainUntilDate: until}
	if mode == "" {
		d := cfg.DefaultRetention
		if d == nil || d.Mode == "" {
			return lock, nil
		}
		end := b.now().UTC()
		if d.Days != nil {
			end = end.AddDate(0, 0, int(*d.Days))
		}
		if d.Years != nil {
			end = end.AddDate(int(*d.Years), 0, 0)
		}
		r = types.ObjectLockRetention{Mode: d.Mode, RetainUntilDate: &end}
	}
	if lock.Retention, err = json.Marshal(r); err != nil {
		return lock, fmt.Errorf("encoding a retention: %w", err)
	}
	return lock, nil
}
