"""Synchronous calls: which process calls which, what governs a call, and whose failure becomes whose."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from coordlint.graph import Index
from coordlint.source import Span
from coordlint.system import UNKNOWN, Action, Fact, FactName, Process, Step

TIMING: tuple[FactName, ...] = ("timeout", "attempts", "retries", "backoff", "deadline")
"""The facts that decide how long a call or step may last."""


class Reason(NamedTuple):
    """A declared fact that a number rests on: what it says here, and where it stands."""

    text: str
    span: Span


class Retry(NamedTuple):
    """How often something is tried in all: 1 where nothing is said, infinity for ``attempts unlimited``.

    ``fact`` is the one that says so (unknown if none does).
    """

    attempts: float = 1
    fact: Fact = UNKNOWN

    @property
    def unlimited(self) -> bool:
        """``attempts unlimited``: no number bounds it, only time does."""
        return self.attempts == float("inf")

    @property
    def counted(self) -> int:
        """The attempts that a bound may count on: unlimited ones count once, as their number is not declared."""
        return 1 if self.unlimited else int(self.attempts)


class Governed(NamedTuple):
    """What governs a call or a step as a whole: timeout and deadline as declared, the attempts, the wait between them."""

    timeout: Fact
    deadline: Fact
    retry: Retry
    backoff: Fact


class Calls:
    """The synchronous calls of a design.

    Attributes:
        callees: call action -> the processes that answer it, in model order; empty for an answer from outside the model.
        order: all processes, callees before their callers; calls on a cycle are left out of the order (CYC501 speaks of them).
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self.system = index.system
        self.callees: dict[Action, list[Process]] = {}
        self._propagating: dict[Process, frozenset[int]] = {}
        self._units: dict[Step, bool] = {}
        number = {process: i for i, process in enumerate(self.system.processes)}
        successors: list[list[int]] = [[] for _ in number]
        for action in self.system.actions:
            if action.kind == "call":
                found = self.callees[action] = self._answering(action)
                successors[number[action.process]] += [number[callee] for callee in found]
        component = strong_components(successors)
        self._component = {process: component[i] for process, i in number.items()}
        # Within a component the order of the model stands; calls inside it are not followed anyway.
        self.order = sorted(self.system.processes, key=lambda process: component[number[process]])

    def _answering(self, call: Action) -> list[Process]:
        found = [process for process in self.index.handlers(call.message) if not process.contract]
        if not found:
            waiting = self.index.awaiting.get(call.message, ())
            found = list(dict.fromkeys(action.process for action in waiting))
        return found

    def on_cycle(self, call: Action, callee: Process) -> bool:
        """Whether the call can come back to its own process."""
        return self._component[call.process] == self._component[callee]

    def followed(self, call: Action) -> Iterator[Process]:
        """The processes that answer the call, without those that can call back."""
        return (callee for callee in self.callees.get(call, ()) if not self.on_cycle(call, callee))

    def propagates(self, call: Action) -> bool:
        """Whether a technical failure of the call makes its process fail technically too.

        It does not where the call is optional, has a fallback, or a block that lets the process go on; nor where the block
        ends in ``fails``: a business failure is an answer, which nobody repeats. After a pivot nothing fails for good.
        """
        process = call.process
        if process not in self._propagating:
            self._propagating[process] = self._leads_to_failed(process)
        return any(
            edge.target in self._propagating[process] for edge in call.edges if edge.kind in {"failure", "timeout"}
        )

    def _leads_to_failed(self, process: Process) -> frozenset[int]:
        """The actions outside the main course from which the process ends in failure without a ``fails``."""
        actions = self.system.actions
        before: dict[int, list[int]] = {}
        for number in process.actions:
            action = actions[number]
            for edge in action.edges:
                if action.kind != "call" or edge.kind == "ok":
                    before.setdefault(edge.target, []).append(number)
        found = {number for number in process.actions if actions[number].kind == "failed"}
        pending = sorted(found)
        while pending:
            for number in before.get(pending.pop(), ()):
                action = actions[number]
                if number not in found and action.region != "main" and action.kind != "fail":
                    found.add(number)
                    pending.append(number)
        return frozenset(found)

    # -------------------------------------------------------------------------------------------- what governs

    def governed(self, call: Action) -> Governed:
        """What governs a call alone: its own facts, else its step's, else what its service says for all calls.

        Where the step is a unit of its own (:meth:`is_unit`), its facts govern the whole of it and not each call inside.
        """
        step = call.step
        if step is None or not self.is_unit(step):
            return _governed(call.facts, step.facts if step is not None else {}, call.process.service.calls)
        outer = {name: fact for name, fact in call.process.service.calls.items() if name not in step.facts}
        if "attempts" in step.facts or "retries" in step.facts:
            outer = {name: fact for name, fact in outer.items() if name not in {"attempts", "retries"}}
        return _governed(call.facts, outer)

    def step_governed(self, step: Step) -> Governed:
        """What governs a step as a whole."""
        return _governed(step.facts)

    def is_unit(self, step: Step) -> bool:
        """Whether the step's time facts govern more than one call: several, a wait, or one with time facts of its own."""
        if step not in self._units:
            self._units[step] = self._governs_more(step)
        return self._units[step]

    def _governs_more(self, step: Step) -> bool:
        if not any(name in step.facts for name in TIMING):
            return False
        actions = (self.system.actions[number] for number in step.actions)
        waiting = [action for action in actions if action.kind in {"call", "await", "timer"}]
        return len(waiting) != 1 or waiting[0].kind != "call" or any(name in waiting[0].facts for name in TIMING)

    def retries(self, call: Action) -> list[Retry]:
        """Every repetition of one call by its process: its own attempts, and those of a step that governs it as a whole."""
        found = [self.governed(call).retry]
        if call.step is not None and call.region == "main" and self.is_unit(call.step):
            found.append(self.step_governed(call.step).retry)
        return found

    def is_retried_for_ever(self, call: Action) -> bool:
        """Whether the process may repeat the call until it succeeds: a retriable step, one after the pivot, a compensation."""
        if call.process.kind != "workflow":
            return False
        if call.region == "compensation" or call.fact("retriable").declared:
            return True
        return call.region == "main" and not any(edge.kind == "failure" for edge in call.edges)


