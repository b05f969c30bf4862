"""A Hub of one repository, and the storage that it sends to for large files, as the public API answers. It is held to that by the official
client, which the tests have read it as well."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "acme/tiny"
REFUSED = {
    "acme/gated": (403, "GatedRepo"),
    "acme/nothing": (404, "RepoNotFound"),
}


class ScriptedHub:
    """Serves `files`, {path: bytes}; of those that end in .onnx the storage has the bytes. `asked` has (host, path, headers)."""

    def __init__(self, files):
        self.files, self.asked = files, []
        self.storage = self._serve(self._stored)
        self.hub = self._serve(self._answered)
        self.url = self._url(self.hub)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in (self.hub, self.storage):
            server.shutdown()
            server.server_close()

    @staticmethod
    def _url(server):
        return f"http://127.0.0.1:{server.server_address[1]}"

    def _serve(self, answer):
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                asked.append((self.headers["Host"], self.path, self.headers))
                status, headers, body = answer(self.path, self.headers)
                self.send_response(status)
                headers.setdefault("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        return server

    def _answered(self, path, _):
        for repository, (status, code) in REFUSED.items():
            if f"/{repository}/" in path:
                return self._refusal(status, code)
        if path.startswith(f"/api/models/{REPOSITORY}"):
            return self._description(path)
        _, _, rest = path.partition(f"/{REPOSITORY}/resolve/")
        revision, _, name = rest.partition("/")
        if revision not in ("main", COMMIT):
            return self._refusal(404, "RevisionNotFound")
        if name not in self.files:
            return self._refusal(404, "EntryNotFound")
        body = self.files[name]
        if not name.endswith(".onnx"):
            return 200, {"ETag": f'"{git_blob(body)}"', "X-Repo-Commit": COMMIT}, body
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        # By a name, since the official client takes another port of the same host for the Hub itself.
        location = f"http://localhost:{self.storage.server_address[1]}/repos/{name}?X-Amz-Signature=s1gned"
        headers = {"Location": location, "X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(body)), "X-Linked-ETag": etag}
        return 302, headers, b"Found. Redirecting"

    def _description(self, path):
        if "/tree/" in path:
            entries = [entry(name, body) for name, body in self.files.items()]
            return 200, {"Content-Type": "application/json"}, json.dumps(entries).encode()
        revision = path.partition("/revision/")[2].partition("?")[0]
        if revision not in ("", "main", COMMIT):
            return self._refusal(404, "RevisionNotFound")
        siblings = [sibling(name, body) for name, body in self.files.items()]
        described = {"_id": "1", "id": REPOSITORY, "modelId": REPOSITORY, "sha": COMMIT, "private": False, "tags": [], "siblings": siblings}
        return 200, {"Content-Type": "application/json"}, json.dumps(described).encode()

    def _stored(self, path, headers):
        if "X-Amz-Signature=s1gned" not in path or "Authorization" in headers:
            return 403, {}, b"SignatureDoesNotMatch"
        body = self.files[path.partition("?")[0].removeprefix("/repos/")]
        if not (wanted := headers["Range"]):
            return 200, {"Accept-Ranges": "bytes"}, body
        first = int(wanted.removeprefix("bytes=").partition("-")[0])
        return 206, {"Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"}, body[first:]

    @staticmethod
    def _refusal(status, code):
        return status, {"X-Error-Code": code, "X-Error-Message": "Sorry."}, b'{"error": "Sorry."}'


def git_blob(body):
    return hashlib.sha1(f"blob {len(body)}\0".encode() + body).hexdigest()


def sibling(name, body):
    described = {"rfilename": name, "size": len(body), "blobId": git_blob(body)}
    if name.endswith(".onnx"):
        described["lfs"] = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 134}
    return described


def entry(name, body):
    """A file as the tree of the repository has it, which the official client asks for in place of the description's."""
    described = sibling(name, body)
    listed = {"type": "file", "path": name, "size": len(body), "oid": described["blobId"]}
    if "lfs" in described:
        listed["lfs"] = {"oid": described["lfs"]["sha256"], "size": len(body), "pointerSize": 134}
    return listed
