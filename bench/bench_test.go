package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFloorOfAPut takes the floor once: each part must run, and cost something.
func TestFloorOfAPut(t *testing.T) {
	if testing.Short() {
		t.Skip("moves gigabytes")
	}
	floor, sum, err := measureFloor(t.Context(), t.TempDir())
	require.NoError(t, err)
	for _, r := range floor.Rows {
		require.Positive(t, r.Value, r.What)
	}
	require.Positive(t, sum)
}

// TestBenchmarksAreRead parses what go test prints, its own lines between others.
func TestBenchmarksAreRead(t *testing.T) {
	got := parseBenchmarks([]byte("goos: linux\nBenchmarkCreate/synced-hashed-64/size=1MB-2 \t 100\t 12.5 ns/op\t 723 cpu-us/op\nBenchmarkPlain 1 2 s/op\nok  \tx\t1s\n"))
	require.Equal(t, map[string]map[string]float64{
		"BenchmarkCreate/synced-hashed-64/size=1MB": {"ns/op": 12.5, "cpu-us/op": 723},
		"BenchmarkPlain": {"s/op": 2},
	}, got)
}
