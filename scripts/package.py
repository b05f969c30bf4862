#!/usr/bin/env python3
"""Makes packages out of a program that is built: what `make wheel`, `make deb` and `make dist` run.

    package.py --program target/release/rerank-proxy --library target/onnxruntime --out target/dist wheel deb archive sbom

All have the same tree, below a folder that is the environment's (wheel), /usr (deb) or wherever one unpacks it (archive):

    bin/rerank-proxy
    lib/rerank-proxy/libonnxruntime.so.N        not in the wheel, which depends on PyPI's `onnxruntime`
    share/rerank-proxy/models/…                 the bundled pair
    share/man/man1/…  share/bash-completion/…   and so on
    share/doc/rerank-proxy/…                    licences of all that is inside, every key of the configuration

The program finds library and models there by itself. What is packed depends on the commit alone, not on when or where: times
are that of the commit (or SOURCE_DATE_EPOCH), entries are sorted, and owners are nobody's."""

import argparse
import functools
import gzip
import os
import re
import subprocess
import tempfile
from pathlib import Path

import package_formats as formats
import package_licences as licences
from package_formats import File

ROOT = Path(__file__).resolve().parent.parent
BUNDLED = ("all-MiniLM-L6-v2", "ms-marco-MiniLM-L12-v2")
DOC = "share/doc/rerank-proxy"
# Where each shell looks for completions below a prefix.
COMPLETIONS = {
    "bash": "share/bash-completion/completions/rerank-proxy",
    "zsh": "share/zsh/vendor-completions/_rerank-proxy",
    "fish": "share/fish/vendor_completions.d/rerank-proxy.fish",
}
DEBIAN_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def main():
    options = arguments()
    metadata = licences.cargo_metadata(ROOT, options.target)
    version = next(package["version"] for package in metadata["packages"] if package["name"] == "rerank-proxy")
    dependencies = licences.dependencies(metadata)
    library = next(options.library.glob("libonnxruntime.so.*"))
    if set(options.formats) & {"deb", "archive"}:
        licences.check_machine(library, options.target)
    program = stripped(options.program, options.strip)
    tree = [File("bin/rerank-proxy", program, executable=True)]
    tree += models() + generated(options.runs) + documents(dependencies, options.library)
    sbom = licences.sbom(dependencies, version, library.name.removeprefix("libonnxruntime.so."), commit_time(), BUNDLED, ROOT)
    tree += [File(f"{DOC}/sbom.cdx.json", sbom)]
    with_library = [*tree, File(f"lib/rerank-proxy/{library.name}", library.read_bytes())]

    options.out.mkdir(parents=True, exist_ok=True)
    machine = options.target.split("-")[0]
    writers = {
        "wheel": lambda: wheel(options, tree, version, machine),
        "deb": lambda: deb(options, with_library, version, machine),
        "archive": lambda: archive(options, with_library, version),
        "sbom": lambda: write(options.out / f"rerank-proxy-{version}-{options.target}.cdx.json", sbom),
    }
    for name in options.formats:
        print(writers[name]())


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("formats", nargs="+", choices=("wheel", "deb", "archive", "sbom"), metavar="FORMAT")
    parser.add_argument("--program", type=Path, required=True, help="the program, built for TARGET")
    parser.add_argument("--library", type=Path, required=True, help="the folder with ONNX Runtime's library and licences, for TARGET")
    parser.add_argument("--out", type=Path, required=True, help="where the packages go")
    parser.add_argument("--target", default=None, help="the triple that PROGRAM is built for (default: this machine's)")
    parser.add_argument("--runs", type=Path, help="the same program for this machine, where PROGRAM is for another")
    parser.add_argument("--strip", default="strip", help="the tool that takes the symbols off; empty: none")
    parser.add_argument("--quick", action="store_true", help="compress little, for tests")
    options = parser.parse_args()
    options.target = options.target or licences.host()
    options.runs = (options.runs or options.program).resolve()
    return options


def stripped(program, tool):
    """The program's bytes without symbols, which are half of it."""
    if not tool:
        return program.read_bytes()
    with tempfile.NamedTemporaryFile() as small:
        subprocess.run([tool, "-o", small.name, program], check=True)
        return Path(small.name).read_bytes()


def models():
    """The bundled models as they are run: without the stock graphs that they were compiled from."""
    files = []
    for name in BUNDLED:
        folder = ROOT / "fixtures/models" / name
        inside = (file for file in folder.rglob("*") if file.is_file() and "onnx" not in file.relative_to(folder).parts[:-1])
        files += [File(f"share/rerank-proxy/models/{name}/{file.relative_to(folder)}", file.read_bytes()) for file in inside]
    return files


def generated(program):
    """Manual pages and completions, which the program itself writes."""
    with tempfile.TemporaryDirectory() as pages:
        subprocess.run([program, "man", "--into", pages], check=True)
        files = [File(f"share/man/man1/{page.name}", page.read_bytes()) for page in Path(pages).iterdir()]
    for shell, path in COMPLETIONS.items():
        files.append(File(path, subprocess.run([program, "completions", shell], check=True, capture_output=True).stdout))
    return files


