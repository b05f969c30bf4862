"""A cluster that has too much to do: it answers the first searches of some indices with 503 or 429, and counts what arrives. Enough of
an engine that its official clients talk to it."""

import contextlib
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Which status the searches of an index get, and how many of them; those after get hits.
REFUSALS = {"flaky-503": (503, 2), "flaky-429": (429, 2), "always-503": (503, 1000)}
ERROR = {"type": "es_rejected_execution_exception", "reason": "rejected execution: too many searches"}
HITS = [{"_index": "flaky", "_id": f"d{n}", "_score": 2.0 - n, "_source": {"title": f"title {n}", "text": "water"}} for n in (0, 1)]
HEADS = {
    "elasticsearch": {"X-elastic-product": "Elasticsearch", "Content-Type": "application/vnd.elasticsearch+json;compatible-with=9"},
    "opensearch": {"Content-Type": "application/json; charset=UTF-8"},
}


def _info(flavour, version):
    number = {"number": version, "build_flavor": "default", "build_hash": "0", "build_snapshot": False, "build_type": "zip"}
    number |= {"build_date": "2026-01-01T00:00:00Z", "lucene_version": "10.0.0"}
    number |= {"minimum_wire_compatibility_version": version, "minimum_index_compatibility_version": version}
    number |= {"distribution": "opensearch"} if flavour == "opensearch" else {}
    return {"name": "one", "cluster_name": "flaky", "cluster_uuid": "u", "version": number, "tagline": "You Know, for Search"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(*self.server.answer(self.path.split("?")[0]))

    do_POST = do_GET

    def do_HEAD(self):
        self._answer(200, {})

    def _answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        for name, value in HEADS[self.server.flavour].items():
            self.send_header(name, value.replace("9", self.server.version.split(".")[0]))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        """Nothing: the counts tell."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, flavour, version):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.flavour, self.version, self.arrived = flavour, version, Counter()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def answer(self, path):
        index = path.strip("/").split("/")[0]
        if index not in REFUSALS:
            return 200, _info(self.flavour, self.version)
        self.arrived[index] += 1
        status, times = REFUSALS[index]
        if self.arrived[index] <= times:
            return status, {"error": {"root_cause": [ERROR], **ERROR}, "status": status}
        total, shards = {"value": 2, "relation": "eq"}, {"total": 1, "successful": 1, "skipped": 0, "failed": 0}
        hits = {"total": total, "max_score": 2.0, "hits": HITS}
        return 200, {"took": 1, "timed_out": False, "_shards": shards, "hits": hits}


@contextlib.contextmanager
def flaky_server(kind):
    """One that says it is of this kind; `arrived` counts the searches of each index."""
    server = _Server(kind.flavour, kind.version)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
