"""Waits: where a process waits for somebody, and whether anything limits the wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from coordlint.system import UNKNOWN, Action, Fact, FactName, Process, System, Trigger

if TYPE_CHECKING:
    from coordlint.analysis.flows import FlowView
    from coordlint.analysis.sagas import Sagas

_LIMITS: tuple[FactName, ...] = ("timeout", "deadline")


class Wait(NamedTuple):
    """A wait without any limit.

    Attributes:
        kind: ``await``, ``join`` (a joined trigger), ``external`` (a workflow's call of a service outside the design), or
            ``workflow`` (one that says ``no timeout``, and none of whose calls says anything else).
        process: who waits.
        action: the await or call; None for a joined trigger or a whole workflow.
        trigger: the joined trigger, else None.
        absent: the fact by which somebody says that there is no limit; the unknown fact if nobody says anything.
    """

    kind: Literal["await", "join", "external", "workflow"]
    process: Process
    action: Action | None = None
    trigger: Trigger | None = None
    absent: Fact = UNKNOWN


class Waits:
    """The waits of a design that nothing limits.

    A wait is limited by its own ``within``, by the timeout of its call, step, handler or workflow, by a rival branch with a
    timer (``parallel any``), and by ``within`` of a flow that it is part of. ``no timeout "why"`` is a decision and counts as
    a limit.
    """

    def __init__(self, sagas: Sagas, flows: Iterable[FlowView]) -> None:
        self.sagas = sagas
        self.system: System = sagas.system
        self._bounded = {process for view in flows if view.flow.fact("within").declared for process in view.processes}

    def unlimited(self) -> Iterator[Wait]:
        """All waits without a limit, in model order; the arms of one ``awaits`` are one wait."""
        for process in self.system.processes:
            if process.contract or process.service.external or self._is_limited(process):
                continue
            for trigger in process.triggers:
                if trigger.mode == "all" and len(trigger.uses) > 1 and not trigger.within.declared:
                    yield Wait("join", process, trigger=trigger, absent=process.fact("timeout"))
            found = list(self._inside(process))
            yield from found
            if process.workflow is not None and not found:
                yield from self._as_a_whole(process)

    def _inside(self, process: Process) -> Iterator[Wait]:
        seen: set[int] = set()
        reached = self.sagas.reached(process)
        for action in self.system.actions_of(process, "await", "call"):
            if action.id not in reached or action.id in seen:
                continue
            if action.kind == "await":
                seen.update(self.sagas.rivals(action))
                if not self.has_limit(action):
                    yield Wait("await", process, action, absent=self._absent(action))
            elif action.region == "main" and self._is_external(action) and not self.has_limit(action):
                yield Wait("external", process, action)

    def _as_a_whole(self, process: Process) -> Iterator[Wait]:
        """A workflow with a declared ``no timeout`` whose calls neither have a limit nor say anything of their own."""
        absent = process.fact("timeout")
        if not absent.absent:
            return
        calls = [a for a in self.system.actions_of(process, "call") if a.region == "main" and not a.message.phantom]
        if calls and not any(self.has_limit(call) or self._speaks(call) for call in calls):
            yield Wait("workflow", process, absent=absent)

    def has_limit(self, action: Action) -> bool:
        """Whether something limits the wait of that await or call, be it a promise or a decision."""
        facts = (*self._timeouts(action), action.process.fact("timeout"))
        return self.ends(action) or action.process in self._bounded or any(_limits(fact) for fact in facts)

    def ends(self, action: Action) -> bool:
        """Whether something really ends the wait: its own limit, or that of the process."""
        if action.kind == "await" and (action.within.declared or self._has_timer(action)):
            return True
        facts = (*self._timeouts(action), action.process.fact("timeout"))
        return any(fact.declared for fact in facts) or self._is_raced(action)

    def _timeouts(self, action: Action) -> list[Fact]:
        return [action.fact(name) if action.kind == "call" else self._step_fact(action, name) for name in _LIMITS]

    def _has_timer(self, wait: Action) -> bool:
        arms = self.sagas.arms(wait)
        return any(self.system.actions[number].kind == "timer" for number in arms)

    def _step_fact(self, action: Action, name: FactName) -> Fact:
        return action.step.fact(name, self.system) if action.step is not None else UNKNOWN

    def _is_limited(self, process: Process) -> bool:
        return process in self._bounded or _limits(process.fact("timeout"))

    def _is_raced(self, action: Action) -> bool:
        """Whether it stands in a ``parallel any`` with a branch in which only time passes."""
        blocks = self.sagas.structure(action.process)
        races = [block for block in blocks.get(action.id, ()) if block.is_fork and block.head.mode == "any"]
        return any(
            other.head is block.head and other.branch != block.branch and self.system.actions[number].kind == "timer"
            for block in races
            for number, others in blocks.items()
            for other in others
        )

    def _absent(self, wait: Action) -> Fact:
        """Where it is said that the wait has no limit: at its step, else at its process."""
        step = self._step_fact(wait, "timeout")
        return step if step.absent else wait.process.fact("timeout")

    def _speaks(self, call: Action) -> bool:
        own = call.facts.get("timeout", UNKNOWN)
        return not own.unknown or (call.step is not None and not call.step.facts.get("timeout", UNKNOWN).unknown)

    def _is_external(self, call: Action) -> bool:
        """A workflow's call to a service outside the design that says nothing of a timeout (RES809 judges ``no timeout``)."""
        if call.process.workflow is None or not call.fact("timeout").unknown or call.message.phantom:
            return False
        services = [handler.service for handler in self.sagas.answering(call)]
        if call.use.service is not None and not services:
            services = [call.use.service]
        return bool(services) and all(service.external and not service.phantom for service in services)


def _limits(fact: Fact) -> bool:
    """A declared limit, or none for a given reason."""
    return fact.declared or (fact.absent and bool(fact.why))
