"""What the program is made of: its dependencies by Cargo's own account, the texts of their licences, and the bill of materials."""

import datetime
import hashlib
import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path

LICENCE_FILES = re.compile(r"(un)?licen[cs]e|copying|copyright|notice", re.I)
# e_machine of ELF, by the first word of a triple.
MACHINES = {"x86_64": 62, "aarch64": 183}


def host():
    """The triple of this machine."""
    told = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    return re.search(r"^host: (.*)$", told, re.M)[1]


def check_machine(library, target):
    """Refuses a library that is not for `target`: a package of it would be of no use to anyone."""
    machine = int.from_bytes(library.read_bytes()[18:20], "little")
    if machine != MACHINES[target.split("-")[0]]:
        raise SystemExit(f"error: {library} is not for {target}")


def cargo_metadata(root, target):
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform", target]
    return json.loads(subprocess.run(command, cwd=root, check=True, capture_output=True).stdout)


def dependencies(metadata):
    """The packages that the program is made of, its own crates included, each with what it depends on: [(package, [package])]. What
    only builds or tests need is none of it."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found, to_do = {}, [metadata["resolve"]["root"]]
    while to_do:
        package = to_do.pop()
        if package not in found:
            normal = (each["pkg"] for each in nodes[package]["deps"] if any(kind["kind"] is None for kind in each["dep_kinds"]))
            found[package] = sorted(normal)
            to_do += found[package]
    return sorted(((packages[id], [packages[each] for each in needs]) for id, needs in found.items()), key=lambda each: _name(each[0]))


def texts(dependencies, apache):
    """One text with every licence of every dependency of others, equal ones once."""
    packages = [package for package, _ in dependencies if package["source"]]
    own = {package["id"]: _own_texts(package) for package in packages}
    by_text = defaultdict(list)
    for package in packages:
        found = own[package["id"]] or _texts_of_siblings(package, packages, own)
        if not found and "Apache-2.0" in package["license"]:
            found = [apache]
        if not found:
            raise SystemExit(f"error: no text for the licence of {_name(package)} ({package['license']})")
        for text in found:
            by_text[text].append(package)
    parts = [f"What is inside rerank-proxy and was written by others: {len(packages)} packages of crates.io.\n"]
    for text, users in sorted(by_text.items(), key=lambda each: _name(each[1][0])):
        names = "\n".join(f"{_name(user)} ({user['license']})" for user in users)
        parts.append(f"{'=' * 80}\n{names}\n{'-' * 80}\n\n{text}\n")
    return "\n".join(parts).encode()


def _own_texts(package):
    folder = Path(package["manifest_path"]).parent
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and LICENCE_FILES.match(file.name) and file.suffix != ".rs"]
    return list(dict.fromkeys(file.read_text(errors="replace").strip() for file in files))


def _texts_of_siblings(package, packages, own):
    """Of a workspace the text is often in one of its packages only."""
    repository = (package["repository"] or "").removesuffix(".git")
    siblings = (other for other in packages if repository and (other["repository"] or "").startswith(repository))
    return next((own[other["id"]] for other in siblings if own[other["id"]] and other["license"] == package["license"]), [])


def sbom(dependencies, version, onnxruntime, when, models, root):
    """A CycloneDX bill of materials (https://cyclonedx.org/docs/1.5/json/)."""
    checksums = _checksums((root / "Cargo.lock").read_text())
    (program,) = [_component(package, checksums) for package, _ in dependencies if package["name"] == "rerank-proxy"]
    components = [_component(package, checksums) for package, _ in dependencies if package["name"] != "rerank-proxy"]
    runtime = {
        "type": "library", "bom-ref": "onnxruntime", "name": "onnxruntime", "version": onnxruntime,
        "purl": f"pkg:pypi/onnxruntime@{onnxruntime}", "licenses": [{"license": {"id": "MIT"}}],
    }
    components += [runtime, *(_model(root, name) for name in models)]
    needs = [{"ref": _name(package), "dependsOn": [_name(each) for each in others]} for package, others in dependencies]
    next(each for each in needs if each["ref"] == program["bom-ref"])["dependsOn"] += ["onnxruntime", *models]
    timestamp = datetime.datetime.fromtimestamp(when, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    bill = {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"timestamp": timestamp, "component": program | {"type": "application"}},
        "components": components, "dependencies": needs,
    }
    return (json.dumps(bill, indent=1) + "\n").encode()


def _component(package, checksums):
    name, version = package["name"], package["version"]
    component = {"type": "library", "bom-ref": _name(package), "name": name, "version": version}
    # Some write "MIT/Apache-2.0", as Cargo once wanted it.
    component["licenses"] = [{"expression": re.sub(r" ?/ ?", " OR ", package["license"])}]
    if package["source"]:
        component |= {"purl": f"pkg:cargo/{name}@{version}", "hashes": [{"alg": "SHA-256", "content": checksums[name, version]}]}
    return component


def _model(root, name):
    files = sorted((root / "fixtures/models" / name / "compiled").glob("*.onnx"))
    hashes = [{"alg": "SHA-256", "content": hashlib.sha256(file.read_bytes()).hexdigest()} for file in files]
    return {
        "type": "machine-learning-model", "bom-ref": name, "name": name, "hashes": hashes, "licenses": [{"license": {"id": "Apache-2.0"}}],
    }


def _checksums(lock):
    found = re.findall(r'name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"', lock)
    return {(name, version): checksum for name, version, checksum in found}


def _name(package):
    return f"{package['name']} {package['version']}"
