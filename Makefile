# SMTP AUTH, step by step. `make` or `make help` lists what there is.

SHELL := /bin/sh
PYTHON_IN_VENV := .venv/bin/python
# How many tests run side by side: they wait for hosts more than they compute.
WORKERS ?= 4
.DEFAULT_GOAL := help
.PHONY: help course learn setup test test-docker unit lint format record bench down clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

course: ## run the whole course by itself on the embedded lab, and prove each step
	@since=$$(date +%s) && scripts/setup.sh && \
	exec .venv/bin/handson run --target lab --since $$since

learn: setup ## open JupyterLab on the first notebook, with the lab up
	@exec .venv/bin/handson lab

setup: ## make this machine ready: .venv, container engine, host image
	@scripts/setup.sh

test: ## run all tests
	@scripts/setup.sh test
	@$(MAKE) --no-print-directory lint
	@echo "== pytest"
	@$(PYTHON_IN_VENV) -m pytest -n $(WORKERS) --durations=15
	@echo "== the notebooks, cell by cell"
	@$(PYTHON_IN_VENV) -m pytest --nbval notebooks

test-docker: setup ## run the course and tests of the lab on Docker
	@scripts/test-docker.sh

unit: ## run the quick unit tests and the examples of docstrings, on all cores
	@scripts/setup.sh
	@$(PYTHON_IN_VENV) -m pytest -n logical -p no:nbval -m "not slow" handson tests/unit

lint: ## look over code, types and templates
	@scripts/setup.sh
	@echo "== ruff"
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@echo "== mypy"
	@.venv/bin/mypy
	@echo "== import-linter"
	@.venv/bin/lint-imports
	@echo "== shellcheck"
	@.venv/bin/shellcheck .ci/run handson/lab/image/user-data \
		$$(find handson scripts tests -name '*.sh')
	@echo "== cfn-lint"
	@.venv/bin/cfn-lint cfn/*.yml

format: ## format code and notebooks, and fix what ruff can fix
	@scripts/setup.sh
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

record: setup ## run the notebooks on a fresh lab and keep their outputs
	@$(PYTHON_IN_VENV) tests/notebooks/record.py

bench: setup ## measure how long lab, course and checks take
	@$(PYTHON_IN_VENV) tests/bench/course.py
	@$(PYTHON_IN_VENV) tests/bench/checks.py

down: ## remove the labs of `make learn` and `make course`
	@.venv/bin/handson down
	@.venv/bin/handson down --name course

clean: ## remove .venv and what runs and tests left behind
	rm -rf .venv runs build *.egg-info .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
