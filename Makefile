# Every target sets up what it needs: `make demo` on a fresh machine with Python 3.11–3.13 is enough.
#
# The index is pip's own configuration (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS, pip.conf).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TRITON_VENV ?= .venv-triton
TRITON := $(TRITON_VENV)/bin/tritonserver

.DEFAULT_GOAL := help
.PHONY: help install demo test test-e2e triton-env peers-env accuracy bench lint server-size constraints

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## set up .venv, and nothing else

demo: $(INSTALLED) ## train, export, gate, promote, serve and watch a model of each kind; ONCE=1 stops after the summary
	$(BIN)/tidegate demo $(if $(ONCE),--once)

test: lint ## lint, then every test that needs no system program
	$(BIN)/pytest -m "not e2e" -n 2

test-e2e: $(INSTALLED) $(TRITON) ## tests with real processes and system programs (those of .ci/run, and Triton)
	$(BIN)/pytest -m e2e -n 2 --dist loadfile --deselect tests/e2e/test_demo.py
	$(BIN)/pytest -m e2e tests/e2e/test_demo.py

triton-env: $(TRITON) ## Triton for a CPU, in an environment of its own: .venv-triton/bin/tritonserver

peers-env: ## the servers that people use now, each in an environment of its own, for make bench; 3.4 GB
	PYTHON=$(PYTHON) sh scripts/peers-env.sh .venv-peers

accuracy: $(INSTALLED) ## train the full recipes and print every accuracy bar
	$(BIN)/python -m benchmarks.accuracy

bench: $(INSTALLED) ## print every speed bar, peers beside it
	$(BIN)/python -m benchmarks

lint: $(INSTALLED) ## ruff, mypy --strict, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

server-size: ## install the server alone in a throw-away environment and print its size
	PYTHON=$(PYTHON) sh scripts/server-size.sh

constraints: $(INSTALLED) ## pin what the environment holds now
	$(BIN)/pip freeze --exclude-editable | sed -n 's/^\([A-Za-z0-9._-]*==[^+ ]*\).*/\1/p' > constraints.txt

$(TRITON): scripts/triton-env.sh
	PYTHON=$(PYTHON) sh scripts/triton-env.sh $(TRITON_VENV)

# torch in a command of its own and by its pin alone: a CPU build that the index or PIP_FIND_LINKS offers
# (2.13.0+cpu) satisfies it and sorts first, and nothing later replaces it.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "Python 3.11 to 3.13 is needed and $(PYTHON) is another: make PYTHON=python3.12 …" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install -c constraints.txt -e '.[dev,bench]'
	touch $@
