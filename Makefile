# make demo    load, read back, stream and verify 336,776 real flights on a real Cassandra
# make test    every check: format, lint, types, tests, broken nodes; again on the oldest Python and driver
# make help    the other targets

SHELL := /bin/sh
.SUFFIXES:

VENV    ?= .venv
OLDEST  ?= .venv-oldest
BIN     := $(VENV)/bin
UV      := $(BIN)/uv
EDITABLE := --no-build-isolation --no-deps --no-index -q -e .
PYTEST_ARGS ?=
FUZZ_SECONDS ?= 180
BENCH ?=
APP ?=
# For the oldest versions, which the benchmarks do not run on: all layers, of the real server's
# tests those that touch the driver.
QUICK_TESTS = -k "not asyncio-debug" --ignore-glob='*/test_benchmark_*' \
    tests/unit tests/wire tests/net tests/model $(wildcard $(patsubst \
    %,tests/integration/test_%.py,batches connect control_plane parameters policies results \
    routing schema_changes statements types))
QUICK_FAULTS = $(patsubst %,tests/faults/test_%.py,broken_network control_connection killed_node \
    lone_node)

# An interpreter that was removed or replaced makes its environment useless: start over.
$(foreach folder,$(VENV) $(OLDEST),$(if $(wildcard $(folder)/bin),$(if $(shell \
    $(folder)/bin/python -c 'print("fine")' 2>/dev/null),,$(shell rm -rf $(folder)))))

CODE     := $(wildcard src tests benchmarks examples scripts/*.py setup.py)
COMPILED := $(shell find src -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi')
BUILD    := setup.py pyproject.toml MANIFEST.in $(wildcard src/*/*/*.h)

.DEFAULT_GOAL := help
.PHONY: help demo app bench bench-quick profile instructions test test-main test-faults test-oldest faults fuzz lint types format core build dist docs lock clean

help:
	@sed -n '1,3p' Makefile | cut -c3-
	@echo "make app | bench | bench-quick | profile | instructions | faults | fuzz | lint | types | format | core | build | dist | docs | lock | clean"

# The environments

$(VENV)/.tools: requirements/bootstrap.txt requirements/dev.txt scripts/find-python scripts/make-venv
	@scripts/make-venv $(VENV) "" requirements/dev.txt
	@touch $@

$(VENV)/.core: $(VENV)/.tools $(COMPILED) $(BUILD)
	@echo "Building the compiled core"
	@$(UV) pip install --python $(BIN)/python $(EDITABLE)
	@touch $@

$(OLDEST)/.tools: requirements/bootstrap.txt requirements/oldest.txt scripts/find-python scripts/make-venv
	@scripts/make-venv $(OLDEST) 3.12 requirements/oldest.txt
	@touch $@

$(OLDEST)/.core: $(OLDEST)/.tools $(COMPILED) $(BUILD)
	@echo "Building the compiled core for the oldest Python"
	@$(OLDEST)/bin/uv pip install --python $(OLDEST)/bin/python $(EDITABLE)
	@touch $@

core: $(VENV)/.core

# What people call

demo: $(VENV)/.core
	@$(BIN)/python examples/demo.py

# A REST API with a live page, and a Cassandra for it. APP="--nodes 3 --port 8080"
app: $(VENV)/.core
	@$(BIN)/python -m examples.fastapi_app $(APP)

# Every client beside every other. BENCH="--clients floor async-cassandra" and the like.
bench: $(VENV)/.core
	@$(BIN)/python -m benchmarks $(BENCH)

bench-quick: $(VENV)/.core
	@$(BIN)/python -m benchmarks --quick $(BENCH)

# A flame graph with the frames of Python and C. BENCH="--workload scan" and the like.
profile: $(VENV)/.core
	@$(BIN)/python -m benchmarks.flame $(BENCH)

# The instructions that a request takes, which no other load on the machine changes; needs valgrind.
instructions: $(VENV)/.core
	@$(BIN)/python -m benchmarks.instructions

test: lint types test-main test-faults test-oldest

lint: $(VENV)/.tools
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	@echo cython-lint src
	@PATH="$(abspath $(BIN)):$$PATH" cython-lint $(COMPILED)

types: $(VENV)/.core
	$(BIN)/mypy --strict $(filter-out setup.py,$(CODE))

test-main: $(VENV)/.core
	$(BIN)/python -m pytest $(PYTEST_ARGS) --ignore=tests/faults tests

# Of the tests that break three nodes, short ones whose outcome a busy machine does not change.
test-faults: $(VENV)/.core
	$(BIN)/python -m pytest $(PYTEST_ARGS) $(QUICK_FAULTS)

# Breaks three nodes for a minute at a time: half an hour or more. Failures get into the table too.
faults: $(VENV)/.core
	@FIGURES=build/figures $(BIN)/python -m pytest -m promise --durations=20 $(PYTEST_ARGS) tests; \
		outcome=$$?; $(BIN)/python scripts/reliability.py && exit $$outcome

# Hostile bytes for _wire, built with gcc's sanitizers in build/fuzz, after orders of events for the
# whole client on nodes that know what each request means: FUZZ_SECONDS=3600 make fuzz
fuzz: $(VENV)/.core
	$(BIN)/python -m tests.model --seconds $(FUZZ_SECONDS)
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)
	$(BIN)/python scripts/reliability.py

# A quick part of the tests, on the oldest supported Python and driver.
test-oldest: $(VENV)/.core
	@if scripts/find-python 3.12 >/dev/null 2>&1; then \
		$(MAKE) --no-print-directory $(OLDEST)/.core && \
		$(OLDEST)/bin/python -m pytest $(PYTEST_ARGS) $(QUICK_TESTS); \
	else \
		echo "No Python 3.12 here: the tests on the oldest Python and driver did not run."; \
	fi

format: $(VENV)/.tools
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

build: $(VENV)/.tools
	rm -rf dist build
	$(BIN)/python -m build --no-isolation

dist: build
	$(BIN)/python scripts/check_dist.py --run

docs: $(VENV)/.core
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lock: $(VENV)/.tools
	scripts/lock $(UV)

clean:
	rm -rf $(VENV) $(OLDEST) build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf src/*.egg-info
	find src -name '*.so' -o -name '*.pyd' | xargs rm -f
	find . -name __pycache__ -type d -prune | xargs rm -rf
