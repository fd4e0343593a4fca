"""Load: what retries multiply, which rates reach processes and messages, and what consumers and orchestrators can bear.

Rates are bounds from below and capacities bounds from above: what nobody declared adds no load and takes no capacity.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

from coordlint.analysis.calls import Calls, Reason, shown, strong_components
from coordlint.analysis.courses import forward, in_order
from coordlint.analysis.delivery import Delivery
from coordlint.system import Action, Broker, Channel, Edge, Fact, Flow, Message, Process, Service, System, Workflow

# ------------------------------------------------------------------------------------------------ pure formulas


def effective_attempts(attempts: float, retry_budget: float | None = None, *, breaker: bool = False) -> float:
    """F7: the attempts per request that a caller makes while everything fails.

    Args:
        attempts: in all, the first one included; unlimited ones count once, as only time bounds them.
        retry_budget: the share of its requests that a client may repeat (a ratio), None without a budget.
        breaker: a circuit breaker opens, so that nothing is repeated any more.

    Source: Google SRE book, chapter "Handling Overload" (per-client retry ratio of 10 %).
    """
    if breaker or math.isinf(attempts):
        return 1.0
    return min(float(attempts), 1.0 + retry_budget) if retry_budget is not None else float(attempts)


def expected_attempts(attempts: int, failing: float) -> float:
    """The mean number of attempts when each fails with that probability: (1 - p^n) / (1 - p), which is n at p = 1."""
    if failing >= 1:
        return float(attempts)
    return (1.0 - failing**attempts) / (1.0 - failing)


def backlog_drain(arrival: float, service: float, outage: float) -> float:
    """F10: the seconds until the backlog of an outage is worked off: arrival * outage / (service - arrival).

    80/s against 100/s after ten minutes take 40 minutes. Infinity if the consumer is not faster than what arrives.

    Args:
        arrival: messages per second, also during the outage.
        service: messages per second that the consumer can take.
        outage: its length in seconds.

    Source: Amazon Builders' Library, "Avoiding insurmountable queue backlogs".
    """
    if arrival <= 0 or outage <= 0:
        return 0.0
    if service <= arrival:
        return math.inf
    return arrival * outage / (service - arrival)


def utilisation(rate: float, transitions: float, capacity: float, replicas: int) -> float:
    """F8: the share of an orchestrator's capacity in use: rate * transitions / (capacity * replicas); infinite without replicas.

    360 instances a second with 10 transitions each on 3 replicas of 2000/s: 0.6, and 0.9 with one replica less.

    Args:
        rate: instances per second.
        transitions: state transitions of one instance.
        capacity: transitions per second of one replica.
        replicas: how many replicas share the load.
    """
    return rate * transitions / (capacity * replicas) if replicas > 0 else math.inf


# ------------------------------------------------------------------------------------------------ values


class Layer(NamedTuple):
    """One place where something is tried again: its factor, what does so (a call or a consumer), and the declared facts."""

    factor: float
    what: Action | Process
    reasons: tuple[Reason, ...]

    @property
    def process(self) -> Process:
        """Where it happens."""
        return self.what if isinstance(self.what, Process) else self.what.process


class Amplification(NamedTuple):
    """How many runs of a process one request may cause while the process fails.

    Attributes:
        factor: the product of the factors of the layers.
        layers: where something is tried again, outermost first.
        calls: the chain of calls that leads to the process, outermost first; also those that are made once.
    """

    factor: float
    layers: tuple[Layer, ...]
    calls: tuple[Action, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was counted how."""
        unlimited = any(call.fact("attempts").value == math.inf for call in self.calls)
        return ("`attempts unlimited` counts once: only time bounds it",) if unlimited else ()


@dataclass(frozen=True, slots=True)
class Rate:
    """A number of events per second, at least, and the declared rates and chances it follows from."""

    per_second: float = 0.0
    reasons: tuple[Reason, ...] = ()

    @property
    def text(self) -> str:
        """The rate as the language writes it."""
        return rate_text(self.per_second)


