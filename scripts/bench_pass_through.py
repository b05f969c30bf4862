"""What passing through costs, beside nginx, HAProxy and Envoy: the part `pass-through` of bench.py.

A cell is a kind of answer at a number of connections (`20KB@16`). In each, all ways take turns, round after round, so that a
machine that slows down slows all of them; medians of the rounds are shown, and ratios are ratios of those. Processor time is
that of a way's processes, all workers included, before and after a round, divided by the requests answered in it; at `direct` it is the engine's own.

With `--scoring` the proxy scores searches all along, four at a time and none like another, beside the same requests. What
scoring takes of the processor is not passing through, so the serving threads' time is counted there, which has also
these searches' own parsing and rewriting in it.

With `--tls` every way speaks TLS on both its sides, and checks the engine's certificate. Envoy is left out then.

`python3 scripts/bench_pass_through.py --self-test` holds the arithmetic against made-up figures."""

import contextlib
import fnmatch
import json
import math
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench_servers import BINARIES, CORES, OUTPUT, Tls, listening, peer, program, proxying
from bench_transfer import growth
from overload import percentile

PATHS = {"1KB": "/fixed/1024", "20KB": "/fixed/20480", "20KB-chunked": "/chunked/20480", "1MB": "/fixed/1048576"}
CONNECTIONS = (1, 16, 128)
CELLS = {f"{answer}@{count}": (path, count) for answer, path in PATHS.items() for count in CONNECTIONS}
PROXY_NAME, BESIDE = "rerank-proxy", "changed"
WAYS = ("direct", "nginx", "haproxy", "envoy", PROXY_NAME)
SEARCHES_AT_ONCE = 4
TICKS = os.sysconf("SC_CLK_TCK")
PROXY = """\
[server]
listen = "127.0.0.1:0"
[upstream]
url = "{origin}"
[models.default]
path = "{model}"
# Small, so that what grows is no cache that fills.
[cache]
size = "1MiB"
[[rules]]
index = ["unique-*"]
model = "default"
fields = ["title", "text"]
window = 100
budget = "60s"
"""
PROXY_TLS = """[server.tls]
certificate = "{certificate}"
key = "{key}"
[upstream.tls]
ca = "{certificate}"
"""
# A figure of a cell, in words, the bound for every cell, and the one for the median of the cells. p50 is asked where
# connections do not wait for each other.
CRITERIA = (
    ("cpu_vs_nginx", "processor time a request / nginx", "most", 1.05, 1.0),
    ("rps_vs_nginx", "requests a second / nginx", "least", 0.95, 1.0),
    ("p99_vs_nginx", "p99 / nginx", "most", 1.2, None),
    ("added_p50_us", "added p50, one connection, 1 KB and 20 KB, µs", "most", 25.0, None),
)
MOST_OTHERS, MOST_GROWTH_MIB = 0.1, 16


def configured(config: str, lines: "list[str]") -> str:
    """The configuration with more keys, each as `TABLE.KEY = VALUE`."""
    for line in lines:
        found = re.fullmatch(r"\s*([\w-]+)\.(\w+)\s*=\s*(.+)", line)
        if not found:
            raise SystemExit(f"error: --config {line}: expected TABLE.KEY = VALUE")
        table, key, value = found.groups()
        header = f"[{table}]\n"
        config = config if header in config else f"{config}{header}"
        config = config.replace(header, f"{header}{key} = {value}\n", 1)
    return config


def chosen(patterns: str) -> "list[str]":
    """The cells that patterns such as `20KB*@1,1MB@*` name."""
    cells = [cell for cell in CELLS if any(fnmatch.fnmatchcase(cell, one) for one in patterns.split(","))]
    if not cells:
        raise SystemExit(f"error: --cells {patterns} names none of {', '.join(CELLS)}")
    return cells


def milliseconds(number: str, unit: str) -> float:
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}[unit]


def told(text: str) -> dict:
    """What wrk prints."""
    percentiles = {share: milliseconds(*re.search(rf"{share}%\s+([\d.]+)(us|ms|s|m)\b", text).groups()) for share in (50, 99)}
    return {
        "requests": int(re.search(r"(\d+) requests in", text).group(1)),
        "requests_per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
        "p50_ms": percentiles[50],
        "p99_ms": percentiles[99],
    }


