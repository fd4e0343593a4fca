"""An observer for the order of two messages: whether what was sent later can be taken first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from coordlint.explore.joint import held, hold
from coordlint.explore.tables import Component, Kind, Row, Tables
from coordlint.system import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coordlint.explore.scene import Compiled
    from coordlint.explore.tables import Act
    from coordlint.system import Process

OVERTAKEN = 4
"""The local state of the observer in which the earlier message is taken behind the later one."""

_SENT, _SENT_LATER, _TAKEN, _TAKEN_LATER = range(4)
_MOVES: tuple[tuple[int, int, int, int], ...] = (
    (1, 5, 0, 0),  # nothing has happened
    (1, 2, 5, 1),  # the earlier one is under way
    (2, 2, 5, 3),  # both are
    (3, 3, OVERTAKEN, 3),  # the later one is taken
    (OVERTAKEN,) * 4,
    (5,) * 4,  # as it should be
)
"""By local state and what happens: the earlier or the later message is sent, the earlier or the later one is taken."""


def overtaking(
    compiled: Compiled, first: tuple[Message, Process], then: tuple[Message, Process], later: frozenset[Message]
) -> tuple[Compiled, int] | None:
    """The scene with an observer of two messages.

    Args:
        compiled: the scene.
        first: the message that is sent first, and the process that takes it.
        then: the one that is sent behind it, and who takes that.
        later: what begins with these messages is asked for when the first one has been sent.

    Returns:
        The scene, and the number of the observer: its local state `OVERTAKEN` is marked as an error. None if one of the
        messages is not taken in the scene.
    """
    one, other = _kinds(compiled, *first), _kinds(compiled, *then)
    if not one or not other:
        return None
    old = compiled.tables
    number = len(old.components)
    notes: dict[tuple[int, ...], int] = {}

    def told(kind: int, choice: Row | Act) -> tuple[int, ...]:
        events = [_TAKEN] * (kind in one) + [_TAKEN_LATER] * (kind in other)
        events += _sent(choice.emits, one, other)
        if not events:
            return ()
        return (notes.setdefault(tuple(events), len(old.kinds) + len(notes)),)

    components = []
    for component in old.components:
        rows = [
            {
                kind: tuple(row._replace(emits=row.emits + told(kind, row)) for row in group)
                for kind, group in some.items()
            }
            for some in component.rows
        ]
        acts = [tuple(act._replace(emits=act.emits + told(-1, act)) for act in group) for group in component.acts]
        components.append(Component(component.name, component.initial, rows, acts))
    begun = frozenset(old.initial) & one
    waiting = () if begun else held(compiled, later)
    text = f"`{then[0].name}`, which was sent after it, has been taken before it"
    note = compiled.note(text, first[1].place)
    observer = Component("observer", _after(0, _sent(tuple(k for k in old.initial if k not in waiting), one, other)))
    for local in range(len(_MOVES)):
        targets = {kind: _after(local, events) for events, kind in notes.items()}
        observer.rows.append({kind: (_row(local, to, note),) for kind, to in targets.items()})
        observer.acts.append(())
    components.append(observer)
    kinds = [*old.kinds, *(Kind("told", number, urgent=True) for _ in notes)]
    watched = replace(compiled, tables=Tables(components, kinds, old.initial, old.queues))
    if waiting:
        watched = hold(watched, number, later)
        if other & set(waiting):  # what is asked for is the later message itself
            rows = watched.tables.components[number].rows
            rows[0] = {kind: tuple(row._replace(target=2) if row.target == 1 else row for row in group)
                       for kind, group in rows[0].items()}  # fmt: skip
    return watched, number


def _row(local: int, to: int, note: int) -> Row:
    wrong = to == OVERTAKEN != local
    return Row(to, note=note if wrong else -1, error=wrong)


def _after(local: int, events: Iterable[int]) -> int:
    for event in events:
        local = _MOVES[local][event]
    return local


def _sent(emits: tuple[int, ...], one: frozenset[int], other: frozenset[int]) -> list[int]:
    return [_SENT if kind in one else _SENT_LATER for kind in emits if kind in one or kind in other]


def _kinds(compiled: Compiled, message: Message, process: Process) -> frozenset[int]:
    """The kinds by which a message reaches a process."""
    found: set[int] = set()
    for kind, key in compiled.keys().items():
        if key[0] not in {"event", "request"}:
            continue
        to = compiled.tables.kinds[kind].to
        about = compiled.system.actions[key[1]].message if isinstance(key[1], int) and key[1] >= 0 else None
        if message is about or message in key:
            thread, part = compiled.threads.get(to), compiled.parts.get(to)
            taking: set[Process | None] = {thread.process} if thread is not None else set()
            if part is not None:
                taking = {deed.process for deed in part.deeds} | {undoing.process for undoing in part.undoings}
            if process in taking:
                found.add(kind)
    return frozenset(found)
