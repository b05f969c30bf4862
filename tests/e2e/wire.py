"""HTTP as it is on the wire: a client that changes nothing, and servers that say exactly what a test tells them to.

Libraries tidy up paths, headers and framing; a transparent proxy is tested with code that does not."""

import contextlib
import gzip
import http.client
import json
import socket
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"}


@dataclass
class Answer:
    """What came back, unprocessed."""

    status: int
    reason: str
    headers: list
    body: bytes

    def header(self, name: str):
        """The value of the header, several joined by a comma, or None."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None

    @property
    def plain_body(self) -> bytes:
        """The body without its content coding."""
        return gzip.decompress(self.body) if self.header("content-encoding") == "gzip" else self.body

    @property
    def text(self) -> str:
        return self.plain_body.decode("utf-8")

    def json(self):
        return json.loads(self.plain_body)


def send(url: str, method: str, path: str, body=None, headers=None, timeout: float = 60, tls=None) -> Answer:
    """One request on a connection of its own. `body` may be bytes, text, or anything JSON can say; `tls` is whom an https URL trusts."""
    split = urlsplit(url)
    if split.scheme == "https":
        connection = http.client.HTTPSConnection(split.hostname, split.port, timeout=timeout, context=tls)
    else:
        connection = http.client.HTTPConnection(split.hostname, split.port, timeout=timeout)
    pairs = list((headers or {}).items())
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
        if not any(key.lower() == "content-type" for key, _ in pairs):
            pairs.append(("Content-Type", "application/json"))
    if isinstance(body, str):
        body = body.encode()
    connection.putrequest(method, path, skip_accept_encoding=True)
    for key, value in pairs:
        connection.putheader(key, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    try:
        answer = connection.getresponse()
        return Answer(answer.status, answer.reason, answer.getheaders(), answer.read())
    finally:
        connection.close()


def address(url: str):
    split = urlsplit(url)
    return split.hostname, split.port


def read_head(stream: socket.socket) -> "tuple[bytes, bytes]":
    """Everything up to and with the empty line, and what was read beyond it."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = stream.recv(65536)
        if not piece:
            return data, b""
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def header_lines(head: bytes) -> "list[tuple[str, str]]":
    """The header lines of a head, names in lower case, in their order."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]


class ScriptedServer:
    """An upstream that runs `script(connection, server)` on each connection on which something is said, in a thread of its own."""

    def __init__(self, script, port: int = 0):
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", port))
        self._connections = []
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.heads = []
        self.arrived = threading.Event()
        self.closed_by_peer = threading.Event()
        self.release = threading.Event()
        self.errors = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            connection.settimeout(120)
            try:
                # Whether a cluster is there is looked for by connecting, and no more.
                if connection.recv(1, socket.MSG_PEEK):
                    self._script(connection, self)
            except Exception as error:  # shown by the test that looks
                self.errors.append(error)

    def close(self):
        """Takes no new connections; those that are open go on."""
        self.release.set()
        with contextlib.suppress(OSError):  # wakes the thread that waits in accept()
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def kill(self):
        """Ends it as a killed process ends: every connection is gone."""
        self.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def read_request(connection: socket.socket) -> bytes | None:
    """The head of the next request, whose body is read by Content-Length; None where no whole head comes."""
    head, rest = read_head(connection)
    if not head.endswith(b"\r\n\r\n"):
        return None
    length = int(dict(header_lines(head)).get("content-length", 0))
    while len(rest) < length:
        rest += connection.recv(65536)
    return head


def replying(answer: bytes):
    """A script that records each request's head and replies `answer`."""

    def script(connection, server):
        while head := read_request(connection):
            server.heads.append(head)
            server.arrived.set()
            connection.sendall(answer)
            if dict(header_lines(head)).get("connection", "").lower() == "close":
                return

    return script


@contextlib.contextmanager
def raw_connection(url: str, timeout: float = 30):
    """A plain socket to the server behind `url`."""
    with socket.create_connection(address(url), timeout=timeout) as stream:
        yield stream


def read_all(stream: socket.socket) -> bytes:
    data = b""
    while piece := stream.recv(65536):
        data += piece
    return data
