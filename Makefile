# make demo | test | lint | bench | clean.  Each builds .venv itself.
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
export TF_CPP_MIN_LOG_LEVEL ?= 2
export PYTHONPATH := $(CURDIR)

.PHONY: demo test lint bench clean setup
.DELETE_ON_ERROR:

setup: $(STAMP)

# The first of these that runs and is new enough; `python3` may be an empty shim.
$(STAMP): requirements.txt requirements-dev.txt
	@set -e; found=; \
	for python in python3.11 python3.12 python3.13 python3.10 python3 python; do \
	  if $$python -c 'import sys, venv, ensurepip; sys.exit(not (3,10) <= sys.version_info[:2] <= (3,13))' \
	      >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "make: no Python 3.10 - 3.13 found (TensorFlow 2.21 has wheels for these)." \
	       "Install one, with its venv module, and put it on PATH." >&2; exit 1; \
	fi; \
	echo "Installing into $(VENV) with $$($$found --version) ..."; \
	$$found -m venv $(VENV); \
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt; \
	touch $@

demo: $(STAMP)
	$(PY) samples/demo.py

test: $(STAMP)
	$(PY) -m pytest

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

bench: $(STAMP)
	$(PY) -m benchmarks.attention
	$(PY) -m benchmarks.model
	$(PY) -m benchmarks.pipeline
	@if [ -d build/demo/run ]; then $(PY) -m benchmarks.startup build/demo/run; \
	else echo "benchmarks.startup wants the run of make demo: skipped"; fi

clean:
	rm -rf build
