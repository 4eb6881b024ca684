package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/cairn-network/cairn/devnet"
)

// measureSmall puts many objects of 4 KiB and lists them in pages of 1,000.
func measureSmall(ctx context.Context, s *settings) ([]table, error) {
	var tables []table
	err := withNetwork(ctx, s, devnet.Config{Storage: 12}, func(ctx context.Context, _ *devnet.Network, c *s3.Client) error {
		bucket := "small"
		if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
			return fmt.Errorf("creating a bucket: %w", err)
		}
		t := table{Title: fmt.Sprintf("%d objects", s.count)}
		for _, kind := range []struct {
			name string
			size int
			goal string
		}{{"inline (4 KiB)", 4 << 10, ">= 300"}, {"small class (16 KiB)", 16 << 10, ""}} {
			body := noise(kind.size)
			group, each := errgroup.WithContext(ctx)
			group.SetLimit(32)
			used, begin := cpu(), time.Now()
			for i := range s.count {
				group.Go(func() error {
					key := fmt.Sprintf("%d/%06d", kind.size, i)
					_, err := c.PutObject(each, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)}, unsigned)
					if err != nil {
						return fmt.Errorf("putting %s: %w", key, err)
					}
					return nil
				})
			}
			if err := group.Wait(); err != nil {
				return err
			}
			spent, wall := cpu()-used, time.Since(begin)
			t.Rows = append(t.Rows,
				row{What: "put " + kind.name + ", two quiet cores", Value: 2 * float64(s.count) / spent.Seconds(), Unit: "objects/s", Goal: kind.goal, Note: "acknowledged and durable; client's CPU included"},
				row{What: "put " + kind.name + ", seen", Value: float64(s.count) / wall.Seconds(), Unit: "objects/s", Note: "32 at a time; wall time"})
		}
		var slowest, sum time.Duration
		pages, used := 0, cpu()
		pager := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &bucket})
		for pager.HasMorePages() {
			begin := time.Now()
			if _, err := pager.NextPage(ctx); err != nil {
				return fmt.Errorf("listing: %w", err)
			}
			took := time.Since(begin)
			slowest, sum, pages = max(slowest, took), sum+took, pages+1
		}
		t.Rows = append(t.Rows,
			row{What: "list a page of 1,000, CPU", Value: float64((cpu() - used).Milliseconds()) / float64(pages), Unit: "ms", Goal: "< 200"},
			row{What: "list a page of 1,000, mean", Value: float64(sum.Milliseconds()) / float64(pages), Unit: "ms", Goal: "< 200"},
			row{What: "list a page of 1,000, slowest", Value: float64(slowest.Milliseconds()), Unit: "ms", Goal: "< 200"})
		tables = append(tables, t)
		return nil
	})
	return tables, err
}
