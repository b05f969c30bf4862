"""Runs every request of `tests/scenarios/` against a real engine directly and through the proxy, and compares.

A file is for Elasticsearch and OpenSearch; one that begins with `family: solr` and a line `---` is for Solr.

A scenario: `name`, `request` (method, path, headers, body), `expect`, and optionally

- `engines`: kinds or flavours, when not all know the request;
- `before`: requests to the engine that make the ground even before each of the two runs;
- `mask`: regular expressions for what changes from one call to the next by itself;
- `direct`: what of the request is different when the engine is asked, which does not know the proxy's own syntax;
- `whole`: what of the request is different when the whole window is asked for, `from` 0, where `?from=…&size=…` on the
  request itself would not do;
- `reprinted: true`, where an engine prints `_source` in other ways: anew when it filters an answer, in another order of
  keys when it is asked for `fields` beside a part of the source. Hits are then compared as JSON;
- `pit`: an index expression; a point in time is opened on it through the proxy, and its id put in place of `{pit}`.

A body that is a mapping is sent as JSON, a list as newline-delimited JSON, text and bytes (`!!binary`) as they stand;
with `gzip: true` in the request it is compressed. What `expect` may say:

- `identical`: not a search. Same status, headers and bytes, nothing added.
- `skipped: REASON` (or a list of reasons): the same, and `X-Rerank` names the reason.
- `reranked`: the hits of the window in a new order, as docs/searches.md has it, and all else as the
  cluster has it. What `filter_path` leaves of a hit is what the cluster would leave of it. As a mapping it may say more,
  `reranked: {by: TEXT, window: N, pinned: N}`: the text that the passages were scored against, a window that is not the
  rule's, and how many hits stay in front because the cluster put them there.
- `reordered`: the same, but the cluster's own scores stay (`score = "original"`).
- `explained`: the same as `reranked`, but each hit has `fields._rerank` (Solr: `_rerank`), which is right about ranks and
  scores.
- `rejected: STATUS, error: TYPE` (or a list of types): the proxy's own answer, in the shape of the engine's errors.
  Solr's have no type, but a code.
- a list: for `_msearch`, what each of its answers must come to: `reranked`, `reordered`, `skipped: REASON`, or `error`
  (the cluster's own, in its place). `X-Rerank` is a list then, an item for each.
"""

import json

import pytest
import yaml
from checks import (
    check_explained,
    check_harness,
    check_identical,
    check_msearch,
    check_rejected,
    check_reranked,
    check_skipped,
    framing,
)
from conftest import DIRECT
from kinds import named
from proxy import REPOSITORY
from searches import Search, ask
from solr_searches import SolrSearch

import answers

FOLDER = REPOSITORY / "tests" / "scenarios"
KEYS = {"name", "request", "expect", "before", "engines", "mask", "direct", "whole", "pit", "reprinted"}
OPEN_PIT = {"elasticsearch": "/{}/_pit?keep_alive=1m", "opensearch": "/{}/_search/point_in_time?keep_alive=1m"}


def _scenarios():
    for path in sorted(FOLDER.glob("*.yaml")):
        *head, scenarios = yaml.safe_load_all(path.read_text())
        family = head[0]["family"] if head else "elastic"
        for scenario in scenarios:
            unknown = set(scenario) - KEYS
            assert not unknown, f"{path.name}: {scenario.get('name')}: unknown keys {unknown}"
            for kind in named(*scenario.get("engines", [family])):
                yield pytest.param(kind, scenario, id=f"{path.stem}: {scenario['name']} [{kind}]")


@pytest.mark.parametrize("cluster, scenario", list(_scenarios()), indirect=["cluster"])
def test_through_the_proxy(cluster, scenario):
    expect, mask = scenario["expect"], scenario.get("mask", [])
    if "pit" in scenario:
        scenario = _with_pit(cluster, scenario)
    search = (SolrSearch if cluster.flavour == "solr" else Search)(scenario)

    def run(url, request):
        for step in scenario.get("before", []):
            ask(cluster.engine, step)
        return ask(url, request)

    if DIRECT:
        if "rejected" not in expect:
            direct, again = (run(cluster.engine, search.direct) for _ in range(2))
            check_harness(cluster, search, direct, again, expect, mask)
        return
    if "rejected" in expect:
        return check_rejected(run(cluster.proxy, search.request), expect["rejected"], expect["error"])
    direct, through = run(cluster.engine, search.direct), run(cluster.proxy, search.request)
    if isinstance(expect, list):
        return check_msearch(cluster, search, direct, through, expect, mask)
    header = answers.rerank_header(through)
    if expect == "identical":
        check_identical(direct, through, mask)
        # Streamed as it came. An answer to a search was buffered, and has a length even if it came in chunks.
        assert framing(through) == framing(direct)
        assert not header and through.header("server-timing") is None, "nothing is added to what is no search"
    elif "skipped" in expect:
        check_identical(direct, through, mask)
        check_skipped(header, expect["skipped"])
    elif expect == "explained":
        check_explained(cluster, search, direct, through)
    else:
        check_reranked(cluster, search, direct, through, expect, mask)


def _with_pit(cluster, scenario):
    """The scenario with a point in time opened."""
    opened = ask(cluster.proxy, {"method": "POST", "path": OPEN_PIT[cluster.flavour].format(scenario["pit"])})
    assert opened.status == 200, opened.text[:500]
    pit = opened.json().get("id") or opened.json()["pit_id"]
    return json.loads(json.dumps(scenario).replace("{pit}", pit))
