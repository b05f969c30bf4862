"""What must hold between the engine's answer and the proxy's: one function for each thing that a scenario may expect."""

import json
import re

from searches import Search, ask, msearch_parts

import answers
from wire import HOP_BY_HOP


def essential_headers(answer):
    """The headers that must be the same, in their order: all but the hop-by-hop ones, the proxy's own, and the length,
    which is one more where `took` has a digit more (`framing` looks at whether there is one). Of what
    tells the time, that it is there."""
    apart = HOP_BY_HOP | {"x-rerank", "server-timing", "content-length"}
    headers = [(name.lower(), value) for name, value in answer.headers]
    times = ("date", "last-modified", "etag")
    return [(name, "*" if name in times else value) for name, value in headers if name not in apart]


def framing(answer):
    """How the client is told where the answer ends; "chunked" at the end of no body says nothing (RFC 9112, 6.1)."""
    names = ("content-length", "transfer-encoding") if answer.body else ("content-length",)
    return {name for name in names if answer.header(name) is not None}


def masked(text, patterns):
    for pattern in patterns:
        text = re.sub(pattern, "*", text)
    return text


def check_same_head(direct, through, rewritten=False):
    """Where the proxy compresses what it has rewritten, the header that says so comes last."""
    assert (through.status, through.reason) == (direct.status, direct.reason), through.text[:500]
    own, new = essential_headers(direct), essential_headers(through)
    assert (sorted(new) == sorted(own)) if rewritten else (new == own)


def check_identical(direct, through, mask):
    check_same_head(direct, through)
    bodies = [answers.normalised(answer.plain_body).decode("utf-8", "surrogateescape") for answer in (direct, through)]
    assert masked(bodies[1], mask) == masked(bodies[0], mask)


def check_skipped(header, reasons):
    assert header.get("outcome") == "skipped", header
    assert header.get("reason") in ([reasons] if isinstance(reasons, str) else reasons), header


def check_rejected(through, status, types):
    """In the shape of Elasticsearch's errors, or of Solr's, which have no types: `types` is its code."""
    assert through.status == status, through.text[:500]
    assert through.header("content-type").startswith("application/json")
    answer = through.json()
    if "responseHeader" in answer:
        assert answer["responseHeader"]["status"] == answer["error"]["code"] == types == status, answer
        assert answer["error"]["msg"]
        return
    assert answer["status"] == status
    assert answer["error"]["type"] in ([types] if isinstance(types, str) else types), answer
    assert answer["error"]["reason"] and answer["error"]["root_cause"][0].keys() >= {"type", "reason"}


def check_reranked(cluster, search, direct, through, expect, mask):
    assert direct.status == 200, direct.text[:500]
    check_same_head(direct, through, rewritten=True)
    header = answers.rerank_header(through)
    check_reranked_text(cluster, search, direct.text, through.text, header, expect, mask)


def check_reranked_text(cluster, search, direct, through, header, expect, mask):
    """`direct` and `through`: the answer to one search, from the engine and the proxy."""
    said = expect["reranked"] if isinstance(expect, dict) else {}
    window, pinned = said.get("window", search.window), said.get("pinned", 0)
    assert header.get("outcome") == "applied", header
    assert header["budget-hit"] is False, header

    far = max(window, search.start + search.size)
    own_whole = answers.page(ask(cluster.engine, search.whole(far, of="direct")).text)
    cluster_order = own_whole.hits
    whole = answers.page(ask(cluster.proxy, search.whole(far)).text)
    new_order = whole.hits
    own_texts, texts = ([masked(search.text(hit), mask) for hit in hits] for hits in (cluster_order, new_order))
    assert sorted(texts[:window]) == sorted(own_texts[:window]), "the window is a permutation"
    assert texts[window:] == own_texts[window:], "past the window the cluster's order stands"
    assert texts[:pinned] == own_texts[:pinned], "what was put in front stays there"
    in_window = min(window, len(cluster_order))
    assert (header["window"], header["scored"]) == (in_window, in_window - pinned), header

    own, page = answers.page(direct), answers.page(through)
    part = new_order[search.start : search.start + search.size]
    if search.filtered:
        check_filtered(cluster, search, page, part, cluster_order, far)
    else:
        assert [hit.raw for hit in page.hits] == [hit.raw for hit in part], "a page is a slice"
    assert len(page.hits) == len(own.hits)
    assert masked(page.frame, mask) == masked(own.frame, mask), "around the hits nothing changes"
    assert page.echo == own.echo, "Solr repeats what the client asked for"
    check_by_document(page, own_whole)

    scores = [hit.score for hit in new_order]
    if expect == "reordered" and None not in scores:
        own_scores = {hit.key: hit.score for hit in cluster_order}
        assert scores == [own_scores[hit.key] for hit in new_order]
    elif scores and None in scores:  # Solr shows them only when it is asked to, and under names of the client's own
        assert not any(scores)
        assert (page.max_score is None) == (own.max_score is None)
    else:
        assert all(before >= after for before, after in zip(scores, scores[1:])), scores
        # Where the cluster gives none (Elasticsearch 7 with collapse), there is none.
        assert whole.max_score == (None if own_whole.max_score is None else scores[0])
        assert page.max_score == (None if own.max_score is None else scores[0])
    if "by" in said:
        check_scored_by(cluster, search, said["by"], min(window, len(new_order)), pinned)