class Lanes(NamedTuple):
    """What a consumer can take, at most.

    Attributes:
        per_second: messages per second; None if too little is declared to bound it.
        parallel: how many it handles at once; None if unbounded as far as declared.
        reasons: the declared facts.
    """

    per_second: float | None
    parallel: float | None
    reasons: tuple[Reason, ...]


class Utilisation(NamedTuple):
    """How much of its capacity a workflow needs.

    Attributes:
        rate: instances per second.
        transitions: of one instance.
        capacity: transitions per second of one replica.
        replicas: of its service.
        all: the share in use with all replicas.
        one_less: the same with one replica less; infinite with a single one.
    """

    rate: Rate
    transitions: float
    capacity: float
    replicas: int
    all: float
    one_less: float


def rate_text(per_second: float) -> str:
    """A rate as the language writes it: ``50/s``, ``2.5/m``, ``3/h``, ``1/d``."""
    for unit, seconds in (("s", 1), ("m", 60), ("h", 3600), ("d", 86400)):
        if per_second * seconds >= 1 or unit == "d":
            return f"{per_second * seconds:.6g}/{unit}"
    return "0/s"


# ------------------------------------------------------------------------------------------------ retries


class _Worst(NamedTuple):
    """The end of a worst chain: its factor, its layers, the last call, and the process above whose chain it continues."""

    factor: float
    layers: int
    call: Action | None = None
    above: Process | None = None


