"""Starts the engines that the chosen tests need once, side by side, fills them, and puts a proxy in front of each.

A test that takes the fixture `cluster` runs on every kind of Elasticsearch and OpenSearch, or on the kinds, flavours or
families that `@pytest.mark.engines(...)` names. One that takes `secured` runs on the secured engines that its file starts. One that takes
`redis` gets a Redis of its own, one that takes `browser` a Chromium, one that takes `haproxy` may start some, one that takes `prometheus`
needs Debian's package of that name, one that takes `topology` starts compose files.

Environment:
    RERANK_PROXY_BIN     the binary under test (default target/debug/rerank-proxy)
    RERANK_E2E_ENGINES   engines that already run, `elasticsearch-9=http://…,solr-9=http://…`; their test indices are
                         deleted, and tests on other kinds left out. For developing tests: saves starting them
    RERANK_E2E_DIRECT=1  no proxy at all: the harness tests itself, engine against engine
    CI=true              an engine, a Redis, an HAProxy or a browser that cannot run is a failure, not a reason to leave tests out
"""

import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "engines")]
pytest.register_assert_rewrite("checks", "client_matrix", "rerank_api")

import browser
import compose
import data
import engines as engine_control
import haproxy as haproxy_control
import kinds
import prometheus_server
import proxy as proxy_control
import redis_server
import rerank_api
import solr
from wire import send

CORPORA = {"elastic": data, "solr": solr}
DIRECT = os.environ.get("RERANK_E2E_DIRECT") == "1"


def _given_engines():
    """The engines that run already, {kind: URL}; empty when the tests are to start them."""
    pairs = [part.split("=", 1) for part in os.environ.get("RERANK_E2E_ENGINES", "").split(",") if part]
    for kind, *_ in pairs:
        if kind not in kinds.KINDS:
            raise pytest.UsageError(f"RERANK_E2E_ENGINES: no such engine: {kind}; there are {', '.join(kinds.KINDS)}")
    return dict(pairs)


