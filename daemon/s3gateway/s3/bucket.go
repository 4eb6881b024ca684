package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

func (b *Backend) bucket(ctx context.Context, name string) (metabase.Bucket, error) {
	bkt, err := b.db.Bucket(ctx, name)
	return bkt, b.answer(err, where{bucket: name})
}

// configure edits a bucket's configuration.
func (b *Backend) configure(ctx context.Context, name string, fn func(*metabase.Bucket) error) error {
	return b.answer(b.db.UpdateBucket(ctx, name, fn), where{bucket: name})
}

// document reads a configuration document, or answers missing where it is not set.
func (b *Backend) document(ctx context.Context, name string, pick func(metabase.Bucket) []byte, missing s3err.ErrorCode) ([]byte, error) {
	bkt, err := b.bucket(ctx, name)
	if err != nil {
		return nil, err
	}
	doc := pick(bkt)
	if doc == nil {
		return nil, s3err.GetBucketErr(missing, name)
	}
	return doc, nil
}

func ownerOf(acl []byte) (string, error) {
	parsed, err := auth.ParseACL(acl)
	if err != nil {
		return "", fmt.Errorf("reading a bucket's ACL: %w", err)
	}
	return parsed.Owner, nil
}

// ListBuckets implements backend.Backend.
func (b *Backend) ListBuckets(ctx context.Context, in s3response.ListBucketsInput) (s3response.ListAllMyBucketsResult, error) {
	res := s3response.ListAllMyBucketsResult{Owner: s3response.CanonicalUser{ID: in.Owner}, Prefix: in.Prefix}
	keep := func(bkt metabase.Bucket) bool {
		owner, err := ownerOf(bkt.ACL)
		return in.IsAdmin || err == nil && owner == in.Owner
	}
	list, more, err := b.db.Buckets(ctx, in.Prefix, in.ContinuationToken, int(in.MaxBuckets), keep)
	if err != nil {
		return res, b.answer(err, where{})
	}
	for _, bkt := range list {
		res.Buckets.Bucket = append(res.Buckets.Bucket, s3response.ListAllMyBucketsEntry{Name: bkt.Name, CreationDate: bkt.CreatedAt})
	}
	if more && len(list) > 0 {
		res.ContinuationToken = list[len(list)-1].Name
	}
	return res, nil
}

// ListBucketsAndOwners implements backend.Backend.
func (b *Backend) ListBucketsAndOwners(ctx context.Context) (out []s3response.Bucket, err error) {
	var after string
	for {
		list, more, err := b.db.Buckets(ctx, "", after, 1000, nil)
		if err != nil {
			return nil, b.answer(err, where{})
		}
		for _, bkt := range list {
			owner, err := ownerOf(bkt.ACL)
			if err != nil {
				return nil, b.answer(err, where{bucket: bkt.Name})
			}
			out = append(out, s3response.Bucket{Name: bkt.Name, Owner: owner})
			after = bkt.Name
		}
		if !more {
			return out, nil
		}
	}
}

// HeadBucket implements backend.Backend.
func (b *Backend) HeadBucket(ctx context.Context, in *awss3.HeadBucketInput) (*awss3.HeadBucketOutput, error) {
	if _, err := b.bucket(ctx, *in.Bucket); err != nil {
		return nil, err
	}
	return &awss3.HeadBucketOutput{}, nil
}

// CreateBucket implements backend.Backend.
func (b *Backend) CreateBucket(ctx context.Context, in *awss3.CreateBucketInput, acl []byte) error {
	name := *in.Bucket
	owner, err := ownerOf(acl)
	if err != nil {
		return b.answer(err, where{bucket: name})
	}
	bkt := metabase.Bucket{Name: name, Owner: owner, ACL: acl, Ownership: string(in.ObjectOwnership)}
	if in.CreateBucketConfiguration != nil {
		if bkt.Tags, err = backend.ParseCreateBucketTags(in.CreateBucketConfiguration.Tags); err != nil {
			return err
		}
	}
	if in.ObjectLockEnabledForBucket != nil && *in.ObjectLockEnabledForBucket {
		// Object lock needs versions to protect.
		bkt.Versioning = metabase.VersioningEnabled
		now := b.now()
		if bkt.ObjectLock, err = json.Marshal(auth.BucketLockConfig{Enabled: true, CreatedAt: &now}); err != nil {
			return b.answer(err, where{bucket: name})
		}
	}
	err = b.db.CreateBucket(ctx, bkt)
	if !errors.Is(err, metabase.ErrBucketExists) {
		return b.answer(err, where{bucket: name})
	}
	existing, err := b.bucket(ctx, name)
	if err != nil {
		return err
	}
	if had, err := ownerOf(existing.ACL); err == nil && had == owner {
		return s3err.GetBucketErr(s3err.ErrBucketAlreadyOwnedByYou, name)
	}
	return s3err.GetBucketErr(s3err.ErrBucketAlreadyExists, name)
}

