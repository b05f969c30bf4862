"""Starts the built proxy in front of a server, and asks the operating system about it."""

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from wire import send

REPOSITORY = Path(__file__).resolve().parent.parent.parent
STARTS_WITHIN_SECONDS = 120


def binary() -> Path:
    return Path(os.environ.get("RERANK_PROXY_BIN", REPOSITORY / "target" / "debug" / "rerank-proxy")).absolute()


class Proxy:
    """A running `rerank-proxy serve`. `tls` is how it is asked, where its listener speaks TLS."""

    def __init__(self, *arguments: str, environment=None, tls=None):
        self.tls = tls
        self._log = tempfile.NamedTemporaryFile(prefix="rerank-proxy-", suffix=".log")
        self.process = subprocess.Popen(
            [str(binary()), "serve", *arguments],
            cwd=REPOSITORY,
            env=os.environ | {"RERANK_PROXY_LOG__FORMAT": "text"} | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        overdue = threading.Timer(STARTS_WITHIN_SECONDS, self.process.kill)
        overdue.start()
        line = self.process.stdout.readline()
        overdue.cancel()
        found = re.fullmatch(r"listening on (https?://\S+)\n", line)
        if not found:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"rerank-proxy did not start; it said {line!r}, and on stderr:\n{self.log()}")
        self.url = found.group(1)

    def ready(self) -> "Proxy":
        """Waits until the models are loaded; until then it forwards only."""
        deadline = time.monotonic() + STARTS_WITHIN_SECONDS
        while (health := send(self.url, "GET", "/_rerank/health", tls=self.tls).json())["status"] != "ready":
            if time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"rerank-proxy does not get ready: {health}")
            time.sleep(0.02)
        return self

    def api_url(self) -> str:
        """Where the rerank API's own listener is, which it says once, after its own."""
        line = self.process.stdout.readline()
        return re.fullmatch(r"the rerank API is on (http://\S+)\n", line).group(1)

    def log(self) -> str:
        return Path(self._log.name).read_text(errors="replace")

    def resident_bytes(self) -> int:
        """How much memory it holds now."""
        statistics = Path(f"/proc/{self.process.pid}/statm")
        if statistics.exists():
            return int(statistics.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        told = subprocess.run(["ps", "-o", "rss=", "-p", str(self.process.pid)], capture_output=True, check=True)
        return int(told.stdout) * 1024

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Ends it as an operator would, if it still runs; returns the exit status."""
        if self.process.poll() is None:
            self.terminate()
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert "panicked" not in self.log(), self.log()
        assert status >= 0, f"ended by signal {-status}: {self.log()}"
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()


class Direct:
    """Stands in for the proxy where there is none: the harness tests itself, engine against engine."""

    def __init__(self, url: str):
        self.url = url

    def stop(self) -> int:
        return 0


def start(config: str, environment=None, tls=None) -> Proxy:
    """A proxy with this configuration, and with these environment variables on top of ours."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(config)
        file.flush()
        return Proxy("--config", file.name, environment=environment, tls=tls)
