"""Delivery: over which channels a message reaches a handler, whether it may come twice, and what is lost on the way.

The questions of the delivery rules, answered once per design and in time linear in its size; nothing here judges.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from coordlint.analysis.calls import Calls
from coordlint.source import Span
from coordlint.system import (
    Action,
    Channel,
    DeadLetter,
    Fact,
    Message,
    MessageUse,
    Process,
    Service,
    Store,
    System,
    Workflow,
)
from coordlint.versions import in_range

if TYPE_CHECKING:
    from coordlint.analysis.flows import FlowView
    from coordlint.graph import Index


class Arrival(NamedTuple):
    """One message that a process takes in.

    Attributes:
        process: who takes it.
        use: where the process names it.
        hops: the channels it travels over, the message's own first, the subscription's own queue (``via``) last; empty when
            it is called directly or nothing is said.
        starts: it starts the process; otherwise the process is awaiting it in its midst.
    """

    process: Process
    use: MessageUse
    hops: tuple[Channel, ...]
    starts: bool

    @property
    def channel(self) -> Channel | None:
        """The channel the process reads from."""
        return self.hops[-1] if self.hops else None


class Repeat(NamedTuple):
    """Why a message may arrive again.

    ``kind``: ``delivery`` (the channel's guarantee), ``redrive`` (dead letters are put back), ``attempts`` (the sender or the
    handler tries again), ``relay`` (an outbox publishes at least once), or ``unsaid`` (asynchronous, and nothing is said).
    ``text`` is a clause about it, ``sender`` the call or send that is tried again.
    """

    kind: Literal["delivery", "redrive", "attempts", "relay", "unsaid"]
    text: str
    span: Span
    sender: Action | None = None


class Horizon(NamedTuple):
    """How long after its first delivery a message may be delivered again, in seconds, and the declared facts it is made of."""

    seconds: float
    terms: tuple[tuple[str, float, tuple[Span, ...]], ...]


class DualWrite(NamedTuple):
    """Two effects on one execution path that cannot commit together, in the order in which they happen."""

    first: Action
    second: Action

    @property
    def publishes_first(self) -> bool:
        """The message goes out before the data are written."""
        return self.first.kind in _PUBLICATIONS


class _Origin(NamedTuple):
    """Where a message comes from: the services, and what may repeat it there. Long lists are cut at :data:`ENOUGH`."""

    services: tuple[Service, ...]
    relays: tuple[Repeat, ...]
    tries: tuple[Repeat, ...]
    outside: dict[Service, tuple[str, Span]]


ENOUGH = 20
"""How many senders of one message are told apart: a finding shows fewer, and every consumer looks at all of them."""

_PUBLICATIONS = frozenset({"emit", "send"})
_EFFECTS = frozenset({"write", "act"})


class Delivery:
    """The delivery facts of a system. Phantom messages and channels are left out."""

    def __init__(self, index: Index, calls: Calls) -> None:
        self.index = index
        self.calls = calls
        self.system: System = index.system
        self.arrivals: list[Arrival] = []
        self.by_process: dict[Process, list[Arrival]] = {}
        self.by_channel: dict[Channel, list[Arrival]] = {}
        self._origins: dict[Message, _Origin] = {}
        for process in self.system.processes:
            if process.contract:
                continue
            for trigger in process.triggers:
                for use in trigger.uses:
                    self._add(process, use, trigger.via, starts=True)
        for action in self.system.actions:
            if action.kind == "await":
                for use in action.uses:
                    self._add(action.process, use, None, starts=False)

    def _add(self, process: Process, use: MessageUse, via: Channel | None, *, starts: bool) -> None:
        if use.message.phantom:
            return
        hops = tuple(hop for hop in dict.fromkeys((channel_of(use), via)) if hop is not None and not hop.phantom)
        arrival = Arrival(process, use, hops, starts)
        self.arrivals.append(arrival)
        self.by_process.setdefault(process, []).append(arrival)
        if hops:
            self.by_channel.setdefault(hops[-1], []).append(arrival)

    def over(self, channel: Channel) -> list[Arrival]:
        """The messages that travel over a channel anywhere on their way."""
        return self._by_hop.get(channel, [])

    @cached_property
    def _by_hop(self) -> dict[Channel, list[Arrival]]:
        result: dict[Channel, list[Arrival]] = {}
        for arrival in self.arrivals:
            for hop in arrival.hops:
                result.setdefault(hop, []).append(arrival)
        return result

    # -------------------------------------------------------------------------------------------- effects

    def effects(self, process: Process) -> list[Action]:
        """What a repetition of the process would do again, in model order: writes, acts, and requests that change something
        where they arrive. What only undoes (compensations) is left out.
        """
        return [action for action in self.system.actions_of(process) if self._is_effect(action)]

    def _is_effect(self, action: Action) -> bool:
        if action.region == "compensation":
            return False
        if action.kind in _EFFECTS:
            return True
        return action.kind in {"send", "call"} and self._is_effective_request(action)

    def _is_effective_request(self, action: Action) -> bool:
        if self._says_no_more(action.message):
            return True
        handlers = self.index.handlers(action.message)
        return any(handler in self._changing and not guards_itself(handler) for handler in handlers)

    def _says_no_more(self, message: Message) -> bool:
        """Whether a command's effects are left out: nobody in the design handles it, or by a handler without a statement.
        It is taken at its word, while a query only asks.
        """
        if message.kind != "command" or message.phantom:
            return False
        return all(_is_empty(handler, self.system) for handler in self.index.handlers(message))

    def repeated(self, process: Process) -> list[Action]:
        """The effects that a second copy of its input would have; empty if the process guards itself.

        Where the author says that it is not idempotent, what it publishes counts, too; where nothing is said, only what
        changes state.
        """
        if guards_itself(process):
            return []
        if process.fact("idempotent").absent:
            return [*self.effects(process), *self.answers(process)]
        return self.effects(process) if self.changes_state(process) else []

    def changes_state(self, process: Process) -> bool:
        """Whether the process changes something, itself or by what it asks others; read models and notices do not count."""
        return process in self._changing

    @cached_property
    def _changing(self) -> frozenset[Process]:
        """The processes with an effect, and those that ask one of them to act without it recognising a repetition."""
        askers: dict[Process, list[Process]] = {}
        found: dict[Process, None] = {}
        for action in self.system.actions:
            process = action.process
            if action.region == "compensation" or _only_informs(process):
                continue
            if action.kind in _EFFECTS:
                found[process] = None
            elif action.kind in {"send", "call"}:
                for handler in self.index.handlers(action.message):
                    askers.setdefault(handler, []).append(process)
                if self._says_no_more(action.message):
                    found[process] = None
        pending = list(found)
        while pending:
            process = pending.pop()
            if guards_itself(process):
                continue
            for asker in askers.get(process, ()):
                if asker not in found:
                    found[asker] = None
                    pending.append(asker)
        return frozenset(found)

    def answers(self, process: Process) -> list[Action]:
        """The events the process publishes."""
        return [action for action in self.system.actions_of(process, "emit") if action.region != "compensation"]

    # -------------------------------------------------------------------------------------------- repetition

    def repeats(self, process: Process, *, without: Collection[Action] = (), unsaid: bool = False) -> list[Repeat]:
        """Why a message that starts the process may arrive again, in the order channel, outbox, sender, handler.

        Args:
            process: a handler or workflow.
            without: senders to leave out.
            unsaid: also the asynchronous messages for which nothing is said (profile production).
        """
        found: dict[tuple[str, Span], Repeat] = {}

        def add(repeat: Repeat) -> None:
            found.setdefault((repeat.kind, repeat.span), repeat)

        for arrival in self.by_process.get(process, ()):
            if not arrival.starts:
                continue
            for repeat in (*self._in_transit(arrival), *self._origin(arrival.use.message).tries):
                if repeat.sender is None or repeat.sender not in without:
                    add(repeat)
            if unsaid and not found and self.is_asynchronous(arrival) and not _at_most_once(arrival):
                text = f"nothing is said about the delivery of `{arrival.use.message.name}`"
                add(Repeat("unsaid", text, arrival.use.span))
        attempts = process.fact("attempts")
        if attempts.declared and attempts.value > 1 and attempts.span is not None:
            add(Repeat("attempts", f"the handler tries again: `{attempts.text}`", attempts.span))
        return list(found.values())

    def _in_transit(self, arrival: Arrival) -> Iterator[Repeat]:
        if any(hop.fact("dedup").declared for hop in arrival.hops):
            return  # how long its memory has to last is a question of its own
        for hop in arrival.hops:
            delivery, redrive = hop.fact("delivery"), hop.fact("redrive")
            if delivery.declared and delivery.span is not None:
                if delivery.value == "at-least-once":
                    yield Repeat("delivery", f"`{hop.name}` delivers at least once", delivery.span)
                elif delivery.value == "exactly-once" and self._leaves_the_broker(arrival.process):
                    text = f"`{hop.name}` delivers exactly once only what stays in its broker"
                    yield Repeat("delivery", text, delivery.span)
            if redrive.declared and redrive.span is not None:
                yield Repeat("redrive", f"dead letters of `{hop.name}` are put back", redrive.span)
        yield from self._origin(arrival.use.message).relays

    def _leaves_the_broker(self, process: Process) -> bool:
        return any(True for _ in self.system.actions_of(process, "write", "act", "call"))

    def publishers(self, message: Message) -> tuple[Service, ...]:
        """The services that publish or send the message, in model order."""
        return self._origin(message).services

    def _origin(self, message: Message) -> _Origin:
        if message not in self._origins:
            producers = self.index.producers(message)
            relays: dict[Span, Repeat] = {}
            tries: list[Repeat] = []
            outside: dict[Service, tuple[str, Span]] = {}
            for action in producers:
                service = action.process.service
                outbox = action.process.fact("outbox")
                if action.kind in _PUBLICATIONS and outbox.declared and outbox.span is not None:
                    text = f"the outbox of `{service.name}` publishes at least once"
                    relays.setdefault(outbox.span, Repeat("relay", text, outbox.span))
                for retry in self.calls.retries(action) if action.kind != "emit" else ():
                    if retry.attempts > 1 and retry.fact.span is not None:
                        text = f"`{action.process.name}` of `{service.name}` tries again: `{retry.fact.text}`"
                        tries.append(Repeat("attempts", text, retry.fact.span, action))
                if service.external:
                    text = f"`{service.name}` {_VERBS[action.kind]} `{message.name}`"
                    outside.setdefault(service, (text, action.span))
            self._origins[message] = _Origin(
                tuple(dict.fromkeys(action.process.service for action in producers)),
                tuple(relays.values())[:ENOUGH],
                tuple(tries[:ENOUGH]),
                dict(list(outside.items())[:ENOUGH]),
            )
        return self._origins[message]

    def is_asynchronous(self, arrival: Arrival) -> bool:
        """Whether the message comes as one: an event, over a channel, or sent without waiting for an answer."""
        message = arrival.use.message
        if message.kind == "event" or arrival.hops:
            return True
        return any(action.kind == "send" for action in self.index.senders.get(message, ()))

    def is_redelivered(self, process: Process) -> bool:
        """Whether what a crash interrupts is delivered again: at least once, and not given up after the first attempt."""
        attempts = process.fact("attempts")
        if attempts.declared and attempts.value <= 1:
            return False
        arrivals = [arrival for arrival in self.by_process.get(process, ()) if arrival.starts]
        return bool(arrivals) and all(
            arrival.channel is not None and arrival.channel.fact("delivery").value == "at-least-once"
            for arrival in arrivals
        )

    def entries(self, process: Process) -> list[tuple[str, Span]]:
        """Who outside the design starts the process and may do so again: the words and the place, in model order."""
        found: dict[object, tuple[str, Span]] = {}
        for arrival in self.by_process.get(process, ()):
            if not arrival.starts:
                continue
            message = arrival.use.message
            for service, entry in (*self._origin(message).outside.items(), *self._flow_sources.get(message, ())):
                found.setdefault((message, service), entry)
            if message.visibility == "external" and not found:
                found[message] = (f"`{message.name}` comes from outside", message.place)
        return list(found.values())

    @cached_property
    def _flow_sources(self) -> dict[Message, list[tuple[Service, tuple[str, Span]]]]:
        sources: dict[Message, list[tuple[Service, tuple[str, Span]]]] = {}
        for flow in self.system.flows.values():
            if flow.source is None or not flow.source.external:
                continue
            for start in flow.starts:
                if not isinstance(start, Workflow):
                    text = f"`{flow.source.name}` starts flow `{flow.name}` with `{start.message.name}`"
                    sources.setdefault(start.message, []).append((flow.source, (text, start.span)))
        return sources

    # -------------------------------------------------------------------------------------------- vocabulary

    def others_say(self, name: Literal["idempotent", "dead_letter"], own: Process | Channel) -> bool:
        """The vocabulary gate: whether another handler, workflow or channel says that it has this, or that it has none."""
        return self._said[name] > (not own.fact(name).unknown)

    @cached_property
    def _said(self) -> dict[str, int]:
        elements: list[Process | Channel] = [*self.system.processes, *self.system.channels.values()]
        return {
            "idempotent": sum(not one.fact("idempotent").unknown for one in elements),
            "dead_letter": sum(not one.fact("dead_letter").unknown for one in elements),
        }

    # -------------------------------------------------------------------------------------------- dual writes

    def dual_write(self, process: Process) -> DualWrite | None:
        """Two effects of one execution path that no transaction spans: a write and a publication, an act and a publication
        of an input that is not delivered again, or writes of two stores. None if there are none.

        A workflow that keeps its state in a store goes on where a crash has stopped it and so has none.
        """
        if isinstance(process.fact("state").value, Store):
            return None
        actions = [a for a in self.system.actions_of(process) if a.region != "compensation"]
        writes = [a for a in actions if a.kind == "write" and _stores(a)]
        publications = [a for a in actions if a.kind in _PUBLICATIONS and not a.message.phantom]
        pair = self._on_one_path(writes, publications) or self._on_one_path(publications, writes)
        if pair is None and not self.is_redelivered(process):
            acts = [a for a in actions if a.kind == "act"]
            pair = self._on_one_path(acts, publications) or self._on_one_path(publications, acts)
        return pair or self._two_stores(writes)

    def announced(self, process: Process) -> list[tuple[Action, Action]]:
        """The publications of a process behind which it still sends a command, each with the first such command."""
        actions = [a for a in self.system.actions_of(process, "emit", "send") if a.region != "compensation"]
        sends = [action for action in actions if action.kind == "send"]
        pairs = [self._on_one_path([action], sends) for action in actions if action.kind == "emit"] if sends else []
        return [(pair.first, pair.second) for pair in pairs if pair is not None]

    def _two_stores(self, writes: list[Action]) -> DualWrite | None:
        for action in writes:
            if len(_stores(action)) > 1:
                return DualWrite(action, action)
        stores = {store for action in writes for store in _stores(action)}
        if len(stores) < 2:
            return None
        first = _stores(writes[0])[0]
        here = [action for action in writes if _stores(action)[0] is first]
        there = [action for action in writes if _stores(action)[0] is not first]
        return self._on_one_path(here, there) or self._on_one_path(there, here)

    def _on_one_path(self, sources: list[Action], targets: list[Action]) -> DualWrite | None:
        """The first of the targets that control reaches from one of the sources, and that source."""
        wanted = {action.id for action in targets}
        origin: dict[int, Action] = {}
        queue: deque[int] = deque()
        for source in sources:
            for edge in source.edges:
                if edge.target not in origin:
                    origin[edge.target] = source
                    queue.append(edge.target)
        while queue:
            node = queue.popleft()
            for edge in self.system.actions[node].edges:
                action = self.system.actions[edge.target]
                if edge.target not in origin and action.region != "compensation":
                    origin[edge.target] = origin[node]
                    queue.append(edge.target)
        reached = sorted(node for node in wanted if node in origin)
        return DualWrite(origin[reached[0]], self.system.actions[reached[0]]) if reached else None

    # -------------------------------------------------------------------------------------------- loss

    def carried(self, channel: Channel) -> list[Message]:
        """The messages that travel over the channel without anybody waiting for an answer, by name."""
        return self._carried.get(channel, [])

    @cached_property
    def _carried(self) -> dict[Channel, list[Message]]:
        result: dict[Channel, list[Message]] = {}
        for message in self.system.messages.values():
            if message.channel is None:
                continue
            producers = self.index.producers(message)
            if not producers or any(action.kind != "call" for action in producers):
                result.setdefault(message.channel, []).append(message)
        return result

    def endangered(self, views: Iterable[FlowView]) -> dict[Channel, list[FlowView]]:
        """The channels that may lose messages, each with the flows that cannot reach their goal then, by name."""
        system = self.system
        messages = list(system.messages.values())
        found: dict[Channel, list[FlowView]] = {}
        for view in views:
            touched: dict[Channel, None] = {}
            for node in sorted(view.nodes):
                if node >= len(system.actions):
                    channels: Iterable[Channel | None] = (messages[node - len(system.actions)].channel,)
                else:
                    action = system.actions[node]
                    arrivals = self.by_process.get(action.process, ()) if action.kind == "start" else ()
                    channels = (arrival.channel for arrival in arrivals)
                touched.update((channel, None) for channel in channels if channel is not None and loses(channel))
            for channel in touched:
                if self.bears(view, channel):
                    found.setdefault(channel, []).append(view)
        return dict(sorted(found.items(), key=lambda one: one[0].name))

    def bears(self, view: FlowView, channel: Channel) -> bool:
        """Whether the goal of a flow cannot be reached if the messages on the channel are lost.

        A timer that reads what the flow writes counts as a way out, as the job that looks for what was lost; publishing a goal
        event counts as reaching it.
        """
        causality, goal = view.causality, view.flow.success
        if goal is None or view.level is None:
            return False
        banned = {causality.sent(message) for message in self.carried(channel)}
        for arrival in self.by_channel.get(channel, ()):
            if arrival.starts and channel is not arrival.use.message.channel:
                banned.add(causality.done(arrival.process.start))
        if not banned & view.holds:
            return False
        roots = view.roots | {causality.entered(start) for start in self._pollers(view)}
        holds = causality.graph.reached(roots, banned)

        def is_met(target: MessageUse | Workflow) -> bool:
            if isinstance(target, Workflow):
                return causality.done(target.process.actions[-1]) in holds
            if target.message.phantom or causality.produced(target.message) in roots:
                return True
            producers = self.index.producers(target.message)
            return any((causality.entered if one.kind == "call" else causality.done)(one) in holds for one in producers)

        met = [is_met(target) for target in goal.targets]
        return not (all(met) if goal.mode == "all" else any(met))

    def _pollers(self, view: FlowView) -> Iterator[int]:
        """The starts of the timers that an instance of the flow reaches through what it writes."""
        for node in view.nodes:
            if node < len(self.system.actions):
                action = self.system.actions[node]
                if action.kind == "start" and any(trigger.kind == "timer" for trigger in action.process.triggers):
                    yield node

    # -------------------------------------------------------------------------------------------- time

    def horizon(self, channel: Channel) -> Horizon:
        """F11, the redelivery horizon of a channel in seconds: how long after the first delivery of a message another one may
        come. A lower bound: what is not declared counts nothing.

        ``(deliveries - 1) * ack-timeout`` + the retention of the retry channels that lead back to it (once round) + the
        retention of the dead-letter channel if dead letters are put back (``redrive``). Deliveries are those after which a
        message is set aside, or the attempts of the consumer with the most.

        Source: the visibility timeout, redrive and message retention rules of Amazon SQS (developer guide), generalised.
        """
        terms: list[tuple[str, float, tuple[Span, ...]]] = []
        ack = channel.fact("ack_timeout")
        deliveries, counted = self.deliveries(channel)
        if ack.declared and deliveries > 1 and counted is not None:
            if math.isinf(deliveries):
                kept = channel.fact("retention")
                if kept.declared:
                    terms.append(("redelivered until it expires", kept.value, _spans(kept, counted)))
            else:
                text = f"{deliveries:g} deliveries, each after an acknowledgement timeout"
                terms.append((text, (deliveries - 1) * ack.value, _spans(counted, ack)))
        for retry in self.retry_channels(channel):
            kept = retry.fact("retention")
            if kept.declared:
                terms.append((f"held in `{retry.name}`", kept.value, _spans(kept)))
        redrive, target = channel.fact("redrive"), dead_letter(channel)
        if redrive.declared and target is not None and target.channel not in self.retry_channels(channel):
            kept = target.channel.fact("retention")
            if kept.declared:
                terms.append((f"put back from `{target.channel.name}`", kept.value, _spans(redrive, kept)))
        return Horizon(sum(seconds for _, seconds, _ in terms), tuple(terms))

    def deliveries(self, channel: Channel) -> tuple[float, Fact | None]:
        """How often a message of the channel is delivered at most, and the fact that says so; 1 and None if nothing does."""
        best: tuple[float, Fact | None] = (1, None)
        target = dead_letter(channel)
        if target is not None and target.after is not None:
            best = (target.after, channel.fact("dead_letter"))
        for arrival in self.by_channel.get(channel, ()):
            own, attempts = arrival.process.fact("dead_letter"), arrival.process.fact("attempts")
            if own.declared and own.value.after is not None and own.value.after > best[0]:
                best = (own.value.after, own)
            if attempts.declared and attempts.value > best[0]:
                best = (attempts.value, attempts)
        return best

    def retry_channels(self, channel: Channel) -> list[Channel]:
        """The channels through which dead letters of the channel come back to it, in order; empty if none do."""
        passed: list[Channel] = []
        target = dead_letter(channel)
        while target is not None and target.channel is not channel:
            if target.channel in passed:
                return []
            passed.append(target.channel)
            target = dead_letter(target.channel)
        return passed if target is not None else []


def channel_of(use: MessageUse) -> Channel | None:
    """The channel on which a message arrives where it is named: that of the newest version that the pin allows."""
    versions = use.message.versions
    if use.pin is not None:
        versions = tuple(version for version in versions if in_range(version.number, use.pin)) or versions
    return versions[-1].channel if versions else None


def dead_letter(channel: Channel) -> DeadLetter | None:
    """Where the channel's dead letters go, or None."""
    fact = channel.fact("dead_letter")
    return fact.value if fact.declared and not fact.value.channel.phantom else None


