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
import dataclasses
import functools
import json
import pathlib
import re
import subprocess
import sys
import tempfile

TOKEN = re.compile(
    r"""
      (?P<comment>//[^\n]*|/\*)
    | (?P<raw>(?:b|c)?r(?P<hashes>\#*)"(?:.*?)"(?P=hashes))
    | (?P<string>(?:b|c)?"(?:[^"\\]|\\.)*")
    | (?P<char>b?'(?:[^'\\\n]|\\[^\n]{1,10}?)')
    | (?P<lifetime>'[A-Za-z_]\w*)
    | (?P<word>(?:r\#)?[^\W\d]\w*)
    | (?P<number>\d\w*)
    | (?P<sign>::|=>|->|\S)
    """,
    re.VERBOSE | re.DOTALL,
)
DEFINING = {"struct", "enum", "trait", "fn", "const", "static", "type", "union", "macro_rules"}
CLOSES = {"(": ")", "[": "]", "{": "}"}


@dataclasses.dataclass
class Token:
    text: str
    line: int
    string: bool = False


@functools.cache
def tokens_of(file):
    """The tokens of a Rust file, without comments. A string is one token that holds what is between its quotes."""
    source, tokens, at, line = file.read_text(), [], 0, 1
    while match := TOKEN.search(source, at):
        line += source.count("\n", at, match.start())
        text, at = match.group(), match.end()
        if text == "/*":
            depth = 1
            while depth and (inner := re.compile(r"/\*|\*/").search(source, at)):
                depth += 1 if inner.group() == "/*" else -1
                at = inner.end()
            line += source.count("\n", match.end(), at)
            continue
        if match.group("word") or match.group("sign"):
            tokens.append(Token(text.removeprefix("r#"), line))
        elif match.group("string") or match.group("raw"):
            tokens.append(Token(text[text.index('"') + 1 : text.rindex('"')], line, string=True))
        line += text.count("\n")
    return tokens


def end_of_group(tokens, at):
    """Where the group that opens at `at` is over."""
    depth = 0
    for place in range(at, len(tokens)):
        if not tokens[place].string:
            depth += (tokens[place].text in CLOSES) - (tokens[place].text in CLOSES.values())
        if depth == 0:
            return place + 1
    return len(tokens)


def end_of_item(tokens, at):
    """Where the item, field or statement that begins at `at` is over."""
    while at < len(tokens):
        text = "" if tokens[at].string else tokens[at].text
        if text in (";", ","):
            return at + 1
        if text in CLOSES.values():
            return at
        if text in CLOSES:
            at = end_of_group(tokens, at)
            if text == "{":
                return at
        else:
            at += 1
    return at


def without_tests(tokens):
    """The tokens less what is under `#[cfg(test)]`, the lines that are left out, and the modules that are only for tests."""
    kept, left_out, test_modules, at = [], set(), [], 0
    while at < len(tokens):
        here = [token.text for token in tokens[at : at + 6]]
        if here == ["#", "[", "cfg", "(", "test", ")"] or here[:5] == ["#", "[", "cfg", "(", "all"] and tokens[at + 6].text == "test":
            over = end_of_group(tokens, at + 1)
            attributes = [tokens[at:over]]
            while over < len(tokens) and tokens[over].text == "#":
                end = end_of_group(tokens, over + 1)
                attributes.append(tokens[over:end])
                over = end
            begin, over = over, end_of_item(tokens, over)
            words = [token.text for token in tokens[begin:over]]
            if "mod" in words[:5] and words[-1] == ";":
                test_modules.append((words[words.index("mod") + 1], path_attribute(attributes)))
            left_out.update(range(tokens[at].line, tokens[over - 1].line + 1))
            at = over
        else:
            kept.append(tokens[at])
            at += 1
    return kept, left_out, test_modules


def path_attribute(attributes):
    for attribute in attributes:
        if [token.text for token in attribute[2:4]] == ["path", "="]:
            return attribute[4].text
    return None


@dataclasses.dataclass
class Item:
    """What a path leads to, but for modules."""

    file: str
    name: str


