"""The official Python clients, unmodified: pointed at the proxy they see what they see at the cluster."""

import copy

import elasticsearch
import elasticsearch.helpers
import opensearchpy
import opensearchpy.helpers
import pytest
from conftest import DIRECT
from data import COMMON, WINDOW
from kinds import NEWEST

import answers

pytestmark = pytest.mark.engines(*NEWEST)


class ElasticsearchClient:
    """elasticsearch-py: keyword arguments, errors of its own."""

    NotFound, BadRequest = elasticsearch.NotFoundError, elasticsearch.BadRequestError
    Conflict, helpers = elasticsearch.ConflictError, elasticsearch.helpers

    def __init__(self, url):
        self.client = elasticsearch.Elasticsearch(url, request_timeout=60)

    def index(self, index, key, document):
        return self.client.index(index=index, id=key, document=document, refresh=True)

    def create(self, index, key, document):
        return self.client.create(index=index, id=key, document=document, refresh=True)

    def update(self, index, key, changes):
        return self.client.update(index=index, id=key, doc=changes, refresh=True)

    def search(self, index, **body):
        return self.client.search(index=index, **{{"from": "from_"}.get(key, key): body[key] for key in body})


class OpenSearchClient:
    """opensearch-py: bodies as dicts, errors of its own."""

    NotFound, BadRequest = opensearchpy.NotFoundError, opensearchpy.RequestError
    Conflict, helpers = opensearchpy.ConflictError, opensearchpy.helpers

    def __init__(self, url):
        self.client = opensearchpy.OpenSearch(url, timeout=60)

    def index(self, index, key, document):
        return self.client.index(index=index, id=key, body=document, refresh=True)

    def create(self, index, key, document):
        return self.client.create(index=index, id=key, body=document, refresh=True)

    def update(self, index, key, changes):
        return self.client.update(index=index, id=key, body={"doc": changes}, refresh=True)

    def search(self, index, **body):
        return self.client.search(index=index, body=body)


CLIENTS = {"elasticsearch": ElasticsearchClient, "opensearch": OpenSearchClient}


@pytest.fixture
def pair(cluster):
    """The engine's own client at the engine, and the same at the proxy."""
    make = CLIENTS[cluster.flavour]
    direct, through = make(cluster.engine), make(cluster.proxy)
    yield direct, through
    direct.client.close()
    through.client.close()


@pytest.fixture
def scratch(pair):
    """Runs an action at the engine and at the proxy, each on a fresh index; gives both results."""
    direct, _ = pair

    def both(action):
        results = []
        for side in pair:
            direct.client.indices.delete(index="scratch-client", ignore_unavailable=True)
            results.append(plain(action(side)))
        return results

    yield both
    direct.client.indices.delete(index="scratch-client", ignore_unavailable=True)


def plain(result):
    """A client's result as plain data, without the time it took."""
    result = copy.deepcopy(getattr(result, "body", result))
    if isinstance(result, dict):
        result.pop("took", None)
    return result


QUERY = {"match": {"text": COMMON}}


def test_info_and_ping(pair):
    direct, through = pair
    assert plain(through.client.info()) == plain(direct.client.info())
    assert through.client.ping()


def test_index_get_update_and_delete(scratch):
    def life(side):
        return [
            plain(side.index("scratch-client", "1", {"title": "Grüße", "n": 1})),
            plain(side.client.get(index="scratch-client", id="1")),
            plain(side.update("scratch-client", "1", {"n": 2})),
            plain(side.client.get(index="scratch-client", id="1")),
            side.client.exists(index="scratch-client", id="1").__bool__(),
            plain(side.client.delete(index="scratch-client", id="1", refresh=True)),
            side.client.exists(index="scratch-client", id="1").__bool__(),
        ]

    direct, through = scratch(life)
    assert through == direct


def test_the_bulk_helper(scratch):
    def load(side):
        actions = ({"_index": "scratch-client", "_id": str(n), "n": n, "text": "warm water " * 50} for n in range(1500))
        done = side.helpers.bulk(side.client, actions, chunk_size=400, refresh=True)
        return done, plain(side.client.count(index="scratch-client"))

    direct, through = scratch(load)
    assert through == direct
    assert through[0] == (1500, [])


def test_the_bulk_helpers_errors(scratch):
    def load(side):
        actions = [{"_index": "scratch-client", "_id": "1", "_op_type": "create", "n": 1}] * 2
        done, errors = side.helpers.bulk(side.client, actions, raise_on_error=False)
        return done, [(error["create"]["status"], error["create"]["error"]["type"]) for error in errors]

    direct, through = scratch(load)
    assert through == direct
    assert through[0] == 1 and through[1] == [(409, "version_conflict_engine_exception")]


