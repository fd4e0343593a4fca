"""Availability: which components flows cannot lose, what each of them survives, and what a flow can promise at most."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from coordlint.analysis.causality import Causality, Component
from coordlint.analysis.decisions import ALWAYS, NEVER, Decisions, TooLargeError
from coordlint.analysis.flows import FlowView
from coordlint.system import Action, Broker, Channel, Fact, Flow, Process, Service, Store, Trigger, Workflow

WEIGHTS = {"low": 1, "normal": 2, "high": 4, "critical": 8}
"""How much a flow counts in a blast radius, by its criticality; ``normal`` if none is declared."""

STATES = 1 << 18
"""The most cases that an exact availability may take apart."""

_MOST_VARIABLES = 256
"""Beyond that many components that are not needed in every case, taking cases apart is hopeless (and deep)."""


def criticals(causality: Causality, flows: Sequence[FlowView], *, zones: bool = False) -> tuple[Critical, ...]:
    """The components that cut a declared success goal of at least one flow when they are down.

    First those that survive no crash of a unit, by falling blast radius, then the others; equal ones by the rate of the flows
    that they cut, then by name.

    Args:
        causality: the causality of the design.
        flows: all its flows.
        zones: whether a single declared zone counts as one unit, see :func:`tolerance`.
    """
    cut: dict[Component, list[FlowView]] = {}
    branches: dict[Component, list[FlowView]] = {}
    touched: dict[Component, list[FlowView]] = {}
    for view in flows:
        for component in view.critical:
            cut.setdefault(component, []).append(view)
        for component in _cutting_branches(view):
            branches.setdefault(component, []).append(view)
        for component in view.components:
            touched.setdefault(component, []).append(view)
    total = sum(weight(view.flow) for view in flows)
    internal = sum(not service.external for service in causality.system.services.values() if not service.phantom)
    found = [
        Critical(
            component,
            tuple(cut.get(component, ())),
            tuple(branches.get(component, ())),
            tolerance(component, zones=zones),
            sum(weight(view.flow) for view in cut.get(component, ())) / total,
            tuple(touched.get(component, ())),
            internal,
        )
        for component in causality.components
        if component in cut or component in branches
    ]
    return tuple(sorted(found, key=_rank))


@dataclass(frozen=True, eq=False)
class Critical:
    """A component that flows cannot do without.

    Attributes:
        component: a service, store or broker.
        flows: the flows whose goal is not reached while it is down, by name.
        branches: the flows of which it cuts some success goals, but not all.
        tolerance: how many crashes it survives.
        flow_share: the weight of the flows it cuts, as a share of the weight of all flows (0 to 1).
        touched: the flows of which it carries some part.
        internal: how many services are our own.
    """

    component: Component
    flows: tuple[FlowView, ...]
    branches: tuple[FlowView, ...]
    tolerance: Tolerance
    flow_share: float
    touched: tuple[FlowView, ...]
    internal: int

    @cached_property
    def lost(self) -> tuple[Service, ...]:
        """Our services that some flow reaches only while this component is up (itself included), by name."""
        found = {service.name: service for view in self.touched for service in view.lost(self.component)}
        if isinstance(self.component, Service):
            found[self.component.name] = self.component
        return tuple(found[name] for name in sorted(found) if not found[name].external)

    @property
    def service_share(self) -> float:
        """The lost services as a share of our own services (0 to 1)."""
        return len(self.lost) / self.internal if self.internal else 0.0

    @property
    def blast_radius(self) -> float:
        """BR = share of the flows by weight x share of the services, from 0 to 1."""
        return self.flow_share * self.service_share

    @property
    def rate(self) -> float:
        """The sum of the declared rates of the flows it cuts, per second."""
        return sum(view.flow.fact("rate").value for view in self.flows if view.flow.fact("rate").declared)

    @cached_property
    def stalls(self) -> Stall | None:
        """Why its outage delays every flow that it cuts instead of failing it, or None if some flow fails."""
        return stall(self.component, self.flows)


def weight(flow: Flow) -> int:
    """How much the flow counts; see :data:`WEIGHTS`."""
    return WEIGHTS.get(flow.fact("criticality").value, WEIGHTS["normal"])


def _rank(critical: Critical) -> tuple[bool, float, float, str]:
    # Blast radii are only computed where they are told: they cost one pass over the services of a flow each.
    exposed = critical.tolerance.crashes == 0
    return (
        not exposed,
        -(critical.blast_radius if exposed else critical.flow_share),
        -critical.rate,
        critical.component.name,
    )


def _cutting_branches(view: FlowView) -> Iterable[Component]:
    """The components that cut one of several alternative success goals without cutting the flow."""
    goal = view.flow.success
    if goal is None or goal.mode != "any" or len(goal.targets) < 2 or view.level is None or view.goal is None:
        return ()
    found: dict[Component, None] = {}
    for target in view.causality.graph.inputs[view.goal]:
        found.update(dict.fromkeys(view.critical_to(target)))
    return [component for component in found if component not in set(view.critical)]


# ------------------------------------------------------------------------------------------------ instance tolerance


class Tolerance(NamedTuple):
    """How many of its units a component can lose, and the declared facts that say so, the decisive one first."""

    crashes: int | None
    facts: tuple[Fact, ...] = ()

    @property
    def unknown(self) -> bool:
        """Nothing declared answers the question."""
        return self.crashes is None


def tolerance(component: Component, *, zones: bool = False) -> Tolerance:
    """t(c): the crashes of one unit that a component survives; None when that is not declared.

    A service survives ``replicas`` - 1. A store does with automatic failover, and none with manual or no failover. A broker
    survives ``replication`` - ``min-insync`` and, if it votes by ``quorum``, half of its ``nodes`` less one half: the smallest of what
    is declared counts.

    Args:
        component: a service, store or broker.
        zones: whether replicas that all stand in one declared zone count as one unit.
    """
    if isinstance(component, Service):
        return _service_tolerance(component, zones)
    if isinstance(component, Store):
        return _store_tolerance(component)
    return _broker_tolerance(component)


def _service_tolerance(service: Service, ask_zones: bool) -> Tolerance:
    replicas, zones = service.fact("replicas"), service.fact("zones")
    if ask_zones and zones.declared and zones.value == 1:
        return Tolerance(0, (zones, replicas) if replicas.declared else (zones,))
    if replicas.declared:
        return Tolerance(max(replicas.value - 1, 0), (replicas,))
    if zones.declared and zones.value > 1:  # a replica in each
        return Tolerance(zones.value - 1, (zones,))
    return Tolerance(None)


def _store_tolerance(store: Store) -> Tolerance:
    replicas, failover = store.fact("replicas"), store.fact("failover")
    if replicas.declared and replicas.value <= 1:
        return Tolerance(0, (replicas,))
    if failover.declared:
        facts = (failover, replicas) if replicas.declared else (failover,)
        if failover.value != "auto":
            return Tolerance(0, facts)
        return Tolerance(replicas.value - 1 if replicas.declared else 1, facts)
    return Tolerance(None, (replicas,) if replicas.declared else ())


def _broker_tolerance(broker: Broker) -> Tolerance:
    nodes, replication = broker.fact("nodes"), broker.fact("replication")
    insync, quorum = broker.fact("min_insync"), broker.fact("quorum")
    limits = []
    if nodes.declared:
        voting = quorum.declared and nodes.value > 1
        limits.append(
            Tolerance((nodes.value - 1) // 2, (nodes, quorum)) if voting else Tolerance(nodes.value - 1, (nodes,))
        )
    if replication.declared and insync.declared:
        limits.append(Tolerance(replication.value - insync.value, (replication, insync)))
    elif replication.declared:
        limits.append(Tolerance(replication.value - 1, (replication,)))
    if not limits:
        return Tolerance(None)
    smallest = min(max(limit.crashes or 0, 0) for limit in limits)
    facts = [fact for limit in limits if max(limit.crashes or 0, 0) == smallest for fact in limit.facts]
    return Tolerance(smallest, tuple(facts))


# ------------------------------------------------------------------------------------------------ stall or loss


class Stall(NamedTuple):
    """All work for a service waits in channels that keep it longer than the service promises to be away."""

    rto: Fact
    retention: Fact


def stall(component: Component, flows: Iterable[FlowView]) -> Stall | None:
    """Whether an outage delays these flows instead of failing them; the shortest retention that makes it so, or None.

    Every way into the service has to be a message on a channel that loses nothing and keeps it (``retention``) at least for the
    declared ``rto`` of the service; what waits inside it has to be kept in a store.
    """
    if not isinstance(component, Service) or not component.fact("rto").declared:
        return None
    rto = component.fact("rto")
    kept: list[Fact] = []
    for view in flows:
        found = _waiting_for(component, view, rto.value)
        if found is None:
            return None
        kept += found
    return Stall(rto, min(kept, key=lambda fact: float(fact.value))) if kept else None


def _waiting_for(service: Service, view: FlowView, rto: float) -> list[Fact] | None:
    """The retentions of all ways into the service in this flow, or None if some way does not wait that long."""
    index = view.causality.index
    if view.flow.source is service:
        return None
    kept: list[Fact] = []
    for process in view.processes:
        if process.service is service:
            if not _survives(process):
                return None
            for trigger in process.triggers:
                if trigger.kind not in {"command", "event", "start"}:
                    return None
                kept_here = _retained(process, trigger, view, rto)
                if kept_here is None:
                    return None
                kept += kept_here
            for action in view.causality.system.actions_of(process, "await"):
                for use in action.uses:
                    if not _keeps(use.message.channel, rto):
                        return None
        elif any(use.target is service for use in process.service.uses):
            return None
    for workflow_start in view.flow.starts:
        if isinstance(workflow_start, Workflow) and workflow_start.service is service:
            return None
    for process in view.processes:
        for action in view.causality.system.actions_of(process, "call"):
            if any(handler.service is service for handler in index.handlers(action.message)):
                return None
    return kept


def _retained(process: Process, trigger: Trigger, view: FlowView, rto: float) -> list[Fact] | None:
    kept = []
    for use in trigger.uses:
        channel = trigger.via or use.message.channel
        if channel is None or not _keeps(channel, rto):
            return None
        kept.append(channel.fact("retention"))
    return kept


def _survives(process: Process) -> bool:
    """Whether what the process waits for outlives a crash of its service: a workflow needs a store for its state."""
    state = process.fact("state").value
    return process.workflow is None or (isinstance(state, Store) and not state.fact("in_memory").declared)


def _keeps(channel: Channel | None, seconds: float) -> bool:
    if channel is None or lossy(channel):
        return False
    retention = channel.fact("retention")
    return retention.declared and bool(retention.value >= seconds)


def lossy(channel: Channel) -> bool:
    """Whether the channel is declared to lose messages that nobody takes: kept in memory, or delivered at most once."""
    return channel.fact("in_memory").declared or channel.fact("delivery").value == "at-most-once"


def durable(channel: Channel) -> bool:
    """Whether the channel is declared to keep messages for a consumer that is away."""
    kept = channel.fact("retention").declared or channel.fact("delivery").value in {"at-least-once", "exactly-once"}
    return kept and not lossy(channel)


# ------------------------------------------------------------------------------------------------ numbers


class Contributor(NamedTuple):
    """A component with a declared availability below 100% in a bound.

    Attributes:
        component: the component.
        fact: its declared availability.
        availability: what it counts with (a ratio); more than declared if work can wait for it.
        gain: by how much the bound rises if it never failed.
    """

    component: Component
    fact: Fact
    availability: float
    gain: float


class Bound(NamedTuple):
    """The availability that a flow reaches at most.

    Attributes:
        value: the bound (a ratio).
        exact: whether it is exactly what follows from the declared availabilities, and not only an upper bound of that.
        contributors: what lowers it, the largest gain first, equal ones by name.
    """

    value: float
    exact: bool
    contributors: tuple[Contributor, ...]


def availability_bound(
    view: FlowView, *, acceptance: bool = False, duration: float = 0.0, states: int = STATES
) -> Bound | None:
    """F4 with F6: the share of the instances of a flow that reach its success goal, at most; None without a reachable goal.

    The expected value of the flow's AND/OR structure over independent components, each up with its declared availability; what
    is not declared counts 1, so that the bound stays sound. Shared components count once. The components without each of which
    the goal fails are factored out, the rest is taken apart case by case (Shannon); where that needs too many cases, the product over
    the factored components remains, which is never below the exact value.

    A component that only serves what waits for messages is *asynchronous*. Asked for acceptance, it counts 1. Asked for
    completion, it counts a + (1 - a)(1 - exp(-s/MTTR)) if its channels are durable and the flow has a deadline (``within``), where s is
    the deadline less the duration (Treynor et al., The calculus of service availability, 2017, for the product; exponential repair
    for the wait), and a otherwise.

    Args:
        view: the flow.
        acceptance: whether the flow has kept its promise when its work is safely handed on, and not when the goal is reached.
        duration: how long an instance takes at least when nothing fails, in seconds.
        states: the most cases to take apart.
    """
    if view.goal is None or view.level is None:
        return None
    chances = {}
    facts = {}
    roles = _Roles(view)
    for component in view.causality.components:
        fact = component.fact("availability")
        if not component.phantom and fact.declared and fact.value < 1:
            chance = roles.availability(component, acceptance=acceptance, duration=duration)
            if chance < 1:
                chances[component], facts[component] = chance, fact
    needed = [component for component in view.critical if component in chances]
    always = math.prod(chances[component] for component in needed)
    others = [component for component in chances if component not in set(needed)]
    structure = _Structure(view, others, states)
    rest = structure.probability(chances)
    gains = {component: always * rest * (1 / chances[component] - 1) for component in needed if chances[component]}
    for component in structure.variables:
        gains[component] = always * (structure.probability({**chances, component: 1.0}) - rest)
    found = [
        Contributor(component, facts[component], chances[component], gain)
        for component, gain in gains.items()
        if gain > 0
    ]
    found.sort(key=lambda one: (-one.gain, one.component.name))
    return Bound(always * rest, structure.exact, tuple(found))


def k_of_n(availability: float, n: int, k: int) -> float:
    """F5: the availability of a group that needs k of its n units, which fail independently.

    The sum over i = k..n of C(n, i) a^i (1 - a)^(n - i).

    Args:
        availability: of one unit (a ratio).
        n: the number of units.
        k: how many of them are needed.
    """
    return math.fsum(math.comb(n, i) * availability**i * (1 - availability) ** (n - i) for i in range(k, n + 1))


def with_slack(availability: float, slack: float, mttr: float) -> float:
    """F6: the chance that work is done within its slack by something that is away for ``mttr`` on average.

    a + (1 - a)(1 - exp(-s/MTTR)), from exponentially distributed repair times.

    Args:
        availability: of the component (a ratio).
        slack: how long the work can wait, in seconds.
        mttr: the mean time to repair, in seconds.
    """
    return 1 - (1 - availability) * math.exp(-max(slack, 0.0) / mttr)


class _Structure:
    """The flow's goal as a condition over some components, the others being up."""

    def __init__(self, view: FlowView, components: Sequence[Component], states: int) -> None:
        self.variables: list[Component] = []
        self.exact = True
        self._decisions = Decisions(states)
        self._condition = ALWAYS
        cone = _cone(view)
        used = [component for component in components if view.causality.up(component) in cone]
        if not used:
            return
        try:
            if len(used) > _MOST_VARIABLES:
                raise TooLargeError
            # Components that are met together stay together: that keeps the diagram small.
            used.sort(key=lambda component: cone[view.causality.up(component)])
            self._condition = self._goal(view, cone, used)
            self.variables = used
        except TooLargeError:
            self.exact = False
            self._condition = ALWAYS

    def probability(self, chances: dict[Component, float]) -> float:
        return self._decisions.probability(self._condition, [chances[one] for one in self.variables])

    def _goal(self, view: FlowView, cone: dict[int, int], components: list[Component]) -> int:
        """The least fixpoint, symbolically: every node's condition grows until nothing changes."""
        graph, decisions = view.causality.graph, self._decisions
        conditions = dict.fromkeys(cone, NEVER)
        variables = {view.causality.up(component): number for number, component in enumerate(components)}
        for node in cone:
            if node in variables:
                conditions[node] = decisions.variable(variables[node])
            elif node in view.roots or node in graph.given:
                conditions[node] = ALWAYS
        fixed = {node for node in cone if node in view.roots or node in graph.given}
        pending = [node for node in sorted(cone, key=lambda node: -cone[node]) if node not in fixed]
        changed = True
        while changed:
            changed = False
            for node in pending:
                before = conditions[node]
                condition = ALWAYS if graph.conjunctive[node] else before
                for source in graph.inputs[node]:
                    if graph.conjunctive[node]:
                        condition = decisions.both(condition, conditions.get(source, NEVER))
                    elif source in conditions:
                        condition = decisions.either(condition, conditions[source])
                if condition != before:
                    conditions[node] = condition
                    changed = True
        assert view.goal is not None
        return conditions[view.goal]


