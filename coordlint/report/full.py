"""The report for people: each finding with its source excerpt, then a summary that says what was not shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.report import runs
from coordlint.report.snippet import excerpts
from coordlint.report.style import count, one_line, painter
from coordlint.report.summary import summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.check import Result
    from coordlint.finding import Finding
    from coordlint.report.style import Paint

COLUMNS = 120
"""Columns of a counterexample."""


def render(result: Result, *, color: bool = False, quiet: bool = False) -> str:
    """The report as text; see `coordlint.report.render`."""
    paint = painter(color)
    parts = []
    for finding in result.findings:
        rule = result.rule(finding.code)
        parts.append("\n".join(_finding(finding, rule.name if rule else "", paint)) + "\n\n")
    if not quiet:
        parts.append(summary(result, paint) + "\n")
        if result.findings:
            worst = max(result.findings, key=lambda finding: finding.severity or 0)
            parts.append(f"Run {paint(f'`coordlint explain {worst.code}`', 'code')} for more.\n")
    return "".join(parts)


def _finding(finding: Finding, name: str, paint: Paint) -> Iterator[str]:
    severity = finding.severity.label if finding.severity else "error"
    title = f"{finding.code} {name}" if name else finding.code
    yield paint(f"{severity}[{title}]", severity) + paint(f": {one_line(finding.message)}", "strong")
    lines, gutter = excerpts(finding, paint)
    yield from lines
    if finding.run is not None and finding.run.steps:
        yield paint(" " * gutter + " |", "gutter")
        head = f"the shortest way there, {runs.needs(finding.run)}"
        yield f"{paint(' ' * gutter + ' =', 'gutter')} {paint('run:', 'strong')} {head}"
        indent, columns = " " * (gutter + 3), COLUMNS - gutter - 3
        yield from (indent + line for line in runs.text(finding.run.steps, paint, finding.run.repeats_from, columns))
        for line in runs.closing(finding.run):
            word, rest = line.split(": ", 1)
            first, *more = runs.folded(f"{word}: {one_line(rest)}", len(word) + 2, columns)
            yield indent + first.replace(f"{word}:", paint(f"{word}:", "strong"), 1)
            yield from (indent + one for one in more)
    tail = [("help", finding.help), *(("note", note) for note in finding.notes)]
    if finding.fix:
        tail.append(("fix", finding.fix.title + ("" if finding.fix.safe else " (unsafe: confirm it)")))
    tail.append(("silence", finding.silence))
    if any(text for _, text in tail):
        yield paint(" " * gutter + " |", "gutter")
    for word, text in tail:
        first, *more = [one_line(line) for line in text.splitlines()] or [""]
        if first:
            yield f"{paint(' ' * gutter + ' =', 'gutter')} {paint(f'{word}:', 'strong')} {first}"
            yield from (" " * (gutter + len(word) + 5) + line for line in more)


def render_statistics(result: Result, *, color: bool = False) -> str:
    """How many findings each rule has, the most frequent first."""
    paint = painter(color)
    found: dict[str, list[Finding]] = {}
    for finding in result.findings:
        found.setdefault(finding.code, []).append(finding)
    rows = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    wide = len(str(max(map(len, found.values()), default=0)))
    lines = []
    for code, findings in rows:
        rule = result.rule(code)
        worst = max(finding.severity for finding in findings if finding.severity)
        words = (
            f"{len(findings):>{wide}}  {paint(f'{worst.label:<7}', worst.label)}  {code} {rule.name if rule else ''}"
        )
        lines.append(words.rstrip() + "\n")
    return "".join(lines) or f"no findings from {count(len(result.rules), 'rule')}\n"
