"""The catalogue of rules as text: the table of `coordlint rules` and the page of `coordlint explain`."""

from __future__ import annotations

import json
import re
from textwrap import fill
from typing import TYPE_CHECKING

from coordlint.report.style import count, painter
from coordlint.rule import EVIDENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coordlint.report.style import Paint
    from coordlint.rule import Doc, Entry

WIDTH = 88
"""Columns of running text."""


def render_table(entries: Sequence[Entry], *, color: bool = False) -> str:
    """The rules as a table, one line each, under the headings of their groups."""
    paint = painter(color)
    wide = max((len(entry.name) for entry in entries), default=0)
    lines: list[str] = []
    group = None
    for entry in entries:
        if entry.group != group:
            group = entry.group
            lines += [""] * bool(lines) + [paint(group, "strong")]
        lines.append(f"  {paint(entry.code, 'code')}  {entry.name:<{wide}}  {entry.levels:<5}  {entry.summary}")
    lines += ["", f"{count(len(entries), 'rule')}. Severities in the profiles default/strict/production:"]
    lines += ["E error, W warning, I info, H hint, – off. `coordlint explain RULE` tells more.", ""]
    return "\n".join(lines)


def render_markdown(entries: Sequence[Entry]) -> str:
    """The rules as Markdown tables, one for each group, as `rules/README.md` holds them."""
    lines: list[str] = []
    group = None
    for entry in entries:
        if entry.group != group:
            group = entry.group
            lines += [
                "",
                f"### {group}",
                "",
                "| rule | | severity | evidence | what it reports |",
                "|---|---|---|---|---|",
            ]
        levels = entry.levels.replace("/", " / ")
        lines.append(f"| {entry.code} | {entry.name} | {levels} | {entry.evidence} | {entry.summary} |")
    return "\n".join(lines[1:]) + "\n"


def render_json(entries: Sequence[Entry]) -> str:
    """The rules as JSON."""
    keys = ("code", "name", "group", "levels", "evidence", "summary")
    data = {"version": 1, "rules": [{key: getattr(entry, key) for key in keys} for entry in entries]}
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def render_page(entry: Entry, doc: Doc, *, color: bool = False) -> str:
    """The documentation of a rule for a terminal."""
    paint = painter(color)
    words = {"E": "error", "W": "warning", "I": "info", "H": "hint"}
    levels = [words.get(letter, "off") for letter in entry.levels.split("/")]
    lines = [
        f"{paint(f'{entry.code} {entry.name}', 'strong')}",
        "",
        fill(doc.summary, WIDTH),
        "",
        f"Severity: {levels[0]} (strict: {levels[1]}, production: {levels[2]})",
        *(f"Evidence: {EVIDENCE[letter]}" for letter in entry.evidence),
    ]
    for title, body in doc.sections:
        lines += ["", paint(title, "strong"), "", *_markdown(body, paint)]
        while not lines[-1]:
            lines.pop()
    return "\n".join(lines) + "\n"


def _markdown(text: str, paint: Paint) -> Iterator[str]:
    """Markdown with its paragraphs and list items wrapped and its code indented."""
    for block in re.split(r"(?ms)^(```.*?^```[ \t]*$)", text):
        if block.startswith("```"):
            code = block.splitlines()[1:-1]
            yield from (f"      {line}".rstrip() for line in code)
            continue
        paragraphs = [paragraph for paragraph in re.split(r"\n[ \t]*\n|\n(?=[ \t]*[-*] )", block) if paragraph.strip()]
        for number, paragraph in enumerate(paragraphs):
            item = paragraph.lstrip().startswith(("- ", "* "))
            if number and not item:
                yield ""
            wrapped = fill(
                " ".join(paragraph.split()),
                WIDTH,
                initial_indent="  ",
                subsequent_indent="    " if item else "  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            yield re.sub(r"`[^`\n]+`", lambda found: paint(found[0], "code"), wrapped)
        if paragraphs:
            yield ""
