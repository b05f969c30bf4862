"""Which engines the tests run against: one table. Owns names and versions, and does nothing."""

from dataclasses import dataclass

# Modules that some integ-test distributions lack and the tests want, by the name of their jar on Maven Central.
# "-client" is what their publishers call the jar of a module that other programs may link to.
PAINLESS, MUSTACHE, PARENT_JOIN = "lang-painless", "lang-mustache-client", "parent-join-client"


@dataclass(frozen=True)
class Kind:
    """One engine. `java` is the range of Java versions that it runs on, both ends included."""

    name: str
    flavour: str
    version: str
    java: "tuple[int, int]"
    modules: "tuple[str, ...]" = ()

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


# Elasticsearch publishes no modules' jars since version 8: no search templates and no joins there.
KINDS = {
    kind.name: kind
    for kind in (
        Kind("elasticsearch-7", "elasticsearch", "7.10.2", (11, 17), (MUSTACHE, PARENT_JOIN)),
        Kind("elasticsearch-8", "elasticsearch", "8.19.0", (17, 23)),
        Kind("elasticsearch-9", "elasticsearch", "9.2.0", (21, 99)),
        Kind("opensearch-2", "opensearch", "2.19.3", (11, 23), (PAINLESS, MUSTACHE, PARENT_JOIN)),
        Kind("opensearch-3", "opensearch", "3.4.0", (21, 99), (PAINLESS, MUSTACHE, PARENT_JOIN)),
    )
}
FLAVOURS = tuple(dict.fromkeys(kind.flavour for kind in KINDS.values()))

# The newest of each flavour: what a test runs on that is about the proxy more than about the engine.
NEWEST = tuple([kind.name for kind in KINDS.values() if kind.flavour == flavour][-1] for flavour in FLAVOURS)


def named(*names: str) -> "tuple[str, ...]":
    """The kinds that these names stand for, each a kind or a flavour, in the table's order."""
    unknown = [name for name in names if name not in KINDS and name not in FLAVOURS]
    if unknown:
        raise ValueError(f"no such engine: {', '.join(unknown)}; there are {', '.join((*FLAVOURS, *KINDS))}")
    return tuple(kind.name for kind in KINDS.values() if kind.name in names or kind.flavour in names)
