#!/usr/bin/env bash
# Scans the built programs for known vulnerabilities in code they call. Findings that stay are
# listed with their reasons in tools/vuln-allow.txt; any other fails.
set -euo pipefail
cd "$(dirname "$0")/.."
db=${VULNDB:-}
if [[ -z $db ]]; then
  db=$(mktemp -d)
  trap 'rm -rf "$db"' EXIT
  tar xzf ../shared/vulndb/vulndb-offline.tgz -C "$db" --strip-components=1
fi
echo "== known vulnerabilities"
status=0
for program in bin/cairnd bin/cairn; do
  [[ -x $program ]] || { echo "$program is not built: run make build" >&2; exit 1; }
  found=$(bin/tools/govulncheck -db "file://$db" -mode binary -format json "$program" |
    python3 -c '
import json, sys
text, at, dec = sys.stdin.read(), 0, json.JSONDecoder()
ids = set()
while at < len(text):
    while at < len(text) and text[at].isspace(): at += 1
    if at == len(text): break
    obj, at = dec.raw_decode(text, at)
    f = obj.get("finding")
    if f and f["trace"][0].get("function"): ids.add(f["osv"])
print("\n".join(sorted(ids)))')
  for id in $found; do
    if grep -q "^$id " tools/vuln-allow.txt; then
      echo "  $program: $id allowed: $(grep "^$id " tools/vuln-allow.txt | cut -d' ' -f2-)"
    else
      echo "  $program: $id is new: raise the module in go.mod, or allow it with a reason in tools/vuln-allow.txt" >&2
      status=1
    fi
  done
done
exit $status
