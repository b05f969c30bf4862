"""A real Chromium without a window, for tests of the playground and for its pictures."""

import contextlib
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# As root, which is what CI mostly is, Chromium has no sandbox; what it opens is our own page. Containers have little shared memory.
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]


def binary():
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def left_out() -> "dict[str, str]":
    """As `engines.left_out`: why there can be no browser here, if so."""
    return {} if binary() else {"browser": "no chromium; Debian: apt-get install chromium; macOS: brew install chromium"}


@contextlib.contextmanager
def running():
    """A browser; the package that drives it is asked for no browser of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=Path(binary()), args=ARGUMENTS)
        yield browser
        browser.close()
