# Everything a checkout needs is built or fetched on first use: `make help`.
# No recipe needs more than make, bash and, for the tests, a Rust toolchain.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
TOOLS := tests/tools

# Which Envoy: ENVOY=/path/to/envoy, or one of the pinned versions (1.38 will do).
ENVOY_VERSION ?= 1.40.0
ifdef ENVOY
  override ENVOY := $(abspath $(ENVOY))
  override ENVOY_VERSION := $(shell $(ENVOY) --version 2>/dev/null | sed -n 's|.*version: [0-9a-f]*/\([0-9.]*\).*|\1|p')
else
  pinned := $(firstword $(wildcard $(TOOLS)/envoy/$(ENVOY_VERSION).txt $(TOOLS)/envoy/$(ENVOY_VERSION).*.txt))
  override ENVOY_VERSION := $(or $(patsubst $(TOOLS)/envoy/%.txt,%,$(pinned)),$(ENVOY_VERSION))
  ENVOY := $(CURDIR)/.tools/envoy-$(ENVOY_VERSION)/envoy
  fetch_envoy := $(TOOLS)/envoy.sh $(ENVOY_VERSION)
endif

# By these the tests and the demo find their parts.
export WSGUARD_WASM := $(CURDIR)/dist/wsguard.wasm
export WSGUARD_TRAP_WASM := $(CURDIR)/dist/wsguard-trap.wasm
export PYTHON := $(CURDIR)/.tools/venv/bin/python
export NODE_PATH := $(CURDIR)/.tools/node/node_modules
export ENVOY ENVOY_VERSION

.PHONY: help
help: ## Print this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

.PHONY: wasm
wasm: ## Build dist/wsguard.wasm and check that Envoy can load it
	@$(TOOLS)/build-wasm.sh build dist/wsguard.wasm

# The module with a way to trap its VM, and to ask for signatures, for the tests
# that do so.
.PHONY: wasm-trap
wasm-trap:
	@$(TOOLS)/build-wasm.sh build dist/wsguard-trap.wasm --features trap

# The module that times the core inside Envoy, for `make bench CORE=1`: by itself, with
# no host that verifies signatures.
.PHONY: wasm-bench
wasm-bench:
	@$(TOOLS)/build-wasm.sh build dist/wsguard-bench.wasm --features bench,own-ecdsa

.PHONY: envoy
envoy: tools ## Fetch stock Envoy (ENVOY_VERSION=1.36 … 1.40, or ENVOY=/path)
	@$(fetch_envoy)
	@test -x "$(ENVOY)" || { echo "no Envoy at $(ENVOY)" >&2; exit 1; }

.PHONY: tools
tools:
	@$(TOOLS)/venv.sh
	@$(TOOLS)/node.sh

.PHONY: browser
browser:
	@$(TOOLS)/browser.sh

# What reads messages as applications in other languages do, for the tests.
.PHONY: handlers
handlers:
	@$(TOOLS)/handlers.sh

# What receives messages by other projects' libraries, for the tests.
.PHONY: receivers
receivers: tools
	@$(TOOLS)/receivers.sh

.PHONY: test
test: wasm wasm-trap envoy tools browser handlers receivers ## Unit, property and integration tests with the real Envoy
	@echo "wsguard: testing with $$($(ENVOY) --version | xargs)"
	@$(PYTHON) $(TOOLS)/suites.py "cd $(TOOLS) && $(PYTHON) -m unittest" \
	  "$(TOOLS)/cargo.sh test --locked --no-fail-fast"

# WASM=… runs them against another build, to see what it lets by, or whom it turns away.
holes_cargo = $(if $(WASM),WSGUARD_WASM=$(abspath $(WASM))) $(TOOLS)/cargo.sh test --locked --no-fail-fast --test envoy

.PHONY: bypasses
bypasses: $(if $(WASM),,wasm) envoy tools ## Ways past the filter that outsiders found, alone (WASM=… for another build)
	@$(holes_cargo) bypasses

.PHONY: holds
holds: $(if $(WASM),,wasm) envoy tools browser receivers ## Where one client held up others or was turned away, alone (WASM=… for another build)
	@$(holes_cargo) holds

