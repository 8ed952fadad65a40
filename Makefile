# Two commands matter: `make demo` and `make test`. Both need only Python 3.11 or newer.

# Name one to use it: make test PYTHON=/opt/python3.13/bin/python3
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check

# Empty files that say what has been installed; a change of pyproject.toml makes them old.
DEV := $(VENV)/.installed-dev
DEMO := $(VENV)/.installed-demo
AZURITE := .servers/.installed

.PHONY: help demo test test-slow test-radosgw simulate fuzz soak check bench format serve-s3 clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z0-9-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(DEMO)  ## train a model in several processes, log it, read it back [URL=s3://...]
	@$(BIN)/objrun demo $(if $(URL),--url '$(URL)')

test: $(DEV) $(AZURITE)  ## run all that CI runs [STEPS="lint types"]
	@$(BIN)/python tools/check $(STEPS)

test-slow: $(DEV) $(AZURITE)  ## run the tests that are too slow for every change
	@$(BIN)/python -m pytest -m slow -o faulthandler_timeout=1800 tests

test-radosgw: $(DEV)  ## run the suite of stores on Ceph's S3; needs its Debian packages
	@$(BIN)/python -m pytest --numprocesses=0 tests/storage/on_radosgw.py

simulate: $(DEV)  ## play the simulated world in many more orders [SEEDS=1000]
	@$(BIN)/python tools/simulate $(if $(SEEDS),--seeds $(SEEDS),--long)

soak: $(DEV)  ## everything at once at one store, processes killed, then an account [MINUTES=60]
	@$(BIN)/python tools/soak $(if $(MINUTES),--minutes $(MINUTES))

fuzz: $(DEV)  ## call every parser with damaged and hostile bytes [MINUTES=5]
	@$(BIN)/python tools/fuzz $(MINUTES)

check: test  ## the same as test

bench: $(DEV)  ## run the benchmarks, one after the other
	@$(BIN)/python -m pytest benchmarks --numprocesses=0 --benchmark-enable

format: $(DEV)  ## lay out the code and mend what ruff can mend
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format

serve-s3: $(DEV)  ## start a local S3 for demos and tests; Ctrl-C ends it
	@$(BIN)/python tools/serve_s3

clean:  ## remove the demo's store, caches and builds; .venv and .servers stay
	rm -rf demo-store dist .hypothesis .benchmarks .pytest_cache .mypy_cache .ruff_cache
	find objrun tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@for python in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do \
	    if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	        2>/dev/null; then \
	        echo "making $(VENV) with $$($$python --version)"; \
	        exec $$python -m venv $(VENV); \
	    fi; \
	done; \
	echo "objrun needs Python 3.11 or newer with venv (on Debian: apt install python3-venv);" \
	    "tried: $(or $(PYTHON),python3.13 python3.12 python3.11 python3)" >&2; \
	exit 1

$(DEV): pyproject.toml | $(BIN)/python
	@echo "installing objrun and what its tests need into $(VENV)"
	@$(PIP) --editable '.[dev]'
	@touch $(DEV) $(DEMO)

$(DEMO): pyproject.toml | $(BIN)/python
	@echo "installing objrun and what its demo needs into $(VENV)"
	@$(PIP) --editable '.[demo,s3]'
	@touch $(DEMO)

# The Azure server of the tests. Without it they are skipped here and fail where CI is set.
$(AZURITE):
	@if ! command -v npm >/dev/null; then \
	    echo "npm is not installed: tests on Azure will be skipped"; \
	elif echo "installing azurite into .servers" && \
	    npm install --prefix .servers --no-audit --no-fund --loglevel=error azurite@3; then \
	    touch $@; \
	else \
	    echo "npm could not install azurite: tests on Azure will be skipped"; \
	fi
