"""The report as a GitLab Code Quality artifact, a subset of the Code Climate format."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from coordlint.finding import Severity
from coordlint.report.json import to_json
from coordlint.report.style import one_line

if TYPE_CHECKING:
    from coordlint.check import Result

_SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "major", Severity.INFO: "minor", Severity.HINT: "info"}


def render(result: Result, *, color: bool = False, quiet: bool = False) -> str:
    """The report as JSON; see `coordlint.report.render`. Paths are relative and without `./`, as GitLab demands."""
    issues = []
    for finding in result.findings:
        span = finding.primary.span
        rule = result.rule(finding.code)
        issues.append(
            {
                "type": "issue",
                "check_name": f"{finding.code} {rule.name}" if rule else finding.code,
                "description": one_line(finding.message),
                "categories": ["Bug Risk"],
                "severity": _SEVERITIES[finding.severity or Severity.ERROR],
                "fingerprint": finding.fingerprint,
                "location": {
                    "path": posixpath.normpath(span.source.path.replace("\\", "/")),
                    "lines": {"begin": span.line, "end": max(span.line, span.end_line)},
                },
            }
        )
    return to_json(issues)
