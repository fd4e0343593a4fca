"""An observer for two groups of actions: whether one run comes to both, and in which order.

The reductions keep the local states of every component, so a question about two components becomes a component of its own,
which is told at once and says nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from coordlint.explore.tables import Act, Component, Kind, Row, Tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.explore.scene import Compiled

FIRST_THEN, THEN_FIRST = 3, 4
"""The local states of the observer in which both have happened, by what came first."""


def watched(
    compiled: Compiled, first: frozenset[int], then: frozenset[int], *, breakdowns: bool = False
) -> tuple[Compiled, int]:
    """The scene with an observer of two groups of actions.

    Args:
        compiled: the scene.
        first: the one group, as numbers of actions.
        then: the other one.
        breakdowns: a call may also fail although nobody refuses it: the connection breaks, for the price of a fault.

    Returns:
        The scene, and the number of the observer: its local states `FIRST_THEN` and `THEN_FIRST` are marked as errors.
    """
    old = compiled.tables
    number = len(old.components)
    told = len(old.kinds), len(old.kinds) + 1
    tracked = _tracked(compiled)

    def heard(component: int, local: int, kind: int, choice: Row | Act) -> tuple[int, ...]:
        if choice.note < 0:
            return ()
        trail = compiled.notes[choice.note].trail
        if not trail:
            return ()
        if isinstance(choice, Row) and choice.target == local and (component, kind) in tracked:
            return ()  # recognised or refused: the actions are those of the first time
        cut_off = isinstance(choice, Row) and choice.price > 0 and choice.fault == "publish"
        found = []
        for action in trail:
            if cut_off and compiled.system.actions[action].kind not in {"write", "act"}:
                continue  # it crashed before
            if action in first:
                found.append(told[0])
            if action in then:
                found.append(told[1])
        return tuple(dict.fromkeys(found))

    components = []
    for index, one in enumerate(old.components):
        rows = [
            {
                kind: tuple(row._replace(emits=row.emits + heard(index, local, kind, row)) for row in group)
                for kind, group in by_kind.items()
            }
            for local, by_kind in enumerate(one.rows)
        ]
        acts = [
            tuple(
                act._replace(emits=act.emits + heard(index, local, -1, act))
                for act in (*group, *(_breaking_down(compiled, index, local) if breakdowns else ()))
            )
            for local, group in enumerate(one.acts)
        ]
        components.append(Component(one.name, one.initial, rows, acts))
    observer = Component("observer")
    for moves in ((1, 2), (1, FIRST_THEN), (THEN_FIRST, 2), None, None):
        observer.rows.append(
            {kind: (Row(to, error=to > 2),) for kind, to in zip(told, moves, strict=True)} if moves is not None else {}
        )
        observer.acts.append(())
    components.append(observer)
    kinds = [*old.kinds, Kind("first", number, urgent=True), Kind("then", number, urgent=True)]
    return replace(compiled, tables=Tables(components, kinds, old.initial, old.queues)), number


def _breaking_down(compiled: Compiled, component: int, local: int) -> Iterator[Act]:
    """A call that fails as if it had been refused."""
    thread = compiled.threads.get(component)
    if thread is None:
        return
    where, action = thread.spots[local].where
    refused = compiled.kinds.get(("no", action)) if where == "call" else None
    if refused is not None:
        for row in compiled.tables.components[component].rows[local].get(refused, ()):
            yield Act(row.target, row.emits, "early", 1, 0, row.note, row.error)


def _tracked(compiled: Compiled) -> set[tuple[int, int]]:
    """The deliveries whose repetitions a participant can tell, as (component, kind)."""
    actions = compiled.system.actions
    found = set()
    for key, kind in compiled.kinds.items():
        to = compiled.tables.kinds[kind].to
        if to not in compiled.parts:
            continue
        message = None
        if key[0] == "request" and isinstance(key[1], int):
            message = actions[key[1]].message if key[1] >= 0 else key[2]
        elif key[0] == "event":
            message = key[1]
        part = compiled.parts[to]
        deeds = [deed for deed in part.deeds if deed.message is message]
        undone = any(undoing.message is message for undoing in part.undoings)
        if undone or (deeds and all(deed.tracked for deed in deeds)):
            found.add((to, kind))
    return found
