"""The commands in README.md and docs/: each block of them, and what the comment before it says. Owns how such comments are written.

    <!-- run: SETUP -->          is run in a folder that all blocks of the page with this set-up share, in their order, and must succeed
    <!-- run: SETUP, stays -->   goes on running while the later blocks are run; a proxy is waited for until it is ready
    <!-- not run: WHY -->        cannot be run by the tests; what it names is looked up all the same
    <!-- prints -->              the block is what the one before it prints; `…` stands for anything within a line, or for further lines

A block of commands is one that begins with ```console or ```sh. `commands` is what a shell would run of it, word by word.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SETUPS = ("files", "proxy", "elasticsearch", "opensearch", "solr")
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
RUN = re.compile(rf"run: ({'|'.join(SETUPS)})(, stays)?")
SHELLS = ("console", "sh", "bash", "shell")
BETWEEN_COMMANDS = {"|", "||", "&&", "&", ";", ";;", "(", ")"}


@dataclass
class Block:
    page: str
    line: int
    text: str
    setup: str = ""
    stays: bool = False
    why_not: str = ""
    prints: "str | None" = None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> "list[Path]":
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def blocks(page: Path) -> "tuple[list[Block], list[str]]":
    """The blocks of commands of a page, and what is wrong with their markers."""
    text, found, wrong = page.read_text(), [], []
    name = str(page.relative_to(REPOSITORY))
    for fence in FENCE.finditer(text):
        indent, language, content = fence.groups()
        content = re.sub(f"^{indent}", "", content, flags=re.MULTILINE)
        said = _comment_before(text[: fence.start()].rstrip())
        block = Block(name, text.count("\n", 0, fence.start()) + 2, content)
        if language not in SHELLS:
            if said == "prints" and found and found[-1].setup:
                found[-1].prints = content
            elif said:
                wrong.append(f"{block.place}: `{said}` stands before no block of commands")
            continue
        found.append(block)
        if run := RUN.fullmatch(said):
            block.setup, block.stays = run.group(1), bool(run.group(2))
        elif said.startswith("not run: "):
            block.why_not = said.removeprefix("not run: ")
        else:
            wrong.append(f"{block.place}: say before the block how it is run: <!-- run: {'|'.join(SETUPS)} --> or <!-- not run: WHY -->")
    return found, wrong


def _comment_before(text: str) -> str:
    """The comment that the text ends with, or nothing."""
    return " ".join(text[text.rindex("<!--") + 4 : -3].split()) if text.endswith("-->") else ""


def commands(text: str) -> "list[list[str]]":
    """What a shell would run of this text: the words of each command, without what is redirected and without variables set for it."""
    words = shlex.shlex(_one_line(text), posix=True, punctuation_chars=True)
    words.whitespace_split, words.commenters = True, ""
    found, command, skip = [], [], False
    for word in [*words, ";"]:
        if skip:
            skip = False
        elif word in BETWEEN_COMMANDS:
            if command:
                found.append(command)
            command = []
        elif set(word) <= set("<>&") and word:
            skip = True
        elif command or not re.fullmatch(r"[A-Z_]+=.*", word):
            command.append(word)
    return found


def _one_line(text: str) -> str:
    """The text with `;` where a line ends outside of quotation marks, and without comments."""
    out, quote, at = [], "", 0
    while at < len(text):
        char = text[at]
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif text.startswith("\\\n", at):
            char, at = " ", at + 1
        elif char == "#" and (at == 0 or text[at - 1].isspace()):
            at = text.find("\n", at)
            char = " ; "
        elif char == "\n":
            char = " ; "
        out.append(char)
        at += 1
    return "".join(out)


def matches(shown: str, printed: str) -> bool:
    """Whether this was printed: `…` stands for anything within a line, and alone at the end for further lines."""
    body, _, rest = shown.strip().partition("\n…")
    further = r"(\n.*)*" if shown.strip().endswith("\n…") else re.escape(rest)
    return re.fullmatch(re.escape(body).replace("…", "[^\n]*") + further, printed.strip()) is not None
