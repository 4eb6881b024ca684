#!/usr/bin/env bash
# Runs every fuzz target in the tree for FUZZTIME, one after another.
set -euo pipefail
cd "$(dirname "$0")/.."
count=0
while IFS=: read -r file name; do
  echo "== $name ($(dirname "$file"))"
  go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-20s}" "./$(dirname "$file")"
  count=$((count + 1))
done < <(grep -rHoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' core wire internal chainclient daemon x app devnet cmd 2>/dev/null | sed 's/:func /:/')
echo "$count fuzz targets, no failure"
