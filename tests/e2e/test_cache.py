"""Proxies that share their scores through a real Redis: what one has computed, the other does not compute again, and
whatever becomes of Redis, searches are answered as if it were not there."""

import itertools
import json
import re
import time

import pytest
from conftest import DIRECT

import answers
import proxy as proxy_control
from bundled import MODELS, VARIANTS, cluster_of
from data import CORPUS, MODEL
from wire import send

pytestmark = pytest.mark.skipif(DIRECT, reason="needs a proxy")

CROSS_ENCODER = MODELS / "tiny-deberta-v2"
SETTLES_WITHIN_SECONDS = 120

PASSAGES = [json.loads(line)["text"] for line in CORPUS.read_text().splitlines() if line.strip()][:20]


@pytest.fixture(scope="module")
def cluster_of_passages():
    """A cluster that answers every search with all the passages."""
    with cluster_of(PASSAGES) as upstream:
        yield upstream


@pytest.fixture
def replica(cluster_of_passages):
    """Starts proxies that know no score: `replica(redis)`. They are patient, so that no test depends on speed."""
    started = []

    def start(redis, folder=CROSS_ENCODER, variant=None, url=None, timeout="20s", size="64MiB", ttl="1day"):
        variant = f'variant = "{variant}"' if variant else ""
        config = f"""
            [server]
            listen = "127.0.0.1:0"
            [upstream]
            url = "{cluster_of_passages.url}"
            [cache]
            size = "{size}"
            redis = {{ url = "{url or redis.url}", timeout = "{timeout}", ttl = "{ttl}", prefix = "tests:" }}
            [models.m]
            path = "{folder}"
            {variant}
            [[rules]]
            index = "*"
            fields = ["text"]
            budget = "10m"
        """
        started.append(proxy_control.start(config))
        return started[-1].ready()

    yield start
    for proxy in started:
        if proxy.process.poll() is None:
            proxy.stop()


def metric(proxy, name: str, **labels) -> float:
    """The value of one metric, 0 where it has none yet."""
    text = send(proxy.url, "GET", "/_rerank/metrics").text
    shown = ",".join(f'{key}="{value}"' for key, value in labels.items())
    found = re.search(rf"^rerank_proxy_{name}(?:{{{re.escape(shown)}}})? (\S+)$", text, re.MULTILINE)
    return float(found.group(1)) if found else 0


def shared(proxy, name: str) -> float:
    return metric(proxy, f"cache_{name}", level="shared")


def eventually(condition) -> None:
    deadline = time.monotonic() + SETTLES_WITHIN_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "this does not come true"
        time.sleep(0.02)


def connected(proxy) -> bool:
    return shared(proxy, "connected") == 1


def search(proxy, query: str = "how to keep bread fresh", expect_cached: "int | None" = None):
    """Searches, makes sure that the whole answer is reranked, and returns it."""
    answer = send(proxy.url, "POST", "/i/_search", {"query": {"match": {"text": query}}, "size": len(PASSAGES)}, timeout=600)
    header = answers.rerank_header(answer)
    assert header["outcome"] == "applied", header
    assert (header["scored"], header["budget-hit"]) == (len(PASSAGES), False), header
    if expect_cached is not None:
        assert header["cached"] == expect_cached, header
    return answer


def filled(redis, replica, folder=CROSS_ENCODER, variant=None):
    """Has one proxy fill the cache, and returns the proxy and its answer."""
    proxy = replica(redis, folder, variant)
    eventually(lambda: connected(proxy))
    answer = search(proxy, expect_cached=0)
    entries = len(PASSAGES) + (folder == MODEL)  # of a bi-encoder also the query's vector
    eventually(lambda: shared(proxy, "stored_total") == entries)
    assert redis.ask("DBSIZE") == entries
    return proxy, answer


@pytest.mark.parametrize(("folder", "variant"), VARIANTS)
def test_what_one_proxy_has_computed_another_finds_bit_for_bit(redis, replica, folder, variant):
    _, first = filled(redis, replica, folder, variant)
    other = replica(redis, folder, variant)
    eventually(lambda: connected(other))
    assert search(other, expect_cached=len(PASSAGES)).body == first.body
    assert metric(other, "pairs_total", origin="model") == 0
    assert shared(other, "hits_total") == redis.ask("DBSIZE")
    assert shared(other, "stored_total") == 0, "what came from there is not written again"


def test_redis_is_asked_once_a_search_and_not_at_all_for_what_is_in_memory(redis, replica):
    filled(redis, replica)
    other = replica(redis)
    eventually(lambda: connected(other))

    def look_ups() -> int:
        found = re.search(rb"cmdstat_mget:calls=(\d+)", redis.ask("INFO", "commandstats"))
        return int(found.group(1))

    before = look_ups()
    for _ in range(3):
        search(other, expect_cached=len(PASSAGES))
    assert look_ups() == before + 1
    memory = [metric(other, f"cache_{name}_total", level="memory") for name in ("hits", "misses")]
    assert memory == [2 * len(PASSAGES), len(PASSAGES)]


