"""Scenes that are made for a single claim: flows side by side, with the views they build, and entries outside of every flow.

They are there to show runs. Nobody says that both flows are asked for, so no goals are judged in them and nothing is refuted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.scene import Scene, combined, entered, scenes
from coordlint.explore.tables import Component, Row
from coordlint.system import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coordlint.explore.scene import Compiled
    from coordlint.graph import Index
    from coordlint.source import Span
    from coordlint.system import Process, Store

MOST_PAIRS = 4
"""So many pairs of scenes are tried for one claim, the smallest first."""


FAR = 100
"""An entry that leads to a message is looked for behind so many other messages."""


class Both(NamedTuple):
    """A scene in which two things can happen, made of one or two scenes of the design.

    Attributes:
        scene: what is run.
        later: what begins the second one of two.
    """

    scene: Scene
    later: frozenset[Message] = frozenset()


class Joints:
    """The scenes of a design, by what happens in them.

    Args:
        index: of the design's system.
        known: the scenes of the flows, and of the workflows that no flow reaches, where somebody has made them already.
    """

    def __init__(self, index: Index, known: list[Scene] | None = None) -> None:
        self.index = index
        self.scenes = known if known is not None else list(scenes(index))
        self._order = {process: number for number, process in enumerate(index.system.processes)}
        self._entries: dict[Message, Scene | None] = {}
        self._begun: dict[Message, Scene] = {}

    # -------------------------------------------------------------------------------------------- who is in which scene

    def of(self, process: Process) -> list[Scene]:
        """The scenes in which a process takes part."""
        return self._by_process.get(process, [])

    @cached_property
    def _by_process(self) -> dict[Process, list[Scene]]:
        found: dict[Process, list[Scene]] = {}
        for scene in self.scenes:
            for process in scene.processes:
                found.setdefault(process, []).append(scene)
        return found

    def sending(self, message: Message) -> list[Scene]:
        """The scenes in which a message is sent, or with which it begins; that of an entry if it is no flow's."""
        found = self._by_message.get(message)
        if found is not None:
            return found
        entry = self.entry(message)
        return [entry] if entry is not None else []

    @cached_property
    def _by_message(self) -> dict[Message, list[Scene]]:
        found: dict[Message, list[Scene]] = {}
        for scene in self.scenes:
            sent = dict.fromkeys(scene.starts)
            for process in scene.processes:
                for action in self.index.system.actions_of(process, "emit", "send", "call"):
                    sent[action.message] = None
            for message in sent:
                found.setdefault(message, []).append(scene)
        return found

    # -------------------------------------------------------------------------------------------- outside of every flow

    def stray(self, process: Process) -> Scene | None:
        """The scene of the nearest entry that leads to a handler of no flow; None if it is in a scene, or if nobody asks for it."""
        if process.contract or process.service.external or self.of(process):
            return None
        found = [self.entry(use.message) for trigger in process.triggers for use in trigger.uses]
        return next((scene for scene in found if scene is not None and process in scene.processes), None)

    def is_entry(self, scene: Scene) -> bool:
        """Whether it is the scene of an entry that no flow speaks of."""
        return any(scene is one for one in self._begun.values())

    def strays(self, places: Iterable[Span]) -> list[Scene]:
        """The scenes of the handlers of no flow in which some statements stand, each once."""
        found: dict[str, Scene] = {}
        for place in places:
            known = self._strays.get(place.source.path, [])
            number = bisect_right(known, place.start, key=lambda process: process.span.start) - 1
            if number >= 0 and place.end <= known[number].span.end:
                scene = self.stray(known[number])
                found.update({scene.name: scene} if scene is not None else {})
        return list(found.values())

    @cached_property
    def _strays(self) -> dict[str, list[Process]]:
        """The handlers of no flow, by source and in its order."""
        found: dict[str, list[Process]] = {}
        for process in sorted(self.index.system.processes, key=lambda process: process.span.start):
            if process.kind == "handler" and process not in self._by_process:
                found.setdefault(process.span.source.path, []).append(process)
        return found

    def entry(self, message: Message) -> Scene | None:
        """The scene of the nearest message from outside that leads to this one; None if there is none."""
        if message not in self._entries:
            self._entries[message] = self._entry(message)
        return self._entries[message]

    def _entry(self, message: Message) -> Scene | None:
        seen = {message: None}
        todo = [message]
        for one in todo:
            asking = {action.process: None for action in self.index.producers(one) if not action.process.contract}
            inside = [process for process in asking if not _is_outside(process)]
            outside = sorted({process.service.name for process in asking if _is_outside(process)})
            taking = [process for process in self.index.started.get(one, ()) if not process.contract]
            if (outside or not inside) and taking and not one.phantom:
                if one not in self._begun:
                    source = self.index.system.services.get(outside[0]) if outside else None
                    place = min(taking, key=lambda process: process.path).place
                    self._begun[one] = entered(self.index, self._order, one, source, place)
                return self._begun[one]
            for process in sorted(inside, key=lambda process: process.path):
                uses = [use.message for trigger in process.triggers for use in trigger.uses]
                todo += [message for message in dict.fromkeys(uses) if message not in seen]
                seen.update(dict.fromkeys(uses))
            if len(todo) > FAR:
                break
        return None

    # -------------------------------------------------------------------------------------------- two at once

    def together(self, ones: list[Scene], others: list[Scene], keep: frozenset[Process]) -> Iterator[Both]:
        """What shows two things that happen in some scenes: one in which both do, or two of them.

        Args:
            ones: the scenes in which the first one happens.
            others: the scenes in which the second one happens; where two scenes are needed, it is asked for later.
            keep: processes that take part although they only build views.
        """
        known = {id(scene) for scene in others}
        ones, others = sorted(ones, key=_size), sorted(others, key=_size)
        for scene in [scene for scene in ones if id(scene) in known][:MOST_PAIRS]:
            yield Both(combined(self.index, self._order, scene, keep=keep))
        apart = [(one, other) for one in ones[:MOST_PAIRS] for other in others[:MOST_PAIRS]]
        apart = [(one, other) for one, other in apart if set(one.starts).isdisjoint(other.starts)]
        apart.sort(key=lambda pair: (len(pair[0].processes) + len(pair[1].processes), pair[0].name, pair[1].name))
        for one, other in apart[:MOST_PAIRS]:
            yield Both(combined(self.index, self._order, one, other, keep=keep), frozenset(other.starts))

    def feeds(self, one: Scene, other: Scene) -> bool:
        """Whether the design says that a scene comes first: it writes what the other one reads, and not the other way round."""
        return bool(self._touched(one, "write") & self._touched(other, "read")) and not (
            self._touched(other, "write") & self._touched(one, "read")
        )

    def _touched(self, scene: Scene, kind: str) -> set[tuple[Store, str | None]]:
        """The entities that a scene reads or writes, those of its views included."""
        system = self.index.system
        views = {
            process
            for known in scene.processes
            for action in system.actions_of(known, "emit")
            for process in self.index.started.get(action.message, ())
            if not process.contract
        }
        return {
            (use.store, use.entity)
            for process in {*scene.processes, *views}
            for number in process.actions
            if system.actions[number].kind == kind
            for use in system.actions[number].entities
        }


