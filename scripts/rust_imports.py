"""The imports between the files of a crate, read from the text of its sources: `Crate.read` reads a module and all below it,
`arrows_of` says which file imports which names from which, `circles_in` which files do so in a circle. Owns what counts as an
import, which structure.py describes."""

import dataclasses
import functools
import pathlib
import re
import sys

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
