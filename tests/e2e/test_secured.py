"""Secured clusters behind a listener with TLS: real Elasticsearch and OpenSearch with their own security, certificates checked on both
legs, and OpenSearch's document- and field-level security, which holds through the proxy as it does at the cluster."""

import base64
import json
import ssl

import elasticsearch
import opensearchpy
import pytest
from conftest import DIRECT
from data import COMMON, MODEL, documents

import answers
import engines as engine_control
import proxy as proxy_control
from secured import PASSWORD, USER, certify
from wire import send

pytestmark = pytest.mark.skipif(DIRECT, reason="needs a proxy")

ELASTICSEARCH, OPENSEARCH = "elasticsearch-9-secured", "opensearch-3-secured"
on_both = pytest.mark.parametrize("secured", [ELASTICSEARCH, OPENSEARCH], indirect=True, scope="module")
on_elasticsearch = pytest.mark.parametrize("secured", [ELASTICSEARCH], indirect=True, scope="module")
on_opensearch = pytest.mark.parametrize("secured", [OPENSEARCH], indirect=True, scope="module")

CONFIG = """\
[server]
listen = "127.0.0.1:0"
[server.tls]
certificate = "{certificate}"
key = "{key}"
{server}
[upstream]
url = "{upstream}"
[upstream.tls]
ca = "{ca}"
[log]
level = "trace"
[models.default]
path = "{model}"
[[rules]]
index = ["papers*"]
model = "default"
fields = ["title", "text", "notes"]
window = 100
budget = "60s"
[[rules]]
index = ["searched*"]
model = "default"
window = 100
budget = "60s"
"""

QUERY = {"multi_match": {"query": COMMON, "fields": ["title", "text", "notes"]}}
# What only some may see: a word of hidden documents, and one of a hidden field.
HIDDEN_DOCUMENT, HIDDEN_FIELD = "zanzibarquokka", "xyloglyphwhisper"
READER, READERS_PASSWORD = "restricted-reader", "Long-enough-7-for-a-reader"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


ADMIN = {"Authorization": basic(USER, PASSWORD)}
RESTRICTED = {"Authorization": basic(READER, READERS_PASSWORD)}


def papers() -> "dict[str, dict]":
    """Documents of which every other one is hidden from the restricted reader, and each has a field that is."""
    found = {}
    for number, document in enumerate(documents()[:40]):
        is_hidden = number % 2 == 1
        found[f"d{number}"] = {
            "title": document["title"],
            "text": document["text"] + (f" {HIDDEN_DOCUMENT}" if is_hidden else ""),
            "notes": f"{HIDDEN_FIELD} {COMMON} {document['domain']}",
            "visibility": "hidden" if is_hidden else "public",
        }
    return found


def seen_by_the_reader() -> "dict[str, dict]":
    visible = {key: dict(paper) for key, paper in papers().items() if paper["visibility"] == "public"}
    for paper in visible.values():
        del paper["notes"]
    return visible


@pytest.fixture(scope="module")
def running(pytestconfig):
    """The secured engines that the tests need, side by side, with papers in each."""
    started = engine_control.start_all(pytestconfig.secured_kinds)
    try:
        for engine in started.values():
            engine.tls = ssl.create_default_context(cafile=engine.ca)
            engine.ask = lambda method, path, body=None, headers=None, engine=engine: send(
                engine.url, method, path, body, ADMIN | (headers or {}), tls=engine.tls
            )
            for index, content in (("papers", papers()), ("papers-of-the-reader", seen_by_the_reader())):
                fill(engine, index, content)
        yield started
    finally:
        for engine in started.values():
            engine.stop()


def fill(engine, index, content):
    properties = {"visibility": {"type": "keyword"}} | {name: {"type": "text"} for name in ("title", "text", "notes")}
    settings = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}, "mappings": {"properties": properties}}
    lines = "".join(f"{json.dumps({'index': {'_id': key}})}\n{json.dumps(paper)}\n" for key, paper in content.items())
    alias = {"actions": [{"add": {"index": index, "alias": index.replace("papers", "searched")}}]}
    for answer in (
        engine.ask("PUT", f"/{index}", settings),
        engine.ask("POST", f"/{index}/_bulk?refresh=true", lines, {"Content-Type": "application/x-ndjson"}),
        engine.ask("POST", "/_aliases", alias),
    ):
        assert answer.status == 200 and not answer.json().get("errors"), answer.text[:500]


@pytest.fixture(scope="module")
def secured(request, running):
    """One secured engine."""
    return running[request.param]


@pytest.fixture(scope="module")
def identities(tmp_path_factory):
    """The listener's certificate, one of an authority of clients, and two clients of it: (certificate, key) by name."""
    folder = tmp_path_factory.mktemp("certificates")
    made = {name: certify(folder, name) for name in ("listener", "clients")}
    return made | {name: certify(folder, name, issuer=made["clients"]) for name in ("shop", "stranger")}