// DeleteBucket implements backend.Backend.
func (b *Backend) DeleteBucket(ctx context.Context, bucket string) error {
	err := b.db.DeleteBucket(ctx, bucket)
	if errors.Is(err, metabase.ErrBucketNotEmpty) {
		bkt, berr := b.bucket(ctx, bucket)
		if berr == nil && bkt.Versioning != metabase.Unversioned {
			return s3err.GetBucketErr(s3err.ErrVersionedBucketNotEmpty, bucket)
		}
	}
	return b.answer(err, where{bucket: bucket})
}

// GetBucketAcl implements backend.Backend.
func (b *Backend) GetBucketAcl(ctx context.Context, in *awss3.GetBucketAclInput) ([]byte, error) {
	bkt, err := b.bucket(ctx, *in.Bucket)
	if err != nil {
		return nil, err
	}
	if bkt.ACL == nil {
		return []byte{}, nil
	}
	return bkt.ACL, nil
}

// PutBucketAcl implements backend.Backend.
func (b *Backend) PutBucketAcl(ctx context.Context, bucket string, data []byte) error {
	return b.configure(ctx, bucket, func(bkt *metabase.Bucket) error { bkt.ACL = data; return nil })
}

// ChangeBucketOwner implements backend.Backend.
func (b *Backend) ChangeBucketOwner(ctx context.Context, bucket, owner string) error {
	err := auth.UpdateBucketACLOwner(ctx, b, bucket, owner)
	if err != nil {
		return err
	}
	return b.configure(ctx, bucket, func(bkt *metabase.Bucket) error { bkt.Owner = owner; return nil })
}

// PutBucketVersioning implements backend.Backend.
func (b *Backend) PutBucketVersioning(ctx context.Context, bucket string, status types.BucketVersioningStatus) error {
	return b.configure(ctx, bucket, func(bkt *metabase.Bucket) error {
		switch status {
		case types.BucketVersioningStatusEnabled:
			bkt.Versioning = metabase.VersioningEnabled
		case types.BucketVersioningStatusSuspended:
			if locked, err := lockEnabled(*bkt); err != nil || locked {
				if err == nil {
					err = s3err.GetAPIError(s3err.ErrSuspendedVersioningNotAllowed)
				}
				return err
			}
			bkt.Versioning = metabase.VersioningSuspended
		default:
			return s3err.GetAPIError(s3err.ErrMalformedXML)
		}
		return nil
	})
}

// GetBucketVersioning implements backend.Backend.
func (b *Backend) GetBucketVersioning(ctx context.Context, bucket string) (s3response.GetBucketVersioningOutput, error) {
	var out s3response.GetBucketVersioningOutput
	bkt, err := b.bucket(ctx, bucket)
	if err != nil {
		return out, err
	}
	switch bkt.Versioning {
	case metabase.VersioningEnabled:
		out.Status = ptr(types.BucketVersioningStatusEnabled)
	case metabase.VersioningSuspended:
		out.Status = ptr(types.BucketVersioningStatusSuspended)
	}
	return out, nil
}

// PutBucketPolicy implements backend.Backend.
func (b *Backend) PutBucketPolicy(ctx context.Context, bucket string, policy []byte) error {
	return b.configure(ctx, bucket, func(bkt *metabase.Bucket) error { bkt.Policy = policy; return nil })
}

// GetBucketPolicy implements backend.Backend.
func (b *Backend) GetBucketPolicy(ctx context.Context, bucket string) ([]byte, error) {
	return b.document(ctx, bucket, func(bkt metabase.Bucket) []byte { return bkt.Policy }, s3err.ErrNoSuchBucketPolicy)
}

// DeleteBucketPolicy implements backend.Backend.
func (b *Backend) DeleteBucketPolicy(ctx context.Context, bucket string) error {
	return b.PutBucketPolicy(ctx, bucket, nil)
}

// PutBucketOwnershipControls implements backend.Backend.
func (b *Backend) PutBucketOwnershipControls(ctx context.Context, bucket string, ownership types.ObjectOwnership) error {
	return b.configure(ctx, bucket, func(bkt *metabase.Bucket) error { bkt.Ownership = string(ownership); return nil })
}

