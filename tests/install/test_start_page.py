"""docs/start-elasticsearch.md in a Debian that has nothing but Python: each command as it stands there, from the wheel to reranked hits, on
a real Elasticsearch, which runs on this machine."""

import shutil
import sys
import time
from pathlib import Path

import pytest
from clean_root import timed

REPOSITORY = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(REPOSITORY / "tests" / "e2e"), str(REPOSITORY / "tests" / "engines")]

from doc_blocks import blocks, matches  # noqa: E402
from engines import Engine  # noqa: E402
from wire import send  # noqa: E402

PAGE = REPOSITORY / "docs" / "start-elasticsearch.md"
PROXY = "http://127.0.0.1:9700"
# What the page's `export` does to the shell of whoever follows it; here each block has a shell of its own.
PATH = "PATH=/root/rr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
READY_WITHIN_SECONDS = 120


@pytest.fixture
def elasticsearch():
    engine = Engine("elasticsearch-9")
    try:
        yield engine.wait_until_ready().url.removeprefix("http://")
    finally:
        engine.stop()


def wait_until_ready():
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < deadline:
        try:
            if send(PROXY, "GET", "/_rerank/health").json()["status"] == "ready":
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("the proxy does not get ready")


def test_a_newcomer_follows_the_page_word_for_word(root, package, elasticsearch):
    shutil.copy(package("*_{machine}.whl"), root.inside("/root"))
    root.run("apt-get install -qq --no-install-recommends curl")
    found, wrong = blocks(PAGE)
    assert not wrong
    with timed("from the wheel to reranked hits on a real Elasticsearch"):
        proxies = []
        try:
            for block in found:
                text = block.text.replace("localhost:9200", elasticsearch)
                if block.stays:
                    proxies.append(root.running(text.strip(), variables=[PATH]))
                    proxies[-1].__enter__()
                    wait_until_ready()
                elif block.setup or "pip install" in text:
                    printed = root.run(f"cd /root\n{text}", variables=[PATH])
                    assert block.prints is None or matches(block.prints, printed), f"{block.place} printed\n{printed}"
        finally:
            for proxy in proxies:
                proxy.__exit__(None, None, None)
    assert proxies
