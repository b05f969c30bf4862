"""Runs every request of `tests/scenarios/` against a real engine directly and through the proxy, and compares.

A scenario: `name`, `request` (method, path, headers, body), `expect`, and optionally `before` (requests that make the
ground even before each of the two runs), `engines` (kinds or flavours, when not
all know the request), `mask` (regular
expressions for what changes from one call to the next by itself). A body that is a mapping is sent as JSON, a list as
newline-delimited JSON, text as it stands. What `expect` may say:

- `identical`: not a search. Same status, headers and bytes, nothing added.
- `skipped: REASON` (or a list of reasons): the same, and `X-Rerank` names the reason.
- `reranked`: the hits of the window in a new order, as DESIGN's "window, page, scores" has it.
- `reordered`: the same, but the cluster's own scores stay (`score = "original"`).
"""

import json
import re
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from conftest import DIRECT
from data import window_of
from kinds import KINDS, named
from proxy import REPOSITORY

import answers
from wire import HOP_BY_HOP, send

FOLDER = REPOSITORY / "tests" / "scenarios"


def _scenarios():
    for path in sorted(FOLDER.glob("*.yaml")):
        for scenario in yaml.safe_load(path.read_text()):
            unknown = set(scenario) - {"name", "request", "expect", "before", "engines", "mask"}
            assert not unknown, f"{path.name}: {scenario.get('name')}: unknown keys {unknown}"
            for kind in named(*scenario.get("engines", KINDS)):
                yield pytest.param(kind, scenario, id=f"{path.stem}: {scenario['name']} [{kind}]")


def ask(url, request):
    """Sends a scenario's request."""
    body, headers = request.get("body"), dict(request.get("headers", {}))
    if isinstance(body, list):
        body = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in body)
        headers.setdefault("Content-Type", "application/x-ndjson")
    if isinstance(body, str):
        headers.setdefault("Content-Type", "application/json")
    return send(url, request.get("method", "GET"), request["path"], body, headers)


def essential_headers(answer):
    """The headers that must be the same, in their order: all but the hop-by-hop ones, the proxy's own, and the length,
    which is one more where `took` has a digit more (`framing` looks at whether there is one)."""
    apart = HOP_BY_HOP | {"x-rerank", "server-timing", "content-length"}
    return [(name.lower(), value) for name, value in answer.headers if name.lower() not in apart]


def framing(answer):
    """How the client is told where the answer ends; "chunked" at the end of no body says nothing (RFC 9112, 6.1)."""
    names = ("content-length", "transfer-encoding") if answer.body else ("content-length",)
    return {name for name in names if answer.header(name) is not None}


def masked(answer, patterns):
    body = answers.normalised(answer.plain_body)
    for pattern in patterns:
        body = re.sub(pattern.encode(), b"*", body)
    return body


@pytest.mark.parametrize("cluster, scenario", list(_scenarios()), indirect=["cluster"])
def test_through_the_proxy(cluster, scenario):
    expect = scenario["expect"]

    def run(url):
        for step in scenario.get("before", []):
            ask(cluster.engine, step)
        return ask(url, scenario["request"])

    direct, through = run(cluster.engine), run(cluster.proxy)
    if DIRECT and expect != "identical":
        return check_harness(direct, through, scenario)
    if expect in ("reranked", "reordered"):
        return check_reranked(cluster, scenario["request"], direct, through, keeps_scores=expect == "reordered")
    check_identical(direct, through, scenario.get("mask", []))
    header = answers.rerank_header(through)
    if expect == "identical":
        # Streamed as it came. An answer to a search was buffered, and has a length even if it came in chunks.
        assert framing(through) == framing(direct)
        assert not header and through.header("server-timing") is None, "nothing is added to what is no search"
    else:
        reasons = expect["skipped"]
        assert header.get("outcome") == "skipped", header
        assert header.get("reason") in ([reasons] if isinstance(reasons, str) else reasons), header


def check_identical(direct, through, mask):
    assert (through.status, through.reason) == (direct.status, direct.reason), through.text[:500]
    assert essential_headers(through) == essential_headers(direct)
    assert masked(through, mask) == masked(direct, mask)


def check_reranked(cluster, request, direct, through, keeps_scores):
    assert direct.status == through.status == 200, through.text[:500]
    header = answers.rerank_header(through)
    assert header.get("outcome") == "applied", header
    # What is to be reranked is asked for uncompressed, whatever the client would take.
    assert essential_headers(through) == [pair for pair in essential_headers(direct) if pair != ("content-encoding", "gzip")]

    start, size, window = page_of(request)
    deep = with_page(request, 0, max(window, start + size))
    cluster_order = answers.page(ask(cluster.engine, deep).text).hits
    deep_page = answers.page(ask(cluster.proxy, deep).text)
    new_order = deep_page.hits

    masks = [hit.masked for hit in cluster_order]
    assert sorted(hit.masked for hit in new_order[:window]) == sorted(masks[:window]), "the window is a permutation"
    assert [hit.masked for hit in new_order[window:]] == masks[window:], "past the window the cluster's order stands"

    page = answers.page(through.text)
    assert [hit.raw for hit in page.hits] == [hit.raw for hit in new_order[start : start + size]], "a page is a slice"
    assert len(page.hits) == len(answers.page(direct.text).hits)
    assert page.frame == answers.page(direct.text).frame, "around the hits nothing changes"

    assert header["scored"] == min(window, len(cluster_order)), header
    assert header["budget-hit"] is False, header
    scores = [hit.score for hit in new_order]
    if keeps_scores:
        own = {hit.key: hit.score for hit in cluster_order}
        assert scores == [own[hit.key] for hit in new_order]
    else:
        assert all(before >= after for before, after in zip(scores, scores[1:])), scores
        assert page.max_score == deep_page.max_score == scores[0]


def check_harness(direct, through, scenario):
    """Without a proxy: the scenario itself holds water."""
    check_identical(direct, through, scenario.get("mask", []))
    if scenario["expect"] in ("reranked", "reordered"):
        assert direct.status == 200, direct.text[:500]
        assert answers.page(direct.text).max_score is not None or page_of(scenario["request"])[0] > 0


def page_of(request):
    """(from, size, window) of a search: the URL wins over the body."""
    split = urlsplit(request["path"])
    said = {"from": 0, "size": 10}
    if isinstance(request.get("body"), dict):
        said |= {key: value for key, value in request["body"].items() if key in said}
    said |= {key: value for key, value in parse_qsl(split.query) if key in said}
    return int(said["from"]), int(said["size"]), window_of(split.path.strip("/").split("/")[0])


def with_page(request, start, size):
    """The same search, asking for another page."""
    path, _, query = request["path"].partition("?")
    kept = [pair for pair in query.split("&") if pair and pair.split("=")[0] not in ("from", "size")]
    return {**request, "path": f"{path}?{'&'.join([*kept, f'from={start}', f'size={size}'])}"}
