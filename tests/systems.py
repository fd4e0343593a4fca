"""The public systems of fixtures/systems against their known defects: recall and false alarms.

Run it to print the table of the README, or with names of designs to see every finding beside what was expected:

    python tests/systems.py
    python tests/systems.py eshop ftgo
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from coordlint.check import check
from coordlint.design import load
from coordlint.finding import Finding

SYSTEMS = Path(__file__).parent.parent / "fixtures" / "systems"


class Outcome(NamedTuple):
    """One design held against its expectations."""

    name: str
    findings: tuple[Finding, ...]
    found: dict[str, Finding]
    missed: list[dict[str, Any]]
    undetectable: list[dict[str, Any]]
    accused: list[tuple[dict[str, Any], Finding]]
    clean: int
    unexplained: list[Finding]


def expectations() -> list[Path]:
    """All expectation files, by name."""
    return sorted(SYSTEMS.glob("*/*.expect.toml"))


def judge(path: Path) -> Outcome:
    """Check the design beside an expectation file, under the default profile."""
    expected = tomllib.loads(path.read_text(encoding="utf-8"))
    result = check(load(str(path.parent / expected["design"])))
    found: dict[str, Finding] = {}
    missed, undetectable, accused = [], [], []
    explained: set[int] = set()
    for defect in expected.get("defect", ()):
        if not defect["detectable"]:
            undetectable.append(defect)
            continue
        matches = [
            f for f in result.findings if f.code in defect["codes"] and _mentions(_everything(f), defect["names"])
        ]
        explained |= {id(f) for f in matches}
        if matches:
            found[defect["id"]] = matches[0]
        else:
            missed.append(defect)
    for clean in expected.get("clean", ()):
        accused += [
            (clean, f) for f in result.findings if f.code in clean["codes"] and _mentions(f.message, clean["names"])
        ]
    return Outcome(
        path.name.removesuffix(".expect.toml"),
        result.findings,
        found,
        missed,
        undetectable,
        accused,
        len(expected.get("clean", ())),
        [f for f in result.findings if id(f) not in explained],
    )


def _everything(finding: Finding) -> str:
    """What a reader sees of a finding: its words and the source lines it shows."""
    labels = (finding.primary, *finding.related)
    lines = (label.span.source.line(label.span.line) for label in labels)
    return "\n".join((finding.message, finding.help, *finding.notes, *(label.text for label in labels), *lines))


def _mentions(text: str, names: list[str]) -> bool:
    return all(name.casefold() in text.casefold() for name in names)


def table(outcomes: list[Outcome]) -> Iterator[str]:
    """The lines of the Markdown table."""
    yield "| design | known defects | visible in a design | found | recall | clean entries | accused | findings |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    total = [0] * 6
    for one in outcomes:
        visible = len(one.found) + len(one.missed)
        row = [visible + len(one.undetectable), visible, len(one.found), one.clean, len(one.accused), len(one.findings)]
        total = [a + b for a, b in zip(total, row, strict=True)]
        yield _row(one.name, row)
    yield _row("**all**", total)


def _row(name: str, row: list[int]) -> str:
    known, visible, found, clean, accused, findings = row
    recall = f"{found / visible:.0%}" if visible else "–"
    return f"| {name} | {known} | {visible} | {found} | {recall} | {clean} | {accused} | {findings} |"


def details(one: Outcome) -> Iterator[str]:
    """Every expectation and every finding of one design."""
    yield f"== {one.name}"
    for key, finding in one.found.items():
        yield f"  found   {key}: {_line(finding)}"
    for defect in one.missed:
        yield f"  MISSED  {defect['id']} {defect['codes']} {defect['names']}: {defect['fact']}"
    for clean, finding in one.accused:
        yield f"  ACCUSED {clean['codes']} {clean['names']}: {_line(finding)}"
    for finding in one.unexplained:
        yield f"  other   {_line(finding)}"


def _line(finding: Finding) -> str:
    severity = finding.severity.label if finding.severity else "?"
    return f"{finding.primary.span.line}: {severity}[{finding.code}] {finding.message}"


if __name__ == "__main__":
    chosen = [judge(path) for path in expectations() if not sys.argv[1:] or any(a in path.name for a in sys.argv[1:])]
    if sys.argv[1:]:
        for one in chosen:
            print("\n".join(details(one)))
    print("\n".join(table(chosen)))
