package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/cairn-network/cairn/devnet"
)

// measureProcesses runs each part of a network as a process of its own and gives what the
// gateway takes for a small and a large object, and what nodes take that do nothing.
func measureProcesses(ctx context.Context, s *settings) ([]table, error) {
	bin, err := filepath.Abs(s.binDir)
	if err != nil {
		return nil, fmt.Errorf("finding the programs: %w", err)
	}
	t := table{Title: "memory of processes"}
	config := devnet.Config{Storage: 12, Processes: true, BinDir: bin}
	err = withNetwork(ctx, s, config, func(ctx context.Context, n *devnet.Network, c *s3.Client) error {
		var gateway int
		var idle []float64
		for _, p := range n.Ready().Processes {
			switch p.Role {
			case "gateway":
				gateway = p.PID
			case "storage":
				now, _ := residentOf(p.PID)
				idle = append(idle, now/1e6)
			}
		}
		if gateway == 0 || len(idle) == 0 {
			return fmt.Errorf("no gateway or no storage node among %d processes", len(n.Ready().Processes))
		}
		t.Rows = append(t.Rows, row{What: "storage node before its first piece, median", Value: median(idle), Unit: "MB", Goal: "< 80"})
		bucket := "memory"
		if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
			return fmt.Errorf("creating a bucket: %w", err)
		}
		for _, size := range []int64{s.size / 4, s.size} {
			key := strconv.FormatInt(size, 10)
			if err := putLarge(ctx, c, bucket, key, size, noise(partSize)); err != nil {
				return err
			}
			_, put := residentOf(gateway)
			if err := getLarge(ctx, c, bucket, key, size); err != nil {
				return err
			}
			_, get := residentOf(gateway)
			t.Rows = append(t.Rows,
				row{What: fmt.Sprintf("gateway, most so far, after a put of %d MiB", size>>20), Value: put / 1e6, Unit: "MB", Goal: "< 150"},
				row{What: fmt.Sprintf("gateway, most so far, after a get of %d MiB", size>>20), Value: get / 1e6, Unit: "MB", Goal: "< 150"})
		}
		return nil
	})
	return []table{t}, err
}

// residentOf is the resident set of a process, and its peak, in bytes; zero when it is gone.
func residentOf(pid int) (now, peak float64) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, 0
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		name, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		switch name {
		case "VmRSS":
			now = kib * 1024
		case "VmHWM":
			peak = kib * 1024
		}
	}
	return now, peak
}

// resident is residentOf this process.
func resident() (now, peak float64) { return residentOf(os.Getpid()) }

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
