# Everything from a clone with Python 3.11, make and a network: `make test`. `make check` needs no real servers.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
BIN := .venv/bin
# A changed lock file makes the environment anew; a changed pyproject.toml only installs the checkout's own commands again.
MADE := .venv/made-from-$(shell cksum < requirements/dev.txt | cut -d' ' -f1)
INSTALLED := .venv/installed-from-$(shell cksum < pyproject.toml | cut -d' ' -f1)
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check

.PHONY: all .venv preflight tools triton manifests docs demo check test groundtruth accuracy incidents soak storm faults hpa stability fuzz bench clean
.DEFAULT_GOAL := all

all: check test

.venv: $(INSTALLED)

$(MADE):
	$(if $(ANYWHERE),,$(PYTHON) -m scripts.preflight)
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes -r requirements/dev.txt
	touch $@

$(INSTALLED): $(MADE)
	$(PIP) --no-build-isolation --no-deps -e .
	touch $@

preflight:
	$(PYTHON) -m scripts.preflight

# The real Kubernetes programs, Prometheus, Alertmanager, Helm, Envoy and Triton that tests run: built once per machine, outside the checkout.
tools: .venv
	$(BIN)/python -m tests.controlplane.build_tools
	$(BIN)/python -m tests.prometheus.build_tools
	$(BIN)/python -m tests.deploy.build_tools
	$(BIN)/python -m tests.gateways.install

triton: .venv
	$(BIN)/python -m tests.tritons.install

# deploy/install.yaml, deploy/apiservice.yaml and deploy/triage.yaml, from the chart; deploy/prometheus-rules.yaml, from the rules;
# deploy/recording-rules*.yaml, from the signals.
manifests: .venv
	$(BIN)/python -m scripts.render_manifests

# docs/reference: a page for each alert, verdict and signal, from rules/.
docs: .venv
	$(BIN)/python -m scripts.render_docs

# Three acts on one real Triton in two and a half minutes; a recorded run where no Triton can run. Ends with Ctrl-C.
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
	$(BIN)/triton-triage check

test: .venv tools triton
	$(BIN)/python -m tests.run

# Every signal against what the load and the models recorded, beside NVIDIA's rules: writes docs/accuracy.md, a quarter of an hour.
# GROUNDTRUTH="--scenario '20/s, 1 pod'" plays one and writes nothing; `make test` plays the shortest.
groundtruth: .venv tools triton
	$(BIN)/python -m tests.groundtruth $(GROUNDTRUTH)
	$(BIN)/python -m pytest -s -m "accuracy or not accuracy" tests/groundtruth tests/prometheus tests/tritons/test_index_on_triton.py

# How often verdicts on simulated incidents are right, beside two simple ways, and load failures on file systems that are full or dead. ACCURACY="--half sealed" is for releases.
accuracy: .venv triton
	$(BIN)/python -m pytest -q -m accuracy tests/fleetsim tests/triage/latency tests/incidents/test_recorded.py tests/loadfailures
	$(BIN)/python -m tests.accuracy $(ACCURACY)

# The latency incidents on real Tritons with a real Prometheus, an hour: INCIDENTS="overload --out FOLDER" runs one.
incidents: .venv tools triton
	$(BIN)/python -m tests.incidents --triage $(INCIDENTS)

# Two replicas for ten minutes of real HPA syncs, while their certificates, the front proxy and the API server change and one is killed.
soak: .venv tools triton
	$(BIN)/python -m pytest -s -m accuracy tests/e2e/test_replicas.py

# A thousand alerts in ten seconds at the on-call service, told at Slack's pace, three minutes.
storm: .venv tools triton
	$(BIN)/python -m pytest -s -m accuracy tests/oncall

# What the real HPA does while Prometheus, pods, certificates or the API server fail, with each system that gives it values: the table
# of the README. FAULTS="--system scrape --row mute" plays less.
faults: .venv tools
	$(BIN)/python -m tests.faults $(FAULTS)

# The HPA's algorithm in telemetry/hpa.py beside the real controller, sync by sync, in 300 random scenarios, three minutes:
# HPA="--scenarios 50 --seed 7" plays others. `make test` plays 20.
hpa: .venv tools
	$(BIN)/python -m tests.hpa $(HPA)

# Step, ramp and bursts in closed loop on the real HPA, with each signal as its target: docs/stability.md, twenty minutes.
# STABILITY=--smoke shows in a minute that it runs; STABILITY="--load step --system share" plays less.
stability: .venv tools
	$(BIN)/python -m tests.stability $(STABILITY)

# The daemon between hostile Tritons, clients and configurations, ten minutes: FUZZ="--seconds 60 --seed 7" runs another.
fuzz: .venv
	$(BIN)/python -m tests.fuzz $(FUZZ)

# Ratios against a peer in the same run, what both sources cost and how soon the HPA knows beside KEDA, a gigabyte of log, and triage
# on 200 pods against its goals (for load-failure with logs of the real Triton), half an hour. BENCH="--only ticks,delays" measures
# those; BENCH=--smoke only shows that all of it runs.
bench: .venv tools
	$(BIN)/python -m bench $(BENCH)

# The builds outside the checkout stay: remove ~/.cache/triton-ops to be rid of them.
clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
