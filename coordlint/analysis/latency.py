"""Worst-case durations: of a call with its attempts, a handler, a workflow, and a flow up to its goal.

Every number is a bound that stays sound when facts are missing: what nobody declared counts as zero seconds.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

from coordlint.analysis.calls import Calls, Governed, Reason, shown
from coordlint.analysis.courses import forward, in_order
from coordlint.analysis.flows import FlowView
from coordlint.system import Action, Backoff, Message, Process, Step, System, Workflow

SLACK = 1e-9
"""Relative difference below which two quantities count as equal."""


class Term(NamedTuple):
    """One addend of a duration, in seconds; ``times`` is how often it is passed (loops), ``inner`` what it waits for."""

    seconds: float
    reasons: tuple[Reason, ...]
    inner: Duration | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Duration:
    """How long something may last.

    Attributes:
        seconds: the worst case as far as it is declared.
        exact: everything it waits for is bounded by a declaration; otherwise the true worst case may be longer.
        terms: what the seconds are the sum of, in the order of the course; what a limit cut off is still listed.
        notes: sentences about what was counted how.
    """

    seconds: float = 0.0
    exact: bool = False
    terms: tuple[Term, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The seconds in the unit that reads best."""
        return seconds_text(self.seconds)

    def reasons(self, limit: int = 8) -> list[Reason]:
        """The declared facts behind the number, outermost first, each place once, at most ``limit`` of them."""
        found: dict[tuple[str, int], Reason] = {}
        pending = list(reversed(self.terms))
        while pending and len(found) < limit:
            term = pending.pop()
            for reason in term.reasons:
                found.setdefault((reason.span.source.path, reason.span.start), reason)
            if term.inner is not None:
                pending += reversed(term.inner.terms)
        return list(found.values())[:limit]


NOTHING_KNOWN = Duration()


def exceeds(left: float, right: float) -> bool:
    """Whether ``left`` is larger by more than rounding (:data:`SLACK`)."""
    return left > right + SLACK * max(abs(left), abs(right))


def seconds_text(seconds: float) -> str:
    """A duration as the language writes it: ``600ms``, ``9.41s``, ``40m``, ``1.5h``, ``7d``; six digits at most."""
    if seconds == math.inf:
        return "for ever"
    for size, name in ((86400, "d"), (3600, "h"), (60, "m")):
        value = seconds / size
        if value >= 1 and abs(value - round(value, 1)) <= SLACK * value:
            return f"{round(value, 1):g}{name}"
    return f"{seconds:.6g}s" if seconds >= 1 or seconds == 0 else f"{seconds * 1000:.6g}ms"


# ------------------------------------------------------------------------------------------------ F1


