"""How a window's scores become an order: the configurations that are compared, each with what it costs. Pure.

A window holds arrays of one length, in the cluster's order: `bm25`, `cosine` (bi-encoder), `logit` (cross-encoder). An
order is an array of positions in the window. What a model did not score follows in the order before it."""

from dataclasses import dataclass
from typing import Callable

import numpy as np


@dataclass
class Configuration:
    """A way to order a window: its label, its order of a window, and the pairs that it asks the cross-encoder for."""

    name: str
    order: Callable[[dict], np.ndarray]
    pairs: Callable[[dict], int]


def falling(scores: np.ndarray) -> np.ndarray:
    """Positions by score, the highest first; ties keep their order."""
    return np.argsort(-scores, kind="stable")


def minmax(scores: np.ndarray) -> np.ndarray:
    """Scores with the lowest at 0 and the highest at 1; one half where all are the same."""
    span = np.ptp(scores)
    return (scores - scores.min()) / span if span > 0 else np.full(len(scores), 0.5)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def weighted(share: float, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """`share` × ours + (1 - `share`) × theirs, both from 0 to 1."""
    return share * minmax(ours) + (1 - share) * minmax(theirs)


def bm25(window: dict) -> np.ndarray:
    return np.arange(len(window["bm25"]))


def bi_encoder(window: dict) -> np.ndarray:
    return falling(window["cosine"])


def with_bm25(window: dict) -> np.ndarray:
    return weighted(0.7, window["cosine"], window["bm25"])


def replaced(window: dict, keep: int) -> np.ndarray:
    """The bi-encoder's best `keep` in the cross-encoder's order."""
    first = bi_encoder(window)
    kept = first[:keep]
    return np.concatenate([kept[falling(window["logit"][kept])], first[keep:]])


def fused(window: dict, keep: int, before: np.ndarray | None = None, share: float = 0.5) -> np.ndarray:
    """The best `keep` of the first stage by the sum of both stages' scores, each from 0 to 1 among those hits."""
    before = window["cosine"] if before is None else before
    first = falling(before)
    kept = first[:keep]
    scores = weighted(share, window["logit"][kept], before[kept])
    return np.concatenate([kept[falling(scores)], first[keep:]])


def configurations() -> list[Configuration]:
    """Those of fixed depth, the cheapest first."""
    nothing = lambda window: 0
    best = lambda keep: lambda window: min(keep, len(window["bm25"]))
    everything = best(10**9)
    found = [
        Configuration("BM25", bm25, nothing),
        Configuration("bi-encoder alone", bi_encoder, nothing),
        Configuration("cross-encoder alone", lambda window: falling(window["logit"]), everything),
        Configuration(
            "`linear` 0.7, cross-encoder + BM25, on sigmoids",
            lambda window: falling(weighted(0.7, sigmoid(window["logit"]), window["bm25"])), everything,
        ),
        Configuration(
            "`linear` 0.7, cross-encoder + BM25, on raw logits",
            lambda window: falling(weighted(0.7, window["logit"], window["bm25"])), everything,
        ),
        Configuration("cascade, keep 20, second replaces first", lambda window: replaced(window, 20), best(20)),
    ]  # fmt: skip
    for keep in (10, 20, 50):
        found.append(Configuration(f"fused, keep {keep}", lambda window, keep=keep: fused(window, keep), best(keep)))
    found.append(Configuration("fused, all", lambda window: fused(window, len(window["bm25"])), everything))
    found.append(
        Configuration(
            "(bi-encoder 0.7 + BM25 0.3), then fused, keep 20", lambda window: fused(window, 20, with_bm25(window)), best(20)
        )
    )
    return found