class RetryLoad:
    """F7: what retries multiply, over the graph of synchronous calls.

    On a chain of calls the runs of the last process per request at the first are the product of the attempts: four attempts
    (three retries) on each of three layers make 64, three attempts on each of five layers 243. Where several callers lead to
    a process, the worst chain counts: the mean over all callers, N(v) / N0(v), would hide it behind harmless ones.

    A layer multiplies what lies below it only if the failure reaches it: an optional call, a fallback or a business failure
    ends the chain. Redelivery by the broker multiplies the consumer. Calls on a cycle are not followed.

    Sources: Google SRE book, "Addressing Cascading Failures" (64); Amazon Builders' Library, "Timeouts, retries, and backoff
    with jitter" (243).
    """

    def __init__(self, calls: Calls, delivery: Delivery) -> None:
        self.calls = calls
        self.delivery = delivery
        self._worst: dict[Process, _Worst] = {}
        self._received: dict[Process, Layer | None] = {}
        callers: dict[Process, list[Action]] = {}
        for call in calls.callees:
            for callee in calls.followed(call):
                callers.setdefault(callee, []).append(call)
        for process in reversed(calls.order):
            self._compute(process, callers.get(process, ()))

    def amplification(self, process: Process) -> Amplification:
        """The worst chain of retries that ends in the process; a factor of 1 without layers if nothing is repeated."""
        layers: list[Layer] = []
        calls: list[Action] = []
        at: Process | None = process
        while at is not None:
            received = self._received[at]
            if received is not None:
                layers.append(received)
            worst = self._worst[at]
            if worst.call is not None:
                layers += self.layers(worst.call)
                calls.append(worst.call)
            at = worst.above
        return Amplification(self._worst[process].factor, tuple(reversed(layers)), tuple(reversed(calls)))

    def factor(self, process: Process) -> float:
        """The factor of :meth:`amplification`."""
        return self._worst[process].factor

    def count(self, process: Process) -> int:
        """The number of layers of :meth:`amplification`."""
        return self._worst[process].layers

    def above(self, process: Process) -> Process | None:
        """The process whose chain that of :meth:`amplification` continues, or None where it begins with its last call."""
        return self._worst[process].above

    def last_call(self, process: Process) -> Action | None:
        """The last call of the chain, or None if no call amplifies."""
        return self._worst[process].call

    def layers(self, call: Action) -> list[Layer]:
        """The repetitions of one call by its own process, innermost first, those by a factor of 1 left out."""
        budget, breaker = call.process.service.fact("retry_budget"), call.fact("breaker")
        found = []
        for retry in self.calls.retries(call):
            factor = effective_attempts(
                retry.attempts, budget.value if budget.declared else None, breaker=breaker.declared
            )
            if factor > 1 and retry.fact.span is not None:
                reasons = [Reason(f"{shown(call.process)} makes {int(retry.attempts)} attempts", retry.fact.span)]
                if budget.declared and budget.span is not None:
                    reasons.append(Reason(f"the budget leaves {factor:g} attempts per request", budget.span))
                found.append(Layer(factor, call, tuple(reasons)))
        return found

    def _compute(self, process: Process, callers: Iterable[Action]) -> None:
        received = self._received[process] = self._redelivery(process)
        base = received.factor if received is not None else 1.0
        received_layers = int(received is not None)
        best = _Worst(base, received_layers)
        for call in callers:
            found = self.layers(call)
            factor = base * math.prod(layer.factor for layer in found)
            count = received_layers + len(found)
            above = call.process if self.calls.propagates(call) else None
            if above is not None:
                factor *= self._worst[above].factor
                count += self._worst[above].layers
            if factor > best.factor:
                best = _Worst(factor, count, call, above)
        self._worst[process] = best

    def _redelivery(self, process: Process) -> Layer | None:
        """How often one message may be delivered to the process; a workflow answers for its failures itself."""
        if process.kind == "workflow":
            return None
        best: tuple[float, Fact | None] = (1.0, None)
        attempts, dead_letter = process.fact("attempts"), process.fact("dead_letter")
        if attempts.declared:
            best = (attempts.value, attempts)
        elif dead_letter.declared and dead_letter.value.after is not None:
            best = (dead_letter.value.after, dead_letter)
        else:
            for arrival in self.delivery.by_process.get(process, ()):
                if arrival.starts and arrival.channel is not None:
                    fact = arrival.channel.fact("dead_letter")
                    if fact.declared and fact.value.after is not None and fact.value.after > best[0]:
                        best = (fact.value.after, fact)
        count, fact_ = best
        if fact_ is None or fact_.span is None or count <= 1 or math.isinf(count):
            return None
        text = f"{shown(process)} gets a message up to {int(count)} times"
        return Layer(float(count), process, (Reason(text, fact_.span),))


# ------------------------------------------------------------------------------------------------ rates

Node: TypeAlias = Message | Process


@dataclass(slots=True)
class _Inflow:
    """What reaches a node: what flows declare to start there, what its clock starts, and what others pass on."""

    flows: float = 0.0
    clock: float = 0.0
    reasons: list[Reason] = field(default_factory=list)
    sources: list[tuple[float, Node, Reason | None]] = field(default_factory=list)
    rate: float = 0.0


