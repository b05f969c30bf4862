"""What the tests search on Solr: the collections, filled with the documents that the others have, and how to make and
remove them. The proxy's rules for them are `data.py`'s: the names are the same."""

import io
import json
import zipfile
from urllib.parse import urlencode

from data import ALIASES, documents
from proxy import REPOSITORY
from wire import send

CONFIGSETS = ("plain", "elevating", "opinionated")
CONFIGSETS_AT = REPOSITORY / "tests" / "engines" / "solr"

# What JSON and a reader of bytes may stumble over.
ODD = [
    {"title": 'A "quoted" title \\ with a backslash', "text": 'He said: {"docs":[{"score":1.5}]} and went to the water'},
    {"title": "Grüße aus Köln 東京 🚰", "text": "Wasser, water, \u2028 l'eau\tand\r\nmore </script>"},
    {"title": "", "text": "water", "number": -2147483648},
    {"title": "No text at all about the water"},
    {"text": "Only text about the water", "flag_b": True, "tags_ss": ["a", "", "], }"]},
    {"text": "the water in response", "score_s": "9", "docs_ss": ["x"], "response_s": "{", "_rerank_s": "mine"},
    {"title": "many", "lines_txt": ["the first water", "the second water"], "text": "water " * 400},
    {"title": "water", "when_dt": "1999-12-31T23:59:59.999Z"},
]


def wipe(url: str) -> None:
    """Removes all collections, aliases and configsets."""
    for alias in _admin(url, "collections", action="LISTALIASES")["aliases"]:
        _admin(url, "collections", action="DELETEALIAS", name=alias)
    for collection in _admin(url, "collections", action="LIST")["collections"]:
        _admin(url, "collections", action="DELETE", name=collection)
    for configset in set(_admin(url, "configs", action="LIST")["configSets"]) & set(CONFIGSETS):
        _admin(url, "configs", action="DELETE", name=configset)


def load(url: str) -> None:
    """Fills an empty Solr. Deterministic: ids and order fixed, one segment."""
    for configset in CONFIGSETS:
        _upload(url, configset)
    everything = [_document(document) for document in documents()]
    for collection, content, options in (
        ("passages", everything, {}),
        ("passages-more", [document | {"id": f"m{document['number']}"} for document in everything[:30]], {}),
        ("passages-sharded", everything, {"numShards": 2}),
        ("passages-elevated", everything, {"collection.configName": "elevating"}),
        ("passages-opinionated", everything, {"collection.configName": "opinionated"}),
        ("passages-odd", [{"id": f"odd/{place} &\"é\"", **document} for place, document in enumerate(ODD)], {}),
        ("passages-nested", [_with_notes(document) for document in everything[:30]], {}),
        ("single", everything[:1], {}),
        ("empty", [], {}),
        ("scratch-edited", [], {}),
        ("scratch", [], {}),  # what is written and deleted leaves traces in the scores
    ):
        create = {"name": collection, "numShards": 1, "collection.configName": "plain", "waitForFinalState": "true"}
        _admin(url, "collections", action="CREATE", **create | options)
        if content:
            _ask(url, "POST", f"/solr/{collection}/update?commit=true&optimize=true&maxSegments=1", content)
    for alias in ALIASES:
        _admin(url, "collections", action="CREATEALIAS", name=alias, collections="passages")
    _admin(url, "collections", action="CREATEALIAS", name="passages-both", collections="passages,passages-more")


def _document(document: dict) -> dict:
    number = document["number"]
    angle = [1.0, number / 120, number % 7 / 7, number % 3 / 3]
    kept = {key: document[key] for key in ("number", "parity", "domain", "title", "text")}
    return {"id": f"d{number}", **kept, "day": f"2026-01-{number % 28 + 1:02}T00:00:00Z", "vector": angle}


def _with_notes(document: dict) -> dict:
    """The document with two children, which have ids of their own."""
    notes = [document["title"], document["text"][:80]]
    children = [{"id": f"{document['id']}-{place}", "note_t": note} for place, note in enumerate(notes)]
    return {**document, "kind_s": "passage", "notes": children}


def _upload(url: str, configset: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in [CONFIGSETS_AT / "managed-schema.xml", *(CONFIGSETS_AT / configset).iterdir()]:
            archive.write(file, file.name)
    headers = {"Content-Type": "application/octet-stream"}
    _ask(url, "POST", f"/solr/admin/configs?action=UPLOAD&name={configset}", packed.getvalue(), headers)


def _admin(url: str, what: str, **parameters) -> dict:
    return _ask(url, "GET", f"/solr/admin/{what}?{urlencode(parameters)}").json()


def _ask(url, method, path, body=None, headers=None):
    answer = send(url, method, path, body, headers)
    assert answer.status < 300, f"{method} {path}: {answer.status} {answer.text[:500]}"
    return answer
