#!/usr/bin/env python3
"""Measures, side by side in one run:

- pass-through: requests a second and p99, direct, through nginx and through rerank-proxy, for 1 KB, 20 KB, 20 KB chunked
  and 1 MB answers at 1, 16 and 128 connections;
- scoring: pairs a second of the whole proxy against a bare ONNX Runtime loop with the same model (`cargo bench --bench
  scoring`), for the bundled models and for those that scripts/make_models.py makes where it can;
- graph: compiled graphs against the stock files, against what their weight GEMMs alone take, and against other programs
  (scripts/bench_graph.py);
- overload: what becomes of four times as many searches as the model can score (scripts/overload.py);
- the time that a reranked search takes longer than a direct one when all its scores are cached, and that the model is not
  asked again;
- the time that planning and rewriting take for an answer of 100 hits and 500 KB (`cargo bench --bench rewriting`).

The three ways take turns, round after round, so that a machine that slows down slows all of them; medians are shown.
Prints tables and writes target/bench/summary.json. `make bench` builds what it needs and runs it."""

import argparse
import contextlib
import json
import math
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import bench_graph
import make_models
import overload

REPOSITORY = Path(__file__).resolve().parent.parent
BINARIES = Path(os.environ.get("BINARIES", REPOSITORY / "target" / "release"))
OUTPUT = REPOSITORY / "target" / "bench"
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
PATHS = {"1 KB": "/fixed/1024", "20 KB": "/fixed/20480", "20 KB chunked": "/chunked/20480", "1 MB": "/fixed/1048576"}
CONNECTIONS = (1, 16, 128)
WINDOW = 100
CORES = os.cpu_count() or 1

NGINX = """\
worker_processes {cores};
daemon off;
master_process on;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    tcp_nodelay on;
    proxy_max_temp_file_size 0;
    upstream origin {{
        server {origin};
        keepalive 256;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""
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


def check() -> list:
    """What is missing."""
    missing = []
    for program in ("nginx", "wrk"):
        if not shutil.which(program) and not Path(f"/usr/sbin/{program}").exists():
            missing.append(program)
    return missing


def program(name: str) -> str:
    return shutil.which(name) or f"/usr/sbin/{name}"


@contextlib.contextmanager
def listening(command: list):
    """Runs a server that prints `listening on URL`; gives the URL and the process's number."""
    log = open(OUTPUT / f"{Path(command[0]).name}.log", "w")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=REPOSITORY)
    try:
        line = process.stdout.readline()
        found = re.fullmatch(r"listening on (http://\S+)\n", line)
        if not found:
            raise SystemExit(f"error: {command[0]} did not start; see {log.name}")
        yield found.group(1), process.pid
    finally:
        process.terminate()
        process.wait(30)
        log.close()


@contextlib.contextmanager
def nginx_before(origin: str):
    """Runs nginx as a reverse proxy before `origin`; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(NGINX.format(cores=CORES, folder=folder, origin=urlsplit(origin).netloc, port=port))
        os.chmod(folder, 0o755)
        process = subprocess.Popen(
            [program("nginx"), "-c", str(config), "-p", folder, "-e", f"{folder}/error.log"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(100):
                with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/fixed/1", timeout=1):
                    break
                time.sleep(0.05)
            else:
                raise SystemExit("error: nginx did not start: " + (Path(folder) / "error.log").read_text()[-500:])
            yield url
        finally:
            process.terminate()
            process.wait(30)


def wrk(url: str, connections: int, seconds: float) -> "tuple[float, float]":
    """Requests a second and p99 in milliseconds."""
    threads = min(connections, CORES)
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency", url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if re.search(r"Non-2xx|Socket errors", text):
        print(f"warning: {url}: {text}", file=sys.stderr)
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", text).groups()
    return rate, float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}[unit]


@contextlib.contextmanager
def proxying(name: str, config: str):
    """Runs the proxy with this configuration, its model loaded; gives its URL and the process's number."""
    file = OUTPUT / f"{name}.toml"
    file.write_text(config)
    with listening([str(BINARIES / "rerank-proxy"), "serve", "--config", str(file)]) as (url, process):
        wait_until_ready(url)
        yield url, process


def wait_until_ready(proxy: str) -> None:
    """Until the proxy has loaded its models: before, it forwards only."""
    for _ in range(1200):
        with urllib.request.urlopen(f"{proxy}/_rerank/health", timeout=10) as answer:
            health = json.load(answer)
        if health["status"] == "ready":
            return
        time.sleep(0.05)
    raise SystemExit(f"error: the proxy does not get ready: {health}")


