"""Availability: what a flow can promise at most, from the declared availabilities of what it needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from coordlint.analysis.causality import Component
from coordlint.analysis.criticality import durable
from coordlint.analysis.decisions import ALWAYS, NEVER, Decisions, TooLargeError
from coordlint.analysis.delivery import loses
from coordlint.analysis.flows import FlowView
from coordlint.system import Action, Channel, Fact, Process, Service, Store, Workflow

STATES = 1 << 18
"""The most cases that an exact availability may take apart."""

_MOST_VARIABLES = 256
"""Beyond that many components that are not needed in every case, taking cases apart is hopeless (and deep)."""


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
    cone = _cone(view)
    roles = _Roles(view)
    chances: dict[Component, float] = {}
    facts: dict[Component, Fact] = {}
    for node in cone:
        if node not in view.causality.component_nodes:
            continue
        component = view.causality.component_at(node)
        fact = component.fact("availability")
        if fact.declared and fact.value < 1:
            chance = roles.availability(component, acceptance=acceptance, duration=duration)
            if chance < 1:
                chances[component], facts[component] = chance, fact
    needed = [component for component in view.critical if component in chances]
    always = math.prod(chances[component] for component in needed)
    factored = set(needed)
    others = [component for component in chances if component not in factored]
    structure = _Structure(view, cone, others, states)
    rest = structure.probability(chances)
    gains = {component: rest * _gain_of(component, always, needed, chances) for component in needed}
    for component, importance in zip(structure.variables, structure.importances(chances), strict=True):
        gains[component] = always * (1 - chances[component]) * importance
    found = [
        Contributor(component, facts[component], chances[component], gain)
        for component, gain in gains.items()
        if gain > 0 or component in factored
    ]
    found.sort(key=lambda one: (-one.gain, one.component.name))
    return Bound(always * rest, structure.exact, tuple(found))


def _gain_of(
    component: Component, product: float, needed: Sequence[Component], chances: Mapping[Component, float]
) -> float:
    """By how much the product over the needed components rises if that one never fails."""
    own = chances[component]
    if own > 0:
        return product * (1 / own - 1)
    return math.prod(chances[one] for one in needed if one is not component)


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

    def __init__(self, view: FlowView, cone: dict[int, int], components: Sequence[Component], states: int) -> None:
        self.variables: list[Component] = []
        self.exact = True
        self._decisions = Decisions(states)
        self._condition = ALWAYS
        if not components:
            return
        try:
            if len(components) > _MOST_VARIABLES:
                raise TooLargeError
            self._condition = self._goal(view, cone, components)
            self.variables = list(components)
        except TooLargeError:
            self.exact = False

    def probability(self, chances: dict[Component, float]) -> float:
        return self._decisions.probability(self._condition, [chances[one] for one in self.variables])

    def importances(self, chances: dict[Component, float]) -> list[float]:
        return self._decisions.importances(self._condition, [chances[one] for one in self.variables])

    def _goal(self, view: FlowView, cone: dict[int, int], components: Sequence[Component]) -> int:
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
    """The nodes that hold and that the goal may rest on, numbered backwards from it: what is met together stays together."""
    graph = view.causality.graph
    assert view.goal is not None
    cone = {view.goal: 0}
    queue = [view.goal]
    for node in queue:
        if node in view.roots or node in graph.given:
            continue
        for source in graph.inputs[node]:
            if source not in cone and view.can_hold(source):
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
            return loses(channel) is None

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
