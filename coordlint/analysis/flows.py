"""One flow seen through causality: what it reaches, what its goal cannot do without, and what its instances touch."""

from __future__ import annotations

from collections.abc import Iterable, Set
from functools import cached_property

from coordlint.analysis.andor import Needs
from coordlint.analysis.causality import Causality, Component
from coordlint.system import Action, Flow, Process, Service

LEVELS = ("its start", "its start and timers", "all entries of the design")
"""How far one has to go for the goal of a flow to be reachable."""


class FlowView:
    """The facts that several rules ask about a flow.

    The roots of a flow are what it starts with. Where its goal needs more, timers are added (a poller is part of the flow it
    moves on), then all entries of the design (a person who confirms, a partner who answers).
    """

    def __init__(self, causality: Causality, flow: Flow) -> None:
        self.causality = causality
        self.flow = flow

    @cached_property
    def starts(self) -> frozenset[int]:
        """AND/OR roots: what the flow starts with."""
        return frozenset(self.causality.flow_starts(self.flow))

    @cached_property
    def goal(self) -> int | None:
        """The AND/OR node of its success, None if none is declared."""
        return self.causality.goal_node(self.flow.success) if self.flow.success else None

    @cached_property
    def level(self) -> int | None:
        """The index into :data:`LEVELS` of the fewest roots that reach the goal; None if nothing does or there is no goal."""
        if self.goal is None:
            return None
        for level in range(len(LEVELS)):
            if self.goal in self.causality.graph.reached(self._roots(level)):
                return level
        return None

    def _roots(self, level: int) -> frozenset[int]:
        causality = self.causality
        roots = self.starts
        if level >= 1:
            roots |= causality.spontaneous
        if level >= 2:
            roots |= causality.entries
        return roots

    @cached_property
    def roots(self) -> frozenset[int]:
        """The AND/OR roots of the flow: the fewest that reach its goal."""
        return self._roots(self.level if self.level is not None else 0)

    @cached_property
    def holds(self) -> Set[int]:
        """The AND/OR nodes that hold in this flow when every component is up."""
        return self.causality.graph.reached(self.roots)

    def can_hold(self, node: int) -> bool:
        """Whether the AND/OR node holds in this flow when every component is up: one question to :attr:`holds`."""
        return node in self._needs or node in self.causality.graph.ground

    @cached_property
    def nodes(self) -> set[int]:
        """The plain causal nodes that an instance of the flow can touch."""
        return self.causality.after(self.causality.starts_of(self.flow))

    @cached_property
    def processes(self) -> list[Process]:
        """The processes that take part, in model order."""
        return [action.process for action in self.actions(("start",))]

    @cached_property
    def services(self) -> list[Service]:
        """The services that take part, in model order."""
        return list(dict.fromkeys(process.service for process in self.processes))

    @cached_property
    def _needs(self) -> Needs:
        return self.causality.graph.critical(self.roots, self.causality.component_nodes)

    def critical_to(self, node: int) -> list[Component]:
        """The components without each of which the AND/OR node does not hold; empty if it never holds."""
        return [self.causality.component_at(one) for one in self._needs.of(node)]

    @cached_property
    def critical(self) -> list[Component]:
        """The structural single points of failure of the flow: without each of them its goal is not reached."""
        return self.critical_to(self.goal) if self.goal is not None and self.level is not None else []

    @cached_property
    def components(self) -> list[Component]:
        """The components that some part of the flow cannot do without, in model order."""
        return [self.causality.component_at(node) for node in sorted(self._needs.bits)]

    def lost(self, component: Component) -> list[Service]:
        """The services that the flow reaches only while that component is up (itself included), in model order."""
        bit = self._needs.bits.get(self.causality.up(component))
        if bit is None:
            return []
        return [service for service, mask in self._service_needs.items() if mask >> bit & 1]

    @cached_property
    def _service_needs(self) -> dict[Service, int]:
        masks: dict[Service, int] = {}
        for process in self.processes:
            # A service counts as reached when it can do its part: what it needs on the way is needed to reach it.
            done = (self.causality.done(process.actions[-1]), self.causality.done(process.start))
            node = next((node for node in done if self.can_hold(node)), None)
            if node is not None:
                masks[process.service] = masks.get(process.service, -1) & self._needs.mask(node)
        return masks

    @cached_property
    def load_bearing(self) -> set[Process]:
        """The processes without each of which the success goal is not reached."""
        if self.goal is None or self.level is None:
            return set()
        starts = {self.causality.done(process.start): process for process in self.processes}
        needs = self.causality.graph.critical(self.roots, starts.keys())
        return {starts[node] for node in needs.of(self.goal)}

    def actions(self, kinds: Iterable[str]) -> list[Action]:
        """The actions of those kinds that an instance can reach, in model order."""
        wanted = frozenset(kinds)
        return [action for action in self._actions if action.kind in wanted]

    @cached_property
    def _actions(self) -> list[Action]:
        # A flow looks at its own part of the design, so that a thousand flows do not look at all of it a thousand times.
        actions = self.causality.system.actions
        return [actions[node] for node in sorted(self.nodes) if node < len(actions)]
