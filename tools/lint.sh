#!/usr/bin/env bash
# What `make lint` runs. Every finding is either mended or excused on the spot with a reason.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/bin/tools

echo "== golangci-lint (set and reasons in .golangci.yml)"
"$bin/golangci-lint" run ./...

echo "== consensus code: no clock, chance, float, goroutine, unordered map range"
"$bin/consensuslint" ./core/... ./x/...

echo "== architecture"
go test -count=1 -run 'TestLayers|TestForbiddenDependencies' .

if [[ -n ${VULNDB:-} || -f ../shared/vulndb/vulndb-offline.tgz ]]; then
  tools/vuln.sh
else
  echo "== known vulnerabilities: skipped, no offline database (set VULNDB to a directory of OSV records)"
fi
