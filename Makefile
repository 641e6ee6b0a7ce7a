# Every target bootstraps its own virtual environment: each works as the first command ever typed.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
RELAY = $(wildcard $(foreach name,*.pyx *.pxd *.py,src/forebay/relay/$(name) src/forebay/relay/*/$(name)))

# Stubs leave out what only compiled code uses.
STUBTEST = --ignore-missing-stub --ignore-disjoint-bases --allowlist tools/stubtest_allowlist.txt

.PHONY: demo test nemesis lint bench bench-failover coverage clean

demo: $(VENV)/.demo
	@$(BIN)/forebay demo $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(ARGS)

# Servers that die under load, whole: one test after the other, for nothing else may run meanwhile.
nemesis: $(VENV)/.test
	FOREBAY_TEST_NEMESIS=whole $(BIN)/python -m pytest -n 0 -p no:randomly --timeout 1800 -m nemesis \
		tests/nemesis $(ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	PATH="$(BIN):$$PATH" cython-lint --max-line-length 120 src/forebay/relay
	$(BIN)/mypy
	$(BIN)/stubtest forebay.relay --concise $(STUBTEST)

bench: $(VENV)/.test
	$(BIN)/python -m bench $(ARGS)

# Into docs/failover-compared.md; ARGS="--quick --only Forebay": what there is of it.
bench-failover: $(VENV)/.test
	$(BIN)/python -m bench.failover --write $(ARGS)

coverage:
	@$(PYTHON) tools/measure_coverage.py $(ARGS)

# Failovers in virtual worlds, as many as SEEDS says, from the seed FIRST on.
.PHONY: simulate
SEEDS ?= 10000
FIRST ?= 0
simulate: $(VENV)/.test
	$(BIN)/python -m tests.simulation.failover $(SEEDS) $(FIRST)

clean:
	rm -rf $(VENV) build src/*.egg-info
	find src/forebay/relay -name "*.c" -delete -o -name "*.so" -delete

# What it does, and how long that takes, is install.py's to say.
$(VENV)/.demo: pyproject.toml setup.py tools/install.py $(RELAY)
	@$(PYTHON) tools/install.py $(VENV) demo
	@touch $@

$(VENV)/.test $(VENV)/.lint: $(VENV)/.%: $(VENV)/.demo
	@$(PYTHON) tools/install.py $(VENV) $*
	@touch $@
