"""What happens when something goes wrong: the client gets the cluster's own answer, or the cluster's own failure."""

import json
import shutil
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import DIRECT
from data import COMMON, MODEL, WINDOW
from kinds import NEWEST

import answers
from wire import ScriptedServer, raw_connection, read_head, replying, send

pytestmark = [pytest.mark.skipif(DIRECT, reason="needs a proxy"), pytest.mark.engines(*NEWEST)]

SEARCH = {"query": {"match": {"text": COMMON}}}
MEBIBYTE = 1 << 20


def canned(hits: int = 5) -> bytes:
    """A search answer as an engine would send it."""
    listed = [
        {"_index": "passages", "_id": str(n), "_score": float(hits - n), "_source": {"title": "t", "text": f"water {n}"}}
        for n in range(hits)
    ]
    total = {"value": hits, "relation": "eq"}
    body = json.dumps({"took": 1, "hits": {"total": total, "max_score": float(hits), "hits": listed}}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def assert_error_in_the_engines_shape(answer, status):
    assert answer.status == status, answer.text[:500]
    assert answer.header("content-type").startswith("application/json")
    error = answer.json()
    assert error["status"] == status
    assert error["error"]["type"] and error["error"]["reason"]
    assert error["error"]["root_cause"][0].keys() >= {"type", "reason"}


def test_a_budget_of_one_millisecond_leaves_the_clusters_order(cluster, proxy_before):
    hasty = proxy_before(cluster.engine, budget="1ms")
    for n in range(5):
        query = {"query": {"match": {"text": f"{COMMON} {n} {'never seen before ' * 20}"}}, "size": WINDOW}
        direct = send(cluster.engine, "POST", "/passages/_search", query)
        through = send(hasty.url, "POST", "/passages/_search", query)
        header = answers.rerank_header(through)
        if header["outcome"] == "skipped":
            assert header["reason"] == "budget"
            assert answers.normalised(through.body) == answers.normalised(direct.body)
        else:
            # Not even a millisecond is always too short for the first pair; the order still cannot have lost a hit.
            assert header["budget-hit"] is True and header["scored"] < WINDOW, header
            assert sorted(answers.ids(through)) == sorted(answers.ids(direct))


def test_a_budget_of_one_millisecond_does_not_delay_a_search(cluster, proxy_before):
    hasty = proxy_before(cluster.engine, budget="1ms")
    send(hasty.url, "POST", "/passages/_search", SEARCH)

    def median(url):
        times = []
        for n in range(15):
            began = time.monotonic()
            send(url, "POST", "/passages/_search", {"query": {"match": {"text": f"{COMMON} {n}"}}, "size": WINDOW})
            times.append(time.monotonic() - began)
        return sorted(times)[len(times) // 2]

    assert median(hasty.url) < median(cluster.engine) + 0.1


@pytest.mark.parametrize("damage", ["cut short", "overwritten", "missing"])
def test_a_damaged_model_costs_the_client_nothing(damage, tmp_path):
    """A proxy that refuses to start says why; one that starts passes searches through and says so."""
    from data import config
    from proxy import start

    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    weights = max(model.rglob("*.onnx"), key=lambda path: path.stat().st_size)
    content = weights.read_bytes()
    if damage == "cut short":
        weights.write_bytes(content[: len(content) // 3])
    elif damage == "overwritten":
        weights.write_bytes(b"this is no model " * 1000)
    else:
        weights.unlink()
    with ScriptedServer(replying(canned())) as upstream:
        try:
            proxy = start(config(upstream.url, model=model))
        except RuntimeError as refused:
            assert "panicked" not in str(refused)
            assert str(model) in str(refused), "the message names the model"
            return
        with proxy:
            through = send(proxy.url, "POST", "/passages/_search", SEARCH)
            assert through.body == canned().partition(b"\r\n\r\n")[2]
            assert answers.rerank_header(through) == {"outcome": "skipped", "reason": "model-unavailable"}


def test_nothing_listens_upstream(proxy_before):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    proxy = proxy_before(url)
    assert_error_in_the_engines_shape(send(proxy.url, "GET", "/_cat/indices"), 502)
    assert_error_in_the_engines_shape(send(proxy.url, "POST", "/passages/_search", SEARCH), 502)
    assert_error_in_the_engines_shape(send(proxy.url, "PUT", "/passages/_doc/1", {"title": "x"}), 502)


def test_the_upstream_is_killed_and_comes_back(proxy_before):
    upstream = ScriptedServer(replying(canned()))
    proxy = proxy_before(upstream.url)
    assert answers.rerank_header(send(proxy.url, "POST", "/passages/_search", SEARCH))["outcome"] == "applied"
    upstream.kill()
    for _ in range(3):
        assert_error_in_the_engines_shape(send(proxy.url, "POST", "/passages/_search", SEARCH), 502)
    with ScriptedServer(replying(canned()), port=upstream.port):
        assert answers.rerank_header(send(proxy.url, "POST", "/passages/_search", SEARCH))["outcome"] == "applied"


def test_an_upstream_that_hangs_up_without_a_word(proxy_before):
    def hang_up(connection, server):
        read_head(connection)

    with ScriptedServer(hang_up) as upstream:
        proxy = proxy_before(upstream.url)
        assert_error_in_the_engines_shape(send(proxy.url, "POST", "/passages/_search", SEARCH), 502)
        assert_error_in_the_engines_shape(send(proxy.url, "GET", "/_cat/indices"), 502)


def test_an_upstream_that_drops_the_wider_search_answers_the_clients_own(proxy_before):
    def drop_the_wider(connection, server):
        while (head := read_head(connection)[0]).endswith(b"\r\n\r\n"):
            server.heads.append(head)
            if b"size=2 " not in head:
                return
            connection.sendall(canned(2))

    with ScriptedServer(drop_the_wider) as upstream:
        proxy = proxy_before(upstream.url)
        answer = send(proxy.url, "GET", "/passages/_search?q=text:water&size=2")
        assert (answer.status, answer.body) == (200, canned(2).partition(b"\r\n\r\n")[2])
        assert answers.rerank_header(answer) == {"outcome": "skipped", "reason": "upstream-error"}
        assert len(upstream.heads) == 2, "the wider one, and the client's own"


def test_an_upstream_that_talks_nonsense(proxy_before):
    def nonsense(connection, server):
        read_head(connection)
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    with ScriptedServer(nonsense) as upstream:
        proxy = proxy_before(upstream.url)
        assert_error_in_the_engines_shape(send(proxy.url, "POST", "/passages/_search", SEARCH), 502)


def test_an_answer_that_breaks_off_is_not_passed_off_as_whole(proxy_before):
    """A truncated search answer is the cluster's failure; a truncated download ends the connection early."""

    def break_off(connection, server):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"hits\":")

    with ScriptedServer(break_off) as upstream:
        proxy = proxy_before(upstream.url)
        with raw_connection(proxy.url) as client:
            client.sendall(b"GET /_cat/indices HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            data = b""
            while piece := client.recv(65536):
                data += piece
        assert len(data.partition(b"\r\n\r\n")[2]) < 1000
        body = json.dumps(SEARCH).encode()
        with raw_connection(proxy.url) as client:
            head = b"POST /passages/_search HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
            client.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
            data = b""
            while piece := client.recv(65536):
                data += piece
        status = data.split(b" ")[1] if data else b"none"
        assert status in (b"502", b"none") or len(data.partition(b"\r\n\r\n")[2]) < 1000


def test_answers_that_are_no_search_answers_pass_as_they_are(proxy_before):
    for body in (b"", b"{}", b"[]", b"null", b'{"hits":[]}', b'{"hits":{"hits":3}}', b'{"hits":{"hits":[1,2]}}', b"{oops"):
        reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        with ScriptedServer(replying(reply)) as upstream:
            answer = send(proxy_before(upstream.url).url, "POST", "/passages/_search", SEARCH)
        assert (answer.status, answer.body) == (200, body)
        assert answers.rerank_header(answer)["outcome"] == "skipped"


@pytest.mark.parametrize("path", ["/passages/_search", "/_cat/indices"])
def test_a_client_that_leaves_ends_the_request_upstream(proxy_before, path):
    def hang(connection, server):
        read_head(connection)
        server.arrived.set()
        try:
            if connection.recv(1) == b"":
                server.closed_by_peer.set()
        except ConnectionError:
            server.closed_by_peer.set()

    with ScriptedServer(hang) as upstream:
        proxy = proxy_before(upstream.url)
        with raw_connection(proxy.url) as client:
            client.sendall(f"GET {path}?q=water HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            assert upstream.arrived.wait(10)
        assert upstream.closed_by_peer.wait(10), "the connection to the upstream is closed"


def test_an_answer_of_forty_megabytes(cluster):
    filler = "x" * (4 * MEBIBYTE)
    send(cluster.engine, "DELETE", "/big")
    mapping = {"properties": {"title": {"type": "text"}, "filler": {"type": "object", "enabled": False}}}
    made = send(cluster.engine, "PUT", "/big", {"settings": {"number_of_shards": 1}, "mappings": mapping})
    assert made.status == 200, made.text
    try:
        for n in range(10):
            document = {"title": f"the water in the house {'warm ' * n}", "filler": {"of": filler}}
            stored = send(cluster.engine, "PUT", f"/big/_doc/{n}", document)
            assert stored.status == 201, stored.text[:300]
        send(cluster.engine, "POST", "/big/_refresh")
        query = {"query": {"match": {"title": "warm water in the house"}}}
        direct = send(cluster.engine, "POST", "/big/_search", query)
        through = send(cluster.proxy, "POST", "/big/_search", query)
    finally:
        send(cluster.engine, "DELETE", "/big")
    assert through.status == 200
    assert len(through.body) > 40 * MEBIBYTE
    assert sorted(hit.masked for hit in answers.page(through.text).hits) == sorted(
        hit.masked for hit in answers.page(direct.text).hits
    )
    header = answers.rerank_header(through)
    if header["outcome"] == "skipped":
        assert header["reason"] == "too-large"
        assert answers.normalised(through.body) == answers.normalised(direct.body)


def test_a_large_search_body(cluster):
    """Larger than any query a person writes, as programs do."""
    clauses = [{"term": {"number": n % 100}} for n in range(900)]
    body = {"query": {"bool": {"must": {"match": {"text": COMMON}}, "should": clauses}}, "size": 3}
    body["query"]["bool"]["must"]["match"]["text"] = f"{COMMON} {'water ' * 500}"
    direct = send(cluster.engine, "POST", "/passages/_search", body)
    through = send(cluster.proxy, "POST", "/passages/_search", body)
    assert through.status == direct.status


def test_two_hundred_searches_at_once(cluster):
    queries = [f"{COMMON} {word}" for word in ("sea", "train", "park", "light", "sky", "food", "garden", "boat")]
    windows = {}
    for query in queries:
        direct = send(cluster.engine, "POST", "/passages/_search", {"query": {"match": {"text": query}}, "size": WINDOW})
        windows[query] = answers.ids(direct)
    begin = threading.Event()

    def ask(n):
        query = queries[n % len(queries)]
        begin.wait()
        answer = send(
            cluster.proxy, "POST", "/passages/_search", {"query": {"match": {"text": query}}, "size": WINDOW}, timeout=180
        )
        return query, answer

    before = cluster.process.resident_bytes()
    with ThreadPoolExecutor(200) as clients:
        asked = [clients.submit(ask, n) for n in range(200)]
        begin.set()
        outcomes = [future.result() for future in asked]
    for query, answer in outcomes:
        assert answer.status == 200, answer.text[:300]
        header = answers.rerank_header(answer)
        if header["outcome"] == "applied":
            assert sorted(answers.ids(answer)) == sorted(windows[query])
        else:
            assert header["reason"] in ("overloaded", "budget"), header
            assert answers.ids(answer) == windows[query]
    assert sum(answers.rerank_header(answer)["outcome"] == "applied" for _, answer in outcomes) > 0
    assert send(cluster.proxy, "GET", "/_rerank/health").status == 200
    assert answers.rerank_header(send(cluster.proxy, "POST", "/passages/_search", SEARCH))["outcome"] == "applied"
    assert cluster.process.resident_bytes() - before < 256 * MEBIBYTE


def test_a_client_that_leaves_while_its_search_is_scored_harms_nobody(cluster):
    body = json.dumps({"query": {"match": {"text": f"{COMMON} gone before the answer"}}}).encode()
    head = b"POST /passages/_search HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    for _ in range(20):
        with raw_connection(cluster.proxy) as client:
            client.sendall(head % len(body) + body)
    answer = send(cluster.proxy, "POST", "/passages/_search", SEARCH)
    assert answers.rerank_header(answer)["outcome"] == "applied"
