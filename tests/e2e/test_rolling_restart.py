"""Replicas behind a real HAProxy, under load: restarted one after the other, no request fails; killed, none but what was under way
on its connections, which a client that tries again never notices. Needs no engine."""

import contextlib
import http.client
import json
import threading
import time

import pytest
from conftest import DIRECT
from data import config
from haproxy import free_port
from proxy import Proxy

from wire import ScriptedServer, address, replying, send

pytestmark = pytest.mark.skipif(DIRECT, reason="needs a proxy")

CLIENTS = 4
ROUNDS = 2
SEARCH = json.dumps({"query": {"match": {"text": "water"}}})
READY_WITHIN_SECONDS = 60


def canned() -> bytes:
    """A search answer, which the model puts in another order or leaves as it is; the same for every request."""
    hits = [{"_id": str(n), "_score": 5.0 - n, "_source": {"title": "t", "text": f"water {'deep ' * n}"}} for n in range(5)]
    body = json.dumps({"hits": {"total": {"value": 5}, "max_score": 5.0, "hits": hits}}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


class Replica:
    """A proxy that can be started again at the same addresses."""

    def __init__(self, file):
        self.file, self.port, self.admin_port = str(file), free_port(), free_port()
        self.admin = f"http://127.0.0.1:{self.admin_port}"
        self.served = []

    def start(self) -> "Replica":
        listeners = {
            "RERANK_PROXY_SERVER__LISTEN": f"127.0.0.1:{self.port}",
            "RERANK_PROXY_ADMIN__LISTEN": f"127.0.0.1:{self.admin_port}",
            "RERANK_PROXY_SERVER__DRAIN_DELAY": "2s",
        }
        self.proxy = Proxy("--config", self.file, environment=listeners)
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while send(self.admin, "GET", "/readyz").status != 200:
            assert time.monotonic() < deadline, self.proxy.log()
            time.sleep(0.05)
        return self

    def kill(self) -> None:
        """As `kill -9` and the loss of a machine do it: nothing is said to anybody."""
        self.proxy.process.kill()
        self.proxy.process.wait()

    def stop(self) -> None:
        metrics = send(self.admin, "GET", "/metrics").text
        counts = [line for line in metrics.splitlines() if line.startswith("rerank_proxy_searches_total{")]
        self.served.append(sum(int(line.split()[1]) for line in counts if 'outcome="applied"' in line))
        assert self.proxy.stop() == 0, self.proxy.log()


class Load:
    """Clients that keep their connections, and ask for a search and for what passes through in turn. What fails they ask `again` times."""

    def __init__(self, url: str, again: int = 0):
        self.ended, self.answered, self.repeated, self.failures = threading.Event(), 0, 0, []
        self._url, self._again, self._lock = url, again, threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _run(self):
        client = http.client.HTTPConnection(*address(self._url), timeout=30)
        while not self.ended.is_set():
            for request in (("POST", "/passages/_search", SEARCH), ("GET", "/_cat/indices", None)):
                failure, tries = self._ask(client, *request), 1
                while failure and tries <= self._again:
                    failure, tries = self._ask(client, *request), tries + 1
                with self._lock:
                    self.answered += 1
                    self.repeated += tries - 1
                    if failure:
                        self.failures.append(failure)

    def _ask(self, client, method, path, body):
        """What is wrong with the answer, if something is."""
        try:
            client.request(method, path, body, {"content-type": "application/json"} if body else {})
            answer = client.getresponse()
            hits = json.loads(answer.read())["hits"]["hits"]
            return None if answer.status == 200 and len(hits) == 5 else f"{path}: {answer.status}"
        except Exception as error:  # whatever it is, it is what a client would see
            client.close()
            return f"{path}: {error!r}"

    def wait_for(self, requests: int) -> None:
        """Returns when so many more were answered."""
        before = self.answered
        while self.answered < before + requests:
            time.sleep(0.02)

    def end(self):
        self.ended.set()
        for thread in self._threads:
            thread.join(60)


@contextlib.contextmanager
def loaded_replicas(haproxy, folder, again: int = 0):
    """Two replicas behind a HAProxy, and the load on it, which has ended with the context: not a request of it may have failed."""
    with ScriptedServer(replying(canned())) as upstream:
        file = folder / "rerank.toml"
        file.write_text(config(upstream.url))
        replicas = [Replica(file).start() for _ in range(2)]
        load = None
        try:
            # HAProxy takes its servers as up until it has asked them.
            load = Load(haproxy([(replica.port, replica.admin_port) for replica in replicas]).url, again)
            yield replicas, load
        finally:
            if load:
                load.end()
            for replica in replicas:
                if replica.proxy.process.poll() is None:
                    replica.stop()
        assert not load.failures, f"{len(load.failures)} of {load.answered}: {load.failures[:5]}"


def test_replicas_are_restarted_one_after_the_other_and_no_request_fails(haproxy, tmp_path):
    with loaded_replicas(haproxy, tmp_path) as (replicas, load):
        for _ in range(ROUNDS):
            for replica in replicas:
                load.wait_for(100)
                replica.stop()
                replica.start()
                # As a rollout does it: the next one when this one is seen.
                time.sleep(1)
    assert all(served > 0 for replica in replicas for served in replica.served), [r.served for r in replicas]
    print(f"{load.answered} requests, {ROUNDS * len(replicas)} restarts, no failure")


def test_a_replica_that_is_killed_costs_no_more_than_what_was_under_way_on_it(haproxy, tmp_path):
    with loaded_replicas(haproxy, tmp_path, again=1) as (replicas, load):
        for replica in replicas:
            load.wait_for(200)
            replica.kill()
            # The other one has all the load meanwhile.
            time.sleep(1)
            replica.start()
            time.sleep(1)
    # Each client has one request under way at a time.
    assert load.repeated <= CLIENTS * len(replicas), load.repeated
    print(f"{load.answered} requests, {len(replicas)} kills, {load.repeated} asked once more, no failure")
