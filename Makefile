# Every target starts from nothing but Python 3.11 and make, and leaves nothing outside of this folder.
#
#   PYTHON=python3.12   another interpreter       BY=5m            another deadline for the demo
#   PIP_FLAGS=          with pip's own cache      ARGS='-k split'  more words for pytest or the benchmarks

PYTHON ?= python3
PIP_FLAGS ?= --no-cache-dir
BY ?= 25s
ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
INSTALLED := .venv/installed
PEERS := .venv-peers
GUARDS := tests/test_layers.py tests/test_budgets.py tests/test_public_names.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: demo test check format bench bench-peers lock clean help

demo: $(INSTALLED)  ## train on the built-in digits for 25 seconds, and write the report
	GNOMON_CACHE="$(CURDIR)/.cache" $(BIN)/gnomon train digits --by $(BY)

test: $(INSTALLED)  ## run every test
	$(BIN)/python -m pytest $(ARGS)

check: $(INSTALLED)  ## format, lint, types, and the guards on the code's structure
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q $(GUARDS)

format: $(INSTALLED)  ## put every file in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)  ## run the benchmarks
	@test -n "$(wildcard benchmarks/*.py)" || { echo "there are no benchmarks in benchmarks/"; exit 2; }
	@set -e; for file in $(sort $(wildcard benchmarks/*.py)); do echo "$$file"; $(BIN)/python "$$file" $(ARGS); done

bench-peers: $(INSTALLED) $(PEERS)/installed  ## run Gnomon beside Keras, JAX and PyTorch programs (an hour)
	$(PEERS)/bin/python benchmarks/peers/run.py $(ARGS)

lock:  ## choose versions anew; writes constraints.txt and requirements.lock (needs Python 3.11)
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip -qq install $(PIP_FLAGS) --upgrade pip
	build/lock/bin/python tools/lock.py
	rm -rf build/lock

clean:  ## remove what the other targets made, but not runs/
	rm -rf .venv $(PEERS) .cache build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Everything but PyTorch is checked against its hash. PyTorch comes in builds with different hashes (CPU, CUDA, ROCm):
# pip takes the one that it is set up to find, of the pinned version, and with it the libraries which that build needs.
# --clear: another lock makes another environment, with nothing left over from the last.
$(INSTALLED): pyproject.toml constraints.txt requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Gnomon needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name another one: make PYTHON=python3.11")'
	$(PYTHON) -m venv --clear .venv
	$(PIP) install $(PIP_FLAGS) --require-hashes --no-deps --only-binary=:all: -r requirements.lock
	$(PIP) install $(PIP_FLAGS) -c constraints.txt torch
	$(PIP) install --no-deps --no-build-isolation --editable .
	$(PIP) check
	@touch $@

$(PEERS)/installed: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv --clear $(PEERS)
	$(PEERS)/bin/python -m pip --disable-pip-version-check -qq install $(PIP_FLAGS) -r benchmarks/peers/requirements.txt
	@touch $@
