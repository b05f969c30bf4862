#!/usr/bin/env python3
"""The smoke of the image: it is run before a real Elasticsearch, and a search of the official client through it comes back reranked.

    image_smoke.py IMAGE [--runtime docker|podman|buildah|chroot]

Docker and Podman run it read-only and without capabilities. Where neither can run: `buildah` runs it with chroot isolation, which can do none of
that; `chroot` starts its entry point on its file system, which buildah mounts and this script then makes read-only, without capabilities and
without a way to new privileges. The container has this machine's network. Needs what the end-to-end tests need, and their Python environment."""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(REPOSITORY / "tests" / "engines"), str(REPOSITORY / "tests" / "e2e")]

from elasticsearch import Elasticsearch, helpers
from engines import Engine

from wire import send

INDEX, QUERY = "demo", "how to keep bread fresh"
READY_WITHIN_SECONDS = 120
USER = "10001"
RESTRICTED = ("--rm", "--network", "host", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def told(variables: "dict[str, str]") -> "list[str]":
    return [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]


@contextlib.contextmanager
def command_line(runtime: str, image: str):
    """A function that makes the command which runs the image's entry point with some words, in an environment."""
    if runtime in ("docker", "podman"):
        yield lambda words, variables: [runtime, "run", *RESTRICTED, *told(variables), image, *words]
        return
    container = output("buildah", "from", image)
    try:
        yield {"buildah": in_buildah, "chroot": in_chroot}[runtime](container)
    finally:
        subprocess.run(["buildah", "rm", container], check=True, stdout=subprocess.DEVNULL)


def in_buildah(container: str):
    def command(words, variables):
        subprocess.run(["buildah", "config", *told(variables), container], check=True)
        return ["buildah", "run", "--isolation", "chroot", container, "--", "rerank-proxy", *words]

    return command


def in_chroot(container: str):
    root = output("buildah", "mount", container)
    said = json.loads(output("buildah", "inspect", container))["OCIv1"]["config"]
    assert said["User"] == f"{USER}:{USER}" and said["Entrypoint"] == ["rerank-proxy"], said
    # What every runtime adds.
    Path(root, "proc").mkdir()
    steps = f"mount --bind {root} {root} && mount -t proc proc {root}/proc && mount -o remount,bind,ro {root}"
    start = f'{steps} && exec setpriv --no-new-privs chroot --userspec={USER}:{USER} --groups= {root} "$@"'

    def command(words, variables):
        environment = [*said["Env"], *(f"{name}={value}" for name, value in variables.items())]
        # A shell is the first process of the mounts of its own, which go with it.
        shell = ["unshare", "--mount", "env", "-i", f"PATH={os.environ['PATH']}", *environment, "sh", "-euc", start, "sh"]
        return [*shell, "/usr/local/bin/rerank-proxy", *words]

    return command


def wait_until_ready(url: str, process) -> float:
    """Seconds until the models are loaded."""
    began = time.monotonic()
    while time.monotonic() < began + READY_WITHIN_SECONDS and process.poll() is None:
        with contextlib.suppress(OSError):
            if send(url, "GET", "/_rerank/health").json()["status"] == "ready":
                return time.monotonic() - began
        time.sleep(0.1)
    raise SystemExit(f"{url} does not get ready")


def fill(engine: str) -> None:
    lines = (REPOSITORY / "fixtures" / "corpus" / "passages.jsonl").read_text().splitlines()
    documents = [json.loads(line) for line in lines if line]
    actions = [{"_index": INDEX, "_id": document.pop("id"), "_source": document} for document in documents]
    helpers.bulk(Elasticsearch(engine, request_timeout=READY_WITHIN_SECONDS), actions, refresh=True)


def serves(start, engine: str) -> None:
    """Starts it, searches, and ends it as a runtime would."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    variables = {"RERANK_PROXY_SERVER__LISTEN": address}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(start(["serve", "--upstream", engine], variables), stdout=log, stderr=log)
        try:
            print(f"models loaded after {wait_until_ready(f'http://{address}', process):.1f} s")
            search = {"index": INDEX, "query": {"match": {"text": QUERY}}, "size": 5}
            through, direct = (Elasticsearch(url, request_timeout=READY_WITHIN_SECONDS).search(**search) for url in (f"http://{address}", engine))
            print("X-Rerank:", through.meta.headers["x-rerank"])
            for name, answer in (("direct ", direct), ("through", through)):
                print(name, [hit["_source"]["title"] for hit in answer["hits"]["hits"]])
            assert through.meta.headers["x-rerank"].startswith("applied")
            assert [hit["_id"] for hit in through["hits"]["hits"]] != [hit["_id"] for hit in direct["hits"]["hits"]]
            health = subprocess.run(start(["health"], variables), check=True, capture_output=True, text=True)
            print("health:", health.stdout.strip()[:100])
            pid = listener(address)
            status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            root = [line for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines() if line.split()[4] == "/"]
            print(f"user {status['Uid'].split()[0]}, capabilities {status['CapEff']}, no new privileges {status['NoNewPrivs']}")
            print("root:", root[-1].split(" - ")[0] if root else "not mounted by itself")
            assert status["Uid"].split()[0] == USER and int(status["CapEff"], 16) == 0
            os.kill(pid, 15)
            assert process.wait(60) == 0, "SIGTERM ends it with status 0"
        except BaseException:
            log.seek(0)
            print(log.read().decode(errors="replace")[-3000:], file=sys.stderr)
            raise
        finally:
            process.terminate()


def listener(address: str) -> int:
    """The process that listens there."""
    port = f"{int(address.split(':')[1]):04X}"
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{line[9]}]" for line in sockets if line[1].endswith(f":{port}") and line[3] == "0A"}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if os.readlink(descriptor) in inodes:
                return int(descriptor.parts[2])
    raise SystemExit(f"nobody listens at {address}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("--runtime", choices=("docker", "podman", "buildah", "chroot"), default="docker")
    arguments = parser.parse_args()
    engine = Engine("elasticsearch-9")
    try:
        engine.wait_until_ready()
        fill(engine.url)
        with command_line(arguments.runtime, arguments.image) as start:
            print(output(*start(["--version"], {})))
            serves(start, engine.url)
    finally:
        engine.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
