#!/usr/bin/env python3
"""Starts and stops the real search engines that the end-to-end tests talk to.

    engines.py start KIND [--port N]   KIND: elasticsearch | opensearch; runs until Ctrl-C or SIGTERM
    engines.py fetch [KIND ...]        only download and unpack
    engines.py check                   say what is missing, if anything

The servers are the integ-test distributions that Elasticsearch and OpenSearch publish on Maven Central. They are
test servers under their own licences: downloaded here, never shipped. The tests import this file; the command line is
for a person who wants an engine to play with. Needs `mvn` and a JDK 21 or later, nothing else outside Python's library.
"""

import argparse
import fcntl
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
LOWEST_JDK = 21
VERSIONS = {"elasticsearch": "9.2.0", "opensearch": "3.4.0"}
GROUPS = {
    "elasticsearch": "org.elasticsearch.distribution.integ-test-zip",
    "opensearch": "org.opensearch.distribution.integ-test-zip",
}
HEAP = os.environ.get("ENGINE_HEAP", "1g")
READY_WITHIN_SECONDS = 240

# The engines refuse to run as root. As root they run under this account, which every Unix has.
UNPRIVILEGED_USER = os.environ.get("ENGINE_USER", "nobody")

# Nothing that watches the machine, writes outside the run folder or waits for other nodes.
COMMON_SETTINGS = """\
discovery.type: single-node
network.host: 127.0.0.1
http.port: {port}
transport.port: 0
node.portsfile: true
path.data: {run}/data
path.logs: {run}/logs
cluster.routing.allocation.disk.threshold_enabled: false
"""
OWN_SETTINGS = {
    "elasticsearch": "cluster.name: rerank-tests\nnode.name: one\nxpack.security.enabled: false\n"
    "action.destructive_requires_name: false\n",
    "opensearch": "cluster.name: rerank-tests\nnode.name: one\n",
}


class MissingPrerequisite(Exception):
    """Something that the machine lacks; the text says how to get it."""


def find_jdk() -> Path:
    """The newest JDK of at least LOWEST_JDK, wherever JDKs usually are."""
    candidates = [os.environ.get(name) for name in ("JAVA_HOME", "ES_JAVA_HOME", "OPENSEARCH_JAVA_HOME")]
    for pattern in (
        "/usr/lib/jvm/*",
        "/usr/java/*",
        "/opt/java/*",
        "/opt/jdk*",
        "/Library/Java/JavaVirtualMachines/*/Contents/Home",
        "/opt/homebrew/opt/openjdk*",
        str(Path.home() / ".sdkman/candidates/java/*"),
    ):
        candidates += sorted(str(path) for path in Path("/").glob(pattern.lstrip("/")))
    on_path = shutil.which("java")
    if on_path:
        candidates.append(str(Path(on_path).resolve().parent.parent))
    found = []
    for home in filter(None, candidates):
        release = Path(home) / "release"
        if not (Path(home) / "bin" / "javac").exists() or not release.exists():
            continue
        version = re.search(r'^JAVA_VERSION="(\d+)', release.read_text(), re.MULTILINE)
        if version and int(version.group(1)) >= LOWEST_JDK:
            found.append((int(version.group(1)), home))
    if not found:
        raise MissingPrerequisite(
            f"no JDK {LOWEST_JDK} or later (looked at JAVA_HOME, /usr/lib/jvm, PATH); "
            "Debian 13: apt-get install openjdk-21-jdk-headless; elsewhere: https://adoptium.net"
        )
    return Path(max(found)[1])


def check_prerequisites() -> None:
    """Raises MissingPrerequisite with everything that is missing."""
    missing = []
    try:
        find_jdk()
    except MissingPrerequisite as error:
        missing.append(str(error))
    if not shutil.which("mvn"):
        missing.append("no mvn; Debian: apt-get install maven; macOS: brew install maven")
    if missing:
        raise MissingPrerequisite("; ".join(missing))


def work_folder() -> Path:
    """Where downloads and running engines live: `target/engines`, or a temporary folder where the unprivileged
    account could not read that."""
    wanted = Path(os.environ.get("ENGINE_DIR", REPOSITORY / "target" / "engines"))
    if os.getuid() == 0:
        for folder in wanted.parents:
            if folder.exists() and not folder.stat().st_mode & 0o001:
                wanted = Path(tempfile.gettempdir()) / "rerank-proxy-engines"
                break
    wanted.mkdir(parents=True, exist_ok=True)
    wanted.chmod(0o755)
    return wanted


