package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/pprof/profile"

	"github.com/cairn-network/cairn/devnet"
)

// measureEndToEnd puts and gets one large object at 8/14/20 through a whole network in this
// process: renter, gateway, twenty-five providers (from which the class is 8/14/20), chain and client share the CPU time given.
func measureEndToEnd(ctx context.Context, s *settings) ([]table, error) {
	var tables []table
	err := withNetwork(ctx, s, devnet.Config{Storage: 25}, func(ctx context.Context, n *devnet.Network, c *s3.Client) error {
		bucket := "bench"
		if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
			return fmt.Errorf("creating a bucket: %w", err)
		}
		body := noise(partSize)
		if err := putLarge(ctx, c, bucket, "warm-up", partSize, body); err != nil {
			return err
		}
		floor, limit, err := measureFloor(ctx, s.out)
		if err != nil {
			return err
		}
		put, err := measured(s, "put", func() error { return putLarge(ctx, c, bucket, "large", s.size, body) })
		if err != nil {
			return err
		}
		_, peak := resident()
		get, err := measured(s, "get", func() error { return getLarge(ctx, c, bucket, "large", s.size) })
		if err != nil {
			return err
		}
		now, _ := resident()
		memory := table{Title: "memory of the whole network in one process", Rows: []row{
			{What: "peak while putting", Value: peak / 1e6, Unit: "MB", Goal: "< 1000"},
			{What: "resident after put and get", Value: now / 1e6, Unit: "MB", Goal: "< 1000"},
		}}
		put[0].Rows = append(put[0].Rows, row{What: "of the floor below", Value: put[0].Rows[0].Value / limit, Unit: "times"})
		tables = append(append(put, floor), append(get, memory)...)
		return nil
	})
	return tables, err
}

// measured runs f under the CPU profiler and gives CPU-seconds per GB, and where they went.
func measured(s *settings, what string, f func() error) ([]table, error) {
	raw, used, wall, err := profiled(s, what, f)
	if err != nil {
		return nil, err
	}
	gb := float64(s.size) / 1e9
	perGB := used.Seconds() / gb
	cost := table{Title: fmt.Sprintf("%s of %.2f GB at 8/14/20", what, gb), Rows: []row{
		{What: "CPU per GB, everything", Value: perGB, Unit: "CPU-s/GB", Goal: "<= 8"},
		{What: "two quiet cores would give", Value: 2000 / perGB, Unit: "MB/s", Goal: ">= 250", Note: "2 cores / CPU per byte"},
		{What: "seen on this machine", Value: float64(s.size) / 1e6 / wall.Seconds(), Unit: "MB/s", Note: "wall time; shared machine"},
	}}
	split, err := attribute(raw, gb)
	if err != nil {
		return nil, err
	}
	split.Title = "where " + what + " spends it"
	return []table{cost, split}, nil
}

// profiled runs f under the CPU profiler and gives the profile, the CPU time and the time that f took.
func profiled(s *settings, what string, f func() error) (raw []byte, used, wall time.Duration, err error) {
	var out bytes.Buffer
	if err := pprof.StartCPUProfile(&out); err != nil {
		return nil, 0, 0, fmt.Errorf("starting the profiler: %w", err)
	}
	before, begin := cpu(), time.Now()
	err = f()
	used, wall = cpu()-before, time.Since(begin)
	pprof.StopCPUProfile()
	if err == nil && s.profiles != "" {
		if err = os.WriteFile(filepath.Join(s.profiles, what+".pprof"), out.Bytes(), 0o644); err != nil {
			err = fmt.Errorf("saving a profile: %w", err)
		}
	}
	return out.Bytes(), used, wall, err
}

// stages name the part of the path that a stack belongs to: the first whose marker appears in any
// frame, innermost stage first.
var stages = []struct{ name, marker string }{
	{"encrypt", "cairn/core/seal."},
	{"code", "cairn/core/erasure."},
	{"code", "klauspost/reedsolomon"},
	{"hash", "zeebo/blake3"},
	{"hash", "cairn/core/piece."},
	{"store", "cairn/daemon/storagenode/store."},
	{"transport", "crypto/tls."},
	{"transport", "cairn/wire/piece."},
	{"client", "main.putLarge"},
	{"client", "main.getLarge"},
	{"client", "aws-sdk-go-v2"},
	{"S3 front (HTTP, MD5)", "fasthttp"},
	{"S3 front (HTTP, MD5)", "crypto/md5"},
	{"S3 front (HTTP, MD5)", "versitygw"},
	{"S3 front (HTTP, MD5)", "net/http"},
	{"chain", "cometbft"},
	{"chain", "cosmos"},
	{"garbage collection", "runtime.gcBgMarkWorker"},
	{"garbage collection", "runtime.bgsweep"},
	{"garbage collection", "runtime.bgscavenge"},
}

// attribute splits a CPU profile over the stages.
func attribute(raw []byte, gb float64) (table, error) {
	p, err := profile.ParseData(raw)
	if err != nil {
		return table{}, fmt.Errorf("reading the profile: %w", err)
	}
	spent := map[string]float64{}
	var total float64
	for _, sample := range p.Sample {
		seconds := float64(sample.Value[len(sample.Value)-1]) / 1e9
		total += seconds
		spent[stageOf(sample)] += seconds
	}
	var t table
	seen := map[string]bool{}
	for _, name := range append(stageNames(), "rest (scheduler, runtime)") {
		if seen[name] || spent[name] == 0 {
			continue
		}
		seen[name] = true
		t.Rows = append(t.Rows, row{What: name, Value: spent[name] / gb, Unit: "CPU-s/GB", Note: fmt.Sprintf("%.0f %%", 100*spent[name]/total)})
	}
	return t, nil
}

func stageNames() []string {
	var names []string
	for _, s := range stages {
		names = append(names, s.name)
	}
	return names
}

func stageOf(sample *profile.Sample) string {
	for _, stage := range stages {
		for _, location := range sample.Location {
			for _, line := range location.Line {
				if line.Function != nil && strings.Contains(line.Function.Name, stage.marker) {
					return stage.name
				}
			}
		}
	}
	return "rest (scheduler, runtime)"
}
