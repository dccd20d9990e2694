# `make help` lists the targets. Everything runs in .venv, which the first target creates; audit and benchmark have venvs of
# their own.

PYTHON ?= python3
BIN := .venv/bin
BENCH := .venv-bench/bin/python
STAMP := .venv/installed
AUDIT_STAMP := .venv-audit/installed
BENCH_STAMP := .venv-bench/installed
# Parallel test processes: one more than cores, because tests also wait. Each starts its own pipeline, of about 1.5 GB; the
# tests of a file stay together.
JOBS ?= 3
# A lock file lists every package with its hashes; pip refuses all others.
INSTALL := pip install --quiet --disable-pip-version-check --require-hashes --requirement
COMPILE := uv pip compile --quiet --upgrade --universal --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links
PYTEST := $(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# Without byte code, each test process and each server compiles all tests and modules again: ten seconds of CPU.
unexport PYTHONDONTWRITEBYTECODE

# $(call timed,TARGETS): make them, and say how long it took.
timed = @began=$$(date +%s); $(MAKE) --no-print-directory $(1) && echo "make $@ took $$(($$(date +%s) - began)) s." || \
	{ echo "make $@ failed: the lines with *** above say where."; exit 1; }

.DEFAULT_GOAL := help

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-11s %s\n", $$1, $$2}'

run: $(STAMP) ## Run the pipeline on this machine and stay up: IMAGES="a.jpg 'my folder'" for your own images, OPTIONS=… for options
	@$(BIN)/python -m local run $(OPTIONS) $(IMAGES)

demo: $(STAMP) ## Run the pipeline on sample images; exits 0 only if all have the expected outcome
	@$(BIN)/python -m local demo $(IMAGES)

test: $(STAMP) ## Run all checks: style, types, and all tests, with those of the templates; JOBS=3 test processes
	$(call timed,-j 2 style tests)

check: $(STAMP) ## Check quickly: style, types, unit tests
	$(call timed,style unit)

unit: $(STAMP) ## Run the unit tests
	$(BIN)/pytest -n $(JOBS) tests/unit

tests: $(STAMP) ## Run all tests
	$(PYTEST)

lint: style ## Check style, types and the templates
	$(BIN)/cfn-lint template.yml monitoring/template.yml cicd/roles.yml

style: $(STAMP) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy layers/vendor/trim_botocore.py

audit: $(STAMP) $(AUDIT_STAMP) ## Find unsafe settings, known vulnerabilities, secrets, wrong workflows and scripts
	@$(BIN)/python -m tools.audit

test-all: lint audit fuzz load $(STAMP) ## Run all checks for longer: audit, damaged files, load, more interleavings; write the figures
	$(BIN)/python -m bench.batch.simulation
	HEAVY=1 INTERLEAVINGS=30 $(PYTEST) --junitxml=.figures.xml
	PYTHONPATH=layers/core INTERLEAVINGS=30 $(BIN)/python -m tools.figures .figures.xml

invoke: $(STAMP) ## Run one function in its container against `make run`: FUNCTION=… EVENT=events/….json OPTIONS=…
	@$(BIN)/python -m local invoke $(FUNCTION) $(EVENT) $(OPTIONS)

fuzz: $(STAMP) ## Feed damaged files to the engine: SECONDS=60
	PYTHONPATH=layers/core $(BIN)/python -m tools.fuzz $(or $(SECONDS),60)

bench: ## Compare with Pillow, pyvips, sharp and OpenCV (needs apt-get, Node.js, Valgrind), and measure all else; about half an hour
	$(call timed,measurements)

measurements: $(BENCH_STAMP)
	PYTHONPATH=.:layers/core $(BENCH) -m bench.engine --instructions $(OPTIONS)
	! command -v sam > /dev/null || sam build || true
	PYTHONPATH=.:layers/core $(BENCH) -m bench.handlers
	PYTHONPATH=.:layers/core $(BENCH) -m bench.logs
	$(BENCH) -m bench.cost
	PYTHONPATH=.:layers/core $(BENCH) -m bench.exposure
	PYTHONPATH=.:layers/core $(BENCH) -m bench.page
	PYTHONPATH=.:layers/core $(BENCH) -m bench.focus

load: $(STAMP) ## Upload COUNT=1000 files at once to the local run; exits 0 only if none is lost or doubled
	@$(BIN)/python -m bench.load --count $(or $(COUNT),1000)

build: ## Build the functions and layers for AWS, with Python 3.13; without it: OPTIONS=--use-container (Docker)
	sam build $(OPTIONS)

deploy: build ## Deploy to AWS, asking for the parameters
	sam deploy --guided

recording: $(STAMP) ## Record `make demo` for the README, as docs/recording.svg
	@PYTHONPATH=.:layers/core $(BIN)/python -m tools.recording

screenshots: $(STAMP) ## Take the pictures of the web page for README and docs again (needs Chromium)
	@PYTHONPATH=.:layers/core $(BIN)/python -m tools.screenshots

snapshot: $(STAMP) ## Write the release snapshot of the version in pyproject.toml
	@$(BIN)/python -m tools.release_snapshot

lock: $(STAMP) ## Update the lock files: versions and hashes of all packages
	$(BIN)/$(INSTALL) requirements-lock.txt
	for name in layers/vendor/requirements layers/vips/requirements layers/simd/requirements; do \
	  $(BIN)/$(COMPILE) --python-version 3.13 $$name.in --output-file $$name.txt || exit; \
	done
	for name in requirements-dev bench/engine/requirements requirements-audit requirements-lock; do \
	  $(BIN)/$(COMPILE) --python-version 3.11 $$name.in --output-file $$name.txt || exit; \
	done
	@command -v npm >/dev/null || echo "npm is not installed: bench/engine/package-lock.json stays as it is."
	! command -v npm >/dev/null || npm --prefix bench/engine update --package-lock-only --omit-lockfile-registry-resolved --no-fund

clean: ## Remove everything that the other targets created
	rm -rf .venv .venv-audit .venv-bench .aws-sam .run .bench .fuzz .mypy_cache .ruff_cache .hypothesis

$(STAMP): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed; this is " + sys.version.split()[0] + ". Set PYTHON=…") if sys.version_info < (3, 11) else 0'
	@echo "Setting up .venv (one or two minutes, once) …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/$(INSTALL) requirements-dev.txt
	@touch $@

$(AUDIT_STAMP): requirements-audit.txt
	@echo "Setting up .venv-audit (one or two minutes, once) …"
	@$(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/$(INSTALL) requirements-audit.txt
	@touch $@

# What is measured has the versions that the project is tested with.
$(BENCH_STAMP): requirements-dev.txt bench/engine/requirements.txt
	@echo "Setting up .venv-bench (one or two minutes, once) …"
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/$(INSTALL) requirements-dev.txt --requirement bench/engine/requirements.txt
	@touch $@

.PHONY: help run demo test check unit tests lint style audit test-all invoke fuzz bench measurements load build deploy recording screenshots snapshot lock clean
