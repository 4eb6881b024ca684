package s3

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

// source is the object version that a copy reads.
type source struct {
	metabase.Object
	versionHeader *string
	named         bool // by version id
}

// copySource finds what a copy-source header names. owner, when set, is who
// the client expects the source bucket to belong to.
func (b *Backend) copySource(ctx context.Context, header string, owner *string) (source, error) {
	var src source
	bucket, key, version, err := backend.ParseCopySource(header)
	if err != nil {
		return src, err
	}
	if _, err := checkVersion(&version); err != nil {
		return src, err
	}
	if want := str(owner); want != "" {
		bkt, err := b.bucket(ctx, bucket)
		if err != nil {
			return src, err
		}
		have, err := ownerOf(bkt.ACL)
		if err != nil {
			return src, b.answer(err, where{bucket: bucket})
		}
		if have != want {
			return src, s3err.GetAPIError(s3err.ErrAccessDenied)
		}
	}
	o, bkt, err := b.db.Object(ctx, bucket, key, version)
	if err != nil {
		return src, b.answer(err, where{bucket: bucket, key: key, version: version})
	}
	if o.DeleteMarker {
		if version != "" {
			return src, s3err.GetAPIError(s3err.ErrInvalidRequest)
		}
		return src, s3err.GetAPIError(s3err.ErrNoSuchKey)
	}
	return source{Object: o, versionHeader: versionHeader(o, bkt.Versioning), named: version != ""}, nil
}

// CopyObject implements backend.Backend. Within a bucket no bytes move: the
// copy shares the source's segments and wraps their data keys for its own key.
// Between buckets the bytes are read and sealed anew, because buckets must
// share no secrets.
func (b *Backend) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	var out s3response.CopyObjectOutput
	key, err := checkKey(in.Key)
	if err != nil {
		return out, err
	}
	at := where{bucket: *in.Bucket, key: key}
	src, err := b.copySource(ctx, *in.CopySource, in.ExpectedSourceBucketOwner)
	if err != nil {
		return out, err
	}
	bkt, err := b.bucket(ctx, *in.Bucket)
	if err != nil {
		return out, err
	}
	if src.Size > maxCopy {
		return out, s3err.GetCopySourceObjectTooLargeErr(maxCopy)
	}
	err = backend.EvaluatePreconditions(src.ETag, src.CreatedAt, backend.PreConditions{
		IfMatch: in.CopySourceIfMatch, IfNoneMatch: in.CopySourceIfNoneMatch,
		IfModSince: in.CopySourceIfModifiedSince, IfUnmodeSince: in.CopySourceIfUnmodifiedSince,
	})
	if err != nil {
		return out, err
	}
	if src.Bucket == bkt.Name && src.Key == key && !src.named && in.MetadataDirective != types.MetadataDirectiveReplace {
		return out, s3err.GetAPIError(s3err.ErrInvalidCopyDest)
	}
	o, err := b.describeCopy(bkt, key, in, src.Object)
	if err != nil {
		return out, b.answer(err, at)
	}
	o.Owner = accountOf(ctx).Access
	if src.Bucket == bkt.Name {
		o, err = b.copyWithin(ctx, in, src.Object, o)
	} else {
		o, err = b.copyAcross(ctx, in, src.Object, bkt, o)
	}
	if err != nil {
		return out, b.answer(err, at)
	}
	res := &s3response.CopyObjectResult{ETag: ptr(quoted(o.ETag)), LastModified: &o.CreatedAt, ChecksumType: types.ChecksumType(o.Checksum.Type)}
	copySums(res).set(o.Checksum)
	return s3response.CopyObjectOutput{CopyObjectResult: res, VersionId: versionHeader(o, bkt.Versioning), CopySourceVersionId: src.versionHeader}, nil
}

// describeCopy makes the copy's record without its content: headers, metadata
// and tags as the directives say, and the request's lock.
func (b *Backend) describeCopy(bkt metabase.Bucket, key string, in s3response.CopyObjectInput, src metabase.Object) (metabase.Object, error) {
	o := metabase.Object{Bucket: bkt.Name, Key: key, Headers: src.Headers, Metadata: src.Metadata, Tags: src.Tags}
	if in.MetadataDirective == types.MetadataDirectiveReplace {
		o.Metadata = in.Metadata
		o.Headers = metabase.Headers{
			ContentType: str(in.ContentType), ContentEncoding: str(in.ContentEncoding), ContentDisposition: str(in.ContentDisposition),
			ContentLanguage: str(in.ContentLanguage), CacheControl: str(in.CacheControl), Expires: str(in.Expires),
		}
	}
	// S3 never copies the redirect.
	o.Headers.WebsiteRedirect = str(in.WebsiteRedirectLocation)
	var err error
	if in.TaggingDirective == types.TaggingDirectiveReplace {
		if o.Tags, err = backend.ParseObjectTags(str(in.Tagging)); err != nil {
			return o, err
		}
	}
	o.Lock, err = b.newLock(bkt, in.ObjectLockMode, in.ObjectLockRetainUntilDate, in.ObjectLockLegalHoldStatus)
	return o, err
}

