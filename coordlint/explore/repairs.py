"""Which changes make a violation go away: each is tried by another search, and shown only if nothing new is wrong then."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from coordlint.explore.amend import amendments
from coordlint.explore.compiler import compile_scene
from coordlint.explore.judge import Judge
from coordlint.explore.scene import Compiled, Scene, scenes
from coordlint.explore.space import TooManyQueueContentsError
from coordlint.explore.spots import TooLargeError
from coordlint.explore.violation import Violation
from coordlint.system import Message

if TYPE_CHECKING:
    from coordlint.analysis.sagas import Sagas
    from coordlint.explore.search import Search
    from coordlint.graph import Index
    from coordlint.source import Edit
    from coordlint.system import Process

Amended = Callable[[Sequence["Edit"]], "tuple[Index, Sagas] | None"]
"""Reads a design again with some edits."""

MOST_STATES = 5_000
"""What unknown facts could do is looked for in so many states of a scene."""

MOST_REPAIRS = 40
"""So many changes are tried for one violation."""


class Repairs:
    """Tries the repairs of violations: single facts that are flipped, and statements that are written into the source.

    Args:
        index: of the design's system.
        sagas: its orchestrations.
        search: searches a scene with so many faults and states.
        faults: how many are looked at, even for a violation that needs fewer.
        amended: the design with some edits; without it only facts are tried.
    """

    def __init__(
        self, index: Index, sagas: Sagas, search: Callable[[Compiled, int, int], Search], faults: int,
        amended: Amended | None,
    ) -> None:  # fmt: skip
        self.index = index
        self.sagas = sagas
        self.faults = faults
        self._search = search
        self._amended = amended

    def of(
        self, scene: Scene, one: Violation, all_: list[Violation], compiled: Compiled, adverse: frozenset[str] | None,
        *, only: frozenset[str] = frozenset(),
    ) -> tuple[tuple[str, ...], int]:  # fmt: skip
        """Flip one fact at a time and search again: what removes the violation and brings nothing new is a repair."""
        before = {(other.code, subject) for other in all_ for subject in other.subjects}
        found: list[str] = []
        tried = 0
        touched = _touched(compiled, one)
        for name, assumption in compiled.facts.worse.items():
            if not assumption.repair or tried >= MOST_REPAIRS or (only and name not in only):
                continue
            if touched and name.partition("|")[0] not in touched:
                continue  # what the run does not come to leaves it as it is
            tried += 1
            try:
                changed = compile_scene(self.index, scene, adverse, {name: True})
                search = self._search(changed, max(one.faults, self.faults), MOST_STATES * 4)
            except (TooLargeError, TooManyQueueContentsError):
                continue
            left = [other for other in Judge(changed, self.sagas).all(search) if other.code not in {"B6", "B19"}]
            after = {(other.code, subject) for other in left for subject in other.subjects}
            if not search.cut and not any(subject == one.subject for _, subject in after) and after <= before:
                found.append(assumption.repair)
        if not only:
            for amendment in amendments(self.index, compiled, one):
                tried += 1
                if self._amends(scene, one, all_, amendment.edits, adverse):
                    found.append(amendment.text)
        return tuple(dict.fromkeys(found)), tried

    def _amends(
        self, scene: Scene, one: Violation, all_: list[Violation], edits: Sequence[Edit], adverse: frozenset[str] | None
    ) -> bool:
        """Whether the violation is gone, and nothing new there, when the source is changed."""
        changed = self._amended(edits) if self._amended is not None else None
        if changed is None:
            return False
        index, sagas = changed
        again = next((other for other in scenes(index) if other.name == scene.name), None)
        if again is None:
            return False
        try:
            compiled = compile_scene(index, again, adverse)
            search = self._search(compiled, max(one.faults, self.faults), MOST_STATES * 4)
        except (TooLargeError, TooManyQueueContentsError):
            return False
        left = [other for other in Judge(compiled, sagas).all(search) if other.code not in {"B6", "B19"}]
        after = {subject for other in left for subject in _lasting(other)}
        before = {subject for other in all_ for subject in _lasting(other)}
        return not search.cut and not after & set(_lasting(one)[:1]) and after <= before


def _lasting(one: Violation) -> list[tuple[str, str]]:
    """What it is about, in words that an edit elsewhere does not change: without the numbers of statements."""
    places = [one.place, *(also.place for also in one.also)]
    return [
        (re.sub(r"(?<= waits )\d+", "", subject), place.text)
        for subject, place in zip(one.subjects, places, strict=True)
    ]


def _touched(compiled: Compiled, one: Violation) -> set[str]:
    """What a run comes to, as the names of facts begin: processes, services, messages and channels."""
    found: set[str] = set()
    keys = compiled.keys()
    processes: dict[Process, None] = {}
    for _, move in (*one.path, *one.repeats):
        if move.component in compiled.threads:
            processes[compiled.threads[move.component].process] = None
        elif move.component in compiled.stores:
            found.add(f"store {compiled.stores[move.component].name}")
        elif move.component in compiled.parts:
            part = compiled.parts[move.component]
            for process in (*(deed.process for deed in part.deeds), *(one.process for one in part.undoings)):
                processes.update({process: None} if process is not None else {})
            found.update(f"command {deed.message.name}" for deed in part.deeds)
        for said in keys.get(move.kind, ()):
            message = said if isinstance(said, Message) else None
            if message is not None:
                channel = message.channel
                found.update((f"message {message.name}", message.name))
                found.update((f"channel {channel.name}", channel.name) if channel is not None else ())
    for process in processes:
        for action in compiled.system.actions_of(process, "call", "send", "emit"):
            channel = action.message.channel
            found.update((f"message {action.message.name}", action.message.name))
            found.update((f"channel {channel.name}", channel.name) if channel is not None else ())
        found.update((process.path, f"service {process.service.name}", f"from {process.service.name}"))
        for trigger in process.triggers:
            if trigger.via is not None:
                found.update((f"channel {trigger.via.name}", trigger.via.name))
    return found
