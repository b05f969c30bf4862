#!/usr/bin/env python3
"""Measures, side by side in one run:

- pass-through: requests a second, p50, p99 and processor time a request, direct, through nginx, HAProxy, Envoy and
  rerank-proxy, for 1 KB, 20 KB, 20 KB chunked and 1 MB answers at 1, 16 and 128 connections (scripts/bench_pass_through.py);
- scoring: pairs a second of the whole proxy against a bare ONNX Runtime loop with the same model (`cargo bench --bench
  scoring`), for the bundled models and for those that scripts/make_models.py makes where it can;
- graph: compiled graphs against the stock files, against what their weight GEMMs alone take, and against other programs
  (scripts/bench_graph.py);
- overload: what becomes of four times as many searches as the model can score (scripts/overload.py);
- the time that a reranked search takes longer than a direct one when all its scores are cached, and that the model is not
  asked again;
- the time that planning and rewriting take for an answer of 100 hits and 500 KB (`cargo bench --bench rewriting`).

Prints tables and writes target/bench/summary.json. `make bench` builds what it needs and runs it."""

import argparse
import contextlib
import datetime
import json
import math
import os
import platform
import re
import shlex
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import bench_graph
import bench_pass_through
import make_models
import overload
from bench_servers import BINARIES, CORES, OUTPUT, REPOSITORY, listening, program, proxying, version

BUNDLED = REPOSITORY / "fixtures" / "models"
MODEL = BUNDLED / "all-MiniLM-L6-v2"
TINY = BUNDLED / "tiny-deberta-v2"
MADE = OUTPUT / "models"
INT8, FP32 = "model_quantized", "model"
# What is scored with: folder, variant, and how many rounds the time allows.
MODELS = (
    (MODEL, INT8, 5),
    (TINY, INT8, 5),
    (MADE / "minilm", INT8, 5),
    (MADE / "xsmall", INT8, 3),
    (MADE / "xsmall", FP32, 3),
    (MADE / "base", INT8, 3),
    (MADE / "base", FP32, 1),
)
WINDOW = 100
PROXY = """\
[server]
listen = "127.0.0.1:0"
[upstream]
url = "{origin}"
[models.default]
path = "{model}"
[[rules]]
index = ["passages"]
model = "default"
fields = ["title", "text"]
window = {window}
budget = "60s"
"""


class Client:
    """One connection, one request at a time, as little as possible of its own."""

    def __init__(self, url: str, body: bytes):
        split = urlsplit(url)
        self._stream = socket.create_connection((split.hostname, split.port))
        self._stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = (
            f"POST /passages/_search?from=0&size={WINDOW} HTTP/1.1\r\nhost: {split.netloc}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode() + body

    def ask(self) -> "tuple[float, bytes]":
        """How many milliseconds one search takes, and the answer's head."""
        began = time.perf_counter()
        self._stream.sendall(self._request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._stream.recv(262144)
        head, _, rest = data.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE).group(1))
        received = len(rest)
        while received < length:
            received += len(self._stream.recv(262144))
        return (time.perf_counter() - began) * 1000, head


