# make run        a node with the demo              make check    lint, types, architecture
# make test       every test, in Chromium too       make fix      repair what lint and format can repair
# make test-fast  pure and contract tests           make bench    what it costs, beside other servers
# make chaos      random faults, on Redis           make attack   what strangers can cost it
# make widget     ticker.js out of web/widget/      make fuzz     random requests
# make mutants    small faults that tests notice    make release VERSION=X.Y.Z

PYTHON ?= $(shell command -v python3.11 || command -v python3)
HOST   ?= 127.0.0.1
PORT   ?= 8000
DEMO   ?= .demo
TESTERS ?= 4
BIN    := .venv/bin
NODE_BIN := .venv/node/node_modules/.bin

.PHONY: run test test-fast check fix widget bench lighthouse frameworks chaos attack fuzz mutants release clean help

help:
	@sed -n '1,6p' Makefile | sed 's/^# //'

# The demo keeps its lines and its key in $(DEMO), so that it is the same after a restart. HOST=0.0.0.0 opens it to
# other machines; PORT=8001 if 8000 is taken.
run: .venv/run
	@mkdir -p $(DEMO) && test -s $(DEMO)/key || (umask 077; $(BIN)/python -c 'import secrets; print("demo_" + secrets.token_urlsafe(32))' > $(DEMO)/key)
	@TICKER_ADMIN_KEY=$$(cat $(DEMO)/key) exec $(BIN)/ticker serve --demo --host $(HOST) --port $(PORT) --newswire sqlite:///$(DEMO)/ticker.db --drain 1

# Every test. It measures the coverage of ticker/ (ADR 15), and fails if that has dropped; with ARGS it measures nothing.
test: .venv/dev .venv/node
	-@scripts/need chromium-headless-shell chromium-headless-shell
	@scripts/need chromium chromium
	@scripts/need redis-server redis-server
	@scripts/need caddy caddy
	@scripts/need nginx nginx-light
	@scripts/need haproxy haproxy
	@scripts/need docker-compose docker-compose
	@scripts/need openssl openssl
	@scripts/need cc build-essential
	@scripts/need node nodejs
	@$(BIN)/pytest --numprocesses $(TESTERS) --dist loadfile $(or $(ARGS),--cov)

# Pure rules, and the newswire's contract on SQLite and Redis, in less than a minute: tests/fast.py chooses.
test-fast: .venv/dev
	@scripts/need redis-server redis-server
	@$(BIN)/python -m pytest -p tests.fast --numprocesses 2 --dist worksteal $(ARGS)

check: .venv/dev .venv/node
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(NODE_BIN)/tsc --project web/widget
	@$(NODE_BIN)/tsc --project web/tsconfig.desk.json
	@cd web && ../$(NODE_BIN)/eslint .

fix: .venv/dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# What nodes serve of the widget, out of web/widget. It is in the repository: a node builds nothing (ADR 12).
widget: .venv/node
	@node web/build.mjs

# Lighthouse's scores of the demo page. Not among the tests: other work on the machine counts as the page's slowness.
lighthouse: .venv/dev .venv/lighthouse
	@$(BIN)/pytest tests/browser/lighthouse.py $(ARGS)

# The banner in applications made with React, Vue and Svelte. Not among the tests: it takes them from npm.
frameworks: .venv/dev .venv/frameworks/node_modules
	@scripts/need chromium chromium
	@$(BIN)/pytest tests/browser/frameworks.py $(ARGS)

# Three nodes, 200 readers and a long random schedule of faults: nothing lost, nothing twice, nothing back.
chaos: .venv/dev
	@scripts/need redis-server redis-server
	@$(BIN)/python -m tests.chaos $(or $(ARGS),--faults 110 --readers 200)
	@$(BIN)/python -m tests.chaos.drafts
	@$(BIN)/python -m tests.chaos.recalls

# Requests and frames at random, for as many minutes as you like; make test has one of them.
fuzz: .venv/dev
	@scripts/need nginx nginx-light
	@FUZZ_MINUTES=$(or $(MINUTES),60) $(BIN)/pytest tests/test_wire.py -k "strict_reading or nothing_else" --timeout 0 -q $(ARGS)

# Floods, drips, bombs and holds against a node with 500 readers and an editor at work, in some nine minutes: no line
# late, memory bounded, every held connection gone, the editor served. ARGS=--quick for a look in less than one.
attack: .venv/dev
	@scripts/need caddy caddy
	@$(BIN)/python -m tests.attack $(ARGS)

# Of small faults made in the pure rules and the relay, how many the tests notice; in a copy of the tree, in some
# minutes a module. ARGS=ticker/board.py for one of them.
mutants: .venv/dev .venv/mutants
	@$(BIN)/python scripts/mutants $(ARGS)

# What fan-out costs, beside its peers, and the widget's figures, in some twelve minutes: docs/bench.md.
# ARGS=--quick for a look in two minutes; ARGS=--soak for the two long runs, which the report then holds too.
bench: .venv/bench
	@scripts/need cc build-essential
	@scripts/need nginx nginx-light
	@scripts/need --package libnginx-mod-nchan
	@scripts/need node nodejs
	@scripts/need npm npm
	@scripts/need chromium chromium
	@$(BIN)/python -m bench $(ARGS)

# Check, write the changelog's heading and the version, keep the widget's build, build, commit, tag. DRY=1 only tells.
release: .venv/dev
	@$(BIN)/python scripts/release "$(VERSION)" $(if $(DRY),--dry-run)

clean:
	rm -rf .venv $(DEMO) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage dist build

.venv/run: pyproject.toml
	@scripts/venv $(PYTHON)
	@touch $@

.venv/bench: pyproject.toml .venv/run
	@scripts/venv $(PYTHON) bench
	@touch $@

.venv/mutants: pyproject.toml .venv/run
	@scripts/venv $(PYTHON) mutants
	@touch $@

.venv/dev: pyproject.toml .venv/run
	@scripts/venv $(PYTHON) dev
	@touch $@

# What builds the widget and checks our scripts: exactly what the lock file says, on Node 18 or newer. Not in web/,
# which is packaged whole.
.venv/node: web/package.json web/package-lock.json web/.npmrc | .venv/run
	@scripts/need node nodejs
	@scripts/need npm npm
	@echo "Installing esbuild, TypeScript and ESLint in $@"
	@mkdir -p $@ && cp $^ $@
	@npm ci --prefix $@ --no-audit --no-fund --loglevel=error
	@touch $@

# A program of Node's, kept beside what is Python's. Debian's Node runs version 12.
.venv/lighthouse: .venv/run
	@scripts/need node nodejs
	@scripts/need npm npm
	@echo "Installing Lighthouse in $@"
	@npm install --prefix $@ --no-save --no-package-lock --no-audit --no-fund --loglevel=error 'lighthouse@>=12.8 <13'
	@touch $@

.venv/frameworks/node_modules: tests/browser/apps/package.json | .venv/run
	@scripts/need node nodejs
	@scripts/need npm npm
	@echo "Installing React, Vue and Svelte in $(@D)"
	@mkdir -p $(@D) && cp $< $(@D)
	@npm install --prefix $(@D) --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@
