"""The public systems of fixtures/systems against their known defects: recall and false alarms.

Run it to print the table of the README, or with names of designs to see every finding beside what was expected:

    python tests/systems.py
    python tests/systems.py eshop ftgo
    python tests/systems.py --verified

With `--verified`, the models run under faults and the table says for how many of the behavioural defects a run is found: that of
a finding of its own `codes`, or of one of the rules that `verified` names (at its `names`, or at `verified_names`). `verified` of
a clean entry names the rules that may not accuse it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from coordlint.check import check, select_rules
from coordlint.design import load
from coordlint.explore.verify import Settings
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


class Verified(NamedTuple):
    """One design whose model ran, held against its behavioural defects."""

    name: str
    findings: tuple[Finding, ...]
    found: dict[str, Finding]
    missed: list[dict[str, Any]]
    accused: list[tuple[dict[str, Any], Finding]]
    clean: int


STATES = 20_000
"""So many states of a scene are looked at here; the behaviour of every defect shows in fewer."""

BEHAVIOURAL = re.compile(r"SAG\d+|DLV\d+|MIX\d+|EVT207|EVT211|RES809|SPF102")
"""Rules about what happens in time: a defect that one of them finds is one of behaviour."""


def is_behavioural(defect: dict[str, Any]) -> bool:
    """Whether a known defect is one of behaviour, which runs of the model are there to show."""
    return bool(defect["detectable"]) and any(BEHAVIOURAL.fullmatch(code) for code in defect["codes"])


@cache
def verify(path: Path) -> Verified:
    """Run the model of the design beside an expectation file, under the default profile."""
    expected = tomllib.loads(path.read_text(encoding="utf-8"))
    design = load(str(path.parent / expected["design"]))
    design.verify = Settings(limit=STATES)
    findings = check(design, select_rules(select=["VER"])).findings
    shown = [f for f in check(load(str(path.parent / expected["design"]))).findings if f.run is not None]
    found: dict[str, Finding] = {}
    missed = []
    for defect in filter(is_behavioural, expected.get("defect", ())):
        names = defect.get("verified_names", defect["names"])
        matches = [f for f in findings if f.code in defect.get("verified", ()) and _mentions(_everything(f), names)]
        matches += [f for f in shown if f.code in defect["codes"] and _mentions(_everything(f), defect["names"])]
        if matches:
            found[defect["id"]] = matches[0]
        else:
            missed.append(defect)
    accused = [
        (clean, f)
        for clean in expected.get("clean", ())
        for f in findings
        if f.code in clean.get("verified", ()) and _mentions(f.message, clean["names"])
    ]
    name = path.name.removesuffix(".expect.toml")
    return Verified(name, findings, found, missed, accused, len(expected.get("clean", ())))


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


def verified_table(outcomes: list[Verified]) -> Iterator[str]:
    """The lines of the Markdown table of the runs."""
    yield "| design | behavioural defects | with a run | recall | clean entries | accused | findings |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    total = [0] * 5
    for one in outcomes:
        defects = len(one.found) + len(one.missed)
        row = [defects, len(one.found), one.clean, len(one.accused), len(one.findings)]
        total = [a + b for a, b in zip(total, row, strict=True)]
        yield _verified_row(one.name, row)
    yield _verified_row("**all**", total)


def _verified_row(name: str, row: list[int]) -> str:
    defects, found, clean, accused, findings = row
    recall = f"{found / defects:.0%}" if defects else "–"
    return f"| {name} | {defects} | {found} | {recall} | {clean} | {accused} | {findings} |"


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
    words = [word for word in sys.argv[1:] if word != "--verified"]
    paths = [path for path in expectations() if not words or any(word in path.name for word in words)]
    if "--verified" in sys.argv:
        print("\n".join(verified_table([verify(path) for path in paths])))
        for path in paths:
            for defect in verify(path).missed:
                print(f"  MISSED  {defect['id']} {defect.get('verified')} {defect['names']}: {defect['fact']}")
            for clean, finding in verify(path).accused:
                print(f"  ACCUSED {clean['names']}: {_line(finding)}")
        sys.exit()
    chosen = [judge(path) for path in paths]
    if words:
        for one in chosen:
            print("\n".join(details(one)))
    print("\n".join(table(chosen)))