def pairs_by_model(proxy: str) -> int:
    """How many pairs the model has scored so far, as the proxy's metrics say."""
    with urllib.request.urlopen(f"{proxy}/_rerank/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return int(re.search(r'^rerank_proxy_pairs_total\{origin="model"\} (\d+)', text, re.MULTILINE).group(1))


def cached_latency(origin: str, proxy: str, searches: int) -> dict:
    """What a search whose scores are all cached takes longer than a direct one."""
    body = json.dumps({"query": {"match": {"text": "how long does a battery last in winter"}}}).encode()
    direct, through = Client(origin, body), Client(proxy, body)
    for _ in range(30):
        direct.ask()
        _, head = through.ask()
    header = re.search(rb"x-rerank: (.*)", head, re.IGNORECASE)
    header = header.group(1).decode().strip() if header else "none"
    if not header.startswith("applied") or f"cached={WINDOW}" not in header:
        raise SystemExit(f"error: the search was not reranked from the cache: X-Rerank: {header}")
    times = {"direct": [], "through": []}
    asked = pairs_by_model(proxy)
    for _ in range(searches):
        times["direct"].append(direct.ask()[0])
        times["through"].append(through.ask()[0])
    asked = pairs_by_model(proxy) - asked

    def percentile(way, share):
        return sorted(times[way])[math.ceil(share * searches) - 1]

    found = {
        "searches": searches,
        "pairs_by_model": asked,
        "direct_p50_ms": percentile("direct", 0.5),
        "through_p50_ms": percentile("through", 0.5),
        "added_p50_ms": percentile("through", 0.5) - percentile("direct", 0.5),
        "added_p99_ms": percentile("through", 0.99) - percentile("direct", 0.99),
    }
    print(f"\na search with a window of {WINDOW}, all scores cached, {searches} searches on one connection")
    print(f"    direct p50 {found['direct_p50_ms']:.3f} ms, through p50 {found['through_p50_ms']:.3f} ms: ", end="")
    print(f"added p50 {found['added_p50_ms']:.3f} ms, p99 {found['added_p99_ms']:.3f} ms")
    print(f"    pairs that the model had to score again: {asked}", flush=True)
    return found


def made_models() -> "str | None":
    """Makes the models that are not bundled; says why where that fails."""
    done = subprocess.run([sys.executable, make_models.__file__], stdout=subprocess.DEVNULL, check=False)
    return None if done.returncode == 0 else "scripts/make_models.py failed"


def scoring(quick: bool) -> list:
    """What `cargo bench --bench scoring` says, one JSON object a line."""
    failure = "left out of a quick run" if quick else made_models()
    print("\nscoring: pairs a second of the whole proxy, against a bare ONNX Runtime loop with the same texts")
    found = []
    for folder, variant, rounds in MODELS:
        if failure and folder.parent == MADE:
            print(f"{folder.name:>18} {'int8' if variant == INT8 else 'fp32'} is not measured: {failure}")
            found.append({"model": folder.name, "onnx": f"{variant}.onnx", "not_measured": failure})
            continue
        command = [os.environ.get("CARGO", "cargo"), "bench", "--quiet", "--bench", "scoring", "--", str(folder)]
        command += ["--variant", variant, "--rounds", "1" if quick else str(rounds)]
        done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        show_scoring([line for line in lines if "pairs_per_second" in line])
        found += lines
    return found


def show_scoring(lines: list) -> None:
    for line in lines:
        form = "int8" if line["onnx"] == f"{INT8}.onnx" else "fp32"
        bare = ", ".join(f"{name} {rate:.1f}" for name, rate in line["onnxruntime_pairs_per_second"].items())
        print(
            f"{line['model']:>18} {form}, {line['concurrency']:>2} searches at once: {line['pairs_per_second']:>7.1f}"
            f"   bare: {bare}   ratio {line['pairs_per_second_vs_onnxruntime']:.2f}"
            f" (of processor time {line['pairs_per_cpu_second_vs_onnxruntime']:.2f})"
            f"   tokens p50 {line['tokens']['p50']}, p95 {line['tokens']['p95']}"
            f"   others had {line['cores_taken_by_others']:.1f} cores",
            flush=True,
        )


def rewriting(quick: bool) -> float:
    """The median of what `cargo bench --bench rewriting` measures for 100 hits, in microseconds."""
    command = [os.environ.get("CARGO", "cargo"), "bench", "--quiet", "--bench", "rewriting", "--", "--noplot"]
    command += ["--warm-up-time", "0.5", "--measurement-time", "1"] if quick else []
    subprocess.run([*command, "fields/whole/100$"], cwd=REPOSITORY, stdout=subprocess.DEVNULL, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    folder = target / "criterion" / "plan_rewrite_fields" / "whole" / "100" / "new"
    return json.loads((folder / "estimates.json").read_text())["median"]["point_estimate"] / 1000


def machine() -> dict:
    """What was measured when, where, with what and by which command: whoever quotes a figure quotes this."""
    known = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    processor = re.search(r"^model name\s*: (.+)$", known, re.MULTILINE)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "command": f'make bench ARGS="{shlex.join(sys.argv[1:])}"',
        "processor": processor.group(1) if processor else platform.machine(),
        "cores": CORES,
        "kernel": platform.release(),
        # At the beginning: what else the machine is doing.
        "load_average": os.getloadavg()[0],
        **{name: version(name) for name in ("nginx", "haproxy", "envoy", "wrk")},
    }


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say what is missing")
    parser.add_argument("--quick", action="store_true", help="one short round: is anything broken, not how fast it is")
    parser.add_argument("--only", choices=PARTS, help="one part; it alone is written, to target/bench/PART.json")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="the part graph draws its operators there (SVG)")
    part = parser.add_argument_group(
        "pass-through", "12 cells of 5 ways in 3 rounds of 10 s take 30 minutes; fewer cells, ways or rounds take less"
    )
    part.add_argument("--rounds", type=int, default=3)
    part.add_argument("--seconds", type=int, default=10, help="length of a round; below 10, p99 says little")
    part.add_argument("--cells", default="*", help="patterns of ANSWER@CONNECTIONS, such as 1KB@1,20KB*@*; ANSWER is one of "
                      + ", ".join(bench_pass_through.PATHS))
    part.add_argument("--ways", default=",".join(bench_pass_through.WAYS), help="some of %(default)s")
    part.add_argument("--config", action="append", default=[], metavar="TABLE.KEY=VALUE", help="a line of the proxy's configuration")
    part.add_argument("--beside", action="append", default=[], metavar="TABLE.KEY=VALUE",
                      help="one more way: the proxy with this line as well, to compare the two in one run")
    part.add_argument("--scoring", action="store_true", help="while the proxy scores searches")
    part.add_argument("--tls", action="store_true", help="with TLS on both sides of each way; without Envoy, and not with --scoring")
    return parser


