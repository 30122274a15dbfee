# make demo   install the run time and read a real scan and a few simulated ones
# make extras install what the README's tour uses besides
# make test   install what the tests need and run them, with one thread per process
# make coverage  run the tests and measure which lines they execute; fails below 92 %
# make slow   the long tests
# make lint   ruff, mypy, import contracts, ESLint
# make docs   the documents and the API reference as one site, in build/site/
# make bench  measure speed, memory and robustness (long)
# make mutants  change the modules of most risk at random, see what their tests notice (hours);
#             make mutants ONLY="evaluate/roc files" for some

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
RUNTIME := $(VENV)/.runtime
EVERYTHING := $(VENV)/.everything

.PHONY: demo extras test coverage slow lint docs bench mutants clean

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bonescint needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) pip

# The run time alone: no torch.
$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[demo]'
	@touch $@

# torch first: it must be the version that constraints.txt names, whatever asks for it.
$(EVERYTHING): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) torch
	$(PIP) -e '.[cluster,demo,evaluate,masks,pacs,postgresql,serve,simulate,study,teach,train]' --group test --group lint
	@touch $(RUNTIME) $@

demo: $(RUNTIME)
	$(BIN)/bonescint demo --out results

extras: $(EVERYTHING)

test: $(EVERYTHING)
	@echo "The tests take about 20 minutes on two free cores, twice that beside other work."
	tools/install-test-packages
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not gpu" -n 2 --dist loadfile

coverage: $(EVERYTHING)
	@echo "Takes about twice as long as make test."
	tools/install-test-packages
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not gpu" -n 2 --dist loadfile \
	  --cov --cov-report=term --cov-report=html:build/coverage

slow: $(EVERYTHING)
	@echo "The long tests take hours on two cores."
	$(BIN)/python -m pytest -m "slow" --timeout 3600

lint: $(EVERYTHING)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	tools/lint-javascript

docs: $(BIN)/python
	$(PIP) --group docs
	$(BIN)/python -m mkdocs build --quiet
	@echo "Open build/site/index.html"

bench: $(EVERYTHING)
	$(BIN)/python benchmarks/help_time.py
	$(BIN)/python benchmarks/classify.py --count 134
	$(BIN)/python benchmarks/classify.py --count 2000
	$(BIN)/python benchmarks/results_page.py
	$(BIN)/python benchmarks/fuzz_reader.py --count 20000
	$(BIN)/python benchmarks/simulate.py
	$(BIN)/python benchmarks/study_load.py
	$(BIN)/python benchmarks/archive.py join
	$(BIN)/python benchmarks/archive.py stragglers
	$(BIN)/python benchmarks/archive_cluster.py engine
	$(BIN)/python benchmarks/archive_cluster.py kills
	$(BIN)/python benchmarks/archive_cluster.py refusals
	$(BIN)/python benchmarks/study_next.py
	$(BIN)/python benchmarks/node_kills.py --kills 200
	$(BIN)/python benchmarks/node_hostile.py --count 20000
	$(BIN)/python benchmarks/node_rate.py --count 1000
	$(BIN)/python benchmarks/study_analysis.py
	$(BIN)/python benchmarks/readers.py

mutants: $(EVERYTHING)
	$(PIP) --group mutants
	nice -n 10 $(BIN)/python tools/mutants.py $(ONLY)

clean:
	rm -rf $(VENV) build dist