def test_a_search_is_reranked(pair):
    direct, through = pair
    own = through.search("passages", query=QUERY, size=WINDOW)
    theirs = direct.search("passages", query=QUERY, size=WINDOW)
    key = lambda hit: hit["_id"]  # noqa: E731
    without_score = lambda hit: {name: hit[name] for name in hit if name != "_score"}  # noqa: E731
    assert sorted(map(without_score, own["hits"]["hits"]), key=key) == sorted(
        map(without_score, theirs["hits"]["hits"]), key=key
    )
    assert own["hits"]["total"] == theirs["hits"]["total"]
    if not DIRECT:
        assert list(map(key, own["hits"]["hits"])) != list(map(key, theirs["hits"]["hits"]))
        assert own["hits"]["max_score"] == own["hits"]["hits"][0]["_score"]


def test_page_two_continues_page_one(pair):
    _, through = pair
    pages = [through.search("passages", query=QUERY, size=10, **{"from": start})["hits"]["hits"] for start in (0, 10)]
    both = through.search("passages", query=QUERY, size=20)["hits"]["hits"]
    assert pages[0] + pages[1] == both


def test_the_client_sees_the_rerank_header(cluster):
    if cluster.flavour != "elasticsearch" or DIRECT:
        pytest.skip("only elasticsearch-py shows response headers")
    client = elasticsearch.Elasticsearch(cluster.proxy)
    answer = client.search(index="passages", query=QUERY)
    assert answer.meta.headers["x-rerank"].startswith("applied;")
    client.close()


def test_the_scan_helper_walks_every_document_in_the_clusters_order(pair):
    direct, through = pair
    walks = [
        [hit["_id"] for hit in side.helpers.scan(side.client, index="passages", query={"query": QUERY}, size=25)]
        for side in (direct, through)
    ]
    assert walks[1] == walks[0]
    assert len(walks[0]) > WINDOW


def test_a_point_in_time_is_walked_with_search_after(pair):
    direct, through = pair
    if not isinstance(direct, ElasticsearchClient):
        pytest.skip("OpenSearch spells it differently; its scan helper is tested")
    walks = []
    for side in pair:
        pit, seen, after = side.client.open_point_in_time(index="passages", keep_alive="1m")["id"], [], None
        while True:
            body = {"pit": {"id": pit, "keep_alive": "1m"}, "sort": [{"number": "asc"}], "size": 50, "query": QUERY}
            hits = side.client.search(**body, **({"search_after": after} if after else {}))["hits"]["hits"]
            if not hits:
                break
            seen += [hit["_id"] for hit in hits]
            after = hits[-1]["sort"]
        side.client.close_point_in_time(id=pit)
        walks.append(seen)
    assert walks[1] == walks[0]


def test_a_missing_document_is_the_clients_own_error(pair):
    seen = []
    for side in pair:
        with pytest.raises(side.NotFound) as caught:
            side.client.get(index="passages", id="none")
        seen.append(caught.value.args)
    assert str(seen[1]) == str(seen[0])


def test_a_search_of_a_missing_index_is_the_clients_own_error(pair):
    seen = []
    for side in pair:
        with pytest.raises(side.NotFound) as caught:
            side.search("missing", query=QUERY)
        seen.append((caught.value.status_code, str(caught.value)))
    assert seen[1] == seen[0]


def test_an_unknown_query_is_the_clients_own_error(pair):
    seen = []
    for side in pair:
        with pytest.raises(side.BadRequest) as caught:
            side.search("passages", query={"guess": {"text": "water"}})
        seen.append((caught.value.status_code, str(caught.value)))
    assert seen[1] == seen[0]


def test_a_conflict_is_the_clients_own_error(scratch):
    def twice(side):
        side.create("scratch-client", "1", {"n": 1})
        with pytest.raises(side.Conflict) as caught:
            side.create("scratch-client", "1", {"n": 1})
        return caught.value.status_code

    assert scratch(twice) == [409, 409]


def test_the_cat_api(pair):
    direct, through = pair
    arguments = {"index": "passages*", "h": "index,health,docs.count", "s": "index"}
    assert str(through.client.cat.indices(**arguments)) == str(direct.client.cat.indices(**arguments))
    as_json = [plain(side.client.cat.aliases(format="json", s="alias")) for side in pair]
    assert as_json[1] == as_json[0]


def test_msearch_and_mget(pair):
    def ask(side):
        searches = [{"index": "passages"}, {"query": QUERY, "size": WINDOW}]
        searches += [{"index": "passages"}, {"query": {"match_all": {}}}]
        if isinstance(side, ElasticsearchClient):
            found = side.client.msearch(searches=searches), side.client.mget(index="passages", ids=["d1", "d2"])
        else:
            found = side.client.msearch(body=searches), side.client.mget(index="passages", body={"ids": ["d1", "d2"]})
        reranked, as_it_was = (answer["hits"] for answer in found[0]["responses"])
        return sorted(hit["_id"] for hit in reranked["hits"]), as_it_was, plain(found[1])

    direct, through = map(ask, pair)
    assert through == direct
