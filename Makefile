# Two commands for a new machine: `make demo` and `make test`. Both set everything up in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test check compiled bench bench-peers soak mutants lock clean

help:
	@echo "make demo    set up .venv and run the main job: trade, get hurt, recover, halt, prove it (under 60 s)"
	@echo "make test    set up .venv and run the whole suite, on two cores; ARGS='tests/runtime -k name'"
	@echo "make check   format, lint, types, architecture, lock file"
	@echo "make compiled  build Ref.tell and the run loop in C into .venv (optional, needs a C compiler): messages cost half"
	@echo "make bench   measure against limits and peers in one run, about 12 minutes; ARGS='--quick', '--help'; writes build/bench.json"
	@echo "make bench-peers  the same with every peer: installs Erlang and the other Python libraries first"
	@echo "make soak    the longer tier, at most an hour on two cores, resumable: process kills, simulated seeds, planted bugs; ARGS='--help'"
	@echo "make mutants planted bugs, each against the seeds of its faults until an oracle catches it"
	@echo "make lock    resolve requirements.lock again (needs uv)"
	@echo "make clean   remove .venv and build"

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@PYTHON="$(PYTHON)" sh .ci/ensure_venv "$(VENV)"
	@echo "installing locked dependencies into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY)
	@$(BIN)/allstop demo $(ARGS)

test: $(READY)
	@$(BIN)/python -m pytest -q $(or $(ARGS),-n 2 --dist loadfile --no-loadscope-reorder)

check: $(READY)
	@$(BIN)/ruff format --check actors supervisors tests examples
	@$(BIN)/ruff check actors supervisors tests examples
	@$(BIN)/lint-imports
	@$(BIN)/basedpyright --level error

compiled: $(READY)
	@$(BIN)/allstop compile $(ARGS)

bench: $(READY)
	@mkdir -p build
	@$(BIN)/python -m tests.benchmarks --out build/bench.json $(ARGS)

bench-peers: $(READY)
	@$(BIN)/python -m tests.benchmarks.install
	@mkdir -p build
	@$(BIN)/python -m tests.benchmarks --peers --out build/bench.json $(ARGS)

# Kills, demos, simulated bad days, planted bugs, supervisors against their model, damaged captures. Goes on where it stopped.
soak: $(READY)
	@$(BIN)/python -m tests.soak $(ARGS)

# Each planted bug: the seed that caught it before, else a search from seed 1. ARGS='--again', '--only NAME', '--seeds N'.
mutants: $(READY)
	@$(BIN)/python -m tests.mutants $(ARGS)

lock:
	uv pip compile -q pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header -o requirements.lock

clean:
	rm -rf $(VENV) build dist
