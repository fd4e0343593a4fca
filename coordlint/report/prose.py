"""Words for the page: names in backticks become links, and the Markdown of the rules' documentation becomes HTML."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, TypeAlias

from coordlint.report.drawing import escape
from coordlint.source import printable_char

if TYPE_CHECKING:
    from markupsafe import Markup

Link: TypeAlias = Callable[[str], str]
"""The anchor of a name, or an empty string."""


def safe(text: str) -> str:
    """Text for a page: control characters and turns of the writing direction as escapes, markup escaped, lines kept."""
    shown = "".join(char if char in "\n\t" else printable_char(char) for char in text)
    return escape(shown)


def words(text: str, link: Link) -> Markup:
    """A sentence with names in backticks as code, linked where the name is one of the design's."""
    from markupsafe import Markup

    return Markup("".join(_inline(text, link)))


def _inline(text: str, link: Link) -> Iterator[str]:
    for piece in re.split(r"(`[^`]*`)", text):
        if len(piece) < 2 or not piece.startswith("`"):
            yield safe(piece)
            continue
        name = piece[1:-1]
        anchor = link(name)
        code = f"<code>{safe(name)}</code>"
        yield f'<a href="#{escape(anchor)}">{code}</a>' if anchor else code


def markdown(text: str) -> Markup:
    """The Markdown that documentation of rules uses: paragraphs, lists, fenced code, code, emphasis, links as text."""
    from markupsafe import Markup

    return Markup("".join(_blocks(text.split("\n"))))


def _blocks(lines: list[str]) -> Iterator[str]:
    pending: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.lstrip().startswith("```"):
            yield from _paragraph(pending)
            end = next((i for i in range(at + 1, len(lines)) if lines[i].strip() == "```"), len(lines))
            code = "\n".join(lines[at + 1 : end])
            yield f'<pre tabindex="0"><code>{safe(code)}</code></pre>'
            at = end + 1
            continue
        item = re.match(r"\s*(?:[-*]|\d+\.)\s+(.*)", line)
        table = line.lstrip().startswith("|")
        if item or table:
            yield from _paragraph(pending)
            at = yield from (_table(lines, at) if table else _list(lines, at))
            continue
        if not line.strip():
            yield from _paragraph(pending)
        else:
            pending.append(line.strip())
        at += 1
    yield from _paragraph(pending)


def _paragraph(pending: list[str]) -> Iterator[str]:
    if pending:
        yield f"<p>{_span(' '.join(pending))}</p>"
        pending.clear()


def _list(lines: list[str], at: int) -> Generator[str, None, int]:
    yield "<ul>"
    while at < len(lines):
        item = re.match(r"\s*(?:[-*]|\d+\.)\s+(.*)", lines[at])
        if not item:
            break
        text = [item[1]]
        at += 1
        while at < len(lines) and lines[at].startswith("  ") and not re.match(r"\s*(?:[-*]|\d+\.)\s+", lines[at]):
            text.append(lines[at].strip())
            at += 1
        yield f"<li>{_span(' '.join(text))}</li>"
    yield "</ul>"
    return at


def _table(lines: list[str], at: int) -> Generator[str, None, int]:
    rows = []
    while at < len(lines) and lines[at].lstrip().startswith("|"):
        rows.append([cell.strip() for cell in lines[at].strip().strip("|").split("|")])
        at += 1
    yield "<table>"
    for number, row in enumerate(rows):
        if all(set(cell) <= set("-: ") for cell in row):
            continue
        tag = "th" if number == 0 else "td"
        yield "<tr>" + "".join(f"<{tag}>{_span(cell)}</{tag}>" for cell in row) + "</tr>"
    yield "</table>"
    return at


def _span(text: str) -> str:
    parts = []
    for piece in re.split(r"(``.+?``|`[^`]*`)", text):
        if len(piece) > 1 and piece.startswith("`"):
            parts.append(f"<code>{safe(piece.strip('`'))}</code>")
            continue
        shown = safe(piece)
        shown = re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", r"\1 (\2)", shown)
        shown = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", shown)
        parts.append(re.sub(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])", r"<em>\1</em>", shown))
    return "".join(parts)
