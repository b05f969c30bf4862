"""Requests as Kibana and OpenSearch Dashboards send them, one of them named by the first argument: written down from what they document and
log, headers included, and sent with nothing but Python's own HTTP. ../README.md has the mode."""

import gzip
import http.client
import json
import sys
from urllib.parse import urlsplit

QUERY = "how do I keep the water in a small house warm and clean"
RULED, PLAIN = "scratch-clients", "bystander-clients"
MAPPINGS = {"properties": {"number": {"type": "integer"}, "title": {"type": "text"}, "text": {"type": "text"}}}

KIBANA = {
    "user-agent": "Kibana/9.2.0",
    "x-elastic-product-origin": "kibana",
    "x-elastic-client-meta": "es=9.2.0p,js=22.17.1,t=9.2.0,hc=22.17.1",
    "accept": "application/vnd.elasticsearch+json; compatible-with=9",
    "content-type": "application/vnd.elasticsearch+json; compatible-with=9",
    "accept-encoding": "gzip, deflate",
    "x-opaque-id": "9b6c3d5e-0c1a-4a51-8f5f-2d2a0a4a3f55;kibana:application:discover:;discover:session:",
    "kbn-version": "9.2.0",
    "kbn-xsrf": "true",
}
DASHBOARDS = {
    "user-agent": "opensearch-js/2.13.0 (linux 5.15.0-x64; Node.js v20.18.3)",
    "x-opensearch-product-origin": "opensearch-dashboards",
    "osd-version": "3.4.0",
    "osd-xsrf": "osd-fetch",
    "content-type": "application/json",
    "accept-encoding": "gzip, deflate",
    "x-opaque-id": "3f2a-0e47-dashboards",
}

# What Discover asks for.
DISCOVER = {
    "track_total_hits": True,
    "size": 30,
    "version": True,
    "stored_fields": ["*"],
    "script_fields": {},
    "_source": {"excludes": []},
    "query": {"bool": {"must": [{"match": {"text": QUERY}}], "filter": [], "should": [], "must_not": []}},
    "highlight": {
        "pre_tags": ["@kibana-highlighted-field@"],
        "post_tags": ["@/kibana-highlighted-field@"],
        "fields": {"*": {}},
        "fragment_size": 2147483647,
    },
}
# What the two ask for apart.
OF_KIBANA = {"fields": [{"field": "*", "include_unmapped": True}]}
OF_DASHBOARDS = {"docvalue_fields": [{"field": "number"}]}
# What a panel asks for.
PANEL = {"size": 0, "aggs": {"2": {"histogram": {"field": "number", "interval": 10, "min_doc_count": 1}}}, "query": {"match_all": {}}}
# Its own index.
SAVED = {"type": "dashboard", "dashboard": {"title": "Water", "panelsJSON": "[]"}, "updated_at": "2026-01-01T00:00:00.000Z"}


class Sender:
    """One connection for all, as theirs are kept."""

    def __init__(self, url, headers, compress):
        split = urlsplit(url)
        self.connection, self.headers, self.compress = http.client.HTTPConnection(split.hostname, split.port, timeout=60), headers, compress

    def __call__(self, method, path, body=None, **extra):
        headers = self.headers | {name.replace("_", "-"): value for name, value in extra.items()}
        if isinstance(body, list):
            body = "".join(json.dumps(line) + "\n" for line in body)
            headers["content-type"] = headers["content-type"].replace("json", "x-ndjson")
        elif body is not None:
            body = json.dumps(body)
        body = body.encode() if body is not None else None
        if body is not None and self.compress:
            body, headers["content-encoding"] = gzip.compress(body), "gzip"
        if body is None:
            headers.pop("content-type")
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        coded = answer.getheader("content-encoding")
        text = (gzip.decompress(text) if coded == "gzip" else text).decode()
        # Without Warning: an engine says each of its deprecations once, to whoever comes first.
        kept = ("content-type", "content-encoding", "x-elastic-product", "x-opaque-id", "x-opensearch-version")
        seen = {"status": answer.status, **{name: answer.getheader(name) for name in kept}}
        # Where a search of a ruled index fails for good, its error comes as the proxy asked for it, which is plain.
        seen.update({"content-encoding": "not compared"} if answer.status == 404 else {})
        try:
            return seen, json.loads(text)
        except ValueError:
            return seen, text


def search(send, index, body, **parameters):
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return send("POST", f"/{index}/_search?{query}", body)


def fill(send, documents):
    for index in (RULED, PLAIN):
        settings = {"number_of_shards": 1, "number_of_replicas": 0}
        send("PUT", f"/{index}", {"settings": settings, "mappings": MAPPINGS})
        lines = [line for document in documents for line in ({"index": {"_id": document["id"]}}, document["source"])]
        send("POST", f"/{index}/_bulk?refresh=true", lines)


def several(index, discover):
    """What Kibana sent before it searched asynchronously."""
    return [{"index": index, "ignore_unavailable": True, "preference": "1764424800000"}, discover]