// GetBucketOwnershipControls implements backend.Backend.
func (b *Backend) GetBucketOwnershipControls(ctx context.Context, bucket string) (types.ObjectOwnership, error) {
	bkt, err := b.bucket(ctx, bucket)
	if err != nil {
		return "", err
	}
	if bkt.Ownership == "" {
		return "", s3err.GetBucketErr(s3err.ErrOwnershipControlsNotFound, bucket)
	}
	return types.ObjectOwnership(bkt.Ownership), nil
}

// DeleteBucketOwnershipControls implements backend.Backend.
func (b *Backend) DeleteBucketOwnershipControls(ctx context.Context, bucket string) error {
	return b.PutBucketOwnershipControls(ctx, bucket, "")
}

// PutBucketCors implements backend.Backend.
func (b *Backend) PutBucketCors(ctx context.Context, bucket string, cors []byte) error {
	return b.configure(ctx, bucket, func(bkt *metabase.Bucket) error { bkt.CORS = cors; return nil })
}

// GetBucketCors implements backend.Backend.
func (b *Backend) GetBucketCors(ctx context.Context, bucket string) ([]byte, error) {
	return b.document(ctx, bucket, func(bkt metabase.Bucket) []byte { return bkt.CORS }, s3err.ErrNoSuchCORSConfiguration)
}

// DeleteBucketCors implements backend.Backend.
func (b *Backend) DeleteBucketCors(ctx context.Context, bucket string) error {
	return b.PutBucketCors(ctx, bucket, nil)
}

// PutBucketWebsite implements backend.Backend.
func (b *Backend) PutBucketWebsite(ctx context.Context, bucket string, website []byte) error {
	return b.configure(ctx, bucket, func(bkt *metabase.Bucket) error { bkt.Website = website; return nil })
}

// GetBucketWebsite implements backend.Backend.
func (b *Backend) GetBucketWebsite(ctx context.Context, bucket string) ([]byte, error) {
	return b.document(ctx, bucket, func(bkt metabase.Bucket) []byte { return bkt.Website }, s3err.ErrNoSuchWebsiteConfiguration)
}

// DeleteBucketWebsite implements backend.Backend.
func (b *Backend) DeleteBucketWebsite(ctx context.Context, bucket string) error {
	return b.PutBucketWebsite(ctx, bucket, nil)
}

// PutBucketTagging implements backend.Backend.
func (b *Backend) PutBucketTagging(ctx context.Context, bucket string, tags map[string]string) error {
	return b.configure(ctx, bucket, func(bkt *metabase.Bucket) error { bkt.Tags = tags; return nil })
}

// GetBucketTagging implements backend.Backend.
func (b *Backend) GetBucketTagging(ctx context.Context, bucket string) (map[string]string, error) {
	bkt, err := b.bucket(ctx, bucket)
	if err != nil {
		return nil, err
	}
	if bkt.Tags == nil {
		return nil, s3err.GetBucketErr(s3err.ErrBucketTaggingNotFound, bucket)
	}
	return bkt.Tags, nil
}

// DeleteBucketTagging implements backend.Backend.
func (b *Backend) DeleteBucketTagging(ctx context.Context, bucket string) error {
	return b.PutBucketTagging(ctx, bucket, nil)
}

// lockConfig is a bucket's object lock configuration; zero when it has none.
func lockConfig(bkt metabase.Bucket) (cfg auth.BucketLockConfig, err error) {
	if bkt.ObjectLock == nil {
		return cfg, nil
	}
	if err := json.Unmarshal(bkt.ObjectLock, &cfg); err != nil {
		return cfg, fmt.Errorf("reading the object lock configuration of %s: %w", bkt.Name, err)
	}
	return cfg, nil
}

// lockEnabled says whether object lock is on in a bucket.
func lockEnabled(bkt metabase.Bucket) (bool, error) {
	cfg, err := lockConfig(bkt)
	return cfg.Enabled, err
}

// PutObjectLockConfiguration implements backend.Backend.
func (b *Backend) PutObjectLockConfiguration(ctx context.Context, bucket string, config []byte) error {
	return b.configure(ctx, bucket, func(bkt *metabase.Bucket) error {
		if bkt.Versioning != metabase.VersioningEnabled {
			return s3err.GetAPIError(s3err.ErrObjectLockConfigurationNotAllowed)
		}
		bkt.ObjectLock = config
		return nil
	})
}

// GetObjectLockConfiguration implements backend.Backend.
func (b *Backend) GetObjectLockConfiguration(ctx context.Context, bucket string) ([]byte, error) {
	return b.document(ctx, bucket, func(bkt metabase.Bucket) []byte { return bkt.ObjectLock }, s3err.ErrObjectLockConfigurationNotFound)
}
