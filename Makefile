# What a person who works on rerank-proxy runs. `make` alone lists it.

ONNXRUNTIME_VERSION := 1.32.0
PYTHON              ?= python3
CARGO               ?= cargo
ARGS                ?=

# Everything that is made or fetched lies here; `make clean` removes it.
TARGET      := $(CURDIR)/target
VENV        := $(TARGET)/venv
CLIENTS     := $(TARGET)/clients-venv
WHEEL       := $(TARGET)/wheel
BUNDLED     := all-MiniLM-L6-v2 ms-marco-MiniLM-L12-v2
ONNXRUNTIME := $(TARGET)/onnxruntime
BINARIES    := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),$(TARGET))

# With a test beside it the program is built with the features that `cargo test` builds it with; alone, a dozen packages and
# the program itself would be compiled once more.
BUILD_PROGRAM := $(CARGO) build --workspace --bin rerank-proxy --test docs

# Stamps: what was made from what. The version is in the name, so a new one is fetched.
VENV_BASE         := $(VENV)/.base
VENV_STAMP        := $(VENV)/.requirements
BENCH_STAMP       := $(VENV)/.requirements-bench
CLIENTS_STAMP     := $(CLIENTS)/.requirements
WHEEL_STAMP       := $(WHEEL)/venv/.maturin
ONNXRUNTIME_STAMP := $(ONNXRUNTIME)/.fetched-$(ONNXRUNTIME_VERSION)

.DEFAULT_GOAL := help
.PHONY: help demo test test-rust test-e2e clients client-matrix bench soak lint wheel onnxruntime venv need-rust need-lints need-python clean clean-engines clean-venv
.DELETE_ON_ERROR:

help: ## this list
	@echo "usage: make TARGET [ARGS=…]"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: need-rust onnxruntime ## before and after on a bundled corpus, then stays up (ARGS="--once --json" to exit)
	@[ -x $(BINARIES)/release/rerank-proxy ] || echo "building the program; the first time takes some minutes" >&2
	@$(CARGO) build --release --quiet --bin rerank-proxy
	@$(BINARIES)/release/rerank-proxy demo $(ARGS)

test: test-rust test-e2e ## all tests: Rust, then end to end against Elasticsearch, OpenSearch, Solr, Redis and HAProxy

test-rust: need-rust onnxruntime ## unit and integration tests in Rust
	$(CARGO) test --workspace

test-e2e: need-rust onnxruntime venv ## end to end against real engines (ARGS="-k scenarios" chooses; needs mvn, redis-server, haproxy, chromium, prometheus)
	$(BUILD_PROGRAM)
	RERANK_PROXY_BIN=$(BINARIES)/debug/rerank-proxy $(VENV)/bin/python -m pytest $(ARGS)

clients: client-matrix $(CLIENTS_STAMP) ## the client matrix, and rerank calls of LangChain, LlamaIndex, Haystack and Voyage (PyPI; 500 MB in target/)
	RERANK_PROXY_BIN=$(BINARIES)/debug/rerank-proxy $(CLIENTS)/bin/python -m pytest -c tests/clients/pytest.ini tests/clients $(ARGS)

client-matrix: need-rust onnxruntime venv ## each client at the engine and at the proxy, a table of versions at the end (ARGS="-k java"; needs mvn, npm, Go, chromium; 2 GB in target/)
	$(BUILD_PROGRAM)
	RERANK_PROXY_BIN=$(BINARIES)/debug/rerank-proxy RERANK_CLIENTS=all $(VENV)/bin/python -m pytest $(addprefix tests/e2e/,test_client_matrix.py test_searchkit.py test_solr_clients.py) $(ARGS)
	$(VENV)/bin/python tests/e2e/client_table.py

bench: need-rust onnxruntime venv $(BENCH_STAMP) ## pass-through against nginx, HAProxy and Envoy, pairs a second, overload, added latency (ARGS="--quick"; needs nginx, wrk)
	@$(VENV)/bin/python scripts/bench.py --check $(ARGS)
	$(CARGO) build --release --bin rerank-proxy --example origin --example load
	BINARIES=$(BINARIES)/release $(VENV)/bin/python scripts/bench.py $(ARGS)

