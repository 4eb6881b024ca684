package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/cairn-network/cairn/devnet"
)

// withNetwork runs f against a fresh network in this process, so that its CPU time and profile
// are this process's.
func withNetwork(ctx context.Context, s *settings, config devnet.Config, f func(context.Context, *devnet.Network, *s3.Client) error) error {
	home, err := os.MkdirTemp("", "cairn-bench")
	if err != nil {
		return fmt.Errorf("making a home: %w", err)
	}
	defer os.RemoveAll(home)
	config.Home, config.PortBase = home, s.portBase
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var failed error
	err = devnet.Run(ctx, config, func(ctx context.Context, n *devnet.Network) error {
		failed = f(ctx, n, client(n.Ready().S3))
		stop()
		return nil
	})
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(failed, err)
}

func client(to devnet.S3) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &to.Endpoint, Region: to.Region, UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider(to.AccessKey, to.SecretKey, ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
}

// cpu is the CPU time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const partSize = 64 << 20

// putLarge uploads size bytes of noise as a multipart object, four parts at a time.
func putLarge(ctx context.Context, c *s3.Client, bucket, key string, size int64, noise []byte) error {
	upload, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return fmt.Errorf("starting an upload: %w", err)
	}
	parts := make([]types.CompletedPart, (size+partSize-1)/partSize)
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for i := range parts {
		group.Go(func() error {
			n := min(partSize, size-int64(i)*partSize)
			number := int32(i + 1)
			done, err := c.UploadPart(each, &s3.UploadPartInput{
				Bucket: &bucket, Key: &key, UploadId: upload.UploadId, PartNumber: &number,
				Body: bytes.NewReader(noise[:n]), ContentLength: &n,
			}, unsigned)
			if err != nil {
				return fmt.Errorf("uploading part %d: %w", number, err)
			}
			parts[i] = types.CompletedPart{ETag: done.ETag, PartNumber: &number}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	_, err = c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: &key, UploadId: upload.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if err != nil {
		return fmt.Errorf("completing an upload: %w", err)
	}
	return nil
}

// getLarge reads an object back in ranges, four at a time, and drops the bytes.
func getLarge(ctx context.Context, c *s3.Client, bucket, key string, size int64) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for off := int64(0); off < size; off += partSize {
		group.Go(func() error {
			span := fmt.Sprintf("bytes=%d-%d", off, min(off+partSize, size)-1)
			got, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key, Range: &span})
			if err != nil {
				return fmt.Errorf("reading %s: %w", span, err)
			}
			defer got.Body.Close()
			if _, err := io.Copy(io.Discard, got.Body); err != nil {
				return fmt.Errorf("reading %s: %w", span, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// unsigned leaves the body out of the request's signature, as clients do over TLS: the client's
// own hashing is not what is measured.
func unsigned(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

func noise(size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}
