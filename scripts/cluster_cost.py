#!/usr/bin/env python3
"""What the wider search costs the cluster: a page of 10 against a window of 100, `_source` and all, in an Elasticsearch of tests/engines.

    cluster_cost.py [--searches 6000]       prints the figures of docs/capacity.md

One client, one connection, searches of three words that were not asked before. Both sizes take turns. The cluster's processor time is
user and system time of its process, all of its threads, as /proc has it: other work on the machine hardly changes it, but does change the latency."""

import argparse
import http.client
import itertools
import json
import os
import random
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/engines"))

from engines import Engine  # noqa: E402

DOCUMENTS = {"1 KB": (1_000, 50_000), "20 KB": (20_000, 5_000)}
SIZES = (10, 100)
TURN = 50
SYLLABLES = ("ba co di fu me ro sa ti".split(), "lan mor net pir qua ver".split(), ["", "e", "ik", "os", "um"])
WORDS = ["".join(parts) for parts in itertools.product(*SYLLABLES)]
WEIGHTS = [1 / place for place in range(1, len(WORDS) + 1)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--searches", type=int, default=6000, help="searches of each size, after as many to warm up (default: 6000)")
    searches = parser.parse_args().searches
    engine = Engine("elasticsearch-9")
    try:
        address = engine.wait_until_ready().url.removeprefix("http://")
        connection = http.client.HTTPConnection(address)
        print("| documents | size | p50, ms | bytes | processor time of the cluster, ms |\n|---|---|---|---|---|")
        for name, (length, count) in DOCUMENTS.items():
            fill(connection, length, count)
            measure(engine, connection, searches)
            measured = measure(engine, connection, searches)
            for size, (took, answered, used) in measured.items():
                print(f"| {name} | {size} | {took:.2f} | {answered:,.0f} | {used:.2f} |", flush=True)
    finally:
        engine.stop()


def ask(connection, method, path, body=None):
    kind = "application/x-ndjson" if path.endswith("_bulk") else "application/json"
    connection.request(method, path, body, {"content-type": kind})
    answer = connection.getresponse()
    content = answer.read()
    assert answer.status < 300, content[:500]
    return content


def fill(connection, length, count):
    """An index of one shard, merged, so that no merge runs while searches are measured."""
    chance = random.Random(7)
    if json.loads(ask(connection, "GET", "/_resolve/index/docs*"))["indices"]:
        ask(connection, "DELETE", "/docs")
    ask(connection, "PUT", "/docs", json.dumps({"settings": {"number_of_shards": 1, "number_of_replicas": 0}}))
    action = '{"index":{}}\n'
    for _ in range(0, count, 250):
        texts = (" ".join(chance.choices(WORDS, WEIGHTS, k=length // 6))[:length] for _ in range(250))
        ask(connection, "POST", "/docs/_bulk", "".join(action + json.dumps({"text": text}) + "\n" for text in texts))
    ask(connection, "POST", "/docs/_forcemerge?max_num_segments=1")
    ask(connection, "POST", "/docs/_refresh")


def measure(engine, connection, searches):
    """For each size the median time, the mean answer in bytes and the mean processor time, in ms."""
    took, answered, used = ({size: [] for size in SIZES} for _ in range(3))
    turns = itertools.cycle(SIZES)
    for _ in range(len(SIZES) * searches // TURN):
        size = next(turns)
        before = processor_seconds(engine.pid)
        for _ in range(TURN):
            query = " ".join(random.sample(WORDS, 3))
            body = json.dumps({"size": size, "query": {"match": {"text": query}}})
            begun = time.perf_counter()
            answered[size].append(len(ask(connection, "POST", "/docs/_search", body)))
            took[size].append(1000 * (time.perf_counter() - begun))
        used[size].append(1000 * (processor_seconds(engine.pid) - before) / TURN)
    return {size: (statistics.median(took[size]), statistics.mean(answered[size]), statistics.mean(used[size])) for size in SIZES}


def processor_seconds(session):
    """User and system time of all processes of a session, in which an engine runs alone."""
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(") ")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == session:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
