"""Sagas: what each step of an orchestration changes, how it can fail, what undoes it, and what is left when it is not undone.

An orchestration is a workflow, or a handler that calls two or more state-changing operations of other services. After
Richardson, its steps are compensatable ones, then one pivot (the last that can fail for a business reason), then retriable
ones; a step needs a compensation iff it changes state and something later can still fail.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

from coordlint.analysis.effects import Conduct, Effects, Key, same_entity
from coordlint.graph import Index
from coordlint.source import Span
from coordlint.system import Action, Fact, FactName, Message, Process, Service, Step

_SAGA_WORDS: tuple[FactName, ...] = ("compensate", "pivot", "retriable", "irreversible")

UNDO_LIMIT = 200
"""How many processes are searched for the one that undoes something."""

StepKind: TypeAlias = Literal["read", "compensatable", "pivot", "retriable"]


class Undo(NamedTuple):
    """What a list of actions may undo.

    Attributes:
        of: the messages whose handling it says it compensates.
        entities: what it writes.
        acting: the services in which it acts outside the data.
        unknown: the services whose part in it has no body.
    """

    of: frozenset[Message]
    entities: frozenset[Key]
    acting: frozenset[Service]
    unknown: frozenset[Service]


class Failure(NamedTuple):
    """A point at which a process can fail.

    Attributes:
        action: where: a call, an await, a timer or a ``fails``.
        sure: a business failure is declared; otherwise it is only not excluded.
        cause: the ``fails`` it goes back to, or the action itself.
        targets: where control goes on from there; nowhere for a wait that simply never ends.
    """

    action: Action
    sure: bool
    cause: Action
    targets: tuple[int, ...]

    @property
    def weight(self) -> int:
        """How much speaks for it: 2 if declared, 1 if the process would end in failure, 0 if it would only hang."""
        return 2 if self.sure else int(bool(self.targets))


class Gap(NamedTuple):
    """A step that stays done when something later fails."""

    step: SagaStep
    failure: Failure


class Expiry(NamedTuple):
    """A limit behind which a step is given up though it may have happened.

    Attributes:
        step: the step.
        limit: the call with a ``timeout``, or the timer of a ``within``.
        behind: what runs then.
    """

    step: SagaStep
    limit: Action
    behind: tuple[Action, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SagaStep:
    """A step of an orchestration.

    Attributes:
        step: the step as declared.
        kind: read (changes nothing), pivot, retriable (said so, or after the pivot), or compensatable.
        effects: of its own statements and of the handlers of its calls and sends.
        requests: its calls and sends.
        compensation: the fact ``compensate``.
        services: the services that its requests go to, and those that change something for it.
        after_pivot: the pivot has passed before it.
        undo: what its own compensation does.
    """

    step: Step
    kind: StepKind
    effects: Effects
    requests: tuple[Action, ...]
    compensation: Fact
    services: frozenset[Service]
    after_pivot: bool
    undo: Undo

    @property
    def label(self) -> str:
        """How messages name it."""
        return self.step.label

    @property
    def place(self) -> Span:
        """Where its name stands."""
        return self.step.place


class Saga(NamedTuple):
    """An orchestration with its steps in order; those without statements are left out."""

    process: Process
    steps: tuple[SagaStep, ...]

    @property
    def recovers_forward(self) -> bool:
        """``recovery forward`` is declared."""
        return bool(self.process.fact("recovery").value == "forward")

    @property
    def compensates(self) -> bool:
        """At least one step has a compensation."""
        return any(step.compensation.declared for step in self.steps)


class Sagas(Conduct):
    """The orchestrations of a system and the questions of the saga rules. What is asked for is computed once."""

    def __init__(self, index: Index) -> None:
        super().__init__(index)
        self._reactions: dict[Message, Undo] = {}
        self._undos: dict[int, Undo] = {}
        self._sagas: dict[Process, Saga] = {}
        self._answers: dict[Process, dict[int, list[int]]] = {}

    # -------------------------------------------------------------------------------------------- which

    @cached_property
    def workflows(self) -> tuple[Saga, ...]:
        """All workflows, in model order."""
        return tuple(self.saga(process) for process in self.system.processes if process.kind == "workflow")

    @cached_property
    def implicit(self) -> tuple[Saga, ...]:
        """The handlers that call two or more state-changing operations of other services, or speak of sagas themselves."""
        return tuple(self.saga(process) for process in self.system.processes if self._orchestrates(process))

    @property
    def all(self) -> tuple[Saga, ...]:
        """Workflows and implicit orchestrations."""
        return self.workflows + self.implicit

    def _orchestrates(self, process: Process) -> bool:
        if process.kind != "handler" or process.service.external:
            return False
        if any(not step.fact(name, self.system).unknown for step in process.steps for name in _SAGA_WORDS):
            return True
        calls = [action for action in self.system.actions_of(process, "call") if action.region == "main"]
        if len(calls) < 2:
            return False
        changing = [action for action in calls if self._changes_elsewhere(action)]
        return len({action.message for action in changing}) > 1

    def _changes_elsewhere(self, call: Action) -> bool:
        return any(
            handler.service is not call.process.service and self.effects(handler).changes
            for handler in self.answering(call)
        )

    def saga(self, process: Process) -> Saga:
        """The process seen as an orchestration."""
        if process not in self._sagas:
            passed = self._after_pivot(process)
            steps = (self._step(step, passed) for step in process.steps if step.actions)
            self._sagas[process] = Saga(process, tuple(step for step in steps if step is not None))
        return self._sagas[process]

    def _step(self, step: Step, passed: set[int]) -> SagaStep | None:
        actions = [self.system.actions[number] for number in step.actions]
        if any(action.region != "main" for action in actions):
            return None
        effects = self.effects_of(actions)
        after = step.actions[0] in passed
        compensation = step.fact("compensate", self.system)
        kind: StepKind = "compensatable"
        if step.fact("pivot", self.system).declared:
            kind = "pivot"
        elif after or step.fact("retriable", self.system).declared:
            kind = "retriable"
        elif not effects.changes and effects.known:
            kind = "read"
        undoing = [self.system.actions[number] for number in step.compensation]
        requests = tuple(a for a in actions if a.kind in {"call", "send"} and not a.message.phantom)
        asked = {handler.service for request in requests for handler in self.answering(request)}
        asked |= {request.use.service for request in requests if request.use.service is not None}
        return SagaStep(
            step,
            kind,
            effects,
            requests,
            compensation,
            frozenset(asked | effects.services),
            after,
            self.undo(action for action in undoing if action.region == "compensation"),
        )

    # -------------------------------------------------------------------------------------------- requests

    def requests_of(self, wait: Action) -> list[Action]:
        """The ``sends`` whose answer an await waits for: those before it, back to the previous wait or call."""
        before = self.before(wait.process)
        found = []
        seen, stack = {wait.id}, [wait.id]
        while stack:
            for number in before.get(stack.pop(), ()):
                action = self.system.actions[number]
                if number in seen or action.kind in {"await", "call", "join", "start"}:
                    continue
                seen.add(number)
                stack.append(number)
                if action.kind == "send" and not action.message.phantom:
                    found.append(action)
        return sorted(found, key=lambda action: action.id)

    def arms(self, wait: Action) -> list[int]:
        """The ways out of the ``awaits`` that an await belongs to: awaits and timers, itself included, in order."""
        return sorted(
            {wait.id}
            | {
                edge.target
                for number in self.before(wait.process).get(wait.id, ())
                if self.system.actions[number].mode == "await"
                for edge in self.system.actions[number].edges
            }
        )

    def rivals(self, wait: Action) -> list[int]:
        """The other awaits of the same ``awaits { on … on … }``, in order."""
        return [
            number for number in self.arms(wait) if self.system.actions[number].kind == "await" and number != wait.id
        ]

    # -------------------------------------------------------------------------------------------- failing

    def failures(self, process: Process) -> dict[int, Failure]:
        """The points at which a process can fail for good, by action: in the main course, in order.

        Where it fails anyway, a call that might fail, too, adds nothing.
        """
        reached, doomed = self.reached(process), self.doomed(process)
        found: dict[int, Failure] = {}
        for number in process.actions:
            action = self.system.actions[number]
            if number in reached and action.region == "main":
                failure = self._failure(action)
                if failure is not None and (failure.sure or number not in doomed):
                    found[number] = failure
        return found

    def _failure(self, action: Action) -> Failure | None:
        targets = tuple(edge.target for edge in action.edges if edge.kind in {"failure", "timeout"})
        if action.kind == "fail":
            return Failure(action, True, action, targets)
        if action.kind == "timer":
            return Failure(action, True, action, targets) if self.breaks(action, {"timeout"}) else None
        if action.kind == "call":
            return self._failing_call(action, targets)
        return self._failing_wait(action) if action.kind == "await" else None

    def _failing_call(self, call: Action, targets: tuple[int, ...]) -> Failure | None:
        cause = next((self.failing[callee] for callee in self.answering(call) if callee in self.failing), None)
        if cause is not None and self.breaks(call, {"failure"}):
            return Failure(call, True, cause, targets)
        if call.fact("retriable").declared or call.fact("attempts").value == math.inf:
            return None
        return Failure(call, False, call, targets) if self.breaks(call, {"failure", "timeout"}) else None

    def _failing_wait(self, wait: Action) -> Failure | None:
        """A wait for the answer to a request, which may never come; whether its failure is awaited too, is the author's answer."""
        requests = self.requests_of(wait)
        retriable = wait.step is not None and wait.step.fact("retriable", self.system).declared
        if not requests or len(wait.uses) > 1 or self.rivals(wait) or retriable:
            return None
        for request in requests:
            for handler in self.answering(request):
                cause = self.failing.get(handler)
                if cause is not None and not self._announces(cause, wait):
                    return Failure(wait, True, cause, ())
        return Failure(wait, False, wait, ())

    def _announces(self, cause: Action, wait: Action) -> bool:
        """Whether the failure publishes what is awaited."""
        awaited = {use.message for use in wait.uses}
        return any(
            emit.message in awaited
            for emit in self.system.actions_of(cause.process, "emit")
            if emit.failure and any(edge.target == cause.id for edge in emit.edges)
        )

    # -------------------------------------------------------------------------------------------- the pivot

    def _after_pivot(self, process: Process) -> set[int]:
        """The actions that control can reach after a pivot has succeeded."""
        pivots = [step for step in process.steps if step.fact("pivot", self.system).declared]
        return self._after([target for step in pivots for target in self.exits(step)], ())

    def behind(self, step: Step) -> set[int]:
        """The actions that control can reach when a step has succeeded."""
        return self._after(self.exits(step), ())

    def late_failure(self, step: SagaStep) -> Action | None:
        """The declared business failure of a step behind the pivot, if no block of its own does anything about it."""
        for number in step.step.actions:
            action = self.system.actions[number]
            if action.kind == "fail" and number in self.reached(action.process):
                return action
            if action.kind != "call":
                continue
            cause = next((self.failing[callee] for callee in self.answering(action) if callee in self.failing), None)
            answers = [edge.target for edge in action.edges if edge.kind == "failure"]
            if cause is not None and not self._is_answered(answers):
                return cause
        return None

    def _is_answered(self, targets: list[int]) -> bool:
        """Whether control goes on from there, or something happens before the process ends in failure."""
        if not targets:
            return False
        return not self.leads_to_failed(targets[0]) or any(
            self.system.actions[number].kind not in {"fail", "failed", "choice"} for number in self.aside(targets)
        )

    def exits(self, step: Step) -> list[int]:
        """Where control goes on when a step has succeeded."""
        inside = set(step.actions)
        return [
            edge.target
            for number in step.actions
            for edge in self.system.actions[number].edges
            if edge.target not in inside and edge.kind not in {"failure", "timeout"} and edge.chance != 0
        ]

    def _after(self, targets: Iterable[int], barriers: Iterable[int]) -> set[int]:
        """What can be reached from there without passing one of the barriers."""
        stop = set(barriers)
        seen = set(targets)
        stack = sorted(seen)
        while stack:
            number = stack.pop()
            if number in stop:
                continue
            for edge in self.system.actions[number].edges:
                if edge.target not in seen and edge.chance != 0:
                    seen.add(edge.target)
                    stack.append(edge.target)
        return seen

    # -------------------------------------------------------------------------------------------- order

    def follow(self, step: Step) -> set[int]:
        """The actions that can still happen when a step has succeeded: those behind it, up to the pivot, and those beside it.

        A request that is sent has succeeded when the answer has come: the waits for it, and what its refusal leads to, are
        left out.
        """
        process = step.process
        pivots = [one for one in process.steps if one.fact("pivot", self.system).declared and one is not step]
        barriers = [number for one in pivots for number in self._last(one)]
        waits = [wait for number in step.actions for wait in self.answers_to(process).get(number, ())]
        refused = {wait for wait in waits if wait in self.doomed(process) or self._is_refusal(wait, step)}
        timers = {number for wait in waits for number in self.arms(self.system.actions[wait])} - set(waits)
        return (self._after(self.exits(step), {*barriers, *refused, *timers}) - set(waits) - timers) | self.beside(step)

    def answers_to(self, process: Process) -> dict[int, list[int]]:
        """For each ``sends`` of a process, the awaits of its answer."""
        if process not in self._answers:
            found: dict[int, list[int]] = {}
            for wait in self.system.actions_of(process, "await"):
                for request in self.requests_of(wait):
                    found.setdefault(request.id, []).append(wait.id)
            self._answers[process] = found
        return self._answers[process]

    def _is_refusal(self, number: int, step: Step) -> bool:
        """Whether an await takes nothing but failures of what the step requested."""
        requests = (self.system.actions[one] for one in step.actions)
        handlers = [h for request in requests if request.kind == "send" for h in self.answering(request)]
        failures = {a.message for handler in handlers for a in self.system.actions_of(handler, "emit") if a.failure}
        return all(use.message in failures for use in self.system.actions[number].uses)

    def _last(self, step: Step) -> list[int]:
        """The actions of a step from which control leaves it successfully; their failures count as reached."""
        inside = set(step.actions)
        return [
            number
            for number in step.actions
            if any(
                edge.target not in inside and edge.kind not in {"failure", "timeout"}
                for edge in self.system.actions[number].edges
            )
        ]

    def beside(self, step: Step) -> set[int]:
        """The actions in other branches of the parallel blocks around a step."""
        blocks = self.structure(step.process)
        own = [block for block in blocks.get(step.actions[0], ()) if block.is_fork]
        if not own:
            return set()
        return {
            number
            for number, others in blocks.items()
            if any(block.head is other.head and block.branch != other.branch for block in own for other in others)
        }

    def both_run(self, first: Step, second: Step) -> bool:
        """Whether one run can execute both steps."""
        start, other = first.actions[0], second.actions[0]
        return (
            other in self._after(self.exits(first), ())
            or start in self._after(self.exits(second), ())
            or other in self.beside(first)
        )

    # -------------------------------------------------------------------------------------------- undoing

    def undo(self, actions: Iterable[Action]) -> Undo:
        """What those actions may undo: themselves, the handlers of their requests, and the reactions to what they publish."""
        parts = [self._undo_by_action(action) for action in actions]
        return Undo(
            frozenset().union(*(part.of for part in parts)),
            frozenset().union(*(part.entities for part in parts)),
            frozenset().union(*(part.acting for part in parts)),
            frozenset().union(*(part.unknown for part in parts)),
        )

    def _undo_by_action(self, action: Action) -> Undo:
        if action.id not in self._undos:
            self._undos[action.id] = self._undo_of(action)
        return self._undos[action.id]

    def _undo_of(self, action: Action) -> Undo:
        if action.kind == "write":
            keys = frozenset((use.store, use.entity) for use in action.entities)
            return Undo(frozenset(), keys, frozenset(), frozenset())
        if action.kind == "act":
            return Undo(frozenset(), frozenset(), frozenset((action.process.service,)), frozenset())
        if action.kind in {"call", "send"}:
            return self._undo_by(self.answering(action), action.use.service)
        if action.kind == "emit":
            message = action.message
            if message not in self._reactions:
                self._reactions[message] = self._undo_by(self.index.consumers(message), None)
            return self._reactions[message]
        return Undo(frozenset(), frozenset(), frozenset(), frozenset())

    def _undo_by(self, processes: Iterable[Process], asked: Service | None) -> Undo:
        of: set[Message] = set()
        entities: set[Key] = set()
        acting: set[Service] = set()
        unknown: set[Service] = set()
        taking_part = self._downstream(processes)
        if not taking_part and asked is not None:
            unknown.add(asked)
        for process in taking_part:
            compensated = process.fact("compensates")
            if not self.can_succeed(process):
                continue
            if compensated.declared:
                of.add(compensated.value.message)
            if not self.has_body(process):
                unknown.add(process.service)
            for action in self.system.actions_of(process, "write", "act"):
                if action.kind == "act":
                    acting.add(process.service)
                else:
                    entities.update((use.store, use.entity) for use in action.entities)
        return Undo(frozenset(of), frozenset(entities), frozenset(acting), frozenset(unknown))

    def _downstream(self, processes: Iterable[Process]) -> list[Process]:
        """The processes and those they call, send to and cause by events, the nearest first, as far as an undo may be away."""
        found = dict.fromkeys(processes)
        queue = deque(found)
        while queue and len(found) < UNDO_LIMIT:
            for action in self.system.actions_of(queue.popleft(), "call", "send", "emit"):
                reached = self.index.consumers(action.message) if action.kind == "emit" else self.answering(action)
                for process in reached:
                    if process not in found:
                        found[process] = None
                        queue.append(process)
        return list(found)

    def is_undone(self, step: SagaStep, undo: Undo) -> bool:
        """Whether that may undo what the step did."""
        requested = {request.message for request in step.requests}
        acting = {action.process.service for action in step.effects.acts}
        return bool(
            undo.of & requested
            or any(same_entity(key, undo.entities) for key in step.effects.writes)
            or undo.acting & acting
            or undo.unknown & step.services
        )

    def undoing(self, step: SagaStep) -> list[Action]:
        """The calls and sends of the step's own compensation, in order."""
        actions = (self.system.actions[number] for number in step.step.compensation)
        return [
            a for a in actions if a.kind in {"call", "send"} and a.region == "compensation" and not a.message.phantom
        ]

    def undo_effects(self, step: SagaStep) -> Effects:
        """What the step's own compensation changes: its statements and the handlers of its calls and sends."""
        actions = (self.system.actions[number] for number in step.step.compensation)
        return self.effects_of(action for action in actions if action.region == "compensation")

    def can_run(self, saga: Saga, step: SagaStep, undoing: Action) -> bool:
        """Whether a failure can ever lead to that part of the step's compensation."""
        if undoing.id in self.reached(saga.process):
            return True
        return not self.failures(saga.process).keys().isdisjoint(self.beside(step.step)) and not step.after_pivot

    def reach(self, step: SagaStep) -> set[Message]:
        """What the step requests, directly and by way of the handlers that it calls, and what they publish."""
        found = {request.message for request in step.requests}
        for request in step.requests:
            for handler in self.answering(request):
                for process in self.called(handler):
                    found |= {a.message for a in self.system.actions_of(process, "call", "send", "emit")}
        return found

    # -------------------------------------------------------------------------------------------- timeouts

    def expiries(self, saga: Saga) -> Iterator[Expiry]:
        """The limits behind which a step that changes state is given up, though it may have happened, in order.

        Left out are those where the step is then undone, where its service is asked in its failure block, and where a call
        is repeated without end.
        """
        by_request = {request.id: step for step in saga.steps for request in step.requests}
        for action in self.system.actions_of(saga.process, "call", "timer"):
            if action.region != "main" or action.id not in self.reached(saga.process):
                continue
            if action.kind == "call":
                steps = [by_request[action.id]] if action.id in by_request else []
                behind = self._behind_timeout(action)
            else:
                requests = [request for wait in self._rivals_of_timer(action) for request in self.requests_of(wait)]
                steps = list(dict.fromkeys(by_request[one.id] for one in requests if one.id in by_request))
                behind = self._behind_timer(action)
            for step in steps:
                if behind is not None and step.effects.changes and not self._is_settled(step, action, behind):
                    yield Expiry(step, action, tuple(behind))

    def _behind_timeout(self, call: Action) -> list[Action] | None:
        """What runs when a call times out for good; None if the process goes on, or the call is repeated until it succeeds."""
        targets = [edge.target for edge in call.edges if edge.kind == "timeout"]
        if not targets or call.fact("attempts").value == math.inf or not self.breaks(call, {"timeout"}):
            return None
        return [self.system.actions[number] for number in self.aside(targets)]

    def _behind_timer(self, timer: Action) -> list[Action] | None:
        """What runs when a wait expires; None if the process can still end well."""
        if self.breaks(timer, {"timeout"}):
            return [self.system.actions[number] for number in self.aside(edge.target for edge in timer.edges)]
        if timer.id not in self.doomed(timer.process):
            return None
        return [self.system.actions[number] for number in sorted(self._after((timer.id,), ()))]

    def _rivals_of_timer(self, timer: Action) -> list[Action]:
        return [
            self.system.actions[edge.target]
            for number in self.before(timer.process).get(timer.id, ())
            if self.system.actions[number].mode == "await"
            for edge in self.system.actions[number].edges
            if self.system.actions[edge.target].kind == "await"
        ]

    def _is_settled(self, step: SagaStep, limit: Action, behind: list[Action]) -> bool:
        """Whether the step is undone behind the limit, or its service is asked what became of it."""
        if self.is_undone(step, self.undo(behind)):
            return True
        forward = {request.message for request in step.requests}
        return any(
            action.kind == "call"
            and action.message not in forward
            and (action.region == "main" or (action.region in {"failure", "timeout"} and action.step is step.step))
            and (
                action.use.service in step.services
                or any(one.service in step.services for one in self.answering(action))
            )
            for action in behind
        )

    # -------------------------------------------------------------------------------------------- gaps

    def gaps(self, saga: Saga, *, unknown: bool = False) -> Iterator[Gap]:
        """The steps before the pivot that change state, have no compensation, and stay done when something later fails.

        Each with a declared failure if there is one, else with one that is only not excluded. A step whose compensation is
        waived with a reason is left out, and so is one that a failure block, or an event it publishes, undoes.

        Args:
            saga: the orchestration.
            unknown: whether a command that nobody says the effects of counts as a change.
        """
        failures = self.failures(saga.process)
        undos: dict[int, Undo] = {}
        for step in saga.steps:
            if not self.needs_undo(step, unknown=unknown) or step.compensation.declared:
                continue
            after = self.follow(step.step)
            open_failures = []
            for number in sorted(after & failures.keys()):
                if number not in undos:
                    undos[number] = self.undo(self.answer_to(failures[number]))
                if not self.is_undone(step, undos[number]):
                    open_failures.append(failures[number])
                    if failures[number].sure:
                        break
            if open_failures:
                yield Gap(step, max(open_failures, key=lambda one: one.weight))

    def needs_undo(self, step: SagaStep, *, unknown: bool = False) -> bool:
        """Whether it changes state before the pivot, could be undone, and nobody decided that it may stay."""
        changes = step.effects.changes
        if unknown and not step.effects.known:
            changes = changes or any(request.message.kind == "command" for request in step.requests)
        decided = bool(step.compensation.absent and step.compensation.why)
        decided = decided or step.step.fact("irreversible", self.system).declared
        return changes and step.kind in {"compensatable", "retriable"} and not step.after_pivot and not decided

    def answer_to(self, failure: Failure) -> list[Action]:
        """What runs because of a failure: the statements that lead only there, the blocks and compensations behind it."""
        numbers = self.aside(failure.targets)
        process = failure.action.process
        doomed, before = self.doomed(process), self.before(process)
        seen = {failure.action.id}
        stack = [failure.action.id]
        while stack:
            for number in before.get(stack.pop(), ()):
                if number in doomed and number not in seen:
                    seen.add(number)
                    stack.append(number)
        return [self.system.actions[number] for number in (*numbers, *sorted(seen - {failure.action.id}))]
