"""An observer for the order of two messages: whether what was sent first can be taken last, or what was asked for first be sent last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from coordlint.explore.joint import held, hold
from coordlint.explore.tables import Component, Kind, Row, Tables
from coordlint.system import Message

if TYPE_CHECKING:
    from coordlint.explore.scene import Compiled
    from coordlint.explore.tables import Act
    from coordlint.system import Process

OVERTAKEN = 4
"""The local state of the observer in which the first message is taken behind the other one."""

_BEGUN, _SENT, _SENT_LATER, _TAKEN, _TAKEN_LATER = range(5)
_MISSED = 5
_ON_THE_WAY = (
    (0, 1, _MISSED, 0, 0),  # nothing has happened
    (1, 1, 2, _MISSED, 1),  # the first one is under way
    (2, 2, 2, _MISSED, 3),  # both are
    (3, 3, 3, OVERTAKEN, 3),  # the other one is taken
    (OVERTAKEN,) * 5,
    (_MISSED,) * 5,
)
_AT_THE_SOURCE = (
    (1, _MISSED, _MISSED, _MISSED, _MISSED),  # nothing has happened
    (1, _MISSED, 2, _MISSED, _MISSED),  # what leads to the first one has begun
    (2, 2, 2, _MISSED, 3),  # the other one is sent before the first
    (3, 3, 3, OVERTAKEN, 3),  # and taken before it
    (OVERTAKEN,) * 5,
    (_MISSED,) * 5,
)
"""By local state and event: what leads to the first message begins, the first or the other one is sent, one of them is taken."""


def overtaking(
    compiled: Compiled,
    first: tuple[Message, Process],
    then: tuple[Message, Process],
    begins: frozenset[Message],
    later: frozenset[Message],
    *,
    apart: bool,
) -> tuple[Compiled, int] | None:
    """The scene with an observer of two messages.

    Args:
        compiled: the scene.
        first: the message that ought to come first, and the process that takes it.
        then: the one that ought to come behind it, and who takes that.
        begins: the messages that lead to the first one.
        later: what begins with these messages is asked for later: when the first message is sent, or, unless they are `apart`,
            when what leads to it has begun.
        apart: see `coordlint.finding.Overtaking`.

    Returns:
        The scene, and the number of the observer: its local state `OVERTAKEN` is marked as an error. None if one of the
        messages is not taken in the scene.
    """
    one, other = _kinds(compiled, *first), _kinds(compiled, *then)
    if not one or not other:
        return None
    moves = _ON_THE_WAY if apart else _AT_THE_SOURCE
    old = compiled.tables
    number = len(old.components)
    begun = frozenset(held(compiled, begins))
    waiting = frozenset(held(compiled, later)) if one.isdisjoint(old.initial) else frozenset[int]()
    notes: dict[tuple[int, ...], int] = {}

    def after(local: int, events: Iterable[int]) -> int:
        for event in events:
            local = moves[local][event]
            if local == 1 and not other.isdisjoint(waiting):  # what is asked for then is the other message itself
                local = 2
        return local

    def sent(kinds: Iterable[int]) -> list[int]:
        return [_SENT if kind in one else _SENT_LATER for kind in kinds if kind in one or kind in other]

    def told(kind: int, choice: Row | Act) -> tuple[int, ...]:
        events = [_BEGUN] * (kind in begun) + [_TAKEN] * (kind in one) + [_TAKEN_LATER] * (kind in other)
        events += sent(choice.emits)
        return (notes.setdefault(tuple(events), len(old.kinds) + len(notes)),) if events else ()

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
    observer = Component("observer", after(0, sent(kind for kind in old.initial if kind not in waiting)))
    text = f"`{then[0].name}`, which was {'sent' if apart else 'asked for'} after it, has been taken before it"
    note = compiled.note(text, first[1].place)
    for local in range(len(moves)):
        row = {kind: Row(after(local, events)) for events, kind in notes.items()}
        if local != OVERTAKEN:
            row = {k: one._replace(note=note, error=True) if one.target == OVERTAKEN else one for k, one in row.items()}
        observer.rows.append({kind: (one,) for kind, one in row.items()})
        observer.acts.append(())
    components.append(observer)
    kinds = [*old.kinds, *(Kind("told", number, urgent=True) for _ in notes)]
    watched = replace(compiled, tables=Tables(components, kinds, old.initial, old.queues))
    return hold(watched, number, tuple(sorted(waiting))), number


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
