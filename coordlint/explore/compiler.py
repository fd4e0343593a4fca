"""Compiles a scene: who consumes what, over which channels, and what the facts of the design make of every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from coordlint.explore.carriage import Carriage
from coordlint.explore.conduct import changes_something
from coordlint.explore.parts import ONCE, Course, Deed, Gathering, Part, Undoing
from coordlint.explore.scene import Compiled, Facts, Scene, is_atomic
from coordlint.explore.tables import Component, Row, Tables
from coordlint.explore.threads import Thread
from coordlint.system import Action, Flow, Message, MessageUse, Process

if TYPE_CHECKING:
    from coordlint.graph import Index
    from coordlint.source import Span

COURSES = 64
"""So many ways through one handler are told apart."""


def compile_scene(
    index: Index,
    scene: Scene,
    adverse: frozenset[str] | None = frozenset(),
    changed: Mapping[str, bool] | None = None,
) -> Compiled:
    """The tables of a scene.

    Args:
        index: of the design's system.
        scene: what to compile.
        adverse: the unknown facts that are taken for absent, by name; None for all of them.
        changed: facts taken for the other value than declared: repairs that are tried.

    Raises:
        TooLargeError: a component has too many local states.
    """
    return Compiler(index, scene, Facts(adverse, changed)).run()


class Compiler(Carriage):
    """One compilation."""

    def __init__(self, index: Index, scene: Scene, facts: Facts) -> None:
        self.index = index
        self.system = index.system
        self.scene = scene
        self.facts = facts
        self.out = Compiled(scene, facts, self.system, Tables())
        self.members = set(scene.processes)
        self.homes: dict[Process, int] = {}
        self.parts: list[Part | Gathering] = []
        self.strangers: dict[Message, int] = {}
        self.callers: dict[Message, list[Action]] = {}
        self.emitters: dict[Message, list[Action]] = {}
        self.waits: dict[Message, list[int]] = {}
        self.keys: dict[int, Message] = {}
        self.markers: dict[tuple[str, Process], Message] = {}
        self._queues: dict[tuple[str, int], list[int]] = {}
        self._courses: dict[tuple[Process | None, Message], list[Course]] = {}
        self._fences: dict[Process, tuple[bool, tuple[str, ...]]] = {}
        self._repeating = _loops(scene, index)

    def run(self) -> Compiled:
        """Compile."""
        for process in self.scene.processes:
            for action in self.system.actions_of(process):
                if action.kind in {"call", "send"}:
                    self.callers.setdefault(action.message, []).append(action)
                elif action.kind == "emit":
                    self.emitters.setdefault(action.message, []).append(action)
        threads = self._threads()
        self._participants()
        self._observers()
        for message, actions in self.callers.items():
            handled = any(process in self.members for process in self.index.started.get(message, ()))
            if not handled and not self.waits.get(message):
                self._stranger(message, actions[0])
        for thread in threads:
            thread.build(self.out.tables.components[thread.number])
        for part in self.parts:
            part.build(self.out.tables.components[part.number])
        self.out.tables.initial = self._initial()
        self._order()
        for component in self.out.tables.components:
            if not component.rows:
                component.rows.append({})
                component.acts.append(())
        return self.out

    def note(self, text: str, span: Span, facts: tuple[str, ...] = (), trail: tuple[int, ...] = ()) -> int:
        """The number of a new note."""
        return self.out.note(text, span, facts, trail)

    # -------------------------------------------------------------------------------------------- components

    def _component(self, name: str) -> int:
        self.out.tables.components.append(Component(name))
        return len(self.out.tables.components) - 1

    def _threads(self) -> list[Thread]:
        found: list[Thread] = []
        for process in self.scene.processes:
            if is_atomic(process, self.system):
                continue
            thread = Thread(self, self._component(process.name), process)
            self.homes[process] = thread.number
            self.out.threads[thread.number] = thread
            found.append(thread)
            for action in self.system.actions_of(process, "await"):
                for use in action.uses:
                    numbers = self.waits.setdefault(use.message, [])
                    if thread.number not in numbers:
                        numbers.append(thread.number)
            found += self._branches(thread, thread.entry, -1)
        return found

    def _branches(self, parent: Thread, entry: int, stop: int) -> list[Thread]:
        """The branch threads of the forks that a thread comes to, nested ones included."""
        found: list[Thread] = []
        stack, seen = [entry], {entry}
        actions = self.system.actions
        while stack:
            number = stack.pop()
            action = actions[number]
            targets = [edge.target for edge in action.edges]
            if action.kind == "fork" and action.region != "compensation":
                join = self._join_of(action)
                parent.branches[number] = []
                for branch, edge in enumerate(action.edges):
                    one = Thread(
                        self, self._component(f"{parent.process.name} branch {branch + 1}"), parent.process, parent
                    )
                    one.entry, one.join, one.fork = edge.target, join, number
                    self.out.threads[one.number] = one
                    parent.branches[number].append(one)
                    found.append(one)
                    found += self._branches(one, edge.target, join)
                    for wait in self.system.actions_of(parent.process, "await"):
                        for use in wait.uses:
                            numbers = self.waits.setdefault(use.message, [])
                            if one.number not in numbers and wait.id in self._inside(edge.target, join):
                                numbers.append(one.number)
                targets = [join] if join >= 0 else []
            for target in targets:
                if target not in seen and target != stop:
                    seen.add(target)
                    stack.append(target)
        return found

    def _join_of(self, fork: Action) -> int:
        """The join that belongs to a fork: the first one that the first branch comes to outside of nested forks."""
        actions = self.system.actions
        for first in fork.edges:
            stack, seen = [(first.target, 0)], set()
            while stack:
                number, depth = stack.pop()
                if (number, depth) in seen:
                    continue
                seen.add((number, depth))
                action = actions[number]
                if action.kind == "join" and depth == 0:
                    return number
                depth += (action.kind == "fork") - (action.kind == "join")
                stack += [(e.target, depth) for e in action.edges if actions[e.target].region == fork.region]
        return -1

    def _participants(self) -> None:
        atomic = [process for process in self.scene.processes if process not in self.homes]
        undoes = self._compensators(atomic)
        group = {process: process for process in atomic}

        def root(process: Process) -> Process:
            while group[process] is not process:
                process = group[process]
            return process

        for undoing, targets in undoes.items():
            for target in targets:
                group[root(undoing)] = root(target)
        members: dict[Process, list[Process]] = {}
        for process in atomic:
            members.setdefault(root(process), []).append(process)
        for processes in members.values():
            first = processes[0]
            if (
                len(processes) == 1
                and first.triggers
                and first.triggers[0].mode == "all"
                and len(first.triggers[0].uses) > 1
            ):
                gathering = Gathering(self, self._component(first.service.name), first)
                self.homes[first] = gathering.number
                self.parts.append(gathering)
                self.out.gatherings.append(gathering)
                continue
            number = self._component(first.service.name)
            for process in processes:
                self.homes[process] = number
            deeds = [deed for process in processes if process not in undoes for deed in self._deeds(process)]
            undoings = []
            for process in processes:
                if process in undoes:
                    of = tuple(n for n, deed in enumerate(deeds) if deed.process in undoes[process] and deed.tracked)
                    undoings += [Undoing(process, use.message, of) for t in process.triggers for use in t.uses]
            part = Part(self, number, deeds, undoings)
            self.parts.append(part)
            self.out.parts[number] = part

    def _compensators(self, atomic: list[Process]) -> dict[Process, list[Process]]:
        """Which handler undoes which: as declared, and as the steps of the workflows say."""
        known = set(atomic)
        found: dict[Process, list[Process]] = {}

        def add(undoing: Process, done: Process) -> None:
            if undoing in known and done in known and undoing is not done:
                targets = found.setdefault(undoing, [])
                if done not in targets:
                    targets.append(done)

        for process in atomic:
            fact = process.fact("compensates")
            target = fact.value.message if isinstance(fact.value, MessageUse) else fact.value
            for done in self.index.started.get(target, ()) if fact.declared else ():
                add(process, done)
        for process in self.scene.processes:
            for step in process.steps:
                requests = [self.system.actions[n] for n in step.actions]
                undoing = [self.system.actions[n] for n in step.compensation]
                for undo in undoing:
                    for request in requests:
                        if {undo.kind, request.kind} <= {"call", "send"} and request.region == "main":
                            for one in self.index.started.get(undo.message, ()):
                                for done in self.index.started.get(request.message, ()):
                                    if one.service is done.service and not one.fact("compensates").declared:
                                        add(one, done)
        return {process: found[process] for process in atomic if process in found and process not in _values(found)}

    def _deeds(self, process: Process) -> list[Deed]:
        found = []
        changes = changes_something(self.system, process)
        for trigger in process.triggers:
            for use in trigger.uses:
                tracked = changes and use.message.kind != "query" and use.message not in self._repeating
                sites = [-1]
                emitters = self.emitters.get(use.message, [])
                if use.message.kind == "event" and tracked and len(emitters) > 1:
                    sites = [action.id for action in emitters]
                if use.message.kind == "event" and use.message in self.scene.starts and sites != [-1]:
                    sites.append(-1)
                found += [
                    Deed(process, use.message, site, tracked, f"`{use.message.name}`", process.place) for site in sites
                ]
            if trigger.kind in {"change", "timer"}:
                marker = self._change_marker(process)
                site = ONCE if trigger.kind == "timer" else -1
                found.append(Deed(process, marker, site, False, f"`{process.name}`", process.place))
        return found

    def _stranger(self, message: Message, action: Action) -> None:
        """Somebody outside the design carries the command out and answers."""
        number = self._component(action.use.service.name if action.use.service else message.name)
        tracked = message.kind == "command" and message not in self._repeating
        deed = Deed(None, message, -1, tracked, f"`{message.name}`", action.span)
        part = Part(self, number, [deed], [])
        self.strangers[message] = number
        self.parts.append(part)
        self.out.parts[number] = part

    # -------------------------------------------------------------------------------------------- observers

    def _observers(self) -> None:
        root = self.scene.root
        if not isinstance(root, Flow):
            return
        goals = [*(root.success.targets if root.success else ()), *(root.failure.targets if root.failure else ())]
        if goals:
            number = self._component("goals")
            component = self.out.tables.components[number]
            sets = [frozenset(n for n in range(len(goals)) if bits >> n & 1) for bits in range(1 << len(goals))]
            for goal in range(len(goals)):
                target = goals[goal]
                key = target.message if isinstance(target, MessageUse) else target.process
                self.out.kind(("goal", key), f"goal {goal + 1}", number, urgent=True)
            for bits in range(1 << len(goals)):
                component.rows.append(
                    {
                        self.out.kinds["goal", g.message if isinstance(g, MessageUse) else g.process]: (
                            Row(bits | 1 << n),
                        )
                        for n, g in enumerate(goals)
                    }
                )
                component.acts.append(())
            self.out.goals = (number, sets)
        if root.orders:
            self._order_observer(root)

    def _order_observer(self, root: Flow) -> None:
        """For each `order A before B`: 0 nothing yet, 1 A was seen, 2 B came first."""
        names = []
        for order in root.orders:
            number = self._component(f"order of {order.first.message.name} and {order.then.message.name}")
            first = self.out.kind(("order", number, order.first.message), "first", number, urgent=True)
            then = self.out.kind(("order", number, order.then.message), "then", number, urgent=True)
            text = f"`{order.then.message.name}` comes before `{order.first.message.name}`"
            note = self.note(text, order.span)
            component = self.out.tables.components[number]
            component.rows += [{first: (Row(1),), then: (Row(2, note=note, error=True),)}, {}, {}]
            component.acts += [(), (), ()]
            names.append(text)
            self.out.orders = (number, names)

    # -------------------------------------------------------------------------------------------- courses

    def courses(self, process: Process | None, message: Message) -> list[Course]:
        """The ways through a handler that runs in one move."""
        key = (process, message)
        if key not in self._courses:
            self._courses[key] = self._walk(process) if process is not None else [Course(True, (), True, ())]
        return self._courses[key]

    def _walk(self, process: Process) -> list[Course]:
        found: list[Course] = []
        actions = self.system.actions
        stack: list[tuple[int, tuple[int, ...], tuple[int, ...], bool]] = [(process.start, (), (), False)]
        while stack and len(found) < COURSES:
            number, trail, emits, effects = stack.pop()
            action = actions[number]
            trail = (*trail, number)
            if action.kind == "emit":
                emits += self.published(action)
            elif action.kind == "send":
                emits += self.request(action)
            elif action.kind in {"write", "act"}:
                effects = True
                emits += self.changed(action)
            if action.kind in {"end", "failed"}:
                found.append(Course(action.kind == "end", emits, effects, trail))
            for edge in reversed(action.edges):
                if edge.target not in trail and edge.kind != "timeout":
                    stack.append((edge.target, trail, emits, effects))
        return list(dict.fromkeys(found)) or [Course(True, (), False, (process.start,))]


def _values(found: dict[Process, list[Process]]) -> set[Process]:
    return {target for targets in found.values() for target in targets}


def _loops(scene: Scene, index: Index) -> set[Message]:
    """The messages that one process requests more than once on purpose: in a loop, or at several places of its main course."""
    found: set[Message] = set()
    for process in scene.processes:
        sites: dict[Message, int] = {}
        actions = [index.system.actions[n] for n in process.actions]
        loops = [(a.id, max((b.id for b in actions for e in b.edges if e.target == a.id), default=a.id)) for a in actions
                 if a.kind == "loop" or a.mode == "goto"]  # fmt: skip
        for action in actions:
            if action.kind in {"call", "send", "emit"} and action.region == "main":
                sites[action.message] = sites.get(action.message, 0) + 1
                if any(start <= action.id <= end for start, end in loops):
                    found.add(action.message)
        found |= {message for message, count in sites.items() if count > 1}
    return found


__all__ = ["Compiler", "compile_scene"]
