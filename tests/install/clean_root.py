"""A Debian root that commands are run in, and searches that are sent to what runs there: the network is this machine's."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

# How this machine finds and trusts others, which is the same in the root.
FROM_THIS_MACHINE = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf")
PATIENCE_SECONDS = 120


@contextlib.contextmanager
def timed(what):
    """Tells how long something took. Nothing is asserted of it: how fast a machine is says nothing of the program."""
    start = time.monotonic()
    yield
    print(f"  {time.monotonic() - start:6.1f} s  {what}", flush=True)


class CleanRoot:
    def __init__(self, path):
        self.path = Path(path)
        for file in map(Path, FROM_THIS_MACHINE):
            if file.is_file():
                shutil.copy(file, self.inside(file))

    def inside(self, path):
        """Where a path of the root lies on this machine."""
        return self.path / str(path).lstrip("/")

    def _command(self, command, user, variables):
        # A mount of /proc and a space of processes that end with the command. The program finds what came with it by /proc.
        proc = f"--mount-proc={self.inside('proc')}"
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", proc, "chroot", f"--userspec={user}", self.path]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        clean = ["env", "-i", "HOME=/root", "LANG=C.UTF-8", path, "DEBIAN_FRONTEND=noninteractive", *variables]
        return [*apart, *clean, "sh", "-c", f"cd / && {command}"]

    def run(self, command, user="root", variables=()):
        """What a command prints; it has to succeed."""
        done = subprocess.run(self._command(command, user, variables), capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    @contextlib.contextmanager
    def running(self, command, user="root", variables=()):
        """A program that runs as long as the block, its stdout to be read. Its log is shown where the block fails."""
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                self._command(f"exec {command}", user, variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
            try:
                yield process
            except BaseException:
                log.seek(0)
                print(log.read()[-4000:])
                raise
            finally:
                # With its parent alone it would not end: a process that becomes another user's is no longer told of that.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def first_reranked(url):
    """The value of X-Rerank of the first search of the demo's corpus that is reranked; until its models are loaded a proxy passes
    searches through."""
    query = {"query": {"match": {"text": "homemade garlic confit shelf life"}}}
    request = urllib.request.Request(f"{url}/demo/_search", json.dumps(query).encode(), {"Content-Type": "application/json"})
    deadline, told = time.monotonic() + PATIENCE_SECONDS, None
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(request) as answer:
            told = answer.headers["X-Rerank"]
            assert json.load(answer)["hits"]["hits"]
            if told.startswith("applied"):
                return told
        time.sleep(0.05)
    raise AssertionError(f"not reranked within {PATIENCE_SECONDS} s: {told}")
