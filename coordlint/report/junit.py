"""The report as JUnit XML: each rule is a test, so that a build server shows what passed as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Severity
from coordlint.report.style import one_line
from coordlint.report.xml import DECLARATION, escape, tag

if TYPE_CHECKING:
    from coordlint.check import Result
    from coordlint.finding import Finding


def render(result: Result, *, color: bool = False, quiet: bool = False) -> str:
    """The report as XML; see `coordlint.report.render`.

    Errors and warnings are failures of their rule; what is only information is its output.
    """
    found: dict[str, list[Finding]] = {}
    for finding in result.findings:
        found.setdefault(finding.code, []).append(finding)
    crashed = {crash.rule.code: crash.error for crash in result.crashes}
    cases = []
    for rule in result.rules:
        head = tag("testcase", classname=f"coordlint.{rule.group}", name=f"{rule.code} {rule.name}", time="0")
        inside = _inside(found.get(rule.code, []))
        if rule.code in crashed:
            inside += f"      <{tag('error', message=f'the rule failed: {crashed[rule.code]}', type=type(crashed[rule.code]).__name__)}/>\n"
        cases.append(f"    <{head}>\n{inside}    </testcase>\n" if inside else f"    <{head}/>\n")
    numbers = {
        "tests": len(result.rules),
        "failures": sum(any(_fails(finding) for finding in findings) for findings in found.values()),
        "errors": len(crashed),
    }
    suite = tag("testsuite", name="coordlint", **numbers, skipped=0, time="0")
    return f"{DECLARATION}<{tag('testsuites', name='coordlint', **numbers, time='0')}>\n  <{suite}>\n{''.join(cases)}  </testsuite>\n</testsuites>\n"


def _inside(findings: list[Finding]) -> str:
    failures = [finding for finding in findings if _fails(finding)]
    others = [finding for finding in findings if not _fails(finding)]
    parts = []
    if failures:
        message = one_line(failures[0].message) + (f" (and {len(failures) - 1} more)" if len(failures) > 1 else "")
        worst = max(finding.severity or Severity.ERROR for finding in failures)
        head = tag("failure", message=message, type=worst.label)
        parts.append(f"      <{head}>{_lines(failures)}</failure>\n")
    if others:
        parts.append(f"      <system-out>{_lines(others)}</system-out>\n")
    return "".join(parts)


def _fails(finding: Finding) -> bool:
    return (finding.severity or Severity.ERROR) >= Severity.WARNING


def _lines(findings: list[Finding]) -> str:
    lines = []
    for finding in findings:
        span = finding.primary.span
        lines.append(f"{span.source.path}:{span.line}:{span.column}: {one_line(finding.message)}")
        if finding.help:
            lines.append(f"  help: {one_line(finding.help)}")
    return "\n".join(escape(line) for line in lines)
