# The two commands to know: `make demo` and `make test`. Both set up .venv first, once;
# a change of pyproject.toml or constraints.txt sets it up again.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
SETUP := pyproject.toml constraints.txt

export MPLBACKEND ?= Agg
# Two test processes with one thread each suit two cores; nested thread pools do not.
test test-slow: export OMP_NUM_THREADS ?= 1

.PHONY: help demo test test-slow lint fuzz bench bench-compile bench-solve clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       find the missing terms of a predator-prey model in real data (figure in out/)"
	@echo "make test       lint, type check and tests"
	@echo "make test-slow  the tests that take long"
	@echo "make fuzz       20,000 texts, guided by coverage; only the package's errors may come out"
	@echo "make bench      time against scipy, torchdiffeq and diffrax, side by side"
	@echo "make bench-compile  text to native code, beside sympy, numba, symengine and gcc"
	@echo "make bench-solve  work against achieved error: fifteen problems, nine libraries"
	@echo "make lint       ruff and mypy"
	@echo "make clean      remove what was built, .venv included"

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "error: no python3 on PATH; install Python 3.11 or newer" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.12 ..." >&2; exit 2; }
	"$(PYTHON)" -m venv $(VENV)

# One stamp for each set of extras, touched only when pip succeeded.
$(VENV)/.ready-plot: EXTRAS := plot
$(VENV)/.ready-dev: EXTRAS := dev,plot
$(VENV)/.ready-bench: EXTRAS := bench,plot
$(VENV)/.ready-fuzz: EXTRAS := dev,fuzz
$(VENV)/.ready-plot $(VENV)/.ready-dev $(VENV)/.ready-bench $(VENV)/.ready-fuzz: $(SETUP) | $(BIN)/python
	@echo "installing sciml_dsl[$(EXTRAS)] into $(VENV) (the first time takes a few minutes)"
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(VENV)/.ready-plot
	@mkdir -p out
	$(BIN)/sciml-dsl discover examples/hudson_bay.sciml examples/hudson_bay.csv \
	  --seed 0 --plot out/hudson_bay.png -o out/hudson_bay_completed.sciml

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/mypy

# Native kernels are compiled once here, so that the test processes read them from the cache.
test: lint
	$(BIN)/python tests/prewarm.py
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow" -q --durations=10

test-slow: $(VENV)/.ready-dev
	$(BIN)/python tests/prewarm.py
	$(BIN)/python -m pytest -n $(JOBS) -m slow -q

# `make fuzz FUZZ=100000` for more; atheris needs Python 3.11 or 3.12 on Linux.
fuzz: $(VENV)/.ready-fuzz
	$(BIN)/python tests/fuzz.py $(FUZZ)

# `make bench BENCH="solve --quick"` runs some cases, or shortly.
bench: $(VENV)/.ready-bench
	$(BIN)/python benchmarks/bench.py $(BENCH)

# How fast text becomes code and how fast that is; beside sympy, numba, symengine and gcc.
bench-compile: $(VENV)/.ready-bench
	$(BIN)/python benchmarks/bench.py compile hundred networks cells machine_code imports --stem compile $(BENCH)

# Goes on where an interrupted run was; `make bench-solve BENCH="--quick rober"`.
bench-solve: $(VENV)/.ready-bench
	$(BIN)/python benchmarks/bench_solve.py $(BENCH)
	$(BIN)/python benchmarks/bench.py rober ensemble

clean:
	rm -rf $(VENV) out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find sciml_dsl tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