PARTS = ("pass-through", "cached", "overload", "scoring", "graph", "rewriting")
# Those that have a scripted engine behind them.
SERVED = {"cached", "overload"}


def main() -> int:
    arguments = options().parse_args()
    wanted = ("nginx", "wrk") if arguments.only in (None, "pass-through") else ()
    if missing := [name for name in wanted if not program(name)]:
        print(f"error: {' and '.join(missing)} missing: Debian: apt-get install nginx-light wrk haproxy", file=sys.stderr)
        return 1
    if arguments.tls and arguments.scoring:
        print("error: --tls and --scoring: the client that searches speaks plain HTTP", file=sys.stderr)
        return 1
    if arguments.check:
        return 0
    OUTPUT.mkdir(parents=True, exist_ok=True)
    parts = {arguments.only} if arguments.only else set(PARTS)
    summary = {"with": machine()}
    print("\n".join(f"{name:>14} {value}" for name, value in summary["with"].items()), flush=True)
    if "pass-through" in parts:
        summary["pass_through"] = bench_pass_through.measure(MODEL, arguments)
        summary |= bench_pass_through.headline(summary["pass_through"])
    with contextlib.ExitStack() as running:
        if parts & SERVED:
            origin, _ = running.enter_context(listening([str(BINARIES / "examples" / "origin")]))
        if "cached" in parts:
            proxy, _ = running.enter_context(proxying("proxy", PROXY.format(origin=origin, model=MODEL, window=WINDOW)))
            summary["cached"] = cached_latency(origin, proxy, 200 if arguments.quick else 2000)
            summary["cached_added_ms_p50"] = summary["cached"]["added_p50_ms"]
        if "overload" in parts:
            summary["overload"] = {}
            for model in (MODEL, TINY):
                with proxying("overload", overload.config(origin, model)) as (proxy, process):
                    client = BINARIES / "examples" / "load"
                    found = overload.measure(model.name, client, proxy, process, arguments.quick)
                    summary["overload"][model.name] = found
            worst = summary["overload"][MODEL.name]["at_4c"]
            summary["overload_answered_share"] = worst["answered_share"]
            summary["overload_added_ms_p99"] = worst["added_end_to_end_ms"]["p99"]
    if "scoring" in parts:
        summary["scoring"] = scoring(arguments.quick)
        for name in ("pairs_per_second_vs_onnxruntime", "pairs_per_cpu_second_vs_onnxruntime"):
            ratios = [line[name] for line in summary["scoring"] if name in line]
            summary[name], summary[f"{name}_worst"] = statistics.median(ratios), min(ratios)
    if "graph" in parts:
        failure = "left out of a quick run" if arguments.quick else made_models()
        proxy_program = BINARIES / "rerank-proxy"
        summary["graph"] = bench_graph.measure(proxy_program, failure, arguments.quick, arguments.picture)
        summary |= {f"graph_{name}": value for name, value in summary["graph"].items() if isinstance(value, float)}
    if "rewriting" in parts:
        summary["plan_rewrite_us"] = rewriting(arguments.quick)
    print()
    for key, value in summary.items():
        if isinstance(value, float):
            print(f"{key:>42} {value:.3f}")
    written = OUTPUT / f"{arguments.only or 'summary'}.json"
    written.write_text(json.dumps(summary, indent=2) + "\n")
    print(f"\nwritten to {written.relative_to(REPOSITORY)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
