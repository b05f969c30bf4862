"""Three real nodes in one cluster: one is killed under load, and no client sees an error. Clients that look for nodes keep coming
through the proxy, and the proxy finds the nodes by itself."""

import os
import re
import threading
import time

import elasticsearch
import engines
import pytest
from conftest import DIRECT
from data import COMMON, MAPPING, documents

import answers
from proxy import start
from wire import send

pytestmark = pytest.mark.skipif(DIRECT, reason="needs a proxy")

KIND = "elasticsearch-9"
INDEX = "passages"
CLIENTS = 6
REQUESTS_BEFORE, REQUESTS_AFTER = 60, 200
PATIENCE_SECONDS = 60
QUERY = {"match": {"text": COMMON}}

CONFIG = """\
[server]
listen = "127.0.0.1:0"
[upstream]
{upstream}
[[rules]]
index = ["passages"]
model = "all-MiniLM-L6-v2"
fields = ["title"]
window = 15
budget = "60s"
[models.all-MiniLM-L6-v2]
name = "all-MiniLM-L6-v2"
"""


@pytest.fixture(scope="module")
def nodes():
    """Three nodes, of which each has all documents."""
    missing = engines.left_out().get(KIND)
    if missing:
        assert os.environ.get("CI") != "true", f"no {KIND}: {missing}"
        pytest.skip(f"no {KIND}: {missing}")
    started = engines.start_cluster(KIND, 3)
    try:
        url = started[0].url
        client = elasticsearch.Elasticsearch(url, request_timeout=60)
        client.cluster.health(wait_for_nodes=3, timeout="60s")
        settings = {"number_of_shards": 1, "number_of_replicas": 2}
        client.indices.create(index=INDEX, settings=settings, mappings=MAPPING["mappings"])
        operations = [part for document in documents()[:40] for part in ({"index": {}}, document)]
        client.bulk(index=INDEX, operations=operations, refresh=True)
        client.cluster.health(wait_for_status="green", timeout="60s")
        yield started
    finally:
        for engine in started:
            engine.stop()


def metric(proxy, name):
    """The values of a metric by node."""
    text = send(proxy.url, "GET", "/_rerank/metrics").text
    return {node: float(value) for node, value in re.findall(rf'^rerank_proxy_upstream_{name}{{node="(.*)"}} (.*)$', text, re.M)}


def host(engine):
    return engine.url.removeprefix("http://")


class Load:
    """Clients that search and read without a pause, and try nothing twice themselves."""

    def __init__(self, url):
        self.done, self.errors = 0, []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._search, args=(url, number)) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _search(self, url, number):
        client = elasticsearch.Elasticsearch(url, request_timeout=60, max_retries=0, retry_on_timeout=False)
        while not self._stop.is_set():
            try:
                if number % 2:
                    found = client.search(index=INDEX, query=QUERY, size=5)
                    assert len(found["hits"]["hits"]) == 5, found
                else:
                    client.indices.get_mapping(index=INDEX)
                    client.cat.indices(index=INDEX, format="json", h="index")
            except Exception as error:  # reported by whoever waits
                self.errors.append(repr(error))
            self.done += 1

    def wait_for(self, more):
        """Waits until so many more requests are done."""
        until, deadline = self.done + more, time.monotonic() + PATIENCE_SECONDS
        while self.done < until:
            assert time.monotonic() < deadline, f"{self.done} requests, errors: {self.errors[:3]}"
            time.sleep(0.02)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def until(is_so):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_client_that_looks_for_nodes_keeps_coming_through_the_proxy(nodes):
    with start(CONFIG.format(upstream=f'url = "{nodes[0].url}"\nrewrite_nodes = true')).ready() as proxy:
        client = elasticsearch.Elasticsearch(proxy.url, sniff_on_start=True, request_timeout=60)
        assert {node.base_url for node in client.transport.node_pool.all()} == {proxy.url}
        answer = client.search(index=INDEX, query=QUERY)
        assert "applied" in answer.meta.headers["x-rerank"]
        direct = send(nodes[0].url, "GET", "/_nodes/http?filter_path=nodes.*.roles").json()
        through = send(proxy.url, "GET", "/_nodes/http?filter_path=nodes.*.roles").json()
        assert direct == through


def test_a_node_that_is_killed_under_load_costs_no_client_anything(nodes):
    urls = ", ".join(f'"{node.url}"' for node in nodes)
    named = start(CONFIG.format(upstream=f"urls = [{urls}]"))
    found = start(CONFIG.format(upstream=f'url = "{nodes[0].url}"\nsniff = "1s"'))
    with named, found:
        named.ready(), found.ready()
        until(lambda: set(metric(found, "node_requests_total")) == {host(node) for node in nodes})
        loads = [Load(named.url), Load(found.url)]
        try:
            for load in loads:
                load.wait_for(REQUESTS_BEFORE)
            dead = nodes[1]
            dead.kill()
            for load in loads:
                load.wait_for(REQUESTS_AFTER)
        finally:
            for load in loads:
                load.stop()
        assert [load.errors for load in loads] == [[], []]
        assert min(metric(named, "node_requests_total").values()) > 0
        assert metric(named, "node_up")[host(dead)] == 0
        until(lambda: set(metric(found, "node_requests_total")) == {host(node) for node in nodes} - {host(dead)})
        answer = send(found.url, "POST", f"/{INDEX}/_search", {"query": QUERY})
        assert answers.rerank_header(answer)["outcome"] == "applied"
