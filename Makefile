# Every target sets up what it needs: a virtual environment in .venv, made anew when pyproject.toml or constraints.txt change.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
CONFORMANCE := tests/unit_tests/conformance tests/unit_tests/agents tests/integration_tests/test_agent_server.py

.DEFAULT_GOAL := help
.PHONY: help demo bench test conformance matrix upstream lint format docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.ready-demo ## Watch an agent learn from its outcomes (ARGS="--quick" for a short run)
	@$(BIN)/reflect demo $(ARGS)

test: $(VENV)/.ready-dev ## Run the tests (ARGS="-k recall" to choose)
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

conformance: $(VENV)/.ready-dev ## Prove that a wrapped graph is a drop-in replacement, statement by statement
	@$(BIN)/python -m pytest -q -p langchain_reflect.testing.conformance.table $(CONFORMANCE) $(ARGS)

lint: $(VENV)/.ready-dev ## Check style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy langchain_reflect
	@$(BIN)/mypy tests/typing
	@$(BIN)/basedpyright --project tests/typing
	@$(BIN)/lint-imports --no-cache

format: $(VENV)/.ready-dev ## Rewrite the code in the house's style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

matrix: $(VENV)/.ready-dev ## Run the drop-in tests on Python 3.11-3.13 with the lowest and the newest LangGraph
	@$(BIN)/python scripts/matrix.py $(ARGS)

upstream: $(VENV)/.ready-dev ## Run LangGraph's own tests with every graph wrapped (ARGS="SOURCE -n 2", see scripts/upstream_gate.py)
	@$(BIN)/python scripts/upstream_gate.py $(ARGS)

bench: $(VENV)/.ready-dev ## Measure what recall and wrapping cost, how well recall finds, and credit and uplift (ARGS="recall --sizes 100000" for one)
	@$(BIN)/python scripts/bench.py $(ARGS)

docs: $(VENV)/.ready-dev ## Check the documentation: code blocks run, links lead somewhere, tables match the code
	@$(BIN)/python -m pytest tests/docs $(ARGS)

clean: ## Remove the virtual environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/.ready-%: pyproject.toml constraints.txt scripts/bootstrap.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "langchain-reflect needs Python 3.11 or newer, $(PYTHON) is not. Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) scripts/bootstrap.py $(VENV) $*
