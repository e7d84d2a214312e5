# Every command a user or developer needs. All of them set up what they need, on a fresh clone too.
SHELL := /bin/bash
BIN := .venv/bin
STAMP := .venv/.installed
PORT := 7233
SEEDS := 200
FIRST_SEED := 1
DATA := .data/perdure.db
IMAGE := perdure:$(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

.PHONY: help setup parts run cluster cluster-stop demo test test-quick simulate conformance random chaos bench lint proto chart image clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## install Perdure and its locked dependencies in .venv, with the newest Python found

# The .venv is made anew when what is locked has changed: it holds that and nothing else.
$(STAMP): requirements.lock pyproject.toml
	@cmp -s requirements.lock .venv/requirements.lock || { \
	  python=$$(scripts/find-python) && echo "perdure: setting up .venv with $$python" && \
	  "$$python" -m venv --clear .venv && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
	  cp requirements.lock .venv/; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

parts: ## install the real parts that tests run: ZooKeeper, Cassandra, PostgreSQL, MariaDB, Prometheus
	@scripts/parts

run: setup ## serve on 127.0.0.1:7233, data in .data/perdure.db (PORT=..., DATA=...)
	@mkdir -p $(dir $(DATA))
	@exec $(BIN)/perdure server start-dev --ip 127.0.0.1 --port $(PORT) --db-filename $(DATA)

cluster: setup parts ## start a whole cluster on loopback: ZooKeeper, Cassandra, 8 hosts (CLUSTER="--store postgresql")
	@$(BIN)/python -m scripts.cluster start $(CLUSTER)

cluster-stop: setup ## drain and stop it; data stays in .data/cluster
	@$(BIN)/python -m scripts.cluster stop

demo: setup ## move money, kill the server in the middle, show that nothing is lost
	@$(BIN)/python scripts/demo.py

test: setup parts ## run all tests (PYTEST=... for pytest's options)
	$(BIN)/python -m pytest -q $(PYTEST)

test-quick: setup ## run the tests that need no second server and no kills
	$(BIN)/python -m pytest -q tests/unit tests/store $(PYTEST)

simulate: setup ## run the simulated cluster from many seeds (SEEDS=10000 FIRST_SEED=1; TRACE=trace.txt; BREAK=fence)
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --first $(FIRST_SEED) \
	  $(if $(TRACE),--trace '$(TRACE)') $(if $(BREAK),--break '$(BREAK)')

conformance: setup ## compare with the official dev server (ONLY=... for a scenario, subject or pattern; DEPLOYMENT=cluster)
	@$(if $(DEPLOYMENT),scripts/parts &&) $(BIN)/python -m tests.conformance $(if $(ONLY),--only '$(ONLY)') \
	  $(if $(DEPLOYMENT),--against official,$(DEPLOYMENT))

random: setup ## compare random workflow programs with the official dev server (SEEDS=200 FIRST_SEED=1; SHRINK=1)
	@$(BIN)/python -m tests.random_programs --seeds $(SEEDS) --first $(FIRST_SEED) \
	  $(if $(WITHOUT),--without $(WITHOUT)) $(if $(SHRINK),--shrink)

chaos: setup parts ## kill, freeze and cut off parts of a real cluster in use (MINUTES=120 SEED=7 STORE=postgresql)
	@$(BIN)/python -m pytest -q -s tests/chaos

bench: setup ## measure against the official dev server (BENCH="--quick"; STORE=postgresql; CLUSTER=1)
	@$(if $(STORE)$(CLUSTER),scripts/parts &&) $(BIN)/python -m tests.bench \
	  $(if $(STORE),--store $(STORE)) $(if $(CLUSTER),--cluster) $(BENCH)

lint: setup ## check style, types, imports between rooms, and generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	scripts/proto --check
	$(BIN)/python -m services.frontend.compatibility --check

proto: setup ## generate services/protos from protos/
	scripts/proto

chart: setup ## lint and render the Helm chart, hold it to Kubernetes' schemas, pack it into dist/
	@scripts/helm
	@$(BIN)/python -m pytest -q tests/chart --ignore tests/chart/test_processes.py
	@.cache/helm/4.2.3/helm package --destination dist charts/perdure

image: ## build the image with Docker (IMAGE=perdure:0.1.0 PYTHON=python:3.13-slim)
	docker build $(if $(PYTHON),--build-arg PYTHON=$(PYTHON)) --tag $(IMAGE) .

clean: ## remove .venv and what was built; data stays
	rm -rf .venv build dist *.egg-info
