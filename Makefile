# Everything from a clone with Python 3.11, make and a network: `make test`. `make check` needs no real servers.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
BIN := .venv/bin
# A changed lock file makes the environment anew.
LOCK := $(shell cat requirements/dev.txt pyproject.toml | cksum | cut -d' ' -f1)
STAMP := .venv/made-from-$(LOCK)
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check

.PHONY: all .venv preflight tools triton demo check test clean
.DEFAULT_GOAL := all

all: check test

.venv: $(STAMP)

$(STAMP):
	$(if $(ANYWHERE),,$(PYTHON) -m scripts.preflight)
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes -r requirements/dev.txt
	$(PIP) --no-build-isolation --no-deps -e .
	touch $@

preflight:
	$(PYTHON) -m scripts.preflight

# The real Kubernetes programs and the real Triton that tests run: built once per machine, outside the checkout.
tools: .venv
	$(BIN)/python -m tests.controlplane.build_tools

triton: .venv
	$(BIN)/python -m tests.tritons.install

# The autoscaler on one real Triton for a minute and a half; a recorded run where no Triton can run. Ends with Ctrl-C.
# The demo says itself what is missing, so the environment is made without the check of what tests need.
demo: ANYWHERE := yes
demo: .venv
	@$(BIN)/python -m demo

check: .venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/triton-autoscaler check

test: .venv tools triton
	$(BIN)/python -m pytest --require-real

# The builds outside the checkout stay: remove ~/.cache/triton-ops to be rid of them.
clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
