#!/usr/bin/env python3
"""Starts and stops the real search engines that the end-to-end tests talk to.

    engines.py start KIND [--port N]   KIND: {kinds};
                                       runs until Ctrl-C or SIGTERM
    engines.py fetch [KIND ...]        only download, unpack and complete
    engines.py check                   say what is missing, if anything

The tests import this file; the command line is for a person who wants an engine to play with. Needs `mvn`, and a Java for
each engine: an installed one, or Python's pip to get one with. `kinds.py` has the table of engines, `distributions.py` and
`runtimes.py` get what they are made of, `store.py` says where it lies.
"""

import argparse
import base64
import json
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from distributions import fetch
from kinds import KINDS
from runtimes import java_home, why_none
from secured import PASSWORD, USER, certify, secure
from store import work_folder

HEAP = os.environ.get("ENGINE_HEAP", "512m")
READY_WITHIN_SECONDS = 240
READY_PATHS = {
    "elastic": "/_cluster/health?wait_for_status=yellow",
    "solr": "/solr/admin/collections?action=LIST",
}

# The engines refuse to run as root. As root they run under this account, which every Unix has.
UNPRIVILEGED_USER = os.environ.get("ENGINE_USER", "nobody")

# Nothing that watches the machine or writes outside the run folder.
SETTINGS = """\
cluster.name: rerank-tests
network.host: 127.0.0.1
http.port: {port}
node.portsfile: true
path.data: {run}/data
path.logs: {run}/logs
cluster.routing.allocation.disk.threshold_enabled: false
"""
# Nothing that waits for other nodes.
ALONE = "node.name: one\ndiscovery.type: single-node\ntransport.port: 0\n"
# One of several nodes. What is found dead is left out soon: the tests wait for it.
MEMBER = """\
node.name: node-{number}
transport.port: {port}
discovery.seed_hosts: [{others}]
cluster.initial_master_nodes: [{names}]
cluster.fault_detection.follower_check.interval: 500ms
cluster.fault_detection.leader_check.interval: 500ms
"""
ELASTICSEARCH_8_SETTINGS = "xpack.security.enabled: false\naction.destructive_requires_name: false\n"


def left_out() -> "dict[str, str]":
    """The kinds that cannot run on this machine, each with the reason, which says how to change that."""
    if not shutil.which("mvn"):
        return dict.fromkeys(KINDS, "no mvn; Debian: apt-get install maven; macOS: brew install maven")
    reasons = {name: why_none(kind) for name, kind in KINDS.items()}
    if not shutil.which("openssl"):
        reasons |= {name: "no openssl" for name, kind in KINDS.items() if kind.secured}
    return {name: reason for name, reason in reasons.items() if reason}


