"""Remembers which scenes short runs found nothing in, so that a check looks again only at those that have changed.

A scene is known by a hash of its tables and of every fact about what takes part in it; comments, layout and the rest of the
design do not matter. Only scenes without a violation are kept: what is wrong is run anew, to be told.
"""

from __future__ import annotations

import hashlib
import marshal
from typing import TYPE_CHECKING, Any, NamedTuple

from coordlint import cache
from coordlint.source import Span
from coordlint.system import Flow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coordlint.explore.scene import Compiled
    from coordlint.graph import Index
    from coordlint.system import Action, Fact, Message, Process


class Known(NamedTuple):
    """What is known about a scene without a violation: states searched, complete for so many faults, limit reached."""

    states: int
    complete: int
    cut: bool


class Memory:
    """The memory of one design.

    Args:
        root: the design's file.
        settings: what the runs depend on.
    """

    def __init__(self, root: str, settings: object) -> None:
        self._name = cache.key("scenes", root, settings)
        self._before = cache.recall(self._name)
        self._now: dict[str, tuple[int, int, bool]] = {}

    def get(self, scene: str) -> Known | None:
        """What is known about the scene with that hash."""
        found = self._before.get(scene)
        if found is None:
            return None
        self._now[scene] = found
        return Known(*found)

    def put(self, scene: str, known: Known) -> None:
        """Keep what is known about a scene."""
        self._now[scene] = (known.states, known.complete, known.cut)

    def save(self) -> None:
        """Write it down, without the scenes that are no longer part of the design."""
        if self._now != self._before:
            cache.remember(self._name, self._now)


def fingerprint(compiled: Compiled, index: Index) -> str:
    """The hash of a scene."""
    tables = compiled.tables
    numbers = sorted(number for process in compiled.scene.processes for number in process.actions)
    rank = {number: place for place, number in enumerate(numbers)}
    whole = (
        [(one.initial, [sorted(rows.items()) for rows in one.rows], one.acts) for one in tables.components],
        tables.kinds,
        tables.initial,
        tables.queues,
        [(note.facts, [rank.get(number, -1) for number in note.trail]) for note in compiled.notes],
        list(_facts(compiled, index)),
    )
    return hashlib.sha256(marshal.dumps(_bare(whole), 2)).hexdigest()


def _bare(value: Any) -> Any:
    """The same with plain tuples and lists, which is all that `marshal` knows."""
    if isinstance(value, tuple):
        return tuple([_bare(one) for one in value])
    return [_bare(one) for one in value] if isinstance(value, list) else value


def _facts(compiled: Compiled, index: Index) -> Iterator[object]:
    """Every fact about the participants of a scene, in the order of the model."""
    scene, system = compiled.scene, index.system
    yield scene.name
    root = scene.root
    if isinstance(root, Flow):
        yield repr([_plain(goal.targets) for goal in (root.success, root.failure) if goal is not None])
        yield repr([(order.first.message.name, order.then.message.name) for order in root.orders])
    processes = dict.fromkeys(scene.processes)
    messages: dict[Message, None] = {}
    for process in scene.processes:
        for action in system.actions_of(process, "call", "send", "emit"):
            messages[action.message] = None
            processes.update(dict.fromkeys(index.started.get(action.message, ())))
    for process in processes:
        yield from _process(process, system.actions)
    for message in messages:
        yield message.name, _all(message.facts), _all(message.channel.facts) if message.channel is not None else ()


def _process(process: Process, actions: list[Action]) -> Iterator[object]:
    yield process.path, process.kind, _all(process.facts), _all(process.service.facts), _all(process.service.calls)
    first = process.start
    for number in process.actions:
        action = actions[number]
        step = action.step
        yield (
            action.kind, action.region, action.mode, action.text, _all(action.facts), action.delay, action.limit,
            _plain((action.uses, action.entities, action.within, action.by)),
            [(edge.kind, edge.target - first) for edge in action.edges],
            (step.label, _all(step.facts), [n - first for n in step.compensation]) if step is not None else (),
        )  # fmt: skip


def _all(facts: Mapping[str, Fact]) -> list[tuple[str, str, str]]:
    return [(name, fact.state, _plain(fact.value)) for name, fact in sorted(facts.items())]


def _plain(value: object) -> str:
    """A value as text: elements by their names."""
    if isinstance(value, (str, int, float, bool)) or value is None:
        return repr(value)
    if isinstance(value, Span):
        return ""
    if isinstance(value, (tuple, list)):
        return repr([_plain(one) for one in value])
    return str(getattr(value, "name", type(value).__name__))
