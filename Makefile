# The two commands of the README are `make quickstart` and `make test`; `make help` lists the rest.
# Everything runs in .venv, which is made on first use: by uv where it is present, else by venv and pip.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
STAMP := $(VENV)/.installed-dev
RUN_STAMP := $(VENV)/.installed
PEERS_VENV ?= .venv-peers
PEERS_STAMP := $(PEERS_VENV)/.installed

.PHONY: help quickstart test slow simulation aa lint format types imports check bench peers gate gpu gpu-wheels wheel clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(BIN)/python:
ifneq ($(UV),)
	$(UV) venv --quiet --allow-existing $(VENV)
else
	$(PYTHON) -m venv $(VENV)
endif

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV): torch with CUDA is about 5.5 GB, and takes a minute or two."
ifneq ($(UV),)
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e .
else
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
endif
	@touch $@

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV): torch with CUDA is about 5.5 GB, and takes a minute or two."
ifneq ($(UV),)
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[dev]'
else
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
endif
	@touch $@ $(RUN_STAMP)

quickstart: $(RUN_STAMP)  ## a fair leaderboard on real digits in about two minutes
	$(BIN)/harness run benchmarks/suites/quickstart.toml

test: $(STAMP)  ## the default tier, side by side on all cores
	$(BIN)/python -m pytest -n auto --dist worksteal -q

slow: $(STAMP)  ## the slow tier: killed launchers, whole suites, a third party's distribution
	$(BIN)/python -m pytest -m 'slow and not gpu' -q

simulation: $(STAMP)  ## 10,000 simulated boards a setting: false discoveries, power, drift
	$(BIN)/python -m pytest -m simulation -n auto --dist worksteal -q tests/simulation

lint: $(STAMP)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)  ## ruff, writing
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP)  ## mypy --strict on both packages
	$(BIN)/mypy

imports: $(STAMP)  ## the floors
	$(BIN)/lint-imports --no-cache

check: lint types imports test  ## all but the slow tier

aa: $(STAMP)  ## the harness against itself: 20 copies of one baseline on digits, four minutes
	$(BIN)/harness aa benchmarks/suites/aa-digits.toml

bench: $(STAMP)  ## benchmarks/gates, one at a time
	$(BIN)/python -m pytest benchmarks/gates -q --benchmark-only --benchmark-json .benchmarks/latest.json

$(PEERS_STAMP): pyproject.toml constraints.txt benchmarks/peers/requirements.txt
	@echo "Installing the peers into $(PEERS_VENV): about 6 GB, and it takes a minute or two."
ifneq ($(UV),)
	$(UV) venv --quiet --allow-existing $(PEERS_VENV)
	$(UV) pip install --quiet --compile-bytecode --python $(PEERS_VENV)/bin/python -c constraints.txt -e . -r benchmarks/peers/requirements.txt
else
	$(PYTHON) -m venv $(PEERS_VENV)
	$(PEERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e . -r benchmarks/peers/requirements.txt
endif
	@touch $@

peers: $(PEERS_STAMP)  ## the harness beside timm, Lightning, Accelerate and transformers, interleaved
	$(PEERS_VENV)/bin/python benchmarks/peers/run.py

gpu:  ## all that only a GPU can show, in under 8 minutes (OUT=folder, DATA=root; needs no .venv: PYTHON=python3)
	$(PYTHON) benchmarks/gpu/run.py --out $(or $(OUT),gpu-results) $(if $(DATA),--data $(DATA))

gpu-wheels: wheel  ## what a machine without a network lacks for `make gpu`, into .whl/
	rm -rf .whl && mkdir .whl && cp dist/*.whl .whl/
	$(PYTHON) -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: -d .whl \
	  --python-version $(or $(GPU_PYTHON),3.12) --implementation cp $(foreach n,17 24 27 28,--platform manylinux_2_$(n)_x86_64) \
	  --platform manylinux2014_x86_64 -c constraints.txt \
	  annotated-types orjson platformdirs pydantic pydantic-core typing-inspection

BASE ?= HEAD
gate: $(STAMP)  ## the working tree against BASE (HEAD): slower, larger? (docs/gates.md)
	$(BIN)/harness gate benchmarks/suites/gate.toml --base $(BASE)

wheel: $(STAMP)  ## dist/*.whl
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist >/dev/null
	@ls dist

clean:  ## all that was made, but the results
	rm -rf $(VENV) $(PEERS_VENV) dist build .mypy_cache .ruff_cache .pytest_cache .benchmarks
