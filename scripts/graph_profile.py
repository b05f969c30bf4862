"""Where the time of a graph goes, by kinds of operators, as ONNX Runtime's profiler tells it."""

import collections
import json
import tempfile
from pathlib import Path

import graph_runs

WEIGHTS, ATTENTION, NORMS, GELU, MOVES, REST = (
    "GEMMs with weights", "attention", "layer norms", "GELU", "moving values", "adding, quantising, rest",
)  # fmt: skip
# In the order in which they are drawn.
ORDER = (WEIGHTS, ATTENTION, NORMS, GELU, MOVES, REST)
TYPES = {
    WEIGHTS: ("DynamicQuantizeMatMul", "Gemm"),
    ATTENTION: ("Attention", "FusedMatMul", "MatMul", "MatMulIntegerToFloat", "MultiHeadAttention", "Softmax"),
    NORMS: ("LayerNormalization", "SkipLayerNormalization", "Sum"),
    GELU: ("BiasGelu", "Gelu"),
    MOVES: (
        "Cast", "Concat", "Expand", "Gather", "GatherElements", "Reshape", "Shape", "Slice", "Split", "Squeeze", "Tile",
        "Transpose", "Unsqueeze",
    ),
}  # fmt: skip
KINDS = {one: kind for kind, types in TYPES.items() for one in types}
RUNS = 40


def kind(event: dict) -> str:
    """What an operator is for. A product is of attention where it multiplies by a stack of matrices: a weight is one matrix,
    and the profiler does not count it among the inputs where it was packed beforehand."""
    name = event["args"]["op_name"]
    found = KINDS.get(name, REST)
    if found != ATTENTION or name in ("Attention", "MultiHeadAttention", "Softmax"):
        return found
    shapes = [next(iter(one.values())) for one in event["args"].get("input_type_shape", [])]
    return ATTENTION if len(shapes) > 1 and len(shapes[1]) > 2 else WEIGHTS


def operators(file: Path, pairs: int, tokens: int) -> dict:
    """Milliseconds of each kind in one run: the least that each operator took, added up."""
    with tempfile.TemporaryDirectory() as folder:
        graph = graph_runs.session(file, Path(folder) / "profile")
        inputs, output = graph_runs.inputs(graph, pairs, tokens), graph_runs.output(graph)
        for _ in range(RUNS):
            graph.run(output, inputs)
        events = json.loads(Path(graph.end_profiling()).read_text())
    least, kinds = {}, {}
    for event in events:
        is_operator = event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
        # A Scan takes what the operators within it take.
        if is_operator and event["args"]["op_name"] != "Scan":
            least[event["name"]] = min(least.get(event["name"], event["dur"]), event["dur"])
            kinds[event["name"]] = kind(event)
    total = collections.Counter()
    for name, microseconds in least.items():
        total[kinds[name]] += microseconds / 1000
    return {name: total[name] for name in ORDER}
