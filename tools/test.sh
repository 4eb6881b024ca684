#!/usr/bin/env bash
# What `make test` runs: everything that must hold on any machine, the real clients included
# where they are installed. Prints what is skipped and why.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== web page"
(cd web && npm run --silent check && npm test --silent)

echo "== Go"
go test ./...

echo "== races in daemons and plumbing"
go test -race -short $(go list ./internal/... ./wire/... ./chainclient/... ./daemon/... 2>/dev/null)

echo "== tools"
go test -C tools ./consensuslint/...
