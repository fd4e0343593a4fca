"""The kinds of messages of a scene: who sends what to whom, over which channel, and what may happen to it on the way."""

from __future__ import annotations

from functools import cached_property

from coordlint.explore.conduct import Conduct
from coordlint.explore.scene import Scene, affected
from coordlint.explore.threads import Thread
from coordlint.graph import Index
from coordlint.system import Action, Channel, Fact, Message, Process, Service


class Carriage(Conduct):
    """Makes the kinds when they are first asked for."""

    index: Index
    scene: Scene
    members: set[Process]
    homes: dict[Process, int]
    strangers: dict[Message, int]
    callers: dict[Message, list[Action]]
    emitters: dict[Message, list[Action]]
    waits: dict[Message, list[int]]
    keys: dict[int, Message]
    markers: dict[tuple[str, Process], Message]
    _queues: dict[tuple[str, int], list[int]]

    def _seen(self, subject: Message | Process) -> tuple[int, ...]:
        return self._ears.get(subject, ())

    @cached_property
    def _ears(self) -> dict[object, tuple[int, ...]]:
        """What observers hear of each message and workflow; they come before all other kinds."""
        found: dict[object, tuple[int, ...]] = {}
        for key, kind in self.out.kinds.items():
            if key[0] in {"goal", "order"}:
                found[key[-1]] = (*found.get(key[-1], ()), kind)
        return found

    def reached(self, process: Process) -> tuple[int, ...]:
        """What observers hear when a workflow has ended well."""
        return self._seen(process)

    # -------------------------------------------------------------------------------------------- kinds

    def internal(self, what: str, branch: Thread) -> int:
        """A message between a thread and one of its branches."""
        assert branch.parent is not None
        to = branch.number if what in {"go", "undo"} else branch.parent.number
        patient = what in {"undo", "undone"} or (what in {"done", "bad"} and branch.parent.in_order(branch.fork))
        return self.out.kind((what, branch.number), f"{what} of {branch.process.name}", to, patient=patient)

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
        deeds = part.deeds if part is not None and action is not None else []
        if action is not None and any(
            d.process is process and d.message is message and d.site == action.id for d in deeds
        ):
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
        if ("ok", action.id) in self.out.kinds:
            return self.out.kinds["ok", action.id], self.out.kinds["no", action.id]
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

    def _change_marker(self, process: Process) -> Message:
        """A stand-in for the change that a process reacts to."""
        key = ("change", process)
        if key not in self.markers:
            self.markers[key] = Message(name=process.name, place=process.place, span=process.span, kind="event")
        return self.markers[key]

    def _inside(self, entry: int, join: int) -> set[int]:
        seen, stack = {entry}, [entry]
        while stack:
            for edge in self.system.actions[stack.pop()].edges:
                if edge.target != join and edge.target not in seen:
                    seen.add(edge.target)
                    stack.append(edge.target)
        return seen