def pass_through(ways: dict, rounds: int, seconds: int) -> list:
    """One cell for each kind of answer and number of connections."""
    cells = []
    print(f"\npass-through: requests a second (p99 in ms), median of {rounds} rounds of {seconds} s, {CORES} cores")
    print(f"{'answer':>14} {'conns':>6} " + " ".join(f"{way:>22}" for way in ways) + "   vs nginx: rate    p99")
    for label, path in PATHS.items():
        for connections in CONNECTIONS:
            seen = {way: [] for way in ways}
            for _ in range(rounds):
                for way, url in ways.items():
                    seen[way].append(wrk(url + path, connections, seconds))
            rate = {way: statistics.median(one for one, _ in results) for way, results in seen.items()}
            p99 = {way: statistics.median(one for _, one in results) for way, results in seen.items()}
            cell = {
                "answer": label,
                "connections": connections,
                "requests_per_second": rate,
                "p99_ms": p99,
                "rps_vs_nginx": rate["rerank-proxy"] / rate["nginx"],
                "p99_vs_nginx": p99["rerank-proxy"] / p99["nginx"],
                "rps_vs_direct": rate["rerank-proxy"] / rate["direct"],
            }
            cells.append(cell)
            shown = " ".join(f"{rate[way]:>12.0f} ({p99[way]:>7.2f})" for way in ways)
            print(
                f"{label:>14} {connections:>6} {shown}             {cell['rps_vs_nginx']:.2f}   {cell['p99_vs_nginx']:.2f}",
                flush=True,
            )
    return cells


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


def versions() -> dict:
    """What was measured with what. Parts that need neither nginx nor wrk are measured without."""

    def first_line(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip().splitlines()[0]

    missing = check()
    commands = {"nginx": (program("nginx"), "-v"), "wrk": ("wrk", "-v")}
    programs = {name: "none" if name in missing else first_line(*command) for name, command in commands.items()}
    # At the beginning: what else the machine is doing.
    return {**programs, "cores": CORES, "load_average": os.getloadavg()[0]}


PARTS = ("pass-through", "cached", "overload", "scoring", "graph", "rewriting")
# Those that have a scripted engine behind them.
SERVED = {"pass-through", "cached", "overload"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say what is missing")
    parser.add_argument("--quick", action="store_true", help="one short round: is anything broken, not how fast it is")
    parser.add_argument("--only", choices=PARTS, help="one part; no summary is written")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--picture", type=Path, metavar="FILE", help="the part graph draws its operators there (SVG)")
    arguments = parser.parse_args()
    if missing := check() if arguments.only in (None, "pass-through") else []:
        print(f"error: {' and '.join(missing)} missing: Debian: apt-get install nginx-light wrk", file=sys.stderr)
        return 1
    if arguments.check:
        return 0
    rounds, seconds = (1, 1) if arguments.quick else (arguments.rounds, arguments.seconds)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    parts = {arguments.only} if arguments.only else set(PARTS)
    summary = {"with": versions()}
    with contextlib.ExitStack() as running:
        if parts & SERVED:
            origin, _ = running.enter_context(listening([str(BINARIES / "examples" / "origin")]))
        if parts & {"pass-through", "cached"}:
            proxy, _ = running.enter_context(proxying("proxy", PROXY.format(origin=origin, model=MODEL, window=WINDOW)))
        if "pass-through" in parts:
            nginx = running.enter_context(nginx_before(origin))
            cells = pass_through({"direct": origin, "nginx": nginx, "rerank-proxy": proxy}, rounds, seconds)
            rates, tails = [cell["rps_vs_nginx"] for cell in cells], [cell["p99_vs_nginx"] for cell in cells]
            summary["passthrough_rps_vs_nginx"] = statistics.median(rates)
            summary["passthrough_rps_vs_nginx_geometric_mean"] = statistics.geometric_mean(rates)
            summary["passthrough_rps_vs_nginx_worst"] = min(rates)
            summary["passthrough_p99_vs_nginx"] = statistics.median(tails)
            summary["passthrough_p99_vs_nginx_worst"] = max(tails)
            summary["cells"] = cells
        if "cached" in parts:
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
        program = BINARIES / "rerank-proxy"
        summary["graph"] = bench_graph.measure(program, failure, arguments.quick, arguments.picture)
        summary |= {f"graph_{name}": value for name, value in summary["graph"].items() if isinstance(value, float)}
    if "rewriting" in parts:
        summary["plan_rewrite_us"] = rewriting(arguments.quick)
    print()
    for key, value in summary.items():
        if isinstance(value, float):
            print(f"{key:>42} {value:.3f}")
    if not arguments.only:
        (OUTPUT / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
        print(f"\nwritten to {(OUTPUT / 'summary.json').relative_to(REPOSITORY)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
