"""A document that answers the question only at its end, far beyond what the model reads at once."""

import json

import pytest
from conftest import DIRECT
from data import CORPUS, MAPPING, MODEL
from kinds import NEWEST

import answers
import proxy as proxy_control
from wire import send

pytestmark = [pytest.mark.skipif(DIRECT, reason="needs a proxy"), pytest.mark.engines(*NEWEST)]

QUERY = "legs jolt just as i'm dozing off"
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
index = ["{index}"]
model = "default"
fields = ["title", "text"]
budget = "60s"
long_passages = {{ {long} }}
"""
RULES = {
    "long-truncated": 'method = "truncate"',
    "long-one": 'method = "windows", max_windows = 1',
    "long-windows": 'method = "windows", overlap = 32, max_windows = 16',
}


def documents() -> dict:
    """Short documents by id, and one that is 20 of another subject in one, before the answer."""
    passages = [json.loads(line) for line in CORPUS.read_text().splitlines() if line.strip()]
    answer = next(passage for passage in passages if passage["title"] == "Hypnic jerks")
    other = [passage for passage in passages if passage["domain"] == "cooking"]
    filler = " ".join(passage["text"] for passage in other[:20])
    short = [passage for passage in passages if passage["domain"] == answer["domain"] and passage is not answer]
    found = {passage["id"]: {"title": passage["title"], "text": passage["text"]} for passage in short[:20]}
    return {**found, "long": {"title": "Everything", "text": f"{filler} {answer['text']}"}}


@pytest.fixture
def search(cluster):
    """Searches the documents through a proxy, under one of the rules."""
    send(cluster.engine, "DELETE", "/long-passages")
    aliases = {name: {} for name in RULES}
    assert send(cluster.engine, "PUT", "/long-passages", {**MAPPING, "aliases": aliases}).status == 200
    for name, document in documents().items():
        created = send(cluster.engine, "PUT", f"/long-passages/_doc/{name}?refresh=true", document)
        assert created.status == 201, created.text
    rules = [RULE.format(index=index, long=long) for index, long in RULES.items()]
    with proxy_control.start(CONFIG.format(upstream=cluster.engine, model=MODEL) + "".join(rules)) as proxy:
        proxy.ready()

        def search(index, explain="highlight"):
            query = {"bool": {"must": [{"match_all": {}}], "should": [{"match": {"text": QUERY}}]}}
            path, headers = f"/{index}/_search", {"X-Rerank-Explain": explain}
            answer = send(proxy.url, "POST", path, {"query": query, "size": 30}, headers)
            return answers.rerank_header(answer), answer.json()["hits"]["hits"]

        yield search
    send(cluster.engine, "DELETE", "/long-passages")


def place(hits: list) -> int:
    return [hit["_id"] for hit in hits].index("long")


def test_what_is_far_down_a_long_document_counts_where_it_is_read_in_windows(search):
    said, hits = search("long-truncated")
    assert (said["outcome"], said["scored"], said["truncated"]) == ("applied", 21, 1), said
    assert place(hits) > 3, "its beginning is about something else"
    note = hits[place(hits)]["fields"]["_rerank"][0]
    assert note["truncated"] is True and "window" not in note

    said, hits = search("long-windows")
    assert (said["scored"], said["budget-hit"], said.get("truncated")) == (21, False, None), said
    assert place(hits) == 0
    note, highlight = hits[0]["fields"]["_rerank"][0], hits[0]["highlight"]["_rerank"][0]
    window, passage = note["window"], note["passage"]
    assert note["truncated"] is False
    assert highlight == passage[window["start"] : window["end"]] and len(highlight) < len(passage) / 2
    assert passage.endswith(highlight), "the window with the answer"
    assert all("window" not in hit["fields"]["_rerank"][0] for hit in hits[1:]), "the others fit"
    assert search("long-windows")[0]["cached"] == 21


def test_one_window_reads_what_truncation_leaves(search):
    _, truncated = search("long-truncated")
    said, hits = search("long-one")
    assert said["truncated"] == 1
    assert [(hit["_id"], hit["_score"]) for hit in hits] == [(hit["_id"], hit["_score"]) for hit in truncated]
    assert hits[place(hits)]["fields"]["_rerank"][0]["window"]["start"] == 0