.PHONY: soak
soak: wasm wasm-trap envoy tools browser handlers receivers ## The tests that take minutes: thousands of connections, a million addresses
	@$(PYTHON) $(TOOLS)/suites.py "$(TOOLS)/cargo.sh test --locked --no-fail-fast \
	  --test envoy --test fleet --test session --test receivers -- --ignored --nocapture --test-threads=1"

.PHONY: conformance
conformance: wasm envoy tools ## Autobahn's cases alone and guarded, compared (FULL=1: compressed ones too)
	@FULL=$(FULL) $(TOOLS)/cargo.sh test --locked --test conformance -- --nocapture

.PHONY: compat
compat: ## `make test` with every Envoy from 1.36 to 1.40
	@test -n "$(fetch_envoy)" || { echo "make compat takes Envoys of its own: leave ENVOY out" >&2; exit 1; }
	@# What is exported above would have each run take this one's Envoy.
	@unset ENVOY ENVOY_VERSION; . $(TOOLS)/common.sh; \
	$$(any_python) $(TOOLS)/suites.py \
	  $(foreach version,1.36 1.37 1.38 1.39 1.40,"$(MAKE) --no-print-directory test ENVOY_VERSION=$(version)")

bench_cargo = CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/bench" $(TOOLS)/cargo.sh
bench_manifest = --manifest-path tests/bench/Cargo.toml

# A build of its own, with what it needs; CORE=1 measures the core alone after it,
# PEERS=1 fetches the peers that are not installed, ONLY=… and SETUPS=… take some
# workloads and set-ups by name, POLICY=… adds a document of your own (JSON),
# BEFORE=… runs everything with another wasm, too, CROSS=1 one row with a
# generator of another project, k6.
.PHONY: bench
bench: wasm $(if $(CORE),wasm-bench) envoy tools ## Measure what wsguard costs, against its peers (QUICK=1: 4 minutes)
	@$(if $(PEERS),$(TOOLS)/peers.sh)
	@$(if $(CROSS),$(TOOLS)/k6.sh)
	@$(if $(CORE),$(bench_cargo) bench --locked $(bench_manifest))
	@$(bench_cargo) run -q --locked $(if $(SMOKE),,--release) $(bench_manifest) -- \
	  $(if $(QUICK),--quick) $(if $(SMOKE),--smoke) \
	  $(if $(ONLY),--only $(ONLY)) $(if $(SETUPS),--setups $(SETUPS)) \
	  $(if $(POLICY),--policy $(POLICY)) $(if $(BEFORE),--before $(BEFORE)) \
	  $(if $(CROSS),--cross .tools/k6/k6) $(if $(CORE),--core dist/wsguard-bench.wasm) \
	  $(if $(OUT),--out $(OUT))

.PHONY: lint
lint: ## Format, clippy (native and wasm) and documentation, warnings denied
	@$(TOOLS)/cargo.sh fmt --check
	@$(TOOLS)/cargo.sh clippy --locked --all-targets -- -D warnings
	@$(TOOLS)/cargo.sh fmt --check $(bench_manifest)
	@$(bench_cargo) clippy --locked $(bench_manifest) --all-targets -- -D warnings
	@# Nothing of it compiles here, but what it was locked to must be ours still.
	@$(TOOLS)/cargo.sh metadata --locked --format-version 1 --manifest-path tests/fuzz/Cargo.toml >/dev/null
	@RUSTDOCFLAGS="-D warnings" $(TOOLS)/cargo.sh doc --locked --no-deps
	@$(TOOLS)/build-wasm.sh clippy

SECONDS ?= 60
.PHONY: dearest
dearest: ## Search for the patterns that load and cost most a byte, for SECONDS=60
	@SEARCH_SECONDS=$(SECONDS) $(TOOLS)/cargo.sh test --locked --release --lib the_ten_worst -- --ignored --nocapture

.PHONY: fuzz
fuzz: ## Fuzz every parser, each for SECONDS=60 (needs a nightly compiler)
	@$(TOOLS)/fuzz.sh $(SECONDS) $(TARGETS)

.PHONY: demo
demo: wasm envoy tools ## Guard a real WebSocket application and attack it (ONCE=1: then end)
	@$(PYTHON) envoy/demo/demo.py $(if $(ONCE),--once)

.PHONY: clean
clean: ## Remove what was built (fetched tools stay in .tools)
	rm -rf target dist
