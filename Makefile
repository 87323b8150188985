# make book  - the executed site          make lab   - JupyterLab on the notebooks
# make test  - everything that CI runs    make serve - the site on localhost
# make bench - cost ratios                make pair  - notebooks from their .py pairs
# make lock  - new pins                   make clean - forget everything built

PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/python -m uv
READER := _build/reader
REPORTS := _build/reports

export UV_PYTHON_DOWNLOADS := never
export UV_SYSTEM_CERTS := true
unexport PYTHONPATH

NOTEBOOKS := $(wildcard notebooks/*.ipynb)
SOURCES := $(shell find equinb -type f -not -path '*/__pycache__/*')
BOOK := _config.yml _toc.yml docutils.conf $(shell find book -type f -not -path '*/__pycache__/*')

.PHONY: book test install lint types verify unit notebooks site browser bench lab serve pair lock clean
.DEFAULT_GOAL := book

book: site
	@echo "The book: _build/html/index.html ($(words $(NOTEBOOKS)) executed notebooks). Serve it with: make serve"

test:
	@rm -f $(addprefix $(REPORTS)/,unit.xml doctest.xml browser.xml)
	@$(MAKE) --no-print-directory lint types verify unit notebooks site browser
	@$(BIN)/python tests/summary.py $(REPORTS)

# --- environments -----------------------------------------------------------------

install: .venv/.installed

.venv/.installed: requirements.txt pyproject.toml
	@echo "== install: the pinned packages, into .venv"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "equinb needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet "$$(grep '^uv==' requirements.txt)"
	@$(UV) pip install --quiet -p .venv -r requirements.txt
	@$(UV) pip install --quiet -p .venv --no-deps -e .
	@touch $@

# What a reader has: the built wheel with the packages that it asks for, nothing else.
$(READER)/.installed: $(SOURCES) pyproject.toml requirements.txt | .venv/.installed
	@echo "== wheel: built, and installed into $(READER)"
	@rm -rf _build/dist
	@$(UV) build --quiet --wheel -o _build/dist
	@test -x $(READER)/bin/python || $(UV) venv --quiet -p $(BIN)/python $(READER)
	@$(UV) pip install --quiet -p $(READER) -c requirements.txt --reinstall-package equinb \
		"equinb[book] @ file://$(CURDIR)/$$(ls _build/dist/*.whl)" nbmake pytest
	@touch $@

# --- the site ---------------------------------------------------------------------

# Every notebook is executed here and nowhere else, once, in a folder of its own; those
# that have not changed since are left, unless the package has.
notebooks: _build/run/.executed
_build/run/.executed: $(READER)/.installed $(NOTEBOOKS)
	@echo "== notebooks: executed by nbmake, in an environment that holds the wheel"
	@$(BIN)/python book/execute.py $(READER) $(REPORTS) $(if $(filter $(READER)/%,$?),$(NOTEBOOKS),$?)
	@touch $@

site: _build/html/.built
_build/html/.built: _build/run/.executed $(BOOK)
	@echo "== site: built, every warning an error"
	@$(BIN)/python book/build.py html
	@touch $@

serve: site
	@$(BIN)/python book/build.py serve

lab: install
	@$(BIN)/jupyter lab --notebook-dir notebooks

# --- checks -----------------------------------------------------------------------

lint: install
	@echo "== lint"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: install
	@echo "== types"
	@$(BIN)/mypy

PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest

verify: install
	@echo "== stored results and weights"
	@$(BIN)/equinb verify

unit: install
	@echo "== doctests, unit and property tests"
	@$(PYTEST) equinb --doctest-modules --junitxml $(REPORTS)/doctest.xml
	@$(PYTEST) tests --ignore tests/site --durations 5 --junitxml $(REPORTS)/unit.xml

browser: site
	@echo "== browser"
	@$(PYTEST) tests/site --junitxml $(REPORTS)/browser.xml

bench: install
	@$(BIN)/python tests/bench.py

# --- upkeep -----------------------------------------------------------------------

# Notebooks hold what their .py pairs say, and no outputs.
pair: install
	@$(BIN)/jupyter nbconvert --clear-output --inplace --log-level WARN notebooks/*.ipynb
	@$(BIN)/jupytext --quiet --to ipynb --update notebooks/*.py

lock:
	@$(UV) pip compile --quiet pyproject.toml --all-extras --universal \
		--python-version 3.11 --no-header --no-annotate --no-emit-package equinb \
		-o requirements.txt

clean:
	rm -rf _build .venv