@pytest.fixture
def listening(secured, identities):
    """Starts proxies with TLS in front of the secured engine: `listening()`, or with further keys of `[server.tls]`."""
    started = []

    def start(server="", ca=None, client=None):
        certificate, key = identities["listener"]
        paths = {"certificate": certificate, "key": key, "ca": ca or secured.ca}
        tls = ssl.create_default_context(cafile=certificate)
        if client:
            tls.load_cert_chain(*client)
        config = CONFIG.format(server=server, upstream=secured.url, model=MODEL, **paths)
        started.append(proxy_control.start(config, tls=tls))
        return started[-1].ready()

    yield start
    for proxy in started:
        assert proxy.stop() == 0
        says_no_secret(proxy.log())


def says_no_secret(text: str):
    """Neither texts nor credentials, in whatever form they were sent."""
    tokens = [headers["Authorization"].split()[1] for headers in (ADMIN, RESTRICTED)]
    for secret in (HIDDEN_DOCUMENT, HIDDEN_FIELD, READERS_PASSWORD, COMMON, *tokens):
        assert secret not in text, f"{secret} in {text[text.index(secret) - 200 :][:400]}"


def client_of(secured, url, certificate, **how):
    """The engine's own Python client, which checks the certificate."""
    if secured.kind.flavour == "elasticsearch":
        credentials = {} if "api_key" in how else {"basic_auth": (USER, PASSWORD)}
        return elasticsearch.Elasticsearch(url, ca_certs=str(certificate), request_timeout=60, **credentials, **how)
    return opensearchpy.OpenSearch(url, ca_certs=str(certificate), http_auth=(USER, PASSWORD), timeout=60, **how)


def found(client, **body) -> dict:
    """The hits of a search, by id."""
    body = {"query": QUERY, "size": 100} | body
    is_elasticsearch = isinstance(client, elasticsearch.Elasticsearch)
    answer = client.search(index="papers", **body) if is_elasticsearch else client.search(index="papers", body=body)
    return {hit["_id"]: hit for hit in answer["hits"]["hits"]}


def without_score(hits: dict) -> dict:
    return {key: {name: hit[name] for name in hit if name != "_score"} for key, hit in hits.items()}


@on_both
def test_the_official_client_gets_reranked_searches_with_verification_on_both_legs(secured, identities, listening):
    proxy = listening()
    direct = client_of(secured, secured.url, secured.ca)
    through = client_of(secured, proxy.url, identities["listener"][0])
    own, theirs = found(through), found(direct)
    assert without_score(own) == without_score(theirs) and list(own) != list(theirs) and len(own) > 20
    searches = [{"index": "papers"}, {"query": QUERY, "size": 100}, {"index": "papers"}, {"query": {"match_all": {}}}]
    is_elasticsearch = secured.kind.flavour == "elasticsearch"
    several = through.msearch(searches=searches) if is_elasticsearch else through.msearch(body=searches)
    reranked, as_it_was = (answer["hits"]["hits"] for answer in several["responses"])
    assert [hit["_id"] for hit in reranked] == list(own) and len(as_it_was) == 10
    for client in (direct, through):
        client.close()


@on_elasticsearch
def test_api_keys_pass_and_wrong_ones_are_the_clusters_to_refuse(secured, identities, listening):
    proxy, certificate = listening(), identities["listener"][0]
    admin = client_of(secured, proxy.url, certificate)
    key = admin.security.create_api_key(name="searcher")
    by_key = client_of(secured, proxy.url, certificate, api_key=key["encoded"])
    assert list(found(by_key)) == list(found(admin))
    assert by_key.search(index="papers", query=QUERY).meta.headers["x-rerank"].startswith("applied;")
    refused = []
    for url, ca in ((secured.url, secured.ca), (proxy.url, certificate)):
        wrong = client_of(secured, url, ca, api_key=base64.b64encode(b"no:key").decode())
        with pytest.raises(elasticsearch.AuthenticationException) as caught:
            found(wrong)
        refused.append((caught.value.status_code, str(caught.value), caught.value.meta.headers.get("www-authenticate")))
        wrong.close()
    assert refused[0] == refused[1]
    assert key["encoded"] not in proxy.log() and key["api_key"] not in proxy.log()
    for client in (admin, by_key):
        client.close()


@on_elasticsearch
def test_who_is_not_trusted_is_not_talked_to(secured, identities, listening):
    stranger = identities["stranger"][0]
    unknown = client_of(secured, listening().url, stranger, max_retries=0)
    with pytest.raises(elasticsearch.SSLError):
        found(unknown)
    unknown.close()
    # The proxy trusts another authority than the cluster's.
    proxy = listening(ca=stranger)
    answer = send(proxy.url, "POST", "/papers/_search", {"query": QUERY}, ADMIN, tls=proxy.tls)
    assert answer.status == 502, answer.text