class Load:
    """F8, F9 and F12: the rates that the declared ones of flows and timers cause, as far as they are certain."""

    def __init__(self, calls: Calls, delivery: Delivery) -> None:
        self.index = calls.index
        self.system: System = calls.system
        self.delivery = delivery
        self.retries = RetryLoad(calls, delivery)
        self._shares: dict[Process, dict[int, float]] = {}

    # -------------------------------------------------------------------------------------------- shares

    def share(self, action: Action) -> float:
        """How often an action happens in a run of its process in which no call or wait fails, on average and at least.

        One on every course; the declared chance behind a choice; zero behind a choice whose chances are not declared, and in
        the body of a ``for each``, whose items are unknown. Bodies of ``repeat`` count once.
        """
        process = action.process
        if process not in self._shares:
            self._shares[process] = _shares(process, self.system)
        return self._shares[process].get(action.id, 0.0)

    # -------------------------------------------------------------------------------------------- rates

    def rate(self, node: Node) -> Rate:
        """How often a message is published or sent, or a process started, per second and at least.

        Flows that start with the same message are the same instances, so the largest declared rate counts; a message that a
        flow starts with and that others publish, too, counts the larger of both.
        """
        inflow = self._rates.get(node)
        if inflow is None or inflow.rate <= 0:
            return Rate()
        return Rate(inflow.rate, tuple(self._reasons(node)))

    def per_second(self, node: Node) -> float:
        """The number of :meth:`rate` alone."""
        inflow = self._rates.get(node)
        return inflow.rate if inflow is not None else 0.0

    def _reasons(self, node: Node) -> Iterator[Reason]:
        """The declared rates and chances behind a rate, the node's own first, each once and at most eight."""
        seen: dict[Node, None] = {node: None}
        pending = [node]
        given: dict[tuple[str, int], None] = {}
        while pending and len(given) < 8:
            at = self._rates[pending.pop(0)]
            for reason in (*at.reasons, *(one for _, _, one in at.sources if one is not None)):
                key = (reason.span.source.path, reason.span.start)
                if key not in given:
                    given[key] = None
                    yield reason
            for _, source, _ in at.sources:
                if source not in seen:
                    seen[source] = None
                    pending.append(source)

    @cached_property
    def _rates(self) -> dict[Node, _Inflow]:
        found: dict[Node, _Inflow] = {}
        for flow in self.system.flows.values():
            fact = flow.fact("rate")
            if fact.declared and fact.span is not None and len(flow.starts) == 1:
                inflow = found.setdefault(_root(flow), _Inflow())
                if fact.value > inflow.flows:
                    inflow.flows = fact.value
                    inflow.reasons = [Reason(f"flow `{flow.name}` runs at {rate_text(fact.value)}", fact.span)]
        for process in self.system.processes:
            for trigger in process.triggers:
                if trigger.kind == "timer" and trigger.every:
                    inflow = found.setdefault(process, _Inflow())
                    inflow.clock += 1 / trigger.every
                    text = f"{shown(process)} starts by the clock, {rate_text(1 / trigger.every)}"
                    inflow.reasons.append(Reason(text, trigger.span))
        self._spread(found)
        return found

    def _spread(self, found: dict[Node, _Inflow]) -> None:
        """Pass rates on from producers to consumers; around a cycle everything is counted once, so that the bound stays sound."""
        reached = self._reached(found)
        number = {node: i for i, node in enumerate(reached)}
        component = strong_components([[number[target] for target in self._next(node)] for node in reached])
        groups: dict[int, list[Node]] = {}
        for node in reached:
            groups.setdefault(component[number[node]], []).append(node)
        for key in sorted(groups, reverse=True):
            group = groups[key]
            for node in group:
                self._settle(node, found.setdefault(node, _Inflow()))
            if len(group) > 1:
                self._go_round(group, found)
            for node in group:
                for target, share, reason in self._passed_on(node):
                    if component[number[target]] != key and found[node].rate > 0:
                        inflow = found.setdefault(target, _Inflow())
                        inflow.sources.append((found[node].rate * share, node, reason))

    def _settle(self, node: Node, inflow: _Inflow) -> None:
        gained = inflow.clock + _gained(node, inflow)
        inflow.rate = max(inflow.flows, gained)
        if gained > inflow.flows > 0 and not inflow.clock:
            inflow.reasons.clear()
        elif inflow.flows >= gained:
            inflow.sources.clear()

    def _go_round(self, group: list[Node], found: dict[Node, _Inflow]) -> None:
        """Inside a cycle a node gets at least the largest rate that one way from another node brings, the largest first."""
        inside = set(group)
        place = {node: i for i, node in enumerate(group)}
        queue = [(-found[node].rate, place[node]) for node in group if found[node].rate > 0]
        heapq.heapify(queue)
        done: set[Node] = set()
        while queue:
            _, i = heapq.heappop(queue)
            node = group[i]
            if node in done:
                continue
            done.add(node)
            for target, share, reason in self._passed_on(node):
                rate = found[node].rate * share
                if target not in inside or rate <= found[target].rate or _joins(target):
                    continue
                inflow = found[target]
                inflow.rate, inflow.sources = rate, [(rate, node, reason)]
                inflow.reasons.clear()
                heapq.heappush(queue, (-rate, place[target]))

    def _reached(self, roots: Iterable[Node]) -> list[Node]:
        seen: dict[Node, None] = dict.fromkeys(roots)
        pending = list(seen)
        while pending:
            for target in self._next(pending.pop()):
                if target not in seen:
                    seen[target] = None
                    pending.append(target)
        return list(seen)

    def _next(self, node: Node) -> list[Node]:
        return list(dict.fromkeys(target for target, _, _ in self._passed_on(node)))

    def _passed_on(self, node: Node) -> Iterator[tuple[Node, float, Reason | None]]:
        """What a node starts, with the share of its rate and the declared chance behind it."""
        if isinstance(node, Message):
            handlers = self.index.started.get(node, [])
            # Several handlers of one command share it in a way that nobody declared, unless each of them answers.
            if node.kind == "event" or len(handlers) == 1 or node.fact("scatter").declared:
                yield from ((process, 1.0, None) for process in handlers if not process.contract)
            return
        for number in node.actions:
            action = self.system.actions[number]
            if action.kind not in {"emit", "send", "call", "write"} or action.region != "main":
                continue
            share = self.share(action)
            if share <= 0:
                continue
            reason = (
                Reason(f"{share * 100:.4g}% of the runs of {shown(node)} get here", action.span) if share < 1 else None
            )
            if action.kind != "write":
                yield action.message, share, reason
                continue
            for entity in action.entities:
                yield from ((process, share, reason) for process in self.index.reacting(entity))

    # -------------------------------------------------------------------------------------------- F12

    def emissions(self, flow: Flow) -> float:
        """F12: the messages that one instance of a flow publishes and sends, as far as they are certain."""
        if len(flow.starts) != 1:
            return 0.0
        found = {_root(flow): _Inflow(flows=1.0)}
        self._spread(found)
        return math.fsum(
            inflow.rate * self.share(action)
            for node, inflow in found.items()
            if isinstance(node, Process)
            for action in self.system.actions_of(node, "emit", "send")
            if action.region == "main"
        )

    def carried(self, broker: Broker) -> tuple[float, list[Message]]:
        """What a broker carries per second, at least, and the messages that make it, the most frequent first."""
        messages = [m for m in self._by_broker.get(broker, ()) if self.per_second(m) > 0]
        messages.sort(key=lambda message: (-self.per_second(message), message.name))
        return math.fsum(self.per_second(message) for message in messages), messages

    @cached_property
    def _by_broker(self) -> dict[Broker, list[Message]]:
        found: dict[Broker, list[Message]] = {}
        for message in self.system.messages.values():
            if message.channel is not None and message.channel.broker is not None:
                found.setdefault(message.channel.broker, []).append(message)
        return found

    # -------------------------------------------------------------------------------------------- F9

    def lanes(self, process: Process) -> Lanes:
        """F9: what a handler can take, at most: min(partitions, replicas * concurrency) lanes of one service time each.

        Partitions bound a topic only. A handler with ``batch`` is left out: its service time is that of a batch or of a
        message, and nobody says which.
        """
        reasons: list[Reason] = []
        bounds: list[float] = []
        replicas, concurrency = process.service.fact("replicas"), process.fact("concurrency")
        if replicas.declared and concurrency.declared and replicas.span is not None and concurrency.span is not None:
            bounds.append(replicas.value * concurrency.value)
            reasons.append(Reason(f"{replicas.value} replicas of `{process.service.name}`", replicas.span))
            reasons.append(Reason(f"each with {concurrency.value} at once", concurrency.span))
        partitions = self.partitions(process)
        if partitions:
            bounds.append(sum(fact.value for _, fact in partitions))
            for channel, fact in partitions:
                assert fact.span is not None
                reasons.append(Reason(f"`{channel.name}` has {fact.value} partitions", fact.span))
        parallel = min(bounds) if bounds else None
        takes = process.fact("takes")
        if parallel is None or not takes.declared or not takes.value or process.fact("batch").declared:
            return Lanes(None, parallel, tuple(reasons))
        assert takes.span is not None
        reasons.append(Reason("the service time of one message", takes.span))
        return Lanes(parallel / takes.value, parallel, tuple(reasons))

    def partitions(self, process: Process) -> list[tuple[Channel, Fact]]:
        """The partitions of the topics that a process reads; empty if those of one of them are unknown."""
        found: dict[Channel, Fact] = {}
        for arrival in self.delivery.by_process.get(process, ()):
            if not arrival.starts:
                continue
            channel = arrival.channel
            if channel is None or channel.fact("kind").value == "queue" or not channel.fact("partitions").declared:
                return []
            found[channel] = channel.fact("partitions")
        return list(found.items())

    def requests(self, service: Service) -> float:
        """The messages and requests per second that start something in a service, at least."""
        return math.fsum(self.per_second(process) for process in self._by_service.get(service, ()))

    def busiest(self, service: Service) -> list[Process]:
        """The processes behind :meth:`requests`, the most frequent first."""
        found = [process for process in self._by_service.get(service, ()) if self.per_second(process) > 0]
        return sorted(found, key=lambda process: (-self.per_second(process), process.path))

    @cached_property
    def _by_service(self) -> dict[Service, list[Process]]:
        found: dict[Service, list[Process]] = {}
        for process in self.system.processes:
            found.setdefault(process.service, []).append(process)
        return found

    # -------------------------------------------------------------------------------------------- F8

    def transitions(self, workflow: Workflow) -> float:
        """F8: the state transitions of one instance that are certain: start and end, a call two (out and back), a send or an
        await one.
        """
        weights: dict[str, Literal[1, 2]] = {"call": 2, "send": 1, "await": 1}
        return 2 + math.fsum(
            weights[action.kind] * self.share(action)
            for action in self.system.actions_of(workflow.process, "call", "send", "await")
            if action.region == "main"
        )

    def utilisation(self, workflow: Workflow) -> Utilisation | None:
        """F8 for one workflow; None unless its rate, its capacity and the replicas of its service are declared."""
        rate = self.rate(workflow.process)
        capacity, replicas = workflow.fact("capacity"), workflow.service.fact("replicas")
        if not (rate.per_second and capacity.declared and capacity.value and replicas.declared and replicas.value):
            return None
        count = self.transitions(workflow)
        return Utilisation(
            rate,
            count,
            capacity.value,
            replicas.value,
            utilisation(rate.per_second, count, capacity.value, replicas.value),
            utilisation(rate.per_second, count, capacity.value, replicas.value - 1),
        )