def backoff_duration(attempts: int, backoff: Backoff | None) -> float:
    """The waits between that many attempts, in seconds: the sum of min(base * factor^(i-1), cap) for i = 1 … attempts - 1.

    Jitter shortens waits (full and equal jitter stay below the nominal wait), so the nominal waits are the worst case.
    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    if backoff is None:
        return 0.0
    waits = attempts - 1
    growth = math.log(backoff.factor) if backoff.factor > 1 else 0.0
    cap = backoff.cap if backoff.cap is not None else math.inf
    if growth == 0.0 or cap <= backoff.base:
        return waits * min(backoff.base, cap)
    growing = waits if math.isinf(cap) else min(waits, math.ceil(math.log(cap / backoff.base) / growth))
    capped = (waits - growing) * cap if waits > growing else 0.0
    try:
        return backoff.base * math.expm1(growing * growth) / math.expm1(growth) + capped
    except OverflowError:
        return math.inf


def attempts_duration(attempt: float, attempts: int, backoff: Backoff | None = None) -> float:
    """F1: the worst case of ``attempts`` tries of ``attempt`` seconds each, with the waits between them; in seconds.

    Four attempts of 2 s with a backoff of 200 ms that doubles last 4 * 2 + 0.2 + 0.4 + 0.8 = 9.4 s.
    """
    return attempts * attempt + backoff_duration(attempts, backoff)


def governed_duration(inner: Duration, governed: Governed) -> Duration:
    """F1 for something that lasts ``inner`` and is governed by timeout, attempts, backoff and deadline.

    One attempt lasts the shorter of timeout and ``inner`` where both are known; an ``inner`` that is only a lower bound
    leaves the timeout as what one waits for. ``attempts unlimited`` counts once, with a note. A deadline bounds the whole;
    one that is handed down (``deadline propagate``) ends with the caller's, so that nothing is counted.
    """
    timeout, retry = governed.timeout, governed.retry
    attempt, exact = inner.seconds, inner.exact
    if timeout.declared and (not inner.exact or timeout.value < inner.seconds):
        attempt, exact = timeout.value, True
    backoff = governed.backoff.value if governed.backoff.declared else None
    seconds = attempts_duration(attempt, retry.counted, backoff)
    notes = inner.notes
    if retry.unlimited:
        exact = False
        notes = (*notes, "`attempts unlimited` counts once: only time bounds it")
    deadline = governed.deadline
    if deadline.declared and deadline.value == "propagate":
        return Duration(notes=(*notes, "a call with `deadline propagate` ends with its caller and is not counted"))
    if deadline.declared and (not exact or deadline.value < seconds):
        seconds, exact = deadline.value, True
    if attempt != inner.seconds:
        inner = NOTHING_KNOWN  # the timeout decides, what is behind it does not matter
    return Duration(seconds, exact, _governed_terms(seconds, inner, governed), notes)


def _governed_terms(seconds: float, inner: Duration, governed: Governed) -> tuple[Term, ...]:
    reasons = []
    if governed.timeout.declared and governed.timeout.span is not None:
        reasons.append(Reason(f"one attempt may take {seconds_text(governed.timeout.value)}", governed.timeout.span))
    retry = governed.retry
    if retry.fact.span is not None and retry.attempts != 1:
        reasons.append(Reason(_attempts_text(retry.attempts), retry.fact.span))
    if governed.backoff.declared and governed.backoff.span is not None and retry.counted > 1:
        waits = backoff_duration(retry.counted, governed.backoff.value)
        reasons.append(Reason(f"the waits between them add up to {seconds_text(waits)}", governed.backoff.span))
    if governed.deadline.declared and governed.deadline.span is not None:
        reasons.append(Reason(f"the call ends after {seconds_text(governed.deadline.value)}", governed.deadline.span))
    if not reasons and not inner.seconds:
        return ()
    return (Term(seconds, tuple(reasons), inner if inner.seconds else None),)


def _attempts_text(attempts: float) -> str:
    return "no bound of the attempts" if attempts == math.inf else f"{int(attempts)} attempts in all"


# ------------------------------------------------------------------------------------------------ courses through a process


class Course(NamedTuple):
    """The arrival times of one process, in seconds after its start.

    Attributes:
        arrival: action id -> when it begins; actions that no success or handled failure leads to are missing.
        came: action id -> the action before it on the course that decides its arrival.
        total: when the process ends well; None if it never does.
    """

    arrival: dict[int, float]
    came: dict[int, int]
    total: float | None


class Latency:
    """Durations of everything in a design; computed once, callees before their callers."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.index = calls.index
        self.system: System = calls.system
        self._calls: dict[Action, Duration] = {}
        self._steps: dict[Step, Duration] = {}
        self._bounded: dict[Step, bool] = {}
        self._courses: dict[Process, Course] = {}
        self._whole: dict[Process, Duration] = {}
        self._cut: dict[Process, Duration] = {}
        for process in self.calls.order:
            self._compute(process)

    # -------------------------------------------------------------------------------------------- questions

    def call_duration(self, call: Action) -> Duration:
        """F1: the worst case of a call with all its attempts, as its own facts and those of its answer bound it."""
        return self._calls[call]

    def answer_duration(self, call: Action) -> Duration:
        """The worst case of one answer: of the slowest process that answers the call; nothing is known of an outside one."""
        return max((self._cut[one] for one in self.calls.followed(call)), key=_seconds, default=NOTHING_KNOWN)

    def step_duration(self, step: Step) -> Duration:
        """The worst case of one attempt of a step that is a unit (see :meth:`Calls.is_unit`), without what governs it."""
        return self._steps.get(step, NOTHING_KNOWN)

    def handler_duration(self, process: Process) -> Duration:
        """F2 and F3: the worst case of a handler, workflow or own act, cut at its declared ``timeout``.

        Its service time (``takes``) and the longest course through its control flow to a good end: calls (F1), waits and
        declared limits of awaits add up, parallel branches count by the longest (``parallel any`` by the shortest), a
        ``repeat up to N`` N times, other loops once. Failures count where the process recovers from them.
        """
        return self._cut[process]

    def unlimited_duration(self, process: Process) -> Duration:
        """The same without the process's own ``timeout``."""
        return self._whole[process]

    def least_duration(self, process: Process) -> float:
        """The seconds that no run of the process can do without: its timers (``waits``) on the shortest course."""
        return self.least_course(process).total or 0.0

    def worst_course(self, process: Process) -> Course:
        """When each action of the process begins in the worst case, as far as it is declared."""
        return self._courses[process]

    def least_course(self, process: Process) -> Course:
        """When each action of the process can begin at the earliest: only timers take time."""
        return self._course(process, worst=False)

    # -------------------------------------------------------------------------------------------- computing

    def _compute(self, process: Process) -> None:
        for call in self.system.actions_of(process, "call"):
            self._calls[call] = governed_duration(self.answer_duration(call), self.calls.governed(call))
        self._courses[process] = self._course(process, worst=True)
        whole = self._whole[process] = self._duration(process)
        limit = process.fact("timeout")
        cut = limit.declared and exceeds(whole.seconds, limit.value)
        self._cut[process] = replace(whole, seconds=limit.value, exact=True) if cut else whole

    def _duration(self, process: Process) -> Duration:
        course = self._courses[process]
        takes = process.fact("takes")
        terms: tuple[Term, ...] = ()
        if takes.declared and takes.span is not None:
            terms = (Term(takes.value, (Reason(f"its own work takes {seconds_text(takes.value)}", takes.span),)),)
        if course.total is None:
            return Duration(takes.value if takes.declared else 0.0, False, terms)
        found, notes = self._terms(process, course)
        return Duration(
            course.total + (takes.value if takes.declared else 0.0),
            (takes.declared or process.kind != "handler") and self._is_bounded(process),
            (*terms, *found),
            tuple(dict.fromkeys(notes)),
        )

    def _is_bounded(self, process: Process) -> bool:
        """Whether everything the process waits for has a declared bound."""
        actions = self.system.actions
        return all(self._has_bound(actions[n]) for n in process.actions if actions[n].region != "compensation")

    def _has_bound(self, action: Action) -> bool:
        if action.kind == "call":
            return self._calls[action].exact
        if action.kind == "loop":
            return action.mode == "repeat" and action.limit is not None
        return action.kind != "await" or action.within.declared

    def _weight(self, action: Action, *, worst: bool) -> float:
        if action.kind == "timer" and action.delay is not None:
            return action.delay
        if not worst:
            return 0.0
        if action.kind == "call":
            return self._calls[action].seconds
        if action.kind == "await" and action.within.declared:
            return float(action.within.value)
        return 0.0

    def _course(self, process: Process, *, worst: bool) -> Course:
        """Longest (``worst``) or shortest course: one pass over the control-flow graph without its back edges.

        At a join of all branches both are the longest over the branches; at the head of a ``repeat up to N`` the body counts
        N times in the worst case. Linear in the actions and edges of the process.
        """
        actions = self.system.actions
        edges, loops, behind = forward(process, actions)
        incoming: dict[int, list[int]] = {}
        for source, out in edges.items():
            for edge in out:
                incoming.setdefault(edge.target, []).append(source)
        arrival: dict[int, float] = {process.start: 0.0}
        leaves: dict[int, float] = {}
        came: dict[int, int] = {}
        entry: dict[Step, float] = {}
        pick = max if worst else min
        for number in in_order(process.start, edges):
            action = actions[number]
            sources = [source for source in incoming.get(number, ()) if source in leaves]
            if sources:
                times = [
                    (self._leaving(leaves, entry, actions[source], action, worst=worst), source) for source in sources
                ]
                if action.kind == "join":
                    # The ways out of a loop arrive as one branch.
                    branches: dict[int, list[tuple[float, int]]] = {}
                    for one in times:
                        branches.setdefault(behind.get((one[1], number), one[1]), []).append(one)
                    times = [pick(ways, key=_time) for ways in branches.values()]
                    last = min if action.mode == "any" else max
                    arrival[number], came[number] = last(times, key=_time)
                else:
                    arrival[number], came[number] = pick(times, key=_time)
            elif number not in arrival:
                continue
            step = action.step
            if step is not None and worst and action.region == "main" and step.actions[0] == number:
                entry[step] = arrival[number]
            leaves[number] = arrival[number] + self._weight(action, worst=worst)
            head = loops.get(number)
            if head is not None and worst and head in arrival:
                limit = actions[head].limit or 1
                leaves[number] += (limit - 1) * (leaves[number] - arrival[head])
        return Course(arrival, came, arrival.get(process.actions[-1]))

    def _leaving(
        self, leaves: dict[int, float], entry: dict[Step, float], source: Action, target: Action, *, worst: bool
    ) -> float:
        """When control passes from one action to another; leaving a step that is a unit costs what governs the step."""
        time = leaves[source.id]
        step = self._unit(source) if worst else None
        if step is None or step not in entry or self._unit(target) is step:
            return time
        if step not in self._bounded:
            self._bounded[step] = all(self._has_bound(self.system.actions[number]) for number in step.actions)
        body = Duration(time - entry[step], self._bounded[step])
        if body.seconds >= self.step_duration(step).seconds:
            self._steps[step] = body
        return entry[step] + governed_duration(body, self.calls.step_governed(step)).seconds

    # -------------------------------------------------------------------------------------------- what it is made of

    def _terms(self, process: Process, course: Course) -> tuple[list[Term], list[str]]:
        """The addends on the course to the end of the process, in order; a step that is a unit is one addend."""
        actions = self.system.actions
        loops = forward(process, actions).repeats
        path: list[tuple[int, int]] = []
        open_loops: list[int] = []
        times = 1
        number = process.actions[-1]
        while True:
            if number in loops and actions[loops[number]].limit:
                open_loops.append(loops[number])
                times *= actions[loops[number]].limit or 1
            path.append((number, times))
            if open_loops and number == open_loops[-1]:
                times //= actions[open_loops.pop()].limit or 1
            if number not in course.came:
                break
            number = course.came[number]
        terms: list[Term] = []
        notes: list[str] = []
        for unit, stretch in groupby(reversed(path), key=lambda one: self._unit(actions[one[0]])):
            found = [(part, times) for number, times in stretch for part in self._parts(actions[number])]
            if unit is not None:
                inner = [term for part, _ in found for term in part.terms]
                body = replace(self.step_duration(unit), terms=tuple(inner))
                found = [(governed_duration(body, self.calls.step_governed(unit)), found[0][1] if found else 1)]
            for part, times in found:
                notes += part.notes
                terms += [term._replace(seconds=term.seconds * times, times=times) for term in part.terms]
        return terms, notes

    def _unit(self, action: Action) -> Step | None:
        step = action.step
        return step if step is not None and action.region == "main" and self.calls.is_unit(step) else None

    def _parts(self, action: Action) -> Iterator[Duration]:
        """What one action adds to a course."""
        if action.kind == "call":
            yield self._calls[action]
        elif weight := self._weight(action, worst=True):
            span = action.within.span if action.kind == "await" and action.within.span else action.span
            word = "waits" if action.kind == "timer" else "waits up to"
            yield Duration(weight, True, (Term(weight, (Reason(f"{word} {seconds_text(weight)}", span),)),))

    # -------------------------------------------------------------------------------------------- flows

    def flow_duration(self, view: FlowView) -> Duration | None:
        """The worst case from the start of a flow to its success goal, in seconds; None without a goal or a way to it.

        A bound from below: of alternative ways the fastest counts (what is needed together, the slowest), inside a process
        the longest course to the action that leads on, and a hop over a channel counts nothing.
        """
        return self._flow(view, worst=True)

    def least_flow_duration(self, view: FlowView) -> float:
        """The seconds that no instance of the flow can do without: timers and ``sends … after`` on the fastest way."""
        found = self._flow(view, worst=False)
        return found.seconds if found is not None else 0.0

    def _flow(self, view: FlowView, *, worst: bool) -> Duration | None:
        goal = view.flow.success
        if goal is None:
            return None
        spread = _Spread(self, worst=worst)
        spread.run(view)
        times = []
        for target in goal.targets:
            if isinstance(target, Workflow):
                times.append(spread.finished(target.process))
            else:
                times.append(spread.messages.get(target.message))
        known = [time for time in times if time is not None]
        if not known or (goal.mode == "all" and len(known) < len(times)):
            return None
        best = (max if goal.mode == "all" else min)(known, key=_arrived)
        return Duration(best.seconds, False, spread.terms(best))


