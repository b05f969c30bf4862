"""Starts a Redis for a test, and asks it directly: a client that speaks as much of RESP as tests need."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time

STARTS_WITHIN_SECONDS = 60


def binary():
    return shutil.which("redis-server") or shutil.which("valkey-server")


def left_out() -> "dict[str, str]":
    """As `engines.left_out`: why there can be no Redis here, if so."""
    return {} if binary() else {"redis": "no redis-server; Debian: apt-get install redis-server; macOS: brew install redis"}


class Redis:
    """A Redis on a port of its own, which stays the same over its ends and beginnings. Keeps nothing on disk."""

    def __init__(self, *options: str):
        self._options = options
        self._process = None
        self._folder = tempfile.TemporaryDirectory(prefix="rerank-proxy-redis-")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"

    def start(self) -> "Redis":
        fixed = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self._folder.name]
        self._process = subprocess.Popen(
            [binary(), *fixed, *self._options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + STARTS_WITHIN_SECONDS
        while True:
            try:
                self.ask("PING")
                return self
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.kill()
                    raise
                time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """From now on connections are accepted, and nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words):
        """The answer to one command: bytes, a number, a list, or None. An error is told as bytes, too."""
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(request)
            with connection.makefile("rb") as stream:
                return _read(stream)

    def close(self) -> None:
        self.kill()
        self._folder.cleanup()


def _read(stream):
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("Redis hung up")
    kind, rest = line[:1], line[1:-2]
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == b"-1" else stream.read(int(rest) + 2)[:-2]
    if kind == b"*":
        return [_read(stream) for _ in range(int(rest))]
    return rest