class Module:
    def __init__(self, crate, file, parent, name):
        self.crate, self.file, self.parent, self.name = crate, file, parent, name
        self.children, self.items, self.bound, self.globs = {}, set(), {}, []
        self.uses, self.paths, self.words = [], [], set()

    @property
    def root(self):
        return self.parent.root if self.parent else self

    def below(self, other):
        return self is other or bool(self.parent and self.parent.below(other))

    def find(self, name, last, seen=()):
        """The item or module that `name` is in this module. At a path's end an item goes before a module."""
        if (self, name) in seen:
            return None
        seen = (*seen, (self, name))
        if name in self.items and (last or name not in self.children):
            return Item(self.file, name)
        if name in self.children:
            return self.children[name]
        if name in self.bound and (found := self.resolve(self.bound[name], seen)):
            return found
        for path in self.globs:
            found = self.resolve(path, seen)
            if isinstance(found, Module) and (item := found.find(name, last, seen)):
                return item
        return None

    def resolve(self, path, seen=()):
        at, rest = self, list(path)
        if rest[0] in ("crate", "$crate"):
            at, rest = self.root, rest[1:]
        while rest and rest[0] in ("self", "super"):
            at = at.parent if rest[0] == "super" else at
            rest = rest[1:]
            if at is None:
                return None
        while rest and isinstance(at, Module):
            at, rest = at.find(rest[0], len(rest) == 1, seen), rest[1:]
        return at


@dataclasses.dataclass
class Crate:
    name: str
    folder: pathlib.Path
    modules: list = dataclasses.field(default_factory=list)
    lengths: dict = dataclasses.field(default_factory=dict)
    reached: set = dataclasses.field(default_factory=set)

    def read(self, file, parent, name, folder):
        """Reads a module's file, and those below it."""
        if file in self.reached:
            return None
        self.reached.add(file)
        tokens, left_out, tests = without_tests(tokens_of(file))
        for test, path in tests:
            self.reach_tests(file, folder, test, path)
        label = str(file.relative_to(self.folder))
        self.lengths[label] = file.read_text().count("\n") - len(left_out)
        module = Module(self, label, parent, name)
        self.modules.append(module)
        self.parse(module, tokens, file, folder)
        return module

    def reach_tests(self, file, folder, name, path):
        """A module that is only there for tests, and the files below it: known, and not read."""
        places = [file.parent / path] if path else [folder / f"{name}.rs", folder / name / "mod.rs"]
        self.reached.update(places)
        self.reached.update((folder / name).rglob("*.rs"))

    def parse(self, module, tokens, file, folder):
        at, attributes, depth = 0, [], 0
        while at < len(tokens):
            text = "" if tokens[at].string else tokens[at].text
            after = tokens[at + 1].text if at + 1 < len(tokens) else ""
            if text == "#" and after in ("[", "!"):
                over = end_of_group(tokens, at + 1 if after == "[" else at + 2)
                attributes.append(tokens[at:over])
                self.parse_code(module, tokens[at:over])
                at = over
                continue
            if text == "use":
                over = next((i for i in range(at, len(tokens)) if tokens[i].text == ";"), len(tokens))
                before = {token.text for token in tokens[max(0, at - 5) : at]}
                public = tokens[at - 1].text == "pub" or (tokens[at - 1].text == ")" and "pub" in before) if at else False
                for path, name in use_tree(tokens[at + 1 : over]):
                    self.bind(module, path, name, public)
                at, attributes = over + 1, []
                continue
            if text == "mod" and depth == 0 and tokens[at + 2].text in (";", "{"):
                over = end_of_item(tokens, at + 2)
                if tokens[at + 2].text == "{":
                    child = Module(self, module.file, module, after)
                    self.modules.append(child)
                    self.parse(child, tokens[at + 3 : over - 1], file, folder / after)
                else:
                    child = self.read(*self.place_of(file, folder, after, path_attribute(attributes), module))
                if child:
                    module.children[after] = child
                at, attributes = over, []
                continue
            if depth == 0 and text in DEFINING and not (text == "fn" and after == "("):
                name = tokens[at + 2].text if after in ("!", "mut", "fn") and text != "fn" else after
                if not (text == "const" and after in ("fn", "unsafe", "async", "extern")):
                    module.items.add(name)
            depth += (text in CLOSES) - (text in CLOSES.values())
            if text in (";", "}"):
                attributes = []
            at = self.parse_path(module, tokens, at)

    def place_of(self, file, folder, name, path, module):
        if path:
            place = file.parent / path
            return place, module, name, place.parent
        place = folder / f"{name}.rs"
        return place if place.exists() else folder / name / "mod.rs", module, name, folder / name

    def bind(self, module, path, name, public):
        module.uses.append((path, name, public))
        if name == "*":
            module.globs.append(path)
        elif name not in ("_", "self"):
            module.bound.setdefault(name, path)

    def parse_code(self, module, tokens):
        """Paths in an attribute, those in its strings too: `#[serde(default = "own::path")]`."""
        at = 0
        while at < len(tokens):
            if tokens[at].string and re.fullmatch(r"\w+(::\w+)+", tokens[at].text):
                module.paths.append(tokens[at].text.split("::"))
                at += 1
            else:
                at = self.parse_path(module, tokens, at)

    def parse_path(self, module, tokens, at):
        """Notes the path that begins at `at`, if one does; says where to go on."""
        token = tokens[at]
        if token.string or not re.match(r"[^\W\d]", token.text):
            return at + 1
        before = tokens[at - 1].text if at else ""
        path, at = [token.text], at + 1
        while at + 1 < len(tokens) and tokens[at].text == "::" and re.match(r"[^\W\d]", tokens[at + 1].text):
            path.append(tokens[at + 1].text)
            at += 2
        if before not in (".", "::", "'"):
            if len(path) > 1:
                module.paths.append(path)
            else:
                module.words.add(path[0])
        return at


