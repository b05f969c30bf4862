#!/usr/bin/env python3
"""Writes docs/configuration.md, the page of every key, out of config.example.toml, which the configuration's own tests hold against the
code, and of the list in src/reload/restart.rs. Owns how the page looks; what it says of a key is said there.

`--check` fails where the page is another.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "configuration.md"
EXAMPLE = ROOT / "config.example.toml"
RESTART = ROOT / "src" / "reload" / "restart.rs"

HEAD = """\
<!-- Written by scripts/configuration.py out of config.example.toml and src/reload/restart.rs: change those, then run it. -->
# Every key

One TOML file, `serve --config FILE`; [`config.example.toml`](../config.example.toml) is such a file with every key in it. Each key can
also be set by an environment variable: `RERANK_PROXY_` and its path in capitals, with two underscores for each dot:
`RERANK_PROXY_SERVER__LISTEN`, `RERANK_PROXY_RULES__0__WINDOW`. Flags win over variables, and variables over the file. A list in a
variable is separated by commas. Relative paths count from the working directory.

`rerank-proxy check --config FILE` reports every mistake at once, with its line.

* A **duration** is a text with its unit: `"300ms"`, `"5s"`, `"1m"`, `"7days"`. A **size** is one, too: `"64KiB"`, `"256MiB"`, `"1GiB"`, `"0B"`.
* **Default** is what counts where the key is left out; `–` says that nothing does. An *e.g.* is an example.
* **Changed** says what a [reload](operations.md#reload) does with a new value: it counts at once (from the next request on; some that concern
  connections, from the next connection on), or it needs a restart, and the reload is refused.
"""
# Tables of which every key may be left out, or none.
EXAMPLES = ("server.tls", "upstream.tls")
NO_WORDS = "see the row above"
DURATION = re.compile(r'"\d+(ms|s|m|h|days?)"')
SIZE = re.compile(r'"\d+(B|KiB|MiB|GiB)"')
# A key that is explained a second time at such a length has a second row: `model` of a rule, for one.
EXPLAINED_ANEW = 200


@dataclass
class Key:
    table: str
    name: str
    value: str
    is_example: bool
    about: str
    # Of a key without a comment of its own, what is said of the one before it.
    shared: str = ""

    @property
    def path(self) -> str:
        return f"{self.table}.{self.name}" if self.table else self.name

    @property
    def type(self) -> str:
        if DURATION.fullmatch(self.value):
            return "duration"
        if SIZE.fullmatch(self.value):
            return "size"
        if self.value in ("true", "false"):
            return "true or false"
        if re.fullmatch(r"-?\d+(\.\d+)?", self.value):
            return "number"
        return {'"': "text", "[": "list", "{": "table"}[self.value[0]]

    @property
    def default(self) -> str:
        """What the page says in that column: the default, or an example where there is none."""
        said = re.search(r"(?:Default:|By default) ([^.;]+)", self.about or self.shared)
        if said and said.group(1) == "none" or self.is_example and not said:
            return f"– (*e.g.* `{self.value}`)"
        return said.group(1) if said else f"`{self.value}`"


def read() -> "tuple[list[Key], dict[str, str]]":
    """The keys, and what is said of each table."""
    found, tables, table, about = [], {}, "", []
    lines = iter(EXAMPLE.read_text().split("# ---- Recipes")[0].splitlines())
    for line in lines:
        if head := re.fullmatch(r"(?:# )?\[\[?([a-z_.]+)\]\]?", line):
            table = re.sub(r"^models\..*", "models.NAME", head.group(1))
            tables.setdefault(table, " ".join(about))
            about, before = [], None
        elif key := re.fullmatch(r"(# {1,3})?([a-z_.]+) = (.*)", line):
            comment, name, value = key.groups()
            while value.count("[") > value.count("]"):
                value += " " + next(lines).strip()
            # What is indented is another way to say what stands before it.
            is_example = comment != "# " or table in EXAMPLES
            shared = before.about or before.shared if before and not about else ""
            found.append(before := Key(table, name, value, is_example, " ".join(about), shared))
            about = []
        elif line.startswith("#"):
            about.append(line.lstrip("# "))
        else:
            about, before = [], None
    return _once(found), tables


def _once(found: "list[Key]") -> "list[Key]":
    """Each key once, or where it is explained at length."""
    seen, kept = set(), []
    for key in found:
        if key.path not in seen or len(key.about) > EXPLAINED_ANEW:
            kept.append(key)
        seen.add(key.path)
    return kept


def need_restart() -> "list[str]":
    listed = re.search(r"const NEED_RESTART[^=]*= \[(.*?)\];", RESTART.read_text(), re.DOTALL).group(1)
    return re.findall(r'"([^"]+)"', listed)


def page() -> str:
    restart, out = need_restart(), [HEAD]
    keys, tables = read()
    for table, about in tables.items():
        out.append(f"\n## `[{table}]`\n")
        if about:
            out.append(f"{plain(about)}\n")
        out += ["| key | type | default | changed | |", "|---|---|---|---|---|"]
        for key in (key for key in keys if key.table == table):
            is_fixed = any(key.path == listed or key.path.startswith(f"{listed}.") for listed in restart)
            cells = [f"`{key.name}`", key.type, key.default, "restart" if is_fixed else "at once", plain(key.about) or key.shared and NO_WORDS]
            out.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(out) + "\n"


def plain(text: str) -> str:
    """The text as Markdown shows it, but for what stands in backticks: no emphasis, no markup."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*\[\]<>&])", r"\\\1", part) for part in parts[::2]]
    return re.sub(r"docs/([a-z-]+)\.md", r"[docs/\1.md](\1.md)", "`".join(parts))


def main() -> int:
    text = page()
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text() != text:
            print(f"error: {PAGE.relative_to(ROOT)} is not what config.example.toml says: run scripts/configuration.py", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
