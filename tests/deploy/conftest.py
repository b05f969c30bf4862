"""Says loudly where the tools cannot be had; with CI=true, or where they were asked for by `make test-deploy`, that is a failure."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import tools


def pytest_sessionstart(session):
    if why := tools.missing():
        raise pytest.UsageError("; ".join(why))
