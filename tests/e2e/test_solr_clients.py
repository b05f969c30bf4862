"""Solr's clients, unmodified: pysolr, and SolrJ with a parser for JSON and with its default one. Pointed at the proxy they
see what they see at Solr, in a new order where the answer is JSON."""

import json
import subprocess

import pysolr
import pytest
from conftest import DIRECT
from data import COMMON, WINDOW
from distributions import compile_java, fetch
from kinds import KINDS
from proxy import REPOSITORY
from runtimes import java_home


pytestmark = pytest.mark.engines("solr")


@pytest.fixture
def pair(cluster):
    """pysolr at the engine, and at the proxy."""
    return [pysolr.Solr(f"{url}/solr/passages", timeout=60) for url in (cluster.engine, cluster.proxy)]


@pytest.fixture
def both(cluster):
    """Runs an action with pysolr at the engine and at the proxy; gives both results, which leave nothing behind."""

    def run(action):
        return [action(pysolr.Solr(f"{url}/solr/scratch", timeout=60)) for url in (cluster.engine, cluster.proxy)]

    return run


def test_pysolr_ping(pair):
    direct, through = (json.loads(side.ping())["status"] for side in pair)
    assert through == direct == "OK"


def test_pysolr_search_is_reranked(pair):
    direct, through = (side.search(COMMON, rows=WINDOW, fl="id,title,text,number") for side in pair)
    key = lambda document: document["id"]  # noqa: E731
    assert sorted(through.docs, key=key) == sorted(direct.docs, key=key)
    assert through.hits == direct.hits
    if not DIRECT:
        assert list(map(key, through)) != list(map(key, direct))


def test_pysolr_pages_continue_each_other(pair):
    _, through = pair
    pages = [through.search(COMMON, start=start, rows=10).docs for start in (0, 10)]
    assert pages[0] + pages[1] == through.search(COMMON, rows=20).docs


def test_pysolr_search_too_long_for_a_url_is_posted_and_reranked(pair):
    words = " ".join([COMMON] * 25)
    direct, through = (side.search(words, rows=WINDOW, fl="id") for side in pair)
    ids = [[document["id"] for document in found] for found in (direct, through)]
    assert sorted(ids[1]) == sorted(ids[0])
    if not DIRECT:
        assert ids[1] != ids[0]


def test_pysolr_facets_and_highlights(pair):
    options = {"facet": "on", "facet.field": ["domain", "parity"], "hl": "on", "hl.fl": "text", "rows": 5}
    direct, through = (side.search(COMMON, **options) for side in pair)
    assert through.facets == direct.facets
    assert list(through.highlighting) == [document["id"] for document in through]


def test_pysolr_walks_a_cursor_in_the_clusters_order(pair):
    walks = [
        [document["id"] for document in side.search(COMMON, sort="score desc,id asc", cursorMark="*", rows=25)]
        for side in pair
    ]
    assert walks[1] == walks[0]
    assert len(walks[0]) > WINDOW


def test_pysolr_adds_and_deletes_documents(both):
    def life(side):
        side.add([{"id": f"py-{n}", "title": "Grüße 東京", "number": n} for n in range(30)], commit=True)
        found = [(document["id"], document["title"]) for document in side.search("id:py-*", sort="number asc", rows=30)]
        side.delete(id="py-1", commit=True)
        after = side.search("id:py-*", rows=0).hits
        side.delete(q="id:py-*", commit=True)
        return found, after, side.search("id:py-*", rows=0).hits

    direct, through = both(life)
    assert through == direct
    assert len(through[0]) == 30 and through[1:] == (29, 0)


def test_pysolr_error_is_the_clients_own(pair):
    seen = []
    for side in pair:
        with pytest.raises(pysolr.SolrError) as caught:
            side.search("absent:water")
        seen.append(str(caught.value))
    assert seen[1] == seen[0]


@pytest.fixture(scope="session")
def solrj(cluster, tmp_path_factory):
    """What a program with SolrJ sees at the engine, and at the proxy."""
    kind = KINDS[cluster.kind]
    libraries, classes = fetch(kind) / "lib", tmp_path_factory.mktemp("solrj")
    compile_java(kind, REPOSITORY / "tests" / "e2e" / "solrj" / "SolrJClient.java", libraries, classes)
    utf8 = ["-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8"]
    command = [java_home(kind) / "bin" / "java", *utf8, "-cp", f"{classes}:{libraries}/*", "solrj.SolrJClient"]
    seen = []
    for url in (cluster.engine, cluster.proxy):
        done = subprocess.run([*map(str, command), url], capture_output=True, text=True, timeout=120, encoding="utf-8")
        assert done.returncode == 0, done.stderr[-3000:]
        seen.append(json.loads(done.stdout))
    return seen


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_solrj_with_a_parser_for_json_sees_reranked_documents(solrj, method):
    direct, through = (side[f"json {method}"] for side in solrj)
    assert through["version"] == "HTTP/2.0", "its default client speaks it without being asked"
    assert len(through["hits"]) == 20
    if not DIRECT:
        assert through["x-rerank"].startswith("applied;")
        assert through["hits"] != direct["hits"]
        scores = [score for _, _, score in through["hits"]]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_solrj_with_its_default_parser_sees_what_solr_says(solrj, method):
    direct, through = (side[f"javabin {method}"] for side in solrj)
    assert through["hits"] == direct["hits"]
    if not DIRECT:
        assert through["x-rerank"] == "skipped; reason=content-type"


def test_solrj_adds_finds_and_deletes_a_document(solrj):
    direct, through = (side["update"] for side in solrj)
    assert through == direct == ["Grüße", 0]
