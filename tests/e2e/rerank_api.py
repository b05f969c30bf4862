"""A proxy whose rerank API wants a key, and five passages to rank: for tests of the clients that people use. A client is here a
function `(server, model, key, top) -> [(which passage, its score)]`, best first."""

import contextlib
from dataclasses import dataclass
from importlib.metadata import version

import pytest

import proxy as proxy_control
from bundled import MODELS, cluster_of
from wire import send

KEY = "the-key-of-the-tests"
QUERY = "what is the capital of the United States"
PASSAGES = [
    "Carson City has been the capital of Nevada since 1861.",
    "Saipan is the largest of the Northern Mariana Islands, and their capital.",
    "German writes every noun with a capital letter, English only names.",
    "Washington, D.C. is the capital of the United States and the seat of its government.",
    "Capital punishment is still the law in about half of the states.",
]
# A model for sentences, which understands the passages, and a cross-encoder with random weights, which does not.
SENTENCES, CROSS_ENCODER = "all-MiniLM-L6-v2", "tiny-deberta-v2"
BEST_FIRST = [3, 0, 4, 1, 2]


@dataclass
class Server:
    """`url` is the proxy's, where the API is below `/_rerank`; `root` is the API's own."""

    url: str
    root: str


@contextlib.contextmanager
def serving(locked: bool = True):
    """The server, which wants a key if it is locked. It answers searches of an index with a model's name in small letters, too:
    they find the passages."""
    with cluster_of(PASSAGES) as cluster:
        config = ['[server]\nlisten = "127.0.0.1:0"', f'[upstream]\nurl = "{cluster.url}"']
        config += [f'[api]\nlisten = "127.0.0.1:0"\nmodel = "{SENTENCES}"']
        config += ['keys_env = "RERANK_TEST_KEYS"'] if locked else []
        for model, variant in ((SENTENCES, "model_quantized"), (CROSS_ENCODER, "model")):
            config += [f'[models."{model}"]\npath = "{MODELS / model}"\nvariant = "{variant}"']
            config += [f'[[rules]]\nindex = ["{model.lower()}"]\nmodel = "{model}"\nfields = ["text"]\nbudget = "1m"']
        keys = {"RERANK_TEST_KEYS": f"another-key,{KEY}"}
        with proxy_control.start("\n".join(config), keys) as proxy:
            proxy.ready()
            yield Server(proxy.url, proxy.api_url())


def plain(server: Server, model: str) -> list:
    """What a call without any client gives."""
    call = {"query": QUERY, "documents": PASSAGES, "model": model}
    answer = send(server.root, "POST", "/v1/rerank", call, {"Authorization": f"Bearer {KEY}"})
    assert answer.status == 200, answer.text
    return [(result["index"], result["relevance_score"]) for result in answer.json()["results"]]


def check(found: list, expected: list) -> None:
    """The same passages in the same order, with the same scores."""
    assert [passage for passage, _ in found] == [passage for passage, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-6)


def versions(*packages: str) -> str:
    """For the head of a run."""
    return "clients: " + ", ".join(f"{package} {version(package)}" for package in packages)
