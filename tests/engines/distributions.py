"""Gets the engines: the integ-test distributions that Elasticsearch and OpenSearch publish on Maven Central, and the
modules that those lack and the tests need; Solr as the jars that its own tests run. They are test servers under their own
licences: downloaded here, never shipped. Owns what lies on disk before an engine starts."""

import re
import subprocess
import tempfile
import zipfile
from pathlib import Path

from kinds import Kind
from runtimes import java_home
from store import HERE, made_once, maven_closure, maven_file, tell, unpack, work_folder

# A compiler that is a jar, so that the tests need no JDK, only a Java runtime.
COMPILER = "org.eclipse.jdt:ecj:3.43.0:jar"

PLUGIN_CLASSES = {
    ("opensearch", 3): {
        "lang-painless": "org.opensearch.painless.PainlessModulePlugin",
        "lang-mustache-client": "org.opensearch.script.mustache.MustacheModulePlugin",
        "parent-join-client": "org.opensearch.join.ParentJoinModulePlugin",
    },
    ("opensearch", 2): {
        "lang-painless": "org.opensearch.painless.PainlessPlugin",
        "lang-mustache-client": "org.opensearch.script.mustache.MustachePlugin",
        "parent-join-client": "org.opensearch.join.ParentJoinPlugin",
    },
    ("elasticsearch", 7): {
        "lang-mustache-client": "org.elasticsearch.script.mustache.MustachePlugin",
        "parent-join-client": "org.elasticsearch.join.ParentJoinPlugin",
    },
}

# What the modules may do where a security manager watches (Elasticsearch 7, OpenSearch 2): the jars do not carry it.
POLICY = """\
grant {
  permission java.lang.RuntimePermission "accessDeclaredMembers";
  permission java.lang.RuntimePermission "createClassLoader";
  permission java.lang.RuntimePermission "getClassLoader";
  permission org.FLAVOUR.script.ClassPermission "<<STANDARD>>";
  permission org.FLAVOUR.script.ClassPermission "org.FLAVOUR.*";
};
"""


def fetch(kind: Kind) -> Path:
    """Downloads, unpacks and completes the engine once; returns its folder. Safe to call from several processes."""
    work = work_folder()
    home = work / kind.home
    if kind.family == "solr":
        _fetch_solr(kind, home)
        return home
    with made_once(home) as part, tempfile.TemporaryDirectory(dir=work) as download:
        if part:
            tell(f"getting {kind.flavour} {kind.version} from Maven Central")
            group = f"org.{kind.flavour}.distribution.integ-test-zip"
            unpack(maven_file(f"{group}:{kind.flavour}:{kind.version}:zip", Path(download)), Path(download))
            for entry in (Path(download) / f"{kind.flavour}-{kind.version}").iterdir():
                entry.rename(part / entry.name)
            if kind.plugin:
                {"secured": _add_security, "knn": _add_vectors}[kind.plugin](kind, part)
    if kind.modules:
        _add_published_modules(kind, home)
    if kind.flavour == "elasticsearch" and kind.major >= 8:
        _add_own_module(kind, home, "rest-root", HERE / "elasticsearch-root" / "RootPlugin.java")
        if kind.secured:
            _add_own_module(kind, home, "email", HERE / "elasticsearch-email" / "EmailPlugin.java")
    return home


def _add_published_modules(kind: Kind, home: Path) -> None:
    """The modules whose jars are published: each a folder with its jar, the jars it needs, and a descriptor."""
    wanted = [name for name in kind.modules if not (home / "modules" / name).exists()]
    if not wanted:
        return
    tell(f"adding modules to {kind.flavour} {kind.version}: {', '.join(wanted)}")
    with tempfile.TemporaryDirectory() as download:
        maven_closure([f"org.{kind.flavour}.plugin:{name}:{kind.version}" for name in wanted], Path(download))
        # What the server has already would be loaded twice, which it refuses. The rest goes to each module alike: they
        # have class loaders of their own, and do not mind what they do not use.
        in_server = {_stem(jar) for jar in (home / "lib").glob("*.jar")}
        jars = [jar for jar in Path(download).glob("*.jar") if _stem(jar) not in in_server]
        libraries = [jar for jar in jars if _stem(jar) not in kind.modules]
        for name in wanted:
            with made_once(home / "modules" / name) as part:
                if not part:
                    continue
                for jar in [*libraries, *(jar for jar in jars if _stem(jar) == name)]:
                    (part / jar.name).write_bytes(jar.read_bytes())
                _describe(part, kind, name, PLUGIN_CLASSES[kind.flavour, kind.major][name])
                if kind.java[1] < 24:  # later Javas have no security manager
                    (part / "plugin-security.policy").write_text(POLICY.replace("FLAVOUR", kind.flavour))


