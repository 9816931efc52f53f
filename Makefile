# Relay Render: make help lists what this does; README.md gives the same as plain commands for Windows.

# The bpy wheel exists for Python 3.13 and 3.11; any other from 3.11 on needs an installed Blender to render.
# Each candidate is run: a name on PATH may be a stub, and Debian's Python may come without venv.
PYTHON ?= $(shell for python in python3.13 python3.11 python3 python; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$python; break; }; \
done)

BIN := .venv/bin
LINT := .venv-lint/bin

.DEFAULT_GOAL := help
.PHONY: help venv demo test bench extension lint clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target what; do printf '  make %-10s %s\n' "$$target" "$$what"; done

venv: .venv/installed  ## make .venv with everything that demo, test and bench need

demo: .venv/installed  ## start a node, render a small animation, leave the frames in demo-out/
	$(BIN)/python -m demo

test: .venv/installed  ## build the extension where possible, run every test this machine can run (PYTEST_ARGS=...)
	@$(BIN)/python tools/build_extension.py || [ $$? -eq 3 ]
	$(BIN)/python -m pytest $(PYTEST_ARGS)

bench: .venv/installed  ## measure side by side (NAME=main)
	$(BIN)/python -m bench $(or $(NAME),main)

extension: .venv/installed  ## build dist/relay_render-VERSION-PLATFORM.zip for every platform
	$(BIN)/python tools/build_extension.py

lint: .venv-lint/installed  ## ruff and mypy
	$(LINT)/ruff check
	$(LINT)/ruff format --check
	$(LINT)/mypy

clean:  ## remove all that was made, the environments included
	rm -rf .venv .venv-lint build dist wheels demo-out artefacts *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is younger than pyproject.toml only when the install went through to its end.
.venv/installed: pyproject.toml
	@$(require_python)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev,embedded]'
	@touch $@

.venv-lint/installed: pyproject.toml
	@$(require_python)
	$(PYTHON) -m venv .venv-lint
	$(LINT)/python -m pip install --quiet --editable '.[dev,lint]'
	@touch $@

require_python = [ -n '$(PYTHON)' ] || { echo 'Relay Render needs Python 3.11 or 3.13 with venv (on Debian and Ubuntu: apt install python3-venv), or name one: make PYTHON=/path/to/python' >&2; exit 1; }
