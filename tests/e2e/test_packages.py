"""The packages that `make dist` makes, here of the program under test: what is in them, that nothing is missing of it where they are
unpacked, and that the same commit gives the same bytes. tests/install/ installs them in a clean Debian."""

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import onnxruntime
import proxy

SCRIPT = proxy.REPOSITORY / "scripts/package.py"
LIBRARY = proxy.REPOSITORY / "target/onnxruntime"
DOCUMENTS = "Lyon is a city on the Rhone\nParis is the capital of France\nBonn was the capital of Germany\n"
RANK = ("rerank", "--model", "ms-marco-MiniLM-L12-v2", "--query", "what is the capital of france", "--top", "1")


def make(folder, *formats):
    command = [sys.executable, SCRIPT, "--program", proxy.binary(), "--library", LIBRARY, "--out", folder, "--quick", *formats]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return dict(zip(formats, map(Path, told), strict=True))


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    if os.environ.get("CI") != "true" and not (sys.platform == "linux" and shutil.which("dpkg-deb")):
        pytest.skip("packages are for Linux, and made with dpkg-deb")
    return make(tmp_path_factory.mktemp("packages"), "wheel", "deb", "archive", "sbom")


def ranks(program, folder):
    """The program, away from the sources and without their environment, ranks documents: it has found library and model."""
    done = subprocess.run([program, *RANK], cwd=folder, env={}, input=DOCUMENTS, capture_output=True, text=True)
    assert done.stdout.endswith("Paris is the capital of France\n"), done.stderr


def test_the_archive_runs_where_it_is_unpacked(packages, tmp_path):
    with tarfile.open(packages["archive"]) as archive:
        archive.extractall(tmp_path, filter="data")
        assert {entry.mtime for entry in archive} == {next(iter(archive)).mtime}
    (folder,) = tmp_path.iterdir()
    ranks(folder / "bin/rerank-proxy", tmp_path)
    licences = (folder / "share/doc/rerank-proxy/THIRD-PARTY-LICENSES.txt").read_text()
    for wanted in ("tokio 1.", "Permission is hereby granted, free of charge", "Redistribution and use in source and binary forms"):
        assert wanted in licences
    for document in ("ONNXRUNTIME-ThirdPartyNotices.txt", "LICENSE", "config.example.toml", "systemd/rerank-proxy.service"):
        assert (folder / "share/doc/rerank-proxy" / document).is_file()


def test_the_wheel_is_one_that_pip_installs_and_finds_pips_onnx_runtime(packages, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", packages["wheel"]], check=True)
    # As if pip had brought it: it is the same package, installed beside.
    (site,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    (site / "onnxruntime").symlink_to(Path(onnxruntime.__file__).parent)
    ranks(tmp_path / "venv/bin/rerank-proxy", tmp_path)
    shown = subprocess.run([*pip, "show", "--files", "rerank-proxy"], check=True, capture_output=True, text=True).stdout
    assert "Requires: onnxruntime" in shown and "share/rerank-proxy/models/all-MiniLM-L6-v2/compiled/int7.onnx" in shown
    with zipfile.ZipFile(packages["wheel"]) as wheel:
        (record,) = (name for name in wheel.namelist() if name.endswith("/RECORD"))
        assert [line.split(",")[0] for line in wheel.read(record).decode().splitlines()] == wheel.namelist()


def test_the_deb_has_what_debian_wants_in_a_package(packages, tmp_path):
    deb = packages["deb"]
    tell = lambda *command: subprocess.run(["dpkg-deb", *command], check=True, capture_output=True, text=True).stdout
    assert re.search(r"libc6 \(>= 2\.\d+\)", tell("-f", deb, "Depends"))
    tell("-x", deb, tmp_path)
    tell("-e", deb, tmp_path / "DEBIAN")
    ranks(tmp_path / "usr/bin/rerank-proxy", tmp_path)
    assert (tmp_path / "DEBIAN/conffiles").read_text() == "/etc/rerank-proxy/rerank.toml\n"
    assert tomllib.loads((tmp_path / "etc/rerank-proxy/rerank.toml").read_text())["upstream"]
    unit = (tmp_path / "usr/lib/systemd/system/rerank-proxy.service").read_text()
    assert "ExecStart=/usr/bin/rerank-proxy serve --config /etc/rerank-proxy/rerank.toml" in unit
    assert gzip.open(tmp_path / "usr/share/man/man1/rerank-proxy.1.gz").read().startswith(b".ie")
    for path in ("doc/rerank-proxy/copyright", "doc/rerank-proxy/changelog.gz", "bash-completion/completions/rerank-proxy"):
        assert (tmp_path / "usr/share" / path).is_file()
    owners = {line.split()[1] for line in tell("-c", deb).splitlines()}
    assert owners == {"root/root"}


def test_the_bill_of_materials_names_every_dependency_once(packages):
    bill = json.loads(packages["sbom"].read_text())
    names = [component["bom-ref"] for component in bill["components"]]
    assert len(names) == len(set(names)) and "onnxruntime" in names and "all-MiniLM-L6-v2" in names
    known = {*names, bill["metadata"]["component"]["bom-ref"]}
    for each in bill["dependencies"]:
        assert {each["ref"], *each["dependsOn"]} <= known
    of_others = [component for component in bill["components"] if component.get("purl", "").startswith("pkg:cargo/")]
    assert len(of_others) > 200 and all(component["hashes"] for component in of_others)


def test_the_same_commit_gives_the_same_bytes(packages, tmp_path):
    again = make(tmp_path, "wheel", "deb", "archive", "sbom")
    digest = lambda path: hashlib.sha256(path.read_bytes()).hexdigest()
    assert {name: digest(path) for name, path in again.items()} == {name: digest(path) for name, path in packages.items()}