def _kind(item):
    """The kind of engine that a test runs on, or None."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return params.get("cluster", params.get("secured"))


def _needs(item):
    """What a test cannot do without."""
    fixtures = set(getattr(item, "fixturenames", ()))
    needs = {"redis": fixtures & {"redis", "stopped_redis"}, _kind(item): _kind(item)}
    needs |= {name: fixtures & {name} for name in ("browser", "haproxy", "prometheus", "topology")}
    return [need for need, is_needed in needs.items() if is_needed]


def pytest_configure(config):
    config.addinivalue_line("markers", "engines(*names): runs on these kinds, flavours or families of engines only")
    config.addinivalue_line("markers", "deploy: runs with `make test-deploy` only (pytest.ini)")


def pytest_report_header():
    packages = ("elasticsearch", "opensearch-py", "pysolr", "cohere", "infinity-client", "rerankers", "tei-client")
    return rerank_api.versions(*packages)


def pytest_sessionstart(session):
    if not DIRECT and not proxy_control.binary().exists():
        raise pytest.UsageError(f"no {proxy_control.binary()}: build it (`make test` does), or name it in RERANK_PROXY_BIN")


def pytest_generate_tests(metafunc):
    by_hand = any("cluster" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "cluster" in metafunc.fixturenames and not by_hand:
        chosen = metafunc.definition.get_closest_marker("engines")
        names = kinds.named(*chosen.args) if chosen else kinds.ELASTIC
        metafunc.parametrize("cluster", names, indirect=True, scope="session")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    given = _given_engines()
    if given:
        config.not_given = sorted({kind for item in items if (kind := _kind(item)) and kind not in given})
        elsewhere = [item for item in items if _kind(item) in config.not_given]
        items[:] = [item for item in items if _kind(item) not in config.not_given]
        config.hook.pytest_deselected(items=elsewhere)
    config.left_out = _leave_out(items, given)
    needed = {kind for item in items if (kind := _kind(item)) and not _is_left_out(config, kind)}
    config.kinds_to_start = sorted(kind for kind in needed if not kinds.KINDS[kind].secured)
    config.secured_kinds = sorted(kind for kind in needed if kinds.KINDS[kind].secured)


def _leave_out(items, given):
    """Marks tests on servers that cannot run here as skipped; returns {kind: (why, [names of tests])}."""
    missing = redis_server.left_out() | haproxy_control.left_out() | browser.left_out()
    missing |= prometheus_server.left_out() | compose.left_out()
    missing |= {} if given else engine_control.left_out()
    found = {}
    for item in items:
        for need in set(_needs(item)) & set(missing):
            why = missing[need]
            found.setdefault(need, (why, []))[1].append(item.nodeid)
            item.add_marker(pytest.mark.skip(reason=f"no {need}: {why}"))
    if os.environ.get("CI") == "true" and found:
        reasons = "; ".join(f"{len(names)} tests need {kind}: {why}" for kind, (why, names) in found.items())
        raise pytest.UsageError(f"in CI no tests may be left out, but {reasons}")
    return found


def _is_left_out(config, kind):
    return kind in getattr(config, "left_out", {})


def pytest_terminal_summary(terminalreporter, config):
    if getattr(config, "not_given", []):
        terminalreporter.section("not all engines were given", sep="-", yellow=True)
        terminalreporter.line(f"RERANK_E2E_ENGINES leaves out {', '.join(config.not_given)}")
    if not getattr(config, "left_out", {}):
        return
    terminalreporter.section("REAL SERVERS WERE NOT TESTED", sep="!", red=True, bold=True)
    for kind, (why, names) in config.left_out.items():
        terminalreporter.line(f"{len(names)} tests on {kind} were LEFT OUT, because: {why}")
        for file, tests in sorted(Counter(name.split("::")[0] for name in names).items()):
            terminalreporter.line(f"    {file}: {tests} tests")
    terminalreporter.line("A green run without them says nothing about these servers.")


def _running_engines(config):
    given = _given_engines()
    for kind, url in given.items():
        CORPORA[kinds.KINDS[kind].family].wipe(url)
    if given:
        return {kind: SimpleNamespace(url=url, stop=lambda: None) for kind, url in given.items()}
    return engine_control.start_all(config.kinds_to_start)


@pytest.fixture(scope="session")
def clusters(pytestconfig):
    """The engines, filled, each with a proxy: {kind: cluster} with `.engine` and `.proxy` URLs."""
    engines = _running_engines(pytestconfig)
    proxies = {}
    try:
        with ThreadPoolExecutor() as loaders:
            load = lambda kind: CORPORA[kinds.KINDS[kind].family].load(engines[kind].url)  # noqa: E731
            list(loaders.map(load, engines))
        for kind, engine in engines.items():
            config = data.config(engine.url, kinds.KINDS[kind].family)
            proxies[kind] = proxy_control.Direct(engine.url) if DIRECT else proxy_control.start(config).ready()
        yield {
            kind: SimpleNamespace(
                kind=kind,
                flavour=kinds.KINDS[kind].flavour,
                engine=engine.url,
                proxy=proxies[kind].url,
                process=proxies[kind],
            )
            for kind, engine in engines.items()
        }
        for proxy in proxies.values():
            assert proxy.stop() == 0, "SIGTERM ends the proxy with status 0"
    finally:
        for proxy in proxies.values():
            proxy.stop()
        for engine in engines.values():
            engine.stop()


@pytest.fixture(scope="session")
def cluster(request, clusters):
    """One engine with its proxy; the test runs once for each."""
    return clusters[request.param]


@pytest.fixture
def stopped_redis():
    """A Redis that has a port, and is yet to be started."""
    server = redis_server.Redis()
    yield server
    server.close()


@pytest.fixture
def redis(stopped_redis):
    """A Redis with nothing in it."""
    return stopped_redis.start()


@pytest.fixture
def prometheus():
    """Says that a test needs Prometheus and promtool."""


@pytest.fixture
def topology():
    """Starts compose files as processes: `with topology("docker-compose.yml", engines={"elasticsearch": url}) as running`."""
    return compose.Topology


@pytest.fixture
def haproxy():
    """Starts HAProxys before replicas: `haproxy([(port, admin_port), …])`."""
    started = []

    def start(replicas) -> haproxy_control.HAProxy:
        started.append(haproxy_control.HAProxy(replicas))
        return started[-1]

    yield start
    for server in started:
        server.close()


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