def fetch(kind: str) -> Path:
    """Downloads and unpacks the engine once; returns its folder. Safe to call from two processes at a time."""
    work, version = work_folder(), VERSIONS[kind]
    home = work / f"{kind}-{version}"
    with open(work / f".{kind}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / ".complete").exists():
            _download_and_unpack(kind, version, work, home)
            if kind == "elasticsearch":
                _add_root_module(home, version)
            (home / ".complete").touch()
    return home


def _download_and_unpack(kind: str, version: str, work: Path, home: Path) -> None:
    print(f"engines: getting {kind} {version} from Maven Central", file=sys.stderr, flush=True)
    command = ["mvn", "-B", "-q", "dependency:copy", f"-Dartifact={GROUPS[kind]}:{kind}:{version}:zip"]
    command += [f"-DoutputDirectory={work}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=work)
    if done.returncode != 0:
        raise RuntimeError(f"cannot get {kind} {version} with mvn:\n{(done.stdout + done.stderr)[-2000:]}")
    archive = work / f"{kind}-{version}.zip"
    shutil.rmtree(home, ignore_errors=True)
    with zipfile.ZipFile(archive) as zipped:
        for entry in zipped.infolist():
            written = zipped.extract(entry, work)
            mode = entry.external_attr >> 16 & 0o777
            os.chmod(written, (mode or 0o644) | (0o755 if entry.is_dir() else 0o444))
    archive.unlink()  # Maven's own cache keeps a copy


def _add_root_module(home: Path, version: str) -> None:
    """The integ-test zip of Elasticsearch does not answer `/`, which every official client asks for."""
    jdk, module = find_jdk() / "bin", home / "modules" / "rest-root"
    module.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as classes:
        source = HERE / "elasticsearch-root" / "RootPlugin.java"
        compile_it = [jdk / "javac", "--release", "21", "-cp", f"{home}/lib/*", "-d", classes, source]
        subprocess.run(compile_it, check=True, stdin=subprocess.DEVNULL)
        subprocess.run([jdk / "jar", "cf", module / "rest-root.jar", "-C", classes, "."], check=True)
    (module / "plugin-descriptor.properties").write_text(
        f"description=Answers / for tests\nversion={version}\nname=rest-root\nclassname=engines.RootPlugin\n"
        f"java.version=21\nelasticsearch.version={version}\n"
    )
    for path in [module, *module.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


class Engine:
    """One running engine with empty data."""

    def __init__(self, kind: str, port: int = 0):
        """Starts it; `wait_until_ready` tells when it can be used. Port 0 lets the engine choose one."""
        self.kind, self.version, self.url = kind, VERSIONS[kind], ""
        home, jdk = fetch(kind), find_jdk()
        self._run = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=work_folder()))
        config = self._run / "config"
        shutil.copytree(home / "config", config)
        for folder in ("data", "logs", "tmp"):
            (self._run / folder).mkdir()
        settings = COMMON_SETTINGS.format(port=port or 0, run=self._run) + OWN_SETTINGS[kind]
        (config / f"{kind}.yml").write_text(settings)
        self._quieten_jvm(config / "jvm.options")
        prefix = {"elasticsearch": "ES", "opensearch": "OPENSEARCH"}[kind]
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "JAVA_HOME": str(jdk),
            f"{prefix}_JAVA_HOME": str(jdk),
            f"{prefix}_PATH_CONF" if kind == "opensearch" else "ES_PATH_CONF": str(config),
            f"{prefix}_TMPDIR": str(self._run / "tmp"),
            f"{prefix}_JAVA_OPTS": f"-Xms{HEAP} -Xmx{HEAP}",
        }
        account = {}
        if os.getuid() == 0:
            entry = pwd.getpwnam(UNPRIVILEGED_USER)
            account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            for path in [self._run, *self._run.rglob("*")]:
                os.chown(path, entry.pw_uid, entry.pw_gid)
        self._console = self._run / "logs" / "console.log"
        with open(self._console, "wb") as console:
            self._process = subprocess.Popen(
                ["bash", str(home / "bin" / kind)],
                cwd=self._run,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **account,
            )

    def _quieten_jvm(self, options: Path) -> None:
        """Drops the JVM options that write outside the run folder."""
        kept = [
            line
            for line in options.read_text().splitlines()
            if not re.search(r"gc\.log|gc\*|HeapDump|ErrorFile", line)
        ]
        options.write_text("\n".join(kept) + "\n")

    def wait_until_ready(self) -> "Engine":
        """Waits until the engine answers; raises with the end of its log when it does not."""
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                self.url = "http://" + (self._run / "logs" / "http.ports").read_text().split()[0]
                with urllib.request.urlopen(f"{self.url}/_cluster/health?wait_for_status=yellow", timeout=10):
                    return self
            except (OSError, IndexError, urllib.error.URLError):
                time.sleep(0.25)
        tail = self._console.read_text(errors="replace")[-3000:]
        self.stop()
        raise RuntimeError(f"{self.kind} did not come up:\n{tail}")

    def stop(self) -> None:
        """Ends the engine and everything it started, and deletes its data."""
        for sign, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 10)):
            try:
                os.killpg(self._process.pid, sign)
                self._process.wait(seconds)
                break
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        shutil.rmtree(self._run, ignore_errors=True)


def start_all(kinds=tuple(VERSIONS)) -> "dict[str, Engine]":
    """Starts engines side by side; returns them ready, or stops all and raises."""
    engines, errors = {}, []

    def start(kind: str) -> None:
        try:
            engines[kind] = Engine(kind)
            engines[kind].wait_until_ready()
        except Exception as error:  # reported below, once all are done
            errors.append(error)

    threads = [threading.Thread(target=start, args=(kind,)) for kind in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        for engine in engines.values():
            engine.stop()
        raise errors[0]
    return engines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start")
    start.add_argument("kind", choices=VERSIONS)
    start.add_argument("--port", type=int, default=0)
    commands.add_parser("fetch").add_argument("kinds", nargs="*", default=list(VERSIONS))
    commands.add_parser("check")
    arguments = parser.parse_args()
    try:
        check_prerequisites()
    except MissingPrerequisite as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if arguments.command == "fetch":
        for kind in arguments.kinds:
            print(fetch(kind))
    elif arguments.command == "start":
        engine = Engine(arguments.kind, arguments.port)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            engine.wait_until_ready()
            print(json.dumps({"kind": engine.kind, "version": engine.version, "url": engine.url}), flush=True)
            signal.pause()
        except KeyboardInterrupt:
            pass
        finally:
            engine.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
