"""A judged collection in memory: passages, queries, judgements, the first order that the embedded engine gives, and the
measures. Knows no model."""

import json
import math
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CUTOFF = 10
WINDOW = 100


@dataclass
class Collection:
    """Passages and queries by position; `grades[q]` maps positions of passages to grades from 0 to 3."""

    titles: list[str]
    texts: list[str]
    queries: list[str]
    grades: list[dict[int, int]]

    def passage(self, place: int) -> str:
        """What the models read: the fields title and text, as the proxy joins them."""
        return "\n".join(part for part in (self.titles[place].strip(), self.texts[place].strip()) if part)


def read(folder: Path) -> Collection:
    """Reads passages.jsonl, queries.jsonl and qrels.tsv."""
    lines = lambda name: (folder / name).read_text(encoding="utf-8").splitlines()
    passages = [json.loads(line) for line in lines("passages.jsonl")]
    queries = [json.loads(line) for line in lines("queries.jsonl")]
    places = {passage["id"]: place for place, passage in enumerate(passages)}
    grades: dict[str, dict[int, int]] = {query["id"]: {} for query in queries}
    for line in lines("qrels.tsv"):
        query, passage, grade = line.split("\t")
        grades[query][places[passage]] = int(grade)
    judged = [query for query in queries if any(grades[query["id"]].values())]
    return Collection(
        titles=[passage["title"] for passage in passages],
        texts=[passage["text"] for passage in passages],
        queries=[query["text"] for query in judged],
        grades=[grades[query["id"]] for query in judged],
    )


def words(text: str) -> list[str]:
    """The tokens of crates/demo-engine/src/analysis.rs: runs of letters and digits, lower-cased. Apostrophes and dots join
    letters, dots, commas and semicolons join digits; ideographs do not occur in these texts."""
    found, start = [], None
    is_word = lambda c: c.isalnum() or c == "_" or unicodedata.combining(c)
    for at, character in enumerate(text + " "):
        if is_word(character):
            start = at if start is None else start
            continue
        if start is None:
            continue
        before, after = text[at - 1], text[at + 1] if at + 1 < len(text) else " "
        letters = character in ".'\u2018\u2019\u2024" and before.isalpha() and after.isalpha()
        digits = character in ".'\u2018\u2019\u2024,;" and before.isnumeric() and after.isnumeric()
        if not (letters or digits):
            found.append(text[start:at].lower())
            start = None
    return found


def stored_length(length: int) -> int:
    """A field's length as Lucene and tantivy keep it in one byte: exact to 40, then four leading bits."""
    if length < 40:
        return length
    shift = max((length - 24).bit_length() - 4, 0)
    return 24 + ((length - 24) >> shift << shift)


class Bm25:
    """BM25 of a `multi_match` of type `most_fields` over title and text: the sum of both fields' scores, k1 1.2, b 0.75."""

    def __init__(self, collection: Collection):
        self.fields = []
        for texts in (collection.titles, collection.texts):
            postings: dict[str, dict[int, int]] = {}
            lengths, stored = np.zeros(len(texts)), np.zeros(len(texts))
            for place, text in enumerate(texts):
                tokens = words(text)
                lengths[place], stored[place] = len(tokens), stored_length(len(tokens))
                for token in tokens:
                    counts = postings.setdefault(token, {})
                    counts[place] = counts.get(place, 0) + 1
            self.fields.append((postings, 1.2 * (0.25 + 0.75 * stored / lengths.mean())))

    def top(self, query: str, count: int = WINDOW) -> list[tuple[int, float]]:
        """The best passages and their scores; ties in the order of the collection."""
        scores: dict[int, float] = {}
        for postings, saturation in self.fields:
            for token in words(query):
                found = postings.get(token, {})
                rarity = math.log(1 + (len(saturation) - len(found) + 0.5) / (len(found) + 0.5))
                for place, times in found.items():
                    scores[place] = scores.get(place, 0.0) + rarity * times / (times + saturation[place])
        ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        return ranked[:count]


def ndcg(ranked: list[int], grades: dict[int, int]) -> float:
    """NDCG@10 with gains 2^grade - 1; unjudged passages count as 0."""
    gain = lambda values: sum((2**grade - 1) / math.log2(rank + 2) for rank, grade in enumerate(values[:CUTOFF]))
    return gain([grades.get(place, 0) for place in ranked]) / gain(sorted(grades.values(), reverse=True))


def randomisation(ours: np.ndarray, theirs: np.ndarray, permutations: int = 10_000, seed: int = 15) -> float:
    """The two-sided p of a paired randomisation test: how often random signs give a mean difference as large."""
    difference = np.asarray(ours) - np.asarray(theirs)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(permutations, len(difference)))
    extreme = np.abs(signs @ difference) >= abs(difference.sum()) - 1e-12
    return float((extreme.sum() + 1) / (permutations + 1))
