# What one does with Holdfast. `make` alone lists it. Needs Python 3.11 or newer with pip, nothing else.

PYTHON := $(shell for p in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
            $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
INSTALLED := $(VENV)/installed
PACKAGES := engine workers persistence loadtests
SERVER = $(if $(READY_FILE),--ready-file $(READY_FILE))

.DEFAULT_GOAL := help
.PHONY: help install run test simulate check format rush bench bench-growth profile compare bench-lists clean

help:  ## list what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

install: $(INSTALLED)  ## make .venv with everything that runs, tests and measures Holdfast

run: $(INSTALLED)  ## start everything and sell one ticket; ARGS="…" goes to holdfast up, see ARGS=--help
	@$(VENV)/bin/holdfast up $(ARGS)

test: $(INSTALLED)  ## run all tests on real servers of their own; ARGS="…" goes to pytest
	@$(VENV)/bin/pytest $(ARGS)

simulate: $(INSTALLED)  ## break a simulated installation in every way, by seeds: SEEDS=7 or 1-20; ARGS="--steps 5000"
	@$(VENV)/bin/python -m tests.simulator --seeds $(or $(SEEDS),1-) $(ARGS)

check: $(INSTALLED)  ## lint, formatting, types, directions of imports
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/ruff format --quiet --check . || { echo "Not formatted; make format does it."; exit 1; }
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo

format: $(INSTALLED)  ## put the code into its form
	@$(VENV)/bin/ruff format --quiet .
	@$(VENV)/bin/ruff check --quiet --fix .

rush: $(INSTALLED)  ## let a crowd fight for few tickets, then audit; READY_FILE=… names a server that runs
	@$(VENV)/bin/holdfast rush $(SERVER) $(ARGS)

bench: $(INSTALLED)  ## measure requests, latency and CPU a request; READY_FILE=… names a server that runs
	@$(VENV)/bin/python -m loadtests.bench $(SERVER) $(ARGS)

bench-growth: $(INSTALLED)  ## measure whether requests cost more at a million holds and orders; some minutes, 5 GB of disk
	@$(VENV)/bin/python -m loadtests.growth $(ARGS)

profile: $(INSTALLED)  ## draw where front door and worker spend their time under load (py-spy), with Redis' own figures
	@$(VENV)/bin/python -m loadtests.profiling $(ARGS)

compare: $(INSTALLED)  ## show two rushes side by side: ARGS="reports/a.json reports/b.json --names A B"
	@$(VENV)/bin/python -m loadtests.compare $(ARGS)

bench-lists: $(INSTALLED)  ## measure pages of every list at a million orders; takes five minutes and 4 GB of disk
	@PYTHONPATH=. $(VENV)/bin/python tests/sql/bench_lists.py $(ARGS)

clean:  ## remove .venv and caches; ./data stays
	@rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# Some systems have pip, but not the part of Python that puts it into a new environment: then pip is used from outside.
$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Holdfast needs Python 3.11 or newer; make PYTHON=/path/to/python3 names one."; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || \
	  { rm -rf $(VENV); $(PYTHON) -m venv --without-pip $(VENV); }
	@printf 'Installing into $(VENV) '
	@if test -x $(VENV)/bin/pip; then pip="$(VENV)/bin/python -m pip"; \
	 else pip="$(PYTHON) -m pip --python $(VENV)/bin/python"; fi; \
	 $$pip install --disable-pip-version-check --no-input -c constraints.txt -e '.[dev]' >$(VENV)/install.log 2>&1 & \
	 job=$$!; while kill -0 $$job 2>/dev/null; do printf .; sleep 1; done; \
	 wait $$job || { echo ' failed:'; tail -n 20 $(VENV)/install.log; exit 1; }
	@echo ' done'
	@touch $@
