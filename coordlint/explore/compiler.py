"""Compiles a scene: who consumes what, over which channels, and what the facts of the design make of every step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.carriage import Carriage
from coordlint.explore.conduct import changes_something
from coordlint.explore.parts import ONCE, Course, Deed, Gathering, Part, Undoing
from coordlint.explore.scene import Compiled, Facts, Scene, affected, in_loops, is_atomic
from coordlint.explore.spots import TooLargeError, turn
from coordlint.explore.tables import Component, Row, Tables
from coordlint.explore.threads import Thread
from coordlint.explore.volatile import Volatile
from coordlint.system import Action, Flow, Message, MessageUse, Process

if TYPE_CHECKING:
    from coordlint.graph import Index
    from coordlint.source import Span

WAYS = 20_000
"""So many places on the ways through one handler are looked at."""


def compile_scene(
    index: Index,
    scene: Scene,
    adverse: frozenset[str] | None = frozenset(),
    changed: Mapping[str, bool] | None = None,
    *,
    stores: bool = True,
    open_: bool = False,
) -> Compiled:
    """The tables of a scene.

    Args:
        index: of the design's system.
        scene: what to compile.
        adverse: the unknown facts that are taken for absent, by name; None for all of them.
        changed: facts taken for the other value than declared: repairs that are tried.
        stores: also look at what becomes of data in memory.
        open_: threads and participants can still ask the compiler.

    Raises:
        TooLargeError: a component has too many local states, or a handler too many ways through it.
    """
    return Compiler(index, scene, Facts(adverse, changed)).run(stores=stores, open_=open_)


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
        self.places: dict[tuple[Process, Message, int], int] = {}
        self.parts: list[Part | Gathering] = []
        self.strangers: dict[Message, int] = {}
        self.callers: dict[Message, list[Action]] = {}
        self.emitters: dict[Message, list[Action]] = {}
        self.waits: dict[Message, list[int]] = {}
        self.keys: dict[int, Message] = {}
        self.markers: dict[tuple[str, Process], Message] = {}
        self._queues: dict[tuple[str, int], list[int]] = {}
        self._overtaking: set[int] = set()
        self._requests: dict[int, tuple[int, ...]] = {}
        self._causes: dict[Message, set[Message]] = {}
        self._courses: dict[tuple[Process | None, Message], list[Course]] = {}
        self._repeating = _loops(scene, index)
        self._simple: set[Process] = set()
        self._inside_kinds: dict[int, bool] = {}
        self.by_clients: set[int] = set()
        self._felt: dict[Process, bool] = {}
        self.stores: Volatile | None = None
        self._observed = _observed(scene)

    def run(self, *, stores: bool = True, open_: bool = False) -> Compiled:
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
        self.stores = Volatile(self) if stores else None
        for message, actions in self.callers.items():
            handled = any(process in self.members for process in self.index.started.get(message, ()))
            if not handled and not self.waits.get(message):
                self._stranger(message, actions)
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
        for one in () if open_ else (*threads, *self.parts):
            del one.compiler  # nothing refers back to all the rest, so that its memory is free when it is not used
        return self.out

    def note(self, text: str, span: Span, facts: tuple[str, ...] = (), trail: tuple[int, ...] = ()) -> int:
        """The number of a new note."""
        return self.out.note(text, span, facts, trail)

    # -------------------------------------------------------------------------------------------- components

    def component(self, name: str) -> int:
        """The number of a new component."""
        self.out.tables.components.append(Component(name))
        return len(self.out.tables.components) - 1

    def _threads(self) -> list[Thread]:
        found: list[Thread] = []
        for process in self.scene.processes:
            if is_atomic(process, self.system):
                continue
            thread = Thread(self, self.component(process.name), process)
            self.homes[process] = thread.number
            self.out.threads[thread.number] = thread
            found.append(thread)
            for action in self.system.actions_of(process, "await"):
                for use in action.uses:
                    numbers = self.waits.setdefault(use.message, [])
                    if thread.number not in numbers:
                        numbers.append(thread.number)
            blocks = [one for one in (thread.on_failure, thread.on_timeout) if one is not None]
            found += self._branches(thread, [thread.entry, *blocks], -1)
        return found

    def _branches(self, parent: Thread, entries: list[int], stop: int) -> list[Thread]:
        """The branch threads of the forks that a thread comes to, nested ones included."""
        found: list[Thread] = []
        stack, seen = entries[::-1], set(entries)
        actions = self.system.actions
        while stack:
            number = stack.pop()
            action = actions[number]
            targets = [edge.target for edge in action.edges]
            if action.kind == "fork" and action.region != "compensation":
                if any(number in above.branches for above in _ancestors(parent)):
                    raise TooLargeError(parent.process.name)  # a branch that leads back to its own fork has no end
                join = self._join_of(action)
                parent.branches[number] = []
                for branch, edge in enumerate(action.edges):
                    one = Thread(
                        self, self.component(f"{parent.process.name} branch {branch + 1}"), parent.process, parent
                    )
                    one.entry, one.join, one.fork = edge.target, join, number
                    self.out.threads[one.number] = one
                    parent.branches[number].append(one)
                    found.append(one)
                    found += self._branches(one, [edge.target], join)
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

        undone = _values(undoes)
        self._simple = {p for p in atomic if p not in undoes and p not in undone and not self.joined(p)}

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
                gathering = Gathering(self, self.component(first.service.name), first)
                self.homes[first] = gathering.number
                self.parts.append(gathering)
                self.out.gatherings.append(gathering)
                continue
            deeds = [deed for process in processes if process not in undoes for deed in self._deeds(process)]
            if not any(process in undoes for process in processes):
                # Without a compensation, the actions know nothing of each other: each is a component of its own.
                for deed in deeds:
                    number = self.component(first.service.name)
                    self.homes.setdefault(first, number)
                    self.places[first, deed.message, deed.site] = number
                    self._part(number, [deed], [])
                continue
            number = self.component(first.service.name)
            for process in processes:
                self.homes[process] = number
            for deed in deeds:
                assert deed.process is not None
                self.places[deed.process, deed.message, deed.site] = number
            undoings = []
            for process in processes:
                if process in undoes:
                    of = tuple(n for n, deed in enumerate(deeds) if deed.process in undoes[process] and deed.tracked)
                    undoings += [Undoing(process, use.message, of) for t in process.triggers for use in t.uses]
            self._part(number, deeds, undoings)

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
            started = self.index.started.get(target, ()) if fact.declared else ()
            own = [done for done in started if done.service is process.service]
            for done in own or started:
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
                tracked = (
                    changes
                    and use.message.kind != "query"
                    and use.message not in self._repeating
                    and self._matters(process, use.message)
                )
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

    def _matters(self, process: Process, message: Message) -> bool:
        """Whether anything can depend on a handler's having done its work.

        It does not if repetitions are recognised, nobody asks for an answer or undoes it, and nothing that matters follows.
        """
        if self.scene.joins:
            return True  # what a claim asks may depend on it
        flow = self.scene.flow
        if flow is not None and flow.success is not None and flow.failure is None:
            return True  # without a declared failure, what is done when it fails is left over
        deed = Deed(process, message, -1, True, f"`{message.name}`", process.place)
        return not self.deduplicates(deed)[0] or self._is_asked_for(message) or self._is_felt(process)

    def _is_asked_for(self, message: Message) -> bool:
        """Whether somebody waits for the answer to a request, or counts it as a step."""
        return any(
            action.kind == "call" or action.process.kind == "workflow" for action in self.callers.get(message, ())
        )

    def _is_felt(self, process: Process) -> bool:
        """Whether what a handler sends, publishes or writes matters to anybody; what leads back to itself does."""
        if process not in self._felt:
            self._felt[process] = True
            self._felt[process] = process not in self._simple or any(
                self._matters_to_somebody(action) for action in self.system.actions_of(process)
            )
        return self._felt[process]

    def _matters_to_somebody(self, action: Action) -> bool:
        if action.kind == "write":
            reacting = [one for entity in action.entities for one in affected(self.index, entity)]
            return any(one in self.members and self._is_felt(one) for one in reacting)
        if action.kind not in {"emit", "send"}:
            return False
        message = action.message
        taking = [process for process in self.index.started.get(message, ()) if process in self.members]
        if self.waits.get(message) or message in self._observed:
            return True
        if not taking and action.kind == "send":
            return not self.deduplicates(Deed(None, message, -1, True, f"`{message.name}`", action.span))[0]
        return any(process not in self._simple or self._matters(process, message) for process in taking)

    def _stranger(self, message: Message, actions: list[Action]) -> None:
        """Who answers a command that no process of the scene takes: somebody outside the design, or one that only tells people."""
        cut = next((process for process in self.index.started.get(message, ()) if not process.contract), None)
        if cut is not None and not any(action.kind == "call" for action in actions):
            return
        use = actions[0].use
        number = self.component(use.service.name if use.service else message.name)
        deed = Deed(cut, message, -1, True, f"`{message.name}`", cut.place if cut is not None else actions[0].span)
        tracked = cut is None and message.kind == "command" and message not in self._repeating
        tracked = tracked and (self._is_asked_for(message) or not self.deduplicates(deed)[0])
        deed = deed._replace(tracked=tracked)
        self.strangers[message] = number
        self._part(number, [deed], [])

    def _part(self, number: int, deeds: list[Deed], undoings: list[Undoing]) -> None:
        part = Part(self, number, deeds, undoings)
        self.parts.append(part)
        self.out.parts[number] = part

    # -------------------------------------------------------------------------------------------- observers

    def _observers(self) -> None:
        root = self.scene.flow
        if root is None:
            return
        goals = [*(root.success.targets if root.success else ()), *(root.failure.targets if root.failure else ())]
        if goals:
            number = self.component("goals")
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
            number = self.component(f"order of {order.first.message.name} and {order.then.message.name}")
            first = self.out.kind(("order", number, order.first.message), "first", number, urgent=True)
            then = self.out.kind(("order", number, order.then.message), "then", number, urgent=True)
            text = f"`{order.then.message.name}` comes before `{order.first.message.name}`"
            note = self.note(text, order.span)
            component = self.out.tables.components[number]
            component.rows += [{first: (Row(1),), then: (Row(2, note=note, error=True),)}, {}, {}]
            component.acts += [(), (), ()]
            names.append(text)
            self.out.orders = (number, names)

    def touched(self, action: Action, emits: tuple[int, ...]) -> tuple[int, ...]:
        """What the observers of stores in memory hear of a read or write, behind the rest of the same move."""
        return self.stores.touched(action, emits) if self.stores is not None else ()

    def _touches(self, emits: tuple[int, ...], *, ok: bool) -> tuple[int, ...]:
        """What of the kinds observers of stores hear; a handler that runs in one move and fails leaves nothing written."""
        found = [kind for kind in emits if self._stays_with_the_store(kind)]
        return tuple(kind for kind in found if ok or (self.stores is not None and not self.stores.wrote(kind)))

    def _stays_with_the_store(self, kind: int) -> bool:
        return self.stores is not None and kind in self.stores.kinds

    # -------------------------------------------------------------------------------------------- courses

    def courses(self, process: Process | None, message: Message) -> list[Course]:
        """The ways through a handler that runs in one move."""
        key = (process, message)
        if key not in self._courses:
            self._courses[key] = self._walk(process) if process is not None else [Course(True, (), True, ())]
        return self._courses[key]

    def _walk(self, process: Process) -> list[Course]:
        """Ways that emit the same are one; a loop has up to two turns. One outcome of 0% may come about, which is a fault."""
        found: dict[tuple[object, ...], Course] = {}
        actions = self.system.actions
        first = _Way(process.start, (), (), False, frozenset(), (), False)
        stack, seen = [first], {first.key}
        while stack:
            way = stack.pop()
            action = actions[way.number]
            trail = (*way.trail, way.number)
            emits, effects, follows = way.emits, way.effects, way.follows
            published = self.published(action) if action.kind == "emit" else [()]
            if action.kind in {"read", "write"}:
                emits += self.touched(action, emits)
            if action.kind == "send":
                emits += self.request(action)
            elif action.kind in {"write", "act"}:
                effects = True
                changed = self.changed(action)
                emits, follows = emits + changed, follows | set(changed)
            if action.kind in {"end", "failed"}:
                ok = action.kind == "end"
                sent = tuple(kind for kind in emits if not self._stays_with_the_store(kind))
                course = Course(ok, sent, effects, trail, follows, way.rare, self._touches(emits, ok=ok))
                found.setdefault(course.outcome, course)
            for edge, heard in ((edge, heard) for heard in reversed(published) for edge in reversed(action.edges)):
                turns = turn(action, edge, way.turns)
                rare = edge.chance == 0
                if edge.kind == "timeout" or (rare and way.rare) or turns is None:
                    continue
                ahead = _Way(edge.target, trail, emits + heard, effects, follows, turns, way.rare or rare)
                if ahead.key not in seen:
                    seen.add(ahead.key)
                    stack.append(ahead)
            if len(seen) > WAYS:
                raise TooLargeError(process.name)
        usual = [course for course in found.values() if not course.rare] or [Course(True, (), False, (process.start,))]
        alike = {course.outcome[:-1] for course in usual}
        return [*usual, *(course for course in found.values() if course.rare and course.outcome[:-1] not in alike)]


class _Way(NamedTuple):
    """How far a walk through a handler has come."""

    number: int
    trail: tuple[int, ...]
    emits: tuple[int, ...]
    effects: bool
    follows: frozenset[int]
    turns: tuple[tuple[int, int], ...]
    rare: bool

    @property
    def key(self) -> tuple[object, ...]:
        """What the rest of the walk depends on."""
        return self.number, self.emits, self.effects, self.turns, self.rare


def _ancestors(thread: Thread) -> Iterator[Thread]:
    above: Thread | None = thread
    while above is not None:
        yield above
        above = above.parent


def _values(found: dict[Process, list[Process]]) -> set[Process]:
    return {target for targets in found.values() for target in targets}


def _observed(scene: Scene) -> set[Message]:
    """The messages that the goals and orders of a flow are about."""
    root = scene.flow
    if root is None:
        return set()
    goals = [*(root.success.targets if root.success else ()), *(root.failure.targets if root.failure else ())]
    uses = [goal for goal in goals if isinstance(goal, MessageUse)]
    uses += [use for order in root.orders for use in (order.first, order.then)]
    return {use.message for use in uses}


def _loops(scene: Scene, index: Index) -> set[Message]:
    """The messages that come more than once on purpose, for other occurrences.

    They are sent in a loop, at several places of a main course, or by a handler of such a message.
    """
    found: dict[Message, None] = {}
    members = set(scene.processes)
    for process in scene.processes:
        sites: dict[Message, int] = {}
        looped = in_loops(process, index.system)
        for action in index.system.actions_of(process, "call", "send", "emit"):
            if action.region == "main":
                sites[action.message] = sites.get(action.message, 0) + 1
                if action.id in looped:
                    found[action.message] = None
        found.update(dict.fromkeys(message for message, count in sites.items() if count > 1))
    todo = list(found)
    passed: set[Process] = set()
    while todo:
        stack = [process for process in index.started.get(todo.pop(), ()) if process in members]
        while stack:
            process = stack.pop()
            if process in passed or process.kind == "workflow":
                continue
            passed.add(process)
            for action in index.system.actions_of(process):
                if action.kind in {"call", "send", "emit"} and action.message not in found:
                    found[action.message] = None
                    todo.append(action.message)
                elif action.kind == "write":
                    stack += [one for entity in action.entities for one in affected(index, entity) if one in members]
    return set(found)


__all__ = ["Compiler", "compile_scene"]
