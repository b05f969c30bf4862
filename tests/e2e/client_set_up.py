"""Gets what the drivers of the client matrix are made of, each set of packages once, from the registry of its language into
`target/clients-…`, and says how a driver is run. Owns no list of clients (`client_table.py`)."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from client_table import SOURCES
from proxy import REPOSITORY

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
    return [sys.executable, str(SOURCES / client.driver)], {}


def _python_with(name, requirements):
    """On packages of its own, which come before those of the tests."""
    file = SOURCES / "python" / requirements

    def of(client):
        folder = _made(name, [file], lambda folder: _run(sys.executable, *PIP, folder, "-r", file))
        return [sys.executable, str(SOURCES / client.driver)], {"PYTHONPATH": str(folder)}

    return of


SET_UPS = {
    "python": _python,
    "python-8": _python_with("python-8", "requirements-8.txt"),
}
