package s3

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

// pinned is how many segments a read loads before its first byte. Their pieces
// stay readable for the engine's grace period even when the object is
// overwritten meanwhile; an object of more segments that is overwritten during
// a read may break that read off.
const pinned = 4096

// version finds the object version that a read names. A delete marker is
// answered as S3 does.
func (b *Backend) version(ctx context.Context, bucket string, key, versionID *string) (metabase.Object, metabase.Bucket, error) {
	k, err := checkKey(key)
	if err != nil {
		return metabase.Object{}, metabase.Bucket{}, err
	}
	v, err := checkVersion(versionID)
	if err != nil {
		return metabase.Object{}, metabase.Bucket{}, err
	}
	o, bkt, err := b.db.Object(ctx, bucket, k, v)
	if err != nil {
		return o, bkt, b.answer(err, where{bucket: bucket, key: k, version: v})
	}
	if o.DeleteMarker {
		if v != "" {
			return o, bkt, s3err.GetAPIError(s3err.ErrMethodNotAllowed)
		}
		return o, bkt, s3err.GetAPIError(s3err.ErrNoSuchKey)
	}
	return o, bkt, nil
}

// span is the part of an object that a read asks for.
type span struct {
	off, n       int64
	contentRange *string
	partsCount   *int32
}

// locate works out the bytes that a Range header or a part number means.
func locate(o metabase.Object, rangeHeader *string, part *int32) (span, error) {
	if part == nil {
		off, n, ok, err := backend.ParseObjectRange(o.Size, str(rangeHeader))
		if err != nil || !ok {
			return span{off: off, n: n}, err
		}
		return span{off: off, n: n, contentRange: contentRange(off, n, o.Size)}, nil
	}
	if len(o.Parts) == 0 {
		if *part > 1 {
			return span{}, s3err.GetInvalidPartNumberRangeErr(1, *part)
		}
		return span{n: o.Size, contentRange: contentRange(0, o.Size, o.Size)}, nil
	}
	s := span{partsCount: ptr(int32(len(o.Parts)))}
	if *part > *s.partsCount {
		return span{}, s3err.GetInvalidPartNumberRangeErr(*s.partsCount, *part)
	}
	for _, p := range o.Parts[:*part-1] {
		s.off += p.Size
	}
	s.n = o.Parts[*part-1].Size
	s.contentRange = contentRange(s.off, s.n, o.Size)
	return s, nil
}

func contentRange(off, n, size int64) *string {
	if n == 0 {
		return nil
	}
	return ptr(fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, size))
}

// HeadObject implements backend.Backend.
func (b *Backend) HeadObject(ctx context.Context, in *awss3.HeadObjectInput) (*awss3.HeadObjectOutput, error) {
	o, bkt, err := b.version(ctx, *in.Bucket, in.Key, in.VersionId)
	if err != nil {
		if o.DeleteMarker {
			return &awss3.HeadObjectOutput{DeleteMarker: ptr(true), LastModified: &o.CreatedAt}, err
		}
		return nil, err
	}
	err = backend.EvaluatePreconditions(o.ETag, o.CreatedAt, backend.PreConditions{
		IfMatch: in.IfMatch, IfNoneMatch: in.IfNoneMatch, IfModSince: in.IfModifiedSince, IfUnmodeSince: in.IfUnmodifiedSince,
	})
	if err != nil {
		return nil, err
	}
	s, err := locate(o, in.Range, in.PartNumber)
	if err != nil {
		return nil, err
	}
	mode, until, hold := lockHeaders(o)
	out := &awss3.HeadObjectOutput{
		AcceptRanges: ptr("bytes"), ContentLength: &s.n, ContentRange: s.contentRange, PartsCount: s.partsCount,
		ContentType: optional(o.Headers.ContentType), ContentEncoding: optional(o.Headers.ContentEncoding),
		ContentDisposition: optional(o.Headers.ContentDisposition), ContentLanguage: optional(o.Headers.ContentLanguage),
		CacheControl: optional(o.Headers.CacheControl), ExpiresString: optional(o.Headers.Expires),
		WebsiteRedirectLocation: optional(o.Headers.WebsiteRedirect),
		ETag:                    ptr(quoted(o.ETag)), LastModified: &o.CreatedAt, Metadata: o.Metadata, TagCount: tagCount(o),
		ObjectLockMode: mode, ObjectLockRetainUntilDate: until, ObjectLockLegalHoldStatus: hold,
		StorageClass: types.StorageClassStandard, VersionId: versionHeader(o, bkt.Versioning),
	}
	if in.ChecksumMode == types.ChecksumModeEnabled && s.n == o.Size {
		headSums(out).set(o.Checksum)
		out.ChecksumType = types.ChecksumType(o.Checksum.Type)
	}
	return out, nil
}

