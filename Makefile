# `make` lists the targets. Those that need the environment make or refresh .venv first, from requirements.lock.

# The interpreter that uv looks for, when .venv is made: a version, a range or a path.
PYTHON ?= >=3.11,<3.13
PY := .venv/bin/python
STAMP := .venv/.installed
# uv from the PATH, or else one of our own inside .venv.
HAS_UV := $(shell uv --version 2>/dev/null)
UV := $(if $(HAS_UV),uv,$(PY) -m uv)

export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint bench docs lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(STAMP) ## segment the example photos with the bundled model, into demo/
	@$(PY) examples/demo.py --out demo

test: lint ## lint, then every test but the slow ones: what a change must pass
	@echo "· tests"
	@OMP_NUM_THREADS=1 $(PY) -m pytest -q -m "not slow" -n 2 --dist worksteal

test-slow: $(STAMP) ## the slow tests, which train networks: minutes each
	@$(PY) -m pytest -q -m slow

lint: $(STAMP) ## ruff (rules and format) and pyright
	@echo "· ruff" && $(PY) -m ruff check --quiet && $(PY) -m ruff format --check --quiet \
	  || { echo "  mend with: $(PY) -m ruff check --fix && $(PY) -m ruff format"; exit 1; }
	@echo "· pyright" && $(PY) -m pyright

bench: $(STAMP) ## measure speed and accuracy, side by side with others
	@$(PY) benchmarks/run.py

docs: $(STAMP) ## write the generated parts of docs/ and README from the code
	@$(PY) docs/build.py && $(PY) docs/networks.py

# Versions already in the lock are kept; `rm requirements.lock && make lock` takes the newest of everything.
# hatchling and editables build this package itself: locked too, so that nothing unpinned is ever installed.
lock: | $(if $(HAS_UV),,$(PY)) ## resolve pyproject.toml into requirements.lock
	@printf 'hatchling\neditables\n' | $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	  --no-header --python-version 3.11 --extra dev pyproject.toml - -o requirements.lock
	@echo "· requirements.lock: $$(grep -c '^[a-z].*==' requirements.lock) packages"

clean: ## remove caches, builds and the demo's output; never runs/ or .venv
	@rm -rf build dist demo .pytest_cache .ruff_cache .hypothesis
	@find src tests benchmarks docs examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(STAMP): requirements.lock pyproject.toml | $(PY)
	@echo "· installing the locked packages into .venv (about 3 GB to fetch the first time)"
	@quiet=$$([ -t 2 ] || echo --quiet); \
	  $(UV) pip install $$quiet --python $(PY) --require-hashes -r requirements.lock && \
	  $(UV) pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable .
	@touch $@

$(PY):
ifdef HAS_UV
	@echo "· making .venv with uv"
	@uv venv --quiet --clear --no-python-downloads --python '$(PYTHON)' .venv || { \
	  echo "Segscape needs Python 3.11 or 3.12, and there is none here that works." >&2; \
	  echo "Install one (for example: uv python install 3.12), then run make again." >&2; exit 1; }
else
	@echo "· making .venv"
	@fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))'; \
	  for python in python3.12 python3.11 python3 python; do \
	    "$$python" -c "$$fits" 2>/dev/null || continue; \
	    if "$$python" -m venv --clear .venv && $(PY) -m pip install --quiet uv; then exit 0; fi; \
	    rm -rf .venv; \
	    echo "$$python could not make .venv with uv in it (see above)." >&2; \
	    echo "On Debian and Ubuntu it may lack its venv module: apt install python3-venv." >&2; exit 1; \
	  done; \
	  echo "Segscape needs Python 3.11 or 3.12, and there is none on the PATH." >&2; \
	  echo "Install one from python.org or with your package manager, then run make again." >&2; exit 1
endif
