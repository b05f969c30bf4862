"""Starts a real HAProxy in front of replicas, which it asks whether they are ready, as docs/operations.md says."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

STARTS_WITHIN_SECONDS = 30
CONFIG = """
global
    log stderr local0
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend search
    bind 127.0.0.1:{port}
    default_backend search
backend search
    option httpchk
    http-check send meth GET uri /readyz
    http-check expect status 200
    default-server check inter 200ms fall 1 rise 1
    retry-on conn-failure empty-response
    option redispatch
{servers}
"""


def binary():
    return shutil.which("haproxy", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))


def left_out() -> "dict[str, str]":
    """As `engines.left_out`: why there can be no HAProxy here, if so."""
    return {} if binary() else {"haproxy": "no haproxy; Debian: apt-get install haproxy; macOS: brew install haproxy"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


class HAProxy:
    """A running HAProxy before these replicas: pairs of the port for searches and that of the admin listener."""

    def __init__(self, replicas: "list[tuple[int, int]]"):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._folder = tempfile.TemporaryDirectory(prefix="rerank-proxy-haproxy-")
        servers = [
            f"    server replica-{number} 127.0.0.1:{search} port {admin}"
            for number, (search, admin) in enumerate(replicas)
        ]
        config = Path(self._folder.name) / "haproxy.cfg"
        config.write_text(CONFIG.format(port=port, servers="\n".join(servers)))
        self._process = subprocess.Popen(
            [binary(), "-db", "-f", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + STARTS_WITHIN_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.close()
                    raise
                time.sleep(0.02)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