def wrk(url: str, connections: int, seconds: float) -> dict:
    command = ["wrk", f"-t{min(connections, CORES)}", f"-c{connections}", f"-d{seconds}s", "--latency", url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if re.search(r"Non-2xx|Socket errors", text):
        print(f"warning: {url}: {text}", file=sys.stderr)
    return told(text)


def times(stat: str) -> "tuple[int, float, float]":
    """The parent, and user and system seconds, that a line of /proc/PID/stat tells. Names may have spaces and brackets."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[1]), int(fields[11]) / TICKS, int(fields[12]) / TICKS


def family(process: int) -> "list[Path]":
    """A process and all that descend from it, as their folders in /proc."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(folder.name)] = times((folder / "stat").read_text())[0]
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return [Path(f"/proc/{one}") for one in found]


def cpu(process: int, threads: str = "") -> "tuple[float, float]":
    """User and system seconds of a process and its descendants so far; only of threads so named, where that is said."""
    user = system = 0.0
    for folder in family(process):
        for each in (folder / "task").glob("*") if threads else [folder]:
            with contextlib.suppress(OSError):
                text = (each / "stat").read_text()
                if threads in text.partition("(")[2].rpartition(")")[0]:
                    _, more_user, more_system = times(text)
                    user, system = user + more_user, system + more_system
    return user, system


def machine_cpu() -> float:
    """Seconds that the machine's processors were busy so far, stolen ones included."""
    ticks = [int(tick) for tick in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return sum(ticks[field] for field in (0, 1, 2, 5, 6, 7)) / TICKS


class Others:
    """What other programs take of the processors, between here and `cores`."""

    def __init__(self, processes: "list[int]"):
        self._processes, self._began, self._cpu = processes, time.monotonic(), 0.0
        self._cpu = self._of_others()

    def _of_others(self) -> float:
        finished = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = sum(sum(cpu(process)) for process in self._processes)
        own += sum(os.times()[:2]) + finished.ru_utime + finished.ru_stime
        return machine_cpu() - own

    def cores(self) -> float:
        return max(0.0, (self._of_others() - self._cpu) / (time.monotonic() - self._began))


def one_round(way: "tuple[str, int]", path: str, connections: int, seconds: float, threads: str) -> dict:
    """One round of one way: what wrk says, and the processor time a request in microseconds."""
    url, process = way
    before = cpu(process, threads)
    found = wrk(url + path, connections, seconds)
    user, system = (after - earlier for after, earlier in zip(cpu(process, threads), before))
    per_request = 1e6 / max(found["requests"], 1)
    return found | {"cpu_us": (user + system) * per_request, "user_us": user * per_request, "system_us": system * per_request}


def medians(rounds: "list[dict]") -> dict:
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def compared(ways: "dict[str, dict]", name: str, against: str) -> dict:
    """How a way stands to another one."""
    if name not in ways or against not in ways:
        return {}
    one, other = ways[name], ways[against]
    pairs = (("rps", "requests_per_second"), ("p99", "p99_ms"), ("cpu", "cpu_us"))
    # Short rounds: below a tick of the clock.
    return {f"{short}_vs_{against}": one[key] / other[key] if other[key] else math.nan for short, key in pairs}


def judged(cell: str, ways: "dict[str, dict]") -> dict:
    """One cell's figures, from the medians of each way."""
    found = {"cell": cell, "ways": ways} | compared(ways, PROXY_NAME, "nginx") | compared(ways, PROXY_NAME, BESIDE)
    if PROXY_NAME in ways and "direct" in ways:
        added = (ways[PROXY_NAME]["p50_ms"] - ways["direct"]["p50_ms"]) * 1000
        found |= {"added_p50_us": added} if cell in ("1KB@1", "20KB@1") else {}
    return found


def verdicts(cells: "list[dict]") -> "list[dict]":
    """For each criterion: the worst cell, the median, and whether both are within their bounds."""
    found = []
    for figure, words, side, bound, median_bound in CRITERIA:
        values = {cell["cell"]: cell[figure] for cell in cells if figure in cell}
        if not values:
            continue
        worst = (max if side == "most" else min)(values, key=values.get)
        median = statistics.median(values.values())

        def within(value: float, limit: "float | None") -> bool:
            return limit is None or (value <= limit if side == "most" else value >= limit)

        holds = within(values[worst], bound) and within(median, median_bound)
        found.append({"figure": figure, "words": words, "cell": worst, "worst": values[worst], "median": median})
        found[-1] |= {"side": side, "bound": bound, "median_bound": median_bound, "holds": holds, "cells": len(values)}
    return found


def show_verdicts(found: "list[dict]", others: float, memory: "dict | None") -> None:
    print("\nverdict")
    for one in found:
        sign = "≤" if one["side"] == "most" else "≥"
        wanted = f"{sign} {one['bound']}" + (f", median {sign} {one['median_bound']}" if one["median_bound"] else "")
        print(
            f"  {'holds' if one['holds'] else 'FAILS'}: {one['words']}: worst {one['worst']:.2f} ({one['cell']}),"
            f" median {one['median']:.2f} of {one['cells']} (wanted: {wanted})"
        )
    if memory:
        most = max(transfer["growth_mib"] for transfer in memory.values())
        print(f"  {'holds' if most <= MOST_GROWTH_MIB else 'FAILS'}: memory for 1 GiB: {most:.1f} MiB more (wanted: ≤ {MOST_GROWTH_MIB})")
    quiet = "a quiet machine" if others < MOST_OTHERS else "NOT a quiet machine: run it again"
    print(f"  cores taken by others {others:.2f} ({quiet}, wanted: < {MOST_OTHERS})", flush=True)


def show(cell: dict) -> None:
    print(f"{cell['cell']} (others had {cell['cores_taken_by_others']:.2f} cores)")
    for way, one in cell["ways"].items():
        print(
            f"    {way:>13} {one['requests_per_second']:>9.0f}/s   p50 {one['p50_ms']:>8.3f} ms   p99 {one['p99_ms']:>8.3f} ms"
            f"   CPU a request {one['cpu_us']:>7.1f} µs (user {one['user_us']:.1f}, system {one['system_us']:.1f})"
        )
    for against in ("nginx", BESIDE):
        if f"rps_vs_{against}" in cell:
            rate, p99, time_ = (cell[f"{figure}_vs_{against}"] for figure in ("rps", "p99", "cpu"))
            print(f"    {PROXY_NAME} / {against}: rate {rate:.2f}, p99 {p99:.2f}, CPU {time_:.2f}")
    for way, one in cell.get("searches", {}).items():
        print(f"    {way}: {one['searches']} searches beside, p50 {one['p50_ms']:.0f} ms, p99 {one['p99_ms']:.0f} ms; {one['reranked']} reranked")
    sys.stdout.flush()


@contextlib.contextmanager
def searching(way: "tuple[str, int]", name: str, seconds: float):
    """Keeps searches under way beside what is done within; gives a list that has them once it has been left."""
    command = [str(BINARIES / "examples" / "load"), way[0], name, str(seconds + 1), "at-once", str(SEARCHES_AT_ONCE)]
    load, searches = subprocess.Popen(command, stdout=subprocess.PIPE, text=True), []
    try:
        time.sleep(0.5)
        yield searches
        searches += [json.loads(line) for line in load.communicate()[0].splitlines()]
    finally:
        load.kill()
        load.wait()


def summed_up(searches: "list[dict]") -> dict:
    took = [search["ms"] for search in searches]
    p50, p99 = (percentile(took, share) for share in (0.5, 0.99))
    reranked = sum((search["rerank"] or "").startswith("applied") for search in searches)
    return {"searches": len(searches), "reranked": reranked, "p50_ms": p50, "p99_ms": p99}


def measure_cell(cell: str, ways: dict, rounds: int, seconds: float, scoring: bool, processes: "list[int]") -> dict:
    path, connections = CELLS[cell]
    seen, beside = {way: [] for way in ways}, {}
    others = Others(processes)
    for number in range(rounds):
        for name, way in ways.items():
            if scoring and name in (PROXY_NAME, BESIDE):
                with searching(way, f"{cell}-{number}", seconds) as searches:
                    seen[name].append(one_round(way, path, connections, seconds, "serve-"))
                beside.setdefault(name, []).extend(searches)
            else:
                seen[name].append(one_round(way, path, connections, seconds, ""))
    found = judged(cell, {way: medians(results) for way, results in seen.items()})
    found["cores_taken_by_others"] = others.cores()
    return found | ({"searches": {name: summed_up(searches) for name, searches in beside.items()}} if scoring else {})


def started(running: contextlib.ExitStack, model: Path, arguments) -> "tuple[dict, list[int]]":
    """The ways, each with its URL and its process, and all processes that this starts."""
    wanted = arguments.ways.split(",")
    if unknown := set(wanted) - set(WAYS):
        raise SystemExit(f"error: --ways {','.join(sorted(unknown))}: expected some of {','.join(WAYS)}")
    names = [name for name in WAYS if name in wanted and not (arguments.tls and name == "envoy")]
    tls = Tls.make(OUTPUT) if arguments.tls else None
    if missing := [name for name in names if name in ("nginx", "haproxy", "envoy") and not program(name)]:
        print(f"\nWARNING: {' and '.join(missing)} cannot be had here and is left out of every table", file=sys.stderr, flush=True)
    keys = ["0", str(tls.certificate), str(tls.key)] if tls else []
    origin = running.enter_context(listening([str(BINARIES / "examples" / "origin"), *keys]))
    ways, plain = {}, PROXY.format(origin=origin[0], model=model) + (PROXY_TLS.format(**vars(tls)) if tls else "")
    for name in names:
        if name == "direct":
            ways[name] = origin
        elif name == PROXY_NAME:
            ways[name] = running.enter_context(proxying("pass-through", configured(plain, arguments.config)))
        elif name not in missing:
            ways[name] = running.enter_context(peer(name, origin[0], tls))
    if arguments.beside:
        changed = configured(plain, arguments.config + arguments.beside)
        ways[BESIDE] = running.enter_context(proxying("pass-through-changed", changed))
    return ways, sorted({process for _, process in [origin, *ways.values()]})


def measure(model: Path, arguments) -> dict:
    """All of it, as the options say."""
    rounds, seconds = (1, 1) if arguments.quick else (arguments.rounds, arguments.seconds)
    cells = chosen(arguments.cells)
    with contextlib.ExitStack() as running:
        ways, processes = started(running, model, arguments)
        turns = len(cells) * len(ways) * rounds
        print(f"\npass-through: medians of {rounds} rounds of {seconds} s, {CORES} cores, about {turns * seconds / 60:.0f} minutes")
        print("with TLS on both sides" if arguments.tls else "without TLS")
        print("while the proxy scores searches; CPU is that of its serving threads" if arguments.scoring else "the proxy scores nothing")
        whole, found = Others(processes), []
        for cell in cells:
            found.append(measure_cell(cell, ways, rounds, seconds, arguments.scoring, processes))
            show(found[-1])
        others = whole.cores()
        memory = growth(*ways[PROXY_NAME]) if PROXY_NAME in ways and not arguments.scoring else None
        judgement = verdicts(found)
        show_verdicts(judgement, others, memory)
    return {"cells": found, "verdicts": judgement, "cores_taken_by_others": others, "memory": memory}


def headline(found: dict) -> dict:
    """The figures that a summary has on top."""
    worst_and_median = ((f"passthrough_{one['figure']}", one) for one in found["verdicts"])
    told_figures = {"cores_taken_by_others": found["cores_taken_by_others"]}
    for name, one in worst_and_median:
        told_figures |= {name: one["median"], f"{name}_worst": one["worst"]}
    return told_figures


def self_test() -> None:
    text = "  Latency Distribution\n     50%   25.00us\n     99%    1.50ms\n  300 requests in 1.00s, 4MB read\nRequests/sec:    299.5\n"
    assert told(text) == {"requests": 300, "requests_per_second": 299.5, "p50_ms": 0.025, "p99_ms": 1.5}
    stat = f"7 (a (b) c) S 3 7 7 0 -1 0 0 0 0 0 {2 * TICKS} {TICKS} 0 0"
    assert times(stat) == (3, 2.0, 1.0)
    assert configured("[server]\na = 1\n", ["server.b = true", "limits.c = 2"]) == "[server]\nb = true\na = 1\n[limits]\nc = 2\n"
    assert chosen("1KB@1,1MB@*") == ["1KB@1", "1MB@1", "1MB@16", "1MB@128"]

    def way(rate: float, p50: float, p99: float, time_: float) -> dict:
        return {"requests_per_second": rate, "p50_ms": p50, "p99_ms": p99, "cpu_us": time_}

    nginx, direct = way(100, 0.05, 1.0, 10), way(200, 0.02, 0.5, 0)
    good = judged("1KB@1", {"direct": direct, "nginx": nginx, PROXY_NAME: way(110, 0.04, 1.1, 9)})
    bad = judged("1MB@16", {"direct": direct, "nginx": nginx, PROXY_NAME: way(90, 0.9, 2.0, 11)})
    assert round(good["added_p50_us"]) == 20 and "added_p50_us" not in bad
    assert [one["holds"] for one in verdicts([good])] == [True] * 4
    assert [(one["cell"], one["holds"]) for one in verdicts([good, bad])] == [("1MB@16", False)] * 3 + [("1KB@1", True)]
    assert "cpu_vs_nginx" not in judged("1KB@1", {PROXY_NAME: nginx})
    assert summed_up([{"ms": 1, "rerank": "applied; x"}, {"ms": 9, "rerank": None}]) == {"searches": 2, "reranked": 1, "p50_ms": 1, "p99_ms": 9}
    assert cpu(os.getpid())[0] > 0
    print("self-test: the arithmetic is as expected")


if __name__ == "__main__":
    if sys.argv[1:] != ["--self-test"]:
        sys.exit("usage: bench_pass_through.py --self-test; `make bench` measures")
    self_test()
