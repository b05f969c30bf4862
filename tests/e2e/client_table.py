"""The table of the client matrix: which clients, in which version, on which engine, and what each is asked to do. docs/clients.md shows it,
and `test_client_matrix.py` runs it. Owns no set-up (`client_set_up.py`) and no comparison."""

import json
import re
from dataclasses import dataclass

from proxy import REPOSITORY

SOURCES = REPOSITORY / "tests" / "clients"

# What a driver may be asked for, and what the documentation's table calls it.
MODES = {
    "steps": "script",
    "compressed": "compressed",
    "sniff": "sniffing",
    "retries": "503, 429",
    "product": "product check",
}
ALL = ("steps", "compressed", "sniff", "retries", "product")
# OpenSearch's clients do not ask what they talk to.
ANY_PRODUCT = ("steps", "compressed", "sniff", "retries")


@dataclass(frozen=True)
class Client:
    """One client. `set_up` is a set of packages of `client_set_up.py`, `driver` a program below `tests/clients`, and `package` what the
    version is read of. A light one needs no other language and no packages of size: CI runs it."""

    name: str
    package: str
    set_up: str
    driver: str
    engine: str
    modes: "tuple[str, ...]" = ALL
    light: bool = False

    @property
    def version(self) -> str:
        """As it is pinned."""
        return PINS[self.set_up][self.package]


def _python(file):
    return dict(re.findall(r"^([\w-]+)(?:\[.*\])?==(\S+)$", file.read_text(), re.MULTILINE))


def _node():
    wanted = json.loads((SOURCES / "node" / "package.json").read_text())["dependencies"]
    return {name: version.rsplit("@", 1)[-1] for name, version in wanted.items()}


def _go():
    return dict(re.findall(r"^\s*(?:require )?(github\S+) v(\S+)", (SOURCES / "go" / "go.mod").read_text(), re.MULTILINE))


def _java():
    return dict(re.findall(r"^[\w.]+:([\w.-]+):(\S+)$", (SOURCES / "java" / "jars.txt").read_text(), re.MULTILINE))


PINS = {
    "python": _python(REPOSITORY / "tests" / "e2e" / "requirements.txt"),
    "python-8": _python(SOURCES / "python" / "requirements-8.txt"),
}

ES8, ES9, OS3 = "elasticsearch-8", "elasticsearch-9", "opensearch-3"

CLIENTS = [
    Client("elasticsearch-py 9", "elasticsearch", "python", "python/elasticsearch_py.py", ES9, light=True),
    Client("elasticsearch-py 9, its `dsl`", "elasticsearch", "python", "python/dsl_documents.py", ES9, light=True),
    Client("elasticsearch-py 8", "elasticsearch", "python-8", "python/elasticsearch_py.py", ES8, light=True),
    Client("elasticsearch-dsl", "elasticsearch-dsl", "python-8", "python/dsl_documents.py", ES8, light=True),
    Client("opensearch-py", "opensearch-py", "python", "python/opensearch_py.py", OS3, ANY_PRODUCT, light=True),
]


def rows() -> "list[str]":
    """The table of docs/clients.md."""
    lines = ["| client | version | engine | " + " | ".join(MODES.values()) + " | in CI |", "|" + "---|" * (4 + len(MODES))]
    for client in CLIENTS:
        done = ["yes" if mode in client.modes else "" for mode in MODES]
        lines.append(" | ".join([f"| {client.name}", client.version, client.engine, *done, "yes" if client.light else ""]) + " |")
    return [re.sub(r" +\|", " |", line) for line in lines]
