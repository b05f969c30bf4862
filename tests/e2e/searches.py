"""A scenario's request as it is asked of the proxy and of the engine, page by page. Owns how requests are sent and
varied; what the answers must be is `checks.py`'s."""

import gzip
import json
from urllib.parse import parse_qsl, urlsplit

from data import window_of

from wire import send


def ask(url, request):
    """Sends a scenario's request."""
    body = request.get("body")
    headers = {name: value.encode() for name, value in request.get("headers", {}).items()}
    if isinstance(body, list):
        body = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in body)
        headers.setdefault("Content-Type", "application/x-ndjson")
    elif isinstance(body, dict):
        body = json.dumps(body)
    if isinstance(body, str):
        headers.setdefault("Content-Type", "application/json")
        body = body.encode()
    if request.get("gzip"):
        body = gzip.compress(body)
        headers["Content-Encoding"] = "gzip"
    return send(url, request.get("method", "GET"), request["path"], body, headers)


class Search:
    """The variants of a scenario's request."""

    def __init__(self, scenario):
        self.request = scenario["request"]
        self.direct = self.request | scenario.get("direct", {})
        self._whole = scenario.get("whole", {})
        self.start, self.size = _page_of(self.request | self._whole)
        self.window = window_of(urlsplit(self.request["path"]).path.strip("/").split("/")[0])
        self._reprinted = scenario.get("reprinted", False)
        self.filtered = "filter_path=" in self.request["path"]

    def text(self, hit):
        """What must be the same of a hit, its score aside."""
        return hit.meaning if self._reprinted else hit.masked

    def whole(self, hits, of="request"):
        """The request for this many hits from the first one on, with no filter; of="direct": as the engine is asked."""
        return _with_page(getattr(self, of) | self._whole, hits, drop=("from", "size", "filter_path"))

    def scored(self, hits):
        """The whole, each hit with its id and its score."""
        return self.whole(hits)

    def scored_by(self, text, ids):
        """These documents, scored by the proxy against this text."""
        query = {"bool": {"should": [{"match": {"text": text}}], "filter": [{"ids": {"values": ids}}]}}
        return {"method": "POST", "path": "/passages/_search", "body": {"query": query, "size": len(ids)}}

    def whole_filtered(self, hits):
        """The same, as the engine is asked, filtered as the client wants it."""
        return _with_page(self.direct | self._whole, hits, drop=("from", "size"))


def msearch_parts(request):
    """The searches of an `_msearch`, each as a search of its own."""
    lines = request["body"]
    in_path = urlsplit(request["path"]).path.strip("/").split("/")[0]
    for header, body in zip(lines[::2], lines[1::2]):
        header = json.loads(header) if isinstance(header, str) else header
        index = header.get("index", in_path)
        index = ",".join(index) if isinstance(index, list) else index
        yield {"method": "POST", "path": f"/{index}/_search", "body": json.loads(body) if isinstance(body, str) else body}


def _page_of(request):
    """(from, size): the URL wins over the body."""
    said = {"from": 0, "size": 10}
    if isinstance(request.get("body"), dict):
        said |= {key: value for key, value in request["body"].items() if key in said}
    said |= {key: value for key, value in parse_qsl(urlsplit(request["path"]).query) if key in said}
    return int(said["from"]), int(said["size"])


def _with_page(request, hits, drop):
    path, _, query = request["path"].partition("?")
    kept = [pair for pair in query.split("&") if pair and pair.split("=")[0] not in drop]
    return {**request, "path": f"{path}?{'&'.join([*kept, 'from=0', f'size={hits}'])}"}
