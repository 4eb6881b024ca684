package s3

import (
	"context"

	"github.com/versity/versitygw/s3err"

	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

// describe edits the descriptive fields of one object version.
func (b *Backend) describe(ctx context.Context, bucket, object, versionID string, fn func(metabase.Bucket, *metabase.Object) error) error {
	key, err := checkKey(&object)
	if err != nil {
		return err
	}
	version, err := checkVersion(&versionID)
	if err != nil {
		return err
	}
	err = b.db.UpdateObject(ctx, bucket, key, version, func(bkt metabase.Bucket, o *metabase.Object) error {
		if o.DeleteMarker {
			if version != "" {
				return s3err.GetAPIError(s3err.ErrMethodNotAllowed)
			}
			return s3err.GetAPIError(s3err.ErrNoSuchKey)
		}
		return fn(bkt, o)
	})
	return b.answer(err, where{bucket: bucket, key: key, version: version})
}

// GetObjectTagging implements backend.Backend.
func (b *Backend) GetObjectTagging(ctx context.Context, bucket, object, versionID string) (map[string]string, error) {
	o, _, err := b.version(ctx, bucket, &object, &versionID)
	if err != nil {
		return nil, err
	}
	if o.Tags == nil {
		return map[string]string{}, nil
	}
	return o.Tags, nil
}

// PutObjectTagging implements backend.Backend.
func (b *Backend) PutObjectTagging(ctx context.Context, bucket, object, versionID string, tags map[string]string) error {
	return b.describe(ctx, bucket, object, versionID, func(_ metabase.Bucket, o *metabase.Object) error {
		o.Tags = tags
		return nil
	})
}

// DeleteObjectTagging implements backend.Backend.
func (b *Backend) DeleteObjectTagging(ctx context.Context, bucket, object, versionID string) error {
	return b.PutObjectTagging(ctx, bucket, object, versionID, nil)
}

// requireLock refuses object lock operations in buckets without it.
func requireLock(bkt metabase.Bucket) error {
	on, err := lockEnabled(bkt)
	if err == nil && !on {
		err = s3err.GetAPIError(s3err.ErrMissingObjectLockConfiguration)
	}
	return err
}

// PutObjectRetention implements backend.Backend. Whether a retention may be
// shortened is versitygw's to decide.
func (b *Backend) PutObjectRetention(ctx context.Context, bucket, object, versionID string, retention []byte) error {
	return b.describe(ctx, bucket, object, versionID, func(bkt metabase.Bucket, o *metabase.Object) error {
		if err := requireLock(bkt); err != nil {
			return err
		}
		o.Lock.Retention = retention
		return nil
	})
}

// GetObjectRetention implements backend.Backend.
func (b *Backend) GetObjectRetention(ctx context.Context, bucket, object, versionID string) ([]byte, error) {
	o, err := b.locked(ctx, bucket, object, versionID)
	if err != nil {
		return nil, err
	}
	if o.Lock.Retention == nil {
		return nil, s3err.GetAPIError(s3err.ErrNoSuchObjectLockConfiguration)
	}
	return o.Lock.Retention, nil
}

// locked returns an object version of a bucket with object lock.
func (b *Backend) locked(ctx context.Context, bucket, object, versionID string) (metabase.Object, error) {
	o, bkt, err := b.version(ctx, bucket, &object, &versionID)
	if err != nil {
		return o, err
	}
	return o, b.answer(requireLock(bkt), where{bucket: bucket, key: object})
}

// PutObjectLegalHold implements backend.Backend.
func (b *Backend) PutObjectLegalHold(ctx context.Context, bucket, object, versionID string, status bool) error {
	return b.describe(ctx, bucket, object, versionID, func(bkt metabase.Bucket, o *metabase.Object) error {
		if err := requireLock(bkt); err != nil {
			return err
		}
		o.Lock.LegalHold = &status
		return nil
	})
}

// GetObjectLegalHold implements backend.Backend.
func (b *Backend) GetObjectLegalHold(ctx context.Context, bucket, object, versionID string) (*bool, error) {
	o, err := b.locked(ctx, bucket, object, versionID)
	if err != nil {
		return nil, err
	}
	if o.Lock.LegalHold == nil {
		return nil, s3err.GetAPIError(s3err.ErrNoSuchObjectLockConfiguration)
	}
	return o.Lock.LegalHold, nil
}
