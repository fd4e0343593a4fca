"""Liveness: what can never run, which goals can never be reached, and the one place each of that comes from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence, Set
from functools import cached_property
from typing import NamedTuple

from coordlint.analysis.calls import strong_components
from coordlint.analysis.causality import Causality
from coordlint.analysis.flows import FlowView
from coordlint.analysis.orphans import Orphans
from coordlint.system import Action, Message, MessageUse, Process, Workflow


class Standstill(NamedTuple):
    """A process that never runs, or that never gets past one of its actions.

    ``action`` is None for a process that never starts. Otherwise it is an ``await`` that nothing satisfies, a ``call`` that is
    never answered well, or the first statement that no control reaches.
    """

    process: Process
    action: Action | None = None


class Cause(NamedTuple):
    """Standstills that nothing else explains, and what stands still with them.

    Attributes:
        members: one, or several that only wait for each other, waits before the others.
        follows: what stands still because of it, in model order.
        flows: the flows whose goal is never reached because of it, by name.
    """

    members: tuple[Standstill, ...]
    follows: tuple[Standstill, ...]
    flows: tuple[FlowView, ...]


class Consequences(NamedTuple):
    """What an unpublished event brings to a standstill beyond its own subscribers."""

    processes: tuple[Process, ...] = ()
    flows: tuple[FlowView, ...] = ()


class Unreached(NamedTuple):
    """A flow whose goal its start does not lead to.

    Attributes:
        view: the flow.
        distant: the goal is reached, but only by other entries of the design.
        target: the goal that is not reached.
    """

    view: FlowView
    distant: bool
    target: MessageUse | Workflow


class Liveness:
    """Why things never happen, cause by cause: unpublished events first, then processes that nothing starts, then flows.

    The question is asked with every entry of the design firing. Blocks that answer a failure or undo a step are taken to run:
    whether they can is for the rules on sagas. What would run if every unpublished event were published is a consequence of
    those events; of the rest, a process is a cause of its own when no other standstill explains it. Each costs one search.
    """

    def __init__(self, causality: Causality, orphans: Orphans, flows: Sequence[FlowView]) -> None:
        self.causality = causality
        self.orphans = orphans
        self.views = flows
        self.system = causality.system

    # -------------------------------------------------------------------------------------------- answers

    @property
    def without_entry(self) -> bool:
        """Whether the design says nowhere what sets it in motion."""
        return not self.causality.entries

    @cached_property
    def of_event(self) -> dict[Message, Consequences]:
        """What stands still because an event is never published, for each of :attr:`Orphans.unpublished`."""
        direct = {
            (one.event, place.process)
            for one in self.orphans.unpublished
            for place in one.places
            if place.action is None
        }
        processes: dict[Message, list[Process]] = {one.event: [] for one in self.orphans.unpublished}
        for process in self.system.processes:
            node = self.causality.done(process.start)
            event = self._event_at.get(self._event_origin.get(process.start, -1))
            if event is None or node in self._holds or node not in self._repaired:
                continue
            if (event, process) not in direct:
                processes[event].append(process)
        flows: dict[Message, list[FlowView]] = {event: [] for event in processes}
        for view, event in self._flows_by_event:
            flows[event].append(view)
        return {event: Consequences(tuple(processes[event]), tuple(flows[event])) for event in processes}

    @cached_property
    def causes(self) -> tuple[Cause, ...]:
        """The standstills that no unpublished event explains, grouped by where they begin, in model order."""
        follows: list[list[Standstill]] = [[] for _ in self._groups]
        for process, standstill in self._standstills.items():
            number = self._cause_of[process]
            if standstill not in self._groups[number]:
                follows[number].append(standstill)
        flows: list[list[FlowView]] = [[] for _ in self._groups]
        for view, number in self._flows_by_cause:
            flows[number].append(view)
        return tuple(
            Cause(group, tuple(follows[i]), tuple(flows[i]))
            for i, group in enumerate(self._groups)
            if self._is_worth_saying(group, bool(flows[i]))
        )

    @cached_property
    def unreached(self) -> tuple[Unreached, ...]:
        """The flows whose goal is out of reach for a reason of their own, by name."""
        explained = {view for view, _ in (*self._flows_by_event, *self._flows_by_cause)}
        return tuple(
            Unreached(view, view.level is not None, self._missing(view))
            for view in self._troubled
            if view not in explained
        )

    # -------------------------------------------------------------------------------------------- what holds

    @cached_property
    def _asides(self) -> frozenset[int]:
        """The entries of failure, timeout and compensation blocks that no control flow leads to."""
        entered = {edge.target for action in self.system.actions for edge in action.edges}
        return frozenset(
            self.causality.entered(action)
            for action in self.system.actions
            if action.region != "main" and action.kind != "failed" and action.id not in entered
        )

    @cached_property
    def _roots(self) -> frozenset[int]:
        return self.causality.entries | self._asides | self._returning

    @cached_property
    def _returning(self) -> frozenset[int]:
        """What comes back from dead-letter channels: the broker puts it there."""
        channels = self.orphans.dead_letters
        events = (message for message in self.system.messages.values() if message.channel in channels)
        processes = (
            process for process in self.system.processes if any(trigger.via in channels for trigger in process.triggers)
        )
        return frozenset(
            {
                *(self.causality.produced(event) for event in events),
                *(self.causality.entered(process.start) for process in processes),
            }
        )

    @cached_property
    def _holds(self) -> Set[int]:
        return self.causality.graph.reached(self._roots)

    @cached_property
    def _publications(self) -> frozenset[int]:
        return frozenset(self.causality.produced(one.event) for one in self.orphans.unpublished)

    @cached_property
    def _repaired(self) -> Set[int]:
        """What would hold if every unpublished event were published."""
        return self.causality.graph.reached(self._roots | self._publications)

    # -------------------------------------------------------------------------------------------- unpublished events

    @cached_property
    def _event_at(self) -> dict[int, Message]:
        return {self.causality.number(one.event): one.event for one in self.orphans.unpublished}

    @cached_property
    def _event_origin(self) -> dict[int, int]:
        """The nodes that never happen, each with the nearest unpublished event before it."""
        return self._origins([(number, number) for number in self._event_at], self._holds)

    @cached_property
    def _flows_by_event(self) -> list[tuple[FlowView, Message]]:
        found = []
        for view in self._troubled:
            if view.goal not in self._reached_with_publications(view):
                continue
            goals = self._goal_nodes(view)
            numbers = {self._event_origin[goal] for goal in goals if goal in self._event_origin}
            if not numbers:
                numbers = set(self.causality.path(sorted(self._event_at), goals)[:1])
            found += [(view, self._event_at[number]) for number in sorted(numbers)]
        return found

    def _reached_with_publications(self, view: FlowView) -> Set[int]:
        """What would hold in that flow with the unpublished events; for a distant goal, without the foreign entries."""
        if view.level is None:
            return self._repaired
        return self.causality.graph.reached(view.starts | self.causality.spontaneous | self._publications)

    # -------------------------------------------------------------------------------------------- other standstills

    @cached_property
    def _standstills(self) -> dict[Process, Standstill]:
        """The processes that would stand still even if every unpublished event were published, in model order."""
        found = {}
        for process in self.system.processes:
            if self.causality.done(process.start) not in self._repaired:
                found[process] = Standstill(process)
            elif (action := self._stuck_at(process)) is not None:
                found[process] = Standstill(process, action)
        return found

    def _stuck_at(self, process: Process) -> Action | None:
        """The first action of a running process that control enters and never leaves, or the first that it never enters."""
        unreached = None
        for action in self.system.actions_of(process):
            if action.region != "main" or action.kind in _FRAME:
                continue
            entered = self.causality.entered(action) in self._repaired
            if entered and self._blocks(action):
                return action
            if not entered and unreached is None and action.kind in _STATEMENTS:
                unreached = action
        return unreached

    def _blocks(self, action: Action) -> bool:
        """Whether nothing goes on behind an action; the failure of a call may lead on to the same place as its answer."""
        if action.kind not in {"await", "call"} or self.causality.done(action) in self._repaired:
            return False
        onward = (edge.target for edge in action.edges if edge.kind in {"next", "ok"})
        return action.kind == "await" or any(self.causality.entered(target) not in self._repaired for target in onward)

    @cached_property
    def _explanations(self) -> list[list[int]]:
        """Standstill -> those that it explains, by their place in model order."""
        number = {process: i for i, process in enumerate(self._standstills)}
        explained: list[list[int]] = [[] for _ in number]
        for process, standstill in self._standstills.items():
            for source in self._explained_by(standstill):
                if source in number:
                    explained[number[source]].append(number[process])
        return [sorted(set(targets)) for targets in explained]

    @cached_property
    def _groups(self) -> list[tuple[Standstill, ...]]:
        """The standstills that are explained by none outside their group, in model order."""
        component = strong_components(self._explanations)
        led_to = {
            component[target]
            for node, targets in enumerate(self._explanations)
            for target in targets
            if component[target] != component[node]
        }
        groups: dict[int, list[Standstill]] = {}
        for node, standstill in enumerate(self._standstills.values()):
            if component[node] not in led_to:
                groups.setdefault(component[node], []).append(standstill)
        return [tuple(sorted(group, key=_prominence)) for group in groups.values()]

    @cached_property
    def _cause_of(self) -> dict[Process, int]:
        """The group that explains each standstill: the nearest, of several the first."""
        order = list(self._standstills)
        number = {process: i for i, process in enumerate(order)}
        found = {member.process: i for i, group in enumerate(self._groups) for member in group}
        queue = deque(found)
        while queue:
            process = queue.popleft()
            for i in self._explanations[number[process]]:
                if order[i] not in found:
                    found[order[i]] = found[process]
                    queue.append(order[i])
        return found

    def _is_worth_saying(self, group: Sequence[Standstill], loses_flow: bool) -> bool:
        """A call that cannot end well matters if something waits behind it.

        Calls in a circle are for CYC501 to name, statements that control never reaches for SAG307.
        """
        first = group[0].action
        if first is None or first.kind == "await":
            return True
        members = {member.process for member in group}
        order = list(self._standstills)
        if len(group) > 1 or _leads_to_itself(self._explanations, order.index(group[0].process)):
            return False  # only calls are left, and CYC501 speaks of circles of calls
        behind = {order[j] for i, process in enumerate(order) if process in members for j in self._explanations[i]}
        return first.kind == "call" and not behind & members and (loses_flow or bool(behind))

    def _explained_by(self, standstill: Standstill) -> Iterable[Process]:
        """The processes that would end the standstill if they did what their text says."""
        process, action = standstill
        index = self.causality.index
        if action is None:
            for trigger in process.triggers:
                for use in trigger.uses:
                    if trigger.mode == "any" or self.causality.sent(use.message) not in self._repaired:
                        yield from (producer.process for producer in index.producers(use.message))
                if trigger.entity is not None:
                    yield from (
                        writer.process
                        for (store, entity), writers in index.writers.items()
                        if store is trigger.entity.store and trigger.entity.entity in {None, entity}
                        for writer in writers
                    )
        elif action.kind == "await":
            for use in action.uses:
                yield from (producer.process for producer in index.producers(use.message))
        elif action.kind == "call":
            yield from index.handlers(action.message)

    @cached_property
    def _flows_by_cause(self) -> list[tuple[FlowView, int]]:
        explained = {view for view, _ in self._flows_by_event}
        revived = set()
        for group in self._groups:
            for process, action in group:
                revived.add(self.causality.done(process.start if action is None else action))
                if action is not None:
                    revived.add(self.causality.entered(action))
        reached = self.causality.graph.reached(self._roots | self._publications | revived) if revived else set()
        found = []
        for view in self._troubled:
            if view in explained or view.level is not None or view.goal not in reached:
                continue
            processes = [one for target in self._missing_targets(view) for one in self._leading_to(target)]
            numbers = {self._cause_of[process] for process in processes if process in self._cause_of}
            found += [(view, number) for number in sorted(numbers)]
        return found

    # -------------------------------------------------------------------------------------------- flows

    @cached_property
    def _troubled(self) -> list[FlowView]:
        """The flows with a start and a goal, all names resolved, where the start does not lead to the goal."""
        return [view for view in self.views if _is_complete(view) and view.level not in {0, 1}]

    def _goal_nodes(self, view: FlowView) -> list[int]:
        """The plain nodes that stand for the goals that are not reached."""
        return [self._node(target) for target in self._missing_targets(view)]

    def _missing(self, view: FlowView) -> MessageUse | Workflow:
        return self._missing_targets(view)[0]

    def _missing_targets(self, view: FlowView) -> list[MessageUse | Workflow]:
        assert view.flow.success is not None
        causality, targets = self.causality, view.flow.success.targets
        holds = causality.live if view.level is None else causality.graph.reached(view.starts | causality.spontaneous)
        return [target for target in targets if self._target(target) not in holds] or list(targets)

    def _leading_to(self, target: MessageUse | Workflow) -> list[Process]:
        """The processes that would meet a goal."""
        if isinstance(target, Workflow):
            return [target.process]
        return [action.process for action in self.causality.index.producers(target.message)]

    def _target(self, target: MessageUse | Workflow) -> int:
        if isinstance(target, Workflow):
            return self.causality.done(target.process.actions[-1])
        return self.causality.sent(target.message)

    def _node(self, target: MessageUse | Workflow) -> int:
        if isinstance(target, Workflow):
            return target.process.actions[-1]
        return self.causality.number(target.message)

    # -------------------------------------------------------------------------------------------- search

    def _origins(self, seeds: Iterable[tuple[int, int]], holds: Set[int]) -> dict[int, int]:
        """Breadth first from all seeds at once through what never happens: node -> label of the seed that came first."""
        found: dict[int, int] = {}
        queue: deque[int] = deque()
        for node, label in seeds:
            if node not in found:
                found[node] = label
                queue.append(node)
        while queue:
            node = queue.popleft()
            for target in self.causality.successors[node]:
                if target not in found and not self._happens(target, holds):
                    found[target] = found[node]
                    queue.append(target)
        return found

    def _happens(self, node: int, holds: Set[int]) -> bool:
        message = self.causality.message_at(node)
        return (self.causality.done(node) if message is None else self.causality.sent(message)) in holds


def _leads_to_itself(successors: list[list[int]], node: int) -> bool:
    return node in successors[node]


def _prominence(standstill: Standstill) -> int:
    """What waits in vain comes first, then what never starts."""
    kind = standstill.action.kind if standstill.action is not None else "start"
    return _PROMINENCE.index(kind) if kind in _PROMINENCE else len(_PROMINENCE)


_PROMINENCE = ("await", "start", "call")


_FRAME = frozenset({"start", "failed"})
_STATEMENTS = frozenset({"emit", "send", "call", "await", "timer", "read", "write", "act", "succeed"})


def _is_complete(view: FlowView) -> bool:
    flow = view.flow
    if not flow.starts or flow.success is None:
        return False
    return not any(
        target.message.phantom for target in (*flow.starts, *flow.success.targets) if not isinstance(target, Workflow)
    )
