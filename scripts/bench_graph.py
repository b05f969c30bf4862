"""What compiled graphs save: the part `graph` of bench.py.

For models of two sizes with drawn weights (scripts/make_models.py) and for the bundled cross-encoder, which is trained: the
stock file, the compiled graph and the bound below which no graph gets (graph_bound.py), at int8 and at fp32, at five sizes
of a run. `one by one` is the compiled int8 graph again, with the same pairs in runs of one pair, as the proxy has them.

One thread that does not spin; all ways take turns, round after round, and the least of each is shown, of wall time and of
processor time. The latter says more on a machine that does other things as well."""

import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path

import graph_bound
import graph_peers
import graph_plot
import graph_profile
import graph_runs

REPOSITORY = Path(__file__).resolve().parent.parent
OUTPUT = REPOSITORY / "target" / "bench"
BUNDLED = REPOSITORY / "fixtures" / "models" / "ms-marco-MiniLM-L12-v2"
MADE = ("xsmall", "base")
STOCK = {"int8": "onnx/model_quantized.onnx", "fp32": "onnx/model.onnx"}
# Pairs × tokens.
SIZES = ((1, 64), (1, 128), (16, 128), (8, 256), (4, 512))
PICTURED, PICTURED_SIZE = ("stock int8", "compiled int8", "GEMMs int8"), (1, 128)


class Way:
    """One way of scoring the pairs of a run."""

    def __init__(self, file: Path, one_by_one: bool):
        self._graph, self._one_by_one = graph_runs.session(file), one_by_one
        self._output = graph_runs.output(self._graph)

    def prepare(self, pairs: int, tokens: int) -> None:
        """Makes the inputs of such a run, and runs once."""
        runs, size = (pairs, 1) if self._one_by_one else (1, pairs)
        self._runs = [graph_runs.inputs(self._graph, size, tokens)] * runs
        self.once()

    def once(self) -> "tuple[float, float]":
        """Wall and processor time of one run, in milliseconds."""
        wall, cpu = time.perf_counter(), time.process_time()
        for inputs in self._runs:
            self._graph.run(self._output, inputs)
        return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000


def compiled(folder: Path, precision: str, program: Path) -> "Path | None":
    """The compiled graph of this precision, made anew where the program is newer; says why where there is none."""
    graph = folder / "compiled" / f"{precision}.onnx"
    if graph.is_file() and graph.stat().st_mtime >= program.stat().st_mtime:
        return graph
    command = [str(program), "models", "build", str(folder), "--precision", precision]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode == 0 and graph.is_file():
        return graph
    print(f"{folder.name}: no compiled {precision} graph: {(done.stderr or done.stdout).strip()}", flush=True)
    return None


def own_copy(folder: Path) -> Path:
    """A copy to compile in: what is bundled stays as it is."""
    copy = OUTPUT / "graph" / folder.name
    if not copy.is_dir():
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("compiled"))
    return copy


def files(folder: Path, program: Path) -> dict:
    """What is measured of a model: its ONNX files by the name of the way. Those that a model lacks are left out."""
    found = {}
    for form, stock in STOCK.items():
        bound = OUTPUT / "graph" / f"{folder.name}-gemms-{form}.onnx"
        graph_bound.write(folder / "config.json", form, bound)
        ways = {"stock": folder / stock, "compiled": compiled(folder, form, program), "GEMMs": bound}
        found |= {f"{way} {form}": file for way, file in ways.items() if file and file.is_file()}
        if form == "int8" and ways["compiled"]:
            found["one by one"] = ways["compiled"]
    return found


def measured(ways: dict, size: tuple, rounds: int, seconds: float) -> dict:
    """The least wall and processor time of each way, in milliseconds; no more rounds than the seconds allow, but three."""
    for way in ways.values():
        way.prepare(*size)
    times, began, done = {name: [] for name in ways}, time.monotonic(), 0
    while done < min(rounds, 3) or (done < rounds and time.monotonic() - began < seconds):
        for name, way in ways.items():
            times[name].append(way.once())
        done += 1
    least = lambda seen, at: min(one[at] for one in seen)
    return {name: {"wall_ms": least(seen, 0), "cpu_ms": least(seen, 1)} for name, seen in times.items()}


RATIOS = {
    "int8_vs_stock": ("stock int8", "compiled int8"), "int8_one_by_one_vs_stock": ("stock int8", "one by one"),
    "fp32_vs_stock": ("stock fp32", "compiled fp32"), "int8_vs_bound": ("compiled int8", "GEMMs int8"),
    "fp32_vs_bound": ("compiled fp32", "GEMMs fp32"),
}  # fmt: skip


def ratios(seen: dict, clock: str) -> dict:
    """How many times as long the first of two ways takes, where both are there."""
    there = {name: two for name, two in RATIOS.items() if all(way in seen for way in two)}
    return {name: seen[first][clock] / seen[second][clock] for name, (first, second) in there.items()}


def show(size: tuple, seen: dict) -> None:
    times = "  ".join(f"{name} {one['wall_ms']:.1f} ({one['cpu_ms']:.1f})" for name, one in seen.items())
    print(f"{'{}x{}'.format(*size):>8}  {times}")
    wall, cpu = ratios(seen, "wall_ms"), ratios(seen, "cpu_ms")
    print(" " * 10 + "  ".join(f"{name} {wall[name]:.2f} ({cpu[name]:.2f})" for name in cpu), flush=True)


def one_model(folder: Path, program: Path, quick: bool) -> "tuple[list, dict]":
    """A cell for each size, and the files that were measured."""
    found = files(folder, program)
    ways = {name: Way(file, name == "one by one") for name, file in found.items()}
    print(f"\n{folder.name}: milliseconds a run (of processor time), one thread, and how many times as long")
    cells = []
    for size in SIZES[:2] if quick else SIZES:
        alone = {name: way for name, way in ways.items() if name != "one by one" or size[0] > 1}
        seen = measured(alone, size, 3 if quick else 40, 2 if quick else 20)
        cells.append({
            "model": folder.name, "pairs": size[0], "tokens": size[1], "ms": seen,
            "ratios_wall": ratios(seen, "wall_ms"), "ratios_cpu": ratios(seen, "cpu_ms"),
        })  # fmt: skip
        show(size, seen)
    return cells, found


def measure(program: Path, failure: "str | None", quick: bool, picture: "Path | None") -> dict:
    """Everything of this part. `failure`: why the models that are made could not be."""
    (OUTPUT / "graph").mkdir(parents=True, exist_ok=True)
    cells, profiles = [], []
    for folder in [own_copy(BUNDLED), *(OUTPUT / "models" / name for name in MADE)]:
        if failure and folder.parent.name == "models":
            print(f"\n{folder.name} is NOT MEASURED: {failure}", flush=True)
            continue
        seen, found = one_model(folder, program, quick)
        cells += seen
        if picture and folder.name != "base":
            for label in (name for name in PICTURED if name in found):
                profiles.append((folder.name, label, graph_profile.operators(found[label], *PICTURED_SIZE)))
    if picture:
        graph_plot.draw(profiles, picture)
        print(f"\ndrawn: {os.path.relpath(picture)}")
    summary = {"cells": cells, "peers": graph_peers.measure(own_copy(BUNDLED), quick)}
    for name in RATIOS:
        values = [cell["ratios_cpu"][name] for cell in cells if name in cell["ratios_cpu"]]
        if values:
            summary[f"{name}_median"], summary[f"{name}_least"] = statistics.median(values), min(values)
    return summary
