"""The line at the end of a text report: what was found, and what is not shown."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from coordlint.report.style import count
from coordlint.source import printable

if TYPE_CHECKING:
    from coordlint.check import Result
    from coordlint.report.style import Paint


def summary(result: Result, paint: Paint) -> str:
    """One line such as `shop.coord: 1 error, 2 warnings (1 ignored; 70 rules ran, 5 are off in the default profile)`."""
    what = printable(result.sources[0].path) if len(result.sources) == 1 else count(len(result.sources), "file")
    counts = [
        paint(count(number, severity.label, "info" if severity.label == "info" else ""), severity.label)
        for severity, number in result.counts.items()
        if number
    ]
    found = ", ".join(counts) or paint("no findings", "good")
    return f"{what}: {found} ({not_shown(result)}){fixable(result)}"


def fixable(result: Result) -> str:
    """How many of the findings `--fix` repairs, and how many more with `--unsafe-fixes`; empty if none."""
    fixes = [finding.fix for finding in result.findings if finding.fix is not None]
    safe = sum(fix.safe for fix in fixes)
    unsafe = len(fixes) - safe
    parts = [f"{safe} fixable with --fix"] if safe else []
    if unsafe:
        parts.append(f"{unsafe}{' more' if safe else ' fixable'} with --fix --unsafe-fixes")
    return f". {', '.join(parts)}" if parts else ""


def not_shown(result: Result) -> str:
    """What the reader does not see: hidden findings, and rules that did not run."""
    hidden = Counter(hidden.how for hidden in result.hidden if hidden.how != "off")
    parts = [f"{number} {how}" for how, number in sorted(hidden.items())]
    below = sum(hidden.how == "off" for hidden in result.hidden)
    if below:
        parts.append(f"{count(below, 'finding is', 'findings are')} off in the {result.profile} profile")
    rules = [f"{count(len(result.rules), 'rule')} ran"]
    if result.off:
        rules.append(f"{result.off} {'is' if result.off == 1 else 'are'} off in the {result.profile} profile")
    if result.deselected:
        rules.append(f"{result.deselected} left out")
    if result.crashes:
        rules.append(f"{len(result.crashes)} failed")
    cut = sum(verdict.cut for verdict in result.verdicts)
    if cut:
        rules.append(
            f"{count(cut, 'scene was', 'scenes were')} too large for short runs: `coordlint verify` goes further"
        )
    return "; ".join((*parts, ", ".join(rules)))
