# `make` or `make help` lists the verbs. The environment is made by the first one that needs it.
#
#   make test PYTHON=/usr/bin/python3.12       another interpreter
#   make test PYTEST_ARGS="-k receipts -x"     a part of the tests
#   make test JOBS=4                           all of them in four processes

.DEFAULT_GOAL := help
.SUFFIXES:
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-for-this-tree
COMPILED := .venv-compiled
COMPILED_STAMP := $(COMPILED)/.made-for-this-tree
COMPILED_TESTS := tests/unit tests/simulation/test_simulation.py tests/integration/test_smpp_client.py \
	tests/integration/test_serve.py tests/integration/test_smpp_load.py \
	tests/integration/test_hot_path_cost.py

PYTEST_ARGS ?=
# How many processes run the tests, a file of them at a time; 0: this one alone.
JOBS ?= 0
# … in the order of tests/conftest.py, and not those with many tests first: these are the fast ones.
SHARED := --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder
# With settings of your own there are real carriers.
SERVE_ARGS ?= $(if $(wildcard gateway.toml),,--simulator)
DEMO_ARGS ?=
BENCH_ARGS ?=
COMPARE_ARGS ?=
LOAD_ARGS ?=
FUZZ_ARGS ?=
SIMULATE_ARGS ?=
LEDGER_ARGS ?=
THROTTLE_ARGS ?=
SOAK_ARGS ?=
BACKLOG_ARGS ?=
OVERLOAD_ARGS ?=
CHAOS_ARGS ?=
UPGRADE_ARGS ?=

# The interpreter: the first of these that is 3.11 or later.
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	{ echo $$each; break; }; done)

.PHONY: help
help: ## List these verbs
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
	while IFS='|' read -r verb what; do printf '%-20s %s\n' "$$verb" "$$what"; done

.PHONY: environment venv
environment: $(STAMP) ## Make or renew the environment in .venv
venv: environment

$(STAMP): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 or later is needed and none was found." \
			"Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is not Python 3.11 or later." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) lacks venv or ensurepip." \
			"On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Making the environment in $(VENV) with $$($(PYTHON) --version); about a minute …"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@# Its own setuptools, so that the build needs no second download of an unpinned one.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt setuptools
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation \
		--constraint constraints.txt --editable '.[dev]'
	@touch $@
	@echo "The environment is ready."

.PHONY: compiled
compiled: $(COMPILED_STAMP) ## Compile the files of the hot path into .venv-compiled (two minutes, needs a C compiler)

