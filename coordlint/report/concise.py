"""One line for each finding, for editors and scripts that read `path:line:column: message`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.report.style import one_line, painter
from coordlint.report.summary import summary
from coordlint.source import printable

if TYPE_CHECKING:
    from coordlint.check import Result


def render(result: Result, *, color: bool = False, quiet: bool = False) -> str:
    """The report as text; see `coordlint.report.render`."""
    paint = painter(color)
    lines = []
    for finding in result.findings:
        span = finding.primary.span
        rule = result.rule(finding.code)
        severity = finding.severity.label if finding.severity else "error"
        title = f"{severity}[{finding.code}{f' {rule.name}' if rule else ''}]"
        place = f"{printable(span.source.path)}:{span.line}:{span.column}"
        lines.append(f"{place}: {paint(title, severity)} {one_line(finding.message)}\n")
    if not quiet:
        lines.append(summary(result, paint) + "\n")
    return "".join(lines)
