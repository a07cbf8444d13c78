# The default target lints and tests every module of go.work. Go is needed, and
# for the tests Python 3 with pip. The linters are pinned in internal/tools and
# built by the go command; the Python libraries of the tests are pinned in
# internal/interop/testdata/requirements.txt and installed by pip.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := all

GO ?= go
FUZZTIME ?= 30s
BENCH ?= .
BENCHTIME ?= 1s
COUNT ?= 1
BENCHFLAGS ?=
export PYTHON ?= python3

MODULES := $(shell $(GO) list -m -f '{{.Dir}}')
PACKAGES := $(shell $(GO) list -m -f '{{.Path}}/...')
ifeq ($(strip $(MODULES)),)
$(error no modules found: "$(GO) list -m" failed)
endif

# go tool -modfile works outside a workspace only. Each module is linted that
# way, on its own go.mod, as those who import it will see it.
TOOL = GOWORK=off $(GO) tool -modfile='$(CURDIR)/internal/tools/go.mod'

.PHONY: all
all: lint test ## lint and test everything (default)

.PHONY: test
test: python ## run every test of every module, with the race detector, in random order
	$(GO) test -race -shuffle=on -timeout 30m $(PACKAGES)

# What is installed is known by the version of Python and the requirements.
.PHONY: python
python: ## install the Python libraries that the tests of internal/interop use
	@libraries='$(CURDIR)/internal/interop/.python'
	requirements='$(CURDIR)/internal/interop/testdata/requirements.txt'
	wanted=$$($(PYTHON) -c 'import sys; print(sys.version)' && cat "$$requirements")
	if [[ -f $$libraries/installed && $$wanted == "$$(<"$$libraries/installed")" ]]; then
		exit
	fi
	rm -rf "$$libraries"
	PIP_ROOT_USER_ACTION=ignore $(PYTHON) -m pip install --quiet --no-input --no-warn-conflicts --target "$$libraries" --requirement "$$requirements"
	printf '%s\n' "$$wanted" >"$$libraries/installed"

.PHONY: lint
lint: fmt-check vet staticcheck tidy-check ## check format, vet, staticcheck and the go.mod files

.PHONY: fmt-check
fmt-check: ## fail if gofmt would change a file
	@unformatted=$$(gofmt -l .)
	if [[ -n $$unformatted ]]; then
		echo "gofmt would change these files; run: gofmt -w ." >&2
		echo "$$unformatted" >&2
		exit 1
	fi

.PHONY: vet
vet: ## run go vet
	$(GO) vet $(PACKAGES)

.PHONY: staticcheck
staticcheck: ## run staticcheck, module by module
	@failed=0
	for module in $(MODULES); do
		(cd "$$module" && $(TOOL) staticcheck ./...) || failed=1
	done
	exit $$failed

.PHONY: tidy-check
tidy-check: ## fail if go mod tidy would change a go.mod or go.sum
	@failed=0
	for module in $(MODULES) '$(CURDIR)/internal/tools'; do
		if ! (cd "$$module" && GOWORK=off $(GO) mod tidy -diff); then
			echo "$$module: go.mod or go.sum is not tidy; run: make tidy" >&2
			failed=1
		fi
	done
	exit $$failed

.PHONY: tidy
tidy: ## run go mod tidy in every module
	@for module in $(MODULES) '$(CURDIR)/internal/tools'; do
		(cd "$$module" && GOWORK=off $(GO) mod tidy)
	done

.PHONY: vuln
vuln: ## look for known vulnerabilities (asks the Go vulnerability database)
	@for module in $(MODULES); do
		(cd "$$module" && $(TOOL) govulncheck ./...)
	done

.PHONY: cover
cover: python ## measure the tests' coverage over all packages; writes coverage.out
	$(GO) test -coverpkg=github.com/aip-go/aip/... -coverprofile=coverage.out $(PACKAGES)
	$(GO) tool cover -func=coverage.out | tail -n 1

.PHONY: bench
bench: python ## measure beside the peers (BENCHFLAGS); writes internal/bench/results.json and docs/performance.md
	@mkdir -p '$(CURDIR)/bin'
	$(GO) build -o '$(CURDIR)/bin/bench' ./internal/bench
	GOEXPERIMENT=jsonv2 $(GO) build -o '$(CURDIR)/bin/jsonv2' ./internal/bench/jsonv2
	bin/bench -jsonv2 bin/jsonv2 -results internal/bench/results.json -page docs/performance.md -notes internal/bench/notes.md $(BENCHFLAGS)

.PHONY: microbench
microbench: ## run the benchmarks of the packages (BENCH, BENCHTIME, COUNT)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -count $(COUNT) -benchmem $(PACKAGES)

.PHONY: fuzz
fuzz: ## fuzz every fuzz target for FUZZTIME each
	@listing=$$($(GO) test -list '^Fuzz' $(PACKAGES))
	targets=$$(awk '/^Fuzz/ { name[++n] = $$1 }
		$$1 == "ok" { for (i = 1; i <= n; i++) print $$2, name[i]; n = 0 }' <<<"$$listing")
	if [[ -z $$targets ]]; then
		echo "no fuzz targets found" >&2
		exit 1
	fi
	while read -r package target; do
		echo "== $$package $$target for $(FUZZTIME)"
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null
	done <<<"$$targets"

.PHONY: demo
demo: ## run the demonstration: a server, two devices and a constellation
	$(GO) run ./cmd/aip demo

.PHONY: help
help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14
