"""Compose files as processes: for each service the program that its image would run, with the file's own command, variables, mounted files
and health check. Owns what a container runtime would do. Each service has an address of its own on the loopback network, so that ports
stay what they are; where a file names a service before a port, that address is put in its place.

Engines are given by whoever starts a topology, and Grafana is not to be had: neither is started here."""

import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import haproxy
import proxy
import redis_server
import yaml
from wire import send

REPOSITORY = proxy.REPOSITORY
SCHEMA = json.loads((Path(__file__).resolve().parent / "compose-spec.json").read_text())
READY_WITHIN_SECONDS = 120
# What a service's image is, without its tag, and who starts it.
ENGINES = ("elasticsearch", "opensearchproject/opensearch", "solr")
NOT_TO_BE_HAD = ("grafana/grafana",)


def read(*files: str) -> "tuple[dict, Path]":
    """What Compose makes of the files: later ones on top of earlier ones, and what is extended filled in. Paths count from the folder."""
    folder = (REPOSITORY / files[0]).parent
    services = {}
    for file in files:
        for name, service in yaml.safe_load((REPOSITORY / file).read_text())["services"].items():
            services[name] = services.get(name, {}) | _extended(service, folder)
    return services, folder


def _extended(service: dict, folder: Path) -> dict:
    if "extends" not in service:
        return service
    base = yaml.safe_load((folder / service["extends"]["file"]).resolve().read_text())["services"]
    return base[service["extends"]["service"]] | {key: value for key, value in service.items() if key != "extends"}


def image_of(service: dict) -> str:
    """The name of its image without the tag; `rerank-proxy` for what is built here."""
    return "rerank-proxy" if "build" in service else service["image"].rsplit(":", 1)[0]


def dockerfile() -> "tuple[dict, list[str], list[str], list[str]]":
    """The image's variables, entry point, command and health check."""
    text = (REPOSITORY / "Dockerfile").read_text().replace("\\\n", " ")
    words = dict(re.findall(r"^(ENV|ENTRYPOINT|CMD|HEALTHCHECK) (.+)$", text, re.MULTILINE))
    variables = dict(word.split("=", 1) for word in words["ENV"].split())
    health = words["HEALTHCHECK"].split(" CMD ", 1)[1]
    return variables, *(json.loads(part) for part in (words["ENTRYPOINT"], words["CMD"], health))


