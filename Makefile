# Cairn. `make help` lists what there is.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PKG     := github.com/cairn-network/cairn
LDFLAGS := -s -w -X $(PKG)/internal/buildinfo.Version=$(VERSION)
# No -trimpath: with it every dependency would be compiled once more than the tests need.
GOBUILD := go build -ldflags '$(LDFLAGS)'
HOME_DIR ?= $(HOME)/.cairn-devnet
FUZZTIME ?= 20s

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-10s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build everything and start a whole network on this machine, with its web page
	@exec bin/cairnd devnet --home $(HOME_DIR)

.PHONY: build
build: need-go need-cc web ## build bin/cairnd and bin/cairn, the web page inside
	$(GOBUILD) -o bin/ ./cmd/cairnd ./cmd/cairn

.PHONY: web
web: web/dist/index.html ## build the web page (web/dist)

WEB_SOURCES := $(shell find web -type f -not -path '*/node_modules/*' -not -path 'web/dist/*' -not -name '*.go' 2>/dev/null)
web/dist/index.html: $(WEB_SOURCES)
	@command -v npm >/dev/null || { echo "the web page needs Node 20 or newer with npm: https://nodejs.org or your package manager (Debian: apt-get install nodejs npm)" >&2; exit 1; }
	cd web && npm ci --no-audit --no-fund && npm run build

.PHONY: test
test: need-go need-cc web ## run the tests
	@tools/test.sh

.PHONY: lint
lint: need-go tools ## formatters, linters, the consensus check, the architecture test, known vulnerabilities
	@tools/lint.sh

.PHONY: generate
generate: need-go ## generate api/ from proto/ (needs protoc)
	tools/proto.sh

.PHONY: fuzz
fuzz: need-go ## run every fuzz target for FUZZTIME (default 20s)
	@FUZZTIME=$(FUZZTIME) tools/fuzz.sh

.PHONY: bench
bench: build ## measure against the limits; tables on screen, JSON in bench/results
	@tools/bench.sh

.PHONY: story
story: need-go need-cc web ## watch a node lose its data, a reporter lie and a vote change a rule, narrated, in minutes
	@CAIRN_STORY=1 go test -count=1 -timeout 30m -run TestStory -v ./test/story | grep -v -e '^=== ' -e '^    --- '

.PHONY: ladder
ladder: build ## the long reliability runs (RELIABILITY): kill -9 rounds, faults, suites
	@tools/ladder.sh

.PHONY: tools
tools: ## build the pinned development tools into bin/tools
	@mkdir -p bin/tools && go build -C tools -o $(CURDIR)/bin/tools/ tool ./consensuslint/cmd/consensuslint

.PHONY: clean
clean: ## remove what was built
	rm -rf bin web/dist/assets web/dist/index.html

.PHONY: need-go
need-go:
	@command -v go >/dev/null || { echo "Go 1.26 or newer is missing: https://go.dev/dl" >&2; exit 1; }

.PHONY: need-cc
need-cc:
	@command -v cc >/dev/null || command -v gcc >/dev/null || { echo "a C compiler is missing (Debian/Ubuntu: apt-get install gcc)" >&2; exit 1; }
