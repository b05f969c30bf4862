"""A real Prometheus that scrapes one proxy every second, and promtool beside it."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from wire import send

STARTS_WITHIN_SECONDS = 60
SCRAPED_WITHIN_SECONDS = 30


def left_out() -> "dict[str, str]":
    """As `engines.left_out`: why there can be no Prometheus here, if so."""
    is_there = shutil.which("prometheus") and shutil.which("promtool")
    return {} if is_there else {"prometheus": "no prometheus and promtool; Debian: apt-get install prometheus"}


class Prometheus:
    def __init__(self, url: str):
        self.url = url

    def query(self, expression: str) -> "list[dict]":
        """The samples of an expression now."""
        answer = send(self.url, "GET", f"/api/v1/query?query={quote(expression)}").json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        return answer["data"]["result"]

    def has_data(self, expression: str) -> bool:
        return any(sample["value"][1] != "NaN" for sample in self.query(expression))

    def wait_for(self, expression: str) -> bool:
        """Whether there is data, which takes some scrapes: Prometheus begins seconds after its start, and a rate needs two of them."""
        deadline = time.monotonic() + SCRAPED_WITHIN_SECONDS
        while not (is_there := self.has_data(expression)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return is_there


@contextlib.contextmanager
def scraping(target: str, path: str):
    """A Prometheus that has the metrics of HOST:PORT under the job `rerank-proxy`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with tempfile.TemporaryDirectory(prefix="rerank-proxy-prometheus-") as folder:
        config = Path(folder) / "prometheus.yml"
        config.write_text(
            "global: { scrape_interval: 1s }\n"
            "scrape_configs:\n"
            f"  - {{ job_name: rerank-proxy, metrics_path: {path}, static_configs: [{{ targets: ['{target}'] }}] }}\n"
        )
        flags = [f"--config.file={config}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}"]
        process = subprocess.Popen(["prometheus", *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_until_ready(process, f"http://{address}")
            yield Prometheus(f"http://{address}")
        finally:
            process.terminate()
            process.wait()


def _wait_until_ready(process, url):
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while True:
        with contextlib.suppress(ConnectionError):
            if send(url, "GET", "/-/ready").status == 200:
                return
        assert process.poll() is None and time.monotonic() < deadline, "Prometheus does not start"
        time.sleep(0.05)
