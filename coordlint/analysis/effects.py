"""What processes do: which state they change, whether they can fail for a business reason, and what a failure sets going."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple, TypeAlias

from coordlint.analysis.soundness import Enclosing, structure
from coordlint.graph import Index
from coordlint.system import Action, EntityUse, Process, Service, Store, System

Key: TypeAlias = tuple[Store, str | None]
"""An entity of a store; None for the store as a whole."""


class Effects(NamedTuple):
    """What something does to state.

    Attributes:
        writes: the entities written, each with the action that writes it first.
        acts: effects outside the data, as actions.
        reads: the entities read.
        known: nothing that takes part was left without a body.
        passive: something takes part that says it only reads, informs people or builds a view.
    """

    writes: dict[Key, Action]
    acts: tuple[Action, ...]
    reads: dict[Key, Action]
    known: bool
    passive: bool

    @property
    def changes(self) -> bool:
        """Whether a change of state is declared."""
        return bool(self.writes or self.acts)

    @property
    def services(self) -> set[Service]:
        """The services that change something."""
        return {action.process.service for action in (*self.writes.values(), *self.acts)}

    @property
    def shown(self) -> Action | None:
        """The first effect, for a label."""
        return next(iter((*self.acts, *self.writes.values())), None)


class Conduct:
    """What each process of a system does and how it can end. What is asked for is computed once."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.system: System = index.system
        self._effects: dict[Process, Effects] = {}
        self._reached: dict[Process, set[int]] = {}
        self._doomed: dict[Process, set[int]] = {}
        self._predecessors: dict[Process, dict[int, list[int]]] = {}
        self._structure: dict[Process, dict[int, tuple[Enclosing, ...]]] = {}

    def answering(self, request: Action) -> list[Process]:
        """The declared processes that take a call or send, of the service it names if that is one of them."""
        handlers = [process for process in self.index.handlers(request.message) if not process.contract]
        if request.use.service is not None:
            return [process for process in handlers if process.service is request.use.service] or handlers
        return handlers

    def before(self, process: Process) -> dict[int, list[int]]:
        """For each action of a process, the actions that control comes from."""
        if process not in self._predecessors:
            before: dict[int, list[int]] = {}
            for number in process.actions:
                for edge in self.system.actions[number].edges:
                    before.setdefault(edge.target, []).append(number)
            self._predecessors[process] = before
        return self._predecessors[process]

    def structure(self, process: Process) -> dict[int, tuple[Enclosing, ...]]:
        """The blocks around each action of a process."""
        if process not in self._structure:
            self._structure[process] = structure(self.system, process)
        return self._structure[process]

    # -------------------------------------------------------------------------------------------- effects

    def effects(self, process: Process) -> Effects:
        """What a process and those it calls, directly and indirectly, do when all goes well."""
        if process not in self._effects:
            writes: dict[Key, Action] = {}
            reads: dict[Key, Action] = {}
            acts: dict[Action, None] = {}
            known, passive = True, False
            for one in self.called(process):
                informs = one.fact("projection").declared or one.fact("notifies").declared
                passive = passive or informs
                known = known and (informs or self.has_body(one))
                for action in self.system.actions_of(one, "read", "write", "act"):
                    if action.region not in {"main", "fallback"} or action.id not in self.reached(one):
                        continue
                    if action.kind == "act" and not informs:
                        acts[action] = None
                    elif action.kind == "read" or not informs:
                        _note(reads if action.kind == "read" else writes, action)
            self._effects[process] = Effects(writes, tuple(acts), reads, known, passive)
        return self._effects[process]

    def called(self, process: Process) -> list[Process]:
        """The process and those it calls, directly and indirectly, when all goes well."""
        found = {process: None}
        stack = [process]
        while stack:
            for action in self.system.actions_of(stack.pop(), "call"):
                if action.region in {"main", "fallback"}:
                    for callee in self.answering(action):
                        if callee not in found:
                            found[callee] = None
                            stack.append(callee)
        return list(found)

    def has_body(self, process: Process) -> bool:
        """Whether it is said what the process does; no statement means that it was left out."""
        return any(
            self.system.actions[number].kind not in {"start", "end", "failed"} for number in process.actions
        ) and all(self.is_known(action) for action in self.system.actions_of(process, "call"))

    def is_known(self, request: Action) -> bool:
        """Whether it is said what a request does: a query changes nothing, a command needs a handler."""
        return request.message.kind == "query" or bool(self.answering(request))

    def effects_of(self, actions: Iterable[Action]) -> Effects:
        """What those actions and the handlers of their requests do when all goes well."""
        writes: dict[Key, Action] = {}
        reads: dict[Key, Action] = {}
        acts: dict[Action, None] = {}
        known, passive = True, False
        for action in actions:
            if action.kind == "act":
                acts[action] = None
            elif action.kind in {"read", "write"}:
                _note(reads if action.kind == "read" else writes, action)
            elif action.kind in {"call", "send"}:
                known = known and self.is_known(action)
                for handler in self.answering(action):
                    effects = self.effects(handler)
                    for key, source in effects.writes.items():
                        writes.setdefault(key, source)
                    for key, source in effects.reads.items():
                        reads.setdefault(key, source)
                    acts.update(dict.fromkeys(effects.acts))
                    known = known and effects.known
                    passive = passive or effects.passive
        return Effects(writes, tuple(acts), reads, known, passive)

    def causes_more(self, actions: Iterable[Action]) -> bool:
        """Whether those actions, or a handler that they call, send or publish something whose effects are not their own."""
        for action in actions:
            if action.kind == "emit":
                return True
            if action.kind in {"call", "send"}:
                for handler in self.answering(action):
                    for process in self.called(handler):
                        if next(self.system.actions_of(process, "send", "emit"), None) is not None:
                            return True
        return False

    # -------------------------------------------------------------------------------------------- failing

    @cached_property
    def failing(self) -> dict[Process, Action]:
        """The processes that can fail for a declared business reason, with the ``fails`` it goes back to.

        A ``0% fails`` never happens. A failure passes on to callers that neither handle it nor go on without the answer.
        """
        found: dict[Process, Action] = {}
        pending = []
        for process in self.system.processes:
            own = next((a for a in self.system.actions_of(process, "fail") if a.id in self.reached(process)), None)
            if own is not None:
                found[process] = own
                pending.append(process)
        while pending:
            process = pending.pop()
            for trigger in process.triggers:
                for use in trigger.uses:
                    for call in self.index.senders.get(use.message, ()):
                        caller = call.process
                        if call.kind != "call" or caller in found or process not in self.answering(call):
                            continue
                        if call.id in self.reached(caller) and self.breaks(call, {"failure"}):
                            found[caller] = found[process]
                            pending.append(caller)
        return found

    def can_succeed(self, process: Process) -> bool:
        """Whether a run can end well."""
        return process.actions[-1] in self.reached(process)

    def reached(self, process: Process) -> set[int]:
        """The actions that control can reach, over edges that are not declared to have no chance."""
        if process not in self._reached:
            seen = {process.start}
            stack = [process.start]
            while stack:
                for edge in self.system.actions[stack.pop()].edges:
                    if edge.target not in seen and edge.chance != 0:
                        seen.add(edge.target)
                        stack.append(edge.target)
            self._reached[process] = seen
        return self._reached[process]

    def doomed(self, process: Process) -> set[int]:
        """The actions from which the process cannot end well any more."""
        if process not in self._doomed:
            before = self.before(process)
            well, stack = {process.actions[-1]}, [process.actions[-1]]
            while stack:
                for number in before.get(stack.pop(), ()):
                    if number not in well:
                        well.add(number)
                        stack.append(number)
            self._doomed[process] = set(process.actions) - well
        return self._doomed[process]

    def breaks(self, action: Action, kinds: set[str]) -> bool:
        """Whether one of those ways out of an action can end the process in failure, and is not answered by a block."""
        return any(self.leads_to_failed(edge.target) for edge in action.edges if edge.kind in kinds)

    def leads_to_failed(self, target: int) -> bool:
        """Whether a block that begins there, or the undoing, ends the process in failure when its own calls go well."""
        seen, stack = {target}, [target]
        while stack:
            action = self.system.actions[stack.pop()]
            if action.kind == "failed":
                return True
            if action.region == "main":
                continue
            for edge in action.edges:
                if edge.target not in seen and (action.kind != "call" or edge.kind not in {"failure", "timeout"}):
                    seen.add(edge.target)
                    stack.append(edge.target)
        return False

    def aside(self, targets: Iterable[int]) -> list[int]:
        """What runs from there on outside the main course, and the end in failure; in the order of discovery."""
        found: dict[int, None] = {}
        stack = list(targets)
        while stack:
            number = stack.pop()
            action = self.system.actions[number]
            if number in found or (action.region == "main" and action.kind != "failed"):
                continue
            found[number] = None
            stack += [edge.target for edge in action.edges]
        return list(found)


def _note(table: dict[Key, Action], action: Action) -> None:
    for use in action.entities:
        if not use.store.phantom:
            table.setdefault((use.store, use.entity), action)


def same_entity(key: Key, keys: Iterable[Key]) -> bool:
    """Whether one of the keys names that entity, or its store as a whole."""
    store, entity = key
    known = keys if isinstance(keys, frozenset) else frozenset(keys)
    if key in known or (store, None) in known:
        return True
    return entity is None and any(other is store for other, _ in known)


def entity_text(key: Key) -> str:
    """``OrdersDb.orders``, or the store's name."""
    store, entity = key
    return EntityUse(store, entity, store.place).text
