"""The server that the frameworks send their rerank calls to, as the clients in ../e2e do, and the versions of the frameworks."""

import os
import re
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e")]
pytest.register_assert_rewrite("rerank_api")
# Tests have nothing to tell anybody. It is read when Haystack is imported.
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

import rerank_api


def pytest_report_header():
    return rerank_api.versions(*re.findall(r"^([\w-]+)==", (HERE / "requirements.txt").read_text(), re.MULTILINE))


@pytest.fixture(scope="session")
def server():
    with rerank_api.serving() as started:
        yield started
