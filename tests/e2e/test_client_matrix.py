"""The client matrix: each client of `client_table.py`, unmodified, is run by a driver of its own, once at the engine and once at the proxy,
and its user sees the same; on the index under a rule the same hits in another order. In CI the light ones; `make client-matrix` runs all.

Environment:
    RERANK_CLIENTS=all   not the light ones only
"""

import json
import os
import re
import subprocess
from functools import cache

import pytest
from client_matrix import ALL, CONFIG, INDICES, RULED, compare, corpus_in, fill, masked, taken_apart
from client_table import CLIENTS, rows
from conftest import DIRECT
from kinds import KINDS
from proxy import REPOSITORY, start

import client_set_up
from flaky import flaky_server
from wire import send

CHOSEN = [client for client in CLIENTS if client.light or ALL]
TIMEOUT_SECONDS = 120

pytestmark = pytest.mark.skipif(DIRECT, reason="needs a proxy")


@cache
def proxy(upstream, rewrite_nodes="false"):
    """A proxy in front of this URL, which the whole run keeps."""
    started = start(CONFIG.format(upstream=upstream, rewrite_nodes=rewrite_nodes)).ready()
    RUNNING.append(started)
    return started


RUNNING = []


@pytest.fixture(scope="module", autouse=True)
def proxies():
    yield
    for started in RUNNING:
        started.stop()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    return corpus_in(tmp_path_factory.mktemp("clients"))


def of(mode, engine=None):
    """The chosen clients that are asked for this, each on its engine or on the one that is named."""
    chosen = [client for client in CHOSEN if mode in client.modes]
    pairs = [pytest.param(client, engine or client.engine, id=re.sub(r"[^\w.]+", "-", client.name)) for client in chosen]
    return pytest.mark.parametrize(("client", "cluster"), pairs, indirect=["cluster"])


def drive(client, mode, url, corpus, engine=None):
    """What the client's user sees at a URL. Where `engine` is given, the indices of before are deleted there first."""
    missing = client_set_up.left_out(client.set_up)
    if missing:
        assert os.environ.get("CI") != "true", missing
        pytest.skip(missing)
    if engine:
        send(engine, "DELETE", f"/{INDICES}?ignore_unavailable=true")
    words, environment = client_set_up.command(client)
    done = subprocess.run(
        [*words, mode, url, str(corpus)],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["version"] == client.version
    return masked(told["seen"], url)


def address(node):
    """Of a node, as clients show it."""
    return node.removeprefix("http://")


def script(client, mode, cluster, corpus):
    compare(*(drive(client, mode, url, corpus, cluster.engine) for url in (cluster.engine, proxy(cluster.engine).url)))


@of("steps")
def test_the_script_comes_to_the_same(client, cluster, corpus):
    script(client, "steps", cluster, corpus)


@of("compressed")
def test_the_script_comes_to_the_same_compressed(client, cluster, corpus):
    script(client, "compressed", cluster, corpus)


if ALL:  # none of them is light

    @of("store")
    def test_a_frameworks_store_takes_documents_and_finds_them(client, cluster, corpus):
        script(client, "store", cluster, corpus)


@of("sniff")
def test_a_client_that_looks_for_nodes_sees_the_clusters_or_with_rewrite_nodes_the_proxy(client, cluster, corpus):
    fill(cluster.engine, RULED, corpus)
    past, rewritten = proxy(cluster.engine).url, proxy(cluster.engine, "true").url
    direct, through, kept = (drive(client, "sniff", url, corpus) for url in (cluster.engine, past, rewritten))
    assert direct["nodes"] == ["URL"]
    # Some clients keep the node that they were given beside those that they find.
    assert {address(node) for node in through["nodes"]} - {"URL"} == {address(cluster.engine)}
    assert set(kept["nodes"]) == {"URL"}
    theirs, ours = (taken_apart([side["search"]]) for side in (direct, kept))
    assert ours[2] == theirs[2] and ours[1] != theirs[1]


@of("retries")
def test_a_cluster_that_refuses_for_a_while_is_asked_as_often_and_answers_the_same(client, cluster, corpus):
    seen, arrived = [], []
    for through in (False, True):
        with flaky_server(KINDS[cluster.kind]) as server:
            url = proxy(server.url).url if through else server.url
            seen.append(drive(client, "retries", url, corpus))
            arrived.append(server.arrived)
    assert arrived[1] == arrived[0]
    for index, direct in seen[0].items():
        if "error" in direct:
            assert seen[1][index] == direct
        else:
            assert taken_apart([seen[1][index]])[::2] == taken_apart([direct])[::2]


@of("product", "opensearch-3")
def test_a_client_that_asks_what_it_talks_to_is_told_the_same(client, cluster, corpus):
    direct, through = (drive(client, "product", url, corpus) for url in (cluster.engine, proxy(cluster.engine).url))
    assert "error" in direct["info"]
    assert through == direct


def test_the_documentation_shows_this_table():
    shown = (REPOSITORY / "docs" / "clients.md").read_text()
    assert "\n".join(rows()) in shown, "docs/clients.md: its table should be\n" + "\n".join(rows())
