# Every target bootstraps its own virtual environment: each works as the first command ever typed.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
RELAY = $(wildcard src/forebay/worker/relay/*.pyx src/forebay/worker/relay/*.pxd src/forebay/worker/relay/*.py)

.PHONY: demo test lint bench clean

demo: $(VENV)/.demo
	$(BIN)/forebay demo $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	PATH="$(BIN):$$PATH" cython-lint --max-line-length 120 src/forebay/worker/relay
	$(BIN)/mypy

bench: $(VENV)/.test
	$(BIN)/python -m bench $(ARGS)

clean:
	rm -rf $(VENV) build src/*.egg-info src/forebay/worker/relay/*.c src/forebay/worker/relay/*.so

$(VENV)/.pip:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Forebay needs Python 3.11 or later; name one with: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	touch $@

$(VENV)/.demo: $(VENV)/.pip pyproject.toml setup.py $(RELAY)
	$(BIN)/python -m pip install --quiet --editable ".[demo]"
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --group test
	touch $@

$(VENV)/.lint: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --group lint --group test
	touch $@
