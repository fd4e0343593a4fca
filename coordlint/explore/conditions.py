"""The properties of a scene as conditions over local states, for an engine that knows nothing but the tables.

What is wrong where everything rests is asked of the judge, one workflow and one ledger entry at a time: which local states it
looks at is recorded, so that nothing has to be known about how it decides. What is wrong on the way is read off the ledgers.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

from coordlint.explore.model import Case, Property
from coordlint.explore.parts import HUNG, TWICE, TWICE_UNDONE
from coordlint.explore.promela import unbounded
from coordlint.system import Flow

if TYPE_CHECKING:
    from coordlint.explore.judge import Judge
    from coordlint.explore.scene import Compiled

ON_THE_WAY = {TWICE: "B8", HUNG: "B9", TWICE_UNDONE: "B10"}
"""The property by the code in a ledger; what is done twice without a fault is B7."""


def properties(compiled: Compiled, judge: Judge) -> tuple[Property, ...]:
    """What has to be judged in a scene, in a fixed order: on the way, where everything rests, storms, and what has to be reached."""
    return (*_on_the_way(compiled, judge), *_ends(compiled, judge), *_storms(compiled), *_reached(compiled, judge))


# ------------------------------------------------------------------------------------------------ on the way


def _on_the_way(compiled: Compiled, judge: Judge) -> Iterator[Property]:
    tables = compiled.tables
    found: dict[tuple[str, str], list[Case]] = {}
    for number, part in compiled.parts.items():
        for index, deed in enumerate(part.deeds):
            for word, code in ON_THE_WAY.items():
                places = tuple(local for local, codes in enumerate(part.codes) if codes[index] == word)
                if places:
                    found.setdefault((code, deed.name), []).append(((number, places),))
    for number, thread in compiled.threads.items():
        for word, code in (("twice", "B8"), ("broken", "B5")):
            places = tuple(local for local, spot in enumerate(thread.spots) if spot.where[0] == word)
            if places:
                found.setdefault((code, f"{thread.name} {word}"), []).append(((number, places),))
    for number, component in enumerate(tables.components):
        if number in compiled.parts or number in compiled.threads:
            continue
        for rows in component.rows:
            for row in (row for group in rows.values() for row in group if row.error):
                text = compiled.notes[row.note].text if row.note >= 0 else component.name
                code = "B14" if number in compiled.stores else "B20"
                found.setdefault((code, text), []).append(((number, (row.target,)),))
    for (code, subject), cases in found.items():
        yield Property(code, subject, tuple(dict.fromkeys(cases)))


# ------------------------------------------------------------------------------------------------ where everything rests


class _UndecidedError(Exception):
    """The judge looks at a component whose local state is not decided yet."""


class _Vector(tuple[int, ...]):
    """Local states of which only some are decided."""

    decided: dict[int, int]

    def __getitem__(self, number: object) -> int:  # type: ignore[override]
        assert isinstance(number, int)
        if number not in self.decided:
            raise _UndecidedError(number)
        return self.decided[number]


def _ends(compiled: Compiled, judge: Judge) -> Iterator[Property]:
    """For each thing that the judge finds wrong: the local states for which it does."""
    found: dict[tuple[str, str], dict[Case, None]] = {}
    for probe in _probes(judge):
        for case, wrong in _cases(compiled, probe, {}):
            for code, subject in wrong:
                found.setdefault((code, subject), {})[case] = None
    for (code, subject), cases in sorted(found.items()):
        yield Property(code, subject, tuple(cases), resting=True)


def _probes(judge: Judge) -> Iterator[Judge]:
    """The judge, concerned with one workflow and one entry of its ledger only; it decides about each of them alone."""
    if not judge.roots:
        yield judge
    for number, thread in judge.roots.items():
        entries = judge.deeds[number]
        for own in [entries[n : n + 1] for n in range(len(entries))] or [[]]:
            probe = copy.copy(judge)
            probe.roots = {number: thread}
            probe.deeds = {number: own}
            yield probe


def _cases(compiled: Compiled, judge: Judge, decided: dict[int, int]) -> Iterator[tuple[Case, list[tuple[str, str]]]]:
    """Decide local states one component at a time, as the judge asks for them."""
    vector = _Vector()
    vector.decided = decided
    try:
        wrong = [(code, subject) for code, subject, *_ in judge.ended(vector)]
    except _UndecidedError as asked:
        (number,) = asked.args
        for local in range(compiled.tables.components[number].size):
            yield from _cases(compiled, judge, {**decided, number: local})
        return
    if wrong:
        yield tuple((number, (local,)) for number, local in decided.items()), wrong


# ------------------------------------------------------------------------------------------------ storms, and the good end


def _storms(compiled: Compiled) -> Iterator[Property]:
    for kind in unbounded(compiled.tables):
        yield Property("B4", f"storm {compiled.tables.kinds[kind].name}", storm=kind)


def _reached(compiled: Compiled, judge: Judge) -> Iterator[Property]:
    """The good end, which has to be there if nothing goes wrong."""
    scene = compiled.scene
    places: tuple[int, ...]
    if isinstance(scene.root, Flow):
        if scene.root.success is None or compiled.goals is None:
            return
        number, sets = compiled.goals
        wanted = range(len(scene.root.success.targets))
        enough = all if scene.root.success.mode == "all" else any
        places = tuple(local for local, one in enumerate(sets) if enough(n in one for n in wanted))
    else:
        found = next((n for n, t in judge.roots.items() if t.process.workflow is scene.root), None)
        if found is None or not scene.starts:
            return
        number = found
        spots = judge.roots[number].spots
        places = tuple(local for local, spot in enumerate(spots) if spot.where[0] == "done")
    yield Property("B21", scene.name, (((number, places),),) if places else (), wanted=True)