def _joins(node: Node) -> bool:
    return isinstance(node, Process) and any(trigger.mode == "all" for trigger in node.triggers)


def _root(flow: Flow) -> Node:
    start = flow.starts[0]
    return start.process if isinstance(start, Workflow) else start.message


def _gained(node: Node, inflow: _Inflow) -> float:
    """What others pass on: of a joined trigger the rarest part counts."""
    if isinstance(node, Message):
        return math.fsum(rate for rate, _, _ in inflow.sources)
    rates: dict[Node, float] = {}
    for rate, source, _ in inflow.sources:
        rates[source] = rates.get(source, 0.0) + rate
    total = math.fsum(rate for source, rate in rates.items() if isinstance(source, Process))
    for trigger in node.triggers:
        parts = [rates.get(message, 0.0) for message in dict.fromkeys(use.message for use in trigger.uses)]
        if parts:
            total += min(parts) if trigger.mode == "all" else math.fsum(parts)
    return total


# ------------------------------------------------------------------------------------------------ shares of a process


def _shares(process: Process, system: System) -> dict[int, float]:
    """See :meth:`Load.share`: one pass over the control flow without failures and back edges.

    Behind a choice without declared chances nothing is certain; where its branches meet again everything is, because the
    meeting point post-dominates the choice.
    """
    actions = system.actions
    edges = forward(process, actions, lambda action, edge: _is_certain(action, edge, actions)).edges
    order = in_order(process.start, edges)
    meeting = _post_dominators(order, edges, process.actions[-1])
    arriving: dict[int, float] = dict.fromkeys(order, 0.0)
    arriving[process.start] = 1.0
    passing: dict[int, float] = {}
    share: dict[int, float] = {}
    for number in order:
        here = share[number] = max(arriving[number], passing.get(number, 0.0))
        after = meeting.get(number)
        if after is not None:
            passing[after] = max(passing.get(after, 0.0), here)
        for edge, chance in zip(edges[number], _chances(actions[number], edges[number]), strict=True):
            if actions[edge.target].kind == "join":
                arriving[edge.target] = max(arriving[edge.target], here * chance)
            else:
                arriving[edge.target] = min(1.0, arriving[edge.target] + here * chance)
    return share


