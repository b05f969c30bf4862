#!/usr/bin/env python3
"""Measures every configuration of docs/relevance.md on the bundled queries: prints its tables as Markdown, and draws its
plot.

    relevance.py [--cross-encoder FOLDER] [--plot FILE] [--scores FILE]

Runs in an environment with scripts/requirements-relevance.txt. The models run once, on one thread, one pair at a time:
about ten minutes, with the scores kept in target/relevance/ for the next run. Same input, same output: the seeds are
fixed."""

import argparse
from pathlib import Path

import numpy as np

from relevance_collection import ndcg, randomisation, read
from relevance_fit import calibration, depths_by_cost, thresholds
from relevance_models import scores
from relevance_orders import configurations, fused
from relevance_plot import draw

REPOSITORY = Path(__file__).resolve().parent.parent
MODELS = REPOSITORY / "fixtures" / "models"
# What the others are tested against, by the name of their configuration.
RIVALS = {
    "bi-encoder alone": "bi-encoder", "cross-encoder alone": "cross-encoder",
    "cascade, keep 20, second replaces first": "cascade",
}  # fmt: skip
# Depth per query: the name, the most pairs of one query, and the mean pairs that the gap is chosen for.
EFFORTS = [("fast", 20, 6.0), ("balanced", 20, 10.0), ("thorough", 50, 25.0)]
KINDS = {"BM25": "single", "bi-encoder alone": "single", "cross-encoder alone": "single"}
# Where the plot writes what: short names, and which side of its point each is on.
LABELS = {
    "BM25": ("BM25", (8, -4)), "bi-encoder alone": ("bi-encoder", (8, -4)),
    "cross-encoder alone": ("cross-encoder", (-8, -4)),
    "`linear` 0.7, cross-encoder + BM25, on sigmoids": ("linear on sigmoids", (-8, -4)),
    "`linear` 0.7, cross-encoder + BM25, on raw logits": ("linear on logits", (-8, -4)),
    "cascade, keep 20, second replaces first": ("replaced, 20", (8, -10)),
    "fused, keep 10": ("10", (-2, -14)), "fused, keep 20": ("20", (0, -14)), "fused, keep 50": ("50", (0, 7)),
    "fused, all": ("all", (0, 7)), "(bi-encoder 0.7 + BM25 0.3), then fused, keep 20": ("with BM25, 20", (8, 2)),
}  # fmt: skip
DEPTH_LABELS = {"fast": ("fast", (-8, 4)), "balanced": ("balanced", (4, 6)), "thorough": ("thorough", (4, 6))}


def measured(windows: list[dict], judged: list[dict[int, int]]) -> list[dict]:
    """Each configuration's NDCG@10 of every query, and its mean pairs."""
    value = lambda window, order, grades: ndcg([int(window["places"][at]) for at in order], grades)
    rows = []
    for configuration in configurations():
        values = [value(window, configuration.order(window), grades) for window, grades in zip(windows, judged)]
        pairs = np.mean([configuration.pairs(window) for window in windows])
        kind = KINDS.get(configuration.name, "fused" if configuration.name.startswith("fused") else "blend")
        rows.append({"name": configuration.name, "values": np.array(values), "pairs": pairs, "kind": kind})
    for name, keep, target in EFFORTS:
        depths, gaps = depths_by_cost(windows, keep, target)
        values = [
            value(window, fused(window, depth), grades) for window, depth, grades in zip(windows, depths, judged)
        ]  # fmt: skip
        said = f"fused, depth per query, {name}: at most {keep} (gap {min(gaps):g} to {max(gaps):g})"
        rows.append({"name": said, "values": np.array(values), "pairs": depths.mean(), "kind": "adaptive", "label": name})
    return rows


def probability(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< .001"


def table(rows: list[dict]) -> str:
    rivals = {row["name"]: row["values"] for row in rows if row["name"] in RIVALS}
    lines = [
        "| order | NDCG@10 | pairs a search | " + " | ".join(f"p against {short}" for short in RIVALS.values()) + " |",
        "|---|---|---|" + "---|" * len(RIVALS),
    ]
    for row in rows:
        tests = ["" if name == row["name"] else probability(randomisation(row["values"], rivals[name])) for name in RIVALS]
        lines.append(f"| {row['name']} | {row['values'].mean():.3f} | {row['pairs']:.1f} | " + " | ".join(tests) + " |")
    return "\n".join(lines)


def calibrations(windows: list[dict], grades: list[np.ndarray]) -> str:
    lines = ["| from | hits | z | log-loss (of the rate alone) | Brier | AUC |", "|---|---|---|---|---|---|"]
    for names, keep in ((["cosine"], None), (["logit"], None), (["cosine", "logit"], 20), (["logit"], 20)):
        found = calibration(windows, grades, names, keep)
        *weights, offset = found["weights"]
        sign = "−" if offset < 0 else "+"
        z = " + ".join(f"{weight:.3g} × {name}" for weight, name in zip(weights, names)) + f" {sign} {abs(offset):.3g}"
        hits = "the whole window" if keep is None else f"the best {keep}"
        loss = f"{found['log_loss']:.4f} ({found['base']:.4f})"
        lines.append(f"| {' and '.join(names)} | {hits} | {z} | {loss} | {found['brier']:.4f} | {found['auc']:.3f} |")
    return "\n".join(lines)


def cut(windows: list[dict], grades: list[np.ndarray]) -> str:
    lines = ["| p at least | answers kept | hits left a search | searches without an answer that keep a hit |", "|---|---|---|---|"]
    for threshold, answers, hits, in_vain in thresholds(windows, grades, [0.02, 0.05, 0.1, 0.2, 0.5], keep=20):
        lines.append(f"| {threshold:g} | {answers:.0%} | {hits:.1f} | {in_vain:.0%} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cross-encoder", type=Path, default=MODELS / "ms-marco-MiniLM-L12-v2", metavar="FOLDER")
    parser.add_argument("--scores", type=Path, default=REPOSITORY / "target" / "relevance" / "scores.npz", metavar="FILE")
    parser.add_argument("--plot", type=Path, default=REPOSITORY / "docs" / "relevance.svg", metavar="FILE")
    arguments = parser.parse_args()
    collection = read(REPOSITORY / "fixtures" / "corpus")
    windows = scores(collection, MODELS / "all-MiniLM-L6-v2", arguments.cross_encoder, arguments.scores)
    rows = measured(windows, collection.grades)
    graded = zip(windows, collection.grades)
    grades = [np.array([judged.get(int(place), 0) for place in window["places"]]) for window, judged in graded]
    print(table(rows), calibrations(windows, grades), cut(windows, grades), sep="\n\n")
    for row in rows:
        label, shift = LABELS.get(row["name"]) or DEPTH_LABELS[row["label"]]
        row.update(label=label, shift=shift, ndcg=row["values"].mean())
    draw(rows, arguments.plot)


if __name__ == "__main__":
    main()