def check_by_document(page, own_whole):
    """What Solr tells beside the hits, document by document, is told of the documents of this page."""
    assert page.by_document.keys() == own_whole.by_document.keys()
    for name, entries in page.by_document.items():
        own = dict(own_whole.by_document[name])
        ids = [hit.key[1] for hit in page.hits]
        if None in ids:  # they are not shown
            ids = [key for key, _ in entries]
            assert len(ids) == len(page.hits), name
        assert entries == [(key, own[key]) for key in ids if key in own], name


def check_filtered(cluster, search, page, part, cluster_order, far):
    """What `filter_path` leaves of each hit is what the engine leaves of it, in the new order."""
    left = answers.page(ask(cluster.engine, search.whole_filtered(far)).text).hits
    if not left:  # of no hit
        assert not page.hits
        return
    left_of = {hit.key: filtered for hit, filtered in zip(cluster_order, left, strict=True)}
    assert [search.text(hit) for hit in page.hits] == [search.text(left_of[hit.key]) for hit in part]
    shown = [left_of[hit.key].score is not None for hit in part]
    assert [hit.score for hit in page.hits] == [hit.score if shows else None for hit, shows in zip(part, shown)]


def check_scored_by(cluster, search, text, window, pinned):
    """The scores are those that the same passages get in a search for this text."""
    hits = answers.page(ask(cluster.proxy, search.scored(window)).text).hits[pinned:]
    found = ask(cluster.proxy, search.scored_by(text, [hit.key[1] for hit in hits]))
    scores = {hit.key: hit.score for hit in answers.page(found.text).hits}
    assert {hit.key: hit.score for hit in hits} == scores


def check_explained(cluster, search, direct, through):
    assert direct.status == 200, direct.text[:500]
    check_same_head(direct, through)
    assert answers.rerank_header(through).get("outcome") == "applied"
    far = max(search.window, search.start + search.size)
    cluster_order = answers.page(ask(cluster.engine, search.whole(far, of="direct")).text).hits
    by_key = {hit.key: (rank, hit) for rank, hit in enumerate(cluster_order)}
    hits = answers.page(through.text).hits
    assert len(hits) == len(answers.page(direct.text).hits)
    contents = [json.loads(hit.raw) for hit in hits]
    if cluster.flavour == "solr":
        explained = [content.pop("_rerank") for content in contents]
    else:
        explained = [content["fields"].pop("_rerank") for content in contents]
        assert all(isinstance(entries, list) and len(entries) == 1 for entries in explained), "typed clients want an array"
        explained = [entries[0] for entries in explained]
    first = explained[0]["rank"]["after"] - search.start  # ranks are counted from this
    assert first in (0, 1)
    for place, (hit, content, entry) in enumerate(zip(hits, contents, explained)):
        rank, own = by_key[hit.key]
        assert entry["rank"] == {"before": first + rank, "after": first + search.start + place}
        assert entry["score"]["before"] == own.score
        assert entry["score"]["after"] == hit.score
        own_content = json.loads(own.raw)
        if content.get("fields") == {} and "fields" not in own_content:
            del content["fields"]
        score = "score" if cluster.flavour == "solr" else "_score"
        assert {**content, score: 0} == {**own_content, score: 0}, "nothing else is added to a hit"


def check_msearch(cluster, search, direct, through, expect, mask):
    check_same_head(direct, through)
    (own_frame, own), (frame, parts) = (answers.responses(answer.text) for answer in (direct, through))
    assert frame == own_frame, "around the answers nothing changes"
    headers = answers.rerank_headers(through)
    assert len(own) == len(parts) == len(headers) == len(expect), headers
    for asked, own_text, text, header, expected in zip(msearch_parts(search.request), own, parts, headers, expect):
        if expected == "error":
            expected = {"skipped": "upstream-error"}
            assert json.loads(own_text)["status"] >= 400, own_text[:500]
        if "skipped" in expected:
            both = [answers.normalised(one.encode()).decode() for one in (text, own_text)]
            assert masked(both[0], mask) == masked(both[1], mask)
            check_skipped(header, expected["skipped"])
        else:
            one = Search({"request": asked})
            check_reranked_text(cluster, one, own_text, text, header, expected, mask)


def check_harness(cluster, search, direct, again, expect, mask):
    """Without a proxy: the scenario itself holds water."""
    check_identical(direct, again, mask)
    if isinstance(expect, list):
        _, parts = answers.responses(direct.text)
        for part, expected in zip(parts, expect, strict=True):
            if "skipped" not in expected:
                assert (json.loads(part)["status"] >= 400) == (expected == "error"), part[:500]
    elif "identical" not in expect and "skipped" not in expect:
        assert direct.status == 200, direct.text[:500]
        far = max(search.window, search.start + search.size)
        whole = answers.page(ask(cluster.engine, search.whole(far, of="direct")).text).hits
        assert len(whole) > 1, "there is something to put in order"
        if search.filtered:
            assert len(answers.page(ask(cluster.engine, search.whole_filtered(far)).text).hits) in (0, len(whole))
        else:
            part = [hit.masked for hit in whole[search.start : search.start + search.size]]
            assert [hit.masked for hit in answers.page(direct.text).hits] == part, "the page is part of the whole"
