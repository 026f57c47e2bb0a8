# The doors of the project. Every target makes the environment it needs in .venv first; a second call costs nothing.
#
#   make demo [TORCH=cpu] [SYSTEM_TORCH=1] [PYTHON=python3.12]     the whole experiment, small, on built-in data
#   make test [PYTEST='-k metrics']                               the whole test suite
#   make processes                                                what starts `mlflow run`, workers, servers or a browser
#   make faults, make faults-sample                               kill everything and count what is lost: docs/faults.md
#   make bench                                                    what the platform costs: docs/performance.md
#   make server [STUDIES=yes], make server-down                   the team's server, in containers: docs/team-server.md
#   make secrets, make pin-images                                 its .env; digests behind its images' tags
#   make backup [TO=FOLDER], make restore FROM=FOLDER             its databases and artifacts
#   make server-plain                                             its services as plain processes
#   make lint                                                     ruff and the type checker
#   make lock                                                     requirements.lock and conda.yaml from pyproject.toml
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test processes faults faults-sample bench lint lock venv
.PHONY: server server-down server-plain secrets pin-images backup restore

PYTHON ?=
TORCH ?=
SYSTEM_TORCH ?=
PYTEST ?=
WORKERS ?= 2
SEED ?= 0
STUDIES ?=
TO ?= backups/$(shell date +%Y-%m-%dT%H-%M-%S)
FROM ?=

BIN := .venv/bin
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
IN_VENV := PATH="$(CURDIR)/$(BIN):$$PATH" VIRTUAL_ENV="$(CURDIR)/.venv" MLFLOW_DISABLE_TELEMETRY=true
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header

ENGINE := docker compose --file docker-compose.yml $(if $(STUDIES),--file docker-compose.studies.yml)

help:
	@sed -n '3,13s/^# *//p' Makefile

demo: .venv/ready
	@$(IN_VENV) mlflow run . --env-manager local

# One thread a worker, since two workers of torch with all cores each take turns at the same two cores; one file a
# worker, so that no fixture is made twice.
test: .venv/ready
	@$(IN_VENV) OMP_NUM_THREADS=1 python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST)

# One after the other, since they measure nothing but wait for each other. What needs PostgreSQL or Chromium (Debian:
# apt install postgresql chromium) is skipped, and said so, where there is none.
processes: .venv/ready
	@$(IN_VENV) OMP_NUM_THREADS=1 python -m pytest -n 0 -m processes -rs $(PYTEST)

# An hour of real faults, whose counts go into docs/faults.md; and some minutes of them, whose seed one may choose. Both
# go on where they were killed.
faults: .venv/ready
	@$(IN_VENV) OMP_NUM_THREADS=1 python -m benchmarks.faults --seed $(SEED)

faults-sample: .venv/ready
	@$(IN_VENV) OMP_NUM_THREADS=1 python -m benchmarks.faults --sample --seed $(SEED)

# Half an hour on two idle cores; other work on the machine disturbs it, and the page says how much there was.
bench: .venv/ready
	@$(IN_VENV) python -m benchmarks.performance

server:
	@$(ENGINE) version >/dev/null 2>&1 || { \
	  echo "make server needs docker with compose; the same services without an engine: make server-plain" >&2; exit 2; }
	@$(ENGINE) up --build --detach --wait
	@echo "MLflow http://127.0.0.1:5000, optuna-dashboard http://127.0.0.1:8080; users and permissions: docs/team-server.md"

server-down: # the volumes stay
	@$(ENGINE) down

server-plain: .venv/ready
	@$(IN_VENV) python -m benchmarks.team.stack

secrets pin-images: .venv/ready
	@$(IN_VENV) python -m server $@

backup: .venv/ready
	@$(IN_VENV) python -m server backup $(TO)

restore: .venv/ready
	@$(IN_VENV) python -m server restore $(FROM)

lint: .venv/ready
	@$(IN_VENV) ruff check .
	@$(IN_VENV) ruff format --check .
	@$(IN_VENV) mypy

lock: .venv/ready
	$(COMPILE) --all-extras pyproject.toml --output-file requirements.lock >/dev/null
	{ printf '%s\n' '# The run-time half of requirements.lock, third-party packages only; written by `make lock`.' \
	    'name: iqa' 'channels: [conda-forge, nodefaults]' 'dependencies:' '  - python=3.11' '  - pip' '  - pip:'; \
	  $(COMPILE) --constraint requirements.lock pyproject.toml | sed 's/.*/      - "&"/'; } > conda.yaml

venv: .venv/ready

# Where Python is told not to keep compiled modules, each command would compile torch and MLflow anew, for 20 seconds.
COMPILED := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)

# uv comes from pip, so this machine's pip configuration applies to it; uv itself reads UV_DEFAULT_INDEX, which a
# mirror in pip's configuration sets here. Where uv finds no index, pip installs the same versions, only slower.
.venv/ready: requirements.lock
	@python='$(PYTHON)'; \
	for candidate in $${python:-python3.11 python3.12 python3.13 python3.14 python3}; do \
	  if "$$candidate" -c '$(SUPPORTED)' 2>/dev/null; then found=$$candidate; break; fi; done; \
	if [ -z "$${found:-}" ]; then \
	  echo "No Python 3.11 to 3.14 was found$${python:+ behind PYTHON=$$python}: install one, or name it: make venv PYTHON=/path/to/python3.11" >&2; exit 2; fi; \
	if [ -n '$(SYSTEM_TORCH)' ]; then \
	  "$$found" -c 'import torch, torchvision' 2>/dev/null || { \
	    echo "SYSTEM_TORCH=1, but $$found cannot import torch and torchvision: leave SYSTEM_TORCH out, or name the Python that has them with PYTHON=" >&2; exit 2; }; \
	elif [ "$$(uname -s)" = Linux ] && [ -z '$(TORCH)' ] && ! command -v nvidia-smi >/dev/null; then \
	  echo "No NVIDIA GPU here, and Linux wheels of torch bring several gigabytes of CUDA. To take the small build instead: Ctrl-C, then the same command with TORCH=cpu"; fi; \
	echo "Making .venv with $$found; this is done once."; \
	"$$found" -m venv --clear $(if $(SYSTEM_TORCH),--system-site-packages) .venv || { \
	  echo "$$found has no venv module (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 2; }; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.lock)"; \
	index=$${UV_DEFAULT_INDEX:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null || true)}; \
	printf 'torch\ntorchvision\n' > .venv/theirs; \
	$${index:+env UV_DEFAULT_INDEX="$$index"} $(BIN)/uv pip install --python $(BIN)/python --editable '.[server,dev]' \
	    --constraint requirements.lock --build-constraint requirements.lock $(COMPILED) \
	    $(if $(TORCH),--torch-backend $(TORCH)) $(if $(SYSTEM_TORCH),--excludes .venv/theirs) || { \
	  [ -z '$(TORCH)$(SYSTEM_TORCH)' ] || exit 1; \
	  echo 'uv could not install; trying pip with its own configuration.'; \
	  $(BIN)/python -m pip install --disable-pip-version-check --constraint requirements.lock --editable '.[server,dev]'; }
	@touch $@
