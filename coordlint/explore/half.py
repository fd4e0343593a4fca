"""One of the two runs of a pair scene: which step of its workflow each row works for, and what it does to shared entities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from coordlint.analysis.effects import Key
from coordlint.explore.anomalies import Touch
from coordlint.explore.parts import DONE, LATE
from coordlint.explore.scene import Compiled
from coordlint.explore.tables import Act, Component, Row

if TYPE_CHECKING:
    from coordlint.explore.coupling import Coupler
    from coordlint.explore.parts import Part
    from coordlint.system import Action, Process

Touches = dict[Key, tuple[Touch, ...]]


class Half:
    """One of the two runs: its tables, and which step of its workflow each of its rows belongs to."""

    def __init__(self, coupler: Coupler, number: int, compiled: Compiled) -> None:
        self.coupler = coupler
        self.number = number
        self.compiled = compiled
        self.system = compiled.system
        self.saga = coupler.pair.sagas[number]
        self.root = self.saga.process
        self.steps = {id(step.step): n for n, step in enumerate(self.saga.steps)}
        self.kinds = {kind: key for key, kind in compiled.kinds.items()}
        self.owners = self._owners()

    def _owners(self) -> dict[Process, tuple[int, bool]]:
        """The steps that handlers work for, through calls of calls, and whether they undo."""
        found: dict[Process, tuple[int, bool]] = {}
        todo: list[tuple[Action, tuple[int, bool]]] = []
        for action in self.system.actions_of(self.root, "call", "send"):
            owner = self.step_of(action)
            if owner is not None:
                todo.append((action, owner))
        for action, owner in todo:
            for process in self.coupler.index.started.get(action.message, ()):
                if process not in found and process is not self.root:
                    found[process] = owner
                    todo += [(call, owner) for call in self.system.actions_of(process, "call")]
        return found

    def step_of(self, action: Action) -> tuple[int, bool] | None:
        """The step that an action of the workflow belongs to, and whether it is part of its compensation."""
        number = self.steps.get(id(action.step))
        return None if number is None else (number, action.region == "compensation")

    def owner(self, kind: int, process: Process) -> tuple[int, bool] | None:
        """The step that a delivery works for."""
        key = self.kinds.get(kind, ("",))
        if key[0] == "request" and isinstance(key[1], int) and key[1] >= 0:
            action = self.system.actions[key[1]]
            if action.process is self.root:
                return self.step_of(action)
        return self.owners.get(process)

    def handlers(self, kind: int) -> list[Process]:
        """The handlers that a request starts."""
        key = self.kinds.get(kind, ("",))
        if key[0] != "request" or not isinstance(key[1], int) or key[1] < 0:
            return []
        message = self.system.actions[key[1]].message
        return [one for one in self.coupler.index.started.get(message, ()) if one in self.compiled.scene.processes]

    def served(self, kind: int) -> tuple[int, bool] | None:
        """The step that a request is made for, and whether it undoes."""
        return next((one for process in self.handlers(kind) if (one := self.owner(kind, process)) is not None), None)

    # -------------------------------------------------------------------------------------------- what a row does

    def touches(self, number: int, local: int, kind: int, choice: Row | Act) -> Touches:
        """What a row or act does to shared entities, in order; heard or not."""
        compiled = self.compiled
        found: dict[Key, list[Touch]] = {}
        trail = compiled.notes[choice.note].trail if choice.note >= 0 else ()
        part = compiled.parts.get(number)
        if part is not None:
            owner = self._executed(part, local, kind, choice.target, trail)
            if owner is not None and owner[1]:
                self._undone(found, owner[0])
            elif owner is not None:
                self._walked(found, kind, trail, atomic=True)
        else:
            self._walked(found, kind, trail)
        thread = compiled.threads.get(number)
        if thread is not None and self.ends(number, local, choice) and thread.spots[choice.target].where[0] == "done":
            for key in self.coupler.pair.shared:
                found.setdefault(key, []).append(Touch("end", -1))
        return {key: tuple(dict.fromkeys(touches)) for key, touches in found.items()}

    def ends(self, number: int, local: int, choice: Row | Act) -> bool:
        """Whether a row or act ends the run, well or not."""
        thread = self.compiled.threads.get(number)
        if thread is None or thread.process is not self.root or thread.parent is not None or choice.target == local:
            return False
        return thread.spots[choice.target].where[0] in {"done", "failed"}

    def _executed(
        self, part: Part, local: int, kind: int, target: int, trail: tuple[int, ...]
    ) -> tuple[int, bool] | None:
        """For which step a handler does something, and whether it undoes; None if it only recognises a repetition."""
        before, after = part.codes[local], part.codes[target]
        process = self.system.actions[trail[0]].process if trail else part.deeds[0].process if part.deeds else None
        undoing = next((one for one in part.undoings if one.process is process), None)
        if undoing is not None:
            gone = [index for index in undoing.of if before[index] in {DONE, LATE} and after[index] != before[index]]
            if undoing.of and not gone:
                return None
        elif any(deed.tracked for deed in part.deeds if deed.process is process) and before == after:
            return None
        if process is None:
            key = self.kinds.get(kind, ("",))
            if key[0] != "request" or not isinstance(key[1], int) or key[1] < 0:
                return None
            return self.step_of(self.system.actions[key[1]])
        return self.owner(kind, process)

    def _walked(
        self, found: dict[Key, list[Touch]], kind: int, trail: tuple[int, ...], *, atomic: bool = False
    ) -> None:
        """What is read and written on the way; a handler that runs in one move and fails leaves nothing written."""
        for number in trail:
            action = self.system.actions[number]
            if action.kind not in {"read", "write"}:
                continue
            owner = self.step_of(action) if action.process is self.root else self.owner(kind, action.process)
            if owner is None:
                continue
            if owner[1]:
                self._undone(found, owner[0])
                continue
            refused = atomic and self.system.actions[trail[-1]].kind == "failed"
            for entity in action.entities:
                key = (entity.store, entity.entity)
                if key in self.coupler.pair.shared and not (refused and action.kind == "write"):
                    step = self.saga.steps[owner[0]]
                    how = self.coupler.isolation(step)
                    what = "read" if action.kind == "read" else "write"
                    touch = Touch(what, owner[0], how, step.compensation.declared)  # type: ignore[arg-type]
                    found.setdefault(key, []).append(touch)

    def _undone(self, found: dict[Key, list[Touch]], number: int) -> None:
        """The compensation of a step takes back whatever the step has written."""
        step = self.saga.steps[number]
        for key in step.effects.writes:
            if key in self.coupler.pair.shared:
                found.setdefault(key, []).append(Touch("undo", number, self.coupler.isolation(step), True))


def choices(component: Component, local: int) -> Iterator[tuple[int, Row | Act]]:
    """The rows of a local state, each with its kind, and then its acts, with -1."""
    for kind, group in component.rows[local].items():
        for row in group:
            yield kind, row
    for act in component.acts[local]:
        yield -1, act


def lanes(compiled: Compiled) -> Iterator[str]:
    """Whose lifeline each component is."""
    for number, component in enumerate(compiled.tables.components):
        if number in compiled.threads:
            yield compiled.threads[number].process.service.name
        elif number in compiled.parts:
            yield compiled.parts[number].name.strip("`")
        else:
            yield component.name
