# What the project is tried, tested and measured with. Each target makes the virtual environment it needs, once.
#
#   make demo          audit a small application on an embedded PostgreSQL; reports in demo-report/
#   make test          all tests on an embedded PostgreSQL 18; ARGS go to pytest: make test ARGS="-k orphan"
#   make test-matrix   the tests that need no embedded server on postgres:13 ... postgres:18 in containers; make test-15 for one
#   make browser       the HTML report in headless Chromium
#   make pooler        an audit through PgBouncer, which has to be installed
#   make image         the image of the Dockerfile, built without a package index and run as docs/nightly/cronjob.yaml runs it
#   make wheel-test    all tests against the built wheel, installed where the source cannot be reached
#   make lint types    ruff; mypy
#   make bench         the figures in README
#   make clean         remove what these made

# The first that is new enough; PYTHON=... on the command line decides otherwise.
PYTHON = $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
MAJORS = 13 14 15 16 17 18
# One more than there are cores: tests also wait.
WORKERS = $(shell python3 -c "import os; print(min(os.cpu_count() + 1, 6))" 2>/dev/null || echo 2)
ARGS =

# Hundreds of commands are started here: none should have to be compiled again.
unexport PYTHONDONTWRITEBYTECODE

DEMO = .venv/.installed
DEV = .venv-dev/.installed
PYTEST = .venv-dev/bin/python -m pytest
PARALLEL = -n $(WORKERS) --dist worksteal
MATRIX = $(MAJORS:%=test-%)

.PHONY: demo test test-matrix $(MATRIX) browser pooler image wheel wheel-test lint types bench clean help
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#  *\(make .*\)/\1/p' Makefile

demo: $(DEMO)
	.venv/bin/auditor demo $(ARGS)

test: $(DEV)
	$(PYTEST) $(PARALLEL) $(ARGS)

test-matrix: $(MATRIX)

$(MATRIX): test-%: $(DEV)
	AUDITOR_TEST_POSTGRES=$* $(PYTEST) -m "not browser and not pooler and not docker and not embedded" $(PARALLEL) $(ARGS)

browser: $(DEV)
	$(PYTEST) -m browser $(ARGS)

pooler: $(DEV)
	$(PYTEST) -m pooler $(ARGS)

image: $(DEV)
	$(PYTEST) -m docker $(ARGS)

lint: $(DEV)
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check .

types: $(DEV)
	.venv-dev/bin/mypy

bench: $(DEV)
	.venv-dev/bin/python benchmarks/run.py $(ARGS)
	.venv-dev/bin/python benchmarks/since.py

# By way of the source distribution, so that this is tested too.
wheel: $(DEV)
	rm -rf dist
	.venv-dev/bin/python -m build --outdir dist .

# A copy of the tests and pytest's configuration, nothing else; conftest.py refuses any auditor but the installed one.
wheel-test: wheel
	set -e; place=$$(mktemp -d); trap 'rm -rf "$$place"' EXIT INT TERM; \
	cp -R tests pyproject.toml "$$place"; \
	.venv-dev/bin/python -m venv "$$place/venv"; \
	"$$place/venv/bin/python" -m pip install --quiet "$$(echo "$$PWD"/dist/*.whl)[dev]"; \
	cd "$$place"; AUDITOR_TEST_INSTALLED=1 venv/bin/python -m pytest -m "not browser and not pooler and not docker and not checkout" $(PARALLEL) $(ARGS)

$(DEMO): EXTRA = demo
$(DEV): EXTRA = dev
$(DEMO) $(DEV): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --editable '.[$(EXTRA)]'
	@touch $@

clean:
	rm -rf .venv .venv-dev dist build demo-report test-artifacts .pytest_cache .mypy_cache .ruff_cache .hypothesis
