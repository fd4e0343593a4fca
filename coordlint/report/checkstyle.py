"""The report in the XML form of Checkstyle, which most build servers read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Severity
from coordlint.report.xml import DECLARATION, tag

if TYPE_CHECKING:
    from coordlint.check import Result
    from coordlint.finding import Finding

_SEVERITIES = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "info", Severity.HINT: "info"}


def render(result: Result, *, color: bool = False, quiet: bool = False) -> str:
    """The report as XML; see `coordlint.report.render`. Files without findings are listed too."""
    files: dict[str, list[Finding]] = {source.path: [] for source in result.sources}
    for finding in result.findings:
        files.setdefault(finding.primary.span.source.path, []).append(finding)
    lines = [DECLARATION, '<checkstyle version="4.3">\n']
    for path, findings in files.items():
        lines.append(f"  <{tag('file', name=path)}>\n")
        for finding in findings:
            span = finding.primary.span
            rule = result.rule(finding.code)
            error = tag(
                "error",
                line=span.line,
                column=span.column,
                severity=_SEVERITIES[finding.severity or Severity.ERROR],
                message=finding.message,
                source=f"coordlint.{rule.group}.{finding.code}" if rule else f"coordlint.{finding.code}",
            )
            lines.append(f"    <{error}/>\n")
        lines.append("  </file>\n")
    lines.append("</checkstyle>\n")
    return "".join(lines)
