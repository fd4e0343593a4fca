"""Forks without a join, declared orders without a cause, and answers that may come from somewhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

from coordlint.analysis.causality import Causality
from coordlint.analysis.flows import FlowView
from coordlint.system import Action, FactName, Message, MessageUse, Order, Process, Service, Trigger

MOST_PUBLISHERS = 16
"""How many publications may start a handler for them to be compared in pairs; of more, none are, as a choice would be arbitrary."""


class Rerun(NamedTuple):
    """A process that runs once for each branch of a fork.

    Attributes:
        process: the process.
        first, second: the publications that start it, one in each branch.
        fork: the plain node behind which the branches part.
    """

    process: Process
    first: Action
    second: Action
    fork: int


class Unordered(NamedTuple):
    """A declared ``order`` that nothing brings about.

    ``before`` is a publication of the first message that may come too late, None where the flow publishes none; ``after`` is
    the publication of the second message that does not wait, None where the flow begins with it.
    """

    order: Order
    before: Action | None
    after: Action | None


class Ambiguous(NamedTuple):
    """A wait for the answer to a request, and a publication of the same message that is none.

    Attributes:
        process: the process that waits.
        use: what it waits for, at its ``awaits`` or its joined trigger.
        request: the request that it means.
        other: the publication that does not come from the request.
        root: the plain node that both come from.
    """

    process: Process
    use: MessageUse
    request: Action
    other: Action
    root: int


class Forks:
    """Questions about what runs side by side, see :meth:`Causality.can_both_happen`.

    Each question looks at the flows that both things take part in; where no flow is declared, at the entries of the design
    that lead to both. It costs a few searches of what lies before and behind the things it is about.
    """

    def __init__(self, causality: Causality, flows: Sequence[FlowView]) -> None:
        self.causality = causality
        self.index = causality.index
        self.system = causality.system
        self.views = flows

    # -------------------------------------------------------------------------------------------- runs twice

    def reruns(self) -> list[Rerun]:
        """The processes that change something, are started by any of several events, and so run once per branch of a fork.

        Branches that follow one another are no fork: a handler of several stages of an order is meant to run at each stage.
        """
        candidates = {
            process: found
            for process in self.system.processes
            if 1 < len(found := self._publishers(process)) <= MOST_PUBLISHERS
        }
        flows = self._flows_of(action.id for found in candidates.values() for action in found)
        result = []
        for process, found in candidates.items():
            for first, second in combinations(found, 2):
                shared = [view for view in flows.get(first.id, ()) if view in flows.get(second.id, ())]
                fork = self._parting(first.id, second.id, shared)
                if fork is not None:
                    result.append(Rerun(process, first, second, fork))
                    break
        return result

    def _publishers(self, process: Process) -> list[Action]:
        """The live publications of the events that start the process, if running it twice would matter."""
        if process.service.external or any(process.fact(name).declared for name in _HARMLESS):
            return []
        if process.kind != "workflow" and next(self.system.actions_of(process, "write", "act"), None) is None:
            return []
        events = [
            use.message
            for trigger in process.triggers
            if trigger.mode == "any" and trigger.kind in {"event", "start"}
            for use in trigger.uses
            if use.message.kind == "event" and not use.message.fact("technical").declared
        ]
        found = {action.id: action for event in dict.fromkeys(events) for action in self.index.emitters.get(event, ())}
        return [found[number] for number in sorted(found) if self.causality.is_live(number)]

    def _parting(self, first: int, second: int, views: Sequence[FlowView]) -> int | None:
        """Where runs that reach both nodes part; None if the nodes follow one another or exclude each other.

        A timer that looks at data which both have touched is no fork.
        """
        causality = self.causality
        if self._follows(first, second) or self._follows(second, first):
            return None
        to_first, to_second = self._distances(first), self._distances(second)
        common = to_first.keys() & to_second.keys()
        starts = {root for view in views for root in causality.starts_of(view.flow)}
        roots = common & starts if starts else self._entries(common)
        if not causality.can_both_happen(first, second, roots):
            return None
        return min(common, key=lambda node: (self._decides(node), to_first[node] + to_second[node], node))

    def _follows(self, source: int, target: int) -> bool:
        """Whether one node can come after another in any way."""
        seen, queue = {source}, [source]
        for node in queue:
            if node == target:
                return True
            for following in self.causality.successors[node]:
                if following not in seen:
                    seen.add(following)
                    queue.append(following)
        return False

    def _decides(self, node: int) -> bool:
        return self.causality.message_at(node) is None and self.system.actions[node].kind == "choice"

    def _distances(self, node: int) -> dict[int, int]:
        """The nodes that a node follows from, each with how many steps before."""
        found = {node: 0}
        queue = [node]
        for one in queue:
            for source in self._strict_predecessors[one]:
                if source not in found:
                    found[source] = found[one] + 1
                    queue.append(source)
        return found

    @cached_property
    def _strict_predecessors(self) -> list[list[int]]:
        result: list[list[int]] = [[] for _ in self.causality.strict_successors]
        for node, targets in enumerate(self.causality.strict_successors):
            for target in targets:
                result[target].append(node)
        return result

    def _entries(self, nodes: Iterable[int]) -> set[int]:
        """Those of the nodes where something begins by itself."""
        return {node for node in nodes if self._begins(node)}

    def _begins(self, node: int) -> bool:
        message = self.causality.message_at(node)
        if message is not None:
            return message.visibility == "external"
        action = self.system.actions[node]
        return action.kind == "start" and any(trigger.kind in {"entry", "timer"} for trigger in action.process.triggers)

    def _flows_of(self, nodes: Iterable[int]) -> dict[int, list[FlowView]]:
        """The flows in which each of these actions can happen."""
        wanted = set(nodes)
        found: dict[int, list[FlowView]] = {}
        for view in self.views if wanted else ():
            for node in wanted & view.nodes:
                if self.causality.entered(node) in view.holds:
                    found.setdefault(node, []).append(view)
        return found

    # -------------------------------------------------------------------------------------------- declared orders

    def unordered(self, view: FlowView) -> Iterator[Unordered]:
        """The declared orders of a flow that no cause enforces.

        An order holds when every publication of the second message follows from the first one, when both exclude each other,
        or when the service that publishes the second message learns of the first: then it can wait for it.

        Source: the rule on initiators of choreography tasks in BPMN 2.0, section 11.5.6.
        """
        for order in view.flow.orders:
            first, then = order.first.message, order.then.message
            if first.phantom or then.phantom or self.causality.number(then) not in view.nodes:
                continue
            causes = [action for action in self.index.producers(first) if self.causality.is_live(action)]
            inside = [action for action in causes if action.id in view.nodes]
            begun = self.causality.number(first) in self.causality.starts_of(view.flow)
            if not (causes or begun or first.visibility == "external"):
                continue
            following = self.causality.after((self.causality.number(first), *(action.id for action in causes)))
            effects = [action for action in self.index.producers(then) if action.id in view.nodes]
            if self.causality.number(then) in self.causality.starts_of(view.flow):
                if not begun:
                    yield Unordered(order, next(iter(inside), None), None)
                continue
            found = self._unenforced(
                view, order, inside, [one for one in effects if one.id not in following], following
            )
            if found is not None:
                yield found

    def _unenforced(
        self, view: FlowView, order: Order, before: list[Action], after: list[Action], following: set[int]
    ) -> Unordered | None:
        roots = self.causality.starts_of(view.flow)
        for late in after:
            if any(process.start in following for process in self._processes.get(late.process.service, ())):
                continue
            if not before:
                return Unordered(order, None, late)
            for early in before:
                if self.causality.can_both_happen(early.id, late.id, roots):
                    return Unordered(order, early, late)
        return None

    @cached_property
    def _processes(self) -> dict[Service, list[Process]]:
        found: dict[Service, list[Process]] = {}
        for process in self.system.processes:
            found.setdefault(process.service, []).append(process)
        return found

    # -------------------------------------------------------------------------------------------- answers

    def ambiguous(self) -> Iterator[Ambiguous]:
        """The waits for an answer that something else in the same run may satisfy, in model order.

        The answer of a wait is what follows from a request of the same process before it (for a joined trigger: from a
        ``sends`` or ``calls`` of the same service). It is ambiguous when the same message is also published in the same run,
        not before the request, on a way that leads through none of these requests. A ``by`` on a field that the messages which
        start the process do not carry tells the answers apart: it is known since the request only.
        """
        for process in self.system.processes:
            for action in self.system.actions_of(process, "await"):
                if not _tells_apart(process, action.by):
                    yield from self._judge(process, action.uses, self._requests_before(process, action))
            for trigger in process.triggers:
                if trigger.mode == "all" and not _tells_apart_joined(self._processes[process.service], trigger):
                    yield from self._judge(process, trigger.uses, self._requests_of(process.service))

    def _judge(self, process: Process, uses: Iterable[MessageUse], requests: list[Action]) -> Iterator[Ambiguous]:
        for use in uses:
            if use.message.phantom:
                continue
            own = {action.id for action in requests if self._leads_to(action, use.message, process)}
            if own:
                found = self._stranger(process, use.message, own)
                if found is not None:
                    yield Ambiguous(process, use, self.system.actions[found[0]], found[1], found[2])

    def _stranger(self, process: Process, answer: Message, requests: set[int]) -> tuple[int, Action, int] | None:
        """A request, a publication of its answer that does not come from any of the requests, and where both begin."""
        causality = self.causality
        views = self._flows_of(requests)
        # Each request is asked about: which of them is the first depends on the names of services and messages.
        for inside in sorted(requests):
            roots = {root for view in views.get(inside, ()) for root in causality.starts_of(view.flow)}
            roots = roots or self._started_by(self.system.actions[inside].process)
            reached = self._search(roots, requests, process)
            for other in self.index.producers(answer):
                if other.id not in reached or other.process is process or self._follows(other.id, inside):
                    continue
                for root in sorted(roots):
                    if causality.can_both_happen(inside, other.id, (root,)):
                        return inside, other, root
        return None

    def _started_by(self, process: Process) -> set[int]:
        return {
            self.causality.number(use.message)
            for trigger in process.triggers
            for use in trigger.uses
            if not use.message.phantom
        }

    def _requests_before(self, process: Process, wait: Action) -> list[Action]:
        """The messages that control may have sent before it comes to a wait."""
        before: dict[int, list[int]] = {}
        for action in self.system.actions_of(process):
            for edge in action.edges:
                before.setdefault(edge.target, []).append(action.id)
        seen, stack = {wait.id}, [wait.id]
        while stack:
            for source in before.get(stack.pop(), ()):
                if source not in seen:
                    seen.add(source)
                    stack.append(source)
        actions = (self.system.actions[number] for number in sorted(seen))
        return [action for action in actions if action.kind in {"send", "call", "emit"} and not action.message.phantom]

    def _requests_of(self, service: Service) -> list[Action]:
        return [
            action
            for process in self._processes.get(service, ())
            for action in self.system.actions_of(process, "send", "call")
            if not action.message.phantom
        ]

    def _leads_to(self, request: Action, answer: Message, process: Process) -> bool:
        start, goal = self.causality.number(request.message), self.causality.number(answer)
        return start != goal and goal in self._search((start,), (), process, goal)

    def _search(
        self, nodes: Iterable[int], without: Iterable[int], process: Process, goal: int | None = None
    ) -> set[int]:
        """What follows without those nodes, and without messages that let the process itself go on; a goal ends the search."""
        banned = set(without)
        seen = {node for node in nodes if node not in banned}
        stack = list(seen)
        while stack:
            node = stack.pop()
            message = self.causality.message_at(node)
            for target in self.causality.strict_successors[node]:
                if target in seen or target in banned:
                    continue
                if message is not None and self._waits_in(process, target):
                    continue
                seen.add(target)
                stack.append(target)
                if target == goal:
                    return seen
        return seen

    def _waits_in(self, process: Process, node: int) -> bool:
        return self.system.actions[node].kind == "await" and self.system.actions[node].process is process


_HARMLESS: tuple[FactName, ...] = ("idempotent", "projection", "notifies")


def _tells_apart(process: Process, by: Sequence[str]) -> bool:
    """Whether the key of a wait is not known before the process asks; what the start does not declare may be anything."""
    if not by:
        return False
    messages = [use.message for trigger in process.triggers for use in trigger.uses]
    declared = [{field.name for field in message.fields} for message in messages]
    known = {name for trigger in process.triggers for name in trigger.by}.union(*declared)
    if process.fact("idempotent").declared:
        known |= set(process.fact("idempotent").value)
    return not set(by) <= known


def _tells_apart_joined(processes: Iterable[Process], trigger: Trigger) -> bool:
    askers = [process for process in processes if trigger not in process.triggers]
    return bool(trigger.by) and all(_tells_apart(process, trigger.by) for process in askers)
