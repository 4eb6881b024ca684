package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/cairn-network/cairn/devnet"
)

// idleFor is how long the idle network is watched.
const idleFor = 60 * time.Second

// measureIdle gives memory and CPU of a network of twelve nodes after a large put, doing nothing.
func measureIdle(ctx context.Context, s *settings) ([]table, error) {
	var tables []table
	err := withNetwork(ctx, s, devnet.Config{Storage: 12}, func(ctx context.Context, _ *devnet.Network, c *s3.Client) error {
		bucket := "idle"
		if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
			return fmt.Errorf("creating a bucket: %w", err)
		}
		if err := putLarge(ctx, c, bucket, "large", s.size, noise(partSize)); err != nil {
			return err
		}
		after, _ := resident()
		_, spent, watched, err := profiled(s, "idle", func() error {
			timer := time.NewTimer(idleFor)
			defer timer.Stop()
			select {
			case <-timer.C:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil {
			return err
		}
		idle, peak := resident()
		tables = append(tables, table{Title: "twelve nodes, chain, gateway and page in one process", Rows: []row{
			{What: "resident after the put", Value: after / 1e6, Unit: "MB", Goal: "< 1000"},
			{What: "resident when idle", Value: idle / 1e6, Unit: "MB"},
			{What: "peak", Value: peak / 1e6, Unit: "MB"},
			{What: "CPU when idle", Value: 100 * spent.Seconds() / watched.Seconds(), Unit: "% of a core", Goal: "< 15"},
		}})
		return nil
	})
	return tables, err
}