def _is_certain(action: Action, edge: Edge, actions: Sequence[Action]) -> bool:
    """Whether a run without failures can take the edge; the end of an ``awaits … within`` without an arm is a failure."""
    target = actions[edge.target]
    if action.kind == "choice" and action.mode == "await" and target.kind == "timer":
        return not all(one.kind in _FAILING for one in target.edges)
    return edge.kind not in _FAILING


_FAILING = frozenset({"failure", "timeout", "compensate"})


def _chances(action: Action, edges: Sequence[Edge]) -> list[float]:
    """The certain share of the runs that take each edge."""
    if action.kind == "choice" and action.mode == "repeat":
        return [1.0] * len(edges)
    if action.kind == "choice":
        said = [edge.chance for edge in edges if edge.chance is not None]
        rest = max(0.0, 1.0 - math.fsum(said)) if len(said) == len(edges) - 1 else 0.0
        return [rest if edge.chance is None else edge.chance for edge in edges]
    if action.kind == "fork" and action.mode == "any":
        return [0.0] * len(edges)  # the branches that lose are cancelled
    if action.kind == "loop" and action.mode != "repeat":
        return [1.0 if edge.kind == "exit" else 0.0 for edge in edges]
    return [1.0] * len(edges)


def _post_dominators(order: list[int], edges: dict[int, list[Edge]], end: int) -> dict[int, int]:
    """The immediate post-dominator of each node of an acyclic graph: what every course from it has to pass next.

    K. Cooper, T. Harvey, K. Kennedy, "A Simple, Fast Dominance Algorithm", 2001, which needs one pass on an acyclic graph.
    Nodes whose courses only meet outside have none.
    """
    outside = -1
    depth: dict[int, int] = {outside: 0}
    parent: dict[int, int] = {}
    ends_well: set[int] = set()
    for node in reversed(order):
        targets = [edge.target for edge in edges[node]] or [outside]
        good = [target for target in targets if target in ends_well]
        if node == end or good:
            ends_well.add(node)
        if good and len(good) < len(targets):
            targets = [outside]  # one course ends in failure, so that they never meet
        common = targets[0]
        for target in targets[1:]:
            other = target
            while common != other:
                if depth[common] >= depth[other]:
                    common = parent[common]
                else:
                    other = parent[other]
        parent[node] = common
        depth[node] = depth[common] + 1
    return {node: target for node, target in parent.items() if target != outside}
