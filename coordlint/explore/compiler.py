"""Compiles a scene: who consumes what, over which channels, and what the facts of the design make of every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from coordlint.explore.parts import ONCE, Course, Deed, Gathering, Part, Undoing
from coordlint.explore.scene import Compiled, Facts, Scene, affected, is_atomic
from coordlint.explore.tables import Component, Row, Tables
from coordlint.explore.threads import Thread
from coordlint.system import Action, Channel, Fact, Flow, Message, MessageUse, Process, Service

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


class Compiler:
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
            if not any(process in self.members for process in self.index.started.get(message, ())):
                if not any(True for _ in self.waits.get(message, ())):
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

    def _inside(self, entry: int, join: int) -> set[int]:
        seen, stack = {entry}, [entry]
        while stack:
            for edge in self.system.actions[stack.pop()].edges:
                if edge.target != join and edge.target not in seen:
                    seen.add(edge.target)
                    stack.append(edge.target)
        return seen

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
        changes = _changes(self.system, process)
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

    def _change_marker(self, process: Process) -> Message:
        """A stand-in for the change that a process reacts to."""
        key = ("change", process)
        if key not in self.markers:
            self.markers[key] = Message(name=process.name, place=process.place, span=process.span, kind="event")
        return self.markers[key]

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

    def _seen(self, subject: Message | Process) -> tuple[int, ...]:
        found = [kind for key, kind in self.out.kinds.items() if key[0] in {"goal", "order"} and key[-1] is subject]
        return tuple(found)

    def reached(self, process: Process) -> tuple[int, ...]:
        """What observers hear when a workflow has ended well."""
        return self._seen(process)

    # -------------------------------------------------------------------------------------------- kinds

    def internal(self, what: str, branch: Thread) -> int:
        """A message between a thread and one of its branches."""
        assert branch.parent is not None
        to = branch.number if what in {"go", "undo"} else branch.parent.number
        return self.out.kind((what, branch.number), f"{what} of {branch.process.name}", to, patient=what == "undo")

    def request(self, action: Action) -> tuple[int, ...]:
        """The kinds that a call or send puts in flight."""
        consumers = [p for p in self.index.started.get(action.message, ()) if p in self.members]
        found = [self._requested(action, self.homes[process], process) for process in consumers]
        found += [self._arriving(action.message, number, action) for number in self.waits.get(action.message, ())]
        if not found and action.message in self.strangers:
            found = [self._requested(action, self.strangers[action.message], None)]
        return tuple(found) + self._seen(action.message)

    def _requested(self, action: Action, to: int, process: Process | None) -> int:
        key = ("request", action.id, to)
        if key not in self.out.kinds:
            channel = action.message.channel
            if action.kind == "call" and channel is None:
                loss, facts = self._unanswered(action)
                kind = self.out.kind(key, action.message.name, to, loss=loss)
                self.out.kind_facts[kind] = facts
            else:
                self._travelling(key, action.message, to, channel, action.process.service, process)
        return self.out.kinds[key]

    def _unanswered(self, action: Action) -> tuple[str, tuple[str, ...]]:
        """Whether a direct call may be lost; where no limit is declared, nobody has said what happens then."""
        timeout = action.fact("timeout")
        name = f"{action.process.path}|{action.message.name}|answered"
        good = self.facts.good(
            timeout if timeout.unknown else Fact("absent"), name, f"the call of `{action.message.name}` may stay without an answer",
            action.span, f"a `timeout` on the call of `{action.message.name}`",
        )  # fmt: skip
        return ("" if good else "lose"), ((name,) if timeout.unknown else ())

    def _travelling(
        self, key: tuple[object, ...], message: Message, to: int, channel: Channel | None, sender: Service | None,
        process: Process | None, patient: bool = False,
    ) -> int:  # fmt: skip
        """A kind that travels over a channel, or over something nobody has described."""
        via = next((t.via for t in process.triggers if t.via is not None), None) if process is not None else None
        channel = via or channel
        delivery = channel.fact("delivery") if channel is not None else Fact()
        place = channel.place if channel is not None else message.place
        name = f"channel {channel.name}|once" if channel is not None else f"message {message.name}|once"
        what = f"`{channel.name}`" if channel is not None else f"`{message.name}`"
        once = delivery.declared and delivery.value != "at-least-once"
        if channel is not None and channel.fact("dedup").declared:
            once = True
        known = Fact("declared" if once else "absent") if delivery.declared or once else Fact()
        copies = not self.facts.good(known, name, f"{what} may be delivered more than once", place)
        loss = "lose" if delivery.declared and delivery.value == "at-most-once" else ""
        if channel is not None and channel.fact("dead_letter").declared and not channel.fact("redrive").declared:
            dead = channel.fact("dead_letter").value.channel
            watched = any(dead in monitor.watches for monitor in self.system.monitors.values())
            loss = loss or ("" if watched else "park")
        kind = self.out.kind(key, message.name, to, copies=copies, loss=loss, patient=patient)
        self.out.kind_facts[kind] = () if delivery.declared or once else (name,)
        ordering = channel.fact("ordering") if channel is not None else Fact()
        stem = channel.name if channel is not None else f"from {sender.name}" if sender is not None else message.name
        if ordering.declared and ordering.value == "unordered":
            ordering = Fact("absent", None, ordering.span)
        repair = f"an order for {what}" if channel is not None else ""
        ordered = self.facts.good(ordering, f"{stem}|ordered", f"{what} may be overtaken", place, repair)
        if ordered:
            group = channel.name if channel is not None else f"from {sender.name if sender else ''}"
            self._queues.setdefault((group, to), []).append(kind)
        return kind

    def _order(self) -> None:
        """Kinds that share an ordered channel to one consumer keep their order; alone, a kind needs none."""
        tables = self.out.tables
        for kinds in self._queues.values():
            if len(kinds) > 1:
                for kind in kinds:
                    tables.kinds[kind] = tables.kinds[kind]._replace(queue=tables.queues)
                tables.queues += 1

    def published(self, action: Action) -> tuple[int, ...]:
        """The kinds that an event becomes: one for each consumer."""
        message = action.message
        found = []
        for process in self.index.started.get(message, ()):
            if process in self.members:
                found.append(self._event(message, self.homes[process], process, action))
        found += [self._arriving(message, number, action) for number in self.waits.get(message, ())]
        return tuple(dict.fromkeys(found)) + self._seen(message)

    def _event(self, message: Message, to: int, process: Process, action: Action | None) -> int:
        part = self.out.parts.get(to)
        site = -1
        if part is not None and action is not None:
            if any(d.process is process and d.message is message and d.site == action.id for d in part.deeds):
                site = action.id
        key = ("event", message, to, site)
        if key not in self.out.kinds:
            self._travelling(key, message, to, message.channel, action.process.service if action else None, process)
        return self.out.kinds[key]

    def _arriving(self, message: Message, number: int, action: Action | None) -> int:
        """A message for a thread that awaits it; where it is not awaited yet, it waits unless the design says otherwise."""
        key = ("arrival", message, number)
        if key not in self.out.kinds:
            process = self.out.threads[number].process
            policy = process.fact("on_unexpected")
            name = f"{process.path}|keeps"
            fact = Fact("absent", None, policy.span) if policy.declared and policy.value == "drop" else policy
            keeps = action is None or self.facts.good(
                fact, name, f"{process.name} drops what comes before it is awaited", process.place, "on unexpected park"
            )
            service = action.process.service if action is not None else None
            kind = self._travelling(key, message, number, message.channel, service, None, patient=keeps)
            if not keeps and policy.unknown:
                self.out.kind_facts[kind] += (name,)
        return self.out.kinds[key]

    def arrivals(self, message: Message, number: int) -> list[int]:
        """The kinds by which an awaited message reaches a thread."""
        return [self._arriving(message, number, next(iter(self._producers(message)), None))]

    def _producers(self, message: Message) -> list[Action]:
        return [*self.emitters.get(message, ()), *self.callers.get(message, ())]

    def changed(self, action: Action) -> tuple[int, ...]:
        """The kinds by which a write reaches those who react to the change."""
        found = []
        for entity in action.entities:
            for process in affected(self.index, entity):
                if process in self.members and process in self.homes:
                    key = ("changed", process)
                    found.append(self.out.kind(key, process.name, self.homes[process]))
        return tuple(dict.fromkeys(found))

    def answers(self, action: Action) -> tuple[int, int]:
        """The kinds of the two answers to a call."""
        home = self._home_of(action)
        loss, facts = self._unanswered(action) if action.message.channel is None else ("", ())
        name = action.message.name
        ok = self.out.kind(("ok", action.id), f"{name} done", home, loss=loss)
        refused = self.out.kind(("no", action.id), f"{name} refused", home, loss=loss)
        self.out.kind_facts[ok] = self.out.kind_facts[refused] = facts
        return ok, refused

    def _home_of(self, action: Action) -> int:
        return self.callers_homes.get(action.id, self.homes[action.process])

    @property
    def callers_homes(self) -> dict[int, int]:
        """The branch threads of the calls that stand in a branch."""
        if not hasattr(self, "_branch_homes"):
            self._branch_homes: dict[int, int] = {}
            for number, thread in self.out.threads.items():
                if thread.parent is not None:
                    inside = self._inside(thread.entry, thread.join)
                    steps = {id(self.system.actions[n].step): self.system.actions[n].step for n in sorted(inside)
                             if self.system.actions[n].region == "main"}  # fmt: skip
                    for step in steps.values():
                        inside |= set(step.compensation) if step is not None else set()
                    own = {id(step) for step in steps.values() if step is not None}
                    for one in inside:
                        action = self.system.actions[one]
                        if action.kind == "call" and id(action.step) in own:
                            self._branch_homes[one] = number
        return self._branch_homes

    def reply(self, caller: int, *, ok: bool) -> tuple[int, ...]:
        """The answer to the call with that number."""
        action = self.system.actions[caller]
        return (self.answers(action)[0 if ok else 1],) if action.kind == "call" else ()

    def _initial(self) -> tuple[int, ...]:
        found: list[int] = []
        for message in self.scene.starts:
            for process in self.index.started.get(message, ()):
                if process in self.members:
                    if message.kind == "event":
                        found.append(self._event(message, self.homes[process], process, None))
                    else:
                        found.append(self._entered(message, process))
            found += self._seen(message)
        for message in self.waits:
            if not self._producers(message) and message not in self.scene.starts and self._owed(message):
                for number in self.waits[message]:
                    found.append(self._arriving(message, number, None))
        for process in self.scene.processes:
            for trigger in process.triggers:
                for use in trigger.uses if trigger.mode == "all" else ():
                    if (
                        use.message not in self.scene.starts
                        and not self._producers(use.message)
                        and self._owed(use.message)
                    ):
                        found.append(self._event(use.message, self.homes[process], process, None))
        return tuple(dict.fromkeys(found))

    def _entered(self, message: Message, process: Process) -> int:
        """The request by which the scene begins; its client may send it again."""
        return self.out.kind(
            ("request", -1, message, self.homes[process]), message.name, self.homes[process], copies=True
        )

    def _owed(self, message: Message) -> bool:
        """Whether somebody outside of the scene sends the message."""
        return message.visibility == "external" or bool(self.index.producers(message))

    # -------------------------------------------------------------------------------------------- triggers and facts

    def triggers(self, process: Process, number: int) -> list[tuple[int, int]]:
        """The kinds that start a thread, each with the call that waits for its answer (-1 for none)."""
        found = []
        for trigger in process.triggers:
            for use in trigger.uses:
                for kind, caller in self.incoming(process, use.message, number, -1):
                    self.keys[kind] = use.message
                    found.append((kind, caller))
            if trigger.kind in {"change", "timer"}:
                kind = self.out.kind(("changed", process), process.name, number)
                self.keys[kind] = self._change_marker(process)
                found.append((kind, -1))
        return found

    def incoming(self, process: Process | None, message: Message, to: int, site: int) -> list[tuple[int, int]]:
        """The kinds by which a message reaches a handler."""
        if process is not None and self.markers.get(("change", process)) is message:
            return [(self.out.kind(("changed", process), process.name, to), -1)]
        found: list[tuple[int, int]] = []
        if message.kind == "event" and process is not None:
            emitters = self.emitters.get(message, [])
            if emitters or message in self.scene.starts or self._owed(message):
                chosen = next((e for e in emitters if e.id == site), emitters[0] if emitters and site < 0 else None)
                if site >= 0 or not emitters or message not in self.scene.starts:
                    found.append((self._event(message, to, process, chosen), -1))
                else:
                    found.append((self._event(message, to, process, None), -1))
        for action in self.callers.get(message, ()):
            found.append((self._requested(action, to, process), action.id if action.kind == "call" else -1))
        if process is not None and message.kind != "event" and message in self.scene.starts:
            found.append((self._entered(message, process), -1))
        return found

    def joined(self, process: Process) -> frozenset[int]:
        """What a joined trigger needs, as numbers; empty if any trigger is enough."""
        if process.triggers and process.triggers[0].mode == "all":
            return frozenset(range(len(process.triggers[0].uses)))
        return frozenset()

    def trigger_of(self, kind: int) -> int:
        """Which of the messages of a joined trigger a kind is."""
        message = self.keys[kind]
        for process in self.scene.processes:
            for trigger in process.triggers:
                for number, use in enumerate(trigger.uses):
                    if use.message is message and trigger.mode == "all":
                        return number
        return 0

    def guarded(self, process: Process) -> tuple[bool, tuple[str, ...]]:
        """Whether a thread recognises its trigger when it comes again."""
        fact = process.fact("idempotent")
        name = f"{process.path}|idempotent"
        if any(trigger.kind in {"change", "timer"} for trigger in process.triggers):
            return True, ()
        if not fact.absent and process.kind != "workflow" and not _changes(self.system, process):
            return True, ()
        good = self.facts.good(
            fact, name, f"{process.name} does not recognise a repeated start", process.place, "idempotent"
        )
        return good, (name,) if fact.unknown else ()

    def deduplicates(self, deed: Deed) -> tuple[bool, tuple[str, ...]]:
        """Whether a handler recognises a message that comes again."""
        if deed.process is None:
            name = f"command {deed.message.name}|idempotent"
            return self.facts.good(Fact(), name, f"{deed.name} is not idempotent", deed.span), (name,)
        fact = deed.process.fact("idempotent")
        if fact.unknown and deed.process.fact("if_changed").declared:
            return True, ()
        name = f"{deed.process.path}|idempotent"
        text = f"`{deed.message.name}` is not idempotent"
        return self.facts.good(fact, name, text, deed.process.place, f"make `{deed.message.name}` idempotent"), (
            (name,) if fact.unknown else ()
        )

    def repeats(self, deed: Deed) -> tuple[bool, tuple[str, ...]]:
        """Whether a recognised repetition publishes its events again; behind an outbox they are safe and need not be."""
        if deed.process is None or self.publishes_safely(deed.process)[0]:
            return False, ()
        fact = deed.process.fact("re_emits")
        name = f"{deed.process.path}|re-emits"
        text = f"`{deed.message.name}` does not publish again what it has recognised"
        return self.facts.good(fact, name, text, deed.process.place, f"let `{deed.message.name}` re-emit"), (
            (name,) if fact.unknown else ()
        )

    def publishes_safely(self, process: Process | None) -> tuple[bool, tuple[str, ...]]:
        """Whether effects and publications commit together."""
        if process is None or process.service.external:
            return True, ()
        fact = process.fact("outbox")
        name = f"service {process.service.name}|outbox"
        text = f"`{process.service.name}` publishes without an outbox"
        good = self.facts.good(fact, name, text, process.service.place, f"an `outbox` for `{process.service.name}`")
        return good, (name,) if fact.unknown else ()

    def fences(self, part: Part, index: int) -> tuple[bool, tuple[str, ...]]:
        """Whether a compensation that came first makes the late action refuse."""
        for undoing in part.undoings:
            if index in undoing.of:
                fact = undoing.process.fact("fences")
                name = f"{undoing.process.path}|fences"
                done = part.deeds[index].message.name
                text = f"`{undoing.message.name}` does not fence a late `{done}`"
                good = self.facts.good(fact, name, text, undoing.process.place,
                                       f"let `{undoing.message.name}` fence a late `{done}`")  # fmt: skip
                return good, (name,) if fact.unknown else ()
        return True, ()

    def redelivers(self, kind: int) -> bool:
        """Whether a message whose handling crashed comes again."""
        return self.out.tables.kinds[kind].copies

    def has_timer(self, action: Action) -> bool:
        """Whether the wait for the answer of a call ends by itself."""
        fact = action.fact("timeout")
        name = f"{action.process.path}|{action.message.name}|answered"
        return fact.declared or self.facts.changed.get(name, False)

    def durability(self, process: Process) -> str:
        """Where a workflow keeps its state: ``store``, ``memory``, or empty if nobody says and nothing is assumed."""
        fact = process.fact("state")
        name = f"{process.path}|durable"
        durable = fact.declared and fact.value != "memory"
        known = Fact("declared" if durable else "absent", None, fact.span) if not fact.unknown else fact
        good = self.facts.good(known, name, f"{process.name} keeps its state in memory", process.place,
                               f"keep the state of {process.name} in a store")  # fmt: skip
        if not good:
            return "memory"
        return "store" if durable or name in self.facts.changed else ""

    def volatile(self, process: Process) -> tuple[str, ...]:
        """The unknown fact by which a workflow forgets."""
        return (f"{process.path}|durable",) if process.fact("state").unknown else ()

    def forgets(self, thread: Thread) -> tuple[str, ...] | None:
        """The facts by which a durable workflow may save its progress and never send what follows; None if it cannot."""
        process = thread.process
        if process.kind != "workflow" or self.durability(process) != "store":
            return None
        safe, why = self.publishes_safely(process)
        return None if safe else why

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


def _changes(system: object, process: Process) -> bool:
    """Whether executing a handler twice would matter: it writes, acts, or is a command whose body is left out."""
    actions = [system.actions[n] for n in process.actions]  # type: ignore[attr-defined]
    if process.fact("projection").declared or process.fact("notifies").declared:
        return process.fact("idempotent").absent
    if any(action.kind in {"write", "act"} and action.region != "compensation" for action in actions):
        return True
    command = process.command
    return (
        command is not None
        and command.kind == "command"
        and all(action.kind in {"start", "end", "failed", "succeed", "choice", "fail"} for action in actions)
    )


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
