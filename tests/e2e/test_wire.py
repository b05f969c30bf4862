"""Bytes on the wire, against an upstream that says exactly what the test tells it to. Needs no engine."""

import socket
import threading
import time

import pytest
from conftest import DIRECT

from wire import (
    HOP_BY_HOP,
    ScriptedServer,
    header_lines,
    raw_connection,
    read_all,
    read_head,
    read_request,
    replying,
    send,
)

pytestmark = pytest.mark.skipif(DIRECT, reason="needs a proxy")

MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30
OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture
def through(proxy_before):
    """Starts a scripted upstream with a proxy in front: `server, proxy = through(script)`."""
    servers = []

    def start(script):
        servers.append(ScriptedServer(script))
        return servers[-1], proxy_before(servers[-1].url)

    yield start
    for server in servers:
        server.close()


def exchange(proxy, request: bytes) -> bytes:
    """Sends raw bytes and reads until the proxy closes."""
    with raw_connection(proxy.url) as client:
        client.sendall(request)
        return read_all(client)


@pytest.mark.parametrize(
    "target",
    [
        "/a/./b/../c%2e%2e//x?q=%20+",
        "//double//slashes//",
        "/%2F%2f/%41%c3%BC/;a=b;c",
        "/caf%e9/%ff",
        "/?",
        "/a?b=c?d=e&&f",
        "/_cat/indices?h=index,health&v=",
        "/products/_doc/a%2Fb%20c+d?routing=x%26y",
        "/a|b/{c}/[d]/\"e\"?`f`",
    ],
)
def test_the_path_arrives_as_it_was_sent(through, target):
    server, proxy = through(replying(OK))
    answer = exchange(proxy, f"GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.heads[0].split(b"\r\n")[0] == f"GET {target} HTTP/1.1".encode()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE", "SEARCH"])
