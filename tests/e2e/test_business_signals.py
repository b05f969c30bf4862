"""Fields of the document that count in the order: popularity, freshness, pins and buried hits, on documents that the model cannot
tell apart. Owns that real engines give the values, shown or hidden, in the forms in which their mappings print them."""

import json
from urllib.parse import urlencode

import pytest
from conftest import DIRECT
from data import COMMON, MODEL

import answers
import proxy as proxy_control
from wire import send

pytestmark = [pytest.mark.skipif(DIRECT, reason="needs a proxy")]

TEXT = "How to keep the water in a small house warm and clean"
CONFIG = """\
[server]
listen = "127.0.0.1:0"
[upstream]
url = "{upstream}"
{engine}
[models.default]
path = "{model}"
"""
RULE = """\
[[rules]]
index = "{index}"
fields = ["text"]
budget = "60s"
window = 50
{keys}
"""
MAPPING = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0},
    "mappings": {
        "properties": {
            "text": {"type": "text"},
            "popularity": {"type": "long"},
            "published": {"type": "date"},
            "sold": {"type": "date", "format": "epoch_second"},
            "brand": {"type": "text", "fields": {"keyword": {"type": "keyword"}}},
            "promoted": {"type": "boolean"},
            "offers": {"type": "nested", "properties": {"price": {"type": "double"}}},
        }
    },
}
# Values as clients write them, which need not be the way in which mappings print them.
DOCUMENTS = {
    "a": {"popularity": 5, "published": "2019-05-01", "sold": 1_600_000_000, "brand": "Acme", "offers": {"price": 3.5}},
    "b": {"popularity": "900", "published": 1_790_000_000_000, "sold": 1_790_000_000, "brand": "Other"},
    "c": {"published": "2026-10-01T08:30:00.250+02:00", "promoted": "true", "offers": [{"price": 9}, {"price": "1.25"}]},
    "d": {"popularity": [10, 400], "sold": "1500000000", "brand": ["Acme", "Third"], "promoted": False},
    "e": {"popularity": 80, "published": "2012", "sold": 1_750_000_000, "offers": {"price": 5}},
}
MODEL_AND = 'signals = [{{ model = "default" }}, {}]'
RULES = {
    "popular": MODEL_AND.format('{ field = "popularity", modifier = "log1p", missing = 50, weight = 0.2 }'),
    "fresh": MODEL_AND.format('{ field = "published", decay = "exp", origin = "2026-11-28", scale = "365d" }'),
    "sold": MODEL_AND.format('{ field = "sold", decay = "gauss", origin = 2026-11-28, scale = "700d", epoch = "s" }'),
    "cheap": MODEL_AND.format('{ field = "offers.price", decay = "linear", origin = 0, scale = 10 }'),
    "placed": 'pin = [{ field = "promoted", is = true }]\n'
    'bury = [{ field = "brand.keyword", one_of = ["Acme"] }, { field = "published", exists = false }]',
}
# The order of each rule. Of equal numbers, and of the worst and none, the order is the engine's, which is that of the ids.
ORDERS = {
    "popular": "bdeca",  # 900, 400, 80, what stands in for none, 5
    "fresh": "cbade",  # weeks and years ago; never, and longest ago
    "sold": "beacd",
    "cheap": "cabde",  # 1.25 is the nearest of two; two have no price, and one the highest
    "placed": "cbead",
}
SEARCHES = {
    "shown": {},
    "hidden": {"_source": False},
    "in part": {"_source": ["text", "promoted"]},
    "beside fields": {"_source": False, "fields": ["popularity", "text"]},
    "beside stored fields": {"stored_fields": ["brand"], "docvalue_fields": ["popularity"]},
}