class Topology:
    """The services of compose files, running, once it is entered. `engines` has the URL of each engine's service."""

    def __init__(self, *files: str, engines: "dict[str, str]"):
        self.services, self._folder = read(*files)
        self._engines = {name: url.removeprefix("http://") for name, url in engines.items()}
        self._temporary = tempfile.TemporaryDirectory(prefix="rerank-proxy-compose-")
        # So that others on this machine may run the same at the same time.
        network = f"127.{random.randint(16, 239)}.{random.randint(1, 254)}"
        self.addresses = {name: f"{network}.{number}" for number, name in enumerate(self.services, 10)}
        self._processes, self._logs = {}, {}
        self._made = 0

    def url(self, service: str, port: int) -> str:
        """Where a port of a service is, which it must publish."""
        published = [str(one).rsplit(":", 1)[1] for one in self.services[service].get("ports", [])]
        assert str(port) in published, f"{service} publishes {published}"
        return self.inside(service, port)

    def inside(self, service: str, port: int) -> str:
        """The same for whoever is on the network of the services."""
        return f"http://{self.addresses[service]}:{port}"

    def __enter__(self):
        try:
            for name in self._in_order():
                self._start(name)
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        for process in reversed(self._processes.values()):
            if process.poll() is None:
                process.terminate()
        for process in self._processes.values():
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._temporary.cleanup()

    def log(self, service: str) -> str:
        return self._logs[service].read_text(errors="replace")

    def _in_order(self) -> "list[str]":
        """Each service after those that it depends on."""
        order, left = [], dict(self.services)
        while left:
            free = [name for name in left if not set(left[name].get("depends_on", {})) & set(left)]
            assert free, f"{', '.join(left)} wait for one another"
            order += free
            left = {name: service for name, service in left.items() if name not in free}
        return order

    def _start(self, name: str) -> None:
        service = self.services[name]
        image = image_of(service)
        if image in ENGINES:
            assert name in self._engines, f"no engine for {name}"
            return
        if image in NOT_TO_BE_HAD:
            return
        variables, command = {}, service.get("command", [])
        if image == "rerank-proxy":
            variables, entry, default, _ = dockerfile()
            assert entry == ["rerank-proxy"]
            variables |= {"RERANK_PROXY_SCORING__MODELS_DIR": str(REPOSITORY / "fixtures" / "models")}
            command = [str(proxy.binary()), *(command or default)]
        elif image == "valkey/valkey":
            command = [redis_server.binary(), *command, "--bind", self.addresses[name], "--dir", self._temporary.name]
        elif image == "haproxy":
            command = [haproxy.binary(), "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
        elif image == "prom/prometheus":
            data = [f"--storage.tsdb.path={self._temporary.name}/{name}", f"--web.listen-address={self.addresses[name]}:9090"]
            command = ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", *data]
        elif image == "curlimages/curl":
            command = [*service["entrypoint"], *command]
        else:
            raise AssertionError(f"{name}: who starts {service['image']}?")
        variables |= {key: str(value) for key, value in service.get("environment", {}).items()}
        environment = {key: self._here(value, name) for key, value in variables.items()}
        self._run(name, [self._here(word, name) for word in command], environment)
        if image == "rerank-proxy":
            self._wait_until_healthy(name, environment)
        if image == "curlimages/curl":
            assert self._processes[name].wait(READY_WITHIN_SECONDS) == 0, f"{name}: {self.log(name)}"

    def _run(self, name: str, command: "list[str]", environment: "dict[str, str]") -> None:
        self._logs[name] = Path(self._temporary.name) / f"{name}.log"
        with open(self._logs[name], "wb") as log:
            self._processes[name] = subprocess.Popen(
                command, cwd="/", env=self._environment(environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @staticmethod
    def _environment(environment: "dict[str, str]") -> "dict[str, str]":
        """Of this process only what programs are found by: a container has nothing else."""
        kept = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "ORT_DYLIB_PATH", "LD_LIBRARY_PATH")}
        return kept | environment

    def _wait_until_healthy(self, name: str, environment: "dict[str, str]") -> None:
        """As the runtime does it, by the image's own check; then until the models are loaded, so that searches are reranked."""
        _, _, _, (_, *check) = dockerfile()
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while not (self._is_healthy(check, environment) and self._is_ready(name)):
            alive = self._processes[name].poll() is None
            assert alive and time.monotonic() < deadline, f"{name} does not get ready: {self.log(name)}"
            time.sleep(0.1)

    def _is_healthy(self, check: "list[str]", environment: "dict[str, str]") -> bool:
        command = [proxy.binary(), *check]
        return subprocess.run(command, cwd="/", env=self._environment(environment), capture_output=True).returncode == 0

    def _is_ready(self, name: str) -> bool:
        return send(self.inside(name, 9700), "GET", "/_rerank/health").json()["status"] == "ready"

    def _here(self, text: str, service: str) -> str:
        """A text of a container as it is on this machine: addresses in the place of names, files in the place of what is mounted."""
        for mount in self.services[service].get("volumes", []):
            source, target, *_ = mount.split(":")
            if target in text:
                text = text.replace(target, str(self._file(self._folder / source, service)))
        for name, address in self.addresses.items():
            there = self._engines.get(name)
            name = rf"(?<![\w.-]){re.escape(name)}"
            text = re.sub(rf"{name}:\d+", there, text) if there else re.sub(rf"{name}(?=:\d)", address, text)
        return re.sub(r"(?<![\d.\w])(0\.0\.0\.0|\*)(?=:\d)", self.addresses[service], text)

    def _file(self, source: Path, service: str) -> Path:
        """The mounted file, with what it says of addresses and of other files as they are here."""
        assert source.is_file(), f"{service}: {source} is not there"
        if source.suffix == ".jsonl":
            return source.resolve()
        self._made += 1
        copy = Path(self._temporary.name) / f"{self._made}-{source.name}"
        copy.write_text(self._here(source.read_text(), service))
        return copy


def left_out() -> "dict[str, str]":
    """As `engines.left_out`: why no topology can be started here, if so."""
    if os.uname().sysname != "Linux":
        return {"topology": "only Linux has more than one loopback address"}
    return {} if shutil.which("curl") else {"topology": "no curl; Debian: apt-get install curl"}