class _Arrival(NamedTuple):
    """When something happens in a flow, and what it happened after: ``action`` of a process that started at ``before``."""

    seconds: float
    process: Process | None = None
    action: Action | None = None
    before: _Arrival | None = None


class _Spread:
    """Times of all messages and process starts of a flow, fastest first (Knuth's generalisation of Dijkstra's algorithm
    to AND/OR graphs, Inf. Proc. Letters 6, 1977).
    """

    def __init__(self, latency: Latency, *, worst: bool) -> None:
        self.latency = latency
        self.worst = worst
        self.messages: dict[Message, _Arrival] = {}
        self.starts: dict[Process, _Arrival] = {}
        self._courses: dict[Process, Course] = {}
        self._queue: list[tuple[float, int, Message | Process, _Arrival]] = []
        self._pushed = 0

    def run(self, view: FlowView) -> None:
        """Follow everything that the flow starts."""
        for start in view.flow.starts:
            self._push(start.process if isinstance(start, Workflow) else start.message, _Arrival(0.0))
        while self._queue:
            _, _, what, arrival = heapq.heappop(self._queue)
            if isinstance(what, Process):
                if what not in self.starts:
                    self.starts[what] = arrival
                    self._run(what, arrival)
            elif what not in self.messages:
                self.messages[what] = arrival
                self._deliver(what)

    def finished(self, process: Process) -> _Arrival | None:
        """When a process that the flow reaches has ended well."""
        start = self.starts.get(process)
        total = self._course(process).total
        if start is None or total is None:
            return None
        return _Arrival(start.seconds + total, process, self.latency.system.actions[process.actions[-1]], start)

    def terms(self, arrival: _Arrival) -> tuple[Term, ...]:
        """What the time of an arrival is made of, process by process from the start of the flow."""
        parts: list[Term] = []
        at: _Arrival | None = arrival
        while at is not None and at.before is not None:
            assert at.process is not None
            assert at.action is not None
            spent = at.seconds - at.before.seconds
            if spent > 0:
                reason = Reason(f"{shown(at.process)} gets here after up to {seconds_text(spent)}", at.action.span)
                inner = self.latency.handler_duration(at.process)
                parts.append(Term(spent, (reason,), inner if self.worst else None))
            at = at.before
        return tuple(reversed(parts))

    def _push(self, what: Message | Process, arrival: _Arrival) -> None:
        self._pushed += 1
        heapq.heappush(self._queue, (arrival.seconds, self._pushed, what, arrival))

    def _deliver(self, message: Message) -> None:
        for process in self.latency.index.started.get(message, ()):
            for trigger in process.triggers:
                uses = [use.message for use in trigger.uses]
                if message not in uses:
                    continue
                if trigger.mode == "any":
                    self._push(process, self.messages[message])
                elif all(use in self.messages for use in uses):
                    self._push(process, max((self.messages[use] for use in uses), key=_arrived))

    def _course(self, process: Process) -> Course:
        if process not in self._courses:
            latency = self.latency
            self._courses[process] = latency.worst_course(process) if self.worst else latency.least_course(process)
        return self._courses[process]

    def _run(self, process: Process, start: _Arrival) -> None:
        course = self._course(process)
        for number in process.actions:
            if number not in course.arrival:
                continue
            action = self.latency.system.actions[number]
            if action.kind in {"emit", "send", "call"}:
                time = start.seconds + course.arrival[number] + (action.delay or 0.0 if action.kind == "send" else 0.0)
                self._push(action.message, _Arrival(time, process, action, start))
            elif action.kind == "write":
                time = start.seconds + course.arrival[number]
                for entity in action.entities:
                    for reacting in self.latency.index.reacting(entity):
                        self._push(reacting, _Arrival(time, process, action, start))


def _seconds(duration: Duration) -> float:
    return duration.seconds


def _time(one: tuple[float, int]) -> float:
    return one[0]


def _arrived(arrival: _Arrival) -> float:
    return arrival.seconds
