"""Applies fixes: round by round, without overlaps, and never so that a design ends up worse than it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from coordlint.check import Result
from coordlint.finding import Finding, Severity
from coordlint.source import Source

ROUNDS = 10
"""A fix may make the next one possible; after so many rounds something goes in circles."""


class Fixed(NamedTuple):
    """What fixing came to.

    Attributes:
        result: the findings that are left.
        sources: the changed files by real path, each as before and as after.
        applied: how many fixes were applied.
        stopped: why fixing ended early, or an empty string.
    """

    result: Result
    sources: Mapping[str, tuple[Source, Source]]
    applied: int
    stopped: str = ""


def apply_fixes(result: Result, run: Callable[[Mapping[str, Source]], Result], *, unsafe: bool = False) -> Fixed:
    """Apply the fixes of a result, check again, and go on until nothing is left to fix.

    A round that brings new syntax or reference errors, or more errors than there were, is taken back and ends the work.

    Args:
        result: the result of checking the files as they are.
        run: checks the design with some files replaced (by real path).
        unsafe: also apply the fixes that change what the design means.
    """
    overlay: dict[str, Source] = {}
    before: dict[str, Source] = {}
    seen = {_state(overlay)}
    applied = 0
    for _ in range(ROUNDS):
        edits = _chosen(result.findings, unsafe=unsafe)
        if not edits:
            return Fixed(result, _changes(before, overlay), applied)
        texts = dict(overlay)
        for source, changes in edits.items():
            key = os.path.realpath(source.path)
            before.setdefault(key, source)
            texts[key] = Source(source.path, _edited(source.text, changes), bom=source.bom)
        again = run(texts)
        if _worse(again, result):
            return Fixed(result, _changes(before, overlay), applied, "a fix would have brought new errors")
        applied += sum(1 for _ in _finding_keys(edits))
        overlay, result = texts, again
        if _state(overlay) in seen:
            return Fixed(result, _changes(before, overlay), applied, "the fixes undo each other")
        seen.add(_state(overlay))
    left = "the fixes did not settle in ten rounds" if _chosen(result.findings, unsafe=unsafe) else ""
    return Fixed(result, _changes(before, overlay), applied, left)


class _Change(NamedTuple):
    start: int
    end: int
    text: str
    finding: str


def _chosen(findings: Iterable[Finding], *, unsafe: bool) -> dict[Source, list[_Change]]:
    """The edits of this round by source, in order; of overlapping fixes the first finding's wins, whole or not at all."""
    chosen: dict[Source, list[_Change]] = {}
    for finding in findings:
        fix = finding.fix
        if fix is None or not fix.edits or not (fix.safe or unsafe):
            continue
        changes = [
            (edit.span.source, _Change(edit.span.start, edit.span.end, edit.text, finding.fingerprint))
            for edit in fix.edits
        ]
        if any(_overlaps(change, chosen.get(source, ())) for source, change in changes):
            continue
        for source, change in changes:
            chosen.setdefault(source, []).append(change)
    return {source: sorted(changes) for source, changes in chosen.items()}


def _overlaps(change: _Change, others: Iterable[_Change]) -> bool:
    return any(
        (change.start < other.end and other.start < change.end) or change.start == other.start for other in others
    )


def _edited(text: str, changes: list[_Change]) -> str:
    pieces = []
    at = 0
    for change in changes:
        pieces += [text[at : change.start], change.text]
        at = change.end
    return "".join((*pieces, text[at:]))


def _worse(after: Result, before: Result) -> bool:
    def errors(result: Result) -> tuple[int, int]:
        broken = sum(finding.code.startswith(("SYN", "REF")) for finding in result.findings)
        return broken, sum(finding.severity == Severity.ERROR for finding in result.findings)

    (broken, bad), (was_broken, was_bad) = errors(after), errors(before)
    return broken > was_broken or bad > was_bad


def _finding_keys(edits: Mapping[Source, list[_Change]]) -> set[str]:
    return {change.finding for changes in edits.values() for change in changes}


def _changes(before: Mapping[str, Source], overlay: Mapping[str, Source]) -> dict[str, tuple[Source, Source]]:
    return {key: (before[key], source) for key, source in sorted(overlay.items()) if before[key].text != source.text}


def _state(overlay: Mapping[str, Source]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, source.text) for key, source in overlay.items()))
