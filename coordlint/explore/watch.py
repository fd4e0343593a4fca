"""Observers of groups of actions: whether one run comes to both of two, and in which order, or twice to the same.

The reductions keep the local states of every component, so a question about two components becomes a component of its own,
which is told at once and says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from coordlint.explore.tables import Act, Component, Kind, Row, Rows, Tables

if TYPE_CHECKING:
    from coordlint.explore.parts import Part
    from coordlint.explore.scene import Compiled
    from coordlint.system import Action

NEITHER, ONLY_FIRST = 0, 1
"""The local states of the observer in which the other group has not happened."""

FIRST_THEN, THEN_FIRST = 3, 4
"""Those in which both have happened, by what came first."""

ONCE, AGAIN = 1, 2
"""The local states of an observer that counts."""


def watched(
    compiled: Compiled,
    first: frozenset[int],
    then: frozenset[int],
    *,
    breakdowns: bool = False,
    torn: bool = False,
) -> tuple[Compiled, int]:
    """The scene with an observer of two groups of actions.

    Args:
        compiled: the scene.
        first: the one group, as numbers of actions.
        then: the other one.
        breakdowns: a call may also fail although nobody refuses it: the connection breaks, for the price of a fault.
        torn: a handler may also crash between the two where no transaction spans them, for the price of a fault.

    Returns:
        The scene, and the number of the observer: its local states `FIRST_THEN` and `THEN_FIRST` are marked as errors.
    """
    known = len(compiled.notes)
    if torn:
        compiled = _torn(compiled, first, then)
    exact = range(known, len(compiled.notes))
    if breakdowns:
        compiled = _breaking_down(compiled)
    machine = ((1, 2), (1, FIRST_THEN), (THEN_FIRST, 2), None, None)
    return _observed(compiled, (first, then), machine, {FIRST_THEN, THEN_FIRST}, exact)


def counted(compiled: Compiled, group: frozenset[int]) -> tuple[Compiled, int]:
    """The scene with an observer that counts how often a group of actions happens: not yet, `ONCE`, `AGAIN`."""
    return _observed(compiled, (group,), ((ONCE,), (AGAIN,), None), set(), range(0))


def _observed(
    compiled: Compiled,
    groups: tuple[frozenset[int], ...],
    machine: tuple[tuple[int, ...] | None, ...],
    errors: set[int],
    exact: range,
) -> tuple[Compiled, int]:
    """The scene with an observer.

    Args:
        compiled: the scene.
        groups: what it is told of.
        machine: by local state, where each group leads; None where nothing matters any more.
        errors: the local states that are marked.
        exact: the notes of faults whose trails are all that happened.
    """
    old = compiled.tables
    number = len(old.components)
    told = tuple(range(len(old.kinds), len(old.kinds) + len(groups)))
    tracked = _tracked(compiled)
    senders = sources(compiled)

    def heard(component: int, local: int, kind: int, choice: Row | Act) -> tuple[int, ...]:
        if choice.note < 0:
            return ()
        trail = compiled.notes[choice.note].trail
        if not trail:
            return ()
        fault = isinstance(choice, Row) and choice.price > 0 and choice.fault == "publish"
        # Recognised or refused, the actions are those of the first time, but for the events that it repeats.
        again = kind >= 0 and not fault and choice.target == local and (component, kind) in tracked
        out = {action for one in choice.emits for action in senders.get(one, ())}
        found: list[int] = []
        for action in trail:
            if fault and choice.note not in exact:  # it crashed before the rest was out
                done = action in out or compiled.system.actions[action].kind in {"write", "act"}
            else:
                done = action in out or not again
            if done:
                found += [one for one, group in zip(told, groups, strict=True) if action in group]
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
            tuple(act._replace(emits=act.emits + heard(index, local, -1, act)) for act in group)
            for local, group in enumerate(one.acts)
        ]
        components.append(Component(one.name, one.initial, rows, acts))
    observer = Component("observer")
    for moves in machine:
        observer.rows.append(
            {kind: (Row(to, error=to in errors),) for kind, to in zip(told, moves, strict=True)}
            if moves is not None
            else {}
        )
        observer.acts.append(())
    components.append(observer)
    kinds = [*old.kinds, *(Kind(f"group {n + 1}", number, urgent=True) for n in range(len(groups)))]
    return replace(compiled, tables=Tables(components, kinds, old.initial, old.queues)), number


def sources(compiled: Compiled) -> dict[int, frozenset[int]]:
    """The statements that put a kind of message in flight."""
    actions = compiled.system.actions
    by_message: dict[object, set[int]] = {}
    for process in compiled.scene.processes:
        for action in compiled.system.actions_of(process, "emit", "send", "call"):
            by_message.setdefault(action.message, set()).add(action.id)
    found: dict[int, frozenset[int]] = {}
    for key, kind in compiled.kinds.items():
        if key[0] == "request" and isinstance(key[1], int) and key[1] >= 0:
            found[kind] = frozenset((actions[key[1]].id,))
        elif key[0] in {"event", "arrival"}:
            found[kind] = frozenset(by_message.get(key[1], ()))
        elif key[0] in {"goal", "order"}:
            found[kind] = frozenset(by_message.get(key[-1], ()))
    return found


# ------------------------------------------------------------------------------------------------ further faults


def _breaking_down(compiled: Compiled) -> Compiled:
    """The scene in which a call may fail as if it had been refused."""
    old = compiled.tables

    def more(component: int, local: int) -> Iterator[Act]:
        thread = compiled.threads.get(component)
        if thread is None:
            return
        where, action = thread.spots[local].where
        refused = compiled.kinds.get(("no", action)) if where == "call" else None
        if refused is not None:
            for row in old.components[component].rows[local].get(refused, ()):
                yield Act(row.target, row.emits, "early", 1, 0, row.note, row.error)

    components = [
        Component(
            one.name, one.initial, one.rows, [(*acts, *more(index, local)) for local, acts in enumerate(one.acts)]
        )
        for index, one in enumerate(old.components)
    ]
    return replace(compiled, tables=Tables(components, old.kinds, old.initial, old.queues))


def _torn(compiled: Compiled, first: frozenset[int], then: frozenset[int]) -> Compiled:
    """The scene in which a handler may crash between actions of the two groups.

    A crash between a write and a publication is in the tables already. This is the other one, between a publication and a
    write that is rolled back with its transaction.
    """
    old = compiled.tables
    components = list(old.components)
    for number, part in compiled.parts.items():
        one = old.components[number]
        rows: list[Rows] = []
        for local, by_kind in enumerate(one.rows):
            cut = {
                kind: [found for row in group if (found := _cut(compiled, part, local, kind, row, first, then))]
                for kind, group in by_kind.items()
            }
            rows.append({kind: (*group, *cut[kind]) for kind, group in by_kind.items()})
        components[number] = Component(one.name, one.initial, rows, one.acts)
    return replace(compiled, tables=Tables(components, old.kinds, old.initial, old.queues))


def _cut(
    compiled: Compiled, part: Part, local: int, kind: int, row: Row, first: frozenset[int], then: frozenset[int]
) -> Row | None:
    """What is left of a row if the process crashes in front of the first action of `then` that follows one of `first`."""
    trail = compiled.notes[row.note].trail if row.note >= 0 and not row.price else ()
    begun = next((n for n, number in enumerate(trail) if number in first), len(trail))
    stop = next((n for n in range(begun + 1, len(trail)) if trail[n] in then), -1)
    if stop < 0:
        return None
    actions = [compiled.system.actions[number] for number in trail]
    if not set(row.emits).isdisjoint(_sent(part, actions[stop])):
        return None  # the tables have that crash
    sent = {kind for action in actions[:stop] for kind in _sent(part, action)}
    committed = not any(action.kind in {"write", "act"} for action in actions[stop:])
    text = f"the service crashes behind {_words(actions[begun])}, before {_words(actions[stop])}"
    note = compiled.note(text, actions[stop].span, compiled.notes[row.note].facts, trail[:stop])
    emits = tuple(one for one in row.emits if one in sent)
    return Row(row.target if committed else local, emits, 1, part.compiler.redelivers(kind), note)


def _sent(part: Part, action: Action) -> set[int]:
    """The kinds that an action puts in flight."""
    if action.kind == "emit":
        return {kind for way in part.compiler.published(action) for kind in way}
    if action.kind == "send":
        return set(part.compiler.request(action))
    return set(part.compiler.changed(action)) if action.kind == "write" else set()


def _words(action: Action) -> str:
    if action.kind in {"emit", "send"}:
        return f"`{action.kind}s {action.message.name}`"
    words = " ".join(action.span.text.split())
    return f"`{words}`"


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
