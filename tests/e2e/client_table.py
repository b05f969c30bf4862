"""The table of the client matrix: which clients, in which version, on which engine, and what each is asked to do. docs/clients.md shows it,
and `test_client_matrix.py` runs it; as a program it writes the table there, and prints it. Owns no set-up (`client_set_up.py`) and no comparison."""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

# Where it is run by itself; else the tests have it on their path.
sys.path.append(str(Path(__file__).resolve().parent.parent / "engines"))

from kinds import KINDS
from proxy import REPOSITORY

SOURCES = REPOSITORY / "tests" / "clients"
DOCUMENTATION = REPOSITORY / "docs" / "clients.md"

# What a driver may be asked for, and what the documentation's table calls it.
MODES = {
    "steps": "script",
    "compressed": "compressed",
    "sniff": "sniffing",
    "retries": "503, 429",
    "product": "product check",
    "store": "documents, searches",
}
ALL = ("steps", "compressed", "sniff", "retries", "product")
# OpenSearch's clients do not ask what they talk to.
ANY_PRODUCT = ("steps", "compressed", "sniff", "retries")

REQUESTS = ("steps", "compressed")
STORE = ("store",)
LLAMA_INDEX = "llama-index-vector-stores-"


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
    pinned = "".join(file.read_text() for file in (SOURCES / "java").glob("*.txt"))
    return dict(re.findall(r"^[\w.]+:([\w.-]+):(\S+)$", pinned, re.MULTILINE))


PINS = {
    # What sends the requests that are written down.
    "nothing": {"kibana": "9.2.0", "opensearch-dashboards": "3.4.0"},
    "python": _python(REPOSITORY / "tests" / "e2e" / "requirements.txt"),
    "python-8": _python(SOURCES / "python" / "requirements-8.txt"),
    "stores": _python(SOURCES / "python" / "requirements-stores.txt"),
    "node": _node(),
    "go": _go(),
    "java": _java(),
}

ES8, ES9, OS3, OS3_VECTORS = "elasticsearch-8", "elasticsearch-9", "opensearch-3", "opensearch-3-vectors"

CLIENTS = [
    Client("elasticsearch-py 9", "elasticsearch", "python", "python/elasticsearch_py.py", ES9, light=True),
    Client("elasticsearch-py 9, its `dsl`", "elasticsearch", "python", "python/dsl_documents.py elasticsearch.dsl", ES9, light=True),
    Client("elasticsearch-py 8", "elasticsearch", "python-8", "python/elasticsearch_py.py", ES8, light=True),
    Client("elasticsearch-dsl", "elasticsearch-dsl", "python-8", "python/dsl_documents.py elasticsearch_dsl", ES8, light=True),
    Client("opensearch-py", "opensearch-py", "python", "python/opensearch_py.py", OS3, ANY_PRODUCT, light=True),
    Client("Kibana's requests", "kibana", "nothing", "python/dashboards.py kibana", ES9, REQUESTS, light=True),
    Client("OpenSearch Dashboards' requests", "opensearch-dashboards", "nothing", "python/dashboards.py dashboards", OS3, REQUESTS, light=True),
    Client("@elastic/elasticsearch 9", "elasticsearch-9", "node", "node/elasticsearch.js elasticsearch-9", ES9),
    Client("@elastic/elasticsearch 8", "elasticsearch-8", "node", "node/elasticsearch.js elasticsearch-8", ES8),
    Client("@opensearch-project/opensearch", "@opensearch-project/opensearch", "node", "node/opensearch.js", OS3, ANY_PRODUCT),
    Client("go-elasticsearch 9", "github.com/elastic/go-elasticsearch/v9", "go", "go/elasticsearch", ES9),
    Client("go-elasticsearch 8", "github.com/elastic/go-elasticsearch/v8", "go", "go/elasticsearch8", ES8),
    Client("opensearch-go", "github.com/opensearch-project/opensearch-go/v4", "go", "go/opensearch", OS3, ANY_PRODUCT),
    Client("elasticsearch-java", "elasticsearch-java", "java", "java/ElasticsearchJava.java", ES9),
    Client("opensearch-java", "opensearch-java", "java", "java/OpensearchJava.java", OS3, ANY_PRODUCT),
    Client("LangChain's ElasticsearchStore", "langchain-elasticsearch", "stores", "python/stores.py langchain_elasticsearch", ES8, STORE),
    Client("LangChain's OpenSearchVectorSearch", "langchain-community", "stores", "python/stores.py langchain_opensearch", OS3_VECTORS, STORE),
    Client("LlamaIndex' ElasticsearchStore", f"{LLAMA_INDEX}elasticsearch", "stores", "python/stores.py llama_index_elasticsearch", ES8, STORE),
    Client("LlamaIndex' OpensearchVectorStore", f"{LLAMA_INDEX}opensearch", "stores", "python/stores.py llama_index_opensearch", OS3_VECTORS, STORE),
    Client("Haystack's ElasticsearchDocumentStore", "elasticsearch-haystack", "stores", "python/stores.py haystack_elasticsearch", ES8, STORE),
    Client("Haystack's OpenSearchDocumentStore", "opensearch-haystack", "stores", "python/stores.py haystack_opensearch", OS3_VECTORS, STORE),
]


def rows() -> "list[str]":
    """The tables of docs/clients.md."""
    scripted = [
        [client.name, client.version, client.engine, *(mode in client.modes for mode in MODES), client.light] for client in CLIENTS
    ]
    others = [
        ["pysolr", PINS["python"]["pysolr"], "solr-9", "test_solr_clients.py", True],
        ["SolrJ", KINDS["solr-9"].version, "solr-9", "test_solr_clients.py", True],
        ["Searchkit and InstantSearch, in Chromium", PINS["node"]["searchkit"], ES9, "test_searchkit.py", False],
    ]
    heads = ["client", "version", "engine"]
    return [*_table([*heads, *MODES.values(), "in CI"], scripted), "", *_table([*heads, "test", "in CI"], others)]


def _table(head, lines):
    shown = [[name, version, _engine(kind), *map(_cell, rest)] for name, version, kind, *rest in lines]
    made = ["| " + " | ".join(line) + " |" for line in [head, *shown]]
    made.insert(1, "|" + "---|" * len(head))
    return [re.sub(r" +\|", " |", line) for line in made]


def _cell(value):
    return {True: "yes", False: ""}.get(value, f"`{value}`")


def _engine(kind):
    names = {"elasticsearch": "Elasticsearch", "opensearch": "OpenSearch", "solr": "Solr"}
    plugin = " with k-NN" if KINDS[kind].vectors else ""
    return f"{names[KINDS[kind].flavour]} {KINDS[kind].version}{plugin}"


def write() -> None:
    """Puts the tables into the documentation, in place of those that are there."""
    lines = DOCUMENTATION.read_text().splitlines()
    places = [place for place, line in enumerate(lines) if line.startswith("|")]
    DOCUMENTATION.write_text("\n".join([*lines[: places[0]], *rows(), *lines[places[-1] + 1 :]]) + "\n")


if __name__ == "__main__":
    write()
    print("\n".join(rows()))
