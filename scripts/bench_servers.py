"""Starts what bench.py measures and what it measures against: the scripted engine, the proxy, nginx, HAProxy and Envoy.

Each reverse proxy has as many workers as the machine has cores, keeps its connections to the engine, and logs no request.
Measures nothing."""

import contextlib
import importlib.util
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

REPOSITORY = Path(__file__).resolve().parent.parent
BINARIES = Path(os.environ.get("BINARIES", REPOSITORY / "target" / "release"))
OUTPUT = REPOSITORY / "target" / "bench"
CORES = os.cpu_count() or 1

NGINX = """\
worker_processes {cores};
daemon off;
master_process on;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    tcp_nodelay on;
    proxy_max_temp_file_size 0;
    upstream origin {{
        server {origin};
        keepalive 256;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port}{listen};
        location / {{
            proxy_pass {scheme}://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
        }}
        {keys}
    }}
}}
"""
NGINX_TLS = {
    "scheme": "https",
    "listen": " ssl",
    "keys": "ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_verify on;"
    " proxy_ssl_trusted_certificate {certificate}; proxy_ssl_name localhost; proxy_ssl_protocols TLSv1.2 TLSv1.3;",
}
HAPROXY = """\
global
    nbthread {cores}
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend clients
    bind 127.0.0.1:{port}{listen}
    default_backend origin
backend origin
    server origin {origin}{keys}
"""
HAPROXY_TLS = {
    "listen": " ssl crt {both}",
    "keys": " ssl verify required ca-file {certificate} verifyhost localhost",
}
ENVOY = """\
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: clients
          generate_request_id: false
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: "/"}}, route: {{cluster: origin, timeout: 0s}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              dynamic_stats: false
              suppress_envoy_headers: true
  clusters:
  - name: origin
    type: STATIC
    connect_timeout: 5s
    circuit_breakers: {{thresholds: [{{max_connections: 4096, max_pending_requests: 4096, max_requests: 4096}}]}}
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: {host}, port_value: {origin_port}}}}}}}
"""


@dataclass(frozen=True)
class Tls:
    """The one certificate that all servers have, and that all trust."""

    certificate: Path
    key: Path
    both: Path

    @classmethod
    def make(cls, folder: Path) -> "Tls":
        tls = cls(folder / "tls.pem", folder / "tls.key", folder / "both.pem")
        made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
        names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        subprocess.run([*made.split(), *names, "-keyout", tls.key, "-out", tls.certificate], check=True, capture_output=True)
        tls.both.write_text(tls.certificate.read_text() + tls.key.read_text())
        return tls


# Whether a server is up is all that is asked of it in this way.
ANY = ssl.create_default_context()
ANY.check_hostname, ANY.verify_mode = False, ssl.CERT_NONE


def program(name: str) -> "str | None":
    """Where a program is. Envoy comes in a wheel (scripts/requirements-bench.txt), whose command is a script around it."""
    if name == "envoy" and (found := importlib.util.find_spec("envoy")) and found.origin:
        binary = Path(found.origin).parent / "_bin" / "envoy"
        if binary.is_file():
            binary.chmod(binary.stat().st_mode | 0o111)
            return str(binary)
    # Debian has some of them where only root's PATH looks.
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")


def version(name: str) -> str:
    """The first line of what a program says of itself; `none` where there is no such program."""
    if not (path := program(name)):
        return "none"
    done = subprocess.run([path, "--version" if name == "envoy" else "-v"], capture_output=True, text=True, check=False)
    first = next((line for line in (done.stdout + done.stderr).splitlines() if line.strip()), "unknown")
    # Envoy begins with where it is, which says nothing elsewhere.
    return first.strip().removeprefix(path).strip()


@contextlib.contextmanager
def listening(command: list):
    """Runs a server that prints `listening on URL`; gives the URL and the process's number."""
    log = open(OUTPUT / f"{Path(command[0]).name}.log", "w")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=REPOSITORY)
    try:
        line = process.stdout.readline()
        found = re.fullmatch(r"listening on (https?://\S+)\n", line)
        if not found:
            raise SystemExit(f"error: {command[0]} did not start; see {log.name}")
        yield found.group(1), process.pid
    finally:
        process.terminate()
        process.wait(30)
        log.close()


@contextlib.contextmanager
def proxying(name: str, config: str):
    """Runs the proxy with this configuration, its model loaded; gives its URL and the process's number."""
    file = OUTPUT / f"{name}.toml"
    file.write_text(config)
    with listening([str(BINARIES / "rerank-proxy"), "serve", "--config", str(file)]) as (url, process):
        wait_until_ready(url)
        yield url, process


def wait_until_ready(proxy: str) -> None:
    """Until the proxy has loaded its models: before, it forwards only."""
    for _ in range(1200):
        with urllib.request.urlopen(f"{proxy}/_rerank/health", timeout=10, context=ANY) as answer:
            health = json.load(answer)
        if health["status"] == "ready":
            return
        time.sleep(0.05)
    raise SystemExit(f"error: the proxy does not get ready: {health}")


@contextlib.contextmanager
def peer(name: str, origin: str, tls: "Tls | None" = None):
    """Runs `nginx`, `haproxy` or `envoy` before `origin`, with TLS on both sides or on none (not Envoy); gives its URL and the process's
    number."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    split = urlsplit(origin)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        template = {"nginx": NGINX, "haproxy": HAPROXY, "envoy": ENVOY}[name]
        config = Path(folder) / ("envoy.yaml" if name == "envoy" else f"{name}.conf")
        values = {"scheme": "http", "listen": "", "keys": ""}
        if tls:
            values |= {key: text.format(**vars(tls)) for key, text in {"nginx": NGINX_TLS, "haproxy": HAPROXY_TLS}[name].items()}
        values |= {"host": split.hostname, "origin_port": split.port, "origin": split.netloc}
        config.write_text(template.format(cores=CORES, folder=folder, port=port, **values))
        options = {
            "nginx": ["-c", str(config), "-p", folder, "-e", f"{folder}/error.log"],
            "haproxy": ["-db", "-f", str(config)],
            # Without a base of its own it would not start beside another one.
            "envoy": ["-c", str(config), "--concurrency", str(CORES), "--disable-hot-restart", "--log-level", "error"],
        }
        with open(OUTPUT / f"{name}.log", "w") as log:
            process = subprocess.Popen([program(name), *options[name]], stdout=log, stderr=log)
        url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        try:
            wait_until_answers(name, url)
            yield url, process.pid
        finally:
            process.terminate()
            process.wait(30)


def wait_until_answers(name: str, url: str) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/fixed/1", timeout=1, context=ANY):
            return
        time.sleep(0.05)
    raise SystemExit(f"error: {name} did not start; see {OUTPUT / f'{name}.log'}")
