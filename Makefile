# Everything a person or a CI runner calls. Needs python3 (>= 3.11), python3-venv, git and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
DEMO := RECONCILE_FLEET=desired/fleet RECONCILE_DATABASE=.demo/fleet.db $(BIN)/reconcile

.PHONY: help demo test test-nightly coverage bench check truth refusals dist clean distclean

help:
	@echo 'make demo          a simulated cluster of 3 nodes gets its 12 VMs; run it twice'
	@echo 'make test          the whole suite (under 15 minutes on 2 cores)'
	@echo 'make test-nightly  the tests that take longer'
	@echo 'make coverage      the same, and every line that is not covered'
	@echo 'make bench         figures of this machine: no-op ticks of 100 to 10,000 VMs, deploys, start'
	@echo 'make check         ruff, mypy, import-linter and the suite'
	@echo 'make truth         replay recorded Proxmox flows against the simulator (needs ../shared)'
	@echo 'make refusals      write docs/refusals.md anew from the code (and ../shared)'
	@echo 'make dist          build the wheel'
	@echo 'make clean         remove the demo cluster, caches and built files'
	@echo 'make distclean     clean, and remove the virtual environment'

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.test-extras: $(VENV)/.installed
	$(PIP) install --constraint constraints.txt --editable '.[test]'
	@touch $@

demo: $(VENV)/.installed
	@mkdir -p .demo
	@echo '$$ reconcile --once --dry-run'
	@$(DEMO) --once --dry-run || test $$? -eq 2
	@echo
	@echo '$$ reconcile --once'
	@$(DEMO) --once
	@echo
	@echo '$$ reconcile status'
	@$(DEMO) status

test: $(VENV)/.test-extras
	BIN=$(BIN) WORKERS=$(WORKERS) scripts/test

test-nightly: $(VENV)/.test-extras
	$(BIN)/python -m pytest -n $(WORKERS) -m nightly

coverage: test
	$(BIN)/python -m coverage report

bench: $(VENV)/.test-extras
	$(BIN)/python -m tests.bench

check: $(VENV)/.test-extras
	BIN=$(BIN) scripts/check

truth: $(VENV)/.installed
	BIN=$(BIN) scripts/truth

refusals: $(VENV)/.test-extras
	$(BIN)/python -m tests.sim.refusals --write

dist: $(VENV)/.installed
	$(PIP) wheel --no-deps --wheel-dir dist .

clean:
	rm -rf .demo dist build .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage*

distclean: clean
	rm -rf $(VENV)