def _cone(view: FlowView) -> dict[int, int]:
    """The nodes that hold and that the goal may rest on, numbered backwards from the goal."""
    graph = view.causality.graph
    assert view.goal is not None
    cone = {view.goal: 0}
    queue = [view.goal]
    for node in queue:
        if node in view.roots or node in graph.given:
            continue
        for source in graph.inputs[node]:
            if source not in cone and source in view.holds:
                cone[source] = len(cone)
                queue.append(source)
    return cone


class _Roles:
    """Which components of a flow have to be up at once, and which serve only what can wait in a channel."""

    def __init__(self, view: FlowView) -> None:
        self.view = view

    def availability(self, component: Component, *, acceptance: bool, duration: float) -> float:
        """What the component counts with, see :func:`availability_bound`."""
        declared = float(component.fact("availability").value)
        if component in self.immediate:
            return declared
        if acceptance:
            return 1.0
        within, mttr = self.view.flow.fact("within"), component.fact("mttr")
        if within.declared and mttr.declared and isinstance(component, Service) and self._can_wait(component):
            return with_slack(declared, within.value - duration, mttr.value)
        return declared

    def _can_wait(self, service: Service) -> bool:
        """Whether all messages that lead into the service in this flow are on channels declared durable."""
        for process in self.view.processes:
            if process.service is not service:
                continue
            for trigger in process.triggers:
                channels = [trigger.via or use.message.channel for use in trigger.uses]
                if not channels or not all(channel is not None and durable(channel) for channel in channels):
                    return False
        return True

    @cached_property
    def immediate(self) -> set[Component]:
        """The components that an instance needs before its work is handed on to a message that keeps."""
        view = self.view
        index, actions = view.causality.index, view.causality.system.actions
        found: dict[Component, None] = {}
        started: list[Process] = []
        seen: set[Process] = set()

        def need(component: Component) -> None:
            found.update(dict.fromkeys(view.causality.needed_by(component)))

        def begin(processes: Iterable[Process]) -> None:
            for process in processes:
                if process not in seen and process.start in view.nodes:
                    seen.add(process)
                    started.append(process)

        def deliver(channel: Channel | None, action: Action | None) -> bool:
            """Whether the message is handed on; its broker is needed at once unless an outbox stands in between."""
            if channel is None:
                return action is not None  # it is not said how: what is unknown must not lower the bound
            if channel.broker is not None and not (action is not None and action.process.fact("outbox").declared):
                need(channel.broker)
            return not lossy(channel)

        if view.flow.source is not None and not view.flow.source.external:
            need(view.flow.source)
        for start in view.flow.starts:
            if isinstance(start, Workflow):
                begin((start.process,))
            elif not deliver(start.message.channel, None):
                begin(index.consumers(start.message))
        for process in started:
            need(process.service)
            state = process.fact("state").value
            if isinstance(state, Store):
                need(state)
            pending = [process.start]
            reached = {process.start}
            while pending:
                action = actions[pending.pop()]
                if action.kind in {"await", "timer"}:
                    continue  # what follows happens later, and from a state that is kept
                for entity in action.entities:
                    need(entity.store)
                if action.kind == "call":
                    handlers = index.handlers(action.message)
                    begin(handlers)
                    if not handlers and action.use.service is not None:
                        need(action.use.service)
                elif action.kind in {"emit", "send"} and not deliver(action.message.channel, action):
                    begin(index.consumers(action.message))
                for edge in action.edges:
                    if edge.target not in reached:
                        reached.add(edge.target)
                        pending.append(edge.target)
        return set(found)
