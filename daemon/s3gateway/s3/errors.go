package s3

import (
	"errors"

	"github.com/versity/versitygw/s3err"

	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
)

// Fault is an engine error with an answer for the client. Engines wrap theirs
// in it, or the gateway's Config.Explain makes it from them.
type Fault struct {
	Code    string // S3 error code
	Status  int    // HTTP
	Message string // what was wrong, with what value, and what to do next
}

func (f Fault) Error() string { return f.Message }

// where names the resource of a request for error answers.
type where struct{ bucket, key, version, upload string }

// answer turns err into what the client is told. Unknown errors are logged.
func (b *Backend) answer(err error, at where) error {
	if err == nil {
		return nil
	}
	if s3e, ok := asS3Error(err); ok {
		return s3e
	}
	switch {
	case errors.Is(err, metabase.ErrNoBucket):
		return s3err.GetBucketErr(s3err.ErrNoSuchBucket, at.bucket)
	case errors.Is(err, metabase.ErrBucketNotEmpty):
		return s3err.GetBucketErr(s3err.ErrBucketNotEmpty, at.bucket)
	case errors.Is(err, metabase.ErrNoObject):
		return s3err.GetAPIError(s3err.ErrNoSuchKey)
	case errors.Is(err, metabase.ErrNoVersion):
		return s3err.GetNoSuchVersionErr(at.key, at.version)
	case errors.Is(err, metabase.ErrNoUpload):
		return s3err.GetNoSuchUploadErr(at.upload)
	}
	if f, ok := b.explain(err); ok {
		b.log.Warn("storage refused a request", "bucket", at.bucket, "key", at.key, "error", err)
		return s3err.APIError{Code: f.Code, Description: f.Message, HTTPStatusCode: f.Status}
	}
	b.log.Error("request failed", "bucket", at.bucket, "key", at.key, "error", err)
	return s3err.GetAPIError(s3err.ErrInternalError)
}

func asS3Error(err error) (s3err.S3Error, bool) {
	var s3e s3err.S3Error
	ok := errors.As(err, &s3e)
	return s3e, ok
}

func (b *Backend) explain(err error) (Fault, bool) {
	var f Fault
	if errors.As(err, &f) {
		return f, true
	}
	if b.faults != nil {
		return b.faults(err)
	}
	return Fault{}, false
}
