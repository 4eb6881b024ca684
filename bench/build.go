package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// measureBuild gives CPU-seconds of a warm (and with -cold a cold) build, sizes and start-up times.
func measureBuild(ctx context.Context, s *settings) ([]table, error) {
	cost := table{Title: "build (CPU-seconds of go build, both programs)"}
	build := func(what, goal string, env ...string) error {
		dir, err := os.MkdirTemp("", "cairn-build")
		if err != nil {
			return fmt.Errorf("making a directory: %w", err)
		}
		defer os.RemoveAll(dir)
		cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", dir+"/", "./cmd/cairnd", "./cmd/cairn")
		cmd.Env = append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building: %w\n%s", err, out)
		}
		used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		cost.Rows = append(cost.Rows, row{What: what, Value: used.Seconds(), Unit: "CPU-s", Goal: goal})
		return nil
	}
	if s.cold {
		cache, err := os.MkdirTemp("", "cairn-gocache")
		if err != nil {
			return nil, fmt.Errorf("making a build cache: %w", err)
		}
		defer os.RemoveAll(cache)
		if err := build("cold", "< 900", "GOCACHE="+cache); err != nil {
			return nil, err
		}
	}
	if err := build("warm (link only)", ""); err != nil {
		return nil, err
	}

	size := table{Title: "programs"}
	for _, p := range []struct {
		name        string
		args        []string
		mib, millis string
	}{
		{"cairnd", []string{"version"}, "< 120", "< 300"},
		{"cairn", []string{"version"}, "< 100", "< 100"},
	} {
		path := filepath.Join(s.binDir, p.name)
		st, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("%s is not built (make build): %w", p.name, err)
		}
		size.Rows = append(size.Rows, row{What: p.name + " stripped", Value: float64(st.Size()) / 1e6, Unit: "MB", Goal: p.mib})
		var wall, cpu []float64
		for range 7 {
			cmd := exec.CommandContext(ctx, path, p.args...)
			begin := time.Now()
			if out, err := cmd.CombinedOutput(); err != nil {
				return nil, fmt.Errorf("%s %s: %w\n%s", p.name, strings.Join(p.args, " "), err, out)
			}
			wall = append(wall, float64(time.Since(begin).Milliseconds()))
			cpu = append(cpu, float64((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Milliseconds()))
		}
		size.Rows = append(size.Rows,
			row{What: p.name + " version, CPU", Value: median(cpu), Unit: "ms", Goal: p.millis},
			row{What: p.name + " version, wall", Value: median(wall), Unit: "ms", Goal: p.millis})
	}
	return []table{cost, size}, nil
}
