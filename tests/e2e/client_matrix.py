"""What the tests of the client matrix have in common: the proxy's configuration, the documents, and when two transcripts of what a client's
user sees are the same. Runs nothing."""

import copy
import json
import os
import re
from pathlib import Path

from data import documents
from wire import send

ALL = os.environ.get("RERANK_CLIENTS") == "all"
RULED, PLAIN = "scratch-clients", "bystander-clients"
INDICES = f"{RULED},{PLAIN},{RULED}-vectors"

CONFIG = """\
[server]
listen = "127.0.0.1:0"
[upstream]
url = "{upstream}"
rewrite_nodes = {rewrite_nodes}
[[rules]]
index = ["scratch-*", "flaky-*", "always-*"]
model = "all-MiniLM-L6-v2"
fields = ["title", "text", "content"]
window = 50
budget = "60s"
[models.all-MiniLM-L6-v2]
name = "all-MiniLM-L6-v2"
"""

# What a run has of its own: times, ids that are drawn, and what they are called.
DRAWN = {"took", "_scroll_id", "pit_id", "index_uuid"}
DRAWN_IN_TEXT = re.compile(r"""(index_uuid\W+)[\w-]{22}|(?<="took":)\d+|(?<= )[\w-]{22}(?=}])""")



def corpus_in(folder: Path) -> Path:
    """The documents, in a file that every driver reads."""
    file, kept = folder / "documents.json", ("number", "title", "text")
    found = [{"id": f"d{document['number']}", "source": {key: document[key] for key in kept}} for document in documents()[:30]]
    file.write_text(json.dumps(found))
    return file


def fill(engine, index, corpus):
    """Makes an index anew, without any client."""
    send(engine, "DELETE", f"/{index}?ignore_unavailable=true")
    lines = []
    for document in json.loads(corpus.read_text()):
        lines += [json.dumps({"index": {"_id": document["id"]}}), json.dumps(document["source"])]
    answer = send(engine, "POST", f"/{index}/_bulk?refresh=true", "\n".join([*lines, ""]), {"Content-Type": "application/x-ndjson"})
    assert not answer.json()["errors"], answer.text


def masked(seen, url):
    """Without what differs from run to run at one and the same server."""
    if isinstance(seen, dict):
        return {key: masked(value, url) for key, value in seen.items() if key not in DRAWN}
    if isinstance(seen, list):
        return [masked(value, url) for value in seen]
    return DRAWN_IN_TEXT.sub(r"\1", seen).replace(url, "URL") if isinstance(seen, str) else seen


def taken_apart(pages):
    """Of the pages of a ruled index: the hits by their ids without scores, their order, and all that is around them."""
    hits, around = [], copy.deepcopy(pages)
    for page in around:
        found = page["hits"].pop("hits")
        page["hits"].pop("max_score", None)
        hits += found
        page["hits"]["how many"] = len(found)
    by_id = {hit["_id"]: {key: hit[key] for key in hit if key != "_score"} for hit in hits}
    return by_id, [hit["_id"] for hit in hits], around


def compare(direct, through):
    """The same steps with the same outcome; the hits of a ruled index in another order."""
    assert list(through) == list(direct)
    ruled = [step for step in direct if step.startswith("ruled ")]
    assert ruled
    for step in ruled:
        theirs, ours = taken_apart(direct[step]), taken_apart(through[step])
        assert ours[0] == theirs[0] and ours[2] == theirs[2], step
        assert len(ours[1]) == len(set(ours[1])), step
        assert ours[1] != theirs[1], f"{step}: not reranked"
    for step in [step for step in direct if step not in ruled]:
        assert through[step] == direct[step], step
