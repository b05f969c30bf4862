"""What the models say of each query's window: run with ONNX Runtime as the proxy runs them (one pair at a time at its exact
length, one thread), and kept in a file."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from relevance_collection import Bm25, Collection

BI_ENCODER_TOKENS = 256
CROSS_ENCODER_TOKENS = 512


class Model:
    """An ONNX model and its tokenizer."""

    def __init__(self, weights: Path, tokenizer: Path, max_tokens: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        # As the proxy does: the weights have all 8 bits, which CPUs without VNNI would add up in too few.
        options.add_session_config_entry("session.x64quantprecision", "1")
        self.session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_tokens, strategy="longest_first")

    def __call__(self, *texts: str) -> np.ndarray:
        encoded = self.tokenizer.encode(*texts)
        inputs = {
            "input_ids": encoded.ids, "attention_mask": encoded.attention_mask, "token_type_ids": encoded.type_ids,
        }  # fmt: skip
        named = {name: np.array([values], dtype=np.int64) for name, values in inputs.items()}
        return self.session.run(None, named)[0][0]

    def embedding(self, text: str) -> np.ndarray:
        """The mean over the tokens, of length 1."""
        mean = self(text).mean(axis=0)
        return mean / np.linalg.norm(mean)


def weights(folder: Path) -> Path:
    """The ONNX file of a model folder: below onnx/ as on the Hub, or beside the tokenizer."""
    below = folder / "onnx" / "model_quantized.onnx"
    return below if below.exists() else folder / "model.onnx"


def scores(collection: Collection, bi_encoder: Path, cross_encoder: Path, kept_in: Path) -> list[dict]:
    """For each query its window in the first order: `places`, `bm25`, `cosine` and `logit`, arrays of one length."""
    contents = hashlib.sha256(repr(collection).encode())
    for folder in (bi_encoder, cross_encoder):
        contents.update(weights(folder).read_bytes())
    key = contents.hexdigest()
    if kept_in.exists():
        kept = np.load(kept_in, allow_pickle=True)
        if str(kept["key"]) == key:
            return list(kept["windows"])
    bm25 = Bm25(collection)
    bi = Model(weights(bi_encoder), bi_encoder / "tokenizer.json", BI_ENCODER_TOKENS)
    cross = Model(weights(cross_encoder), cross_encoder / "tokenizer.json", CROSS_ENCODER_TOKENS)
    embeddings: dict[int, np.ndarray] = {}
    windows = []
    for number, query in enumerate(collection.queries):
        top = bm25.top(query)
        places = [place for place, _ in top]
        for place in places:
            if place not in embeddings:
                embeddings[place] = bi.embedding(collection.passage(place))
        asked = bi.embedding(query)
        windows.append({
            "places": np.array(places),
            "bm25": np.array([score for _, score in top]),
            "cosine": np.array([float(asked @ embeddings[place]) for place in places]),
            "logit": np.array([float(cross(query, collection.passage(place))[0]) for place in places]),
        })  # fmt: skip
        if number % 10 == 9:
            print(f"scored {number + 1} of {len(collection.queries)} queries", file=sys.stderr)
    kept_in.parent.mkdir(parents=True, exist_ok=True)
    np.savez(kept_in, key=key, windows=np.array(windows, dtype=object))
    return windows