@pytest.fixture
def shop(cluster):
    """The documents under one alias for each rule, and a proxy before them: (engine's URL, proxy's URL)."""
    engine = cluster.engine
    send(engine, "DELETE", "/business-signals")
    aliases = {name: {} for name in RULES}
    assert send(engine, "PUT", "/business-signals", {**MAPPING, "aliases": aliases}).status == 200
    lines = [[{"index": {"_id": name}}, {"text": TEXT, **document}] for name, document in DOCUMENTS.items()]
    body = "".join(json.dumps(line) + "\n" for line in sum(lines, []))
    # At once, so that they are one segment, in this order.
    loaded = send(
        engine, "POST", "/business-signals/_bulk?refresh=true", body, {"Content-Type": "application/x-ndjson"}
    )
    assert loaded.status == 200 and not loaded.json()["errors"], loaded.text
    rules = [RULE.format(index=index, keys=keys) for index, keys in RULES.items()]
    with proxy_control.start(CONFIG.format(upstream=engine, engine="", model=MODEL) + "".join(rules)) as proxy:
        yield engine, proxy.ready().url
    send(engine, "DELETE", "/business-signals")


def ask(url, rule, body, page=""):
    query = {"query": {"match": {"text": "warm water"}}, **body}
    answer = send(url, "POST", f"/{rule}/_search{page}", query)
    assert answer.status == 200, answer.text
    return answer


def test_fields_decide_and_nobody_sees_that_they_were_asked_for(shop):
    engine, proxy = shop
    for rule, order in ORDERS.items():
        for search, body in SEARCHES.items():
            answer = ask(proxy, rule, body)
            said = answers.rerank_header(answer)
            assert (said["outcome"], said["scored"]) == ("applied", len(DOCUMENTS)), (rule, search, said)
            assert "".join(answers.ids(answer)) == order, (rule, search)
            own, page = answers.page(ask(engine, rule, body).text), answers.page(answer.text)
            shown = {hit.key: hit.meaning for hit in page.hits}
            assert shown == {hit.key: hit.meaning for hit in own.hits}, (rule, search)
            scores = [hit.score for hit in page.hits]
            assert scores == sorted(scores, reverse=True), (rule, search)


def test_pages_continue_each_other(shop):
    _, proxy = shop
    for rule, order in ORDERS.items():
        pages = [answers.ids(ask(proxy, rule, {"_source": False}, f"?size=2&from={start}")) for start in (0, 2, 4)]
        assert "".join(sum(pages, [])) == order, rule


SOLR_RULES = {
    "linear": MODEL_AND.format('{ field = "number", weight = 1000 }'),
    "rrf": MODEL_AND.format('{ field = "day", decay = "linear", origin = "2026-01-31", scale = "30d", weight = 1000 }'),
    "original": 'pin = [{ field = "parity", is = "odd" }]\nbury = [{ field = "number", below = 40 }]',
}


@pytest.mark.engines("solr")
def test_fields_of_solr_s_documents_decide_shown_or_not(cluster):
    def ids(url, collection, fields):
        query = urlencode({"q": f"text:({COMMON})", "rows": 50, "fl": fields})
        answer = send(url, "GET", f"/solr/{collection}/select?{query}")
        assert answer.status == 200, answer.text
        docs = answer.json()["response"]["docs"]
        assert all(set(doc) == set(fields.split(",")) for doc in docs), docs[0]
        return [doc["id"] for doc in docs]

    def is_falling(keys):
        return keys == sorted(keys, reverse=True)

    def number(name):
        return int(name[1:])

    def place(name):
        return 2 if number(name) % 2 else 0 if number(name) < 40 else 1

    config = CONFIG.format(upstream=cluster.engine, engine='engine = "solr"', model=MODEL)
    rules = [RULE.format(index=index, keys=keys) for index, keys in SOLR_RULES.items()]
    with proxy_control.start(config + "".join(rules)) as proxy:
        proxy.ready()
        own = ids(cluster.engine, "passages", "id")
        keys = {"linear": number, "rrf": lambda name: number(name) % 28, "original": place}
        for collection, key in keys.items():
            for fields in ("id", "id,number,day"):
                found = ids(proxy.url, collection, fields)
                assert set(found) == set(own), collection
                assert is_falling([key(name) for name in found]), (collection, found)
        assert not is_falling([number(name) for name in own])
