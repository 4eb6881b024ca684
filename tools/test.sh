#!/usr/bin/env bash
# What `make test` runs: everything that must hold on any machine, the real clients included
# where they are installed. Prints what is skipped and why.
set -euo pipefail
cd "$(dirname "$0")/.."

# The state machines draw the same cases every time, so that a run says something about the change
# and not about its luck; `make ladder` draws new ones.
export RAPID_SEED="${RAPID_SEED:-1}"

echo "== web page"
(cd web && npm run --silent check && npm test --silent)

echo "== Go"
mapfile -t units < <(go list ./... | grep -v '/test/')
go test -timeout 20m "${units[@]}"

echo "== races in daemons and plumbing"
go test -race -short -timeout 20m ./internal/... ./wire/... ./chainclient/... ./daemon/...

echo "== whole networks, one at a time"
go test -p 1 -timeout 30m ./test/...

echo "== tools"
go test -C tools ./consensuslint/...
