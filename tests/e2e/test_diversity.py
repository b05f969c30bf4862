"""Hits that say the same, or are of the same maker, on real engines: near-duplicates go behind all others, a maker has so many
places on a page, pages continue each other, and nobody sees that a field was asked for."""

import pytest
from conftest import DIRECT
from data import MODEL
from kinds import NEWEST

import answers
import proxy as proxy_control
from wire import send

pytestmark = [pytest.mark.skipif(DIRECT, reason="needs a proxy"), pytest.mark.engines(*NEWEST)]

QUERY = "how do wolves hunt"
CONFIG = """\
[server]
listen = "127.0.0.1:0"
[upstream]
url = "{upstream}"
[models.default]
path = "{model}"
"""
RULE = """\
[[rules]]
index = "{index}"
fields = ["text"]
budget = "60s"
window = 50
{diversity}
"""
MAPPING = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0},
    "mappings": {"properties": {"text": {"type": "text"}, "maker": {"type": "keyword"}}},
}
SENTENCES = (
    "Wolves hunt in packs and wear out large prey.",
    "A pack of wolves follows a herd for days before it attacks.",
    "Wolves hunt at night and rest through the day.",
    "Hunting wolves was banned in most of Europe.",
    "A lone wolf hunts hares and voles.",
    "Wolves howl to find each other again.",
)
# Each sentence of three makers, who write it in their own way.
DOCUMENTS = {
    f"{number}{maker}": {"text": spelling(sentence), "maker": maker}
    for number, sentence in enumerate(SENTENCES)
    for maker, spelling in {"a": str, "b": str.upper, "c": lambda text: text.replace(".", "!")}.items()
}
RULES = {
    "wolves-plain": "",
    "wolves-apart": "diversity = { duplicates = 0.9 }",
    "wolves-new": "diversity = { lambda = 0.3 }",
    "wolves-makers": 'diversity = { field = "maker", at_most = 2 }',
}


@pytest.fixture
def search(cluster):
    """Searches the documents through a proxy, under one of the rules: the hits of a page."""
    send(cluster.engine, "DELETE", "/diversity")
    aliases = {name: {} for name in RULES}
    assert send(cluster.engine, "PUT", "/diversity", {**MAPPING, "aliases": aliases}).status == 200
    for name, document in DOCUMENTS.items():
        created = send(cluster.engine, "PUT", f"/diversity/_doc/{name}?refresh=true", document)
        assert created.status == 201, created.text
    rules = [RULE.format(index=index, diversity=diversity) for index, diversity in RULES.items()]
    with proxy_control.start(CONFIG.format(upstream=cluster.engine, model=MODEL) + "".join(rules)) as proxy:
        proxy.ready()

        def search(index, size=18, start=0, explain="true", **more):
            query = {"bool": {"must": [{"match_all": {}}], "should": [{"match": {"text": QUERY}}]}}
            body = {"query": query, "size": size, "from": start, **more}
            answer = send(proxy.url, "POST", f"/{index}/_search", body, {"X-Rerank-Explain": explain})
            said = answers.rerank_header(answer)
            assert (said["outcome"], said["scored"]) == ("applied", len(DOCUMENTS)), said
            return answer.json()["hits"]["hits"]

        yield search
    send(cluster.engine, "DELETE", "/diversity")


def ids(hits: list) -> list:
    return [hit["_id"] for hit in hits]


def moved(hits: list) -> list:
    return [hit["fields"]["_rerank"][0].get("moved") for hit in hits]


def sentences(hits: list) -> list:
    return [hit["_id"][0] for hit in hits]


def assert_whole(hits: list) -> None:
    assert sorted(ids(hits)) == sorted(DOCUMENTS)
    scores = [hit["_score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)


def pages(search, index, size, **more) -> list:
    return [hit for start in range(0, len(DOCUMENTS), size) for hit in search(index, size, start, **more)]


def test_near_duplicates_go_behind_what_is_not_said_yet(search):
    plain, apart = search("wolves-plain"), search("wolves-apart")
    assert_whole(plain)
    assert_whole(apart)
    assert len(set(sentences(plain)[:6])) < 6, "by the model alone, the same sentence comes several times"
    first_said = list(dict.fromkeys(sentences(plain)))
    assert sentences(apart)[: len(SENTENCES)] == first_said
    assert moved(apart) == [None] * 6 + ["duplicate"] * 12
    assert pages(search, "wolves-apart", 5) == apart


def test_a_small_lambda_brings_other_sentences_forward(search):
    plain, new = search("wolves-plain"), search("wolves-new")
    assert_whole(new)
    assert ids(new)[0] == ids(plain)[0]
    assert len(set(sentences(new)[:4])) > len(set(sentences(plain)[:4]))
    assert "diversity" in moved(new)
    assert pages(search, "wolves-new", 4) == new


@pytest.mark.parametrize("source", [True, False, ["text"]], ids=["shown", "no source", "in part"])
def test_a_maker_has_its_places_on_a_page(search, source):
    found = pages(search, "wolves-makers", 6, _source=source)
    assert_whole(found)
    for start in range(0, 18, 6):
        makers = [hit["_id"][1] for hit in found[start : start + 6]]
        assert sorted(makers) == ["a", "a", "b", "b", "c", "c"], ids(found)
    assert set(moved(found)) <= {None, "field"}
    bare = search("wolves-makers", 6, explain="false", _source=source)
    assert ids(bare) == ids(found)[:6]
    for hit in bare:
        assert "fields" not in hit
        shown = {True: {"text", "maker"}, False: set()}.get(source if isinstance(source, bool) else None, {"text"})
        assert set(hit.get("_source", {})) == shown
