#!/usr/bin/env bash
# What `make bench` runs: micro-benchmarks beside the code, then whole-network figures.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p bench/results
echo "== rules and store (go test -bench)"
go test -run '^$' -bench . -benchmem ./core/... ./daemon/storagenode/store ./wire/piece ./x/market 2>&1 | tee bench/results/micro.txt
go run ./bench "$@"