def shown(process: Process) -> str:
    """A process in a message: ``handles ReserveStock`` of ``Inventory``, workflow ``Checkout``."""
    if process.workflow is not None:
        return f"workflow `{process.workflow.name}`"
    return f"`{process.name}` of `{process.service.name}`"


def _governed(*levels: Mapping[str, Fact]) -> Governed:
    return Governed(_first(levels, "timeout"), _first(levels, "deadline"), _retry(levels), _first(levels, "backoff"))


def _first(levels: Iterable[Mapping[str, Fact]], name: str) -> Fact:
    return next((level[name] for level in levels if name in level), UNKNOWN)


def _retry(levels: Iterable[Mapping[str, Fact]]) -> Retry:
    for level in levels:
        attempts, retries = level.get("attempts", UNKNOWN), level.get("retries", UNKNOWN)
        if attempts.declared:
            return Retry(attempts.value, attempts)
        if retries.declared:
            return Retry(retries.value + 1, retries)
        if retries.absent:
            return Retry(1, retries)
    return Retry()


def strong_components(successors: Sequence[Sequence[int]]) -> list[int]:
    """The number of each node's strongly connected component; a component's number is above those of all it leads to.

    Tarjan's algorithm (SIAM J. Comput. 1, 1972) without recursion; linear in nodes and edges.
    """
    count = len(successors)
    order = [-1] * count
    low = [0] * count
    component = [-1] * count
    stack: list[int] = []
    visited = finished = 0
    for root in range(count):
        if order[root] >= 0:
            continue
        work = [(root, 0)]
        while work:
            node, edge = work.pop()
            if edge == 0:
                order[node] = low[node] = visited
                visited += 1
                stack.append(node)
            elif component[successors[node][edge - 1]] < 0:
                low[node] = min(low[node], low[successors[node][edge - 1]])
            for position in range(edge, len(successors[node])):
                target = successors[node][position]
                if order[target] < 0:
                    work += [(node, position + 1), (target, 0)]
                    break
                if component[target] < 0:
                    low[node] = min(low[node], order[target])
            else:
                if low[node] == order[node]:
                    while True:
                        member = stack.pop()
                        component[member] = finished
                        if member == node:
                            break
                    finished += 1
    return component
