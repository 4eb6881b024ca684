package s3

import (
	"context"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

// DeleteObject implements backend.Backend.
func (b *Backend) DeleteObject(ctx context.Context, in *awss3.DeleteObjectInput) (*awss3.DeleteObjectOutput, error) {
	key, err := checkKey(in.Key)
	if err != nil {
		return nil, err
	}
	version, err := checkVersion(in.VersionId)
	if err != nil {
		return nil, err
	}
	cond := func(current *metabase.Object) error {
		if current == nil {
			return nil
		}
		if version != "" && held(*current, b.now()) {
			return s3err.GetAPIError(s3err.ErrObjectLocked)
		}
		return backend.EvaluateObjectDeletePreconditions(current.ETag, current.CreatedAt, current.Size, backend.ObjectDeletePreconditions{
			IfMatch: in.IfMatch, IfMatchLastModTime: in.IfMatchLastModifiedTime, IfMatchSize: in.IfMatchSize,
		})
	}
	d, err := b.db.DeleteObject(ctx, *in.Bucket, key, version, cond)
	if err != nil {
		return nil, b.answer(err, where{bucket: *in.Bucket, key: key, version: version})
	}
	out := &awss3.DeleteObjectOutput{}
	switch {
	case version != "":
		out.VersionId, out.DeleteMarker = &version, &d.DeleteMarker
	case d.DeleteMarker:
		out.DeleteMarker = ptr(true)
		out.VersionId = ptr(metabase.Object{Version: d.Version, Null: d.Null}.VersionName())
	}
	return out, nil
}

// held says whether object lock keeps a version from everybody. Retention in
// governance mode is not among it: whom that binds is versitygw's to decide.
func held(o metabase.Object, now time.Time) bool {
	if o.Lock.LegalHold != nil && *o.Lock.LegalHold {
		return true
	}
	mode, until, _ := lockHeaders(o)
	return mode == types.ObjectLockModeCompliance && until != nil && now.Before(*until)
}

// DeleteObjects implements backend.Backend.
func (b *Backend) DeleteObjects(ctx context.Context, in *awss3.DeleteObjectsInput) (s3response.DeleteResult, error) {
	var res s3response.DeleteResult
	for _, id := range in.Delete.Objects {
		out, err := b.DeleteObject(ctx, &awss3.DeleteObjectInput{
			Bucket: in.Bucket, Key: id.Key, VersionId: id.VersionId,
			IfMatch: id.ETag, IfMatchLastModifiedTime: id.LastModifiedTime, IfMatchSize: id.Size,
		})
		if err != nil {
			res.Error = append(res.Error, s3err.ObjectDeleteError(id.Key, id.VersionId, err))
			continue
		}
		d := types.DeletedObject{Key: id.Key, VersionId: id.VersionId, DeleteMarker: out.DeleteMarker}
		if out.DeleteMarker != nil && *out.DeleteMarker {
			d.DeleteMarkerVersionId = out.VersionId
		}
		res.Deleted = append(res.Deleted, d)
	}
	return res, nil
}
