# `make` lists the targets.  Needed beforehand: Python 3.11 or newer, make, git.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# A user id without a name, as of a container: DVC asks for one, and takes the variable's.
export USER := $(or $(USER),$(LOGNAME),$(firstword $(shell id -un 2>/dev/null || id -u)))

# dvc.yaml's `python`, and every tool, is the environment's.
in-env = PATH="$$(cd "$(BIN)" && pwd):$$PATH"

# A process for each of a few cores, with one thread each: tiny networks gain nothing from a second one.
pytest = OMP_NUM_THREADS=1 python -m pytest -n auto --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help
# of `make separate`
OUT    ?= sounds
# of `make faults`
TIMES  ?= 20

.PHONY: help git install repro separate web pretrained-demo test lint format test-slow bench bad-inputs faults clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-16s %s\n", $$1, $$2}'

# What DVC wants of git, before anything is downloaded or run.
git:
	@git --version >/dev/null || { echo "error: git is missing: install it"; exit 2; }
	@git rev-parse --git-dir >/dev/null || { echo "error: DVC needs a git repository, which this folder is not (a ZIP file's is none): clone it with git, or: git init && git add -A && git commit -m start"; exit 2; }
	@git rev-parse -q --verify HEAD >/dev/null || { echo "error: this git repository has no commit, and DVC needs one: git add -A && git commit -m start"; exit 2; }
	@{ git config user.name && git config user.email; } >/dev/null || echo "note: git does not know you, and 'dvc exp run' commits: git config user.name NAME && git config user.email ADDRESS"

install: git $(STAMP)  ## make the environment (.venv) from requirements.txt, with the word avsep; once

repro: install  ## run the pipeline: whatever is not up to date with params.yaml, the code and the data
	$(in-env) dvc repro

separate: install  ## separate a video: make separate VIDEO=my.mp4 [OUT=sounds] [MODEL=owner/name]
	@test -n "$(VIDEO)" || { echo "error: make separate VIDEO=my.mp4 [OUT=sounds] [MODEL=owner/name]"; exit 2; }
	$(in-env) avsep separate "$(VIDEO)" -o "$(OUT)" $(if $(MODEL),--model "$(MODEL)")

web: install  ## a page to drop videos on, at http://127.0.0.1:7860: make web [MODEL=owner/name]
	$(in-env) avsep web $(if $(MODEL),--model "$(MODEL)")

pretrained-demo: install  ## copy the demo's model to pretrained/demo, which git keeps, and tell its size
	$(in-env) dvc repro package
	$(in-env) avsep package copy pretrained/demo

test: lint  ## linters, types and the fast tests
	$(in-env) $(pytest)

lint: install
	$(in-env) ruff check
	$(in-env) ruff format --check
	$(in-env) mypy

format: install  ## let ruff put the code into shape
	$(in-env) ruff check --fix
	$(in-env) ruff format

test-slow: install  ## the tests that run whole pipelines
	$(in-env) $(pytest) -m slow

bench: install  ## measure what docs/performance.md claims, beside the published way; on one thread, some ten minutes
	$(in-env) OMP_NUM_THREADS=1 python -m benchmarks.step
	$(in-env) OMP_NUM_THREADS=1 python -m benchmarks.step --parts
	$(in-env) OMP_NUM_THREADS=1 python -m benchmarks.step --memory --batch 12
	$(in-env) OMP_NUM_THREADS=1 python -m benchmarks.loading
	$(in-env) OMP_NUM_THREADS=1 python -m benchmarks.scoring
	$(in-env) OMP_NUM_THREADS=1 LOKY_MAX_CPU_COUNT=1 python -m benchmarks.growth
	$(in-env) OMP_NUM_THREADS=1 python -m benchmarks.training_step

bad-inputs: install  ## read files of every kind, spoilt in every way: each is refused in one line, or listed
	$(in-env) nice python -m tests.bad_inputs

faults: install  ## stop each stage at TIMES random moments (20), start it again: hours; into docs/reliability.md
	$(in-env) nice python -m benchmarks.faults --times $(TIMES) --table docs/reliability.md

clean:  ## remove the tools' caches (not .venv, data, checkpoints or DVC's cache)
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

# The pinned list is complete, so nothing is resolved: tinysoundfont's pyaudio, which needs a system header
# and serves live playback only, stays out.  The stamp is written last: an interrupted install starts again.
$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv "$(VENV)"
	if command -v uv >/dev/null; then \
		uv pip install --python "$(BIN)/python" --no-deps -r requirements.txt \
		&& uv pip install --python "$(BIN)/python" --no-deps --no-build-isolation --editable .; \
	else \
		"$(BIN)/python" -m pip install --disable-pip-version-check --no-deps -r requirements.txt \
		&& "$(BIN)/python" -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	fi
	@touch "$(STAMP)"