def both(send, seen, special, own_index=".kibana_clients"):
    """What both ask for."""
    discover = DISCOVER | special
    asked = {
        "nodes": ("GET", "/_nodes?filter_path=nodes.*.version%2Cnodes.*.http.publish_address%2Cnodes.*.ip"),
        "settings": ("GET", "/_cluster/settings?include_defaults=true&flat_settings=true&filter_path=*.action.auto_create_index"),
        "resolved": ("GET", "/_resolve/index/*?expand_wildcards=open"),
        "fields": ("GET", f"/{RULED}/_field_caps?fields=*&allow_no_indices=true&ignore_unavailable=true"),
        "aliases": ("GET", f"/_alias/{own_index}"),
        "mapping": ("GET", f"/{RULED}/_mapping/field/*?include_defaults=true"),
        "validated": ("POST", f"/{RULED}/_validate/query?explain=true", {"query": discover["query"]}),
        "made": ("PUT", f"/{own_index}_1", {"mappings": {"dynamic": False, "properties": {"type": {"type": "keyword"}}}}),
        "saved": ("PUT", f"/{own_index}_1/_create/dashboard%3Awater?refresh=true&require_alias=false", SAVED),
        "saved again": ("PUT", f"/{own_index}_1/_create/dashboard%3Awater?refresh=true", SAVED),
        "read": ("POST", "/_mget", {"docs": [{"_id": "dashboard:water", "_index": f"{own_index}_1"}]}),
        "found": ("POST", f"/{own_index}_1/_search?size=20&from=0", {"query": {"term": {"type": "dashboard"}}, "seq_no_primary_term": True}),
        "updated": ("POST", f"/{own_index}_1/_update/dashboard%3Awater?refresh=true", {"doc": {"dashboard": {"title": "Warm water"}}}),
        "by query": ("POST", f"/{own_index}_1/_update_by_query?conflicts=proceed&refresh=true", {"query": {"match_all": {}}}),
        "removed": ("DELETE", f"/{own_index}_1"),
        "no index": ("POST", "/scratch-none/_search?preference=1764424800000", discover),
        "refused": ("POST", f"/{RULED}/_search", {**discover, "query": {"guess": {}}}),
        "panel": ("POST", f"/{RULED}/_search?preference=1764424800000&request_cache=true", PANEL),
        "in order of time": ("POST", f"/{RULED}/_search", {**discover, "sort": [{"number": {"order": "desc", "unmapped_type": "boolean"}}]}),
    }
    for step, request in asked.items():
        seen[step] = send(*request)
    for kind, index in (("ruled", RULED), ("plain", PLAIN)):
        head, answer = search(send, index, discover, preference="1764424800000", track_total_hits="true")
        seen[f"{kind} discover"], seen[f"{kind}: head"] = [answer], head
        _, answer = send("POST", "/_msearch?rest_total_hits_as_int=true&max_concurrent_shard_requests=5", several(index, discover))
        assert "responses" in answer, answer
        seen[f"{kind} msearch"] = answer["responses"]


def kibana(send, seen):
    """What only Kibana sends; what the tests' engine lacks (asynchronous searches, ES|QL) is refused in the same words."""
    both(send, seen, OF_KIBANA)
    head, pit = send("POST", f"/{RULED}/_pit?keep_alive=1m")
    seen["opened"] = head
    _, seen_in_order = send("POST", "/_search", {"pit": {"id": pit["id"], "keep_alive": "1m"}, "size": 30, "sort": [{"number": "asc"}, {"_shard_doc": "asc"}]})
    seen["exported"] = [hit["_id"] for hit in seen_in_order["hits"]["hits"]]
    seen["closed"] = send("DELETE", "/_pit", {"id": pit["id"]})
    waiting = "batched_reduce_size=64&ccs_minimize_roundtrips=true&wait_for_completion_timeout=200ms&keep_on_completion=false"
    seen["asynchronous"] = send("POST", f"/{RULED}/_async_search?{waiting}&keep_alive=60000ms&preference=1764424800000", DISCOVER | OF_KIBANA)
    seen["es|ql"] = send("POST", "/_query?drop_null_columns=true", {"query": f"FROM {RULED} | LIMIT 5"})
    seen["licence"] = send("GET", "/_license")
    seen["who"] = send("GET", "/_security/_authenticate")
    seen["templates"] = send("GET", "/_index_template/clients*")


def dashboards(send, seen):
    """What only OpenSearch Dashboards sends; the plugins that the tests' engine lacks are refused in the same words."""
    both(send, seen, OF_DASHBOARDS)
    head, pit = send("POST", f"/{RULED}/_search/point_in_time?keep_alive=1m")
    seen["opened"] = head
    _, in_order = send("POST", "/_search", {"pit": {"id": pit["pit_id"], "keep_alive": "1m"}, "size": 30, "sort": [{"number": "asc"}]})
    seen["exported"] = [hit["_id"] for hit in in_order["hits"]["hits"]]
    seen["closed"] = send("DELETE", "/_search/point_in_time", {"pit_id": [pit["pit_id"]]})[0]
    seen["asynchronous"] = send("POST", f"/_plugins/_asynchronous_search?index={RULED}", DISCOVER | OF_DASHBOARDS)
    seen["ppl"] = send("POST", "/_plugins/_ppl", {"query": f"source={RULED} | head 5"})
    seen["plugins"] = send("GET", "/_cat/plugins?format=json")
    seen["health"] = send("GET", "/_cluster/health?local=true&filter_path=status")


def run(which, mode, url, documents):
    headers, requests = {"kibana": (KIBANA, kibana), "dashboards": (DASHBOARDS, dashboards)}[which]
    with open(documents) as file:
        documents = json.load(file)
    send = Sender(url, headers, compress=mode == "compressed")
    fill(send, documents)
    seen = {}
    requests(send, seen)
    print(json.dumps({"version": headers.get("kbn-version", headers.get("osd-version")), "seen": seen}))


run(*sys.argv[1:])
