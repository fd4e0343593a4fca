"""The report as Markdown, for step summaries and comments on pull requests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from coordlint.report.runs import closing, mermaid
from coordlint.report.style import one_line, painter
from coordlint.report.summary import summary
from coordlint.source import printable

if TYPE_CHECKING:
    from coordlint.check import Result
    from coordlint.finding import Finding

MOST_RUNS = 10
"""So many runs are drawn: comments and step summaries have a limited size."""

_SIGNS = {"error": "❌", "warning": "⚠️", "info": "ℹ️", "hint": "💡"}


def render(result: Result, *, color: bool = False, quiet: bool = False) -> str:
    """The report as Markdown; see `coordlint.report.render`."""
    lines = ["## coordlint", ""]
    if not quiet:
        lines += [_text(summary(result, painter(False))), ""]
    if result.findings:
        lines += ["| | finding | where |", "|---|---|---|"]
        lines += [_row(finding, result) for finding in result.findings]
        lines.append("")
    lines += _runs(result)
    for how in sorted({hidden.how for hidden in result.hidden if hidden.how != "off"}):
        hidden = [one for one in result.hidden if one.how == how]
        lines += [f"<details><summary>{len(hidden)} {how}</summary>", ""]
        for one in hidden:
            reason = f": {_text(one_line(one.reason))}" if one.reason else ""
            lines.append(f"- {one.finding.code} {_text(one_line(one.finding.message))}{reason}")
        lines += ["", "</details>", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _runs(result: Result) -> list[str]:
    """The counterexamples as Mermaid diagrams, folded."""
    found = [finding for finding in result.findings if finding.run is not None and finding.run.steps]
    lines = []
    for finding in found[:MOST_RUNS]:
        assert finding.run is not None
        title = f"{finding.code} {_text(one_line(finding.message))}"
        lines += [
            f"<details><summary>run: {title}</summary>",
            "",
            "```mermaid",
            mermaid(finding.run).rstrip(),
            "```",
            "",
        ]
        lines += [f"- {_text(one_line(text))}" for text in closing(finding.run)]
        lines += ["", "</details>", ""]
    if len(found) > MOST_RUNS:
        lines += [f"{len(found) - MOST_RUNS} more runs are not drawn here.", ""]
    return lines


def _row(finding: Finding, result: Result) -> str:
    span = finding.primary.span
    rule = result.rule(finding.code)
    severity = finding.severity.label if finding.severity else "error"
    message = _text(one_line(finding.message))
    if finding.help:
        message += f"<br>*help:* {_text(one_line(finding.help))}"
    title = f"{finding.code} {rule.name}" if rule else finding.code
    return f"| {_SIGNS[severity]} {severity} | **{title}**<br>{message} | {_code(printable(f'{span.source.path}:{span.line}'))} |"


def _text(text: str) -> str:
    """Words with names in backticks: the names stay code, everything else loses its meaning to Markdown and HTML."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(_code(part[1:-1]) if part.startswith("`") and len(part) > 1 else _plain(part) for part in parts)


def _plain(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", text)


def _code(text: str) -> str:
    fence = "`" * (max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)
    padding = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{padding}{text.replace('|', chr(92) + '|')}{padding}{fence}"
