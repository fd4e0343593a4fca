"""Lost failures: business failures that nobody hears, that lead to no end of their flow, or that nobody is told about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Literal, NamedTuple, TypeVar

from coordlint.analysis.causality import Causality
from coordlint.analysis.flows import FlowView
from coordlint.graph import causal_successors
from coordlint.system import Action, Message, MessageUse, Process, Trigger, Workflow

T = TypeVar("T")


class Untold(NamedTuple):
    """A way in which a process is started that carries no answer back.

    ``by`` is a ``sends`` or, where nobody asked at all, the trigger (an event, a timer, a change of data).
    """

    process: Process
    by: Action | Trigger


class LostFailure(NamedTuple):
    """Declared business failures whose consequence is missing, at the one place where it is missing.

    Attributes:
        fails: the ``fails``, in model order.
        event: the event they publish, or None.
        why: ``unheard`` (nobody subscribes to the event), ``astray`` (its subscribers lead to no goal and no failure goal of
            the flow) or ``untold`` (no event, and nobody waits for the answer).
        process: for ``untold``, the process that ends in failure without an answer; otherwise that of the first ``fails``.
        view: the flow, the first by name where there are several.
        untold: the ways in which that process is started without an answer.
        left: state that was changed on the way to it and that nothing undoes.
    """

    fails: tuple[Action, ...]
    event: Message | None
    why: Literal["unheard", "astray", "untold"]
    process: Process
    view: FlowView
    untold: tuple[Untold, ...] = ()
    left: tuple[Action, ...] = ()


class Failures:
    """The declared failures (``fails``) of the actions that take part in flows, and who learns of them.

    A failure is answered when every ``call`` that leads to it has somewhere to go (a block, a fallback, a compensation, the
    outside), when the sender of its command waits for an event behind the ``sends`` (what that wait makes of it is for the
    rules on workflows), when the failing process says so itself (a message before the ``fails``, an ``on failure`` with an
    effect), or when the failed message is kept in a dead-letter channel. A failure that a caller only passes on is judged at
    the caller's own callers. Linear in the size of the flows.
    """

    def __init__(self, causality: Causality, flows: Sequence[FlowView]) -> None:
        self.causality = causality
        self.index = causality.index
        self.system = causality.system
        self.views = flows

    @cached_property
    def lost(self) -> tuple[LostFailure, ...]:
        """The lost failures, in model order."""
        events: dict[Message, tuple[list[Action], list[FlowView]]] = {}
        untold: dict[Process, tuple[list[Action], list[FlowView], list[Untold]]] = {}
        for number in sorted(self._in_flows):
            fail, views = self.system.actions[number], self._in_flows[number]
            if not self._counts(fail):
                continue
            emit = self._emit_of(fail)
            if emit is not None:
                if not emit.message.phantom:
                    known = events.setdefault(emit.message, ([], []))
                    known[0].append(fail)
                    known[1].extend(views)
            elif not self._is_announced(fail) and not self._has_effect_behind(fail):
                for way in self._untold(fail.process):
                    at = untold.setdefault(way.process, ([], [], []))
                    at[0].append(fail)
                    at[1].extend(views)
                    at[2].append(way)
        found = [self._judge(event, fails, views) for event, (fails, views) in events.items()]
        found += [
            LostFailure(_unique(fails), None, "untold", process, _first(views), _unique(ways))
            for process, (fails, views, ways) in untold.items()
        ]
        return tuple(sorted((one for one in found if one is not None), key=lambda one: one.fails[0].id))

    @cached_property
    def unheard(self) -> frozenset[Message]:
        """The failure events that nobody hears and that are reported as such."""
        return frozenset(one.event for one in self.lost if one.event is not None and one.why == "unheard")

    def left_behind(self, event: Message) -> tuple[Action, ...]:
        """What was changed before the event was published, in flows that fail with it, and what nothing undoes.

        Only effects of handlers count: what a workflow commands, it also undoes or not by its own compensations. A handler
        that ``compensates`` the message of the effect undoes it; so does the publishing process its own effects.
        """
        found: dict[int, Action] = {}
        for view in self.views:
            if view.flow.failure is None or not _is_among(event, view.flow.failure.targets):
                continue
            for emit in self.index.emitters.get(event, ()):
                if emit.id in view.nodes and emit.process.kind != "workflow" and self._untold(emit.process):
                    found |= {action.id: action for action in self._effects_before(emit, view)}
        return tuple(found[number] for number in sorted(found))

    # -------------------------------------------------------------------------------------------- judging

    @cached_property
    def _in_flows(self) -> dict[int, list[FlowView]]:
        found: dict[int, list[FlowView]] = {}
        actions = self.system.actions
        for view in self.views:
            for node in view.nodes:
                if node < len(actions) and actions[node].kind == "fail":
                    found.setdefault(node, []).append(view)
        return found

    def _counts(self, fail: Action) -> bool:
        process = fail.process
        if fail.region == "compensation" or not self.causality.is_live(fail):
            return False
        if process.fact("projection").declared or process.fact("notifies").declared:
            return False
        return not self._is_impossible(fail) and not self._is_kept(fail.process) and bool(self._untold(fail.process))

    def _is_impossible(self, fail: Action) -> bool:
        """``0% fails`` is part of a contract and never happens."""
        first = self._emit_of(fail) or fail
        edges = [edge for source in self._before[first.id] for edge in source.edges if edge.target == first.id]
        return bool(edges) and all(edge.chance == 0 for edge in edges)

    def _judge(self, event: Message, fails: list[Action], views: list[FlowView]) -> LostFailure | None:
        """What becomes of a failure event; None where it comes to an end."""
        if next(self.index.consumers(event), None) is not None:
            for fail in fails:
                view = self._astray(fail, event, self._in_flows[fail.id])
                if view is not None:
                    return LostFailure((fail,), event, "astray", fail.process, view)
            return None
        left = self.left_behind(event)
        if _is_excused(event) or (not left and self._is_goal(event)):
            return None
        return LostFailure(tuple(fails), event, "unheard", fails[0].process, _first(views), left=left)

    def _astray(self, fail: Action, event: Message, views: list[FlowView]) -> FlowView | None:
        """The first flow with a failure goal that the failure does not lead to, if it leads to the end of none."""
        concerned = []
        for view in sorted(views, key=lambda one: one.flow.name):
            goals = {node for node in _goal_nodes(self.causality, view) if node in view.nodes}
            if view.flow.failure is None or not goals & self.causality.after((fail.process.start,)):
                continue
            if self._leads_to(goals, event, fail):
                return None
            concerned.append(view)
        return concerned[0] if concerned else None

    def _leads_to(self, goals: set[int], event: Message, fail: Action) -> bool:
        """Whether the failure leads to one of those nodes.

        A timer that reads what was written carries the failure on, too, but not when all it does is to come back to the step
        that failed: then a poller only looks at the same data again.
        """
        number = self.causality.number(event)
        if goals & self.causality.after((number,), successors=self._unpolled):
            return True
        again = fail.process.start
        seen, stack = {number}, [number]
        while stack:
            for target in self.causality.successors[stack.pop()]:
                if target not in seen and target != again:
                    seen.add(target)
                    stack.append(target)
        return bool(goals & seen)

    @cached_property
    def _unpolled(self) -> list[list[int]]:
        return causal_successors(self.index, returns=True)

    def _cone(self, nodes: Iterable[int], within: set[int]) -> set[int]:
        seen = {node for node in nodes if node in within}
        stack = list(seen)
        while stack:
            for source in self.causality.predecessors[stack.pop()]:
                if source in within and source not in seen:
                    seen.add(source)
                    stack.append(source)
        return seen

    # -------------------------------------------------------------------------------------------- who is told

    def _untold(self, process: Process) -> tuple[Untold, ...]:
        """The ways in which the process is started, directly or through callers that pass its failure on, without an answer."""
        if process in self._untold_of:
            return self._untold_of[process]
        found, seen, stack = [], {process}, [process]
        while stack:
            one = stack.pop()
            for way in self._ways(one):
                if isinstance(way, Process):
                    if way not in seen:
                        seen.add(way)
                        stack.append(way)
                else:
                    found.append(way)
        self._untold_of[process] = tuple(found)
        return self._untold_of[process]

    @cached_property
    def _untold_of(self) -> dict[Process, tuple[Untold, ...]]:
        return {}

    def _ways(self, process: Process) -> Iterator[Untold | Process]:
        """How a process is started: unasked, by a ``sends``, or by a caller that passes its failure on."""
        for trigger in process.triggers:
            if trigger.kind in {"event", "timer", "change"}:
                yield Untold(process, trigger)
            for use in trigger.uses:
                if trigger.kind == "start" and use.message.kind == "event":
                    yield Untold(process, trigger)
                for request in self.index.senders.get(use.message, ()):
                    if request.process.service.external or request.use.service not in {None, process.service}:
                        continue
                    if request.kind == "send":
                        if not self._is_awaited(request):
                            yield Untold(process, request)
                    elif self._passes_on(request):
                        yield request.process

    def _is_awaited(self, request: Action) -> bool:
        """Whether the sender waits for a message next, before it calls or waits for anything else."""
        seen, stack = {request.id}, [request]
        while stack:
            for edge in stack.pop().edges:
                action = self.system.actions[edge.target]
                if action.kind == "await":
                    return True
                if action.id not in seen and action.kind not in {"call", "join"}:
                    seen.add(action.id)
                    stack.append(action)
        return False

    def _passes_on(self, call: Action) -> bool:
        """Whether a failed call just ends its process in failure. Without a failure edge it is repeated until it succeeds."""
        if call.region == "compensation":
            return False
        targets = [self.system.actions[edge.target] for edge in call.edges if edge.kind == "failure"]
        return any(target.kind == "failed" for target in targets)

    def _is_kept(self, process: Process) -> bool:
        """Whether the message that could not be handled goes to a dead-letter channel."""
        if process.fact("dead_letter").declared:
            return True
        channels = [trigger.via for trigger in process.triggers]
        channels += [use.message.channel for trigger in process.triggers for use in trigger.uses]
        return any(channel is not None and channel.fact("dead_letter").declared for channel in channels)

    def _is_announced(self, fail: Action) -> bool:
        """Whether the branch that fails says so in a message of its own before."""
        action = fail
        while len(self._before[action.id]) == 1:
            action = self._before[action.id][0]
            if action.kind == "send" or (action.kind == "emit" and not action.message.fact("technical").declared):
                return True
            if action.kind in _BRANCHING:
                return False
        return False

    def _has_effect_behind(self, fail: Action) -> bool:
        """Whether the failing process answers its failure itself: something is undone, written or said behind it."""
        seen, stack = {fail.id}, [fail]
        while stack:
            for edge in stack.pop().edges:
                action = self.system.actions[edge.target]
                if action.kind in _EFFECTS:
                    return True
                if action.id not in seen:
                    seen.add(action.id)
                    stack.append(action)
        return False

    # -------------------------------------------------------------------------------------------- what is left behind

    def _effects_before(self, emit: Action, view: FlowView) -> Iterator[Action]:
        compensated = {
            process.fact("compensates").value.message
            for process in self.system.processes
            if process.fact("compensates").declared and process.start in view.nodes
        }
        for node in sorted(self._cone((emit.id,), view.nodes)):
            if node >= len(self.system.actions):
                continue
            action = self.system.actions[node]
            process = action.process
            if action.kind not in {"write", "act"} or action.region != "main" or process is emit.process:
                continue
            if process.kind == "workflow" or process.service.external or self._is_commanded(process):
                continue
            if process.fact("projection").declared or process.fact("notifies").declared:
                continue
            if not any(use.message in compensated for trigger in process.triggers for use in trigger.uses):
                yield action

    def _is_commanded(self, process: Process) -> bool:
        requests = (
            request
            for trigger in process.triggers
            for use in trigger.uses
            for request in self.index.senders.get(use.message, ())
        )
        return any(request.process.kind == "workflow" for request in requests)

    # -------------------------------------------------------------------------------------------- small facts

    def _emit_of(self, fail: Action) -> Action | None:
        """The publication of a ``fails EVENT``."""
        return next((action for action in self._before[fail.id] if action.kind == "emit" and action.failure), None)

    @cached_property
    def _before(self) -> list[list[Action]]:
        """For each action, the actions that control comes from."""
        result: list[list[Action]] = [[] for _ in self.system.actions]
        for action in self.system.actions:
            for edge in action.edges:
                result[edge.target].append(action)
        return result

    def _is_goal(self, event: Message) -> bool:
        goals = (goal for view in self.views for goal in (view.flow.success, view.flow.failure) if goal is not None)
        return any(_is_among(event, goal.targets) for goal in goals)


def _unique(items: list[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))


def _first(views: list[FlowView]) -> FlowView:
    return min(views, key=lambda view: view.flow.name)


_BRANCHING = frozenset({"start", "choice", "fork", "loop", "await"})
_EFFECTS = frozenset({"emit", "send", "call", "write", "act"})


def _is_excused(event: Message) -> bool:
    """Somebody outside hears it, or the author says that nobody needs to."""
    return event.visibility in {"public", "external"} or any(
        event.fact(name).declared for name in ("terminal", "deprecated")
    )


def _is_among(event: Message, targets: Iterable[MessageUse | Workflow]) -> bool:
    return any(not isinstance(target, Workflow) and target.message is event for target in targets)


def _goal_nodes(causality: Causality, view: FlowView) -> Iterator[int]:
    for goal in (view.flow.success, view.flow.failure):
        for target in goal.targets if goal is not None else ():
            if isinstance(target, Workflow):
                yield target.process.actions[-1]
            elif not target.message.phantom:
                yield causality.number(target.message)