def guards_itself(process: Process) -> bool:
    """Whether a repetition does no harm: declared idempotent, a projection, or only a notice."""
    return process.fact("idempotent").declared or (_only_informs(process) and not process.fact("idempotent").absent)


def loses(channel: Channel) -> Fact | None:
    """The declared fact by which the channel may lose a message, or None."""
    delivery, volatile = channel.fact("delivery"), channel.fact("in_memory")
    if delivery.declared and delivery.value == "at-most-once":
        return delivery
    return volatile if volatile.declared else None


def shown(action: Action) -> str:
    """An effect in the words of the design: ``writes OrdersDb.orders``, ``emits OrderPlaced``."""
    if action.kind == "emit":
        return f"emits {action.message.name}"
    if action.kind in {"send", "call"}:
        return f"{_VERBS[action.kind]} {action.message.name}"
    return " ".join(action.span.text.split())


_VERBS = {"emit": "emits", "send": "sends", "call": "calls"}


def _only_informs(process: Process) -> bool:
    return process.fact("projection").declared or process.fact("notifies").declared


def _is_empty(process: Process, system: System) -> bool:
    return not guards_itself(process) and all(
        system.actions[number].kind in {"start", "end", "failed"} for number in process.actions
    )


def _at_most_once(arrival: Arrival) -> bool:
    return any(hop.fact("delivery").value == "at-most-once" for hop in arrival.hops)


def _stores(action: Action) -> list[Store]:
    return list(dict.fromkeys(entity.store for entity in action.entities if not entity.store.phantom))


def _spans(*facts: Fact) -> tuple[Span, ...]:
    return tuple(fact.span for fact in facts if fact.span is not None)
