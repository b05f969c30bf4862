"""What holds across several searches: pages fit together, and the same search gives the same answer."""

from urllib.parse import urlencode

import pytest
from conftest import DIRECT
from data import COMMON, WINDOW

import answers
from wire import send

pytestmark = [pytest.mark.skipif(DIRECT, reason="needs a proxy"), pytest.mark.engines("elastic", "solr")]

QUERIES = [COMMON, "what changes the colour of the sky in the evening", "where can I store food for a long time"]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def search(cluster, side, query, start=0, size=10):
    """Searches two fields, at `side` "engine" or "proxy"."""
    url = getattr(cluster, side)
    if cluster.flavour == "solr":
        said = {"q": query, "defType": "edismax", "qf": "title text", "fl": "*,score", "start": start, "rows": size}
        answer = send(url, "POST", "/solr/passages/select", urlencode(said), FORM)
    else:
        body = {"query": {"multi_match": {"query": query, "fields": ["title", "text"]}}, "from": start, "size": size}
        answer = send(url, "POST", "/passages/_search", body)
    assert answer.status == 200, answer.text[:500]
    return answer


@pytest.mark.parametrize("query", QUERIES)
def test_pages_of_seven_joined_are_one_reranked_window_and_the_clusters_tail(cluster, query):
    cluster_order = answers.ids(search(cluster, "engine", query, size=WINDOW + 14))
    whole = answers.ids(search(cluster, "proxy", query, size=WINDOW))
    pages = []
    for start in range(0, WINDOW, 7):
        pages += answers.ids(search(cluster, "proxy", query, start, 7))
    assert len(cluster_order) > WINDOW, "the query finds more than the window"
    assert pages[:WINDOW] == whole
    assert sorted(whole) == sorted(cluster_order[:WINDOW])
    assert pages[WINDOW:] == cluster_order[WINDOW : len(pages)]


@pytest.mark.parametrize("query", QUERIES)
def test_the_model_has_a_say(cluster, query):
    assert answers.ids(search(cluster, "proxy", query)) != answers.ids(search(cluster, "engine", query))


def test_the_same_search_twice_gives_the_same_bytes_and_the_scores_come_from_the_cache(cluster):
    first = search(cluster, "proxy", "a question nobody asked before in the house of the water")
    second = search(cluster, "proxy", "a question nobody asked before in the house of the water")
    assert answers.normalised(second.body) == answers.normalised(first.body)
    assert answers.rerank_header(first)["scored"] == WINDOW
    assert answers.rerank_header(second)["cached"] == WINDOW


def test_a_later_page_and_another_filter_are_scored_from_the_cache(cluster):
    search(cluster, "proxy", COMMON)
    assert answers.rerank_header(search(cluster, "proxy", COMMON, start=20))["cached"] == WINDOW


@pytest.mark.engines("elastic")
def test_an_edited_document_is_scored_anew(cluster):
    path = "/passages-edited"
    documents = [("a", "the water is warm"), ("b", "the house is cold"), ("c", "the sea is blue")]
    send(cluster.engine, "DELETE", path)
    for key, text in documents:
        send(cluster.engine, "PUT", f"{path}/_doc/{key}?refresh=true", {"text": text})
    query = {"query": {"match": {"text": "the sea is blue and wide"}}}
    before = send(cluster.proxy, "POST", f"{path}/_search", query)
    send(cluster.engine, "PUT", f"{path}/_doc/a?refresh=true", {"text": "today the sea is blue and wide"})
    after = send(cluster.proxy, "POST", f"{path}/_search", query)
    send(cluster.engine, "DELETE", path)
    assert answers.ids(before)[0] == "c"
    assert answers.ids(after)[0] == "a"
    assert answers.rerank_header(after)["cached"] == 2


@pytest.mark.engines("solr")
def test_an_edited_document_of_solrs_is_scored_anew(cluster):
    update = "/solr/scratch-edited/update?commit=true"

    def documents(*pairs):
        sent = send(cluster.engine, "POST", update, [{"id": key, "text": text} for key, text in pairs])
        assert sent.status == 200, sent.text[:500]

    path = "/solr/scratch-edited/select?" + urlencode({"q": "the sea is blue and wide", "fl": "id,score"})
    documents(("a", "the water is warm"), ("b", "the house is cold"), ("c", "the sea is blue"))
    before = send(cluster.proxy, "GET", path)
    documents(("a", "today the sea is blue and wide"))
    after = send(cluster.proxy, "GET", path)
    assert answers.ids(before)[0] == "c"
    assert answers.ids(after)[0] == "a"
    assert answers.rerank_header(after)["cached"] == 2


def test_a_search_says_how_long_each_part_took(cluster):
    timing = search(cluster, "proxy", COMMON).header("server-timing")
    assert "upstream;dur=" in timing and "rerank;dur=" in timing, timing


def test_health_and_metrics_are_the_proxys_own(cluster):
    health = send(cluster.proxy, "GET", "/_rerank/health")
    assert health.status == 200 and isinstance(health.json(), dict)
    metrics = send(cluster.proxy, "GET", "/_rerank/metrics")
    assert metrics.status == 200 and "# TYPE " in metrics.text
