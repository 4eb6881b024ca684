package s3_test

import (
	"io"

	"github.com/versity/versitygw/s3response"
)

// putInput is a conditional PUT as versitygw hands it to the backend.
func putInput(bucket, key string, body io.Reader, ifNoneMatch *string) s3response.PutObjectInput {
	return s3response.PutObjectInput{Bucket: &bucket, Key: &key, Body: body, IfNoneMatch: ifNoneMatch}
}
