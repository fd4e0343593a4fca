"""Applies fixes: round by round, without overlaps, and never so that a design ends up worse than it was."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from coordlint.check import Result
from coordlint.finding import Severity
from coordlint.format import FormatError, format_source
from coordlint.source import Source, replaced

ROUNDS = 10
"""A fix may make the next one possible; after so many rounds something goes in circles."""


class Fixed(NamedTuple):
    """What fixing came to.

    Attributes:
        result: the findings that are left.
        sources: the changed files by real path, each as before and as after.
        applied: how many fixes were applied.
        stopped: why fixing ended early or left fixes out, or an empty string.
    """

    result: Result
    sources: Mapping[str, tuple[Source, Source]]
    applied: int
    stopped: str = ""


def apply_fixes(result: Result, run: Callable[[Mapping[str, Source]], Result], *, unsafe: bool = False) -> Fixed:
    """Apply the fixes of a result, check again, and go on until nothing is left to fix.

    A fix that would bring errors which were not there before is left out. A file that had the layout of the formatter has it
    afterwards too; any other keeps its own.

    Args:
        result: the result of checking the files as they are.
        run: checks the design with some files replaced (by real path).
        unsafe: also apply the fixes that change what the design means.
    """
    work = _Work(result, run)
    seen = {work.state()}
    for _ in range(ROUNDS):
        fixes = work.fixes(unsafe=unsafe)
        if not fixes:
            break
        if not work.apply(fixes):
            continue
        if work.state() in seen:
            return work.done("the fixes undo each other")
        seen.add(work.state())
    if work.fixes(unsafe=unsafe):
        return work.done("the fixes did not settle in ten rounds")
    return work.done("a fix would have brought new errors" if work.refused else "")


class _Change(NamedTuple):
    start: int
    end: int
    text: str


class _Applicable(NamedTuple):
    """The fix of a finding as changes by real path."""

    finding: str
    changes: tuple[tuple[str, _Change], ...]


class _Work:
    """The files as they are so far."""

    def __init__(self, result: Result, run: Callable[[Mapping[str, Source]], Result]) -> None:
        self.result = result
        self.run = run
        self.overlay: dict[str, Source] = {}
        self.before: dict[str, Source] = {}
        self.formatted: dict[str, bool] = {}
        self.refused: set[str] = set()
        self.applied = 0

    def fixes(self, *, unsafe: bool) -> list[_Applicable]:
        """The fixes of this round: of overlapping ones the first finding's, whole or not at all."""
        taken: dict[str, list[_Change]] = {}
        chosen = []
        for finding in self.result.findings:
            fix = finding.fix
            if fix is None or not fix.edits or not (fix.safe or unsafe) or finding.fingerprint in self.refused:
                continue
            if any(edit.span.source.problems for edit in fix.edits):
                continue  # what could not be decoded would be lost
            changes = dict.fromkeys(
                (os.path.realpath(edit.span.source.path), _Change(edit.span.start, edit.span.end, edit.text))
                for edit in fix.edits
            )
            if any(_overlaps(change, taken.get(path, ())) for path, change in changes):
                continue
            for path, change in changes:
                taken.setdefault(path, []).append(change)
            chosen.append(_Applicable(finding.fingerprint, tuple(changes)))
        return chosen

    def apply(self, fixes: Sequence[_Applicable]) -> bool:
        """Apply fixes and check; where that brings new errors, find the fixes that do by halves. Whether any was applied."""
        texts = self._edited(fixes)
        again = self.run(texts)
        if not _worse(again, self.result):
            self.overlay, self.result = texts, again
            self.applied += len(fixes)
            return True
        if len(fixes) == 1:
            self.refused.add(fixes[0].finding)
            return False
        # What is applied first moves the places of the rest: they wait for the next round.
        half = len(fixes) // 2
        return self.apply(fixes[:half]) or self.apply(fixes[half:])

    def state(self) -> tuple[tuple[str, str], ...]:
        """The changed files with their texts."""
        return tuple((path, after.text) for path, (_, after) in self._changed().items())

    def done(self, stopped: str) -> Fixed:
        """What came of it."""
        return Fixed(self.result, self._changed(), self.applied, stopped)

    def _changed(self) -> dict[str, tuple[Source, Source]]:
        return {
            path: (self.before[path], source)
            for path, source in sorted(self.overlay.items())
            if self.before[path].text != source.text
        }

    def _edited(self, fixes: Sequence[_Applicable]) -> dict[str, Source]:
        changes: dict[str, list[_Change]] = {}
        for fix in fixes:
            for path, change in fix.changes:
                changes.setdefault(path, []).append(change)
        current = {os.path.realpath(source.path): source for source in self.result.sources}
        texts = dict(self.overlay)
        for path, edits in changes.items():
            source = current[path]
            self.before.setdefault(path, source)
            if path not in self.formatted:
                self.formatted[path] = _laid_out(source) == source.text
            edited = Source(source.path, replaced(source.text, sorted(edits)), bom=source.bom)
            if self.formatted[path]:
                edited = Source(source.path, _laid_out(edited), bom=source.bom)
            texts[path] = edited
        return texts


def _overlaps(change: _Change, others: Iterable[_Change]) -> bool:
    return any(
        (change.start < other.end and other.start < change.end) or change.start == other.start for other in others
    )


def _laid_out(source: Source) -> str:
    """The text as the formatter lays it out, or as it is if it cannot be formatted."""
    try:
        return format_source(source)
    except FormatError:
        return source.text


def _worse(after: Result, before: Result) -> bool:
    """Whether there are errors that were not there: more of a rule than before."""

    def errors(result: Result) -> Counter[str]:
        return Counter(
            finding.code
            for finding in result.findings
            if finding.severity == Severity.ERROR or finding.code.startswith(("SYN", "REF"))
        )

    return bool(errors(after) - errors(before)) or len(after.crashes) > len(before.crashes)