def _add_security(kind: Kind, home: Path) -> None:
    """OpenSearch's security plugin, with the one library that it needs of a module which the integ-test zip lacks."""
    folder = _add_plugin(kind, home, "opensearch-security", "")
    maven_file("org.apache.commons:commons-collections4:4.4:jar", folder)


def _add_vectors(kind: Kind, home: Path) -> None:
    """OpenSearch's k-NN plugin. The native libraries of its engines faiss and nmslib are not in it; its engine lucene needs none."""
    _add_plugin(kind, home, "opensearch-knn", "lang-painless,transport-grpc")


def _add_plugin(kind: Kind, home: Path, name: str, extends: str) -> Path:
    """A plugin that is published; `extends` names the modules that are there of those it wants."""
    folder = home / "plugins" / name
    with tempfile.TemporaryDirectory() as download:
        unpack(maven_file(f"org.opensearch.plugin:{name}:{kind.version}.0:zip", Path(download)), folder)
    descriptor = folder / "plugin-descriptor.properties"
    descriptor.write_text(re.sub(r"(?m)^extended\.plugins=.*", f"extended.plugins={extends}", descriptor.read_text()))
    return folder


def _add_own_module(kind: Kind, home: Path, name: str, source: Path) -> None:
    """Since version 8 the integ-test zip of Elasticsearch lacks modules that are published nowhere: it does not answer `/`, which every
    official client asks for, and cannot make the index of its security."""
    with made_once(home / "modules" / name) as part, tempfile.TemporaryDirectory() as scratch:
        if not part:
            return
        classes = Path(scratch) / "classes"
        compile_java(kind, source, home / "lib", classes)
        with zipfile.ZipFile(part / f"{name}.jar", "w") as jar:
            for compiled in classes.rglob("*.class"):
                jar.write(compiled, compiled.relative_to(classes))
        _describe(part, kind, name, f"engines.{source.stem}")


def _fetch_solr(kind: Kind, home: Path) -> None:
    """Solr publishes no runnable zip there, but all its jars, with Jetty and ZooKeeper: `lib`, and a main class around
    them in `classes`."""
    with made_once(home) as part:
        if not part:
            return
        tell(f"getting {kind.flavour} {kind.version} from Maven Central")
        maven_closure([f"org.apache.solr:{name}:{kind.version}" for name in ("solr-core", "solr-test-framework")], part / "lib")
        compile_java(kind, HERE / "solr" / "SolrServer.java", part / "lib", part / "classes")


def compile_java(kind: Kind, source: Path, libraries: Path, classes: Path) -> None:
    """Compiles one file against the jars of a folder, for the Java that the engine runs on."""
    with tempfile.TemporaryDirectory() as scratch:
        compiler = maven_file(COMPILER, Path(scratch))
        command = [java_home(kind) / "bin" / "java", "-jar", compiler, "-nowarn", "-proc:none"]
        command += ["-source", kind.java[0], "-target", kind.java[0]]
        command += ["-cp", ":".join(str(jar) for jar in libraries.glob("*.jar")), "-d", classes, source]
        subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL)


def _describe(folder: Path, kind: Kind, name: str, plugin_class: str) -> None:
    (folder / "plugin-descriptor.properties").write_text(
        f"description=For tests\nversion={kind.version}\nname={name}\nclassname={plugin_class}\n"
        f"java.version={kind.java[0]}\n{kind.flavour}.version={kind.version}\n"
    )


def _stem(jar: Path) -> str:
    """A jar's name without its version: `asm-tree-9.7.jar` is `asm-tree`."""
    return re.sub(r"-\d[\w.]*(-[A-Za-z0-9]+)?\.jar$", "", jar.name)
