"""Which engines the tests run against: one table. Owns names and versions, and does nothing."""

from dataclasses import dataclass

# Modules that some integ-test distributions lack and the tests want, by the name of their jar on Maven Central.
# "-client" is what their publishers call the jar of a module that other programs may link to.
PAINLESS, MUSTACHE, PARENT_JOIN = "lang-painless", "lang-mustache-client", "parent-join-client"


@dataclass(frozen=True)
class Kind:
    """One engine. `java` is the range of Java versions that it runs on, both ends included. One that is `secured` speaks TLS and wants to
    know who asks. One with `vectors` has the plugin that searches by them."""

    name: str
    flavour: str
    version: str
    java: "tuple[int, int]"
    modules: "tuple[str, ...]" = ()
    secured: bool = False
    vectors: bool = False

    @property
    def home(self) -> str:
        """The name of the folder that it is unpacked into. What is a plugin of OpenSearch, all that run from there would have."""
        return f"{self.flavour}-{self.version}{f'-{self.plugin}' if self.plugin else ''}"

    @property
    def plugin(self) -> str:
        """What of OpenSearch's plugins it has."""
        return ("secured" if self.secured else "knn" if self.vectors else "") if self.flavour == "opensearch" else ""

    @property
    def special(self) -> bool:
        """Runs only where a test names it."""
        return self.secured or self.vectors

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def family(self) -> str:
        """Engines of one family speak one language: what is written for one of them runs on the others."""
        return "solr" if self.flavour == "solr" else "elastic"


# Elasticsearch publishes no modules' jars since version 8: no search templates and no joins there.
KINDS = {
    kind.name: kind
    for kind in (
        Kind("elasticsearch-7", "elasticsearch", "7.10.2", (11, 17), (MUSTACHE, PARENT_JOIN)),
        Kind("elasticsearch-8", "elasticsearch", "8.19.0", (17, 23)),
        Kind("elasticsearch-9", "elasticsearch", "9.2.0", (21, 99)),
        Kind("opensearch-2", "opensearch", "2.19.3", (11, 23), (PAINLESS, MUSTACHE, PARENT_JOIN)),
        Kind("opensearch-3", "opensearch", "3.4.0", (21, 99), (PAINLESS, MUSTACHE, PARENT_JOIN)),
        Kind("solr-9", "solr", "9.10.1", (17, 23)),
        Kind("elasticsearch-9-secured", "elasticsearch", "9.2.0", (21, 99), secured=True),
        Kind("opensearch-3-secured", "opensearch", "3.4.0", (21, 99), secured=True),
        Kind("opensearch-3-vectors", "opensearch", "3.4.0", (21, 99), (PAINLESS,), vectors=True),
    )
}
FLAVOURS = tuple(dict.fromkeys(kind.flavour for kind in KINDS.values()))
FAMILIES = tuple(dict.fromkeys(kind.family for kind in KINDS.values()))

# What a test runs on that names no engines, and the newest of each flavour there: what a test runs on that is about the
# proxy more than about the engine.
ELASTIC = tuple(kind.name for kind in KINDS.values() if kind.family == "elastic" and not kind.special)
NEWEST = tuple({KINDS[name].flavour: name for name in ELASTIC}.values())


def named(*names: str) -> "tuple[str, ...]":
    """The kinds that these names stand for, each a kind, a flavour or a family, in the table's order. Special ones go by their own
    names only."""
    known = dict.fromkeys((*FAMILIES, *FLAVOURS, *KINDS))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"no such engine: {', '.join(unknown)}; there are {', '.join(known)}")
    goes_by = lambda kind: {kind.name} if kind.special else {kind.name, kind.flavour, kind.family}  # noqa: E731
    return tuple(kind.name for kind in KINDS.values() if goes_by(kind) & set(names))
