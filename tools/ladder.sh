#!/usr/bin/env bash
# What `make ladder` runs: the long reliability runs that CI only samples. ROUNDS (default 100)
# sets how many kill -9 rounds.
set -euo pipefail
cd "$(dirname "$0")/.."
export CAIRN_LARGE=1 CAIRN_ROUNDS=${ROUNDS:-100}
echo "== real clients, large: 1 GiB multipart, 10,000 objects"
go test -count=1 -timeout 60m -run 'TestClients' -v ./test/network
echo "== kill -9: a third of the nodes; gateway, node and chain at random, $CAIRN_ROUNDS rounds"
go test -count=1 -timeout 180m -run 'TestFourOfTwelveKilled|TestRandomKills' -v ./test/network
echo "== state machines, ${RAPID_CHECKS:=1000} new draws each"
export RAPID_CHECKS
mapfile -t machines < <(grep -rl --include='*_test.go' 'rapid.Check(' . | xargs -n1 dirname | sort -u)
go test -count=1 -timeout 180m "${machines[@]}"
echo "== adversaries, ${SEEDS:=1000} seeds of each attack and size (docs/spec/adversaries.md)"
go test -count=1 -timeout 60m -run TestTable -v ./sim/adversary -seeds "$SEEDS"
echo "== fuzz targets, 60 s each"
FUZZTIME=60s tools/fuzz.sh
