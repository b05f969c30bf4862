"""What happens when something goes wrong before Solr: the client gets Solr's own answer, or an error in Solr's shape."""

import json
import socket
from urllib.parse import quote_plus

import pytest
from conftest import DIRECT
from data import COMMON, WINDOW

import answers
from wire import ScriptedServer, read_head, send

pytestmark = [pytest.mark.skipif(DIRECT, reason="needs a proxy"), pytest.mark.engines("solr")]

SEARCH = f"/solr/passages/select?q={quote_plus(COMMON)}&fl=*,score&rows=5"


def reply(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %s\r\ncontent-type: application/json;charset=utf-8\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def found(hits: int, **header) -> bytes:
    """A search answer as Solr would send it."""
    listed = [{"id": f"d{n}", "title": "t", "text": f"water {n}", "score": float(hits - n)} for n in range(hits)]
    response = {"numFound": hits, "start": 0, "maxScore": float(hits), "numFoundExact": True, "docs": listed}
    return json.dumps({"responseHeader": {"status": 0, "QTime": 1, **header}, "response": response}).encode()


def assert_error_in_solrs_shape(answer, status):
    assert answer.status == status, answer.text[:500]
    assert answer.header("content-type").startswith("application/json")
    error = answer.json()
    assert error["responseHeader"]["status"] == error["error"]["code"] == status
    assert error["error"]["msg"]


def solr(own: bytes, window: bytes):
    """A script that answers a search for the window in one way and any other in another way, and knows no defaults."""

    def script(connection, server):
        while (head := read_head(connection)[0]).endswith(b"\r\n\r\n"):
            if b"echoParams=all" in head:
                connection.sendall(reply(b'{"responseHeader":{"status":0,"params":{"echoParams":"all"}}}'))
                continue
            server.heads.append(head)
            connection.sendall(window if b"rows=%d" % WINDOW in head else own)

    return script


def test_nothing_listens_upstream(proxy_before):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    proxy = proxy_before(url, family="solr")
    assert_error_in_solrs_shape(send(proxy.url, "GET", SEARCH), 502)
    assert_error_in_solrs_shape(send(proxy.url, "GET", "/solr/admin/collections?action=LIST"), 502)
    assert_error_in_solrs_shape(send(proxy.url, "POST", "/solr/passages/update", [{"id": "x"}]), 502)


def test_an_upstream_that_hangs_up_without_a_word(proxy_before):
    with ScriptedServer(lambda connection, server: read_head(connection)) as upstream:
        proxy = proxy_before(upstream.url, family="solr")
        assert_error_in_solrs_shape(send(proxy.url, "GET", SEARCH), 502)


def test_answers_that_are_no_search_answers_pass_as_they_are(proxy_before):
    bodies = (b"", b"{}", b"[]", b"null", b'{"response":[]}', b'{"response":{"docs":3}}', b'{"response":{"docs":[1,2]}}', b"{oops")
    for body in bodies:
        with ScriptedServer(solr(reply(body), reply(body))) as upstream:
            answer = send(proxy_before(upstream.url, family="solr").url, "GET", SEARCH)
        assert (answer.status, answer.body) == (200, body)
        assert answers.rerank_header(answer)["outcome"] == "skipped"


@pytest.mark.parametrize(
    "wide, reason",
    [
        (reply(found(20, partialResults=True)), "partial"),
        (reply(b'{"responseHeader":{"status":400},"error":{"msg":"too wide","code":400}}', b"400 Bad Request"), "upstream-error"),
    ],
)
def test_a_window_that_solr_cannot_give_leaves_the_client_its_own_page(proxy_before, wide, reason):
    own = found(5)
    with ScriptedServer(solr(reply(own), wide)) as upstream:
        answer = send(proxy_before(upstream.url, family="solr").url, "GET", SEARCH)
        assert any(b"rows=%d" % WINDOW in head for head in upstream.heads), "the window was asked for"
    assert (answer.status, answer.body) == (200, own)
    assert answers.rerank_header(answer) == {"outcome": "skipped", "reason": reason}


def test_a_budget_of_one_millisecond_leaves_solrs_order(cluster, proxy_before):
    hasty = proxy_before(cluster.engine, family="solr", budget="1ms")
    for n in range(5):
        path = f"/solr/passages/select?q={quote_plus(f'{COMMON} {n} ' + 'never seen before ' * 20)}&rows={WINDOW}"
        direct, through = send(cluster.engine, "GET", path), send(hasty.url, "GET", path)
        header = answers.rerank_header(through)
        if header["outcome"] == "skipped":
            assert header["reason"] == "budget"
            assert answers.normalised(through.body) == answers.normalised(direct.body)
        else:
            assert header["budget-hit"] is True and header["scored"] < WINDOW, header
            assert sorted(answers.ids(through)) == sorted(answers.ids(direct))


def test_the_window_is_asked_for_once_and_with_the_clients_own_headers(proxy_before):
    headers = {"Authorization": "Basic c29scjpTb2xyUm9ja3M=", "User-Agent": "a client"}
    with ScriptedServer(solr(reply(found(5)), reply(found(20)))) as upstream:
        answer = send(proxy_before(upstream.url, family="solr").url, "GET", SEARCH, headers=headers)
        [head] = upstream.heads
    assert answers.rerank_header(answer)["outcome"] == "applied"
    assert len(answers.ids(answer)) == 5
    for name, value in headers.items():
        assert f"{name}: {value}".lower().encode() in head.lower()