class Engine:
    """One running engine with empty data. Of a secured one, `ca` is the certificate to trust, and `secured.USER` may do anything."""

    def __init__(self, kind: str, port: int = 0, membership: str = ALONE):
        """Starts it; `wait_until_ready` tells when it can be used. Port 0 lets the engine choose one."""
        self.kind, self.url, self.ca, self._membership = KINDS[kind], "", None, membership
        home = fetch(self.kind)
        self._run = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=work_folder()))
        for folder in ("data", "logs", "tmp"):
            (self._run / folder).mkdir()
        prepare = self._solr if self.kind.family == "solr" else self._elastic
        command, environment = prepare(home, java_home(self.kind), port)
        account = {}
        if os.getuid() == 0:
            entry = pwd.getpwnam(UNPRIVILEGED_USER)
            account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            for path in [self._run, *self._run.rglob("*")]:
                os.chown(path, entry.pw_uid, entry.pw_gid)
        self._console = self._run / "logs" / "console.log"
        with open(self._console, "wb") as console:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self._run,
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), **environment},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **account,
            )

    def _elastic(self, home: Path, java: Path, port: int):
        """The command that starts it, and its environment; what it reads lies in the run folder then."""
        flavour, config = self.kind.flavour, self._run / "config"
        shutil.copytree(home / "config", config)
        settings = SETTINGS.format(port=port, run=self._run) + self._membership
        if self.kind.secured:
            self.ca, _ = certify(config / "certs")
            settings += secure(self.kind, home, config)
        elif flavour == "elasticsearch" and self.kind.major >= 8:
            settings += ELASTICSEARCH_8_SETTINGS
        (config / f"{flavour}.yml").write_text(settings)
        self._quieten_jvm(config / "jvm.options")
        prefix = {"elasticsearch": "ES", "opensearch": "OPENSEARCH"}[flavour]
        environment = {
            "JAVA_HOME": str(java),
            f"{prefix}_JAVA_HOME": str(java),
            f"{prefix}_PATH_CONF": str(config),
            f"{prefix}_TMPDIR": str(self._run / "tmp"),
            f"{prefix}_JAVA_OPTS": f"-Xms{HEAP} -Xmx{HEAP}",
        }
        return ["bash", home / "bin" / flavour], environment

    def _solr(self, home: Path, java: Path, port: int):
        """The same for Solr."""
        options = [f"-Xms{HEAP}", f"-Xmx{HEAP}", f"-Djava.io.tmpdir={self._run}/tmp", f"-Dsolr.log.dir={self._run}/logs"]
        classes = f"{home}/classes:{home}/lib/*"
        return [java / "bin" / "java", *options, "-cp", classes, "engines.SolrServer", self._run, port], {}

    def _quieten_jvm(self, options: Path) -> None:
        """Drops the JVM options that write outside the run folder, and a module that only makes vectors faster: a Java
        runtime may lack it."""
        kept = [
            line
            for line in options.read_text().splitlines()
            if not re.search(r"gc\.log|gc\*|HeapDump|ErrorFile|incubator\.vector", line)
        ]
        options.write_text("\n".join(kept) + "\n")

    def wait_until_ready(self) -> "Engine":
        """Waits until the engine answers; raises with the end of its log when it does not."""
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                address = (self._run / "logs" / "http.ports").read_text().split()[0]
                self.url = f"{'https' if self.ca else 'http'}://{address}"
                with self._open(READY_PATHS[self.kind.family]):
                    return self
            except (OSError, IndexError, urllib.error.URLError):
                time.sleep(0.25)
        tail = self._console.read_text(errors="replace")[-3000:]
        self.stop()
        raise RuntimeError(f"{self.kind.name} did not come up:\n{tail}")

    def _open(self, path: str):
        tls = ssl.create_default_context(cafile=self.ca) if self.ca else None
        request = urllib.request.Request(self.url + path)
        if self.ca:
            request.add_header("Authorization", "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
        return urllib.request.urlopen(request, timeout=10, context=tls)

    @property
    def pid(self) -> int:
        """Of its first process, which is also the id of the session that all of them are in."""
        return self._process.pid

    def kill(self) -> None:
        """Ends it as the loss of its machine would; its data stays until `stop`."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

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


def start_all(kinds) -> "dict[str, Engine]":
    """Starts engines of these kinds side by side; returns them ready, or stops all and raises."""
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


def start_cluster(kind: str, count: int) -> "list[Engine]":
    """Starts so many nodes of one cluster; returns them ready, or stops all and raises."""
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    names = ", ".join(f"node-{number}" for number in range(count))
    others = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    engines = []
    try:
        for number, port in enumerate(ports):
            membership = MEMBER.format(number=number, port=port, others=others, names=names)
            engines.append(Engine(kind, membership=membership))
        for engine in engines:
            engine.wait_until_ready()
    except BaseException:
        for engine in engines:
            engine.stop()
        raise
    return engines


def main() -> int:
    description = __doc__.format(kinds=" | ".join(KINDS))
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start")
    start.add_argument("kind", choices=KINDS)
    start.add_argument("--port", type=int, default=0)
    commands.add_parser("fetch").add_argument("kinds", nargs="*", default=list(KINDS))
    commands.add_parser("check")
    arguments = parser.parse_args()
    missing = left_out()
    if arguments.command == "start":
        missing = {kind: why for kind, why in missing.items() if kind == arguments.kind}
    for kind, why in missing.items():
        print(f"error: {kind} cannot run: {why}", file=sys.stderr)
    if missing:
        return 1
    if arguments.command == "fetch":
        for kind in arguments.kinds:
            print(fetch(KINDS[kind]), java_home(KINDS[kind]))
    elif arguments.command == "start":
        engine = Engine(arguments.kind, arguments.port)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            engine.wait_until_ready()
            print(json.dumps({"kind": engine.kind.name, "version": engine.kind.version, "url": engine.url}), flush=True)
            signal.pause()
        except KeyboardInterrupt:
            pass
        finally:
            engine.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
