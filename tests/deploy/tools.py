"""The tools that render and judge what `deploy/` has for Kubernetes, built from the Go module proxy into `target/deploy`, and the schemas of
Kubernetes as kubeconform wants them. Owns versions, and where things lie."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
WORK = Path(os.environ.get("DEPLOY_TOOLS", REPOSITORY / "target" / "deploy"))
CHART = REPOSITORY / "deploy" / "helm" / "rerank-proxy"
KUSTOMIZE = REPOSITORY / "deploy" / "kustomize"
RENDERED = Path(__file__).resolve().parent / "rendered"
KUBERNETES = "1.34.2"
TOOLS = {
    "helm": "helm.sh/helm/v3/cmd/helm@v3.19.5",
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0",
    "kustomize": "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1",
}


def missing() -> "list[str]":
    """What cannot be had on this machine, in words."""
    return [] if shutil.which("go") else [f"no go, to build {', '.join(TOOLS)} with: https://go.dev/doc/install"]


def tool(name: str) -> Path:
    """The program, built once."""
    program = WORK / "bin" / re.sub(r"[/@]", "-", TOOLS[name])
    if not program.exists():
        made = WORK / "made" / name
        subprocess.run(["go", "install", TOOLS[name]], env=os.environ | {"GOBIN": str(made), "GOFLAGS": "-buildvcs=false"}, check=True)
        program.parent.mkdir(parents=True, exist_ok=True)
        (made / name).rename(program)
    return program


def run(name: str, *arguments, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """The tool's answer; where `check` is on it must be well, and what it says is shown where not."""
    done = subprocess.run([tool(name), *map(str, arguments)], capture_output=True, text=True)
    if check:
        assert done.returncode == 0, f"{name} {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}"
    return done


def render() -> "dict[str, str]":
    """Every manifest that is rendered, by the name of its file: each values file of the chart, and each kustomization."""
    fixed = ["--namespace", "search", "--kube-version", KUBERNETES]
    rendered = {
        f"helm-{file.stem.removesuffix('-values')}.yaml": run("helm", "template", "rerank-proxy", CHART, *fixed, "--values", file).stdout
        for file in sorted((CHART / "ci").glob("*.yaml"))
    }
    for folder in (KUSTOMIZE / "base", *sorted((KUSTOMIZE / "overlays").iterdir())):
        rendered[f"kustomize-{folder.name}.yaml"] = run("kustomize", "build", folder).stdout
    return rendered


def schemas() -> Path:
    """A folder with a JSON schema for each kind of Kubernetes, made of the OpenAPI description that its Go module carries."""
    folder = WORK / f"schemas-{KUBERNETES}"
    if not folder.exists():
        told = subprocess.run(
            ["go", "mod", "download", "-json", f"k8s.io/kubernetes@v{KUBERNETES}"], check=True, capture_output=True, text=True
        )
        swagger = Path(json.loads(told.stdout)["Dir"]) / "api" / "openapi-spec" / "swagger.json"
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        definitions = json.loads(swagger.read_text())["definitions"]
        # Nothing but what is known: a misspelt key is what such a check is for.
        strict = {name: _strict(definition) for name, definition in definitions.items()}
        (part / "definitions.json").write_text(json.dumps({"definitions": strict}))
        for name, definition in definitions.items():
            for kind in definition.get("x-kubernetes-group-version-kind", []):
                group = f"-{kind['group'].split('.')[0]}" if kind["group"] else ""
                file = part / f"{kind['kind'].lower()}{group}-{kind['version']}.json"
                file.write_text(json.dumps({"$ref": f"definitions.json#/definitions/{name}"}))
        part.rename(folder)
    return folder


def _strict(definition):
    """An OpenAPI definition as a JSON schema of the same folder: references within one file, quantities that may be numbers."""
    if definition.get("format") == "int-or-string":
        return {"type": ["string", "integer"]}
    schema = {key: value for key, value in definition.items() if not key.startswith("x-") and key != "format"}
    if "properties" in schema:
        schema["properties"] = {name: _strict(value) for name, value in schema["properties"].items()}
        schema.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            schema[key] = _strict(schema[key])
    return schema
