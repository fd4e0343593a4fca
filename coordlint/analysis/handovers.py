"""Handovers: where commanding turns into reacting and back, and the pattern that a flow follows.

A handover is *clean* where the one pattern has ended, or where the flow does not depend on what the other does: an event
starts a workflow, a workflow's last event leaves it, a step is watched by read models and notices. It is *dirty* where a
reaction to an event from the midst of a workflow carries the goal: then neither the workflow nor the events show the whole way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from coordlint.source import Span
from coordlint.system import Action, Message, Process

if TYPE_CHECKING:
    from coordlint.analysis.flows import FlowView
    from coordlint.analysis.scopes import Publication, Scopes

Style: TypeAlias = Literal["orchestrated", "choreographed", "hybrid", "direct"]
"""How a flow reaches its goal: by what workflows command, by reactions to events, by both, or by calls alone."""


class Handover(NamedTuple):
    """An event takes a flow from one pattern to the other.

    Attributes:
        event: the event.
        emit: where it is published.
        workflow: the workflow it leaves or starts.
        target: the process that it starts.
        clean: whether the boundary is clear.
        why: a clause that says why it is or is not.
    """

    event: Message
    emit: Action
    workflow: Process
    target: Process
    clean: bool
    why: str


class Contradiction(NamedTuple):
    """A flow says one style and follows another: the process that shows it, and a clause about it."""

    process: Process
    why: str


class Disguise(NamedTuple):
    """An event that asks its only consumer for something.

    Attributes:
        event: the event.
        emit: where it is published.
        consumer: the only process in the design that takes it.
        answer: the event by which the publisher hears of the result, published at most two hops behind the consumer.
        heard: where the publisher takes the answer: an ``awaits``, or a handler's trigger.
        view: a flow whose goal needs the consumer.
    """

    event: Message
    emit: Action
    consumer: Process
    answer: Message
    heard: Span
    view: FlowView


class Handovers:
    """The handovers and styles of flows."""

    def __init__(self, scopes: Scopes) -> None:
        self.scopes = scopes
        self.causality = scopes.causality
        self.index = scopes.index

    def of(self, view: FlowView) -> tuple[Handover, ...]:
        """The handovers of a flow, in the order of their events in the model and of what they start."""
        found = {(one.emit, one.target): one for one in (*self._leaving(view), *self._starting(view))}
        return tuple(found[pair] for pair in sorted(found, key=lambda pair: (pair[0].id, pair[1].start)))

    def _leaving(self, view: FlowView) -> Iterator[Handover]:
        bearing, taking_part = view.load_bearing, set(view.processes)
        for workflow in _workflows(view):
            for publication in self._published(workflow):
                for target in self.index.started.get(publication.event, ()):
                    if target in taking_part and target is not workflow and not target.contract:
                        clean, why = self._judge(publication, workflow, target, bearing)
                        yield Handover(publication.event, publication.emit, workflow, target, clean, why)

    def _published(self, workflow: Process) -> list[Publication]:
        actions = self.scopes.system.actions
        return self.scopes.publications(workflow, [n for n in workflow.actions if actions[n].region == "main"])

    def _judge(
        self, publication: Publication, workflow: Process, target: Process, bearing: set[Process]
    ) -> tuple[bool, str]:
        name = target.service.name
        if target.workflow is not None:
            return True, f"it starts workflow `{target.workflow.name}`"
        if target not in bearing:
            effect = self.scopes.effect(target)
            words = {"projection": f"`{name}` only builds a view", "notify": f"`{name}` only tells people"}
            return True, words.get(effect, f"the goal does not need `{name}`")
        if target.service is publication.emit.process.service:
            return True, f"it stays within `{name}`"
        if target.service.external:
            return True, f"`{name}` is outside the design"
        assert workflow.workflow is not None
        if not self._goes_on(publication.cause):
            return True, f"`{workflow.workflow.name}` has done its work by then"
        return False, f"the goal needs `{name}` to react while `{workflow.workflow.name}` is under way"

    def _goes_on(self, cause: Action) -> bool:
        """Whether the workflow does anything but publish after that action."""
        actions = self.scopes.system.actions
        seen: set[int] = set()
        stack = [edge.target for edge in cause.edges if edge.kind not in {"failure", "timeout"}]
        while stack:
            number = stack.pop()
            if number in seen or actions[number].region != "main":
                continue
            if actions[number].kind in {"call", "send", "await", "timer", "write", "act"}:
                return True
            seen.add(number)
            stack += [edge.target for edge in actions[number].edges]
        return False

    def _starting(self, view: FlowView) -> Iterator[Handover]:
        taking_part = set(view.processes)
        led = {publication.emit for workflow in _workflows(view) for publication in self._published(workflow)}
        for workflow in _workflows(view):
            assert workflow.workflow is not None
            events = [u.message for t in workflow.triggers for u in t.uses if u.message.kind == "event"]
            for event in events:
                for emit in self.index.emitters.get(event, ()):
                    if emit.process in taking_part and emit not in led and emit.process.workflow is None:
                        why = f"it starts workflow `{workflow.workflow.name}`"
                        yield Handover(event, emit, workflow, workflow, True, why)

    # -------------------------------------------------------------------------------------------- style

    def style(self, view: FlowView) -> Style:
        """The pattern by which a flow reaches its goal."""
        leading, reacting = self._leading(view), self._reacting(view)
        if leading:
            return "hybrid" if reacting else "orchestrated"
        return "choreographed" if reacting else "direct"

    def contradiction(self, view: FlowView) -> Contradiction | None:
        """What shows that a flow follows another style than it says; None if nothing does or it says none."""
        said = view.flow.fact("style").value
        leading, reacting = self._leading(view), self._reacting(view)
        if said == "choreographed" and leading:
            workflow = leading[0].workflow
            assert workflow is not None
            return Contradiction(leading[0], f"its goal needs the commands of workflow `{workflow.name}`")
        if said == "orchestrated" and reacting:
            reaction = reacting[0]
            return Contradiction(reaction, f"its goal needs `{reaction.service.name}` to react `{reaction.name}`")
        return None

    def _leading(self, view: FlowView) -> list[Process]:
        """The workflows without which the goal is not reached and that command other services, in model order."""
        return [
            process
            for process in _workflows(view)
            if process in view.load_bearing
            and any(one is not process.service for one in self.scopes.scope(process).participants)
        ]

    def _reacting(self, view: FlowView) -> list[Process]:
        """The reactions without which the goal is not reached, but for those that lead to the start of a workflow."""
        bearing = view.load_bearing
        workflows = [process for process in _workflows(view) if process in bearing]
        found = []
        for process in sorted(bearing, key=lambda one: one.start):
            if process.kind != "handler" or process.service.external:
                continue
            if not any(trigger.kind == "event" for trigger in process.triggers):
                continue
            ahead = self.scopes.after(process.start)
            leads_in = any(
                workflow.start in ahead and process.start not in self.scopes.after(workflow.start)
                for workflow in workflows
            )
            if not leads_in:
                found.append(process)
        return found

    # -------------------------------------------------------------------------------------------- requests in disguise

    def disguises(self, views: Iterable[FlowView]) -> Iterator[Disguise]:
        """The events that are requests: one consumer, which carries a goal, and whose result the publisher waits for."""
        needed: dict[Process, FlowView] = {}
        for view in views:
            for process in view.load_bearing:
                needed.setdefault(process, view)
        for event in self.scopes.system.events():
            consumers = list(self.index.consumers(event))
            if (
                event.visibility not in {"internal", "private"}
                or event.fact("technical").declared
                or len(consumers) != 1
            ):
                continue
            consumer = consumers[0]
            if consumer not in needed or consumer.kind != "handler" or consumer.service.external:
                continue
            for emit in self.index.emitters.get(event, ()):
                if emit.process.service is consumer.service or emit.process.service.external:
                    continue
                answered = self._answered(emit, consumer)
                if answered is not None:
                    yield Disguise(event, emit, consumer, *answered, needed[consumer])
                    break

    def _answered(self, emit: Action, consumer: Process) -> tuple[Message, Span] | None:
        """The first event behind the consumer that the publisher takes, and where."""
        key = emit.message.fact("key")
        for answer in self._behind(consumer):
            other = answer.fact("key")
            if answer is emit.message or (key.declared and other.declared and key.value != other.value):
                continue
            later = self._later(emit)
            for wait in self.index.awaiting.get(answer, ()):
                if wait.id in later:
                    return answer, wait.span
            for process in self.index.started.get(answer, ()):
                if process.service is emit.process.service and process.kind == "handler" and not process.contract:
                    return answer, process.place
        return None

    def _behind(self, process: Process) -> list[Message]:
        """The events that a process publishes, then those of the processes that it moves directly."""
        actions = self.scopes.system
        found: dict[Message, None] = {}
        found.update((action.message, None) for action in actions.actions_of(process, "emit"))
        for action in actions.actions_of(process, "emit", "send", "call"):
            for moved in self.index.started.get(action.message, ()):
                found.update((one.message, None) for one in actions.actions_of(moved, "emit"))
        return list(found)

    def _later(self, action: Action) -> set[int]:
        """The actions of its process that control reaches from there."""
        seen: set[int] = set()
        stack = [edge.target for edge in action.edges]
        while stack:
            number = stack.pop()
            if number not in seen:
                seen.add(number)
                stack += [edge.target for edge in self.scopes.system.actions[number].edges]
        return seen


def _workflows(view: FlowView) -> list[Process]:
    """The workflows that take part in a flow, in model order."""
    return [process for process in view.processes if process.workflow is not None]
