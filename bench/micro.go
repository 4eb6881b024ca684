package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// A figure names one metric of one benchmark.
type benchmarked struct {
	bench, metric string // as go test prints them, without the processor count
	what, goal    string
	unit          string
	value         func(metric float64) float64 // the metric itself when nil
}

// rate turns microseconds of CPU for one into how many a CPU-second does.
func rate(micros float64) float64 { return 1e6 / micros }

// runBenchmarks runs benchmarks of packages beside their code and picks the metrics asked for.
func runBenchmarks(ctx context.Context, title string, env []string, pattern, benchtime string, packages []string, want []benchmarked) (table, error) {
	t := table{Title: title}
	args := append([]string{"test", "-run", "^$", "-bench", pattern, "-benchtime", benchtime, "-timeout", "30m"}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return t, fmt.Errorf("running go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	got := parseBenchmarks(out)
	for _, w := range want {
		v, ok := got[w.bench][w.metric]
		if !ok {
			return t, fmt.Errorf("%s gave no %s:\n%s", w.bench, w.metric, out)
		}
		if w.value != nil {
			v = w.value(v)
		}
		t.Rows = append(t.Rows, row{What: w.what, Value: v, Unit: w.unit, Goal: w.goal})
	}
	return t, nil
}

// parseBenchmarks reads what go test prints: name, runs, and pairs of value and unit. Names lose the
// number of processors behind them.
func parseBenchmarks(out []byte) map[string]map[string]float64 {
	all := map[string]map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := f[0]
		if at := strings.LastIndexByte(name, '-'); at > 0 {
			if _, err := strconv.Atoi(name[at+1:]); err == nil {
				name = name[:at]
			}
		}
		metrics := map[string]float64{}
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil {
				metrics[f[i+1]] = v
			}
		}
		all[name] = metrics
	}
	return all
}

// measureStore gives the provider store's own figures against those of Storj's hashstore, taken with
// its own benchmark on two quiet cores (STORAGE.md): one goroutine, nothing synced, nothing hashed.
func measureStore(ctx context.Context, _ *settings) ([]table, error) {
	const cpu = "cpu-us/op"
	want := []benchmarked{
		{"BenchmarkCreate/unsynced-unhashed/size=16KB", cpu, "create 16 KB, unsynced, unhashed", ">= 1.5 x 23.5k", "pieces/CPU-s", rate},
		{"BenchmarkCreate/unsynced-unhashed/size=64KB", cpu, "create 64 KB, unsynced, unhashed", ">= 1.5 x 10.2k", "pieces/CPU-s", rate},
		{"BenchmarkCreate/unsynced-unhashed/size=1MB", cpu, "create 1 MB, unsynced, unhashed", ">= 1.5 x 644", "pieces/CPU-s", rate},
		{"BenchmarkCreate/synced-hashed-64/size=16KB", cpu, "create 16 KB, hashed, 64 share syncs", ">= 23.5k", "pieces/CPU-s", rate},
		{"BenchmarkCreate/synced-hashed-64/size=64KB", cpu, "create 64 KB, hashed, 64 share syncs", ">= 10.2k", "pieces/CPU-s", rate},
		{"BenchmarkCreate/synced-hashed-64/size=1MB", cpu, "create 1 MB, hashed, 64 share syncs", ">= 644", "pieces/CPU-s", rate},
		{"BenchmarkRead/one/size=16KB", cpu, "read 16 KB, checksums verified", ">= 1.5 x 56k", "pieces/CPU-s", rate},
		{"BenchmarkRead/one/size=64KB", cpu, "read 64 KB, checksums verified", ">= 1.5 x 36k", "pieces/CPU-s", rate},
		{"BenchmarkRead/one/size=1MB", cpu, "read 1 MB, checksums verified", ">= 1.5 x 5.0k", "pieces/CPU-s", rate},
	}
	create, err := runBenchmarks(ctx, "provider store (goals: Storj's hashstore, unhashed and unverified)", nil,
		"^Benchmark(Create|Read)$/^(unsynced-unhashed|synced-hashed-64|one)$/^size=(16KB|64KB|1MB)$", "500ms",
		[]string{"./daemon/storagenode/store"}, want)
	return []table{create}, err
}

// measureRestart opens a store of a million pieces.
func measureRestart(ctx context.Context, _ *settings) ([]table, error) {
	t, err := runBenchmarks(ctx, "restart with 1,000,000 pieces", []string{"CAIRN_STORE_MILLION=1"}, "^BenchmarkRestart$", "1x",
		[]string{"./daemon/storagenode/store"}, []benchmarked{
			{"BenchmarkRestart", "cpu-s/first-open", "after a crash, 50,000 pieces since the checkpoint", "< 5", "CPU-s", nil},
			{"BenchmarkRestart", "s/first-open", "the same, wall time", "< 5", "s", nil},
			{"BenchmarkRestart", "s/clean-open", "after a clean end, wall time", "< 5", "s", nil},
			{"BenchmarkRestart", "s/rebuild", "without any checkpoint, wall time", "", "s", nil},
			{"BenchmarkRestart", "MB-resident", "resident with a million pieces", "< 80", "MB", nil},
		})
	return []table{t}, err
}

// blockGas is the gas of a block at genesis (app/genesis.go).
const blockGas = 60_000_000

// measureVouchers gives what verifying and settling cumulative vouchers costs.
func measureVouchers(ctx context.Context, _ *settings) ([]table, error) {
	t, err := runBenchmarks(ctx, "vouchers, 1,000 a message", nil, "^BenchmarkSettle$", "1s", []string{"./x/market"}, []benchmarked{
		{"BenchmarkSettle", "cpu-µs/voucher", "verified and settled on chain", ">= 10,000", "vouchers/CPU-s", rate},
		{"BenchmarkSettle", "gas/voucher", "gas of a message of 1,000, of a block's", "< 100", "%", func(gas float64) float64 { return 100 * gas * 1000 / blockGas }},
	})
	return []table{t}, err
}
