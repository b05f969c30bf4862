"""docker-compose.yml and its variants in deploy/compose: held against the schema of Compose, and each whole topology started as processes
before a real engine, whose published port answers with hits in a new order. What needs a container runtime (images, networks,
read_only, cap_drop) is not shown by it."""

import json
import re
import time

import compose
import jsonschema
import pytest
import yaml
from conftest import DIRECT
from elasticsearch import Elasticsearch
from prometheus_server import Prometheus
from wire import send

FILES = sorted(str(file.relative_to(compose.REPOSITORY)) for file in (compose.REPOSITORY / "deploy" / "compose").glob("*.yml"))
OTHERS = ("deploy/compose/prometheus.yml",)
COMPOSE_FILES = ["docker-compose.yml", *(file for file in FILES if file not in OTHERS)]
INDEX = "demo"
PASSAGES = 644
QUERY = "how to keep bread fresh"
SETTLES_WITHIN_SECONDS = 60

AS_COMPOSE_WANTS_IT = jsonschema.Draft7Validator(compose.SCHEMA)
needs_a_proxy = pytest.mark.skipif(DIRECT, reason="needs a proxy")


@pytest.fixture
def engine(cluster):
    """The engine that the tests share, without our index before and after."""
    path = f"/solr/admin/collections?action=DELETE&name={INDEX}" if cluster.flavour == "solr" else f"/{INDEX}"
    method = "GET" if cluster.flavour == "solr" else "DELETE"
    yield cluster.engine
    send(cluster.engine, method, path)


@pytest.mark.parametrize("file", COMPOSE_FILES)
def test_the_file_is_as_compose_wants_it(file):
    AS_COMPOSE_WANTS_IT.validate(yaml.safe_load((compose.REPOSITORY / file).read_text()))


def test_a_mistake_in_a_file_would_be_noticed():
    wrong = yaml.safe_load((compose.REPOSITORY / "docker-compose.yml").read_text())
    wrong["services"]["rerank-proxy"]["stop_graze_period"] = "35s"
    with pytest.raises(jsonschema.ValidationError):
        AS_COMPOSE_WANTS_IT.validate(wrong)


@pytest.mark.parametrize("file", COMPOSE_FILES)
def test_nothing_is_published_but_to_this_machine_and_every_image_has_a_version(file):
    services, folder = compose.read(*{"deploy/compose/monitoring.yml": ("docker-compose.yml", file)}.get(file, (file,)))
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert "build" in service or ":" in service["image"], name
        assert all((folder / volume.split(":")[0]).is_file() for volume in service.get("volumes", [])), name
        if compose.image_of(service) == "rerank-proxy":
            assert service["read_only"] and service["cap_drop"] == ["ALL"], name


def search(url: str, query: str = QUERY):
    """The answer to a search through a proxy, which must be reranked."""
    answer = send(url, "POST", f"/{INDEX}/_search?size=5", {"query": {"match": {"text": query}}})
    assert answer.status == 200 and answer.header("x-rerank").startswith("applied"), answer
    return answer


def settled(ask):
    """The answer once every score of it is known: within the budget a busy machine may not get to the end at first."""
    deadline = time.monotonic() + SETTLES_WITHIN_SECONDS
    while True:
        answer = ask()
        told = dict(part.strip().split("=") for part in answer.header("x-rerank").split(";")[1:])
        if told["cached"] == told["scored"] and told["budget-hit"] == "?0":
            return answer
        assert time.monotonic() < deadline, told


def ids(answer) -> "list[str]":
    return [hit["_id"] for hit in answer.json()["hits"]["hits"]]


@needs_a_proxy
@pytest.mark.engines("elasticsearch-9")
def test_elasticsearch_and_the_official_client(topology, engine):
    with topology("docker-compose.yml", engines={"elasticsearch": engine}) as running:
        assert f'"count":{PASSAGES}' in running.log("loader")
        through, direct = (Elasticsearch(url, request_timeout=60) for url in (running.url("rerank-proxy", 9700), engine))
        asked = {"index": INDEX, "query": {"match": {"text": QUERY}}, "size": 5}
        ours, theirs = through.search(**asked), direct.search(**asked)
        assert ours.meta.headers["x-rerank"].startswith("applied")
        assert [hit["_id"] for hit in ours["hits"]["hits"]] != [hit["_id"] for hit in theirs["hits"]["hits"]]
        assert ours["hits"]["total"] == theirs["hits"]["total"]


