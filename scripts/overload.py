"""What the proxy does with more searches than it can score: the part `overload` of bench.py.

First the capacity C is measured: pairs a second while four searches are under way at any time, with time enough for each.
Then searches of a window of 100 are offered as an open loop, at 1 × C and at 4 × C, with a budget of 300 ms and no text
twice: with a real model, and with a tiny one, whose searches are so many that rare delays show. The engine is scripted
(examples/origin.rs), the client is examples/load.rs; both cost little, but on the same cores as the proxy."""

import json
import math
import re
import statistics
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

BUDGET_MS = 300
WINDOW = 100
FACTORS = (1, 4)
# How the time is cut to see whether something grows or shrinks.
SPANS = 6
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
index = ["unique-capacity-*"]
model = "default"
fields = ["title", "text"]
window = {window}
budget = "10m"
[[rules]]
index = ["unique-overload-*"]
model = "default"
fields = ["title", "text"]
window = {window}
budget = "{budget}ms"
"""


def config(origin: str, model: Path) -> str:
    return PROXY.format(origin=origin, model=model, window=WINDOW, budget=BUDGET_MS)


def resident_mib(process: int) -> float:
    """What the process holds of memory now."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return int(found.group(1)) / 1024


def percentile(values: list, share: float) -> float:
    """The smallest value that at least `share` of them do not exceed; not a number where there are none."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else math.nan


class Search:
    """What became of one search."""

    def __init__(self, told: dict):
        self.at, self.late, self.ms, self.status = told["at"], told["late_ms"], told["ms"], told["status"]
        rerank = told["rerank"] or "none"
        self.is_applied = rerank.startswith("applied")
        reason = re.search(r"reason=([a-z-]+)", rerank)
        self.outcome = "applied" if self.is_applied else f"skipped: {reason.group(1)}" if reason else rerank
        scored = re.search(r"scored=(\d+)", rerank)
        self.scored = int(scored.group(1)) if scored else 0
        self.is_cut = "budget-hit=?1" in rerank
        durations = dict(re.findall(r"(upstream|rerank);dur=([\d.]+)", told["timing"] or ""))
        self.rerank = float(durations["rerank"]) if "rerank" in durations else None
        self.upstream = float(durations["upstream"]) if "upstream" in durations else None


class Memory(threading.Thread):
    """Watches how much memory a process holds."""

    def __init__(self, process: int):
        super().__init__(daemon=True)
        self.process, self.seen, self.ended = process, [], threading.Event()

    def run(self) -> None:
        began = time.monotonic()
        while not self.ended.wait(1.0):
            self.seen.append((time.monotonic() - began, resident_mib(self.process)))

    def at(self, second: float) -> float:
        return min(self.seen, key=lambda one: abs(one[0] - second))[1]


def load(program: Path, url: str, name: str, seconds: float, mode: str, much: float) -> "list[Search]":
    command = [str(program), url, name, str(seconds), mode, str(much)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [Search(json.loads(line)) for line in done.stdout.splitlines()]


def capacity(program: Path, proxy: str, seconds: float) -> float:
    """Pairs a second that the proxy scores when it has all the time it needs."""
    load(program, proxy, "capacity-first", 1, "at-once", 2)
    searches = load(program, proxy, "capacity", seconds, "at-once", 4)
    if any(search.scored != WINDOW for search in searches):
        raise SystemExit(f"error: not every search was scored: {Counter(search.outcome for search in searches)}")
    # Until the last one is answered; the loop is drained at its end, so the last three have less company.
    return len(searches) * WINDOW / max(search.at + search.ms / 1000 for search in searches)


def judged(searches: "list[Search]", seconds: float) -> dict:
    """The figures of one open loop."""
    answered = [search for search in searches if search.status == 200]
    applied = [search for search in answered if search.is_applied]
    rerank = [search.rerank for search in answered if search.rerank is not None]
    added = [search.ms - search.upstream for search in answered if search.upstream is not None]

    def tail(values: list) -> dict:
        shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
        return {name: percentile(values, share) for name, share in shares.items()} | {"max": max(values, default=math.nan)}

    def depth(span: int) -> "float | None":
        within = [search.scored for search in applied if int(search.at * SPANS / seconds) == span]
        return statistics.mean(within) if within else None

    return {
        "searches": len(searches),
        "answered_share": len(answered) / len(searches),
        "not_answered": dict(Counter(search.status for search in searches if search.status != 200)),
        "outcomes": dict(Counter(search.outcome for search in answered).most_common()),
        "cut_by_budget_share_of_applied": sum(search.is_cut for search in applied) / max(len(applied), 1),
        "without_timing": len(answered) - len(rerank),
        "rerank_ms": tail(rerank),
        "added_end_to_end_ms": tail(added),
        "overrun_ms_p99.9": percentile([max(0.0, time - BUDGET_MS) for time in rerank], 0.999),
        "scored_per_applied": statistics.mean([search.scored for search in applied]) if applied else None,
        "scored_per_applied_over_time": [depth(span) for span in range(SPANS)],
        "pairs_per_second": sum(search.scored for search in applied) / seconds,
        "client_late_ms_p99": percentile([search.late for search in searches], 0.99),
    }


def show(factor: int, rate: float, found: dict) -> None:
    def shown(values: dict) -> str:
        return ", ".join(f"{name} {value:.0f}" for name, value in values.items())

    over_time = " ".join("-" if mean is None else f"{mean:.0f}" for mean in found["scored_per_applied_over_time"])
    print(f"  {factor} × C: {found['searches']} searches, {rate:.1f} a second: {found['answered_share']:.2%} answered with 200")
    print("    " + ", ".join(f"{outcome} {count}" for outcome, count in found["outcomes"].items()), end="")
    print(f"; {found['cut_by_budget_share_of_applied']:.0%} of the applied cut by the budget")
    print(f"    added, as Server-Timing says: {shown(found['rerank_ms'])} ms; over the budget p99.9 {found['overrun_ms_p99.9']:.0f} ms")
    print(f"    added, end to end: {shown(found['added_end_to_end_ms'])} ms; the client was late by p99 {found['client_late_ms_p99']:.1f} ms")
    print(f"    scored of {WINDOW} in those applied, over time: {over_time}; {found['pairs_per_second']:.0f} pairs a second")
    print(f"    resident memory after 5 s {found['resident_mib']['second_5']:.0f} MiB, at the end {found['resident_mib']['end']:.0f} MiB", flush=True)


def measure(model: str, program: Path, proxy: str, process: int, quick: bool) -> dict:
    """All of it, for the proxy at a URL that is this process and has this model."""
    seconds = 10 if quick else 60
    pairs_per_second = capacity(program, proxy, 3 if quick else 15)
    print(f"\noverload, {model}: C = {pairs_per_second:.0f} pairs a second; open loops of {seconds} s, budget {BUDGET_MS} ms")
    found = {"capacity_pairs_per_second": pairs_per_second, "budget_ms": BUDGET_MS, "seconds": seconds}
    for factor in FACTORS:
        rate = factor * pairs_per_second / WINDOW
        memory = Memory(process)
        memory.start()
        searches = load(program, proxy, f"overload-{factor}", seconds, "rate", rate)
        memory.ended.set()
        one = judged(searches, seconds)
        one["resident_mib"] = {"second_5": memory.at(5), "end": resident_mib(process)}
        found[f"at_{factor}c"] = one
        show(factor, rate, one)
    return found
