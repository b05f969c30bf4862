"""The manifests of `deploy/` as they were rendered (`tests/deploy/`, which renders them anew): what Kubernetes would start, the program accepts,
and what belongs together fits. Needs no engine and no Kubernetes."""

import os
import subprocess
import time
from pathlib import Path

import pods
import proxy as proxy_control
import pytest
from conftest import DIRECT
from haproxy import free_port
from wire import send

RENDERED = sorted((proxy_control.REPOSITORY / "tests" / "deploy" / "rendered").glob("*.yaml"))
CONFIG = "/etc/rerank-proxy/config/rerank.toml"
PORTS = {"search": 9700, "admin": 9702}

RELOADS_WITHIN_SECONDS = 60

pytestmark = pytest.mark.skipif(DIRECT, reason="needs a proxy")


def pytest_generate_tests(metafunc):
    if "file" in metafunc.fixturenames:
        metafunc.parametrize("file", RENDERED, ids=lambda file: file.stem)


def seconds(duration: str) -> int:
    assert duration.endswith("s"), duration
    return int(duration[:-1])


def check(pod: pods.Pod) -> "subprocess.CompletedProcess[str]":
    """`rerank-proxy check` with all that the container would be started with."""
    command, *flags = pod.arguments()
    assert command == "serve"
    pod.localise()
    return subprocess.run(
        [proxy_control.binary(), "check", "--offline", *flags],
        env=os.environ | pod.environment(),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def manifests(file):
    return pods.documents(file.read_text())


@pytest.fixture
def pod(manifests, tmp_path):
    (spec,) = pods.pod_specs(manifests)
    return pods.Pod(spec, manifests, tmp_path)


def test_the_program_accepts_the_configuration_of_the_pod(pod):
    done = check(pod)
    assert done.returncode == 0 and "the configuration can be read" in done.stdout, done.stdout + done.stderr


def test_a_mistake_in_it_would_be_noticed(pod):
    rules = Path(pod.here(CONFIG))
    rules.write_text(rules.read_text() + "\n[no_such_table]\n")
    done = check(pod)
    assert done.returncode == 1 and "no_such_table" in done.stderr + done.stdout, done.stdout + done.stderr


def test_the_grace_period_is_longer_than_the_drain(pod):
    said = pod.environment()
    config = Path(pod.here(CONFIG)).read_text()
    told = dict(line.split(" = ") for line in config.splitlines() if line.startswith("drain"))
    delay = said.get("RERANK_PROXY_SERVER__DRAIN_DELAY") or told["drain_delay"].strip('"')
    drain = said.get("RERANK_PROXY_SERVER__DRAIN") or told["drain"].strip('"')
    assert pod.spec["terminationGracePeriodSeconds"] > seconds(delay) + seconds(drain)


def test_the_container_may_do_nothing_but_serve(pod):
    context = pod.container["securityContext"]
    assert context["runAsNonRoot"] and context["runAsUser"] == 10001 and context["readOnlyRootFilesystem"]
    assert context["allowPrivilegeEscalation"] is False and context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert all(mount["readOnly"] for mount in pod.container["volumeMounts"])
    assert pod.container["resources"]["limits"].keys() == {"memory"}, "a quota of processor time stops all threads at once"


def test_ports_and_probes_go_by_the_same_names(pod):
    assert {port["name"]: port["containerPort"] for port in pod.container["ports"]} == PORTS
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert pod.container[probe]["httpGet"]["port"] == "admin"
    assert pod.container["readinessProbe"]["timeoutSeconds"] > 1, "/readyz may wait a second for the cluster"


def test_services_and_policies_choose_the_pods(manifests):
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in manifests if one["kind"] == "Deployment"]
    for one in manifests:
        spec = one.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector") or {}
        # Those of a sidecar are somebody else's, a monitor chooses Services.
        if labels and one["kind"] != "ServiceMonitor" and selector:
            wanted = selector.get("matchLabels", selector)
            assert wanted and wanted.items() <= labels[0].items(), f"{one['kind']} {one['metadata']['name']}"
        if one["kind"] == "Service":
            assert {port["targetPort"] for port in spec["ports"]} <= PORTS.keys()
        if one["kind"] == "ServiceMonitor":
            chosen = [
                service["metadata"]["name"]
                for service in manifests
                if service["kind"] == "Service" and selector["matchLabels"].items() <= service["metadata"]["labels"].items()
            ]
            assert chosen == [f"{one['metadata']['name']}-metrics"]


def test_no_service_of_the_searches_has_the_admin_listener(manifests):
    services = [one for one in manifests if one["kind"] == "Service" and not one["metadata"]["name"].endswith("-metrics")]
    assert services and all(port["targetPort"] == "search" for one in services for port in one["spec"]["ports"])


def test_a_changed_config_map_is_read_while_the_pod_runs(tmp_path):
    manifests = pods.documents(next(file for file in RENDERED if file.stem == "helm-defaults").read_text())
    pod = pods.Pod(pods.pod_specs(manifests)[0], manifests, tmp_path)
    admin = f"127.0.0.1:{free_port()}"
    here = {"RERANK_PROXY_SERVER__LISTEN": "127.0.0.1:0", "RERANK_PROXY_ADMIN__LISTEN": admin}
    here |= {"RERANK_PROXY_SERVER__DRAIN_DELAY": "0s"}
    with proxy_control.Proxy(environment=pod.environment() | here) as running:
        assert explained(admin) == ("full", "default")
        mount = Path(pod.here(CONFIG)).parent
        pods.update(mount, {"rerank.toml": '[clients]\nexplain = "scores"\n'})
        deadline = time.monotonic() + RELOADS_WITHIN_SECONDS
        while (told := explained(admin))[0] != "scores":
            assert time.monotonic() < deadline, running.log()
            time.sleep(0.05)
        assert "rerank.toml" in told[1]


def explained(admin: str) -> "tuple[str, str]":
    """The key `clients.explain` that counts, and where it is from."""
    told = send(f"http://{admin}", "GET", "/config").json()
    key = told["clients.explain"] if "clients.explain" in told else told["clients"]["explain"]
    return key["value"], str(key["from"])