def test_models_and_queries_do_not_mix(redis, replica):
    filled(redis, replica, CROSS_ENCODER, "model")
    other = replica(redis, CROSS_ENCODER, "model_quantized")
    eventually(lambda: connected(other))
    search(other, expect_cached=0)
    search(other, "another query", expect_cached=0)
    search(other, "  another \n query ", expect_cached=len(PASSAGES))


def test_only_hashes_and_numbers_are_kept_and_for_a_while(redis, replica):
    filled(redis, replica)
    for name in redis.ask("KEYS", "*"):
        assert re.fullmatch(rb"tests:2:[\w-]{22}", name), name
        # The number of tokens takes a second byte from 128 on.
        assert len(redis.ask("GET", name)) in (10, 11)
        assert 0 < redis.ask("PTTL", name) <= 24 * 60 * 60 * 1000


def test_a_proxy_without_memory_for_scores_lives_on_redis(redis, replica):
    _, first = filled(redis, replica)
    other = replica(redis, size="0B")
    eventually(lambda: connected(other))
    for _ in range(2):
        assert search(other, expect_cached=len(PASSAGES)).body == first.body


def test_what_somebody_else_put_there_is_computed_anew(redis, replica):
    _, first = filled(redis, replica)
    names = redis.ask("KEYS", "*")
    another_s = redis.ask("GET", names[0])
    cut_off = redis.ask("GET", names[1])[:-1]
    damaged = [b"", b"garbage", b"\x00" * 9, b"x" * 100_000, cut_off, another_s]
    for name, value in zip(names[1:], damaged):
        redis.ask("SET", name, value)
    redis.ask("DEL", names[0])
    redis.ask("RPUSH", names[0], "a", "list")

    other = replica(redis)
    eventually(lambda: connected(other))
    assert search(other, expect_cached=len(PASSAGES) - len(damaged) - 1).body == first.body
    eventually(lambda: shared(other, "stored_total") == len(damaged) + 1)
    third = replica(redis)
    eventually(lambda: connected(third))
    search(third, expect_cached=len(PASSAGES))


def test_searches_go_on_when_redis_is_killed_and_share_again_when_it_is_back(redis, replica):
    proxy, _ = filled(redis, replica)
    redis.kill()
    for number in range(10):
        search(proxy, f"while it is away {number}", expect_cached=0)
    search(proxy, expect_cached=len(PASSAGES))
    eventually(lambda: not connected(proxy))
    eventually(lambda: "fails again and again" in proxy.log())

    redis.start()
    eventually(lambda: connected(proxy))
    search(proxy, "now that it is back", expect_cached=0)
    eventually(lambda: redis.ask("DBSIZE") == len(PASSAGES))
    other = replica(redis)
    eventually(lambda: connected(other))
    search(other, "now that it is back", expect_cached=len(PASSAGES))
    told = [proxy.log().count(what) for what in ("WARN the shared cache fails", "INFO the shared cache is back")]
    assert told == [1, 1], proxy.log()


def test_a_redis_that_is_not_there_at_the_start_is_no_error(stopped_redis, replica):
    proxy = replica(stopped_redis)
    search(proxy, expect_cached=0)
    search(proxy, expect_cached=len(PASSAGES))
    stopped_redis.start()
    eventually(lambda: connected(proxy))
    search(proxy, "now that it is there", expect_cached=0)
    eventually(lambda: stopped_redis.ask("DBSIZE") == len(PASSAGES))


def test_a_redis_that_never_answers_is_left_alone_after_a_while(redis, replica):
    proxy = replica(redis, timeout="200ms")
    eventually(lambda: connected(proxy))
    search(proxy)
    redis.freeze()
    for number in range(10):
        search(proxy, f"while it is silent {number}", expect_cached=0)
    assert not connected(proxy)
    assert shared(proxy, "failures_total") <= 5, "searches do not wait for what is known to be away"
    redis.thaw()
    eventually(lambda: connected(proxy))
    before, numbers = shared(proxy, "stored_total"), itertools.count()

    def stores_again() -> bool:
        search(proxy, f"now that it answers {next(numbers)}")
        return shared(proxy, "stored_total") > before

    eventually(stores_again)


def test_a_redis_that_takes_nothing_more_still_gives_what_it_has(redis, replica):
    filled(redis, replica)
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    other = replica(redis)
    eventually(lambda: connected(other))
    search(other, expect_cached=len(PASSAGES))
    for query in ("one query", "another query"):
        search(other, query, expect_cached=0)
        eventually(lambda: other.log().count("refuses scores") >= 1)
    eventually(lambda: shared(other, "dropped_total") == 2 * len(PASSAGES))
    assert connected(other)
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    search(other, "a third query", expect_cached=0)
    eventually(lambda: "takes scores again" in other.log())
    assert other.log().count("refuses scores") == 1, other.log()


@pytest.mark.parametrize("password", ["s3cret", "wr0ng"])
def test_a_password_is_used_and_never_logged(redis, replica, password):
    redis.ask("CONFIG", "SET", "requirepass", "s3cret")
    proxy = replica(redis, url=redis.url.replace("//", f"//:{password}@"))
    eventually(lambda: connected(proxy) or "WARN the shared cache fails" in proxy.log())
    assert connected(proxy) == (password == "s3cret")
    search(proxy)
    assert password not in proxy.log()
