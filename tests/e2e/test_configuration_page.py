"""docs/configuration.md against the program: what it says a key's default is, is what a proxy has that was told nothing."""

import json
import re
import tempfile

import pytest
from conftest import DIRECT

import proxy as proxy_control
from wire import send

pytestmark = pytest.mark.skipif(DIRECT, reason="needs a proxy")

PAGE = proxy_control.REPOSITORY / "docs" / "configuration.md"


def shown():
    """The defaults of the page, {path: value as JSON}."""
    found, table = {}, ""
    for line in PAGE.read_text().splitlines():
        if head := re.fullmatch(r"## `\[(.*)\]`", line):
            table = head.group(1)
        elif row := re.match(r"\| `([a-z_.]+)` \| [a-z ]+ \| `(.*?)` \| (?:at once|restart) \|", line):
            key, value = row.groups()
            if value[0] != "{":
                found[f"{table}.{key}"] = json.loads(value)
    return found


def test_the_defaults_that_the_page_shows_are_those_that_count():
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write('[server]\nlisten = "127.0.0.1:0"\n[admin]\nlisten = "127.0.0.1:0"\n[upstream]\nurl = "http://127.0.0.1:9"\n')
        file.flush()
        with proxy_control.Proxy("--config", file.name) as proxy:
            line = proxy.process.stdout.readline()
            admin = re.search(r"http://\S+", line).group()
            counts = send(admin, "GET", "/config").json()
    counts = {key: brief(each["value"]) for key, each in counts.items() if each["from"] == "default"}
    compared = {key: value for key, value in shown().items() if key in counts}
    assert len(compared) > 35, sorted(counts)
    assert compared == {key: counts[key] for key in compared}


def brief(value):
    """A size as the page writes it: `1MiB` for `1.0 MiB`."""
    return re.sub(r"^(\d+)\.0 ([KMG]iB)$", r"\1\2", value) if isinstance(value, str) else value