soak: need-rust onnxruntime ## saturation, faults, reloads and hostile clients for 15 min, each answer checked (ARGS="--seconds 60 --seed 7"; needs redis-server)
	$(BUILD_PROGRAM) --example soak
	$(BINARIES)/debug/examples/soak $(BINARIES)/debug/rerank-proxy $(ARGS)

wheel: need-rust $(WHEEL_STAMP) ## a Python wheel with the program and the bundled models, in target/wheel (pip install, then `rerank-proxy demo`)
	rm -rf $(WHEEL)/rerank_proxy.data $(WHEEL)/*.whl
	mkdir -p $(WHEEL)/rerank_proxy.data/data/share/rerank-proxy/models
	cp -r $(addprefix fixtures/models/,$(BUNDLED)) $(WHEEL)/rerank_proxy.data/data/share/rerank-proxy/models/
	rm -r $(addsuffix /onnx,$(addprefix $(WHEEL)/rerank_proxy.data/data/share/rerank-proxy/models/,$(BUNDLED)))
	cd deploy/python && $(WHEEL)/venv/bin/maturin build --release --out $(WHEEL)
	@ls $(WHEEL)/*.whl

lint: need-rust need-lints need-python ## formatting, structure, clippy and documentation, warnings denied
	$(CARGO) fmt --all --check
	$(PYTHON) scripts/structure.py --self-test
	$(PYTHON) scripts/structure.py --check
	$(PYTHON) scripts/dashboard.py --check
	$(PYTHON) scripts/bench_pass_through.py --self-test
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet
	$(PYTHON) -c 'import ast, pathlib; [ast.parse(p.read_bytes(), str(p)) for d in ("scripts", "tests") for p in pathlib.Path(d).rglob("*.py")]'

onnxruntime: $(ONNXRUNTIME_STAMP) ## fetches the ONNX Runtime library into target/onnxruntime

venv: $(VENV_STAMP) ## the Python environment of the end-to-end tests, in target/venv

$(ONNXRUNTIME_STAMP): | $(VENV_BASE)
	@rm -rf $(ONNXRUNTIME)
	$(VENV)/bin/python scripts/fetch_onnxruntime.py $(ONNXRUNTIME_VERSION) $(ONNXRUNTIME)
	@touch $@

$(VENV_BASE): | need-python
	@rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV_STAMP): tests/e2e/requirements.txt | $(VENV_BASE)
	@$(VENV)/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: the end-to-end tests need Python 3.11 or later, as onnxruntime does: make clean-venv, then again with PYTHON=…" >&2; exit 1; }
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(WHEEL_STAMP): deploy/python/pyproject.toml | need-python
	@rm -rf $(WHEEL)/venv
	$(PYTHON) -m venv $(WHEEL)/venv
	$(WHEEL)/venv/bin/python -m pip install --quiet --disable-pip-version-check 'maturin>=1.9,<2'
	@touch $@

# What is not to be had for this machine is a column less; the benchmark says so.
$(BENCH_STAMP): scripts/requirements-bench.txt $(VENV_STAMP)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $< && touch $@ || echo "warning: Envoy is not to be had; the benchmark goes on without" >&2

# Made anew where a requirement changes: the frameworks are chosen so that they go together.
$(CLIENTS_STAMP): tests/clients/requirements.txt | need-python
	@rm -rf $(CLIENTS)
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# Each says what is missing and how to get it.
need-rust:
	@command -v $(CARGO) >/dev/null || { echo "error: cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "error: a C compiler is missing: Debian: apt-get install gcc libc6-dev; macOS: xcode-select --install" >&2; exit 1; }

need-lints: need-rust
	@$(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1 || { echo "error: rustfmt or clippy is missing: rustup component add rustfmt clippy" >&2; exit 1; }

need-python:
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is missing: Debian: apt-get install python3 python3-venv; macOS: brew install python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "error: Python 3.10 or later is needed (PYTHON=… names one)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "error: Python lacks venv: Debian: apt-get install python3-venv" >&2; exit 1; }

clean: ## removes everything that was built or fetched
	rm -rf $(TARGET)

clean-engines: ## removes the downloaded engines
	rm -rf $(TARGET)/engines $${TMPDIR:-/tmp}/rerank-proxy-engines

clean-venv: ## removes the Python environments
	rm -rf $(VENV) $(CLIENTS) $(TARGET)/clients-*
