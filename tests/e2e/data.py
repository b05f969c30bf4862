"""What the tests search: the documents, the indices of Elasticsearch and OpenSearch, and the proxy's rules for them."""

import json

from proxy import REPOSITORY
from wire import send

WINDOW = 50
SMALL_WINDOW = 5
MODEL = REPOSITORY / "fixtures" / "models" / "all-MiniLM-L6-v2"
CORPUS = REPOSITORY / "fixtures" / "corpus" / "passages.jsonl"

# One index under many names, so that one rule each can be told by the name.
ALIASES = ["linear", "rrf", "original", "shadow", "off", "unruled", "narrow", "fieldless", "searched", "first-wins"]

# A query in everyday words: it finds most documents, whatever the corpus is about.
COMMON = "how do I keep the water in a small house warm and clean"

MAPPING = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0},
    "mappings": {
        "dynamic": "strict",
        "properties": {
            "number": {"type": "integer"},
            "parity": {"type": "keyword"},
            "domain": {"type": "keyword"},
            "title": {"type": "text"},
            "text": {"type": "text"},
            "notes": {"type": "nested", "properties": {"note": {"type": "text"}}},
        },
    },
}

ENGINE = {"elastic": "", "solr": 'engine = "solr"'}

CONFIG = """\
[server]
listen = "127.0.0.1:0"

[upstream]
url = "{upstream}"
{engine}

[models.default]
path = "{model}"

[[rules]]
index = ["narrow"]
model = "default"
fields = ["title", "text"]
window = {small_window}
budget = "{budget}"

[[rules]]
index = ["linear"]
model = "default"
fields = ["title", "text"]
window = {window}
budget = "{budget}"
blend = {{ method = "linear", weight = 0.5 }}

[[rules]]
index = ["rrf"]
model = "default"
fields = ["title", "text"]
window = {window}
budget = "{budget}"
blend = {{ method = "rrf" }}

[[rules]]
index = ["original"]
model = "default"
fields = ["title", "text"]
window = {window}
budget = "{budget}"
score = "original"

[[rules]]
index = ["shadow"]
model = "default"
fields = ["title", "text"]
window = {window}
budget = "{budget}"
mode = "shadow"

[[rules]]
index = ["off", "first-*"]
model = "default"
mode = "off"

[[rules]]
index = ["searched"]
model = "default"
window = {window}
budget = "{budget}"

[[rules]]
index = ["fieldless"]
model = "default"
fields = ["absent"]
window = {window}
budget = "{budget}"

[[rules]]
index = [
    "passages", "passages-*", "first-wins", "many-*", "single", "empty", "big", "grüße", "missing", "scratch*",
    "extra-*", "logs-*",
]
model = "default"
fields = ["title", "text"]
window = {window}
budget = "{budget}"
"""


def config(upstream: str, family: str = "elastic", budget: str = "60s", model=MODEL) -> str:
    """The proxy's configuration for these indices, on engines of this family."""
    return CONFIG.format(
        upstream=upstream, engine=ENGINE[family], budget=budget, model=model, window=WINDOW, small_window=SMALL_WINDOW
    )


def window_of(indices: str) -> int:
    """The window of the rule for an index expression."""
    return SMALL_WINDOW if indices == "narrow" else WINDOW


def documents() -> list:
    """120 passages, spread over the bundled corpus."""
    passages = [json.loads(line) for line in CORPUS.read_text().splitlines() if line.strip()]
    step = max(1, len(passages) // 120)
    return [
        {
            "number": number,
            "parity": "odd" if number % 2 else "even",
            "domain": passage["domain"],
            "title": passage["title"],
            "text": passage["text"],
            "notes": [{"note": passage["title"]}, {"note": passage["text"][:80]}],
        }
        for number, passage in enumerate(passages[::step][:120])
    ]


def wipe(url: str) -> None:
    """Removes all indices."""
    for line in send(url, "GET", "/_cat/indices?format=json").json():
        send(url, "DELETE", "/" + "".join(f"%{byte:02X}" for byte in line["index"].encode()))


def load(url: str) -> None:
    """Fills an empty engine. Deterministic: one shard, one segment, ids and order fixed."""

    def ask(method, path, body=None, headers=None):
        answer = send(url, method, path, body, headers)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.text[:500]}"
        return answer

    everything = documents()
    for index, content in (
        ("passages", everything),
        ("passages-more", everything[:30]),
        ("single", everything[:1]),
        ("bystander", everything[:4]),  # under no rule
        ("gr%C3%BC%C3%9Fe", [{**everything[3], "title": "Grüße aus Köln 東京"}, everything[4], everything[5]]),
    ):
        ask("PUT", f"/{index}", MAPPING)
        lines = []
        for document in content:
            lines += [json.dumps({"index": {"_id": f"d{document['number']}"}}), json.dumps(document)]
        body = "\n".join(lines) + "\n"
        answer = ask("POST", f"/{index}/_bulk?refresh=true", body, {"Content-Type": "application/x-ndjson"})
        assert not answer.json()["errors"], answer.text[:500]
        ask("POST", f"/{index}/_forcemerge?max_num_segments=1")
    ask("PUT", "/empty", MAPPING)
    actions = [{"add": {"index": "passages", "alias": alias}} for alias in ALIASES]
    odd = {"index": "passages", "alias": "extra-odd", "filter": {"term": {"parity": "odd"}}}
    ask("POST", "/_aliases", {"actions": [*actions, {"add": odd}]})
    ask("GET", "/_cluster/health?wait_for_status=green&wait_for_no_initializing_shards=true&timeout=30s")