@needs_a_proxy
@pytest.mark.engines("elasticsearch-9")
def test_two_replicas_share_their_scores_behind_haproxy(topology, engine, stopped_redis, haproxy):
    with topology("deploy/compose/replicas.yml", engines={"elasticsearch": engine}) as running:
        published, replicas = running.url("haproxy", 9700), ("replica-1", "replica-2")
        search(published)
        one, two = (running.inside(name, 9700) for name in replicas)
        wanted = ids(settled(lambda: search(one)))
        assert ids(settled(lambda: search(two))) == wanted
        deadline = time.monotonic() + SETTLES_WITHIN_SECONDS
        while not any(found_by_the_other(running.inside(name, 9702)) for name in replicas):
            assert time.monotonic() < deadline, "nobody finds a score that the other one has computed"
            query = f"{QUERY} {time.monotonic_ns()}"
            settled(lambda: search(one, query))
            search(two, query)
        # One leaves, as in a rollout: the other one answers.
        assert send(running.inside("replica-1", 9702), "POST", "/drain").status == 200
        for _ in range(20):
            assert ids(settled(lambda: search(published))) == wanted


def found_by_the_other(admin: str) -> float:
    """How many scores a replica has found in the cache that both share."""
    found = re.search(r'^rerank_proxy_cache_hits_total{level="shared"} (\S+)$', send(admin, "GET", "/metrics").text, re.MULTILINE)
    return float(found.group(1)) if found else 0


@pytest.mark.deploy
@needs_a_proxy
@pytest.mark.engines("opensearch-3")
def test_opensearch(topology, engine):
    with topology("deploy/compose/opensearch.yml", engines={"opensearch": engine}) as running:
        assert f'"count":{PASSAGES}' in running.log("loader")
        theirs = send(engine, "POST", f"/{INDEX}/_search?size=5", {"query": {"match": {"text": QUERY}}})
        assert ids(search(running.url("rerank-proxy", 9700))) != ids(theirs)


@pytest.mark.deploy
@needs_a_proxy
@pytest.mark.engines("solr-9")
def test_solr(topology, engine):
    # The tests' Solr lacks the configuration that Solr's image gives to new collections.
    made = send(engine, "GET", f"/solr/admin/collections?action=CREATE&name={INDEX}&numShards=1&collection.configName=plain")
    assert made.status == 200, made
    with topology("deploy/compose/solr.yml", engines={"solr": engine}) as running:
        assert f'"numFound":{PASSAGES}' in running.log("loader")
        path = f"/solr/{INDEX}/select?df=text&rows=5&q={QUERY.replace(' ', '+')}"
        ours, theirs = send(running.url("rerank-proxy", 9700), "GET", path), send(engine, "GET", path)
        assert ours.status == 200 and ours.header("x-rerank").startswith("applied"), ours
        found = [[document["id"] for document in answer.json()["response"]["docs"]] for answer in (ours, theirs)]
        assert found[0] != found[1] and len(found[0]) == 5


@pytest.mark.deploy
@needs_a_proxy
@pytest.mark.engines("elasticsearch-9")
def test_prometheus_has_the_metrics_and_the_alerts(topology, engine, prometheus):
    files = ("docker-compose.yml", "deploy/compose/monitoring.yml")
    with topology(*files, engines={"elasticsearch": engine}) as running:
        search(running.url("rerank-proxy", 9700))
        server = Prometheus(running.url("prometheus", 9090))
        assert server.wait_for('rerank_proxy_searches_total{job="rerank-proxy",outcome="applied"} > 0')
        groups = send(server.url, "GET", "/api/v1/rules").json()["data"]["groups"]
        assert [group["name"] for group in groups] == ["rerank-proxy"]


def test_grafana_is_given_the_dashboard_and_where_its_data_is():
    services, folder = compose.read("docker-compose.yml", "deploy/compose/monitoring.yml")
    mounted = {target: folder / source for source, target, _ in (one.split(":") for one in services["grafana"]["volumes"])}
    provisioned = {target: yaml.safe_load(file.read_text()) for target, file in mounted.items() if target.endswith(".yml")}
    (source,) = provisioned["/etc/grafana/provisioning/datasources/rerank-proxy.yml"]["datasources"]
    host, port = source["url"].removeprefix("http://").split(":")
    assert host in services and services[host]["ports"][0].endswith(f":{port}") and source["type"] == "prometheus"
    (provider,) = provisioned["/etc/grafana/provisioning/dashboards/rerank-proxy.yml"]["providers"]
    (dashboard,) = [file for target, file in mounted.items() if target.startswith(f"{provider['options']['path']}/")]
    assert json.loads(dashboard.read_text())["uid"] == "rerank-proxy"
