package main

import "context"

// measureEnergy clears markets of 1,024 ticks with fees and capacities on a grid of substations and
// feeders, a utility above.
func measureEnergy(ctx context.Context, _ *settings) ([]table, error) {
	const cpu = "cpu-ms/op"
	clearing, err := runBenchmarks(ctx, "double auction on a grid tree, 1,024 prices", nil, "^Benchmark(Clear|Naive|Settle)$", "1s",
		[]string{"./core/auction"}, []benchmarked{
			{"BenchmarkClear/100k-500", cpu, "100,000 orders, 500 feeders", "<= 20", "CPU-ms", nil},
			{"BenchmarkClear/100k-500-losses", cpu, "the same with losses on every edge", "", "CPU-ms", nil},
			{"BenchmarkClear/1M-10000", cpu, "1,000,000 orders, 10,000 feeders", "<= 1000", "CPU-ms", nil},
			{"BenchmarkSettle", cpu, "the first, settled to the last base unit", "", "CPU-ms", nil},
			{"BenchmarkNaive", cpu, "the first's root price alone, all orders looked at for each price", "", "CPU-ms", nil},
		})
	return []table{clearing}, err
}
