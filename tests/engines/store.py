"""Where downloads lie, and how they are got. Owns the work folder and the calls of Maven and pip; what is done with the
files is up to others."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent


class MissingPrerequisite(Exception):
    """Something that the machine lacks; the text says how to get it."""


def work_folder() -> Path:
    """Where downloads and running engines live: `target/engines`, or a temporary folder where the unprivileged
    account could not read that."""
    wanted = Path(os.environ.get("ENGINE_DIR", REPOSITORY / "target" / "engines")).absolute()
    if os.getuid() == 0:
        for folder in wanted.parents:
            if folder.exists() and not folder.stat().st_mode & 0o001:
                wanted = Path(tempfile.gettempdir()) / "rerank-proxy-engines"
                break
    wanted.mkdir(parents=True, exist_ok=True)
    wanted.chmod(0o755)
    return wanted


@contextlib.contextmanager
def made_once(folder: Path):
    """Gives an empty folder to fill, which becomes `folder` when that ends well; None if it was made before. Safe for
    several processes at a time, and beside an engine that starts out of a folder around this one."""
    work = work_folder()
    with open(work / f".{folder.parent.parent.name}-{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            yield None
            return
        part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.part-", dir=work))
        try:
            yield part
            for path in [part, *part.rglob("*")]:  # whatever the umask: the unprivileged account reads it
                path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def tell(line: str) -> None:
    print(f"engines: {line}", file=sys.stderr, flush=True)


def maven(*arguments: str, what: str) -> None:
    """Runs Maven; `what` is for the message when it fails."""
    command = ["mvn", "-B", "-q", *arguments]
    with tempfile.TemporaryDirectory() as nowhere:  # else it would read a pom.xml that happens to lie here
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=nowhere)
    if done.returncode != 0:
        raise RuntimeError(f"cannot get {what} with mvn:\n{(done.stdout + done.stderr)[-2000:]}")


def maven_file(coordinates: str, folder: Path) -> Path:
    """Puts one file, `group:artifact:version:type`, into the folder."""
    _, artifact, version, extension = coordinates.split(":")
    maven("dependency:copy", f"-Dartifact={coordinates}", f"-DoutputDirectory={folder}", what=coordinates)
    return folder / f"{artifact}-{version}.{extension}"


def maven_closure(coordinates: "list[str]", folder: Path) -> None:
    """Puts jars, each `group:artifact:version`, and all that they need at run time into the folder."""
    wanted = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>".format(
            *jar.split(":")
        )
        for jar in coordinates
    )
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as pom:
        pom.write(
            '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>tests</groupId>'
            f"<artifactId>closure</artifactId><version>1</version><dependencies>{wanted}</dependencies></project>"
        )
        pom.flush()
        copy = ("-f", pom.name, "dependency:copy-dependencies", "-DincludeScope=runtime")
        maven(*copy, f"-DoutputDirectory={folder}", what=", ".join(coordinates))


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a zip, executable bits included."""
    with zipfile.ZipFile(archive) as zipped:
        for entry in zipped.infolist():
            written = zipped.extract(entry, folder)
            mode = entry.external_attr >> 16 & 0o777
            os.chmod(written, (mode or 0o644) | (0o755 if entry.is_dir() else 0o444))
