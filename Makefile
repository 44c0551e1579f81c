# Everything a contributor does. `make demo` and `make test` set up all they need on a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two more than the two cores of a small machine: many tests wait for a daemon, a server or a time-out.
PYTEST_WORKERS ?= 4
LOCKED := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command 'make lock'
# What `make soak` runs: so many seeds, from the first that `make test` does not.
N ?= 20000
FIRST ?= 3000

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

.PHONY: setup
setup: $(STAMP) ## Make .venv with the locked dependencies; the command is .venv/bin/provisioner

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("token-provisioner needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; say make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

.PHONY: demo
demo: setup ## Watch three tokens rotate: a real OpenBao and a simulated InfluxDB cluster, on this machine
	$(BIN)/provisioner demo

.PHONY: test
test: setup ## Run every test, with real servers on free ports
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadgroup

.PHONY: soak
soak: setup ## Run N more random schedules of the protocol on every core: make soak N=20000 FIRST=3000
	$(BIN)/python -m tests.simulation.soak $(N) $(FIRST)

.PHONY: lint
lint: setup ## Check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: setup ## Put the code into its canonical form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: chart
chart: setup ## Write anew what the chart has from elsewhere: the schema of `config`, the copy of the alerts
	$(BIN)/python -m tests.deploy.values_schema

.PHONY: lock
lock: setup ## Lock the dependencies anew, with hashes and without addresses; the image's are a part of them
	$(BIN)/uv pip compile $(LOCKED) --upgrade --all-extras --group dev --group deploy --output-file requirements.lock pyproject.toml
	$(MAKE) deploy/requirements.lock

deploy/requirements.lock: requirements.lock
	$(BIN)/uv pip compile $(LOCKED) --group image --constraint requirements.lock --output-file $@ pyproject.toml
