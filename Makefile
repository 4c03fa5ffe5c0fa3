# The one entry. `make run` needs Python 3.11+ and nothing else; everything is kept in .venv, dist and var.

PYTHON ?= python3
BIN := .venv/bin
# One more than two cores: tests of real hosts wait more than they work. Files are taken in the order of tests/conftest.py.
WORKERS ?= 3
PYTEST := $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder
ARGS ?=

.PHONY: setup setup-dev run lab check format test test-all bench dist docs lock
.DEFAULT_GOAL := run

setup:
	@$(PYTHON) tools/setup_venv.py runtime

setup-dev:
	@$(PYTHON) tools/setup_venv.py dev

# A server and this machine as a scan-only node. ARGS=--once scans, prints and ends; ARGS="--once --json" for programs.
run: setup
	@$(BIN)/patchwright up --end-with-parent $(ARGS)

# Four real hosts under a server of their own, to install on; as root.
lab: setup-dev
	@$(PYTHON) tools/setup_system.py
	@$(BIN)/python tools/setup_roots.py
	@$(BIN)/python tools/lab.py

check: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_layers.py tests/unit/test_tidiness.py

format: setup-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: setup-dev dist
	@$(PYTHON) tools/setup_system.py
	@$(BIN)/python tools/setup_roots.py
	@$(PYTEST) -m "not slow" $(ARGS)

test-all: setup-dev dist
	@$(PYTHON) tools/setup_system.py
	@$(BIN)/python tools/setup_roots.py
	@$(PYTEST) $(ARGS)

bench: setup-dev dist
	@$(BIN)/python -m bench $(ARGS)

dist: setup
	@$(BIN)/python tools/build_agent.py

docs: setup-dev
	@$(BIN)/python -m tools.docs

# Only when pyproject.toml or a dependency changes; the locks are reviewed like code.
lock:
	@$(PYTHON) tools/lock.py
