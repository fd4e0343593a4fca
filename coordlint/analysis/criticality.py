"""Criticality: which components flows cannot lose, what each of them survives, and what is lost with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from coordlint.analysis.causality import Causality, Component
from coordlint.analysis.delivery import loses
from coordlint.analysis.flows import FlowView
from coordlint.system import Action, Broker, Channel, Fact, Flow, MessageUse, Process, Service, Store

WEIGHTS = {"low": 1, "normal": 2, "high": 4, "critical": 8}
"""How much a flow counts in a blast radius, by its criticality; ``normal`` if none is declared."""


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
        rates = (view.flow.fact("rate") for view in self.flows)
        return float(sum(rate.value for rate in rates if rate.declared))

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
    everywhere = set(view.critical)
    return [component for component in found if component not in everywhere]


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
    if ask_zones and _count(zones) == 1:
        return Tolerance(0, (zones, replicas) if replicas.declared else (zones,))
    count = _count(replicas)
    if count is not None:
        return Tolerance(count - 1, (replicas,))
    spread = _count(zones)
    if spread is not None and spread > 1:  # a replica in each
        return Tolerance(spread - 1, (zones,))
    return Tolerance(None)


def _store_tolerance(store: Store) -> Tolerance:
    replicas, failover = store.fact("replicas"), store.fact("failover")
    count = _count(replicas)
    if count == 1:
        return Tolerance(0, (replicas,))
    if failover.declared:
        facts = (failover, replicas) if replicas.declared else (failover,)
        if failover.value != "auto":
            return Tolerance(0, facts)
        return Tolerance(count - 1 if count is not None else 1, facts)
    return Tolerance(None, (replicas,) if replicas.declared else ())


def _broker_tolerance(broker: Broker) -> Tolerance:
    nodes, replication = broker.fact("nodes"), broker.fact("replication")
    insync, quorum = broker.fact("min_insync"), broker.fact("quorum")
    limits: list[tuple[int, tuple[Fact, ...]]] = []
    running, copies, needed = _count(nodes), _count(replication), _count(insync)
    if copies is not None:
        if needed is not None and needed <= copies:
            limits.append((copies - needed, (replication, insync)))
        else:
            limits.append((copies - 1, (replication,)))
    if running is not None:
        voting = quorum.declared and running > 1
        limits.append(((running - 1) // 2, (nodes, quorum)) if voting else (running - 1, (nodes,)))
    if not limits:
        return Tolerance(None)
    smallest = min(crashes for crashes, _ in limits)
    # The number of nodes comes first: without a second node there is no place for a second copy.
    return Tolerance(smallest, tuple(fact for crashes, facts in limits[::-1] if crashes == smallest for fact in facts))


def _count(fact: Fact) -> int | None:
    """A declared number of units; none is no number of them (REF003 says so)."""
    return int(fact.value) if fact.declared and fact.value >= 1 else None


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


def _waiting_for(service: Service, view: FlowView, seconds: float) -> list[Fact] | None:
    """The retentions of all ways into the service in this flow, or None if some way does not wait that long."""
    if view.flow.source is service or _is_used(service, view):
        return None
    kept: list[Fact] = []
    for process in view.processes:
        if process.service is not service:
            if _is_called(service, process, view):
                return None
            continue
        if not _survives(process) or not process.triggers:
            return None
        channels = [use.message.channel for use in _awaited(process, view)]
        for trigger in process.triggers:
            if trigger.kind not in {"command", "event", "start"}:
                return None
            channels += [trigger.via or use.message.channel for use in trigger.uses]
        for channel in channels:
            if channel is None or not _keeps(channel, seconds):
                return None
            kept.append(channel.fact("retention"))
    return kept


def _is_used(service: Service, view: FlowView) -> bool:
    """Whether another component of the flow cannot work without the service."""
    needed_by = view.causality.needed_by
    return any(service in needed_by(other) for other in view.components if other is not service)


def _is_called(service: Service, caller: Process, view: FlowView) -> bool:
    """Whether the process waits for an answer of the service."""
    calls = view.causality.system.actions_of(caller, "call")
    return any(one.service is service for call in calls for one in view.causality.index.handlers(call.message))


def _awaited(process: Process, view: FlowView) -> Iterator[MessageUse]:
    for action in view.causality.system.actions_of(process, "await"):
        yield from action.uses


def _survives(process: Process) -> bool:
    """Whether what the process waits for outlives a crash of its service: a workflow needs a store for its state."""
    state = process.fact("state").value
    return process.workflow is None or (isinstance(state, Store) and not state.fact("in_memory").declared)


def _keeps(channel: Channel, seconds: float) -> bool:
    retention = channel.fact("retention")
    return loses(channel) is None and retention.declared and bool(retention.value >= seconds)


def durable(channel: Channel) -> bool:
    """Whether the channel is declared to keep messages for a consumer that is away."""
    kept = channel.fact("retention").declared or channel.fact("delivery").value in {"at-least-once", "exactly-once"}
    return kept and loses(channel) is None


# ------------------------------------------------------------------------------------------------ alternatives that share


class SharedFate(NamedTuple):
    """A call and its fallback that fail together.

    Attributes:
        call: the call that has the fallback.
        fallback: the first action of the fallback.
        shared: the components that both need, and that whoever calls does not need anyway; in model order.
        flows: the flows in which that is so, by name.
    """

    call: Action
    fallback: Action
    shared: tuple[Component, ...]
    flows: tuple[FlowView, ...]


def shared_fates(flows: Sequence[FlowView]) -> tuple[SharedFate, ...]:
    """The calls whose fallback is cut by a component that also cuts the call, in model order."""
    found: dict[int, tuple[Action, dict[Component, None], list[FlowView]]] = {}
    for view in flows:
        for call in view.actions(("call",)):
            entry = _fallback(call, view)
            shared = _shared(call, entry, view) if entry is not None else []
            if entry is not None and shared:
                _, components, views = found.setdefault(call.id, (entry, {}, []))
                components.update(dict.fromkeys(shared))
                views.append(view)
    actions = flows[0].causality.system.actions if flows else []
    return tuple(
        SharedFate(actions[number], entry, tuple(components), tuple(views))
        for number, (entry, components, views) in sorted(found.items())
    )


def critical_despite(view: FlowView, calls: Iterable[Action]) -> set[Component]:
    """The components that the flow would still need if those calls were always answered."""
    if view.goal is None or view.level is None:
        return set()
    causality = view.causality
    roots = view.roots | {causality.done(call) for call in calls}
    needs = causality.graph.critical(roots, causality.component_nodes)
    return {causality.component_at(node) for node in needs.of(view.goal)}


def _fallback(call: Action, view: FlowView) -> Action | None:
    """The first action of the call's fallback."""
    actions = view.causality.system.actions
    targets = [actions[edge.target] for edge in call.edges if edge.kind == "failure"]
    return next((target for target in targets if target.region == "fallback" and target.id != call.id), None)


def _shared(call: Action, entry: Action, view: FlowView) -> list[Component]:
    causality = view.causality
    exits = [node for node in _exits(entry, view) if view.can_hold(node)]
    if not exits or not view.can_hold(causality.done(call)):
        return []
    anyway = set(view.critical_to(causality.entered(call)))
    both = set(view.critical_to(causality.done(call)))
    for node in exits:
        both &= set(view.critical_to(node))
    return [component for component in view.components if component in both and component not in anyway]


def _exits(entry: Action, view: FlowView) -> list[int]:
    """The AND/OR nodes of the ways in which a fallback succeeds: the actions whose next one lies behind it."""
    actions = view.causality.system.actions
    seen = {entry.id}
    exits = []
    pending = [entry.id]
    while pending:
        action = actions[pending.pop()]
        for edge in action.edges:
            if edge.kind in {"failure", "timeout", "compensate"}:
                continue
            if actions[edge.target].region != "fallback":
                exits.append(view.causality.done(action))
            elif edge.target not in seen:
                seen.add(edge.target)
                pending.append(edge.target)
    return exits
