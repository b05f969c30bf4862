"""What others make of the same model and the same pairs: pairs a second on all cores, real texts, tokenizing included.

- a bare ONNX Runtime loop over the stock file: batches of 32, sorted by length;
- sentence-transformers with its ONNX backend, over the same file, with its own defaults;
- a bare loop over the compiled graph: a pair a run, as many threads as cores, as the proxy has it.

They take turns, and the best of each is shown. sentence-transformers lives in a process of its own, this file as a program,
in the environment of make_models.py."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
OUTPUT = REPOSITORY / "target" / "bench"
ENVIRONMENT, ADDED = OUTPUT / "venv" / "bin" / "python", OUTPUT / "peers"
REQUIREMENTS = Path(__file__).with_name("requirements-peers.txt")
CORPUS = REPOSITORY / "fixtures" / "corpus"
STOCK, COMPILED = "onnx/model_quantized.onnx", "compiled/int8.onnx"
QUERIES, PASSAGES, BATCH = 4, 50, 32
CORES = os.cpu_count() or 1


def texts() -> list:
    """Pairs of a query and a passage of the bundled corpus; no passage twice."""
    read = lambda name: [json.loads(line)["text"] for line in (CORPUS / name).read_text().splitlines()]
    queries, passages = read("queries.jsonl"), read("passages.jsonl")
    return [(queries[at // PASSAGES], passages[at]) for at in range(QUERIES * PASSAGES)]


class Bare:
    """A loop around ONNX Runtime. Each batch is as long as its longest pair."""

    def __init__(self, folder: Path, file: str, batch: int, threads: int, at_once: int):
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(folder / file), options, providers=["CPUExecutionProvider"])
        self._inputs = [entry.name for entry in self._session.get_inputs()]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(512)
        self._tokenizer.no_padding()
        self._batch, self._pool = batch, ThreadPoolExecutor(at_once)

    def score(self, lot: list) -> None:
        tokens = sorted(self._tokenizer.encode_batch(lot), key=lambda one: -len(one.ids))
        list(self._pool.map(self._run, (tokens[at : at + self._batch] for at in range(0, len(tokens), self._batch))))

    def _run(self, batch: list) -> None:
        import numpy as np

        made = {name: np.zeros((len(batch), len(batch[0].ids)), np.int64) for name in self._inputs}
        for row, one in enumerate(batch):
            said = {"input_ids": one.ids, "attention_mask": one.attention_mask, "token_type_ids": one.type_ids}
            for name in self._inputs:
                made[name][row, : len(one.ids)] = said[name]
        self._session.run(None, made)


class SentenceTransformers:
    """The process that has sentence-transformers: scores all pairs for each line that it is sent."""

    def __init__(self, folder: Path):
        asked = f"{folder}\n{STOCK}\n"
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ADDED)}
        self._process = subprocess.Popen(
            [str(ENVIRONMENT), __file__], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._process.stdin.write(asked)
        self.score([])

    def score(self, _: list) -> None:
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        if not self._process.stdout.readline():
            raise OSError(self._process.stderr.read().strip().splitlines()[-1])

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)


def installed() -> "str | None":
    """Puts sentence-transformers beside torch; says why where that fails."""
    if not ENVIRONMENT.is_file():
        return "there is no torch: scripts/make_models.py installs it"
    stamp = ADDED / ".requirements"
    if stamp.is_file() and stamp.read_text() == REQUIREMENTS.read_text():
        return None
    command = [str(ENVIRONMENT), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    # What it asks for beyond this is in make_models.py's environment, at versions of our choice.
    done = subprocess.run([*command, "--no-deps", "--target", str(ADDED), "-r", str(REQUIREMENTS)], check=False)
    if done.returncode != 0:
        return "pip cannot install it (above)"
    stamp.write_text(REQUIREMENTS.read_text())
    return None


def measure(folder: Path, quick: bool) -> dict:
    """Pairs a second of each way."""
    ways, lot = {"ONNX Runtime, stock": Bare(folder, STOCK, BATCH, CORES, 1)}, texts()
    print(f"\npeers: {folder.name} int8, pairs a second of {len(lot)} real pairs, {CORES} cores")
    failure = installed()
    try:
        if not failure:
            ways["sentence-transformers, ONNX"] = SentenceTransformers(folder)
    except OSError as error:
        failure = str(error)
    if failure:
        print(f"    sentence-transformers is NOT MEASURED: {failure}")
    if (folder / COMPILED).is_file():
        ways["ONNX Runtime, compiled"] = Bare(folder, COMPILED, 1, 1, CORES)
    rates = dict.fromkeys(ways, 0.0)
    for _ in range(1 if quick else 5):
        for name, way in ways.items():
            began = time.perf_counter()
            way.score(lot)
            rates[name] = max(rates[name], len(lot) / (time.perf_counter() - began))
    for name, rate in rates.items():
        print(f"    {name:<28} {rate:>7.1f}", flush=True)
    for way in ways.values():
        if isinstance(way, SentenceTransformers):
            way.close()
    return rates


def serve() -> None:
    """What runs in the other environment."""
    from sentence_transformers import CrossEncoder

    folder, file = sys.stdin.readline().strip(), sys.stdin.readline().strip()
    chosen = {"file_name": file, "provider": "CPUExecutionProvider"}
    encoder = CrossEncoder(folder, backend="onnx", model_kwargs=chosen, local_files_only=True)
    lot = texts()
    for _ in sys.stdin:
        encoder.predict(lot, batch_size=BATCH)
        print("done", flush=True)


if __name__ == "__main__":
    serve()