def use_tree(tokens):
    """The paths of a `use`, each with the name that it is bound to."""
    # `::name` is a crate, whatever the module itself calls so.
    prefix, at = ([""] if tokens and tokens[0].text == "::" else []), 0
    while at < len(tokens):
        text = tokens[at].text
        if text == "{":
            inner, begin, depth = tokens[at + 1 : end_of_group(tokens, at) - 1], 0, 0
            for place in range(len(inner) + 1):
                if place == len(inner) or (inner[place].text == "," and depth == 0):
                    for path, name in use_tree(inner[begin:place]) if place > begin else []:
                        path = prefix + path
                        if path[-1] == "self" and len(path) > 1:
                            path, name = path[:-1], path[-2] if name == "self" else name
                        yield path, name
                    begin = place + 1
                else:
                    depth += (inner[place].text in CLOSES) - (inner[place].text in CLOSES.values())
            return
        if text == "*":
            yield prefix, "*"
            return
        if text == "as":
            yield prefix, tokens[at + 1].text
            return
        if text != "::":
            prefix = [*prefix, text]
        at += 1
    if prefix:
        yield prefix, prefix[-1]


def arrows_of(crate):
    """The imports between the files of a crate: (from, to) → names."""
    arrows = {}

    def add(module, path, found=None):
        found = found or module.resolve(path)
        if isinstance(found, Item) and found.file != module.file:
            arrows.setdefault((module.file, found.file), set()).add(found.name)

    for module in crate.modules:
        for path, name, public in module.uses:
            if name == "*":
                continue
            found = module.resolve(path)
            target = next((m for m in crate.modules if isinstance(found, Item) and m.file == found.file), None)
            if not public or (target and not target.below(module)) or (name in module.words):
                add(module, path, found)
        for path in module.paths:
            add(module, path)
        if module.globs:
            own = module.items | set(module.bound) | set(module.children)
            for word in module.words - own:
                add(module, [word])
    return arrows


def circles_in(arrows):
    """The strongly connected sets of files (Tarjan's algorithm), each sorted."""
    after = {}
    for begin, end in arrows:
        after.setdefault(begin, []).append(end)
    index, low, stack, found = {}, {}, [], []

    def visit(file):
        index[file] = low[file] = len(index)
        stack.append(file)
        for other in after.get(file, []):
            if other not in index:
                visit(other)
                low[file] = min(low[file], low[other])
            elif other in stack:
                low[file] = min(low[file], index[other])
        if low[file] == index[file]:
            circle = []
            while not circle or circle[-1] != file:
                circle.append(stack.pop())
            if len(circle) > 1:
                found.append(sorted(circle))

    sys.setrecursionlimit(10_000)
    for file in sorted(after):
        if file not in index:
            visit(file)
    return found


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


