"""Reads a search answer in place, so that tests can compare bytes: where each hit lies, what is around the hits, and
what is left of a text once the numbers that may differ are masked."""

import json
import re
from dataclasses import dataclass

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")


def _skip(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()


def members(text: str, at: int):
    """(key, start, end) of each value of the object that begins at `at`."""
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        start = _skip(text, _skip(text, at) + 1)
        _, end = _DECODER.raw_decode(text, start)
        yield key, start, end
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def elements(text: str, at: int):
    """(start, end) of each element of the array that begins at `at`."""
    at = _skip(text, at + 1)
    while text[at] != "]":
        _, end = _DECODER.raw_decode(text, at)
        yield at, end
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


@dataclass
class Hit:
    """One hit: its bytes as they came, the same with the score masked, and the score."""

    raw: str
    masked: str
    meaning: str  # the same as JSON, whatever the order of keys and the white space
    score: object
    key: tuple


# Of Solr's answer, what has an entry for each document under its id.
BY_DOCUMENT = ("highlighting", "moreLikeThis", "explain")


@dataclass
class Page:
    """A search answer taken apart."""

    hits: list
    frame: str  # everything around the hits; `took` and `max_score`, and what the rest is about, masked
    max_score: object
    by_document: dict  # {name: [(id, the entry's bytes)]}
    echo: list  # the parameters that Solr repeats, sorted: it prints them in the order of a hash table


def page(text: str) -> Page:
    """Takes the answer of a search apart, be it Elasticsearch's, OpenSearch's or Solr's."""
    spans, masks, max_score, by_document, echo = [], [], None, {}, []
    for key, start, end in _values(text):
        if key in ("took", "QTime"):
            masks.append((start, end))
        elif key in ("max_score", "maxScore"):
            masks.append((start, end))
            max_score = json.loads(text[start:end])
        elif key in ("hits", "docs"):
            spans = list(elements(text, start))
        elif key in BY_DOCUMENT:
            masks.append((start, end))
            by_document[key] = [(name, text[begin:stop]) for name, begin, stop in members(text, start)]
        elif key == "params":
            masks.append((start, end))
            echo = sorted((name, text[begin:stop]) for name, begin, stop in members(text, start) if name != "rid")
    hits = [_hit(text[start:end]) for start, end in spans]
    return Page(hits, _masked(text, spans + masks), max_score, by_document, echo)


def _values(text: str):
    """What `page` looks at: (key, start, end) of each value at the top and in the objects that hold more."""
    for key, start, end in members(text, _skip(text, 0)):
        if key in ("hits", "response", "responseHeader", "debug") and text[start] == "{":
            yield from members(text, start)
        else:
            yield key, start, end


def _masked(text: str, ranges: list) -> str:
    """The text with these ranges masked."""
    masked, at = "", 0
    for start, end in sorted(ranges):
        masked += text[at:start] + "*"
        at = end
    return masked + text[at:]


def _hit(raw: str) -> Hit:
    masked, score = raw, None
    for key, start, end in members(raw, 0):
        if key in ("_score", "score"):
            masked, score = raw[:start] + "*" + raw[end:], json.loads(raw[start:end])
    parsed = json.loads(raw)
    meaning = json.dumps({key: value for key, value in parsed.items() if key not in ("_score", "score")}, sort_keys=True)
    return Hit(raw, masked, meaning, score, (parsed.get("_index"), parsed.get("_id", parsed.get("id"))))


def ids(answer) -> list:
    """The ids of the hits, in order."""
    return [hit.key[1] for hit in page(answer.text).hits]


def normalised(body: bytes) -> bytes:
    """The body with the time it took masked."""
    return re.sub(rb'("?(?:took|QTime)"?\s*[:>]\s*)\d+', rb"\g<1>0", body)


def responses(text: str) -> "tuple[str, list[str]]":
    """The answer of an `_msearch` taken apart: what is around the answers, `took` masked, and each answer's text."""
    spans, masks = [], []
    for key, start, end in members(text, _skip(text, 0)):
        if key == "took":
            masks.append((start, end))
        if key == "responses":
            spans = list(elements(text, start))
    return _masked(text, spans + masks), [text[start:end] for start, end in spans]


def rerank_headers(answer) -> "list[dict]":
    """The items of `X-Rerank`, a list of RFC 9651, each as a dict; the leading token is under "outcome"."""
    value = answer.header("x-rerank")
    if value is None:
        return []
    items = []
    for item in re.findall(r'(?:[^,"]|"[^"]*")+', value):
        outcome, *parameters = [part.strip() for part in item.split(";")]
        found = {"outcome": outcome}
        for parameter in parameters:
            key, _, text = parameter.partition("=")
            found[key] = int(text) if text.isdigit() else {"?0": False, "?1": True}.get(text, text.strip('"'))
        items.append(found)
    return items


def rerank_header(answer) -> dict:
    """`X-Rerank` of an answer to one search. Empty when there is no such header."""
    items = rerank_headers(answer)
    assert len(items) < 2, items
    return items[0] if items else {}
