"""Runs of a graph as a worker of the proxy has them, for what measures graphs: the session and its inputs."""

from pathlib import Path

import numpy as np
import onnxruntime

# Ids that are words in every vocabulary that is measured.
FIRST_WORD, LAST_WORD = 2000, 20_000


def session(file: Path, profile: "Path | None" = None) -> onnxruntime.InferenceSession:
    """One thread, which sleeps where it has to wait. `profile`: what the file of the profiler is to begin with."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def inputs(graph: onnxruntime.InferenceSession, pairs: int, tokens: int) -> dict:
    """So many pairs of so many tokens, the third of them a query; for the GEMMs of graph_bound.py, as many rows."""
    draw = np.random.default_rng(0)
    first = graph.get_inputs()[0]
    if first.name == "rows":
        return {"rows": draw.standard_normal((pairs * tokens, first.shape[1]), np.float32)}
    ids = draw.integers(FIRST_WORD, LAST_WORD, (pairs, tokens))
    types = np.zeros_like(ids)
    types[:, tokens // 3 :] = 1
    made = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": types}
    return {entry.name: made[entry.name] for entry in graph.get_inputs()}


def output(graph: onnxruntime.InferenceSession) -> list:
    """The one output that is asked for."""
    return [graph.get_outputs()[0].name]