// GetObject implements backend.Backend.
func (b *Backend) GetObject(ctx context.Context, in *awss3.GetObjectInput) (*awss3.GetObjectOutput, error) {
	o, bkt, err := b.version(ctx, *in.Bucket, in.Key, in.VersionId)
	if err != nil {
		if o.DeleteMarker {
			return &awss3.GetObjectOutput{DeleteMarker: ptr(true), LastModified: &o.CreatedAt}, err
		}
		return nil, err
	}
	err = backend.EvaluatePreconditions(o.ETag, o.CreatedAt, backend.PreConditions{
		IfMatch: in.IfMatch, IfNoneMatch: in.IfNoneMatch, IfModSince: in.IfModifiedSince, IfUnmodeSince: in.IfUnmodifiedSince,
	})
	if err != nil {
		return nil, err
	}
	s, err := locate(o, in.Range, in.PartNumber)
	if err != nil {
		return nil, err
	}
	body, err := b.read(ctx, o, s.off, s.n)
	if err != nil {
		return nil, b.answer(err, where{bucket: o.Bucket, key: o.Key, version: str(in.VersionId)})
	}
	mode, until, hold := lockHeaders(o)
	out := &awss3.GetObjectOutput{
		AcceptRanges: ptr("bytes"), ContentLength: &s.n, ContentRange: s.contentRange, PartsCount: s.partsCount,
		ContentType: optional(o.Headers.ContentType), ContentEncoding: optional(o.Headers.ContentEncoding),
		ContentDisposition: optional(o.Headers.ContentDisposition), ContentLanguage: optional(o.Headers.ContentLanguage),
		CacheControl: optional(o.Headers.CacheControl), ExpiresString: optional(o.Headers.Expires),
		WebsiteRedirectLocation: optional(o.Headers.WebsiteRedirect),
		ETag:                    ptr(quoted(o.ETag)), LastModified: &o.CreatedAt, Metadata: o.Metadata, TagCount: tagCount(o),
		ObjectLockMode: mode, ObjectLockRetainUntilDate: until, ObjectLockLegalHoldStatus: hold,
		StorageClass: types.StorageClassStandard, VersionId: versionHeader(o, bkt.Versioning), Body: body,
	}
	if in.ChecksumMode == types.ChecksumModeEnabled && s.n == o.Size {
		getSums(out).set(o.Checksum)
		out.ChecksumType = types.ChecksumType(o.Checksum.Type)
	}
	return out, nil
}

func tagCount(o metabase.Object) *int32 {
	if len(o.Tags) == 0 {
		return nil
	}
	return ptr(int32(len(o.Tags)))
}

func lockHeaders(o metabase.Object) (mode types.ObjectLockMode, until *time.Time, hold types.ObjectLockLegalHoldStatus) {
	if o.Lock.LegalHold != nil {
		hold = types.ObjectLockLegalHoldStatusOff
		if *o.Lock.LegalHold {
			hold = types.ObjectLockLegalHoldStatusOn
		}
	}
	var r types.ObjectLockRetention
	if o.Lock.Retention != nil && json.Unmarshal(o.Lock.Retention, &r) == nil {
		mode, until = types.ObjectLockMode(r.Mode), r.RetainUntilDate
	}
	return mode, until, hold
}

// slice is a run of bytes within one extent.
type slice struct {
	extent metabase.Extent
	off, n int64
	segs   []metabase.Segment // loaded early, or nil
}

// cut divides bytes [off, off+n) of an object among its extents.
func cut(o metabase.Object, off, n int64) (list []slice) {
	for _, e := range o.Extents {
		if n <= 0 {
			break
		}
		if off >= e.Size {
			off -= e.Size
			continue
		}
		take := min(e.Size-off, n)
		list = append(list, slice{extent: e, off: off, n: take})
		off, n = 0, n-take
	}
	return list
}

