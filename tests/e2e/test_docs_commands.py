"""Every command in README.md and docs/: run as it stands, against real engines, in the order of its page; and what cannot be run here
still names no flag, path or target that is not there. `doc_blocks.py` says how a page tells which is which.

Addresses are the only thing that is changed: the engine of a page is where the tests have it, the proxy on a port that is free.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from conftest import DIRECT
from doc_blocks import REPOSITORY, Block, blocks, commands, matches, pages

import proxy as proxy_control
from wire import send

pytestmark = pytest.mark.skipif(DIRECT, reason="needs a proxy")

KINDS = {"elasticsearch": "elasticsearch-9", "opensearch": "opensearch-3", "solr": "solr-9", "proxy": "elasticsearch-9"}
WITHIN_SECONDS = 90
ALL = {page.name: blocks(page) for page in pages()}
RUN = sorted({(name, block.setup) for name, (found, _) in ALL.items() for block in found if block.setup})
BLOCKS = [block for found, _ in ALL.values() for block in found]
CORPUS = REPOSITORY / "fixtures" / "corpus"
# What the pages name, and what stands in for it: the models that are in the repository.
MODELS = {
    "mxbai-rerank-xsmall-v1": "ms-marco-MiniLM-L12-v2",
    "ms-marco-MiniLM-L12-v2": "ms-marco-MiniLM-L12-v2",
    "all-MiniLM-L6-v2": "all-MiniLM-L6-v2",
}
# Where shells look for completions. zsh has a list of such folders, which counts from 1.
COMPLETIONS = (".local/share/bash-completion/completions", ".config/fish/completions", "zsh")
BEFORE_EACH = 'fpath=("" "$HOME/zsh")\n'
# Of the judged queries, so many are asked for: a page shows how, not how good.
QUERIES, DOCUMENTS = 3, 60


def test_every_block_of_commands_says_how_it_is_run():
    wrong = [each for _, mistakes in ALL.values() for each in mistakes]
    assert not wrong, "\n".join(wrong)
    assert len([block for block in BLOCKS if block.setup]) > 20


def test_what_is_not_run_has_a_reason():
    left_out = [block for block in BLOCKS if block.why_not]
    for block in left_out:
        print(f"{block.place} is not run: {block.why_not}")
    assert all(len(block.why_not.split()) > 3 for block in left_out)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_commands_name_what_is_there(block):
    found = commands(block.text)
    assert found, block.text
    for words in found:
        program = Path(words[0]).name
        if program == "rerank-proxy":
            # Flags are read from left to right, so that --help is reached only if all before it are right.
            said = subprocess.run([proxy_control.binary(), *words[1:], "--help"], capture_output=True, text=True, timeout=20)
            assert said.returncode == 0, f"{' '.join(words)}: {said.stderr}"
        elif program == "make":
            targets = [word for word in words[1:] if re.fullmatch(r"[a-z-]+", word)]
            there = re.findall(r"^([a-z0-9-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
            assert set(targets) <= set(there), words
        elif program == "curl":
            unknown = [path for path in own_paths(words) if path not in OWN_PATHS]
            assert not unknown, f"{unknown} of {sorted(OWN_PATHS)}"


def _known_paths():
    api = json.loads((REPOSITORY / "src" / "api" / "openapi.json").read_text())["paths"]
    on_admin = re.findall(r"^\| `(?:GET|POST) (/[a-z]+)` \|", (REPOSITORY / "docs" / "operations.md").read_text(), re.MULTILINE)
    return {f"/_rerank{path}" for path in api} | {"/_rerank/ui"} | {f"admin{path}" for path in on_admin}


OWN_PATHS = _known_paths()


def own_paths(words):
    """The paths of our own that a curl command asks for: below /_rerank, or on the admin listener's usual port."""
    for word in words[1:]:
        if url := re.match(r"https?://[^/]+?(:\d+)?(/[^?#]*)", word):
            port, path = url.groups()
            if path.startswith("/_rerank"):
                yield path
            elif port == ":9702":
                yield f"admin{path}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Page:
    """A shell of its own for each set-up of a page: a folder with what the commands read, and the programs that stay."""

    def __init__(self, folder: Path, engine: str = "", proxy: str = ""):
        self.folder, self.staying = folder, []
        own = proxy.split(":")[-1] if proxy else str(free_port())
        self.proxy = f"http://127.0.0.1:{own}"
        self.addresses = {"localhost:9700": f"127.0.0.1:{own}", "localhost:9702": f"127.0.0.1:{free_port()}"}
        if engine:
            self.addresses |= dict.fromkeys(("localhost:9200", "localhost:8983"), engine.removeprefix("http://"))
        self.environment = os.environ | {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "RERANK_PROXY_SERVER__LISTEN": f"127.0.0.1:{own}",
            "ORT_DYLIB_PATH": os.environ.get("ORT_DYLIB_PATH", str(REPOSITORY / "target" / "onnxruntime")),
        }
        lay_out(folder)
        configuration = folder / "rerank-proxy.toml"
        configuration.write_text(self.with_real_addresses(configuration.read_text()))

    def with_real_addresses(self, text: str) -> str:
        for named, real in self.addresses.items():
            text = text.replace(named, real)
        return text

    def run(self, block: Block) -> None:
        text = self.with_real_addresses(block.text)
        if block.stays:
            return self._start(block, text)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", BEFORE_EACH + text],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_SECONDS,
        )
        said = f"{block.place}:\n{text}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, said
        if block.prints is not None:
            assert matches(block.prints, done.stdout), f"{said}\nis not what the page shows:\n{block.prints}"

    def _start(self, block: Block, text: str) -> None:
        log = open(self.folder / "stays.log", "w")
        started = subprocess.Popen(
            ["bash", "-c", f"exec {text.strip()}"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        self.staying.append(started)
        deadline = time.monotonic() + WITHIN_SECONDS
        while not self._ready():
            told = f"{block.place}:\n{text}\n{(self.folder / 'stays.log').read_text()}"
            assert started.poll() is None and time.monotonic() < deadline, told
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            return send(self.proxy, "GET", "/_rerank/health").json()["status"] == "ready"
        except OSError:
            return False

    def close(self) -> None:
        for process in self.staying:
            process.terminate()
            process.wait(60)


def lay_out(folder: Path) -> None:
    """The files that the commands of the pages name."""
    for path in ("bin", "models", "beir/scifact/qrels", "target/release", *COMPLETIONS):
        (folder / path).mkdir(parents=True)
    for program in ("bin/rerank-proxy", "target/release/rerank-proxy"):
        (folder / program).symlink_to(proxy_control.binary().resolve())
    for name, model in MODELS.items():
        (folder / "models" / name).symlink_to(REPOSITORY / "fixtures" / "models" / model)
    queries = (CORPUS / "queries.jsonl").read_text().splitlines()[:QUERIES]
    (folder / "beir/scifact/queries.jsonl").write_text(
        "".join(f"{json.dumps({'_id': query['id'], 'text': query['text']})}\n" for query in map(json.loads, queries))
    )
    grades = (CORPUS / "qrels.tsv").read_text()
    (folder / "beir/scifact/qrels/test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{grades}")
    (folder / "beir" / "mine").symlink_to("scifact")
    texts = ["Lyon is a city on the Rhone.", "Paris is the capital of France.", "Reset your password on the login page."]
    for name in ("documents.txt", "passages.txt"):
        (folder / name).write_text("".join(f"{text}\n" for text in texts))
    (folder / "docs.jsonl").write_text("".join(f"{json.dumps({'title': text[:9], 'body': text})}\n" for text in texts))
    (folder / "queries.txt").write_text("capital of france\nreset a password\n")
    (folder / "rerank-proxy.toml").write_text(
        '[upstream]\nurl = "http://localhost:9200"\n\n[models.fast]\nname = "all-MiniLM-L6-v2"\n\n[[rules]]\nindex = "*"\nmodel = "fast"\n'
    )


@pytest.fixture
def filled(cluster):
    """The engine with what the pages search besides what they index themselves; without it afterwards."""
    if cluster.flavour == "solr":
        create = "action=CREATE&name=help&numShards=1&collection.configName=plain&waitForFinalState=true"
        assert send(cluster.engine, "GET", f"/solr/admin/collections?{create}").status == 200
        yield cluster
        send(cluster.engine, "GET", "/solr/admin/collections?action=DELETE&name=help")
        return
    documents = [json.loads(line) for line in (CORPUS / "passages.jsonl").read_text().splitlines()[:DOCUMENTS]]
    bulk = "".join(
        f"{json.dumps({'index': {'_index': index, '_id': each['id']}})}\n{json.dumps({'title': each['title'], 'text': each['text']})}\n"
        for index in ("docs", "products")
        for each in documents
    )
    headers = {"content-type": "application/x-ndjson"}
    assert send(cluster.engine, "POST", "/_bulk?refresh=true", bulk.encode(), headers).status == 200
    yield cluster
    for index in ("docs", "products", "help"):
        send(cluster.engine, "DELETE", f"/{index}")


@pytest.fixture(scope="session")
def running_proxy(clusters):
    """The proxy that pages speak of which start none."""
    with proxy_control.Proxy("--upstream", clusters[KINDS["proxy"]].engine, "--listen", "127.0.0.1:0") as proxy:
        yield proxy.ready().url


def follow(page, setup, shell):
    """Runs what the page has for this set-up."""
    try:
        for block in ALL[page][0]:
            if block.setup == setup:
                shell.run(block)
    finally:
        shell.close()


@pytest.mark.parametrize("page", [page for page, setup in RUN if setup == "files"])
def test_the_commands_of_a_page_that_need_no_engine_do_what_it_says(page, tmp_path):
    follow(page, "files", Page(tmp_path))


ON_ENGINES = [(KINDS[setup], page, setup) for page, setup in RUN if setup != "files"]


@pytest.mark.parametrize("cluster, page, setup", ON_ENGINES, indirect=["cluster"])
def test_the_commands_of_a_page_do_what_it_says(filled, page, setup, tmp_path, request):
    proxy = request.getfixturevalue("running_proxy") if setup == "proxy" else ""
    follow(page, setup, Page(tmp_path, filled.engine, proxy))


RECIPES = re.findall(r"^```toml\n(.*?)^```$", (REPOSITORY / "docs" / "recipes.md").read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_a_configuration_without_a_mistake(recipe, tmp_path):
    file = tmp_path / "rerank-proxy.toml"
    file.write_text(recipe)
    checked = subprocess.run(
        [proxy_control.binary(), "check", "--offline", "--config", file], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_curl_is_here():
    assert shutil.which("curl"), "the commands of the pages need curl: apt-get install curl"
