# Every command a user or developer needs. `make run` and `make test` work on a fresh clone.
SHELL := /bin/bash
BIN := .venv/bin
STAMP := .venv/.installed
DATA ?= .data/perdure.db

.PHONY: setup run test demo bench conformance lint proto clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@python=$$(scripts/find-python) && { [ -x $(BIN)/python ] || "$$python" -m venv .venv; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: setup
	@mkdir -p $(dir $(DATA))
	exec $(BIN)/perdure server start-dev --ip 127.0.0.1 --port 7233 --db-filename $(DATA)

test: setup
	$(BIN)/python -m pytest -q

demo: setup
	$(BIN)/python scripts/demo.py

bench: setup
	$(BIN)/python -m tests.bench $(BENCH)

conformance: setup
	$(BIN)/python -m tests.conformance

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	scripts/proto --check

proto: setup
	scripts/proto

clean:
	rm -rf .venv build dist *.egg-info
