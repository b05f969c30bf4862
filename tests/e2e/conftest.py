"""Starts both engines once, side by side, fills them, and puts a proxy in front of each.

Environment:
    RERANK_PROXY_BIN     the binary under test (default target/debug/rerank-proxy)
    RERANK_E2E_ENGINES   engines that already run, `elasticsearch=http://…,opensearch=http://…`; their test indices are
                         deleted. For developing tests: saves starting them each time
    RERANK_E2E_DIRECT=1  no proxy at all: the harness tests itself, engine against engine
    CI=true              a missing prerequisite is a failure, not a reason to leave tests out
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "engines")]

import data
import engines as engine_control
import proxy as proxy_control
from wire import send

KINDS = ("elasticsearch", "opensearch")
DIRECT = os.environ.get("RERANK_E2E_DIRECT") == "1"


def _why_no_engines():
    """What is missing to run real engines, or None."""
    if os.environ.get("RERANK_E2E_ENGINES"):
        return None
    try:
        engine_control.check_prerequisites()
    except engine_control.MissingPrerequisite as missing:
        return str(missing)
    return None


def pytest_sessionstart(session):
    if not DIRECT and not proxy_control.binary().exists():
        raise pytest.UsageError(f"no {proxy_control.binary()}: build it (`make test` does), or name it in RERANK_PROXY_BIN")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    why = _why_no_engines()
    if why is None:
        return
    left_out = [item for item in items if {"cluster", "clusters"} & set(item.fixturenames)]
    if os.environ.get("CI") == "true" and left_out:
        raise pytest.UsageError(f"{len(left_out)} tests need real engines, and in CI none may be left out: {why}")
    for item in left_out:
        item.add_marker(pytest.mark.skip(reason=f"no real engines: {why}"))
    config.left_out = (why, [item.nodeid for item in left_out])


def pytest_terminal_summary(terminalreporter, config):
    why, names = getattr(config, "left_out", (None, []))
    if not names:
        return
    files = sorted({name.split("::")[0] for name in names})
    terminalreporter.section("REAL ENGINES WERE NOT TESTED", sep="!", red=True, bold=True)
    terminalreporter.line(f"{len(names)} tests against Elasticsearch and OpenSearch were LEFT OUT:")
    for file in files:
        terminalreporter.line(f"    {file}: {sum(name.startswith(file + '::') for name in names)} tests")
    terminalreporter.line(f"because: {why}")
    terminalreporter.line("A green run without them says nothing about real clusters.")


def _running_engines():
    given = os.environ.get("RERANK_E2E_ENGINES")
    if given:
        pairs = [part.split("=", 1) for part in given.split(",")]
        for _, url in pairs:
            names = [line["index"] for line in send(url, "GET", "/_cat/indices?format=json").json()]
            for name in names:
                send(url, "DELETE", "/" + "".join(f"%{byte:02X}" for byte in name.encode()))
        return {kind: SimpleNamespace(url=url, stop=lambda: None) for kind, url in pairs}
    return engine_control.start_all(KINDS)


@pytest.fixture(scope="session")
def clusters():
    """Both engines, filled, each with a proxy: {kind: cluster} with `.engine` and `.proxy` URLs."""
    engines = _running_engines()
    proxies = {}
    try:
        with ThreadPoolExecutor() as loaders:
            list(loaders.map(data.load, [engine.url for engine in engines.values()]))
        for kind, engine in engines.items():
            proxies[kind] = (
                proxy_control.Direct(engine.url) if DIRECT else proxy_control.start(data.config(engine.url)).ready()
            )
        yield {
            kind: SimpleNamespace(kind=kind, engine=engine.url, proxy=proxies[kind].url, process=proxies[kind])
            for kind, engine in engines.items()
        }
        for proxy in proxies.values():
            assert proxy.stop() == 0, "SIGTERM ends the proxy with status 0"
    finally:
        for proxy in proxies.values():
            proxy.stop()
        for engine in engines.values():
            engine.stop()


@pytest.fixture(params=KINDS)
def cluster(request, clusters):
    """One engine with its proxy; the test runs once for each."""
    return clusters[request.param]


@pytest.fixture
def proxy_before():
    """Starts proxies, ready to rerank, in front of a URL: `proxy_before(url)` or `proxy_before(url, budget="1ms")`."""
    started = []

    def start(upstream: str, **options) -> proxy_control.Proxy:
        started.append(proxy_control.start(data.config(upstream, **options)))
        return started[-1].ready()

    yield start
    for proxy in started:
        if proxy.process.poll() is None:
            proxy.stop()
