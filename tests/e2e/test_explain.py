"""`POST /_rerank/explain` on real engines: both pages are those that the engine and the proxy give a client, a second time every score
comes out of the cache, and what is no search changes nothing."""

import pytest
from conftest import DIRECT
from data import COMMON
from kinds import NEWEST

from wire import send

pytestmark = pytest.mark.skipif(DIRECT, reason="needs a proxy")

MATCH = {"query": {"multi_match": {"query": COMMON, "fields": ["title", "text"]}}, "size": 5, "from": 2}
SOLR = "/solr/passages/select?defType=edismax&qf=title%20text&rows=5&start=2&q="


def explain(cluster, **asked) -> dict:
    answer = send(cluster.proxy, "POST", "/_rerank/explain", asked)
    assert answer.status == 200, answer.text
    return answer.json()


def ids(page: list) -> list:
    return [hit["id"] for hit in page]


def check(told: dict, before: list, after: list, source: str):
    assert told["outcome"] == "applied", told
    assert told["query"] == {"text": COMMON, "source": source}
    assert ids(told["before"]) == before and ids(told["after"]) == after and before != after
    for place, hit in enumerate(told["before"]):
        assert hit["rank"]["before"] == 3 + place
        assert hit["passage"] and hit["source"]["title"], hit
        assert isinstance(hit["score"]["before"], float) and isinstance(hit["score"]["model"], float), hit
    assert [hit["rank"]["after"] for hit in told["after"]] == [3, 4, 5, 6, 7]
    assert told["plan"]["fields"] == ["title", "text"] and told["plan"]["window"] == 50
    assert told["rule"]["index"][0] == "passages" and told["cluster"] == {"status": 200, "error": None}


@pytest.mark.engines(*NEWEST)
def test_a_search_is_told_as_it_is_answered(cluster):
    found = lambda url: ids_of(send(url, "POST", "/passages/_search", MATCH).json()["hits"]["hits"])  # noqa: E731
    ids_of = lambda hits: [hit["_id"] for hit in hits]  # noqa: E731
    before, after = found(cluster.engine), found(cluster.proxy)
    check(explain(cluster, path="/passages/_search", body=MATCH), before, after, "multi_match")
    again = explain(cluster, path="/passages/_search", body=MATCH)
    check(again, before, after, "multi_match")
    assert again["figures"]["cached"] == again["figures"]["scored"] == 50
    hidden = explain(cluster, path="/passages/_search?filter_path=took", body=MATCH | {"_source": False})
    assert ids(hidden["after"]) == after and hidden["after"][0]["passage"] and "source" not in hidden["after"][0]
    sorted_ = explain(cluster, path="/passages/_search", body=MATCH | {"sort": "number"})
    assert (sorted_["reason"], ids(sorted_["before"])) == ("sort", ["d2", "d3", "d4", "d5", "d6"])
    wrong = explain(cluster, path="/passages/_search", body={"query": {"nothing": {}}})
    assert wrong["cluster"]["status"] == 400 and "nothing" in wrong["cluster"]["error"]
    other = explain(cluster, path="/passages/_search", body=MATCH, rerank={"blend": {"method": "linear", "weight": 0}})
    assert ids(other["after"]) == before


@pytest.mark.engines("solr")
def test_a_search_of_solr_is_told_as_it_is_answered(cluster):
    found = lambda url: ids(send(url, "GET", path).json()["response"]["docs"])  # noqa: E731
    path = SOLR + COMMON.replace(" ", "%20")
    before, after = found(cluster.engine), found(cluster.proxy)
    check(explain(cluster, path=path, method="GET"), before, after, "q")
    form, media_type = path.split("?")[1], "application/x-www-form-urlencoded"
    told = explain(cluster, path="/solr/passages/select", body=form, content_type=media_type)
    check(told, before, after, "q")
    assert told["figures"]["cached"] == 50 and "score" not in told["after"][0]["source"]
    sorted_ = explain(cluster, path=path + "&sort=number%20asc", method="GET")
    assert (sorted_["reason"], ids(sorted_["before"])) == ("sort", ["d2", "d3", "d4", "d5", "d6"])
    wrong = explain(cluster, path="/solr/passages/select?q=nothing:x", method="GET")
    assert wrong["cluster"]["status"] == 400 and "nothing" in wrong["cluster"]["error"]


@pytest.mark.engines(*NEWEST, "solr")
def test_what_is_no_search_changes_nothing(cluster):
    count = "/solr/passages/select?q=*:*&rows=0" if cluster.flavour == "solr" else "/passages/_count"
    there = lambda: send(cluster.engine, "GET", count).json()  # noqa: E731
    total = lambda: there().get("count", there().get("response", {}).get("numFound"))  # noqa: E731
    before = total()
    for asked in (
        {"method": "DELETE", "path": "/passages"},
        {"path": "/passages/_delete_by_query", "body": {"query": {"match_all": {}}}},
        {"path": "/_bulk", "body": '{"delete":{"_index":"passages","_id":"1"}}\n', "content_type": "application/json"},
        {"path": "/solr/passages/update?commit=true", "body": {"delete": {"query": "*:*"}}},
        {"path": "/solr/passages/select/../update?commit=true", "body": {"delete": {"query": "*:*"}}},
        {"path": "/solr/passages/select?qt=/update&commit=true&stream.body=<delete><query>*:*</query></delete>"},
        {"path": "/solr/admin/collections?action=DELETE&name=passages", "method": "GET"},
        {"path": "http://127.0.0.1:1/passages/_search"},
    ):
        assert send(cluster.proxy, "POST", "/_rerank/explain", asked).status == 400, asked
    assert total() == before == 120
