"""Starts `rerank-proxy demo`: an engine with the bundled corpus and a proxy in front of it, in one process."""

import contextlib
import re
import subprocess
import threading

import proxy as proxy_control


@contextlib.contextmanager
def running(*arguments: str):
    """The demo's first addresses, {name: URL}, as soon as it says them: it goes on to measure."""
    anywhere = ["--listen", "127.0.0.1:0", "--engine-listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [str(proxy_control.binary()), "demo", *anywhere, *arguments],
        cwd=proxy_control.REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    overdue = threading.Timer(proxy_control.STARTS_WITHIN_SECONDS, process.kill)
    overdue.start()
    try:
        found = [re.fullmatch(r"(.+?) +(http://\S+)\n", process.stdout.readline()) for _ in range(3)]
        overdue.cancel()
        # What it prints later is read, so that it never waits for us.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield {line.group(1): line.group(2) for line in found}
    finally:
        overdue.cancel()
        process.kill()
        process.wait()
