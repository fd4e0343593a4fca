"""The report as workflow commands of GitHub Actions: each finding annotates its line in the pull request.

GitHub shows at most ten annotations of a kind for each step; the `markdown` format in the step summary has them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Severity
from coordlint.report.style import one_line
from coordlint.source import printable

if TYPE_CHECKING:
    from coordlint.check import Result

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice", Severity.HINT: "notice"}


def render(result: Result, *, color: bool = False, quiet: bool = False) -> str:
    """The report as workflow commands; see `coordlint.report.render`."""
    lines = []
    for finding in result.findings:
        span = finding.primary.span
        rule = result.rule(finding.code)
        properties = {
            "file": printable(span.source.path),
            "line": span.line,
            "endLine": span.end_line,
            "col": span.column,
            "endColumn": span.end_column,
            "title": f"{finding.code} {rule.name}" if rule else finding.code,
        }
        # Columns are only shown for a place within one line.
        if span.line != span.end_line:
            del properties["col"], properties["endColumn"]
        text = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
        message = (
            f"{one_line(finding.message)}\nhelp: {one_line(finding.help)}"
            if finding.help
            else one_line(finding.message)
        )
        lines.append(f"::{_COMMANDS[finding.severity or Severity.ERROR]} {text}::{_data(message)}\n")
    return "".join(lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
