"""The bundled models, each with its variants, and a cluster that answers every search with the same passages: for tests of
scores, which need no engine."""

import json

import pytest

import proxy as proxy_control
from wire import ScriptedServer, replying

MODELS = proxy_control.REPOSITORY / "fixtures" / "models"
VARIANTS = [
    pytest.param(file.parent.parent, file.stem, id=f"{file.parent.parent.name}-{file.stem}")
    for file in sorted(MODELS.glob("*/onnx/*.onnx"))
]


def cluster_of(passages) -> ScriptedServer:
    """A cluster, to be entered with `with`, all of whose searches find these passages in this order."""
    hits = [
        {"_index": "passages", "_id": str(n), "_score": float(len(passages) - n), "_source": {"text": passage}}
        for n, passage in enumerate(passages)
    ]
    total = {"value": len(hits), "relation": "eq"}
    body = json.dumps({"took": 1, "hits": {"total": total, "max_score": float(len(hits)), "hits": hits}}).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    return ScriptedServer(replying(head + body))