// copyWithin completes o as a copy that shares segments with src.
func (b *Backend) copyWithin(ctx context.Context, in s3response.CopyObjectInput, src, o metabase.Object) (metabase.Object, error) {
	o.Size, o.ETag, o.Checksum, o.Parts = src.Size, src.ETag, src.Checksum, src.Parts
	for _, e := range src.Extents {
		if e.IsInline {
			copied, err := b.copyInline(src, o.Key, e)
			if err != nil {
				return o, err
			}
			o.Extents = append(o.Extents, copied)
			continue
		}
		e, err := b.vault.rewrap(o.Bucket, src.Key, o.Key, e)
		if err != nil {
			return o, err
		}
		o.Extents = append(o.Extents, e)
	}
	if a := in.ChecksumAlgorithm; a != "" && string(a) != src.Checksum.Algorithm {
		sum, err := b.digest(ctx, src, a)
		if err != nil {
			return o, err
		}
		// Checksums of parts were of the other algorithm.
		o.Checksum, o.Parts = sum, clearChecksums(o.Parts)
	}
	copied, err := b.db.CopyObject(ctx, o, nil)
	if errors.Is(err, metabase.ErrNoSegment) {
		return o, s3err.GetAPIError(s3err.ErrNoSuchKey) // the source went meanwhile
	}
	return copied, err
}

func clearChecksums(parts []metabase.PartInfo) []metabase.PartInfo {
	out := append([]metabase.PartInfo(nil), parts...)
	for i := range out {
		out[i].Checksum = ""
	}
	return out
}

// copyInline seals an inline extent of src anew for another key of its bucket.
func (b *Backend) copyInline(src metabase.Object, key string, e metabase.Extent) (metabase.Extent, error) {
	dk, err := b.vault.open(src.Bucket, src.Key, e)
	if err != nil {
		return e, err
	}
	plain, err := b.vault.openInline(e, dk)
	if err != nil {
		return e, err
	}
	fresh, dk, err := b.vault.fresh(src.Bucket, key)
	if err != nil {
		return e, err
	}
	err = b.vault.sealInline(&fresh, dk, plain)
	return fresh, err
}

// digest reads an object to compute a checksum that it does not have yet.
func (b *Backend) digest(ctx context.Context, o metabase.Object, a types.ChecksumAlgorithm) (metabase.Checksum, error) {
	data, err := b.read(ctx, o, 0, o.Size)
	if err != nil {
		return metabase.Checksum{}, err
	}
	defer data.Close()
	body, err := newIntake(data, metabase.Checksum{Algorithm: string(a)})
	if err != nil {
		return metabase.Checksum{}, err
	}
	defer body.close()
	if _, err := io.Copy(io.Discard, body); err != nil {
		return metabase.Checksum{}, fmt.Errorf("computing the %s checksum of %s/%s: %w", a, o.Bucket, o.Key, err)
	}
	return body.sum(string(a)), nil
}

// copyAcross completes o as a copy into another bucket.
func (b *Backend) copyAcross(ctx context.Context, in s3response.CopyObjectInput, src metabase.Object, bkt metabase.Bucket, o metabase.Object) (metabase.Object, error) {
	algorithm := in.ChecksumAlgorithm
	if algorithm == "" {
		algorithm = types.ChecksumAlgorithm(src.Checksum.Algorithm)
	}
	if algorithm == "" {
		algorithm = defaultAlgorithm
	}
	data, err := b.read(ctx, src, 0, src.Size)
	if err != nil {
		return o, err
	}
	defer data.Close()
	body, err := newIntake(data, metabase.Checksum{Algorithm: string(algorithm)})
	if err != nil {
		return o, err
	}
	defer body.close()
	extent, segs, err := b.store(ctx, bkt, o.Key, body)
	if err == nil && body.n != src.Size {
		err = fmt.Errorf("copying %s/%s: %d of %d bytes came", src.Bucket, src.Key, body.n, src.Size)
	}
	if err == nil {
		o.Size, o.ETag, o.Checksum, o.Extents = body.n, body.etag(), body.sum(string(algorithm)), extents(extent)
		o, err = b.db.PutObject(ctx, o, segs, nil)
	}
	if err != nil {
		b.release(segs)
	}
	return o, err
}
