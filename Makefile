# `make run` and `make test` each do all of their set-up; nothing has to be installed before.
# `make run OUT=runs/mine`, `make test PYTEST_ARGS="-k prompts"` and `PYTHON=python3.12` work too.

PYTHON ?= python3
OUT ?= runs/refusal
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
# Touched when an install has ended well, so that a second call installs nothing.
INSTALLED := $(VENV)/.installed
TESTS := $(VENV)/.installed-tests
TOOLS := $(VENV)/.installed-tools
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input \
  --no-compile -c constraints.txt

# Compiling all of torch's Python files would take half of the installation. Those in use are
# compiled when they are first imported, and that has to be kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test lint docs install clean

help:
	@echo "make run    set up, get the default model, steer it with the refusal behavior"
	@echo "make test   set up and run the tests"
	@echo "make lint   check style and format        make docs   build docs/_build/html"
	@echo "make clean  remove .venv and what was built; results in runs/ stay"

run: $(INSTALLED)
	@$(BIN)/caa run refusal --limit 100 --held-out 40 --out $(OUT)

test: $(TESTS)
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: $(TOOLS)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

docs: $(TOOLS)
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "Documentation: docs/_build/html/index.html"

install: $(TESTS)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, and '$(PYTHON)' isn't that: name one, as in"; \
	  echo "  make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' can't make virtual environments: install its venv package"; \
	  echo "(on Debian and Ubuntu: apt install python3-venv)."; exit 1; }
	@echo "Installing into $(VENV): about 2 GB on disk, a few minutes ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) -e .
	@touch $@

$(TESTS): $(INSTALLED)
	@echo "Installing what the tests need ..."
	@$(PIP_INSTALL) -e ".[test]"
	@touch $@

$(TOOLS): $(TESTS)
	@echo "Installing the tools for style and documentation ..."
	@$(PIP_INSTALL) -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info docs/_build .pytest_cache .ruff_cache
