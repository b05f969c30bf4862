#!/usr/bin/env python3
"""The structure of the workspace: which file imports from which, which crate depends on which.

    structure.py [ROOT]            prints every finding and the length of files; exits 1 where there is a finding
    structure.py --arrows [ROOT]   prints every import: FILE -> FILE: names
    structure.py --self-test       holds the guard against trees made up for it

Findings:
  circle      files of one crate that import from each other, directly or by a chain
  orphan      a file under src/ that no `mod` names
  drawing     an arrow between crates that ARCHITECTURE.md draws and Cargo.toml lacks, or the other way round; a file that
              ARCHITECTURE.md names and that is not there
  dependency  one that no source file names, or that only tests name, or that [package.metadata.structure] forbids

An import is a path to an item of another file: in a `use`, or anywhere in the code. It counts for the file that defines the
item, however many `pub use` lie between. No import: `mod`, the name of a module alone, a `pub use` of what lies below the
module that has it, and whatever is under #[cfg(test)]. Calls of methods are not seen: a text does not show their type.

A crate says in its Cargo.toml, under [package.metadata.structure]:
  unnamed = { NAME = "why it is a dependency though no source file names it" }
  never = ["NAME", …]   what may not become a dependency
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from rust_imports import Crate, arrows_of, circles_in, tokens_of, without_tests
from structure_trees import BROKEN, SOUND

def packages_of(root):
    """The packages of the workspace as Cargo reads them, and those of the fuzz targets, which are a workspace of their own."""
    packages = []
    for manifest in [root / "Cargo.toml", root / "fuzz" / "Cargo.toml"]:
        if manifest.exists():
            command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path", manifest]
            metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            packages += [dict(package, fuzz=manifest.parent != root) for package in metadata["packages"]]
    for package in packages:
        package["folder"] = pathlib.Path(package["manifest_path"]).parent
    return packages


def crate_of(package):
    crate = Crate(package["name"], package["folder"])
    for target in package["targets"]:
        if {"lib", "bin", "rlib"} & set(target["kind"]):
            file = pathlib.Path(target["src_path"])
            crate.read(file, None, "crate", file.parent)
    return crate


def drawn_arrows(root, names):
    """The lines `crate → crate, (optional crate)` of ARCHITECTURE.md."""
    drawn = {}
    page = root / "ARCHITECTURE.md"
    for line in page.read_text().splitlines() if page.exists() else []:
        match = re.match(r"\s*([\w-]+)\s+→\s+(.+?)\s*$", line)
        if match and match[1] in names:
            drawn[match[1]] = {name.strip() for name in match[2].split(",")} - {"nothing"}
    return drawn


def check_drawing(root, packages):
    members = [package for package in packages if not package["fuzz"]]
    names = {package["name"] for package in members}
    drawn = drawn_arrows(root, names)
    for package in members:
        there = {
            f"({dependency['name']})" if dependency["optional"] else dependency["name"]
            for dependency in package["dependencies"]
            if dependency["name"] in names and dependency["kind"] is None
        }
        if package["name"] not in drawn:
            yield f"drawing: ARCHITECTURE.md has no line `{package['name']} → …`"
            continue
        for name in sorted(there - drawn[package["name"]]):
            yield f"drawing: {package['name']} depends on {name}; ARCHITECTURE.md does not draw it"
        for name in sorted(drawn[package["name"]] - there):
            yield f"drawing: ARCHITECTURE.md draws {package['name']} → {name}; Cargo.toml has no such dependency"


def check_named_files(root):
    """The files and folders that ARCHITECTURE.md names, from the root of the repository or from some folder of its sources."""
    page, sources = root / "ARCHITECTURE.md", [root / "src", root / "crates"]
    there = {f"/{path.relative_to(root)}" for source in sources for path in source.rglob("*") if "target" not in path.parts}
    for name in sorted(set(re.findall(r"`([\w./-]+(?:\.(?:rs|toml|md|json|py|yaml)|/))`", page.read_text() if page.exists() else ""))):
        if not (root / name).exists() and not any(path.endswith(f"/{name.rstrip('/')}") for path in there):
            yield f"drawing: ARCHITECTURE.md names {name}, which is not there"


def names_in(files, tests):
    """Every word of these files, of tests too or not."""
    words = set()
    for file in files:
        tokens = tokens_of(file)
        words.update(token.text for token in (tokens if tests else without_tests(tokens)[0]) if not token.string)
    return words


def check_dependencies(root, packages):
    for package in packages:
        folder, name = package["folder"], package["name"]
        own = (package["metadata"] or {}).get("structure", {})
        places = [pathlib.Path(target["src_path"]).parent for target in package["targets"]]
        files = {file for place in places for file in place.rglob("*.rs")} | set((folder / "src").rglob("*.rs"))
        source = {file for file in files if folder / "src" in file.parents or package["fuzz"]}
        in_code, anywhere = names_in(source, tests=False), names_in(files, tests=True)
        for dependency in package["dependencies"]:
            depended, word = dependency["name"], (dependency["rename"] or dependency["name"]).replace("-", "_")
            if dependency["kind"] is None and depended in own.get("never", []):
                yield f"dependency: {name} may not depend on {depended}"
            if depended in own.get("unnamed", {}):
                continue
            if word not in anywhere:
                yield f"dependency: {name} depends on {depended}, which none of its files names"
            elif dependency["kind"] is None and word not in in_code:
                yield f"dependency: only tests of {name} name {depended}: it belongs under [dev-dependencies]"
        unknown = set(own.get("unnamed", {})) - {dependency["name"] for dependency in package["dependencies"]}
        yield from (f"dependency: {name} explains {other}, on which it does not depend" for other in sorted(unknown))
    section = re.search(r"^\[workspace\.dependencies\]\n(.*?)(?=^\[|\Z)", (root / "Cargo.toml").read_text(), re.M | re.S)
    listed = set(re.findall(r"^([\w-]+)\s*[=.]", section[1], re.M)) if section else set()
    used = {dependency["name"] for package in packages for dependency in package["dependencies"]}
    yield from (f"dependency: no crate uses {name} of [workspace.dependencies]" for name in sorted(listed - used))


def check_files(crate, root):
    arrows = arrows_of(crate)
    for circle in circles_in(arrows):
        lines = [f"circle: {len(circle)} files of {crate.name} import from each other"]
        for (begin, end), names in sorted(arrows.items()):
            if begin in circle and end in circle:
                lines.append(f"  {begin} -> {end}: {', '.join(sorted(names))}")
        yield "\n".join(lines)
    for file in sorted(set((crate.folder / "src").rglob("*.rs")) - crate.reached):
        yield f"orphan: no `mod` names {file.relative_to(root)}"


def lengths_line(crates):
    lengths = sorted((length, f"{crate.name}: {file}") for crate in crates for file, length in crate.lengths.items())
    at = lambda share: lengths[min(len(lengths) - 1, int(len(lengths) * share))]  # noqa: E731
    longest = ", ".join(f"{length} {file}" for length, file in reversed(lengths[-3:]))
    return f"{len(lengths)} files; lines without tests: median {at(0.5)[0]}, 90 % {at(0.9)[0]}, longest {longest}"


def findings_of(root):
    packages = packages_of(root)
    crates = [crate_of(package) for package in packages if not package["fuzz"]]
    found = [finding for crate in crates for finding in check_files(crate, root)]
    return crates, found + [*check_drawing(root, packages), *check_named_files(root), *check_dependencies(root, packages)]


def self_test():
    for name, changed, expected in BROKEN:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder).resolve()
            for file, text in (SOUND | changed).items():
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_text(text)
            found = findings_of(root)[1]
        if not (any(expected in finding for finding in found) if expected else not found):
            sys.exit(f"self-test: {name}: expected {expected}, found {found}")
    print(f"self-test: {len(BROKEN)} trees as expected")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", default=pathlib.Path(), type=pathlib.Path, help="of the workspace; the current folder by default")
    parser.add_argument("--check", action="store_true", help="as without it: every finding, and the length of files")
    parser.add_argument("--arrows", action="store_true", help="every import between files")
    parser.add_argument("--self-test", action="store_true", help="the guard against made-up trees")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    crates, found = findings_of(options.root.resolve())
    if options.arrows:
        for crate in crates:
            for (begin, end), names in sorted(arrows_of(crate).items()):
                print(f"{crate.name}: {begin} -> {end}: {', '.join(sorted(names))}")
        return None
    for finding in found:
        print(finding)
    print(lengths_line(crates))
    return sys.exit(f"{len(found)} findings") if found else None


if __name__ == "__main__":
    main()
