#!/usr/bin/env bash
# Generates api/ from proto/ with no network beyond the Go modules: imports are vendored in
# third_party/proto. Needs protoc (Debian: protobuf-compiler). Arguments narrow it to some
# folders, such as proto/cairn/market/v1; without any, what proto/ no longer has goes as well.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v protoc >/dev/null || {
  echo "make generate needs protoc: install it (Debian/Ubuntu: apt-get install protobuf-compiler; macOS: brew install protobuf)" >&2
  exit 1
}
bin=$PWD/bin/tools
mkdir -p "$bin"
go build -C tools -o "$bin/protoc-gen-gocosmos" github.com/cosmos/gogoproto/protoc-gen-gocosmos
go build -C tools -o "$bin/protoc-gen-grpc-gateway" github.com/grpc-ecosystem/grpc-gateway/protoc-gen-grpc-gateway
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
dirs=("$@")
((${#dirs[@]})) || mapfile -t dirs < <(find proto -name '*.proto' -printf '%h\n' | sort -u)
for dir in "${dirs[@]}"; do # one Go package a call
  PATH="$bin:$PATH" protoc -I proto -I third_party/proto \
    --gocosmos_out="plugins=grpc,Mgoogle/protobuf/any.proto=github.com/cosmos/gogoproto/types/any:$out" \
    --grpc-gateway_out="logtostderr=true,allow_colon_final_segments=true:$out" \
    "$dir"/*.proto
done
(($#)) || rm -rf api/cairn
mkdir -p api
cp -r "$out/github.com/cairn-network/cairn/api/." api/
