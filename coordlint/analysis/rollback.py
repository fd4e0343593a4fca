"""Choreographed compensation: what handlers have changed when a flow fails, and which reaction to the failure undoes it.

Everything happens on a graph of processes: an edge leads from a process to those that its messages, calls and changes of data
start. A handler stays done when it has succeeded before a failure, or beside it, and nothing that follows the failure undoes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from coordlint.analysis.causality import Causality
from coordlint.analysis.effects import Key, same_entity
from coordlint.analysis.failures import Failures
from coordlint.analysis.flows import FlowView
from coordlint.analysis.sagas import Sagas
from coordlint.graph import causal_successors
from coordlint.system import Action, Message, MessageUse, Process, Service

NEAR, FAR = 500, 20_000
"""How many processes before and beside a failure, and how many causal nodes behind it, are looked at."""


class Rollback(NamedTuple):
    """A failure of a flow after which something stays done.

    Attributes:
        view: the flow, the first by name where there are several.
        causes: the ``fails``, or the publications of the flow's failure event after which something is left.
        event: what announces it, or None where only the caller hears of it.
        left: the effects that nothing undoes, in model order.
        cases: each flow and cause with what is left after it.
    """

    view: FlowView
    causes: tuple[Action, ...]
    event: Message | None
    left: tuple[Action, ...]
    cases: tuple[tuple[FlowView, Action, tuple[Action, ...]], ...] = ()


class _Hop(NamedTuple):
    """An edge of the process graph: the action that causes it, and the process that it starts; ``polled`` by a timer."""

    action: Action
    target: Process
    polled: bool


class _Part(NamedTuple):
    """The processes of a flow in model order and as a set, and the edges that lead to each."""

    processes: list[Process]
    members: set[Process]
    sources: dict[Process, list[_Hop]]


class _Undone(NamedTuple):
    """What the reactions to a failure reach: the messages that they say they compensate, and who writes and acts where.

    ``service`` is the one that fails: it knows of the failure anyway.
    """

    service: Service
    of: set[Message]
    entities: dict[Key, set[Process]]
    acting: dict[Service, set[Process]]

    def covers(self, process: Process, messages: set[Message], keys: set[Key], acts: bool) -> bool:
        """Whether somebody other than the process itself undoes one of its effects."""
        if process.service is self.service or messages & self.of:
            return True
        if acts and self.acting.get(process.service, set()) - {process}:
            return True
        return any(
            others - {process}
            for key, others in self.entities.items()
            for mine in keys
            if same_entity(mine, frozenset((key,)))
        )


class Rollbacks:
    """The failures of all flows after which something stays done.

    Left out are failures that lead to a failure event of the flow (that one is judged), those of which nobody learns (they are
    lost failures: first they have to be heard), those whose message is parked in a dead-letter channel, and whatever is
    commanded by a workflow or reacts to one: its compensations are judged elsewhere.
    """

    def __init__(self, causality: Causality, sagas: Sagas, failures: Failures, flows: Sequence[FlowView]) -> None:
        self.causality = causality
        self.index = causality.index
        self.system = causality.system
        self.sagas = sagas
        self.lost = {fail.id for one in failures.lost for fail in one.fails}
        self.views = flows

    @cached_property
    def found(self) -> tuple[Rollback, ...]:
        """The failures that leave something done, in model order."""
        result: dict[Message | Action, Rollback] = {}
        for view in sorted(self.views, key=lambda one: one.flow.name):
            for rollback in self._of_flow(view):
                key = rollback.event if rollback.event is not None else rollback.causes[0]
                known = result.get(key)
                if known is not None:
                    causes, left = {*known.causes, *rollback.causes}, {*known.left, *rollback.left}
                    cases = (*known.cases, *rollback.cases)
                    rollback = known._replace(causes=_in_order(causes), left=_in_order(left), cases=cases)
                result[key] = rollback
        return tuple(sorted(result.values(), key=lambda one: one.causes[0].id))

    # -------------------------------------------------------------------------------------------- one flow

    def _of_flow(self, view: FlowView) -> Iterator[Rollback]:
        processes, inside, _ = self._part(view)
        handlers = [process for process in processes if self._is_judged(process)]
        if not handlers:
            return
        events = [event for event in _failure_events(view) if next(self.index.consumers(event), None) is not None]
        for event in events:
            yield from self._announced(view, handlers, inside, event)
        for process in processes:
            if process in self._commanded or process.service.external or process.workflow is not None:
                continue
            for fail in self.system.actions_of(process, "fail"):
                if self._counts(fail) and not self._leads_to(fail, events):
                    undone = self._undone_by(process, self._consequences(fail, inside))
                    left = self._left(view, handlers, process, undone)
                    if left:
                        yield Rollback(view, (fail,), self._event_of(fail), left, ((view, fail, left),))

    def _announced(
        self, view: FlowView, handlers: list[Process], inside: set[Process], event: Message
    ) -> Iterator[Rollback]:
        """The failure event of a flow, whoever publishes it: a participant, or somebody outside the flow at any time."""
        causes: set[Action] = set()
        left: set[Action] = set()
        cases: list[tuple[FlowView, Action, tuple[Action, ...]]] = []
        emits = [
            emit
            for emit in self.index.emitters.get(event, ())
            if emit.process not in self._commanded
            and emit.process.workflow is None
            and not emit.process.contract
            and emit.id in self.sagas.reached(emit.process)
        ]
        for emit in emits:
            reactions = {self.causality.number(event), *self._around(emit)}
            undone = self._undone_by(emit.process, self._after(reactions))
            if emit.process in inside:
                found = self._left(view, handlers, emit.process, undone)
            else:
                early = self._before_success(view)
                found = self._not_undone([handler for handler in handlers if handler in early], undone)
            if found:
                causes.add(emit)
                left.update(found)
                cases.append((view, emit, found))
        if left:
            yield Rollback(view, _in_order(causes), event, _in_order(left), tuple(cases))

    def _part(self, view: FlowView) -> _Part:
        """The part of the process graph that belongs to a flow; timers only where its goal needs them."""
        if view not in self._parts:
            members = self._reached_from(view, frozenset())
            processes = [process for process in self.system.processes if process in members]
            sources: dict[Process, list[_Hop]] = {}
            for process in processes:
                for hop in self._hops(process):
                    sources.setdefault(hop.target, []).append(hop)
            self._parts[view] = _Part(processes, members, sources)
        return self._parts[view]

    @cached_property
    def _parts(self) -> dict[FlowView, _Part]:
        return {}

    def _before_success(self, view: FlowView) -> set[Process]:
        """The processes that take part before the flow has succeeded."""
        goal = view.flow.success
        if goal is None or goal.mode == "all":
            return self._part(view).members
        return self._reached_from(view, frozenset(one.message for one in goal.targets if isinstance(one, MessageUse)))

    def _reached_from(self, view: FlowView, ends: frozenset[Message]) -> set[Process]:
        """The processes that the start of a flow leads to, but not by those messages."""
        stack: list[Process] = []
        for start in view.flow.starts:
            stack += self.index.consumers(start.message) if isinstance(start, MessageUse) else [start.process]
        found = set(stack)
        while stack:
            for hop in self._hops(stack.pop()):
                ending = hop.action.kind in {"emit", "send", "call"} and hop.action.message in ends
                if hop.target not in found and not ending and not (hop.polled and view.level == 0):
                    found.add(hop.target)
                    stack.append(hop.target)
        return found

    def _around(self, emit: Action) -> Iterator[int]:
        """The actions of the publishing process that belong to the same run as the publication."""
        process = emit.process
        yield from (number for number in process.actions if emit.id in self._within(number))
        yield from self._within(emit.id)

    def _within(self, number: int) -> set[int]:
        """The actions of its process that control can reach from an action, itself included."""
        seen, stack = {number}, [number]
        while stack:
            for edge in self.system.actions[stack.pop()].edges:
                if edge.target not in seen:
                    seen.add(edge.target)
                    stack.append(edge.target)
        return seen

    # -------------------------------------------------------------------------------------------- which failures

    def _counts(self, fail: Action) -> bool:
        process = fail.process
        if fail.id not in self.sagas.reached(process) or fail.id in self.lost or fail.region == "compensation":
            return False
        if process.fact("projection").declared or process.fact("notifies").declared:
            return False
        return not self._is_parked(process) or self._event_of(fail) is not None

    def _is_parked(self, process: Process) -> bool:
        channels = [trigger.via for trigger in process.triggers]
        channels += [use.message.channel for trigger in process.triggers for use in trigger.uses]
        return process.fact("dead_letter").declared or any(
            channel is not None and channel.fact("dead_letter").declared for channel in channels
        )

    def _event_of(self, fail: Action) -> Message | None:
        """The event that a ``fails EVENT`` publishes."""
        emits = self.system.actions_of(fail.process, "emit")
        return next(
            (emit.message for emit in emits if emit.failure and any(edge.target == fail.id for edge in emit.edges)),
            None,
        )

    def _leads_to(self, fail: Action, events: list[Message]) -> bool:
        """Whether the failure is, or causes, a failure event of the flow."""
        event = self._event_of(fail)
        if event is None or event.phantom:
            return False
        after = self._after((self.causality.number(event),))
        return any(self.causality.number(one) in after for one in events)

    def _consequences(self, fail: Action, inside: set[Process]) -> set[int]:
        """What can follow a failure: the rest of its branch, its event, and what its callers do about it."""
        starts = {*self._failing_branch(fail)}
        event = self._event_of(fail)
        if event is not None and not event.phantom:
            starts.add(self.causality.number(event))
        seen, stack = {fail.process}, [fail.process]
        while stack:
            for call in self._callers(stack.pop()):
                targets = [edge.target for edge in call.edges if edge.kind == "failure"]
                starts.update(targets)
                if call.process in inside and call.process not in seen and self.sagas.breaks(call, {"failure"}):
                    seen.add(call.process)
                    stack.append(call.process)
        return self._after(starts)

    def _after(self, nodes: Iterable[int]) -> set[int]:
        """What follows without a timer that happens to look at the same data, the nearest first."""
        found = dict.fromkeys(sorted(set(nodes)))
        queue = deque(found)
        while queue and len(found) < FAR:
            for target in self._successors[queue.popleft()]:
                if target not in found:
                    found[target] = None
                    queue.append(target)
        return set(found)

    @cached_property
    def _successors(self) -> list[list[int]]:
        return causal_successors(self.index, returns=True)

    def _failing_branch(self, fail: Action) -> Iterator[int]:
        doomed = self.sagas.doomed(fail.process)
        yield from (number for number in fail.process.actions if number in doomed and fail.id in self._within(number))
        yield from self._within(fail.id)

    def _callers(self, process: Process) -> Iterator[Action]:
        for trigger in process.triggers:
            for use in trigger.uses:
                for request in self.index.senders.get(use.message, ()):
                    if request.kind == "call" and process in self.sagas.answering(request):
                        yield request

    # -------------------------------------------------------------------------------------------- which handlers

    def _is_judged(self, process: Process) -> bool:
        """Whether the process is a handler of ours that changes something for an instance of the flow."""
        if process.kind != "handler" or process.contract or process.service.external or process in self._commanded:
            return False
        if process.fact("projection").declared or process.fact("notifies").declared:
            return False
        messages = [use.message for trigger in process.triggers for use in trigger.uses]
        if messages and all(self._is_excused(message) for message in messages):
            return False
        return any(trigger.kind != "timer" for trigger in process.triggers) and bool(self._effects(process))

    def _is_excused(self, message: Message) -> bool:
        """Technical and provisional events, and those that only workflows and their participants publish."""
        if message.fact("technical").declared or message.fact("provisional").declared:
            return True
        emitters = self.index.emitters.get(message, ())
        return bool(emitters) and all(
            emit.process.workflow is not None or emit.process in self._commanded for emit in emitters
        )

    @cached_property
    def _commanded(self) -> set[Process]:
        """The processes that work for a workflow: the handlers of its commands, and those that they call."""
        found: set[Process] = set()
        stack = [process for process in self.system.processes if process.workflow is not None]
        while stack:
            process = stack.pop()
            kinds = ("call", "send") if process.workflow is not None else ("call",)
            for request in self.system.actions_of(process, *kinds):
                for handler in self.sagas.answering(request):
                    if handler not in found:
                        found.add(handler)
                        stack.append(handler)
        return found

    def _effects(self, process: Process) -> list[Action]:
        """What the process itself changes when it succeeds."""
        doomed, reached = self.sagas.doomed(process), self.sagas.reached(process)
        return [
            action
            for action in self.system.actions_of(process, "write", "act")
            if action.region in {"main", "fallback"} and action.id in reached and action.id not in doomed
        ]

    # -------------------------------------------------------------------------------------------- before and beside

    def _left(self, view: FlowView, handlers: list[Process], failing: Process, undone: _Undone) -> tuple[Action, ...]:
        """The effects of handlers that have succeeded before or beside the failing process, and that nothing undoes."""
        before = self._before(view, failing)
        done = self._beside(view, before, failing)
        for process in before:
            if any(hop.target in before and self._succeeds(hop.action) for hop in self._hops(process)):
                done.add(process)
        return self._not_undone([process for process in handlers if process in done and process is not failing], undone)

    def _succeeds(self, action: Action) -> bool:
        """Whether the process goes on to end well after the action, once for each instance."""
        process = action.process
        if action.id in self.sagas.doomed(process):
            return False
        return not self._is_repeated(action)

    def _is_repeated(self, action: Action) -> bool:
        """Whether it stands in a ``for each``: what follows then concerns one item, and not what the process has done."""
        blocks = self.sagas.structure(action.process).get(action.id, ())
        return any(block.head.mode.startswith("for each") for block in blocks)

    def _before(self, view: FlowView, failing: Process) -> dict[Process, None]:
        """The failing process and those of the flow that lead to it, for the same instance, the nearest first."""
        sources = self._part(view).sources
        found = {failing: None}
        queue = deque(found)
        while queue and len(found) < NEAR:
            for hop in sources.get(queue.popleft(), ()):
                if hop.action.process not in found and not self._is_repeated(hop.action):
                    found[hop.action.process] = None
                    queue.append(hop.action.process)
        return found

    def _beside(self, view: FlowView, before: dict[Process, None], failing: Process) -> set[Process]:
        """The processes that run beside the way to the failing process: behind another consumer of one of its messages, or
        behind another message of the same run.
        """
        inside = self._part(view).members
        found = dict.fromkeys(self._started_together(view, before))
        for process in before:
            hops = self._hops(process) if process is not failing else []
            leading = sorted({hop.action.id for hop in hops if hop.target in before})
            for hop in hops:
                if hop.target in before or hop.target not in inside or self._is_repeated(hop.action):
                    continue
                if any(self._in_one_run(hop.action.id, other, process) for other in leading):
                    found[hop.target] = None
        queue = deque(found)
        while queue and len(found) < NEAR:
            for hop in self._hops(queue.popleft()):
                if hop.target in inside and hop.target not in found and hop.target is not failing:
                    found[hop.target] = None
                    queue.append(hop.target)
        return set(found)

    def _in_one_run(self, first: int, second: int, process: Process) -> bool:
        if first == second or second in self._within(first) or first in self._within(second):
            return True
        blocks = self.sagas.structure(process)
        return any(
            a.is_fork and a.head is b.head and a.branch != b.branch
            for a in blocks.get(first, ())
            for b in blocks.get(second, ())
        )

    def _hops(self, process: Process) -> list[_Hop]:
        if process not in self._hops_of:
            reached = self.sagas.reached(process)
            self._hops_of[process] = [
                _Hop(action, target, False)
                for action in self.system.actions_of(process, "emit", "call", "send", "write")
                if action.id in reached
                for target in self._targets(action)
            ]
            self._hops_of[process] += self._polled(process, reached)
        return self._hops_of[process]

    def _polled(self, process: Process, reached: set[int]) -> Iterator[_Hop]:
        """The timers that read what the process writes, but not those that have started it themselves: an instance that a
        timer has moved on does not come back to it.
        """
        for action in self.system.actions_of(process, "write"):
            for use in action.entities if action.id in reached else ():
                for timer in self.index.polling(use):
                    if process not in self._moved_on_by(timer):
                        yield _Hop(action, timer, True)

    def _moved_on_by(self, timer: Process) -> set[Process]:
        if timer not in self._moved_on:
            found, stack = {timer}, [timer]
            while stack:
                for action in self.system.actions_of(stack.pop(), "emit", "call", "send", "write"):
                    for target in self._targets(action):
                        if target not in found:
                            found.add(target)
                            stack.append(target)
            self._moved_on[timer] = found
        return self._moved_on[timer]

    @cached_property
    def _moved_on(self) -> dict[Process, set[Process]]:
        return {}

    @cached_property
    def _hops_of(self) -> dict[Process, list[_Hop]]:
        return {}

    def _targets(self, action: Action) -> Iterable[Process]:
        if action.kind == "emit":
            return self.index.consumers(action.message)
        if action.kind == "write":
            return [one for use in action.entities for one in self.index.reacting(use)]
        return self.sagas.answering(action)

    def _started_together(self, view: FlowView, before: Iterable[Process]) -> Iterator[Process]:
        """The other consumers of a message that starts the flow, if one of those processes consumes it."""
        known = set(before)
        for start in view.flow.starts:
            consumers = list(self.index.consumers(start.message)) if isinstance(start, MessageUse) else []
            if not known.isdisjoint(consumers):
                yield from (process for process in consumers if process not in known)

    # -------------------------------------------------------------------------------------------- undoing

    def _undone_by(self, failing: Process, nodes: Iterable[int]) -> _Undone:
        """What the reached actions and handlers undo."""
        undone = _Undone(failing.service, set(), {}, {})
        for number in nodes:
            if number >= len(self.system.actions):
                continue
            action = self.system.actions[number]
            process = action.process
            if process.fact("projection").declared or process.fact("notifies").declared:
                continue
            if action.kind == "start" and process.fact("compensates").declared and self.sagas.can_succeed(process):
                undone.of.add(process.fact("compensates").value.message)
            elif action.kind == "write":
                for use in action.entities:
                    undone.entities.setdefault((use.store, use.entity), set()).add(process)
            elif action.kind == "act":
                undone.acting.setdefault(process.service, set()).add(process)
        return undone

    def _not_undone(self, processes: Iterable[Process], undone: _Undone) -> tuple[Action, ...]:
        """The effects of handlers none of whose effects is undone, in model order."""
        found: set[Action] = set()
        for process in processes:
            messages = {use.message for trigger in process.triggers for use in trigger.uses}
            effects = self._effects(process)
            keys = {(use.store, use.entity) for action in effects for use in action.entities if not use.store.phantom}
            if undone.covers(process, messages, keys, any(action.kind == "act" for action in effects)):
                continue
            found.update(effects)
        return _in_order(found)


def _in_order(actions: Iterable[Action]) -> tuple[Action, ...]:
    return tuple(sorted(actions, key=lambda action: action.id))


def _failure_events(view: FlowView) -> list[Message]:
    goal = view.flow.failure
    targets = goal.targets if goal is not None else ()
    return [target.message for target in targets if isinstance(target, MessageUse) and not target.message.phantom]
