"""The picture of where the time of graphs goes, as an SVG that is read on light and on dark pages. Knows only names and
milliseconds."""

from html import escape
from pathlib import Path

GREY = "#7d8590"
COLOURS = ("#2f81f7", "#d4772c", "#2da44e", "#bf4b8a", "#8250df", GREY)
WIDTH, LEFT, RIGHT = 760, 132, 70
BAR, GAP, TITLE, TOP = 22, 6, 30, 34
# Shares of a bar below this are too narrow for a figure.
LEAST_FIGURE = 26


def text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def legend(kinds: list) -> list:
    drawn, x = [], 0.0
    for kind, colour in zip(kinds, COLOURS):
        drawn.append(f'<rect x="{x:.1f}" y="2" width="11" height="11" fill="{colour}"/>')
        drawn.append(text(x + 15, 12, kind))
        x += 30 + 6.8 * len(kind)
    return drawn


def bar(y: float, label: str, parts: dict, scale: float) -> list:
    drawn, x = [text(LEFT - 8, y + 15, label, 'text-anchor="end"')], float(LEFT)
    for (kind, value), colour in zip(parts.items(), COLOURS):
        width = value * scale
        drawn.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}">'
            f"<title>{escape(kind)}: {value:.2f} ms</title></rect>"
        )
        if width >= LEAST_FIGURE:
            drawn.append(text(x + width / 2, y + 15, f"{value:.1f}", 'text-anchor="middle" class="figure"'))
        x += width
    return [*drawn, text(x + 6, y + 15, f"{sum(parts.values()):.1f} ms", 'class="sum"')]


def draw(rows: list, file: Path) -> None:
    """`rows`: the group, the label and the milliseconds of each kind, the same kinds in every row; those of one group follow
    one another."""
    scale = (WIDTH - LEFT - RIGHT) / max(sum(parts.values()) for _, _, parts in rows)
    drawn, y, group = legend(list(rows[0][2])), TOP, None
    for name, label, parts in rows:
        if name != group:
            y += TITLE
            drawn.append(text(0, y - 9, name, 'class="group"'))
            group = name
        drawn += bar(y, label, parts, scale)
        y += BAR + GAP
    style = f"text{{font:12px sans-serif;fill:{GREY}}} .figure{{fill:#fff}} .sum,.group{{font-weight:bold}}"
    size = f'width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}"'
    body = "\n".join(drawn)
    file.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>{style}</style>\n{body}\n</svg>\n')
