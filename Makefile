# make book  - the executed site          make lab   - JupyterLab on the notebooks
# make test  - everything that CI runs    make serve - the site on localhost
# make bench - cost ratios                make pair  - notebooks from their .py pairs
# make lock  - new pins                   make clean - forget everything built
# make links - addresses outside          make test-latest - pages, newest versions
# make test-colab - pages whose first cell installs the package

PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/python -m uv
READER := _build/reader
LATEST := _build/latest
REPORTS := _build/reports
# How many processes share the tests and the notebooks: `make test JOBS=8`.
JOBS ?= 2

export UV_PYTHON_DOWNLOADS := never
export UV_SYSTEM_CERTS := true
unexport PYTHONPATH

NOTEBOOKS := $(wildcard notebooks/*.ipynb)
SOURCES := $(shell find equinb -type f -not -path '*/__pycache__/*')
BOOK := _config.yml _toc.yml docutils.conf $(shell find book -type f -not -path '*/__pycache__/*')

.PHONY: book test install lint types verify unit notebooks site browser bench lab serve \
	links test-latest test-colab latest-environment pair lock clean
.DEFAULT_GOAL := book

book: site
	@echo "The book: _build/html/index.html ($(words $(NOTEBOOKS)) executed notebooks). Serve it with: make serve"

# One stage after the other, each with its seconds: tests/summary.py prints them.
STAGES := install lint types verify unit notebooks site browser

test:
	@mkdir -p $(REPORTS)
	@rm -f $(addprefix $(REPORTS)/,unit.xml doctest.xml browser.xml stages.txt)
	@failed=; for stage in $(STAGES); do \
		start=$$(date +%s); \
		$(MAKE) --no-print-directory $$stage || failed=$$stage; \
		echo "$$stage $$(( $$(date +%s) - start ))" >> $(REPORTS)/stages.txt; \
		test -z "$$failed" || break; \
	done; \
	$(BIN)/python tests/summary.py $(REPORTS) && test -z "$$failed"

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
		"equinb[book] @ file://$(CURDIR)/$$(ls _build/dist/*.whl)" nbmake pytest-xdist
	@touch $@

# --- the site ---------------------------------------------------------------------

# Every notebook is executed here and nowhere else, once, in a folder of its own; those
# that have not changed since are left, unless the package has.
notebooks: _build/run/.executed
_build/run/.executed: $(READER)/.installed $(NOTEBOOKS)
	@echo "== notebooks: executed by nbmake, in an environment that holds the wheel"
	@$(BIN)/python book/execute.py $(READER) $(REPORTS) $(JOBS) $(if $(filter $(READER)/%,$?),$(NOTEBOOKS),$?)
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
	@echo "== lint: format, style, spelling"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/codespell $$(git ls-files '*.py' '*.md' '*.yml' '*.toml' '*.cff' '*.css' Makefile)

types: install
	@echo "== types"
	@$(BIN)/mypy

PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

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

# Pages from an empty folder, with the wheel and the newest versions that pyproject.toml
# allows: no pins here. Every notebook, or those that PAGES names.
PAGES ?= $(NOTEBOOKS)
test-latest: latest-environment
	@$(BIN)/python tests/latest.py $(LATEST) $(REPORTS) $(PAGES)

# The same where the first cell believes that it is in Colab: there it must install the
# package, from this repository.
COLAB_PAGES ?= notebooks/02_one_operator.ipynb notebooks/71_your_own_model.ipynb
test-colab: latest-environment
	@$(BIN)/python tests/latest.py $(LATEST) $(REPORTS) $(COLAB_PAGES) --colab

latest-environment: $(READER)/.installed
	@echo "== latest: the wheel, with the newest versions that it admits, in $(LATEST)"
	@rm -rf $(LATEST)
	@$(UV) venv --quiet --seed -p $(BIN)/python $(LATEST)
	@$(UV) pip install --quiet --upgrade -p $(LATEST) \
		"equinb[book] @ file://$(CURDIR)/$$(ls _build/dist/*.whl)" nbmake pytest

# Addresses that the sources name. Needs a network, and says so where there is none.
links: install
	@$(BIN)/python tests/links.py

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
