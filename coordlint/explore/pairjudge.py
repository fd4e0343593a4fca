"""What a search of a pair scene has found: the anomalies that observers noticed, and locks that wait for each other (B17, B18)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from coordlint.analysis.effects import entity_text
from coordlint.explore.anomalies import NAMES
from coordlint.explore.violation import Violation

if TYPE_CHECKING:
    from coordlint.explore.coupling import Coupled, Observer
    from coordlint.explore.duel import Duel
    from coordlint.explore.product import Turn
    from coordlint.explore.space import Move
    from coordlint.source import Span


def violations(coupled: Coupled, duel: Duel) -> list[Violation]:
    """Every violation, the fewest faults first: one for each anomaly of each entity, and one deadlock."""
    found = [*_anomalies(coupled, duel), *_deadlocks(coupled, duel)]
    found.sort(key=lambda one: (one.faults, len(one.path), one.code, one.subject))
    kept: dict[str, Violation] = {}
    for one in found:
        kept.setdefault(one.subject, one)
    return list(kept.values())


def _anomalies(coupled: Coupled, duel: Duel) -> Iterator[Violation]:
    for known, alarm in duel.alarms.items():
        turns = list(alarm.turns)
        component = _lifted(coupled, known, turns[-1])
        turns = _shortened(duel, turns, lambda turns, wanted=component: wanted in dict(turns[-1].alarms))  # type: ignore[misc]
        observer = coupled.observers[component]
        text, damage = words(coupled, observer)
        subject = f"{' and '.join(names(coupled))} / {entity_text(observer.entity)} / {NAMES[observer.anomaly]}"
        place = _place(coupled, turns[-1], component)
        yield Violation("B17", subject, alarm.layer, text, damage, place, _path(turns))


def _lifted(coupled: Coupled, component: int, turn: Turn) -> int:
    """The observer that is alarmed, or its twin if the run was seen in the mirror."""
    observer = coupled.observers[component]
    twin = observer._replace(hurt=1 - observer.hurt)
    return next(one for one, _ in turn.alarms if coupled.observers[one] in {observer, twin})


def _place(coupled: Coupled, turn: Turn, component: int) -> Span:
    """The step that alarms the observer: it is noted at the row that does."""
    rows = (
        row
        for rows in coupled.tables.components[component].rows
        for row in rows.get(dict(turn.alarms)[component], ())
        if row.error
    )
    return coupled.notes[next(rows).note].span


def _path(turns: list[Turn]) -> tuple[tuple[int, Move], ...]:
    return tuple((0, move) for turn in turns for move in turn.moves)


def _shortened(duel: Duel, turns: list[Turn], shows: Callable[[list[Turn]], bool]) -> list[Turn]:
    """The run without moves that it does not need: each is left out in turn, the last ones first, and the rest replayed."""
    number = len(turns) - 2
    while number >= 0:
        fewer = duel.replayed([*turns[:number], *turns[number + 1 :]])
        if fewer is not None and shows(fewer):
            turns = fewer
        number -= 1
    return turns


def words(coupled: Coupled, observer: Observer) -> tuple[str, str]:
    """The fact and the damage of an anomaly."""
    own, other = _runs(coupled, observer.hurt)
    entity = f"`{entity_text(observer.entity)}`"
    name = NAMES[observer.anomaly]
    if observer.anomaly == "overwritten":
        text = f"{name} of {entity}: {own} can overwrite what {other} has written since it was read"
        damage = f"what {'the other run' if other == 'another' else other} has written to {entity} is lost"
    elif observer.anomaly == "overwriting":
        text = f"{name} of {entity}: undoing {own} can overwrite what {other} has written"
        damage = f"what {'the other run' if other == 'another' else other} has written to {entity} is lost"
    elif observer.anomaly == "dirty":
        text = f"{name} of {entity}: {own} can end well with what {other} takes back"
        damage = f"{own} counts as done on the strength of a state that never came to stay"
    else:
        text = f"{name} of {entity}: {own} can read two different states, as {other} writes in between"
        damage = f"{own} uses two states that were never there together"
    return text, damage


def _deadlocks(coupled: Coupled, duel: Duel) -> Iterator[Violation]:
    """Both runs wait for each other and nothing but a fault helps."""
    if duel.deadlock is None:
        return
    turns = _shortened(duel, list(duel.deadlock.turns), lambda turns: len(coupled.blocked(turns[-1].target[2])) > 1)
    text, damage, place = deadlock(coupled, turns[-1].target[2])
    subject = f"{' and '.join(names(coupled))} / locks"
    yield Violation("B18", subject, duel.deadlock.layer, text, damage, place, _path(turns))


def deadlock(coupled: Coupled, shared: tuple[int, ...]) -> tuple[str, str, Span]:
    """The fact, the damage and the place where each run waits for a lock that the other one holds."""
    waits = coupled.blocked(shared)
    own, other = _runs(coupled, 0)
    held, taken = (f"`{entity_text(coupled.locks[waits[run][0]][0])}`" for run in (1, 0))
    text = f"{own} and {other} can wait for each other's semantic locks for ever: {held} -> {taken} -> {held}"
    damage = f"neither run ever ends, and {held} and {taken} stay locked"
    return text, damage, coupled.requests[waits[0][1]].step.place


def names(coupled: Coupled) -> list[str]:
    """The scenes of the two runs, each once."""
    return list(dict.fromkeys(half.scene.name for half in coupled.halves))


def _runs(coupled: Coupled, run: int) -> tuple[str, str]:
    """How a run and the other one are named."""
    names = [f"workflow `{half.scene.root.name}`" for half in coupled.halves]
    if names[0] == names[1]:
        return f"one run of {names[0]}", "another"
    return names[run], names[1 - run]