// read returns bytes [off, off+n) of o. Errors that show before the first byte
// are returned; later ones end the body early, which HTTP shows as a broken
// connection.
func (b *Backend) read(ctx context.Context, o metabase.Object, off, n int64) (io.ReadCloser, error) {
	list := cut(o, off, n)
	if n > 0 && len(list) == 0 {
		return nil, &metabase.CorruptionError{Where: fmt.Sprintf("object %s/%s", o.Bucket, o.Key), Err: errors.New("its extents are shorter than its size")}
	}
	loaded := 0
	for i := range list {
		s := &list[i]
		if loaded += len(s.extent.Segments); i > 0 && loaded > pinned {
			break
		}
		var err error
		if s.segs, err = b.segments(ctx, s.extent); err != nil {
			return nil, err
		}
	}
	life, cancel := context.WithCancel(b.life)
	pr, pw := io.Pipe()
	body := &reading{buf: bufio.NewReaderSize(pr, 64<<10), pipe: pr, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(body.done)
		err := b.copyOut(life, pw, o, list)
		if err != nil && life.Err() == nil && body.answered.Load() {
			b.log.Error("answer broken off", "bucket", o.Bucket, "key", o.Key, "error", err)
		}
		pw.CloseWithError(err)
	}()
	if n == 0 {
		return body, nil
	}
	if _, err := body.buf.Peek(1); err != nil {
		err = errors.Join(err, body.Close())
		return nil, fmt.Errorf("reading %s/%s: %w", o.Bucket, o.Key, err)
	}
	body.answered.Store(true)
	return body, nil
}

func (b *Backend) segments(ctx context.Context, e metabase.Extent) ([]metabase.Segment, error) {
	ids := make([]metabase.SegmentID, len(e.Segments))
	for i, ref := range e.Segments {
		ids[i] = ref.ID
	}
	return b.db.Segments(ctx, ids...)
}

// copyOut writes the slices of o to w.
func (b *Backend) copyOut(ctx context.Context, w io.Writer, o metabase.Object, list []slice) error {
	for _, s := range list {
		dk, err := b.vault.open(o.Bucket, o.Key, s.extent)
		if err != nil {
			return err
		}
		if s.extent.IsInline {
			plain, err := b.vault.openInline(s.extent, dk)
			if err != nil {
				return err
			}
			if _, err := w.Write(plain[s.off : s.off+s.n]); err != nil {
				return err
			}
			continue
		}
		if s.segs == nil {
			if s.segs, err = b.segments(ctx, s.extent); err != nil {
				return err
			}
		}
		if err := b.engine.Fetch(ctx, dk, s.extent.ObjectID, s.segs, s.off, s.n, w); err != nil {
			return err
		}
	}
	return nil
}

// reading is the body of an answer. Close waits until nothing writes to it.
type reading struct {
	buf      *bufio.Reader
	pipe     *io.PipeReader
	cancel   context.CancelFunc
	done     chan struct{}
	answered atomic.Bool // the status line can no longer say that something failed
}

func (r *reading) Read(p []byte) (int, error) { return r.buf.Read(p) }

func (r *reading) Close() error {
	r.cancel()
	err := r.pipe.Close()
	<-r.done
	return err
}

// GetObjectAttributes implements backend.Backend.
func (b *Backend) GetObjectAttributes(ctx context.Context, in *awss3.GetObjectAttributesInput) (s3response.GetObjectAttributesResponse, error) {
	var out s3response.GetObjectAttributesResponse
	o, bkt, err := b.version(ctx, *in.Bucket, in.Key, in.VersionId)
	if err != nil {
		if o.DeleteMarker {
			out.DeleteMarker, out.VersionId = ptr(true), versionHeader(o, bkt.Versioning)
			err = s3err.GetAPIError(s3err.ErrNoSuchKey)
		}
		return out, err
	}
	out = s3response.GetObjectAttributesResponse{
		ETag: &o.ETag, ObjectSize: &o.Size, StorageClass: types.StorageClassStandard, LastModified: &o.CreatedAt,
		VersionId: versionHeader(o, bkt.Versioning), Checksum: &types.Checksum{ChecksumType: types.ChecksumType(o.Checksum.Type)},
	}
	attributeSums(out.Checksum).set(o.Checksum)
	if len(o.Parts) > 0 {
		out.ObjectParts = attributeParts(o, str(in.PartNumberMarker), in.MaxParts)
	}
	return out, nil
}

func attributeParts(o metabase.Object, marker string, limit *int32) *s3response.ObjectParts {
	after, _ := strconv.Atoi(marker) // versitygw has checked it
	out := &s3response.ObjectParts{PartNumberMarker: after, MaxParts: 1000}
	if limit != nil && *limit > 0 {
		out.MaxParts = int(*limit)
	}
	start, _ := slices.BinarySearchFunc(o.Parts, after+1, func(p metabase.PartInfo, n int) int { return int(p.Number) - n })
	for _, p := range o.Parts[start:] {
		if len(out.Parts) == out.MaxParts {
			out.IsTruncated = true
			break
		}
		part := types.ObjectPart{PartNumber: &p.Number, Size: &p.Size}
		attributePartSums(&part).set(metabase.Checksum{Algorithm: o.Checksum.Algorithm, Value: p.Checksum})
		out.Parts = append(out.Parts, part)
		out.NextPartNumberMarker = int(p.Number)
	}
	return out
}
