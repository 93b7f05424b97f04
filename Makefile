# What people do with a checkout: make serve, make test, make lint, make docs, make bench.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Processes that run tests: one more than cores, since many wait for servers, and at most four (2 GB each).
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(4, 1 + (os.cpu_count() or 1)))')
# Of those that drive pages one less: a page and its server each take a core.
PAGES ?= $(shell $(PYTHON) -c 'print(max(2, $(WORKERS) - 1))')

# Pages that were too slow beside others are looked at once more alone; what failed first stays in the output.
ONCE_MORE = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m browser --last-failed --last-failed-no-failures none

.PHONY: env serve test lint docs bench browser clean

env: $(READY)

# Made again only when what it is made from changes.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python $$($(PYTHON) -V) found, 3.11 or newer needed; run: make env PYTHON=python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,docs]'
	@touch $@

serve: env
	$(BIN)/fluxlens serve --catalog catalog.yaml

# The browser tests drive a real Chromium: one that is there, or one fetched once.
browser: env
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || ls $(VENV)/.browser >/dev/null 2>&1 || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
		else \
			$(BIN)/playwright install --with-deps chromium && touch $(VENV)/.browser; \
		fi; }

test: env browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not gpu and not browser" -n $(WORKERS) --dist loadfile --no-loadscope-reorder
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m browser -n $(PAGES) --dist loadfile || $(ONCE_MORE)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -c "import fluxlens; from importlinter.cli import lint_imports_command; lint_imports_command()"
	$(BIN)/python tests/code_figures.py

# Warnings are errors: a link to a page, heading or file that is not there, a docstring that is no valid text.
docs: env
	$(BIN)/python -m sphinx -b html -W --keep-going -n -q -j auto $(DOCS_FLAGS) docs build/docs
	@echo "build/docs/index.html"

bench: env
	$(BIN)/fluxlens bench embed
	$(BIN)/fluxlens bench store
	$(BIN)/fluxlens bench screen

clean:
	rm -rf $(VENV) artifacts build dist
