"""The chart and the kustomizations, rendered by real Helm and Kustomize: as they are kept in `rendered/`, which the end-to-end tests read,
and as Kubernetes has them. UPDATE=1 writes what is rendered; look at the difference before you commit it."""

import os

import pytest
import tools


@pytest.fixture(scope="session")
def rendered():
    return tools.render()


def test_what_is_kept_is_what_is_rendered(rendered):
    if os.environ.get("UPDATE") == "1":
        for file in tools.RENDERED.glob("*.yaml"):
            file.unlink()
        for name, text in rendered.items():
            (tools.RENDERED / name).write_text(text)
    kept = {file.name: file.read_text() for file in tools.RENDERED.glob("*.yaml")}
    assert kept.keys() == rendered.keys(), "UPDATE=1 make test-deploy"
    for name, text in rendered.items():
        assert kept[name] == text, f"{name} is not what is rendered: UPDATE=1 make test-deploy"


def test_kubernetes_knows_every_key(rendered, tmp_path):
    for name, text in rendered.items():
        (tmp_path / name).write_text(text)
    location = f"{tools.schemas()}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
    # That kind is the Prometheus operator's: its schema is no part of Kubernetes.
    told = tools.run("kubeconform", "-summary", "-schema-location", location, "-skip", "ServiceMonitor", tmp_path)
    print(told.stdout)


@pytest.mark.parametrize("mistake", ["replicas: many", "replicaz: 2", "paused: {}"])
def test_a_mistake_would_be_noticed(rendered, tmp_path, mistake):
    file = tmp_path / "deployment.yaml"
    text = rendered["helm-plain.yaml"]
    assert "\n  replicas: 1\n" in text
    file.write_text(text.replace("\n  replicas: 1\n", f"\n  {mistake}\n", 1))
    location = f"{tools.schemas()}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
    assert tools.run("kubeconform", "-schema-location", location, file, check=False).returncode == 1


def test_helm_finds_no_fault():
    for values in sorted((tools.CHART / "ci").glob("*.yaml")):
        told = tools.run("helm", "lint", "--strict", tools.CHART, "--kube-version", tools.KUBERNETES, "--values", values)
        assert "0 chart(s) failed" in told.stdout


@pytest.mark.parametrize(
    "values",
    [
        "mode=daemon",
        "upstream.url=elasticsearch:9200",
        "upstream.url=http://user:password@elasticsearch:9200",
        "upstream.authorization.secret=cluster",
        "tls.clientCaKey=ca.crt",
        "drain.delaySeconds=10s",
        "replicas=3",
    ],
)
def test_values_that_cannot_be_meant_are_refused(values):
    told = tools.run("helm", "template", "x", tools.CHART, "--kube-version", tools.KUBERNETES, "--set", values, check=False)
    assert told.returncode != 0 and "values don't meet the specifications of the schema" in told.stderr, told.stderr
