"""`rerank-proxy models pull` beside the Hub's official client: both read the same scripted Hub, and come to the same."""

import json
import os
import subprocess

import pytest
from conftest import DIRECT
from proxy import REPOSITORY, binary
from scripted_hub import COMMIT, ScriptedHub

MODEL = REPOSITORY / "fixtures" / "models" / "tiny-deberta-v2"
NAMES = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "onnx/model.onnx", "onnx/model_quantized.onnx")
QUANTISED = [name for name in NAMES if name != "onnx/model.onnx"]

pytestmark = pytest.mark.skipif(DIRECT, reason="needs the program")


@pytest.fixture
def hub():
    with ScriptedHub({name: (MODEL / name).read_bytes() for name in NAMES}) as scripted:
        yield scripted


def pull(hub, tmp_path, what, *flags):
    """(exit status, what it told, the folder of models)"""
    models = tmp_path / "models"
    proxies = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
    environment = {name: value for name, value in os.environ.items() if name.upper() not in proxies}
    environment |= {"HF_ENDPOINT": hub.url, "HF_TOKEN": "s3cret", "HF_HOME": str(tmp_path)}
    command = [str(binary()), "models", "pull", what, "--models-dir", str(models), *flags]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stdout + ended.stderr, models


def official(hub, tmp_path, repository="acme/tiny", revision=None):
    from huggingface_hub import snapshot_download

    return snapshot_download(repository, revision=revision, endpoint=hub.url, token="s3cret", cache_dir=tmp_path / "cache", max_workers=1)


def test_both_get_the_same_bytes_of_the_same_commit(hub, tmp_path):
    snapshot = official(hub, tmp_path)
    assert snapshot.endswith(COMMIT)
    code, told, models = pull(hub, tmp_path, "acme/tiny")
    assert code == 0, told
    stored = models / "tiny"
    assert sorted(str(file.relative_to(stored)) for file in stored.rglob("*") if file.is_file()) == sorted(QUANTISED)
    for name in QUANTISED:
        assert (stored / name).read_bytes() == (tmp_path / snapshot / name).read_bytes() == hub.files[name]
    locked = json.loads((models / "rerank-proxy.lock").read_text())["models"]["tiny"]
    assert (locked["repository"], locked["revision"]) == ("acme/tiny", COMMIT)
    storage = f"localhost:{hub.storage.server_address[1]}"
    assert all(("Authorization" in headers) == (host != storage) for host, _, headers in hub.asked if "rerank-proxy" in headers["User-Agent"])


def test_what_the_official_client_has_stored_can_be_pulled(hub, tmp_path):
    snapshot = official(hub, tmp_path)
    assert (tmp_path / snapshot / "config.json").is_symlink()
    asked = len(hub.asked)
    code, told, models = pull(hub, tmp_path, snapshot, "--offline", "--name", "ours")
    assert code == 0, told
    assert len(hub.asked) == asked
    assert (models / "ours" / "config.json").read_bytes() == hub.files["config.json"]


@pytest.mark.parametrize(
    ("what", "error", "said"),
    [
        ("acme/gated", "GatedRepoError", "accept the model's terms on its page"),
        ("acme/nothing", "RepositoryNotFoundError", "no such repository"),
        ("acme/tiny@v9", "RevisionNotFoundError", "no such revision"),
    ],
)
def test_both_understand_a_refusal_in_the_same_way(hub, tmp_path, what, error, said):
    repository, _, revision = what.partition("@")
    with pytest.raises(Exception) as refused:
        official(hub, tmp_path, repository, revision or None)
    assert error in {kind.__name__ for kind in type(refused.value).__mro__} or error in repr(refused.value.__cause__)
    code, told, _ = pull(hub, tmp_path, what)
    assert code != 0 and said in told, told