SOUND = {
    "Cargo.toml": '[workspace]\nmembers = ["crates/*"]\n[workspace.dependencies]\npure = { path = "crates/pure" }\n'
    '[package]\nname = "top"\nversion = "0.1.0"\nedition = "2024"\n[dependencies]\npure.workspace = true\n',
    "crates/pure/Cargo.toml": '[package]\nname = "pure"\nversion = "0.1.0"\nedition = "2024"\n'
    '[package.metadata.structure]\nnever = ["top"]\n',
    "crates/pure/src/lib.rs": "pub fn one() {}\n",
    "ARCHITECTURE.md": "```text\ntop → pure\npure → nothing\n```\n",
    "src/lib.rs": "pub mod a; mod b; mod deep; pub use a::One; #[cfg(test)] mod tests;\n",
    "src/a.rs": "//! crate::b::two\n/* crate::b::two /* nested */ */\npub struct One; fn f<'a>(_: &'a str) { pure::one(); }\n"
    "const TEXT: &str = r#\"crate::b::two \" \"#; const C: char = '\"'; #[cfg(test)] mod tests { use crate::b::two; }\n",
    "src/b.rs": "use crate::One; pub fn two(_: One) {}\n",
    "src/deep.rs": "mod inner; pub(crate) use inner::{Inside, Other as Another};\npub struct Outer;\n",
    "src/deep/inner.rs": "use super::Outer; pub struct Inside(Outer); pub struct Other;\n",
    "src/tests.rs": "use super::*;\n",
}

BROKEN = [
    ("none", {}, None),
    ("by use", {"src/a.rs": "use crate::b::two; pub struct One; fn f() { pure::one(); two(One) }\n"}, "circle: 2 files of top"),
    ("by a path", {"src/a.rs": "pub struct One; fn f() { pure::one(); super::b::two(One) }\n"}, "src/a.rs -> src/b.rs: two"),
    ("by a renamed module", {"src/a.rs": "use crate::{b as other}; pub struct One; fn f() { pure::one(); other::two(One) }\n"}, "circle"),
    ("by a glob", {"src/a.rs": "use crate::b::*; pub struct One; fn f() { pure::one(); two(One) }\n"}, "circle"),
    ("by an attribute", {"src/a.rs": 'pub struct One; #[serde(with = "crate::b::two")] struct X; fn f() { pure::one(); }\n'}, "circle"),
    ("by nested braces", {"src/a.rs": "use {std::fmt, crate::{b::{self, two}}}; pub struct One; fn f() { pure::one(); }\n"}, "circle"),
    ("a parent that uses what it re-exports", {"src/deep.rs": SOUND["src/deep.rs"] + "fn f(_: Inside) {}\n"}, "src/deep.rs -> src/deep/inner.rs: Inside"),
    ("a parent that uses its child by path", {"src/deep.rs": SOUND["src/deep.rs"] + "fn f(_: inner::Other) {}\n"}, "circle"),
    ("none, by the name of a crate", {"src/lib.rs": SOUND["src/lib.rs"] + "mod pure; use ::pure::one; pub struct Root;", "src/pure.rs": "use crate::Root; pub fn one() {}"}, None),
    ("by a chain", {"src/a.rs": "pub struct One; fn f(_: crate::deep::Outer) { pure::one(); }\n", "src/deep.rs": SOUND["src/deep.rs"] + "use crate::b::two;\n"}, "circle: 3 files of top"),
    ("a file that no mod names", {"src/c.rs": ""}, "orphan: no `mod` names src/c.rs"),
    ("an arrow that is not drawn", {"ARCHITECTURE.md": "top → nothing\npure → nothing\n"}, "drawing: top depends on pure"),
    ("an arrow that is not there", {"ARCHITECTURE.md": "top → pure\npure → top\n"}, "drawing: ARCHITECTURE.md draws pure → top"),
    ("a file that is named and not there", {"ARCHITECTURE.md": SOUND["ARCHITECTURE.md"] + "`deep.rs`, `deep/inner.rs`, `deep/other.rs`\n"}, "drawing: ARCHITECTURE.md names deep/other.rs"),
    ("a dependency that nothing names", {"src/a.rs": "pub struct One;\n"}, "dependency: top depends on pure"),
    ("a dependency of tests", {"src/a.rs": "pub struct One; #[cfg(test)] mod tests { fn f() { pure::one() } }\n"}, "dependency: only tests of top name pure"),
    ("a forbidden dependency", {"Cargo.toml": SOUND["Cargo.toml"] + '[package.metadata.structure]\nnever = ["pure"]\n'}, "dependency: top may not depend on pure"),
    ("an unused entry of the workspace", {"Cargo.toml": SOUND["Cargo.toml"].replace("[package]", 'other = "1"\n[package]')}, "no crate uses other"),
]  # fmt: skip


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