def test_the_method_arrives_as_it_was_sent(through, method):
    server, proxy = through(replying(OK))
    exchange(proxy, f"{method} /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert server.heads[0].startswith(f"{method} /x HTTP/1.1\r\n".encode())


def test_request_headers_keep_their_order_and_repetitions_and_nothing_is_added(through):
    server, proxy = through(replying(OK))
    sent = [
        ("host", "search.example:9200"),
        ("user-agent", "curl/8"),
        ("x-b", "1"),
        ("x-a", "2"),
        ("x-b", "3"),
        ("authorization", "ApiKey abc=="),
        ("accept", "application/vnd.elasticsearch+json;compatible-with=9"),
        ("x-opaque-id", "  spaces kept inside  and outside trimmed ".strip()),
        ("x-latin", "gr\xfc\xdfe"),
        ("x-empty", ""),
    ]
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent)
    exchange(proxy, f"GET /x HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode("latin-1"))
    arrived = [pair for pair in header_lines(server.heads[0]) if pair[0] not in HOP_BY_HOP]
    assert sorted(arrived) == sorted(sent)
    assert [value for name, value in arrived if name == "x-b"] == ["1", "3"]
    assert list(dict.fromkeys(name for name, _ in arrived)) == list(dict.fromkeys(name for name, _ in sent))


def test_hop_by_hop_request_headers_stay_behind(through):
    server, proxy = through(replying(OK))
    exchange(
        proxy,
        b"GET /x HTTP/1.1\r\nhost: x\r\nconnection: close, x-mine\r\nx-mine: 1\r\nkeep-alive: timeout=5\r\nte: trailers\r\n"
        b"proxy-connection: keep-alive\r\nupgrade: websocket\r\nx-yours: 2\r\n\r\n",
    )
    arrived = dict(header_lines(server.heads[0]))
    assert arrived["x-yours"] == "2"
    assert not {"x-mine", "keep-alive", "proxy-connection", "upgrade"} & set(arrived)
    assert "x-mine" not in arrived.get("connection", "")


def test_response_headers_keep_their_repetitions_and_only_hop_by_hop_ones_stay_behind(through):
    _, proxy = through(
        replying(
            b"HTTP/1.1 201 Created\r\nX-elastic-product: Elasticsearch\r\nwarning: 299 one\r\nx-a: 1\r\nWarning: 299 two\r\n"
            b"Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nLocation: /a/_doc/%C3%BC\r\nx-empty:\r\n"
            b"x-latin: gr\xfc\xdfe\r\ncontent-length: 2\r\n\r\nok"
        )
    )
    head = exchange(proxy, b"GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").partition(b"\r\n\r\n")[0]
    assert head.startswith(b"HTTP/1.1 201 Created\r\n")
    arrived = [pair for pair in header_lines(head) if pair[0] != "connection"]
    assert arrived == [
        ("x-elastic-product", "Elasticsearch"),
        ("warning", "299 one"),
        ("warning", "299 two"),
        ("x-a", "1"),
        ("location", "/a/_doc/%C3%BC"),
        ("x-empty", ""),
        ("x-latin", "gr\xfc\xdfe"),
        ("content-length", "2"),
    ]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body_have_none(through, status):
    _, proxy = through(replying(f"HTTP/1.1 {status}\r\nx-a: 1\r\n\r\n".encode()))
    answer = exchange(proxy, b"GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status}".encode()) and body == b""
    assert "transfer-encoding" not in dict(header_lines(head + b"\r\n"))


def test_head_says_the_length_of_the_body_it_does_not_send(through):
    _, proxy = through(replying(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1234\r\n\r\n"))
    answer = exchange(proxy, b"HEAD /passages HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert dict(header_lines(head + b"\r\n"))["content-length"] == "1234" and body == b""


def closing_on_the_second_request(answer: bytes):
    """A script that answers one request of each connection, and closes it when it has read the next."""

    def script(connection, server):
        for reply in (answer, b""):
            head = read_request(connection)
            if head is None:
                return
            server.heads.append(head)
            connection.sendall(reply)

    return script


def test_a_connection_that_the_upstream_closes_on_the_next_request_costs_a_reader_nothing(through):
    server, proxy = through(closing_on_the_second_request(OK))
    for _ in range(20):
        assert send(proxy.url, "GET", "/_cat/health").body == b"ok"
        assert send(proxy.url, "POST", "/passages/_search", {"query": {"match": {"text": "water"}}}).body == b"ok"
    assert len(server.heads) > 40, "some were sent once more"


def test_what_changes_something_is_sent_once(through):
    server, proxy = through(closing_on_the_second_request(OK))
    for number in range(20):
        answer = send(proxy.url, "POST", f"/{number}/_bulk", b'{"index":{}}\n{}\n')
        assert answer.status in (200, 502)
    assert sorted({head.split(b" ")[1] for head in server.heads}) == sorted(head.split(b" ")[1] for head in server.heads)


@pytest.mark.parametrize(
    "body",
    [
        b"content-length: 10\r\n\r\nhello",
        b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
def test_a_client_that_breaks_off_its_upload_is_told_so_and_the_upstream_is_not_blamed(through, body):
    def hear_out(connection, server):
        while connection.recv(65536):
            pass

    _, proxy = through(hear_out)
    with raw_connection(proxy.url, timeout=10) as client:
        client.sendall(b"POST /_bulk HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + body)
        client.shutdown(socket.SHUT_WR)
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b"the request's body ended early" in answer
    assert "rerank_proxy_upstream_failures_total 0\n" in send(proxy.url, "GET", "/_rerank/metrics").text


def test_connections_to_the_upstream_are_kept_and_used_again(through):
    accepted = []

    def count(connection, server):
        accepted.append(connection)
        replying(OK)(connection, server)

    _, proxy = through(count)
    for _ in range(20):
        assert send(proxy.url, "GET", "/_cat/health").status == 200
    assert len(accepted) <= 2


def test_requests_one_after_another_on_one_connection(through):
    server, proxy = through(replying(OK))
    request = b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n"
    with raw_connection(proxy.url) as client:
        client.sendall(request % 1 + request % 2 + request % 3)
        data = b""
        while data.count(b"\r\n\r\nok") < 3:
            piece = client.recv(65536)
            assert piece, data
            data += piece
    assert [head.split(b" ")[1] for head in server.heads] == [b"/1", b"/2", b"/3"]


def test_expect_100_continue_reaches_the_client_before_the_body_is_sent(through):
    bodies = []

    def upstream(connection, server):
        head, body = read_head(connection)
        server.heads.append(head)
        if "expect" in dict(header_lines(head)):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(body) < 5:
            body += connection.recv(100)
        bodies.append(body)
        connection.sendall(OK)

    _, proxy = through(upstream)
    with raw_connection(proxy.url, timeout=10) as client:
        client.sendall(
            b"PUT /x/_doc/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
        )
        head, rest = read_head(client)
        assert head.startswith(b"HTTP/1.1 100 Continue\r\n")
        client.sendall(b"hello")
        assert (rest + read_all(client)).endswith(b"\r\n\r\nok")
    assert bodies == [b"hello"]


def test_a_search_with_expect_100_continue_is_answered(through):
    _, proxy = through(replying(OK))
    body = b'{"query":{"match":{"text":"water"}}}'
    with raw_connection(proxy.url, timeout=10) as client:
        client.sendall(
            b"POST /passages/_search HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
            b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body)
        )
        head, rest = read_head(client)
        assert head.startswith(b"HTTP/1.1 100 Continue\r\n")
        client.sendall(body)
        assert (rest + read_all(client)).endswith(b"ok")


def read_chunked(connection, data: bytes) -> "tuple[bytes, bytes]":
    """A whole chunked body: its content, and the raw trailer section."""
    content = b""
    while True:
        while b"\r\n" not in data:
            data += connection.recv(65536)
        size, _, data = data.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if length == 0:
            break
        while len(data) < length + 2:
            data += connection.recv(65536)
        content, data = content + data[:length], data[length + 2 :]
    data = b"\r\n" + data
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    return content, data.partition(b"\r\n\r\n")[0]


def test_a_chunked_request_with_trailers_arrives_with_them(through):
    bodies = []

    def upstream(connection, server):
        head, rest = read_head(connection)
        server.heads.append(head)
        bodies.append(read_chunked(connection, rest))
        connection.sendall(OK)

    server, proxy = through(upstream)
    exchange(
        proxy,
        b"POST /_bulk HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\ntrailer: x-checksum\r\n"
        b"te: trailers\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nx-checksum: abc\r\n\r\n",
    )
    assert dict(header_lines(server.heads[0]))["transfer-encoding"] == "chunked"
    content, trailers = bodies[0]
    assert content == b"hello world"
    assert trailers.strip().lower() == b"x-checksum: abc"


def test_a_chunked_answer_with_trailers_arrives_with_them(through):
    _, proxy = through(
        replying(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-checksum\r\n\r\n"
            b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-checksum: abc\r\n\r\n"
        )
    )
    with raw_connection(proxy.url) as client:
        client.sendall(b"GET /x HTTP/1.1\r\nhost: x\r\nte: trailers\r\n\r\n")
        head, rest = read_head(client)
        assert dict(header_lines(head))["transfer-encoding"] == "chunked"
        content, trailers = read_chunked(client, rest)
    assert content == b"hello world"
    assert trailers.strip().lower() == b"x-checksum: abc"


def test_an_answer_without_a_length_ends_with_its_connection(through):
    def upstream(connection, server):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n" + b"z" * 100_000)

    _, proxy = through(upstream)
    answer = send(proxy.url, "GET", "/x")
    assert answer.body == b"z" * 100_000


def test_an_http_1_0_client_is_answered(through):
    _, proxy = through(replying(OK))
    answer = exchange(proxy, b"GET /x HTTP/1.0\r\nhost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.") and answer.endswith(b"\r\n\r\nok")


def test_the_first_bytes_of_an_answer_do_not_wait_for_the_last(through):
    def upstream(connection, server):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        server.release.wait(30)
        connection.sendall(b"4\r\nlast\r\n0\r\n\r\n")

    server, proxy = through(upstream)
    with raw_connection(proxy.url, timeout=10) as client:
        client.sendall(b"GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        data = b""
        while b"first" not in data:
            data += client.recv(65536)
        assert b"last" not in data
        server.release.set()
        assert b"last" in read_all(client)


def test_the_first_bytes_of_a_request_do_not_wait_for_the_last(through):
    def upstream(connection, server):
        _, rest = read_head(connection)
        while b"first" not in rest:
            rest += connection.recv(65536)
        server.arrived.set()
        while b"0\r\n\r\n" not in rest:
            rest += connection.recv(65536)
        connection.sendall(OK)

    server, proxy = through(upstream)
    with raw_connection(proxy.url, timeout=10) as client:
        client.sendall(b"POST /_bulk HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
        client.sendall(b"5\r\nfirst\r\n")
        assert server.arrived.wait(10)
        client.sendall(b"4\r\nlast\r\n0\r\n\r\n")
        assert read_all(client).endswith(b"ok")


class Watch:
    """The most memory that a proxy held meanwhile, above what it held before."""

    def __init__(self, proxy):
        self._proxy, self._over, self.growth = proxy, threading.Event(), 0

    def __enter__(self):
        self._before = self._proxy.resident_bytes()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self):
        while not self._over.wait(0.02):
            self.growth = max(self.growth, self._proxy.resident_bytes() - self._before)

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


def test_a_gibibyte_goes_up_in_constant_memory(through):
    received = []

    def upstream(connection, server):
        _, rest = read_head(connection)
        total, buffer = len(rest), bytearray(MEBIBYTE)
        while total < GIBIBYTE:
            total += connection.recv_into(buffer)
        received.append(total)
        connection.sendall(OK)

    _, proxy = through(upstream)
    block = bytes(MEBIBYTE)
    with raw_connection(proxy.url, timeout=120) as client, Watch(proxy) as watch:
        client.sendall(b"POST /_bulk HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % GIBIBYTE)
        for _ in range(GIBIBYTE // MEBIBYTE):
            client.sendall(block)
        assert read_all(client).endswith(b"ok")
    assert received == [GIBIBYTE]
    assert watch.growth < 64 * MEBIBYTE


def test_a_gibibyte_comes_down_in_constant_memory(through):
    def upstream(connection, server):
        read_head(connection)
        block = b"%x\r\n" % MEBIBYTE + bytes(MEBIBYTE) + b"\r\n"
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(GIBIBYTE // MEBIBYTE):
            connection.sendall(block)
        connection.sendall(b"0\r\n\r\n")

    _, proxy = through(upstream)
    with raw_connection(proxy.url, timeout=120) as client, Watch(proxy) as watch:
        client.sendall(b"GET /big HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        total, buffer = 0, bytearray(MEBIBYTE)
        while count := client.recv_into(buffer):
            total += count
    assert total >= GIBIBYTE
    assert watch.growth < 64 * MEBIBYTE


def test_a_slow_reader_does_not_fill_the_proxys_memory(through):
    """Backpressure: who does not read, is not read for."""
    sent = []

    def upstream(connection, server):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % GIBIBYTE)
        connection.settimeout(1)
        try:
            for _ in range(GIBIBYTE // MEBIBYTE):
                connection.sendall(bytes(MEBIBYTE))
                sent.append(MEBIBYTE)
        except (TimeoutError, ConnectionError):
            pass
        server.arrived.set()

    server, proxy = through(upstream)
    with raw_connection(proxy.url) as client, Watch(proxy) as watch:
        client.sendall(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
        assert server.arrived.wait(60)
    assert sum(sent) < GIBIBYTE // 4
    assert watch.growth < 64 * MEBIBYTE


def test_sigterm_lets_a_request_in_flight_finish_and_ends_with_status_0(through):
    def upstream(connection, server):
        read_head(connection)
        server.arrived.set()
        server.release.wait(30)
        connection.sendall(OK)

    server, proxy = through(upstream)
    with raw_connection(proxy.url, timeout=30) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        assert server.arrived.wait(10)
        proxy.terminate()
        refused = wait_until_refused(proxy)
        server.release.set()
        head, rest = read_head(client)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert (rest + read_all(client)).endswith(b"ok")
    assert refused, "no new connection is accepted meanwhile"
    assert proxy.process.wait(30) == 0


def wait_until_refused(proxy) -> bool:
    """Whether the proxy stops taking new connections within a few seconds."""
    for _ in range(100):
        try:
            with raw_connection(proxy.url, timeout=1):
                time.sleep(0.05)
        except OSError:
            return True
    return False


def test_sigterm_does_not_wait_for_idle_connections(through):
    _, proxy = through(replying(OK))
    with raw_connection(proxy.url) as idle:
        idle.sendall(b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n")
        read_head(idle)
        began = time.monotonic()
        proxy.terminate()
        assert proxy.process.wait(30) == 0
        assert time.monotonic() - began < 5


def test_http_2_without_tls_is_understood(through):
    """Prior knowledge: the preface is answered with a SETTINGS frame."""
    _, proxy = through(replying(OK))
    with raw_connection(proxy.url, timeout=10) as client:
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0")
        frame = client.recv(9, socket.MSG_WAITALL)
        assert frame[3] == 4, frame


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nbad header : 1\r\n\r\n",
    ],
)
def test_what_is_no_http_never_reaches_the_upstream_whole_and_harms_nobody(through, request_bytes):
    _, proxy = through(replying(OK))
    with raw_connection(proxy.url, timeout=10) as client:
        client.sendall(request_bytes)
        client.shutdown(socket.SHUT_WR)
        answer = read_all(client)
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"502"), answer
    assert send(proxy.url, "GET", "/x").body == b"ok"
