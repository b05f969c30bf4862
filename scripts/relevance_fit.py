"""What is fitted, and how it is tried on queries that it was not fitted on: the depth per query, and the probability that a
hit is an answer. Five folds over queries, with a fixed seed. Pure."""

import numpy as np
from scipy.optimize import minimize

from relevance_orders import bi_encoder, falling, sigmoid

FOLDS = 5
# The lowest grade that counts as an answer, as in crates/evaluation/src/measures.rs.
ANSWER = 2
LEAST_DEPTH = 3
GAPS = np.round(np.arange(0.5, 4.01, 0.05), 2)


def folds(count: int) -> np.ndarray:
    """The fold of each query."""
    return np.random.default_rng(15).permutation(count) % FOLDS


def depth(scores: np.ndarray, gap: float, keep: int) -> int:
    """The number of hits that the second stage is asked for: those whose first-stage score lies at most `gap` standard
    deviations of the window's scores below the best one; at least three, at most `keep`."""
    most = min(keep, len(scores))
    spread = scores.std()
    if spread == 0:
        return most
    within = int((scores >= scores.max() - gap * spread).sum())
    return max(min(within, most), min(LEAST_DEPTH, most))


def depths_by_cost(windows: list[dict], keep: int, pairs: float) -> tuple[np.ndarray, list[float]]:
    """The depth of each query out of fold, and the gap of each fold: the largest whose mean depth over the other folds'
    queries is at most `pairs`. No judgement is looked at."""
    table = np.array([[depth(window["cosine"], gap, keep) for window in windows] for gap in GAPS])
    fold, found, chosen = folds(len(windows)), np.zeros(len(windows), dtype=int), []
    for held_out in range(FOLDS):
        others = fold != held_out
        best = max(np.flatnonzero(table[:, others].mean(axis=1) <= pairs), default=0)
        found[~others] = table[best, ~others]
        chosen.append(float(GAPS[best]))
    return found, chosen


def logistic(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The weights, and the offset last, of a logistic regression by maximum likelihood."""
    with_offset = np.c_[features, np.ones(len(features))]
    loss = lambda weights: np.mean(np.logaddexp(0, with_offset @ weights) - labels * (with_offset @ weights))
    slope = lambda weights: with_offset.T @ (sigmoid(with_offset @ weights) - labels) / len(labels)
    return minimize(loss, np.zeros(with_offset.shape[1]), jac=slope, method="BFGS").x


def calibration(windows: list[dict], grades: list[np.ndarray], names: list[str], keep: int | None) -> dict:
    """The probability that a hit is an answer, from the raw scores `names` of a window's hits (with `keep`: of the best so
    many of the bi-encoder): the weights on all queries, and how good they are out of fold."""
    features, labels, queries = [], [], []
    for query, (window, grade) in enumerate(zip(windows, grades)):
        hits = bi_encoder(window)[:keep]
        features.append(np.column_stack([window[name][hits] for name in names]))
        labels.append(grade[hits] >= ANSWER)
        queries.append(np.full(len(hits), query))
    features, labels = np.concatenate(features), np.concatenate(labels).astype(float)
    fold = folds(len(windows))[np.concatenate(queries)]
    predicted = np.zeros(len(labels))
    for held_out in range(FOLDS):
        others = fold != held_out
        weights = logistic(features[others], labels[others])
        predicted[~others] = sigmoid(np.c_[features, np.ones(len(features))][~others] @ weights)
    log_loss = lambda p: float(-np.mean(labels * np.log(p) + (1 - labels) * np.log(1 - p)))
    ranks = np.argsort(falling(-predicted)) + 1
    answers = labels.sum()
    return {
        "weights": logistic(features, labels),
        "log_loss": log_loss(predicted),
        "base": log_loss(np.full(len(labels), labels.mean())),
        "brier": float(np.mean((predicted - labels) ** 2)),
        "auc": float((ranks[labels == 1].sum() - answers * (answers + 1) / 2) / (answers * (len(labels) - answers))),
    }


def probabilities(window: dict, both: np.ndarray, cosine: np.ndarray, keep: int) -> np.ndarray:
    """Each hit's probability: from both scores among the bi-encoder's best `keep`, else from the cosine."""
    kept = bi_encoder(window)[:keep]
    z = cosine[0] * window["cosine"] + cosine[1]
    z[kept] = both[0] * window["cosine"][kept] + both[1] * window["logit"][kept] + both[2]
    return sigmoid(z)


def thresholds(windows: list[dict], grades: list[np.ndarray], lowest: list[float], keep: int) -> list[tuple]:
    """For each lowest probability, out of fold: the share of all answers that it keeps, the hits that it leaves of a
    search, and the share of searches that have a hit left although everything with a grade was taken out."""
    pick = lambda window, hits: {name: values[hits] for name, values in window.items()}
    with_all, without = [], []
    fold = folds(len(windows))
    weights = []
    for held_out in range(FOLDS):
        of = lambda values: [value for value, other in zip(values, fold) if other != held_out]
        fit = lambda names, best: calibration(of(windows), of(grades), names, best)["weights"]
        weights.append((fit(["cosine", "logit"], keep), fit(["cosine"], None)))
    for window, grade, held_out in zip(windows, grades, fold):
        with_all.append(probabilities(window, *weights[held_out], keep))
        without.append(probabilities(pick(window, grade == 0), *weights[held_out], keep))
    every, answers = np.concatenate(with_all), np.concatenate(grades) >= ANSWER
    rows = []
    for threshold in lowest:
        in_vain = np.mean([found.max() >= threshold for found in without])
        rows.append((threshold, (every[answers] >= threshold).mean(), (every >= threshold).sum() / len(windows), in_vain))
    return rows