@on_elasticsearch
def test_only_clients_with_a_certificate_that_is_on_the_list_are_let_in(secured, identities, listening):
    listed = f'client_ca = "{identities["clients"][0]}"\nclient_names = ["shop"]'
    proxy = listening(server=listed, client=identities["shop"])
    for name in (None, "stranger", "shop"):
        how = dict(zip(("client_cert", "client_key"), map(str, identities[name]))) if name else {}
        client = client_of(secured, proxy.url, identities["listener"][0], max_retries=0, **how)
        if name == "shop":
            assert found(client)
        else:
            with pytest.raises(elasticsearch.ConnectionError):
                found(client)
        client.close()
    metrics = send(proxy.url, "GET", "/_rerank/metrics", tls=proxy.tls).text
    assert 'rerank_proxy_closed_connections_total{reason="client-certificate"} 2' in metrics


@pytest.fixture(scope="module")
def reader(running):
    """OpenSearch has a user who sees public documents only, and of those no notes."""
    hidden = {"dls": json.dumps({"term": {"visibility": "public"}}), "fls": ["~notes"]}
    restricted = {"index_patterns": ["papers"], "allowed_actions": ["read"], **hidden}
    for path, body in (
        ("roles/restricted", {"cluster_permissions": ["cluster_composite_ops_ro"], "index_permissions": [restricted]}),
        (f"internalusers/{READER}", {"password": READERS_PASSWORD}),
        ("rolesmapping/restricted", {"users": [READER]}),
    ):
        answer = running[OPENSEARCH].ask("PUT", f"/_plugins/_security/api/{path}", body)
        assert answer.status in (200, 201), answer.text


# Ways to ask, all of which show scores: as it is; without the fields that make up the passage, which the proxy then asks for; explained;
# with a text of the client's own.
WAYS = (
    ({}, {}),
    ({"_source": False}, {}),
    ({"_source": ["title"], "size": 7, "from": 3}, {}),
    ({"_source": False}, {"X-Rerank-Explain": "true"}),
    ({}, {"X-Rerank-Explain": "true", "X-Rerank-Query": f"{HIDDEN_FIELD} {HIDDEN_DOCUMENT}"}),
)


@on_opensearch
@pytest.mark.parametrize("index", ["papers", "searched"])
def test_nobody_is_told_what_the_cluster_hides_from_them(secured, reader, listening, index):
    proxy = listening()

    def search(index, who, body, headers):
        body = {"query": QUERY, "size": 100} | body
        answer = send(proxy.url, "POST", f"/{index}/_search", body, who | headers, tls=proxy.tls)
        assert answer.status == 200, answer.text
        said = answers.rerank_header(answer)
        assert said["outcome"] == "applied", said
        return answer.text, said

    def order(text):
        return [(hit["_id"], hit["_score"]) for hit in json.loads(text)["hits"]["hits"]]

    for body, headers in WAYS:
        before, _ = search(index, RESTRICTED, body, headers)
        # Somebody who sees all has all of it scored, and cached.
        everything, _ = search(index, ADMIN, body | {"_source": True, "size": 100, "from": 0}, headers)
        assert HIDDEN_DOCUMENT in everything and HIDDEN_FIELD in everything
        after, said = search(index, RESTRICTED, body, headers)
        assert order(after) == order(before), "what others have had scored changes nothing"
        says_no_secret(after)
        # As if the index held nothing but what the reader sees.
        alone, of_them = search(f"{index}-of-the-reader", ADMIN, body, headers)
        assert order(after) == order(alone) and order(after)
        counts = ("window", "scored", "cached")
        assert [said[count] for count in counts] == [of_them[count] for count in counts]

    searches = [{"index": index}, {"query": QUERY, "size": 100}] * 2
    lines = "".join(json.dumps(line) + "\n" for line in searches)
    ndjson = {"Content-Type": "application/x-ndjson"}
    several = send(proxy.url, "POST", "/_msearch", lines, RESTRICTED | ndjson, tls=proxy.tls)
    assert several.status == 200 and several.json()["responses"][1]["hits"]["hits"]
    asked = {"path": f"/{index}/_search", "body": {"query": QUERY, "size": 100}}
    explained = send(proxy.url, "POST", "/_rerank/explain", asked, RESTRICTED, tls=proxy.tls)
    assert explained.status == 200 and explained.json()["outcome"] == "applied"
    metrics = send(proxy.url, "GET", "/_rerank/metrics", tls=proxy.tls)
    for text in (several.text, explained.text.replace(COMMON, ""), metrics.text):
        says_no_secret(text)


@on_opensearch
def test_a_hidden_text_is_no_part_of_what_is_scored(secured, reader, listening):
    proxy = listening()
    body = {"query": QUERY, "size": 100}
    search = lambda who: send(proxy.url, "POST", "/papers/_search", body, who, tls=proxy.tls)  # noqa: E731
    everything = {hit["_id"]: hit["_score"] for hit in search(ADMIN).json()["hits"]["hits"]}
    restricted = search(RESTRICTED)
    scores = {hit["_id"]: hit["_score"] for hit in restricted.json()["hits"]["hits"]}
    assert answers.rerank_header(restricted)["cached"] == 0, "their passages are others, though their documents are not"
    # The notes repeat the query: who sees them gets other scores.
    assert scores.keys() < everything.keys() and all(scores[key] != everything[key] for key in scores)
