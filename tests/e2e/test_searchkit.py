"""Searchkit in a real browser: a shop's page that searches Elasticsearch by itself, from another origin, as its guide has it. Pointed at the
proxy it shows the same hits in another order. It needs Node's packages, and runs with RERANK_CLIENTS=all (`make client-matrix`)."""

import contextlib
import functools
import http.server
import os
import threading
from urllib.parse import urlencode

import pytest
from client_matrix import ALL, CONFIG, PLAIN, RULED, corpus_in, fill
from client_table import SOURCES
from conftest import DIRECT
from data import COMMON
from proxy import start

import browser as browser_control
import client_set_up
import engines

pytestmark = pytest.mark.skipif(DIRECT or not ALL, reason="runs with RERANK_CLIENTS=all, before a proxy")

KIND = "elasticsearch-9"
# What a browser wants of a cluster that a page of another origin searches.
CORS = 'http.cors.enabled: true\nhttp.cors.allow-origin: "/.*/"\nhttp.cors.allow-headers: "content-type"\n'


class _Pages(http.server.SimpleHTTPRequestHandler):
    """The packages of Node, and the page."""

    def translate_path(self, path):
        if path.split("?")[0] == "/":
            return str(SOURCES / "node" / "searchkit.html")
        return super().translate_path(path)

    def log_message(self, *_):
        """Nothing."""


@contextlib.contextmanager
def shop():
    """The page's own server."""
    pages = functools.partial(_Pages, directory=client_set_up.node_modules())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Of its own: the others do not speak to pages."""
    missing = engines.left_out().get(KIND) or client_set_up.left_out("node")
    if missing:
        assert os.environ.get("CI") != "true", missing
        pytest.skip(missing)
    engine = engines.Engine(KIND, membership=engines.ALONE + CORS).wait_until_ready()
    try:
        corpus = corpus_in(tmp_path_factory.mktemp("searchkit"))
        for index in (RULED, PLAIN):
            fill(engine.url, index, corpus)
        with start(CONFIG.format(upstream=engine.url, rewrite_nodes="false")) as proxy:
            proxy.ready()
            yield engine.url, proxy.url
    finally:
        engine.stop()


@pytest.fixture(scope="module")
def browser():
    with browser_control.running() as started:
        yield started


def seen(page, shop_url, cluster_url, index):
    """What a visitor sees: how many hits, and their titles page by page."""
    page.goto(f"{shop_url}/?{urlencode({'host': cluster_url, 'index': index})}")
    page.fill("#box input", COMMON)
    page.wait_for_function("query => document.querySelector('#stats').textContent.includes(`\"${query}\"`)", arg=COMMON)
    pages = []
    for number in (1, 2, 3):
        if number > 1:
            before = page.inner_text("#hits")
            page.click(f"#pages a[aria-label='Page {number}']")
            page.wait_for_function("before => document.querySelector('#hits').innerText !== before", arg=before)
        pages.append([(hit.get_attribute("id"), hit.inner_text()) for hit in page.query_selector_all("#hits b")])
    return page.inner_text("#stats"), pages


def test_searchkit_shows_the_same_hits_in_another_order(sides, browser):
    with shop() as shop_url:
        page = browser.new_page()
        told = []
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        plain, ruled = ([seen(page, shop_url, url, index) for url in sides] for index in (PLAIN, RULED))
        page.close()
    assert plain[1] == plain[0]
    assert ruled[1][0] == ruled[0][0]
    orders = [[hit for hits in pages for hit in hits] for _, pages in ruled]
    assert [len(hits) for hits in ruled[1][1]] == [len(hits) for hits in ruled[0][1]] == [10, 10, 10]
    assert sorted(orders[1]) == sorted(orders[0]) and orders[1] != orders[0]
    assert told == []
