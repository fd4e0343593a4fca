"""The kinds of messages of a scene: who sends what to whom, over which channel, and what may happen to it on the way."""

from __future__ import annotations

from functools import cached_property

from coordlint.explore.conduct import called, exclude
from coordlint.explore.losses import Losses
from coordlint.explore.parts import ONCE
from coordlint.explore.scene import Scene, affected, in_loops
from coordlint.explore.threads import Thread
from coordlint.graph import Index
from coordlint.system import Action, Channel, Fact, Message, Process, Service


class Carriage(Losses):
    """Makes the kinds when they are first asked for."""

    index: Index
    scene: Scene
    members: set[Process]
    homes: dict[Process, int]
    places: dict[tuple[Process, Message, int], int]
    strangers: dict[Message, int]
    callers: dict[Message, list[Action]]
    emitters: dict[Message, list[Action]]
    waits: dict[Message, list[int]]
    keys: dict[int, Message]
    markers: dict[tuple[str, Process], Message]
    _queues: dict[tuple[str, int], list[int]]
    _repeating: set[Message]
    _inside_kinds: dict[int, bool]
    _overtaking: set[int]
    _requests: dict[int, tuple[int, ...]]

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
        """What observers hear when a process that waits has ended well."""
        return self._seen(process) + (self.achieved(process.command) if process.command is not None else ())

    def achieved(self, message: Message) -> tuple[int, ...]:
        """What observers hear when a request is carried out."""
        return () if message.kind == "event" else self._aims.get(message, ())

    @cached_property
    def _aims(self) -> dict[object, tuple[int, ...]]:
        """What observers of goals hear of each message and workflow."""
        return {key[-1]: (kind,) for key, kind in self.out.kinds.items() if key[0] == "goal"}

    def _asked(self, message: Message, *, taken: bool) -> tuple[int, ...]:
        """What observers hear when a request is sent: that it is; and that it is as good as done, if nobody here takes it."""
        return tuple(kind for kind in self._seen(message) if not (taken and kind in self.achieved(message)))

    # -------------------------------------------------------------------------------------------- kinds

    def internal(self, what: str, branch: Thread) -> int:
        """A message between a thread and one of its branches."""
        assert branch.parent is not None
        to = branch.number if what in {"go", "undo"} else branch.parent.number
        patient = what in {"undo", "undone"} or (what in {"done", "bad"} and branch.parent.in_order(branch.fork))
        return self.out.kind((what, branch.number), f"{what} of {branch.process.name}", to, patient=patient)

    def home(self, process: Process, message: Message, site: int = -1) -> int:
        """The component of a process that takes a message, from that place if it tells them apart."""
        number = self.places.get((process, message, site))
        return self.homes[process] if number is None else number

    def stays_inside(self, kind: int) -> bool:
        """Whether a kind never leaves its process: what a thread and its branches tell each other, what it does, that it has ended."""
        if len(self._inside_kinds) != len(self.out.kinds):
            names = {"go", "done", "bad", "undo", "undone", "read", "wrote"}
            self._inside_kinds = {number: key[0] in names or (key[0] == "goal" and isinstance(key[1], Process))
                                  for key, number in self.out.kinds.items()}  # fmt: skip
        return self._inside_kinds[kind]

    def request(self, action: Action) -> tuple[int, ...]:
        """The kinds that a call or send puts in flight; always the same once all components are known."""
        if action.id not in self._requests:
            self._requests[action.id] = self._request(action)
        return self._requests[action.id]

    def _request(self, action: Action) -> tuple[int, ...]:
        consumers = [p for p in self.index.started.get(action.message, ()) if p in self.members]
        found = [self._requested(action, self.home(process, action.message), process) for process in consumers]
        found += [self._arriving(action.message, number, action) for number in self.waits.get(action.message, ())]
        if not found and action.message in self.strangers:
            found = [self._requested(action, self.strangers[action.message], None)]
        return tuple(found) + self._asked(action.message, taken=bool(found) and not self.waits.get(action.message))

    def _requested(self, action: Action, to: int, process: Process | None) -> int:
        key = ("request", action.id, to)
        if key not in self.out.kinds:
            channel = action.message.channel
            if action.kind == "call" and channel is None:
                loss, facts = self._unanswered(action)
                kind = self.out.kind(
                    key, action.message.name, to, loss=loss, patient=self._queues_up(action.message, to)
                )
                self.out.kind_facts[kind] = facts
            else:
                kind = self._travelling(key, action.message, to, channel, action.process.service, process)
                if not self.out.tables.kinds[kind].loss and (
                    process is None or process.service is not action.process.service
                ):
                    loss, facts = self.omitted(action)
                    self.out.tables.kinds[kind] = self.out.tables.kinds[kind]._replace(loss=loss)
                    self.out.kind_facts[kind] += facts
        return self.out.kinds[key]

    def _queues_up(self, message: Message, to: int) -> bool:
        """Whether a message waits until the handler is done with the one before: it comes more than once on purpose."""
        thread = self.out.threads.get(to)
        return thread is not None and thread.process.kind != "workflow" and message in self._repeating

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
        given_up: tuple[str, ...] = ()
        if channel is not None and channel.fact("dead_letter").absent and process is not None and not loss:
            loss, given_up = self._gives_up(process, channel)
        loss = loss or self.forgotten(message.channel, channel)
        patient = patient or self._queues_up(message, to)
        kind = self.out.kind(key, message.name, to, copies=copies, loss=loss, patient=patient)
        self.out.kind_facts[kind] = (*(() if delivery.declared or once else (name,)), *given_up)
        if process is None and to in self.out.threads:
            process = self.out.threads[to].process
        self._keep_order(kind, message, channel, sender, process)
        return kind

    def _keep_order(
        self, kind: int, message: Message, channel: Channel | None, sender: Service | None, process: Process | None
    ) -> None:
        """Whether the kind keeps its order among those of its channel, and what may upset it (T3).

        A lane of a partition key is trusted: what belongs to one case follows one another on it, however many consumers there
        are. Where nobody has said anything about an order, the worse case is one that is mostly kept.
        """
        ordering = channel.fact("ordering") if channel is not None else Fact()
        place = channel.place if channel is not None else message.place
        what = f"`{channel.name}`" if channel is not None else f"`{message.name}`"
        group = channel.name if channel is not None else f"from {sender.name if sender else ''}"
        stem = group if channel is not None or sender is not None else message.name
        name = f"{stem}|ordered"
        upset = False
        if process is None or not process.fact("resequences").declared:
            repair = f"an order for {what}" if channel is not None else ""
            kept = self.facts.good(ordering, name, f"{what} may be overtaken", place, repair)
            if ordering.absent and not kept:
                return
            if ordering.unknown and not kept:
                self.out.kind_facts[kind] += (name,)
            upset = self._upset(kind, channel, process, what) or not kept
        self._queues.setdefault((group, self.out.tables.kinds[kind].to), []).append(kind)
        if upset:
            self._overtaking.add(kind)

    def _upset(self, kind: int, channel: Channel | None, process: Process | None, what: str) -> bool:
        """Whether an order that the channel keeps is lost at its end: in several hands, or by what is put back later."""
        if channel is None:
            return False
        found = False
        dead, redrive = channel.fact("dead_letter"), channel.fact("redrive")
        if dead.declared and redrive.declared and not dead.value.by:
            text = f"what `redrive` puts back into {what} comes after what followed it"
            absent = Fact("absent", None, redrive.span)
            repair = f"set aside what follows in {what} as well: `dead-letter … by KEY`"
            found = not self.facts.good(absent, f"{channel.name}|set aside together", text, channel.place, repair)
        if process is None or channel.fact("ordering").value != "total":
            return found
        hands, replicas = process.fact("concurrency"), process.service.fact("replicas")
        repair = f"a key for the order of {what}"
        if hands.declared and hands.value > 1:
            text = f"{hands.value} messages of {what} are handled at a time"
            absent = Fact("absent", None, hands.span)
            found = not self.facts.good(absent, f"{process.path}|one at a time", text, process.place, repair) or found
        elif channel.fact("kind").value == "queue" and replicas.declared and replicas.value > 1:
            name = f"{process.path}|one at a time"
            text = f"{replicas.value} replicas of `{process.service.name}` take from {what} at a time"
            if not self.facts.good(Fact("unknown", None, replicas.span), name, text, process.place, repair):
                self.out.kind_facts[kind] += (name,)
                found = True
        return found

    def _gives_up(self, process: Process, channel: Channel) -> tuple[str, tuple[str, ...]]:
        """Whether a message that cannot be handled is gone at last; where nobody says how often it is tried, that is open."""
        attempts = process.fact("attempts")
        name = f"{process.path}|keeps trying"
        fact = Fact("absent", None, attempts.span) if attempts.declared else Fact()
        text = f"`{channel.name}` drops what {called(process)} cannot handle"
        good = self.facts.good(fact, name, text, process.place, f"a `dead-letter` for `{channel.name}`")
        return ("" if good else "lose"), (() if attempts.declared else (name,))

    def _order(self) -> None:
        """Kinds that share an ordered channel to one consumer keep their order; alone, a kind needs none."""
        tables = self.out.tables
        for kinds in self._queues.values():
            if len(kinds) > 1:
                for kind in kinds:
                    overtakes = kind in self._overtaking
                    tables.kinds[kind] = tables.kinds[kind]._replace(queue=tables.queues, overtakes=overtakes)
                tables.queues += 1

    def published(self, action: Action) -> list[tuple[int, ...]]:
        """The kinds that an event becomes, one for each consumer; where guards exclude each other, one way for each of them."""
        message = action.message
        takers = [process for process in self.index.started.get(message, ()) if process in self.members]
        waits = [self._arriving(message, number, action) for number in self.waits.get(message, ())]
        ways = []
        for left_out in _left_out(takers):
            found = [self._event(message, process, action) for process in takers if process not in left_out]
            ways.append(tuple(dict.fromkeys(found + waits)) + self._seen(message))
        return ways

    def _event(self, message: Message, process: Process, action: Action | None) -> int:
        site = action.id if action is not None and (process, message, action.id) in self.places else -1
        to = self.home(process, message, site)
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
                fact,
                name,
                f"{called(process)} drops what comes before it is awaited",
                process.place,
                "`on unexpected park`",
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
                    to = self.home(process, self._change_marker(process), ONCE if _is_timed(process) else -1)
                    found.append(self.out.kind(("changed", process), process.name, to))
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
                        found.append(self._event(message, process, None))
                    else:
                        found.append(self._entered(message, process))
            found += self._asked(message, taken=bool(found))
        again: list[int] = []
        for message in self.waits:
            if not self._producers(message) and message not in self.scene.starts and self._owed(message):
                for number in self.waits[message]:
                    kind = self._arriving(message, number, None)
                    found.append(kind)
                    if self._is_awaited_in_a_loop(message, number):
                        again.append(kind)
        for process in self.scene.processes:
            for trigger in process.triggers:
                for use in trigger.uses if trigger.mode == "all" else ():
                    if (
                        use.message not in self.scene.starts
                        and not self._producers(use.message)
                        and self._owed(use.message)
                    ):
                        found.append(self._event(use.message, process, None))
        return (*dict.fromkeys(found), *again)

    def _is_awaited_in_a_loop(self, message: Message, number: int) -> bool:
        """Then the environment owes it once for each turn."""
        process = self.out.threads[number].process
        looped = in_loops(process, self.system)
        return any(
            action.id in looped and any(use.message is message for use in action.uses)
            for action in self.system.actions_of(process, "await")
        )

    def _entered(self, message: Message, process: Process) -> int:
        """The request by which the scene begins; its client may send it again."""
        to = self.home(process, message)
        kind = self.out.kind(("request", -1, message, to), message.name, to, copies=True)
        if message.channel is None:
            self.by_clients.add(kind)
        return kind

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
                chosen = next((one for one in emitters if one.id == site), None)
                if chosen is None and message not in self.scene.starts:
                    chosen = next(iter(emitters), None)
                found.append((self._event(message, process, chosen), -1))
        for action in self.callers.get(message, ()):
            found.append((self._requested(action, to, process), action.id if action.kind == "call" else -1))
        if process is not None and message.kind != "event" and message in self.scene.starts:
            found.append((self._entered(message, process), -1))
        return found

    def is_repeated(self, kind: int) -> bool:
        """Whether a trigger comes more than once on purpose, for other occurrences."""
        return self.keys[kind] in self._repeating

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


def _left_out(takers: list[Process]) -> list[set[Process]]:
    """Which consumers take no notice, for each way in which guards that complement each other can fall."""
    for number, one in enumerate(takers):
        for other in takers[number + 1 :]:
            if exclude(one, other):
                rest = [process for process in takers if process not in {one, other}]
                return [{left, *others} for left in (other, one) for others in _left_out(rest)]
    return [set()]


def _is_timed(process: Process) -> bool:
    return any(trigger.kind == "timer" for trigger in process.triggers)
