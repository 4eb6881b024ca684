package s3

import (
	"context"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3response"

	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

func limit(n *int32) int {
	if n == nil {
		return 1000
	}
	return int(*n)
}

// ListObjects implements backend.Backend.
func (b *Backend) ListObjects(ctx context.Context, in *awss3.ListObjectsInput) (s3response.ListObjectsResult, error) {
	page, owner, err := b.list(ctx, metabase.ListQuery{
		Bucket: *in.Bucket, Prefix: str(in.Prefix), Delimiter: str(in.Delimiter), After: str(in.Marker), Limit: limit(in.MaxKeys),
	})
	if err != nil {
		return s3response.ListObjectsResult{}, err
	}
	return s3response.ListObjectsResult{
		Name: in.Bucket, Prefix: optional(str(in.Prefix)), Delimiter: optional(str(in.Delimiter)), Marker: optional(str(in.Marker)),
		MaxKeys: ptr(int32(limit(in.MaxKeys))), IsTruncated: &page.Truncated, NextMarker: optional(page.Next),
		Contents: contents(page.Objects, owner), CommonPrefixes: prefixes(page.Prefixes),
	}, nil
}

// ListObjectsV2 implements backend.Backend.
func (b *Backend) ListObjectsV2(ctx context.Context, in *awss3.ListObjectsV2Input) (s3response.ListObjectsV2Result, error) {
	page, owner, err := b.list(ctx, metabase.ListQuery{
		Bucket: *in.Bucket, Prefix: str(in.Prefix), Delimiter: str(in.Delimiter),
		After: max(str(in.StartAfter), str(in.ContinuationToken)), Limit: limit(in.MaxKeys),
	})
	if err != nil {
		return s3response.ListObjectsV2Result{}, err
	}
	if in.FetchOwner == nil || !*in.FetchOwner {
		owner = nil
	}
	return s3response.ListObjectsV2Result{
		Name: in.Bucket, Prefix: optional(str(in.Prefix)), Delimiter: optional(str(in.Delimiter)), StartAfter: optional(str(in.StartAfter)),
		ContinuationToken: optional(str(in.ContinuationToken)), NextContinuationToken: optional(page.Next),
		MaxKeys: ptr(int32(limit(in.MaxKeys))), KeyCount: ptr(int32(len(page.Objects) + len(page.Prefixes))), IsTruncated: &page.Truncated,
		Contents: contents(page.Objects, owner), CommonPrefixes: prefixes(page.Prefixes),
	}, nil
}

// list returns a page and the owner that its objects are shown with: as bucket
// ownership is enforced, the bucket's.
func (b *Backend) list(ctx context.Context, q metabase.ListQuery) (metabase.ListPage, *types.Owner, error) {
	page, err := b.db.ListObjects(ctx, q)
	if err != nil {
		return page, nil, b.answer(err, where{bucket: q.Bucket})
	}
	owner, err := b.owner(ctx, q.Bucket)
	return page, owner, err
}

func (b *Backend) owner(ctx context.Context, bucket string) (*types.Owner, error) {
	bkt, err := b.bucket(ctx, bucket)
	if err != nil {
		return nil, err
	}
	id, err := ownerOf(bkt.ACL)
	if err != nil {
		return nil, b.answer(err, where{bucket: bucket})
	}
	return &types.Owner{ID: &id}, nil
}

func contents(objects []metabase.Object, owner *types.Owner) []s3response.Object {
	out := make([]s3response.Object, len(objects))
	for i := range objects {
		o := &objects[i]
		out[i] = s3response.Object{
			Key: &o.Key, ETag: ptr(quoted(o.ETag)), LastModified: &o.CreatedAt, Size: &o.Size, Owner: owner,
			StorageClass: types.ObjectStorageClassStandard, ChecksumType: types.ChecksumType(o.Checksum.Type),
			ChecksumAlgorithm: []types.ChecksumAlgorithm{types.ChecksumAlgorithm(o.Checksum.Algorithm)},
		}
	}
	return out
}

func prefixes(list []string) []types.CommonPrefix {
	out := make([]types.CommonPrefix, len(list))
	for i := range list {
		out[i].Prefix = &list[i]
	}
	return out
}

// ListObjectVersions implements backend.Backend.
func (b *Backend) ListObjectVersions(ctx context.Context, in *awss3.ListObjectVersionsInput) (s3response.ListVersionsResult, error) {
	var res s3response.ListVersionsResult
	page, err := b.db.ListVersions(ctx, metabase.VersionQuery{
		Bucket: *in.Bucket, Prefix: str(in.Prefix), Delimiter: str(in.Delimiter),
		AfterKey: str(in.KeyMarker), AfterVersion: str(in.VersionIdMarker), Limit: limit(in.MaxKeys),
	})
	if err != nil {
		return res, b.answer(err, where{bucket: *in.Bucket})
	}
	owner, err := b.owner(ctx, *in.Bucket)
	if err != nil {
		return res, err
	}
	res = s3response.ListVersionsResult{
		Name: in.Bucket, Prefix: ptr(str(in.Prefix)), Delimiter: ptr(str(in.Delimiter)), KeyMarker: ptr(str(in.KeyMarker)),
		VersionIdMarker: ptr(str(in.VersionIdMarker)), MaxKeys: ptr(int32(limit(in.MaxKeys))), IsTruncated: &page.Truncated,
		NextKeyMarker: ptr(""), NextVersionIdMarker: ptr(""), CommonPrefixes: prefixes(page.Prefixes),
	}
	if page.Truncated {
		res.NextKeyMarker, res.NextVersionIdMarker = &page.NextKey, &page.NextVersion
	}
	for i := range page.Versions {
		o := &page.Versions[i]
		version := ptr(o.VersionName())
		if o.DeleteMarker {
			res.DeleteMarkers = append(res.DeleteMarkers, types.DeleteMarkerEntry{
				Key: &o.Key, VersionId: version, IsLatest: &o.Latest, LastModified: &o.CreatedAt, Owner: owner,
			})
			continue
		}
		res.Versions = append(res.Versions, s3response.ObjectVersion{
			Key: &o.Key, VersionId: version, IsLatest: &o.Latest, LastModified: &o.CreatedAt, Owner: owner,
			ETag: ptr(quoted(o.ETag)), Size: &o.Size, StorageClass: types.ObjectVersionStorageClassStandard,
			ChecksumType:      types.ChecksumType(o.Checksum.Type),
			ChecksumAlgorithm: []types.ChecksumAlgorithm{types.ChecksumAlgorithm(o.Checksum.Algorithm)},
		})
	}
	return res, nil
}
