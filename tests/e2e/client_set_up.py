"""Gets what the drivers of the client matrix are made of, each set of packages once, from the registry of its language into
`target/clients-…`, and says how a driver is run. Owns no list of clients (`client_table.py`)."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from client_table import SOURCES
from distributions import compile_java
from kinds import KINDS
from proxy import REPOSITORY
from runtimes import java_home
from store import maven_closure

PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target")


def left_out(set_up: str) -> "str | None":
    """What the machine lacks for this set of packages, and how to get it; None where nothing is missing."""
    program, package = {"node": ("npm", "npm"), "go": ("go", "golang-go"), "java": ("mvn", "maven")}.get(set_up, (sys.executable, ""))
    return None if shutil.which(program) else f"no {program}; Debian: apt-get install {package}"


def command(client) -> "tuple[list[str], dict[str, str]]":
    """How the client's driver is run, and with which environment besides."""
    return SET_UPS[client.set_up](client)


def _run(*words, **options):
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{words}:\n{(done.stdout + done.stderr)[-3000:]}"


def _made(name: str, sources: "list[Path]", make) -> Path:
    """`target/clients-NAME`, made by `make(folder)` where it is not there or was made of other sources."""
    folder = REPOSITORY / "target" / f"clients-{name}"
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()
    stamp = folder / ".made-of"
    if not stamp.exists() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        stamp.write_text(digest)
    return folder


def _python(client):
    """On the packages of the tests themselves."""
    driver, *arguments = client.driver.split()
    return [sys.executable, str(SOURCES / driver), *arguments], {}


def _python_with(name, requirements):
    """On packages of its own, which come before those of the tests."""
    file = SOURCES / "python" / requirements

    def of(client):
        folder = _made(name, [file], lambda folder: _run(sys.executable, *PIP, folder, "-r", file))
        driver, *arguments = client.driver.split()
        return [sys.executable, str(SOURCES / driver), *arguments], {"PYTHONPATH": str(folder)}

    return of


def node_modules() -> Path:
    """The packages of Node."""
    wanted = SOURCES / "node" / "package.json"

    def install(folder):
        shutil.copy(wanted, folder)
        _run("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", cwd=folder)

    return _made("node", [wanted], install) / "node_modules"


def _node(client):
    """The driver may be told which of several packages to take."""
    file, *arguments = client.driver.split()
    return ["node", str(SOURCES / file), *arguments], {"NODE_PATH": str(node_modules())}


def _go(client):
    """Both majors of go-elasticsearch are driven by one source. The first build takes minutes: they have a type for everything."""
    sources = sorted(file for file in (SOURCES / "go").rglob("*") if file.is_file())

    def build(folder):
        shutil.copytree(SOURCES / "go", folder, dirs_exist_ok=True)
        nine = (folder / "elasticsearch" / "main.go").read_text()
        (folder / "elasticsearch8").mkdir()
        (folder / "elasticsearch8" / "main.go").write_text(nine.replace("go-elasticsearch/v9", "go-elasticsearch/v8"))
        _run("go", "build", "-o", "bin/", "./...", cwd=folder)

    return [str(_made("go", sources, build) / "bin" / client.driver.removeprefix("go/"))], {}


def _java(client):
    """Each client has jars of its own: they do not go together. Compiled as the engines' own bits of Java are."""
    kind, jars = KINDS["elasticsearch-9"], SOURCES / "java" / f"{client.package}.txt"
    sources = [SOURCES / "java" / "Script.java", SOURCES / client.driver]

    def build(folder):
        maven_closure(jars.read_text().split(), folder / "lib")
        (folder / "src").mkdir()
        for source in sources:
            shutil.copy(source, folder / "src")
        compile_java(kind, folder / "src", folder / "lib", folder / "classes")

    folder = _made(client.package, [jars, *sources], build)
    main = f"clients.{Path(client.driver).stem}"
    utf8 = ("-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8")
    return [str(java_home(kind) / "bin" / "java"), *utf8, "-cp", f"{folder}/classes:{folder}/lib/*", main], {}


SET_UPS = {
    "nothing": _python,
    "python": _python,
    "python-8": _python_with("python-8", "requirements-8.txt"),
    "stores": _python_with("stores", "requirements-stores.txt"),
    "node": _node,
    "go": _go,
    "java": _java,
}
