"""The bundled models, ranked by the proxy and by ONNX Runtime in Python on this very machine: the same order, the same
scores. Int8 values differ from CPU to CPU, so only a comparison on one machine can ask for equality; what holds on
every machine is in ../parity.rs."""

import json
import random
from functools import lru_cache
from pathlib import Path

import numpy
import onnxruntime
import pytest
from conftest import DIRECT
from tokenizers import Tokenizer

import answers
import proxy as proxy_control
from bundled import VARIANTS, cluster_of
from data import CORPUS
from wire import send

pytestmark = pytest.mark.skipif(DIRECT, reason="needs a proxy")

# Hits may change places only where their scores are nearer than this, which is what a 32-bit sum may be off.
TIE = 1e-6


def corpus(step: int) -> list:
    passages = [json.loads(line) for line in CORPUS.read_text().splitlines() if line.strip()]
    return [f"{passage['title']}\n{passage['text']}" for passage in passages[::step]]


WORDS = " ".join(corpus(8)).split()

# No text begins or ends with white space: the proxy would take it off.
PASSAGES = [
    *corpus(6),
    # As good as empty.
    "a", ".", "…", "-", "0", "\u200b", "\u00ad", "a\tb\n\n c",
    # Written in other ways.
    "Grüße aus Köln: Äpfel, Öl und Übermut heiß genießen", "Gru\u0308\u00dfe aus Ko\u0308ln", "ＧＲＯＳＳ ｕｎｄ ｂｒｅｉｔ",
    "🥚🍳 boiled eggs 🥶", "👩‍👩‍👧‍👦🏳️‍🌈👍🏽", "冷たい水で卵を冷やす。", "如何把鸡蛋煮熟", "삶은 달걀", "כיצד לבשל ביצה", "как сварить яйцо",
    "water水Wasser🌊eau", "[CLS] [SEP] [MASK] <s> </s> [UNK]", "½ ﬁsh & chips — “100 °C”", "WATER WATER WATER", "x" * 300,
    # Longer than a model reads, and some much longer.
    " ".join(WORDS[:700]), " ".join(WORDS[300:1500]), " ".join(WORDS) * 3, "word " * 5000 + "end", "水" * 3000,
    "a" * 20000, "🌊" * 700, ("fish" + " " * 50) * 400 + "end",
    # Again, so that equal scores keep the cluster's order.
    corpus(6)[7], "a", "WATER WATER WATER",
]

# More tokens than a model reads in no more characters than the proxy takes for a query: no tokenizer knows such words.
_LETTERS = random.Random(7)
UNKNOWN_WORDS = ["".join(_LETTERS.choices("bcdfghjkqvwxz0123456789", k=10)) for _ in range(90)]

QUERIES = {
    "typed in a hurry": "my hollandaise went grainy and runny, can i rescue it",
    "one letter": "a",
    "umlauts, CJK and emoji": "Wie kühle ich Eier ab? 卵を冷やす 🥚",
    "longer than a model reads": " ".join(UNKNOWN_WORDS),
}


class Reference:
    """One model as its authors' files say it is run: each input alone, at its own length, on one thread."""

    def __init__(self, folder: Path, variant: str):
        def read(name):
            file = folder / name
            return json.loads(file.read_text()) if file.exists() else {}

        self.is_cross_encoder = read("config.json")["architectures"][0].endswith("ForSequenceClassification")
        if not self.is_cross_encoder:
            kinds = [module["type"].rpartition(".")[2] for module in read("modules.json")]
            assert kinds == ["Transformer", "Pooling", "Normalize"], kinds
            pooling = [key for key, value in read("1_Pooling/config.json").items() if value is True]
            assert pooling == ["pooling_mode_mean_tokens"], pooling
        sentence_bert, tokenizer = read("sentence_bert_config.json"), read("tokenizer_config.json")
        max_length = sentence_bert.get("max_seq_length") or tokenizer["model_max_length"]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length, strategy="longest_first", direction="right")
        # As crates/scoring/src/onnx.rs has them; the last one means nothing to CPUs with VNNI.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.x64quantprecision", "1")
        file = folder / "onnx" / f"{variant}.onnx"
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def scores(self, query: str, passages: list) -> tuple:
        """What hits are ordered by, and what `_score` shows."""
        if self.is_cross_encoder:
            logits = numpy.array([self._run(query, passage).item() for passage in passages], numpy.float64)
            return logits, 1 / (1 + numpy.exp(-logits))
        vector = self._embed(query)
        cosines = numpy.array([vector @ self._embed(passage) for passage in passages])
        return cosines, cosines

    def _embed(self, text: str) -> numpy.ndarray:
        mean = self._run(text)[0].astype(numpy.float64).mean(axis=0)
        return mean / numpy.linalg.norm(mean)

    def _run(self, *texts: str) -> numpy.ndarray:
        encoded = self._tokenizer.encode(*texts)
        every_input = {
            "input_ids": encoded.ids,
            "attention_mask": encoded.attention_mask,
            "token_type_ids": encoded.type_ids,
        }
        wanted = [given.name for given in self._session.get_inputs()]
        return self._session.run(None, {name: numpy.array([every_input[name]], numpy.int64) for name in wanted})[0]


@lru_cache
def reference(folder: Path, variant: str) -> Reference:
    return Reference(folder, variant)


def index(folder: Path, variant: str) -> str:
    return f"{folder.name}-{variant}".lower()


@pytest.fixture(scope="module")
def proxy():
    """A proxy with a rule for each variant, before a cluster that answers every search with all the passages."""
    with cluster_of(PASSAGES) as upstream:
        config = ['[server]\nlisten = "127.0.0.1:0"', f'[upstream]\nurl = "{upstream.url}"']
        for folder, variant in (parameter.values for parameter in VARIANTS):
            name = index(folder, variant)
            config += [
                f'[models."{name}"]\npath = "{folder}"\nvariant = "{variant}"',
                f'[[rules]]\nindex = ["{name}"]\nmodel = "{name}"\nfields = ["text"]',
                f'window = {len(PASSAGES)}\nbudget = "10m"',
            ]
        with proxy_control.start("\n".join(config)) as started:
            yield started.ready()


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
@pytest.mark.parametrize(("folder", "variant"), VARIANTS)
def test_hits_are_ordered_and_scored_as_by_onnx_runtime_in_python(proxy, folder, variant, query):
    search = {"query": {"match": {"text": query}}, "size": len(PASSAGES)}
    answer = send(proxy.url, "POST", f"/{index(folder, variant)}/_search", search, timeout=600)
    header = answers.rerank_header(answer)
    assert header["outcome"] == "applied", header
    assert (header["scored"], header["budget-hit"]) == (len(PASSAGES), False), header

    ranks, shown = reference(folder, variant).scores(query, PASSAGES)
    hits = [(int(hit["_id"]), hit["_score"]) for hit in answer.json()["hits"]["hits"]]
    assert sorted(hit for hit, _ in hits) == list(range(len(PASSAGES)))
    for hit, score in hits:
        assert score == pytest.approx(shown[hit], abs=1e-5), PASSAGES[hit][:80]
    order = [hit for hit, _ in hits]
    for upper, lower in zip(order, order[1:]):
        ahead = ranks[upper] - ranks[lower]
        assert ahead > -TIE, f"{PASSAGES[upper][:80]!r} is before {PASSAGES[lower][:80]!r}, in Python {ahead} below it"
        assert ahead != 0 or upper < lower, f"{PASSAGES[upper][:80]!r}: equal scores, and not in the cluster's order"
