"""A scenario's request to Solr, page by page: where it says `start` and `rows`, and how it is asked for other ones."""

from urllib.parse import parse_qsl, unquote, urlsplit

from data import window_of
from searches import Search

# The JSON request API's own names, in a body and as parameters.
IN_JSON = {"offset": "start", "limit": "rows"}
PAGE = ("start", "rows", "json.offset", "json.limit")


class SolrSearch(Search):
    """The variants of a scenario's request to Solr."""

    filtered = False

    def __init__(self, scenario):
        self.request = scenario["request"]
        self.direct = self.request | scenario.get("direct", {})
        self._whole = scenario.get("whole", {})
        self._reprinted = scenario.get("reprinted", False)
        self.start, self.size = _page_of(self.request | self._whole)
        # In "/solr/passages/select" and "/api/collections/passages/select" alike.
        self._collection = urlsplit(self.request["path"]).path.strip("/").split("/")[-2:][0]
        self.window = window_of(self._collection)

    def whole(self, hits, of="request"):
        return _with_page(getattr(self, of) | self._whole, hits)

    def scored(self, hits):
        """The whole as the proxy is asked, each hit with its id and its score."""
        whole = self.whole(hits)
        return whole | {"path": f"{whole['path']}&fl=id,score"}

    def scored_by(self, text, ids):
        """These documents, scored by the proxy against this text."""
        return {
            "method": "POST",
            "path": f"/solr/{self._collection}/select",
            "headers": {"X-Rerank-Query": text},
            "body": {"query": "{!terms f=id}" + ",".join(ids), "fields": "id,score", "limit": len(ids)},
        }


def _page_of(request):
    """(start, rows): JSON wins over the URL, the URL over a form."""
    said = {"start": 0, "rows": 10}
    body = request.get("body")
    url = parse_qsl(urlsplit(request["path"]).query)
    places = [parse_qsl(body) if isinstance(body, str) else [], url]
    places.append((IN_JSON.get(key.removeprefix("json.")), value) for key, value in url if key.startswith("json."))
    if isinstance(body, dict):
        places += [body.get("params", {}).items(), ((IN_JSON.get(key, key), value) for key, value in body.items())]
    for place in places:
        said |= {key: int(value) for key, value in place if key in said and str(value).isdecimal()}
    return said["start"], said["rows"]


def _with_page(request, hits):
    path, _, query = request["path"].partition("?")
    kept = [pair for pair in query.split("&") if pair and unquote(pair.split("=")[0]) not in PAGE]
    whole = {**request, "path": f"{path}?{'&'.join([*kept, 'start=0', f'rows={hits}'])}"}
    if isinstance(request.get("body"), dict):
        body = {key: value for key, value in request["body"].items() if key not in IN_JSON}
        if "params" in body:
            body["params"] = {key: value for key, value in body["params"].items() if key not in PAGE}
        whole["body"] = body
    return whole
