# Every target sets up what it needs. Needs Python >= 3.11, make and git; never root.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORES ?= $(shell nproc 2>/dev/null || echo 2)
EXAMPLE := example
SLURM_PACKAGES := munge slurmctld slurmd slurm-client

export PATH := $(CURDIR)/$(BIN):$(PATH)

# The exact versions that are installed here and in CI, and the extras that they are for.
LOCK := requirements/lock.txt
LOCKED := slurm test lint docs libraries gpu

.PHONY: help setup core lock test-oldest example demo test test-all readers lint format schemas docs bench bench-quick stress slurm-test clean

help:
	@echo "make demo    build the example plate, run the workflow on it, say where the results are"
	@echo "make test    run the tests that take minutes; says at its end what it leaves out"
	@echo "make test-all  run all tests: needs 3 GB of array libraries and 2.6 GB of other readers, which it installs"
	@echo "make setup   make .venv with the array libraries"
	@echo "make docs    renew the generated pages and build the site (site/index.html)"
	@echo "make lint    ruff, mypy, import-linter, snakefmt, snakemake --lint"
	@echo "make lock    renew requirements/lock.txt after a change of pyproject.toml (UPGRADE=1: every version)"
	@echo "make test-oldest  the unit tests with the oldest versions that pyproject.toml allows"
	@echo "make bench   run the benchmarks and print their table (bench-quick: a few minutes)"
	@echo "make stress  the tests that kill and race, with large counts"
	@echo "make slurm-test  24 wells, kills and time-outs on a SLURM of its own; needs $(SLURM_PACKAGES)"

# What the tests need. The array libraries are 3 GB, so that what runs without them sets up only the rest: core.
setup: $(VENV)/.libraries

core: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
		|| { echo "Wellfield needs Python 3.11, 3.12 or 3.13; name one with: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint $(LOCK) --editable '.[test,lint]'
	@touch $@

$(VENV)/.libraries: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --constraint $(LOCK) --editable '.[test,lint,libraries]'
	@touch $@

# uv resolves for Linux, macOS and all versions of Python at once. Versions in the file stay if they fit.
UV := .venv-uv/bin/uv

$(UV):
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/python -m pip install --quiet uv==0.13.9

lock: $(UV)
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --universal --python-version 3.11.5 --no-annotate \
		--no-emit-package wellfield $(LOCKED:%=--extra %) $(if $(UPGRADE),--upgrade) pyproject.toml --output-file $(LOCK)

test-oldest: $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-oldest
	$(UV) pip install --quiet --python .venv-oldest --resolution lowest-direct --editable '.[test]'
	.venv-oldest/bin/python -m pytest tests/unit tests/conformance $(PYTEST_ARGS)

example: core
	$(BIN)/python -m wellfield.example $(EXAMPLE)

demo: example
	$(BIN)/snakemake --cores $(CORES)
	$(BIN)/snakemake --report report.zip
	@echo
	@echo "Results:  results/Example  (cell_counts.csv, objects.parquet, plate.zarr, tables/)"
	@echo "Report:   results/Example/report/summary.html, with its pictures; report.zip has all plates"

# What a module prepares is prepared once, so that its tests stay together; the order is that of tests/conftest.py.
PARALLEL := -n $(CORES) --dist loadscope --no-loadscope-reorder

test: core
	$(BIN)/python -m pytest $(PARALLEL) -m "quick or not (workflow or readers or slurm)" $(PYTEST_ARGS)

test-all: setup readers
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

# ngio, napari-ome-zarr, OpenHCS and pycytominer, each in an environment of its own.
readers: core
	$(BIN)/python -m tests.interop.environments

lint: core
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

format: core
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

schemas: core
	$(BIN)/python -c 'from wellfield.config.schema import write_schemas; write_schemas("config/schemas")'

docs: $(VENV)/.docs
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "The site: site/index.html"

$(VENV)/.docs: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --constraint $(LOCK) --editable '.[test,lint,docs]'
	@touch $@

bench: setup
	$(BIN)/python -m benchmarks

bench-quick: setup
	$(BIN)/python -m benchmarks --quick

stress: setup
	WELLFIELD_STRESS=1 $(BIN)/python -m pytest -m stress $(PYTEST_ARGS)

slurm-test: core
	@for command in munged slurmctld slurmd sbatch; do \
		PATH=$$PATH:/usr/sbin:/sbin command -v $$command >/dev/null \
			|| { echo "no $$command; Debian packages: $(SLURM_PACKAGES)"; exit 1; }; done
	WELLFIELD_SLURM=1 $(BIN)/python -m pytest tests/slurm $(PYTEST_ARGS)

# Only what make demo made: other plates' results, and Snakemake's records of them, stay.
clean: core
	$(BIN)/python -m wellfield.example $(EXAMPLE) --remove
	$(BIN)/python -c 'from wellfield.results.removal import remove_results; remove_results("results/Example")'
	rm -f report.zip
