"""The plot of quality against cost, as an SVG that is read on light and on dark pages. Knows only names and numbers."""

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

LOWEST = 0.4
GREY, BLUE, ORANGE, GREEN = "#7d8590", "#2f81f7", "#d4772c", "#2da44e"


def draw(rows: list[dict], file: Path) -> None:
    """`rows`: `name`, `label` and `shift` (what is written beside the point, and where), `pairs`, `ndcg` and `kind` (single, blend, fused or adaptive); those of one
    kind that is drawn as a line are in the order of their cost. What is below `LOWEST` is left out: it would press the rest together."""
    plt.rcParams.update({
        "svg.fonttype": "none", "svg.hashsalt": "relevance", "font.family": "sans-serif", "font.size": 10,
        "text.color": GREY, "axes.labelcolor": GREY, "axes.edgecolor": GREY, "xtick.color": GREY, "ytick.color": GREY,
    })  # fmt: skip
    figure, axes = plt.subplots(figsize=(7.6, 4.2))
    looks = {"single": (GREY, "o", ""), "blend": (ORANGE, "s", ""), "fused": (BLUE, "o", "-"), "adaptive": (GREEN, "D", "--")}
    said = {
        "single": "one model", "blend": "with BM25, or replaced", "fused": "fused, fixed depth",
        "adaptive": "fused, depth per query (out of fold)",
    }  # fmt: skip
    for kind, (colour, marker, line) in looks.items():
        of_kind = [row for row in rows if row["kind"] == kind and row["ndcg"] >= LOWEST]
        if not of_kind:
            continue
        axes.plot(
            [row["pairs"] for row in of_kind], [row["ndcg"] for row in of_kind],
            color=colour, marker=marker, linestyle=line or "none", linewidth=1.2, markersize=6, label=said[kind],
        )  # fmt: skip
        for row in of_kind:
            axes.annotate(
                row["label"], (row["pairs"], row["ndcg"]), xytext=row["shift"], textcoords="offset points",
                color=colour, fontsize=9, ha="right" if row["shift"][0] < 0 else "left",
            )  # fmt: skip
    axes.margins(y=0.12)
    axes.set_xlabel("cross-encoder pairs a search (mean)")
    axes.set_ylabel("NDCG@10")
    axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="lower left")
    figure.tight_layout()
    figure.savefig(file, transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(figure)