def documents(dependencies, library):
    """What a person reads, licences first."""
    runtime = {"LICENSE": "ONNXRUNTIME-LICENSE", "ThirdPartyNotices.txt": "ONNXRUNTIME-ThirdPartyNotices.txt"}
    files = [File(f"{DOC}/{new}", (library / name).read_bytes()) for name, new in runtime.items()]
    files += [File(f"{DOC}/{name}", (ROOT / name).read_bytes()) for name in ("LICENSE", "config.example.toml")]
    return [*files, File(f"{DOC}/THIRD-PARTY-LICENSES.txt", licences.texts(dependencies, (ROOT / "LICENSE").read_text()))]


def units(program):
    """systemd's units, which name the program by its path."""
    for unit in sorted((ROOT / "deploy/systemd").iterdir()):
        yield unit.name, unit.read_text().replace("/usr/local/bin/rerank-proxy", program).encode()


def wheel(options, tree, version, machine):
    # A wheel has a place of its own for licences and bills of materials. ONNX Runtime's come with ONNX Runtime.
    documents = {Path(file.path).name: file.content for file in tree if file.path.startswith(f"{DOC}/")}
    info = {"METADATA": wheel_metadata(version), "sboms/rerank-proxy.cdx.json": documents["sbom.cdx.json"]}
    info |= {f"licenses/{name}": documents[name] for name in ("LICENSE", "THIRD-PARTY-LICENSES.txt")}
    tag = f"py3-none-manylinux_{'_'.join(map(str, formats.glibc(tree[0].content)))}_{machine}"
    installed = [file for file in tree if not file.path.startswith(f"{DOC}/") or file.path.endswith(".toml")]
    return formats.wheel(options.out, "rerank_proxy", version, tag, installed, commit_time(), options.quick, info)


def wheel_metadata(version):
    readme = (ROOT / "deploy/python/README.md").read_text()
    head = (ROOT / "deploy/python/METADATA").read_text().strip()
    return f"{head}\nVersion: {version}\n\n{readme}".encode()


def archive(options, tree, version):
    name = f"rerank-proxy-{version}-{options.target}"
    extra = [File(f"{DOC}/systemd/{unit}", text) for unit, text in units("/usr/local/bin/rerank-proxy")]
    # Of its own: the repository's README links to pages that are not inside.
    told = {"README.md": ROOT / "deploy/archive/README.md", "CHANGELOG.md": ROOT / "CHANGELOG.md"}
    extra += [File(f"{DOC}/{name}", file.read_bytes()) for name, file in told.items()]
    return formats.archive(options.out, name, [*tree, *extra], commit_time(), options.quick)


def deb(options, tree, version, machine):
    debian = ROOT / "deploy/debian"
    # Debian has the licence of the program in `copyright`.
    inside = [for_debian(file) for file in tree if file.path != f"{DOC}/LICENSE"]
    inside += [File(f"usr/lib/systemd/system/{unit}", text) for unit, text in units("/usr/bin/rerank-proxy")]
    inside += [
        File("etc/rerank-proxy/rerank.toml", (debian / "rerank.toml").read_bytes()),
        File(f"usr/{DOC}/copyright", (debian / "copyright").read_bytes()),
        File(f"usr/{DOC}/changelog.gz", zipped(changelog(version))),
        File("usr/share/lintian/overrides/rerank-proxy", (debian / "lintian-overrides").read_bytes()),
    ]
    size = sum(len(file.content) for file in inside) // 1024
    glibc = max(formats.glibc(file.content) for file in inside if file.content[:4] == b"\x7fELF")
    values = {"VERSION": version, "ARCHITECTURE": DEBIAN_ARCHITECTURES[machine], "SIZE": size, "GLIBC": "%d.%d" % glibc}
    control = re.sub(r"@([A-Z]+)@", lambda name: str(values[name[1]]), (debian / "control").read_text())
    scripts = {name: (debian / name).read_text() for name in ("postinst", "prerm", "postrm")}
    conffiles = "".join(f"/{file.path}\n" for file in inside if file.path.startswith("etc/"))
    return formats.deb(
        options.out / f"rerank-proxy_{version}_{values['ARCHITECTURE']}.deb", inside,
        {"control": control, "conffiles": conffiles, **scripts}, commit_time(), options.quick,
    )


def for_debian(file):
    """The file below /usr; Debian wants manual pages and long texts compressed."""
    is_long_text = file.path.startswith(DOC) and file.path.endswith((".txt", ".json"))
    placed = file._replace(path=f"usr/{file.path}")
    if not (file.path.startswith("share/man/") or is_long_text):
        return placed
    return placed._replace(path=f"{placed.path}.gz", content=zipped(file.content))


def zipped(content):
    return gzip.compress(content, 9, mtime=0)


def changelog(version):
    """Debian's own format, with the words where they are."""
    when = subprocess.run(["date", "--utc", "-R", "-d", f"@{commit_time()}"], check=True, capture_output=True, text=True).stdout
    maintainer = re.search(r"^Maintainer: (.*)$", (ROOT / "deploy/debian/control").read_text(), re.M)[1]
    told = f"rerank-proxy ({version}) unstable; urgency=medium\n\n  * What changed is told in CHANGELOG.md of the sources.\n"
    return f"{told}\n -- {maintainer}  {when}".encode()


@functools.cache
def commit_time():
    """Seconds since 1970 that every packed file gets."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if not given:
        git = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True)
        given = git.stdout
    return int(given)


def write(path, content):
    path.write_bytes(content)
    return path


if __name__ == "__main__":
    main()
