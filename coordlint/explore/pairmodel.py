"""A pair scene for another engine: which run everything belongs to, and what must not happen, as conditions over local states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from coordlint.analysis.effects import entity_text
from coordlint.explore.anomalies import NAMES
from coordlint.explore.model import Case, Property, Sides
from coordlint.explore.pairjudge import names

if TYPE_CHECKING:
    from coordlint.explore.coupling import Coupled
    from coordlint.explore.pairspace import PairSpace


def sides(coupled: Coupled, space: PairSpace) -> Sides:
    """Which run the components and kinds of a pair belong to, and when a read is of no use to anybody any more."""
    return Sides(tuple(space.runs), tuple(coupled.owners), coupled.askers, space.blind)


def properties(coupled: Coupled) -> tuple[Property, ...]:
    """The anomalies that an observer may notice, and runs that wait for each other's locks."""
    return (*_anomalies(coupled), *_deadlock(coupled))


def _anomalies(coupled: Coupled) -> Iterator[Property]:
    found: dict[str, list[Case]] = {}
    for number, observer in coupled.observers.items():
        rows = coupled.tables.components[number].rows
        places = {row.target for one in rows for group in one.values() for row in group if row.error}
        subject = f"{' and '.join(names(coupled))} / {entity_text(observer.entity)} / {NAMES[observer.anomaly]}"
        if places:
            found.setdefault(subject, []).append(((number, tuple(sorted(places))),))
    for subject, cases in found.items():
        yield Property("B17", subject, tuple(cases))


def _deadlock(coupled: Coupled) -> Iterator[Property]:
    """Each run waits at a lock that the other one holds."""
    waiting = {
        (number, run): tuple(
            local
            for local, held in enumerate(states)
            if held.holder == 1 - run and any(coupled.requests[kind].run == run for kind in held.waiting)
        )
        for number, (_, states) in coupled.locks.items()
        for run in (0, 1)
    }
    cases = tuple(
        ((one, waiting[one, 0]), (other, waiting[other, 1]))
        for one in coupled.locks
        for other in coupled.locks
        if one != other and waiting[one, 0] and waiting[other, 1]
    )
    if cases:
        yield Property("B18", f"{' and '.join(names(coupled))} / locks", cases, resting=True)
