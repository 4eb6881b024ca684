#!/usr/bin/env bash
# What `make ladder` runs: the long reliability runs that CI only samples. ROUNDS (default 100)
# sets how many kill -9 rounds, SIMULATION_SEEDS (default 64) how many histories: one takes five minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
export CAIRN_LARGE=1 CAIRN_ROUNDS=${ROUNDS:-100}
echo "== real clients, large: 1 GiB multipart, 10,000 objects"
go test -count=1 -timeout 60m -run 'TestClients' -v ./test/network
echo "== kill -9: a third of the nodes; gateway, node and chain at random, $CAIRN_ROUNDS rounds"
go test -count=1 -timeout 180m -run 'TestFourOfTwelveKilled|TestRandomKills' -v ./test/network
echo "== a node that dropped data and left it out of its tree is found by a receipt, and nobody else is at fault"
CAIRN_POSSESSION=1 go test -count=1 -timeout 60m -run 'TestDroppedPieces' -v ./test/network
# Not in CI: it builds two programs and takes minutes. One whole run stalled in its last step, for a reason not known:
# 30 after it did not, nor did 72 repetitions of that step, two thirds of them on an eighth to a third of a core.
echo "== an upgrade by vote of a live network, five times; a failure shows what consensus waits for"
CAIRN_UPGRADE=1 go test -count=5 -timeout 60m -run 'TestSoftwareUpgradeOfALiveNetwork' -v ./test/network
echo "== random histories of the whole application, ${SIMULATION_SEEDS:=64} of 500 blocks with 200 moves"
SIMULATION_SEED=$(date +%s) SIMULATION_SEEDS=$SIMULATION_SEEDS SIMULATION_BLOCKS=500 SIMULATION_MOVES=200 \
	go test -count=1 -timeout 720m -run 'TestSimulation' -v ./test/simulation
echo "== possession proofs of 10,000 providers through the whole application"
LOAD=10000 go test -count=1 -timeout 30m -run 'TestProvidersProve' -v ./test/simulation
echo "== state machines, ${RAPID_CHECKS:=1000} new draws each"
export RAPID_CHECKS
mapfile -t machines < <(grep -rl --include='*_test.go' 'rapid.Check(' . | xargs -n1 dirname | sort -u)
go test -count=1 -timeout 180m "${machines[@]}"
echo "== adversaries, ${SEEDS:=1000} seeds of each attack and size (docs/spec/adversaries.md)"
go test -count=1 -timeout 60m -run TestTable -v ./sim/adversary -seeds "$SEEDS"
echo "== fuzz targets, 60 s each"
FUZZTIME=60s tools/fuzz.sh
