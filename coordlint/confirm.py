"""Holds findings against runs of the design's model: what a run shows gets that run, what no run can show is left out.

A violation that a finding of another rule states already is that finding's; it is not reported a second time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from coordlint.design import Design
    from coordlint.explore.trials import Trial
    from coordlint.finding import Finding
    from coordlint.rule import Rule
    from coordlint.source import Span

REFUTED = "refuted by runs"
"""How findings are hidden that no run bears out."""


class Judged(NamedTuple):
    """A finding with the rule and the profile it comes from, and whether the runs refute it."""

    rule: Rule
    profile: str
    finding: Finding
    refuted: bool = False


def confirm(
    design: Design, found: Sequence[tuple[Rule, str, Finding]]
) -> tuple[list[Judged], list[tuple[Rule, Exception]]]:
    """Hold the claims of findings against short runs.

    Args:
        design: the design.
        found: every finding with its rule and the profile of its severities.

    Returns:
        The findings, and the rules whose claims could not be held against runs because of an error.
    """
    failed: list[tuple[Rule, Exception]] = []
    judged: list[Judged] = []
    known: set[tuple[str, str, int, int]] = set()
    for rule, profile, finding in found:
        if finding.claim is None or "V" in rule.evidence:
            judged.append(Judged(rule, profile, finding))
            continue
        try:
            trial = design.trials.of(finding.claim)
            same = design.trials.same(finding.claim)
        except Exception as error:  # the finding stands without its run
            failed.append((rule, error))
            judged.append(Judged(rule, profile, finding))
            continue
        known.update(_key(told.violation.code, told.violation.place) for told in same)
        if trial is not None and trial.word == "shown":
            finding = _shown(finding, trial)
        judged.append(Judged(rule, profile, finding, trial is not None and trial.word == "refuted"))
    return [one for one in judged if "V" not in one.rule.evidence or known.isdisjoint(_keys(one.finding))], failed


def _shown(finding: Finding, trial: Trial) -> Finding:
    assert finding.claim is not None
    levels = finding.claim.levels if not trial.aside else ""
    return replace(finding, run=trial.run, levels=levels or finding.levels)


def _keys(finding: Finding) -> Iterable[tuple[str, str, int, int]]:
    if finding.claim is None:
        return ()
    return [_key(code, place) for code in finding.claim.properties for place in finding.claim.places]


def _key(code: str, place: Span) -> tuple[str, str, int, int]:
    return code, place.source.path, place.start, place.end