def hold(compiled: Compiled, observer: int, kinds: tuple[int, ...]) -> Compiled:
    """Let messages that are there from the beginning come only when an observer has heard of the first thing it waits for.

    The runs that are left are fewer, and each of them is one of the scene: nobody says when somebody outside asks for something.

    Args:
        compiled: the scene with its observer.
        observer: its number; it leaves the local state 0 when it hears of the first thing.
        kinds: the messages.
    """
    tables = compiled.tables
    old = tables.components[observer]
    rows = list(old.rows)
    rows[0] = {
        kind: tuple(row._replace(emits=(*row.emits, *kinds)) if row.target else row for row in group)
        for kind, group in rows[0].items()
    }
    components = list(tables.components)
    components[observer] = Component(old.name, old.initial, rows, old.acts)
    initial = tuple(kind for kind in tables.initial if kind not in kinds)
    return replace(compiled, tables=replace(tables, components=components, initial=initial))


def successes(compiled: Compiled, observer: int) -> Compiled:
    """Let an observer of two groups hear of the first one only where the handler succeeds: else it has changed nothing."""
    tables, actions = compiled.tables, compiled.system.actions
    first = next(n for n, kind in enumerate(tables.kinds) if kind.to == observer)

    def heard(row: Row) -> Row:
        trail = compiled.notes[row.note].trail if row.note >= 0 and first in row.emits else ()
        failed = any(actions[number].kind == "failed" for number in trail)
        return row._replace(emits=tuple(kind for kind in row.emits if kind != first)) if failed else row

    components = [
        replace(one, rows=[{k: tuple(map(heard, group)) for k, group in rows.items()} for rows in one.rows])
        for one in tables.components
    ]
    return replace(compiled, tables=replace(tables, components=components))


def held(compiled: Compiled, later: frozenset[Message]) -> tuple[int, ...]:
    """The kinds in flight at the beginning by which those messages arrive."""
    keys = compiled.keys()
    return tuple(kind for kind in compiled.tables.initial if any(part in later for part in keys.get(kind, ())
                                                                 if isinstance(part, Message)))  # fmt: skip


def _is_outside(process: Process) -> bool:
    """Whether nothing in the design makes it send what it sends: somebody outside, a service by itself, a timer."""
    return process.service.external or process.kind == "own" or any(one.kind == "timer" for one in process.triggers)


def _size(scene: Scene) -> tuple[int, str]:
    return len(scene.processes), scene.name