$(COMPILED_STAMP): $(STAMP) setup.py $(shell find gateway -name '*.py' -o -name '*.sql')
	@command -v $${CC:-cc} >/dev/null || { \
		echo "A C compiler is needed. On Debian and Ubuntu: apt install gcc python3-dev" >&2; exit 1; }
	@echo "Compiling; about two minutes …"
	@rm -rf build && GATEWAY_COMPILE=1 $(BIN)/python -m pip wheel --quiet \
		--disable-pip-version-check --no-deps --no-build-isolation --wheel-dir build/compiled .
	@[ -x $(COMPILED)/bin/python ] || $(PYTHON) -m venv $(COMPILED)
	@$(COMPILED)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt "$$(ls build/compiled/*.whl)[dev]"
	@$(COMPILED)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--force-reinstall build/compiled/*.whl
	@touch $@
	@echo "Run it with $(COMPILED)/bin/gateway."

.PHONY: test-compiled
test-compiled: $(COMPILED_STAMP) ## Run the tests of what is compiled on the compiled gateway
	@PYTHONSAFEPATH=1 $(COMPILED)/bin/python -m pytest $(SHARED) $(COMPILED_TESTS) $(PYTEST_ARGS)

.PHONY: demo
demo: $(STAMP) ## Send real texts through two simulated carriers and watch them arrive
	@$(BIN)/gateway demo $(DEMO_ARGS)

.PHONY: serve
serve: $(STAMP) ## Run the gateway with two simulated carriers until Ctrl-C
	@exec $(BIN)/gateway serve $(SERVE_ARGS)

.PHONY: test
test: $(STAMP) ## Run all tests
	@$(BIN)/python -m pytest $(SHARED) $(PYTEST_ARGS)

.PHONY: check
check: $(STAMP) ## Check format, lint, types and run the unit tests
	@$(BIN)/ruff format --check --quiet . || { \
		echo "Format them with: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest --quiet tests/unit $(PYTEST_ARGS)

.PHONY: audit
audit: $(STAMP) ## Ask whether a pinned version is known to be vulnerable, where that can be asked
	@ops/audit $(BIN)/python

.PHONY: bench
bench: $(STAMP) ## Measure one gateway from submission to receipt on this machine
	@$(BIN)/python -m bench $(BENCH_ARGS)

.PHONY: compare
compare: $(STAMP) ## Set the gateway beside Kannel and Jasmin (COMPARE_ARGS="--help")
	@exec $(BIN)/python -m bench.compare $(COMPARE_ARGS)

.PHONY: load
load: $(STAMP) ## Drive a running gateway with load (see LOAD_ARGS="--help")
	@$(BIN)/python -m bench.load $(LOAD_ARGS)

.PHONY: fuzz
fuzz: $(STAMP) ## Feed hostile octets to every reader, and say how many (FUZZ_ARGS="--help")
	@$(BIN)/python -m bench.fuzz $(FUZZ_ARGS)

.PHONY: simulate
simulate: $(STAMP) ## Draw 10,000 bad worlds and check every promise (SIMULATE_ARGS="--help")
	@$(BIN)/python -m tests.simulation $(SIMULATE_ARGS)

.PHONY: chaos
chaos: $(STAMP) ## Kill, stall and cut off real processes under load, and count (CHAOS_ARGS="--help")
	@exec $(BIN)/python -m bench.chaos $(CHAOS_ARGS)

.PHONY: failover
failover: $(STAMP) ## Kill and freeze the node that has a carrier, beside another (FAILOVER_ARGS="--help")
	@$(BIN)/python -m bench.failover $(FAILOVER_ARGS)

.PHONY: nodes
nodes: $(STAMP) ## Kill one of three nodes that share a port and carriers, again and again (NODES_ARGS="--help")
	@$(BIN)/python -m bench.nodes $(NODES_ARGS)

.PHONY: upgrade
upgrade: $(STAMP) ## Roll from release to release and back under load (UPGRADE_ARGS="--help")
	@exec $(BIN)/python -m bench.upgrade $(UPGRADE_ARGS)

.PHONY: ledger
ledger: $(STAMP) ## Let ten accounts live through kills and refunds, compare every micro-unit, and write docs/credit.md
	@$(BIN)/python -m bench.ledger --document docs/credit.md $(LEDGER_ARGS)

.PHONY: soak
soak: $(STAMP) ## Load a gateway for an hour and see what grows (SOAK_ARGS="--help")
	@$(BIN)/python -m bench.soak $(SOAK_ARGS)

.PHONY: overload
overload: $(STAMP) ## Offer a gateway far more than it can take (OVERLOAD_ARGS="--help")
	@$(BIN)/python -m bench.overload $(OVERLOAD_ARGS)

.PHONY: backlog
backlog: $(STAMP) ## Start a gateway with a million of anything waiting (BACKLOG_ARGS="--help")
	@$(BIN)/python -m bench.backlog $(BACKLOG_ARGS)

.PHONY: throttle
throttle: $(STAMP) ## Measure how rates and lanes hold, and draw docs/throttle-*.svg
	@$(BIN)/python -m bench.throttle $(THROTTLE_ARGS)

.PHONY: interop
interop: $(STAMP) ## Speak SMPP with other implementations, and print what was shown with whom
	@ops/install-peers
	@CI=true $(BIN)/python -m pytest tests/interop $(PYTEST_ARGS)

.PHONY: clean
clean: ## Remove the environment and caches; data in .gateway stays
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
