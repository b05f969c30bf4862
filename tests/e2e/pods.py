"""Pods of Kubernetes manifests as this machine can run them: the container's variables, flags and mounted files, with what stands in Secrets
made up, and each path in the container leading to a folder here. Owns what a kubelet would do; says nothing about clusters."""

import functools
import re
import tempfile
from pathlib import Path

import yaml
from proxy import REPOSITORY
from secured import certify

VARIABLE = re.compile(r'ENV (.+?)\nEXPOSE', re.DOTALL)


def documents(text: str) -> "list[dict]":
    return [document for document in yaml.safe_load_all(text) if document]


def image_variables() -> "dict[str, str]":
    """The variables that the image has, by the Dockerfile; its models are where the repository has them."""
    (said,) = VARIABLE.findall((REPOSITORY / "Dockerfile").read_text())
    variables = dict(word.split("=", 1) for word in said.replace("\\\n", " ").split())
    assert variables["RERANK_PROXY_SCORING__MODELS_DIR"] == "/models"
    return variables | {"RERANK_PROXY_SCORING__MODELS_DIR": str(REPOSITORY / "fixtures" / "models")}


@functools.cache
def made_up() -> "tuple[str, str]":
    """A certificate and its key, as a Secret may hold them."""
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = certify(Path(folder), "made-up")
        return certificate.read_text(), key.read_text()


class Pod:
    """A pod that has the proxy's container in it, among the documents that it was rendered with."""

    def __init__(self, spec: dict, manifests: "list[dict]", folder: Path):
        self.spec = spec
        (self.container,) = [one for one in spec["containers"] if one["name"] == "rerank-proxy"]
        self._config_maps = {one["metadata"]["name"]: one["data"] for one in manifests if one["kind"] == "ConfigMap"}
        self._mounts = {mount["mountPath"]: self._mounted(mount, folder) for mount in self.container["volumeMounts"]}

    def _mounted(self, mount: dict, folder: Path) -> str:
        """The folder here that stands for the mount."""
        assert "subPath" not in mount, f"{mount}: a single file is never updated"
        (volume,) = [one for one in self.spec["volumes"] if one["name"] == mount["name"]]
        place = folder / mount["name"]
        place.mkdir()
        if "configMap" in volume:
            update(place, self._config_maps[volume["configMap"]["name"]])
        elif "secret" in volume:
            certificate, key = made_up()
            for name, text in (("tls.crt", certificate), ("tls.key", key), ("ca.crt", certificate)):
                (place / name).write_text(text)
        else:
            assert "persistentVolumeClaim" in volume, volume
        return str(place)

    def here(self, text: str) -> str:
        """The text with each path of the container as it is here."""
        for path, place in self._mounts.items():
            text = text.replace(f"{path}/", f"{place}/")
        return text

    def localise(self) -> None:
        """Puts the paths of this machine into the mounted files."""
        for place in self._mounts.values():
            for file in Path(place).glob("*.toml"):
                file.write_text(self.here(file.read_text()))

    def environment(self) -> "dict[str, str]":
        told = {one["name"]: one["value"] if "value" in one else "made up" for one in self.container["env"]}
        return {name: self.here(value) for name, value in (image_variables() | told).items()}

    def arguments(self) -> "list[str]":
        return [self.here(word) for word in self.container["args"]]


def update(place: Path, files: "dict[str, str]") -> None:
    """Puts the files of a ConfigMap into its mount as a kubelet does: a folder of its own, and the link `..data` turned to it."""
    data, turned = place / "..data", place / "..data_tmp"
    made = place / f"..{len(list(place.iterdir()))}"
    made.mkdir()
    for name, text in files.items():
        (made / name).write_text(text)
    turned.symlink_to(made.name)
    turned.rename(data)
    for name in files:
        if not (place / name).is_symlink():
            (place / name).symlink_to(f"..data/{name}")


def pod_specs(manifests: "list[dict]") -> "list[dict]":
    """Of the Deployments, and what the chart's mode `sidecar` hands out."""
    own = [one["spec"]["template"]["spec"] for one in manifests if one["kind"] == "Deployment"]
    handed = [one["data"]["pod.yaml"] for one in manifests if one["kind"] == "ConfigMap" and "pod.yaml" in one["data"]]
    return own + [yaml.safe_load(text) for text in handed]
