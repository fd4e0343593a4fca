"""What a search of a pair scene has found: the anomalies that observers noticed, and locks that wait for each other (B17, B18)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from coordlint.analysis.effects import entity_text
from coordlint.explore.anomalies import NAMES
from coordlint.explore.judge import Violation
from coordlint.explore.pairspace import PairSearch, lifted

if TYPE_CHECKING:
    from coordlint.explore.coupling import Coupled, Observer


def violations(coupled: Coupled, search: PairSearch) -> list[Violation]:
    """Every violation, the fewest faults first: one for each anomaly of each entity, and one deadlock."""
    found = [*_anomalies(coupled, search), *_deadlocks(coupled, search)]
    found.sort(key=lambda one: (one.faults, len(one.path), one.code, one.subject))
    kept: dict[str, Violation] = {}
    for one in found:
        kept.setdefault(one.subject, one)
    return list(kept.values())


def _anomalies(coupled: Coupled, search: PairSearch) -> Iterator[Violation]:
    for (component, _), hit in search.hits.items():
        observer = coupled.observers.get(component)
        if observer is None or hit.move.choice is None:
            continue
        path = lifted(search.space, [*search.path(hit.before), (hit.before, hit.move)])
        if path[-1][1].component != component:  # seen in the mirror
            observer = coupled.observers[path[-1][1].component]
        place = coupled.notes[hit.move.choice.note].span
        text, damage = _words(coupled, observer)
        subject = f"{' and '.join(_names(coupled))} / {entity_text(observer.entity)} / {NAMES[observer.anomaly]}"
        yield Violation("B17", subject, hit.layer, text, damage, place, tuple(path))


def _words(coupled: Coupled, observer: Observer) -> tuple[str, str]:
    """The fact and the damage."""
    own, other = _runs(coupled, observer.hurt)
    entity = f"`{entity_text(observer.entity)}`"
    name = NAMES[observer.anomaly]
    if observer.anomaly == "overwritten":
        text = f"{name} of {entity}: {own} can overwrite what {other} has written since it was read"
        damage = f"the update by {other} is lost"
    elif observer.anomaly == "overwriting":
        text = f"{name} of {entity}: undoing {own} can overwrite what {other} has written"
        damage = f"the update by {other} is lost"
    elif observer.anomaly == "dirty":
        text = f"{name} of {entity}: {own} can end well with what {other} takes back"
        damage = f"{own} counts as done on the strength of a state that never came to stay"
    else:
        text = f"{name} of {entity}: {own} can read two different states, as {other} writes in between"
        damage = f"{own} uses two states that were never there together"
    return text, damage


def _deadlocks(coupled: Coupled, search: PairSearch) -> Iterator[Violation]:
    if len(coupled.locks) < 2:
        return
    resting = list(search.terminals)
    if not search.cut:
        resting += search.livelocks()
    for state in resting:
        waits = _waits(coupled, search, state)
        if len(waits) < 2:
            continue
        path = lifted(search.space, search.path(state))
        end = path[-1][1].target if path else state
        waits = _waits(coupled, search, end)
        (first, step), (second, _) = waits[0], waits[1]
        own, other = _runs(coupled, 0)
        held, taken = f"`{entity_text(coupled.locks[second][0])}`", f"`{entity_text(coupled.locks[first][0])}`"
        text = f"{own} and {other} can wait for each other's semantic locks for ever: {held} -> {taken} -> {held}"
        damage = "neither run ever ends, and what they have locked stays locked"
        subject = f"{' and '.join(_names(coupled))} / locks"
        place = coupled.requests[step].step.place
        yield Violation("B18", subject, search.layers[state], text, damage, place, tuple(path))
        return


def _waits(coupled: Coupled, search: PairSearch, state: int) -> dict[int, tuple[int, int]]:
    """For each run that waits for a lock that the other one holds: the lock, and the request that waits."""
    found: dict[int, tuple[int, int]] = {}
    for number, (_, states) in coupled.locks.items():
        held = states[search.space.local(state, number)]
        for kind in held.waiting:
            run = coupled.requests[kind].run
            if held.holder == 1 - run:
                found.setdefault(run, (number, kind))
    return found


def _names(coupled: Coupled) -> list[str]:
    return list(dict.fromkeys(half.scene.name for half in coupled.halves))


def _runs(coupled: Coupled, run: int) -> tuple[str, str]:
    """How a run and the other one are named."""
    names = [f"workflow `{half.scene.root.name}`" for half in coupled.halves]
    if names[0] == names[1]:
        return f"one run of {names[0]}", "another"
    return names[run], names[1 - run]
