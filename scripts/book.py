#!/usr/bin/env python3
"""Builds the book of docs/ with mdBook into target/book. Owns how pages that lie in two folders become one book.

mdBook takes one folder, and renders what its SUMMARY.md names. Ours names pages beside docs/ as well (README.md, SECURITY.md), by the
links that readers of the repository follow. So pages, pictures and whatever else a page links to are copied into a folder that is
laid out as the repository is, with the contents at its top. Then each link of each page must lead to something.
"""

import html.parser
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "book-pages"
BOOK = ROOT / "target" / "book"
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def contents() -> str:
    """SUMMARY.md with paths as they are from the top."""
    text = (ROOT / "docs" / "SUMMARY.md").read_text()
    return LINK.sub(lambda link: f"]({from_top(ROOT / 'docs', link.group(1))})", text)


def from_top(folder: Path, link: str) -> str:
    return str((folder / link).resolve().relative_to(ROOT))


def lay_out() -> None:
    pages = WORK / "pages"
    shutil.rmtree(WORK, ignore_errors=True)
    pages.mkdir(parents=True)
    for file in ("book.toml", "book.css"):
        shutil.copy(ROOT / "docs" / file, WORK)
    summary = contents()
    named = LINK.findall(summary)
    # The list grows while it is gone through: what a page links to is copied, and a page that the contents do not name is their last.
    for page in named:
        copy(page, pages)
        for link in LINK.findall((ROOT / page).read_text()):
            target = (ROOT / page).parent / unquote(link)
            if "://" in link or not target.is_file():
                continue
            path = from_top(target.parent, target.name)
            if target.suffix != ".md":
                copy(path, pages)
            elif path not in named:
                named.append(path)
                summary += f"- [{title(target)}]({path})\n"
    (pages / "SUMMARY.md").write_text(summary)


def title(page: Path) -> str:
    return next(line for line in page.read_text().splitlines() if line.startswith("# ")).removeprefix("# ")


def copy(path: str, pages: Path) -> None:
    (pages / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / path, pages / path)


class Links(html.parser.HTMLParser):
    """The links of a page, and its anchors."""

    def __init__(self, text: str):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name == "id":
                self.anchors.add(value)


def dead_links() -> "list[str]":
    pages = {page: Links(page.read_text()) for page in BOOK.rglob("*.html")}
    dead = []
    for page, found in pages.items():
        # Both are put together of all pages, whose links they repeat.
        if page.name in ("print.html", "404.html", "toc.html"):
            continue
        for link in found.links:
            path, anchor = urldefrag(link)
            if re.match(r"[a-z]+:", link):
                continue
            target = (page.parent / unquote(path)).resolve() if path else page
            if not target.exists() or anchor and target in pages and unquote(anchor) not in pages[target].anchors:
                dead.append(f"{page.relative_to(BOOK)} links to {link}")
    return dead


def main() -> int:
    mdbook = sys.argv[1]
    lay_out()
    shutil.rmtree(BOOK, ignore_errors=True)
    subprocess.run([mdbook, "build", str(WORK), "--dest-dir", str(BOOK)], check=True)
    dead = dead_links()
    for link in dead:
        print(f"error: {link}", file=sys.stderr)
    if not dead:
        print(f"the book is {BOOK / 'index.html'}")
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main())
