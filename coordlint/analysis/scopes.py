"""Where orchestration and choreography meet: what a workflow commands, what it decides, and what reacts beside it.

The *scope* of a workflow is what it commands: operations and the participants that handle them. Its *saga interval* goes from
its start to the success of the pivot, or to its end if it has none; what is published in it is provisional, as long as
something can still fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from coordlint.analysis.effects import Key
from coordlint.analysis.sagas import Failure, Sagas, Undo
from coordlint.graph import causal_successors
from coordlint.system import Action, Message, MessageUse, Process, Service, System, Trigger

if TYPE_CHECKING:
    from coordlint.analysis.causality import Causality

Effect: TypeAlias = Literal["state", "external", "projection", "notify", "none"]
"""What a handler does: changes data, acts outside of them, builds a read model, tells people, or nothing that is declared."""

MANY = 4
"""What more processes than this request, or write in the same way, is general and says nothing about any two of them."""


_REMEMBERED = 1_000_000
"""How many nodes the sets of what comes after something may hold together before they are forgotten."""


class Operation(NamedTuple):
    """A message that a workflow commands, and the actions by which it does, in model order."""

    message: Message
    requests: tuple[Action, ...]


class Scope(NamedTuple):
    """What a workflow commands.

    Attributes:
        process: the workflow's process.
        operations: what it calls and sends in its main course, by name.
        handlers: the processes of others that take these, in model order.
        participants: their services, by name.
    """

    process: Process
    operations: tuple[Operation, ...]
    handlers: tuple[Process, ...]
    participants: tuple[Service, ...]


class Publication(NamedTuple):
    """An event that goes out while an orchestration runs.

    Attributes:
        event: the event.
        emit: where it is published: by the orchestration itself, or by a handler of one of its requests.
        cause: the action of the orchestration that it comes with: the emit itself, or the request.
    """

    event: Message
    emit: Action
    cause: Action


class Provisional(NamedTuple):
    """A publication in a saga interval, a failure that can still come after it, and what is undone then."""

    publication: Publication
    failure: Failure
    undo: Undo


class DualTrigger(NamedTuple):
    """One piece of work that a command and an event both start for the same instance, in no order or plainly twice.

    Attributes:
        request: the call or send that commands it.
        commanded: the process that takes the command.
        event: the event that starts it, too.
        reacting: the process that the event starts; the commanded one itself if it takes both, or one that commands it again.
        repeat: the action by which the reaction commands the operation again, None if it does the work itself.
        sure: the two say that they are the same work: one process, one operation, or the outcome that only these two publish;
            otherwise they write the same entities and announce nothing.
    """

    request: Action
    commanded: Process
    event: Message
    reacting: Process
    repeat: Action | None
    sure: bool


class Bypass(NamedTuple):
    """A participant commands what its orchestrator commands, too: the workflow's request, the handler's, and the operation."""

    own: Action
    through: Process
    request: Action


class Race(NamedTuple):
    """A participant reacts to an event of a saga and writes what a later step commands it to write.

    Attributes:
        process: the orchestration.
        publication: the event and what it comes with.
        reaction: the process that reacts.
        step: the later request.
        commanded: the process that takes it.
        entity: the entity that both write.
    """

    process: Process
    publication: Publication
    reaction: Process
    step: Action
    commanded: Process
    entity: str


class Rivalry(NamedTuple):
    """Two workflows command the same operation in one run."""

    first: Action
    second: Action


class Overheard(NamedTuple):
    """An event that a workflow waits for or starts on, and that is not meant for it.

    Attributes:
        process: the workflow.
        use: where it names the event.
        emit: where the event is published.
        private: the event is private to its publisher; otherwise the workflow's own participant publishes it, and nothing that
            the workflow does leads to it.
    """

    process: Process
    use: MessageUse
    emit: Action
    private: bool


class Leg(NamedTuple):
    """A reaction to a provisional event that nothing undoes."""

    workflow: Process
    provisional: Provisional
    reaction: Process


class Scopes:
    """The scopes of a design and what crosses them. What is asked for is computed once; order is that of the model."""

    def __init__(self, causality: Causality, sagas: Sagas) -> None:
        self.causality = causality
        self.sagas = sagas
        self.index = causality.index
        self.system: System = causality.system
        self._scopes: dict[Process, Scope] = {}
        self._after: dict[int, set[int]] = {}
        self._remembered = 0
        self._reactions: dict[Message, dict[Service, list[Process]]] = {}

    # -------------------------------------------------------------------------------------------- effects

    def effect(self, process: Process) -> Effect:
        """What the process itself does; what it asks others for is their effect."""
        if process.fact("projection").declared:
            return "projection"
        if process.fact("notifies").declared:
            return "notify"
        kinds = {action.kind for action in self.system.actions_of(process, "write", "act")}
        return "state" if "write" in kinds else "external" if "act" in kinds else "none"

    def changes(self, process: Process) -> bool:
        """Whether the process changes something, itself or by what it commands, directly and indirectly."""
        return process in self._changing

    @cached_property
    def _changing(self) -> frozenset[Process]:
        askers: dict[Process, list[Process]] = {}
        found: dict[Process, None] = {}
        for process in self.system.processes:
            if self.effect(process) in {"state", "external"}:
                found[process] = None
        for action in self.system.actions:
            if action.kind not in {"call", "send"} or self.effect(action.process) in {"projection", "notify"}:
                continue
            handlers = self.sagas.answering(action)
            for handler in handlers:
                askers.setdefault(handler, []).append(action.process)
            if not handlers and self._acts_outside(action):
                found[action.process] = None
        pending = list(found)
        while pending:
            for asker in askers.get(pending.pop(), ()):
                if asker not in found:
                    found[asker] = None
                    pending.append(asker)
        return frozenset(found)

    def _acts_outside(self, request: Action) -> bool:
        """Whether it is a command to a service outside the design that does not say what it does."""
        service = request.use.service
        return request.message.kind == "command" and service is not None and service.external

    def changes_state(self, request: Action) -> bool:
        """Whether what a call or send asks for changes something."""
        handlers = self.sagas.answering(request)
        return any(map(self.changes, handlers)) if handlers else self._acts_outside(request)

    def writes(self, process: Process) -> dict[Key, Action]:
        """The entities that the process itself writes when all goes well, each with the action."""
        found: dict[Key, Action] = {}
        for action in self._in_main_course(process, "write"):
            for entity in action.entities:
                found.setdefault((entity.store, entity.entity), action)
        return found

    def outcomes(self, process: Process) -> list[Message]:
        """What the process brings about beyond its own data: events, and commands that change something; in model order."""
        found: dict[Message, None] = {}
        for action in self._in_main_course(process, "emit", "send", "call"):
            if not action.failure if action.kind == "emit" else self.changes_state(action):
                found[action.message] = None
        return list(found)

    def _in_main_course(self, process: Process, *kinds: str) -> Iterator[Action]:
        for action in self.system.actions_of(process):
            if action.region == "main" and action.kind in kinds:
                yield action

    # -------------------------------------------------------------------------------------------- scopes

    @cached_property
    def workflows(self) -> tuple[Process, ...]:
        """The processes of all workflows."""
        return tuple(process for process in self.system.processes if process.workflow is not None)

    def scope(self, process: Process) -> Scope:
        """What a workflow or handler commands in its main course."""
        if process not in self._scopes:
            requests: dict[Message, list[Action]] = {}
            handlers: dict[Process, None] = {}
            for action in self._in_main_course(process, "call", "send"):
                if not action.message.phantom:
                    requests.setdefault(action.message, []).append(action)
                    handlers.update(dict.fromkeys(self.sagas.answering(action)))
            services = {handler.service.name: handler.service for handler in handlers}
            services |= {
                action.use.service.name: action.use.service
                for actions in requests.values()
                for action in actions
                if action.use.service is not None
            }
            self._scopes[process] = Scope(
                process,
                tuple(
                    Operation(message, tuple(actions))
                    for message, actions in sorted(requests.items(), key=lambda item: item[0].name)
                ),
                tuple(handlers),
                tuple(services[name] for name in sorted(services)),
            )
        return self._scopes[process]

    def interval(self, process: Process) -> set[int]:
        """The saga interval: the actions of the main course that control reaches before the pivot has succeeded."""
        pivots = {
            number
            for step in process.steps
            if step.fact("pivot", self.system).declared
            for number in self.sagas.exits(step)
        }
        seen = {process.start}
        stack = [process.start]
        while stack:
            for edge in self.system.actions[stack.pop()].edges:
                action = self.system.actions[edge.target]
                if edge.target not in seen and edge.target not in pivots and action.region == "main":
                    seen.add(edge.target)
                    stack.append(edge.target)
        return seen

    def publications(self, process: Process, within: Iterable[int]) -> list[Publication]:
        """The events that go out with those actions of an orchestration when all goes well, in model order."""
        found: dict[tuple[Message, Action], Publication] = {}
        for number in sorted(within):
            action = self.system.actions[number]
            if action.kind == "emit" and not action.failure:
                found.setdefault((action.message, action), Publication(action.message, action, action))
            elif action.kind in {"call", "send"} and not action.message.phantom:
                for handler in self.sagas.answering(action):
                    for emit in self._in_main_course(handler, "emit"):
                        if not emit.failure and handler is not process:
                            found.setdefault((emit.message, emit), Publication(emit.message, emit, action))
        return list(found.values())

    def provisional(self, process: Process) -> list[Provisional]:
        """The publications in the saga interval of a workflow after which it can still fail.

        What counts as failing: a declared business failure, or, where the workflow says what it does about failures, any call
        that may fail. A wait that never ends undoes nothing and does not count.
        """
        saga = self.sagas.saga(process)
        failures = self.sagas.failures(process)
        answered = saga.compensates or process.fact("on_failure").declared or self._answers_failures(process)
        interval = self.interval(process)
        found = []
        for publication in self.publications(process, interval):
            later = self._later(publication.cause, interval)
            possible = [failure for number, failure in failures.items() if number in later and failure.targets]
            failure = next((one for one in possible if one.sure), possible[0] if possible and answered else None)
            if failure is not None:
                found.append(Provisional(publication, failure, self._undo(process, failure)))
        return found

    def _answers_failures(self, process: Process) -> bool:
        return any(action.region == "failure" for action in self.system.actions_of(process))

    def _later(self, cause: Action, within: set[int]) -> set[int]:
        """The actions of the interval that come after an action has succeeded."""
        seen: set[int] = set()
        stack = [edge.target for edge in cause.edges if edge.kind not in {"failure", "timeout"}]
        while stack:
            number = stack.pop()
            if number in within and number not in seen:
                seen.add(number)
                stack += [edge.target for edge in self.system.actions[number].edges]
        return seen

    def _undo(self, process: Process, failure: Failure) -> Undo:
        """What is undone when a workflow fails there: by its own blocks, by those who hear of the failure, by its callers."""
        actions = [self.system.actions[number] for number in self.sagas.aside(failure.targets)]
        announcing = (process, failure.cause.process)
        actions += [
            emit for one in dict.fromkeys(announcing) for emit in self.system.actions_of(one, "emit") if emit.failure
        ]
        for trigger in process.triggers:
            for use in trigger.uses:
                for call in self.index.senders.get(use.message, ()):
                    if call.kind == "call":
                        beyond = [edge.target for edge in call.edges if edge.kind in {"failure", "timeout"}]
                        actions += [self.system.actions[number] for number in self.sagas.aside(beyond)]
        return self.sagas.undo(actions)

    # -------------------------------------------------------------------------------------------- order

    def after(self, *nodes: int) -> set[int]:
        """All that comes after those plain nodes, they included."""
        found: set[int] = set()
        for node in nodes:
            if node not in self._after:
                if self._remembered > _REMEMBERED:
                    self._after.clear()
                    self._remembered = 0
                self._after[node] = self.causality.after((node,))
                self._remembered += len(self._after[node])
            found |= self._after[node]
        return found

    def _done(self, request: Action, handler: Process) -> list[int]:
        """The plain nodes that come after a request was taken: the handler, and what follows the answer to a call."""
        answered = [edge.target for edge in request.edges if edge.kind == "ok"] if request.kind == "call" else []
        return [handler.start, *answered]

    def is_ordered(self, request: Action, handler: Process, reaction: int) -> bool:
        """Whether a reaction comes after a request has been handled, or the request after the reaction."""
        return reaction in self.after(*self._done(request, handler)) or request.id in self.after(reaction)

    def in_one_run(self, first: int, second: int) -> bool:
        """Whether one run from one entry can reach both plain nodes."""
        return self.causality.can_both_happen(first, second, self.causality.entry_nodes)

    # -------------------------------------------------------------------------------------------- dual triggers

    @cached_property
    def dual_triggers(self) -> tuple[DualTrigger, ...]:
        """Work that a command and an event both start in one run; one entry for each pair of handlers."""
        found: dict[tuple[Process, Process], DualTrigger] = {}
        for dual in (*self._both_starts(), *self._commanded_again(), *self._twins()):
            found.setdefault((dual.commanded, dual.reacting), dual)
        return tuple(found[pair] for pair in sorted(found, key=lambda pair: (pair[0].start, pair[1].start)))

    def _both_starts(self) -> Iterator[DualTrigger]:
        """Workflows that start on a command or on an event."""
        for process in self.system.processes:
            uses = [use for trigger in process.triggers if trigger.mode == "any" for use in trigger.uses]
            events = [use.message for use in uses if use.message.kind == "event"]
            if len(events) == len(uses) or not events or not self._works(process):
                continue
            requests = [
                request
                for use in uses
                if use.message.kind != "event"
                for request in self.index.senders.get(use.message, ())
            ]
            for request in requests:
                for event in events:
                    for emit in self.index.emitters.get(event, ()):
                        later = emit.id in self.after(*self._done(request, process))
                        if not later and self.in_one_run(request.id, emit.id):
                            yield DualTrigger(request, process, event, process, None, True)

    def _commanded_again(self) -> Iterator[DualTrigger]:
        """Operations that a reaction to an event commands, too."""
        for message in self.system.commands():
            requests = [request for request in self.index.senders.get(message, ()) if request.region == "main"]
            if len({request.process for request in requests}) not in range(2, MANY + 1):
                continue
            reacting = [request for request in requests if self._event(request.process) is not None]
            others = [request for request in requests if self._event(request.process) is None]
            for request in others:
                for handler in self.sagas.answering(request):
                    if not self._works(handler):
                        continue
                    for repeat in reacting:
                        event = self._event(repeat.process)
                        assert event is not None
                        if handler not in self.sagas.answering(repeat) or not self.in_one_run(request.id, repeat.id):
                            continue
                        if not self.is_ordered(request, handler, repeat.id) and request.id not in self.after(
                            *self._done(repeat, handler)
                        ):
                            yield DualTrigger(request, handler, event, repeat.process, repeat, True)

    def _twins(self) -> Iterator[DualTrigger]:
        """Handlers of one service, one for a command and one for an event, that do the same."""
        for commanded, reacting, sure in self._alike():
            repeated = sure and self._acts(commanded) and self._acts(commanded) == self._acts(reacting)
            for trigger in commanded.triggers:
                for use in trigger.uses:
                    for request in self.index.senders.get(use.message, ()):
                        if request.region != "main" or not self.in_one_run(request.id, reacting.start):
                            continue
                        # Whoever says the same act twice means the same act, also in another order.
                        if repeated or not self.is_ordered(request, commanded, reacting.start):
                            event = self._moving(reacting, request)
                            yield DualTrigger(request, commanded, event, reacting, None, sure)

    def _acts(self, process: Process) -> set[str]:
        return {action.text for action in self._in_main_course(process, "act")}

    def _moving(self, process: Process, request: Action) -> Message:
        """The event that starts a handler in a run with the request."""
        events = [use.message for trigger in process.triggers for use in trigger.uses if use.message.kind == "event"]
        together = (one for one in events if self.in_one_run(request.id, self.causality.number(one)))
        return next(together, events[0])

    def _alike(self) -> Iterator[tuple[Process, Process, bool]]:
        """Pairs of a commanded and a reacting process of one service that do the same work, and whether they say so."""
        by_outcome: dict[tuple[Service, Message], list[Process]] = {}
        by_writes: dict[tuple[Service, frozenset[Key]], list[Process]] = {}
        for process in self.system.processes:
            if process.kind != "handler" or not self._works(process) or process.fact("compensates").declared:
                continue
            outcomes = self.outcomes(process)
            for outcome in outcomes:
                by_outcome.setdefault((process.service, outcome), []).append(process)
            writes = frozenset(self.writes(process))
            if writes and not outcomes and not any(True for _ in self._in_main_course(process, "act", "await")):
                by_writes.setdefault((process.service, writes), []).append(process)
        for (_, outcome), processes in by_outcome.items():
            if outcome.kind == "event" and len(processes) == 2 and self._only_from(outcome, processes):
                pair = self._pair(processes)
                if pair is not None and self._same_effect(*pair):
                    yield (*pair, True)
        for processes in by_writes.values():
            commanded = [process for process in processes if process.command is not None]
            reacting = [process for process in processes if self._event(process) is not None]
            if len(commanded) <= MANY and len(reacting) <= MANY:
                yield from ((one, other, False) for one in commanded for other in reacting)

    def _only_from(self, event: Message, processes: list[Process]) -> bool:
        return {emit.process for emit in self.index.emitters.get(event, ())} == set(processes)

    def _pair(self, processes: list[Process]) -> tuple[Process, Process] | None:
        first, second = processes
        if first.command is not None and self._event(second) is not None:
            return first, second
        if second.command is not None and self._event(first) is not None:
            return second, first
        return None

    def _same_effect(self, first: Process, second: Process) -> bool:
        one, other = self.writes(first), self.writes(second)
        return bool(one.keys() & other.keys()) or (not one and not other)

    def _works(self, process: Process) -> bool:
        """Whether a second run of the process does something again that is ours and no mere view or notice."""
        return (
            not process.contract
            and not process.service.external
            and self.effect(process) not in {"projection", "notify"}
            and self.changes(process)
        )

    def _event(self, process: Process) -> Message | None:
        """The event that starts a handler, the first of several; None if none does."""
        for trigger in process.triggers:
            if trigger.kind == "event" and process.kind == "handler" and trigger.mode == "any" and trigger.uses:
                return trigger.uses[0].message
        return None

    # -------------------------------------------------------------------------------------------- orchestrators

    @cached_property
    def bypasses(self) -> tuple[Bypass, ...]:
        """Participants that command, while they serve a workflow, what the workflow commands itself."""
        found: dict[tuple[Process, Process, Message], Bypass] = {}
        for workflow in self.workflows:
            scope = self.scope(workflow)
            requests = {operation.message: operation.requests for operation in scope.operations}
            for handler in scope.handlers:
                if handler.workflow is not None or handler.service is workflow.service:
                    continue
                for request in self._requests_beyond(handler):
                    own = requests.get(request.message, ())
                    if not own or not self.changes_state(request):
                        continue
                    both = (one for one in own if self._runs_with(workflow, one, request))
                    first = next(both, None)
                    if first is not None:
                        key = (workflow, handler, request.message)
                        found.setdefault(key, Bypass(first, handler, request))
        return tuple(found.values())

    def _requests_beyond(self, handler: Process) -> Iterator[Action]:
        """What a handler asks other services for, itself or by other handlers of its service."""
        seen = {handler}
        stack = [handler]
        while stack:
            for request in self._in_main_course(stack.pop(), "call", "send"):
                if request.message.phantom:
                    continue
                for target in self.sagas.answering(request):
                    if target.service is not handler.service:
                        yield request
                    elif target not in seen and target.workflow is None:
                        seen.add(target)
                        stack.append(target)
                if not self.sagas.answering(request):
                    yield request

    def _runs_with(self, workflow: Process, own: Action, request: Action) -> bool:
        return self.causality.can_both_happen(own.id, request.id, (workflow.start,))

    @cached_property
    def rivalries(self) -> tuple[Rivalry, ...]:
        """Operations that two workflows command in one run, neither of which leads to the other."""
        found = []
        for message in self.system.commands():
            requests = [
                request
                for request in self.index.senders.get(message, ())
                if request.process.workflow is not None and request.region == "main"
            ]
            if len({request.process for request in requests}) not in range(2, MANY + 1):
                continue
            if not any(map(self._works, self.index.handlers(message))) and not any(map(self._acts_outside, requests)):
                continue
            pair = next(
                (
                    (one, other)
                    for place, one in enumerate(requests)
                    for other in requests[place + 1 :]
                    if self._are_rivals(one, other)
                ),
                None,
            )
            if pair is not None:
                found.append(Rivalry(*pair))
        return tuple(found)

    def _are_rivals(self, one: Action, other: Action) -> bool:
        first, second = one.process, other.process
        if first is second or not self.in_one_run(one.id, other.id):
            return False
        return second.start not in self.after(first.start) and first.start not in self.after(second.start)

    @cached_property
    def overheard(self) -> tuple[Overheard, ...]:
        """The events that workflows take although they are private to others, or come from participants without a request."""
        found: dict[tuple[Process, Message], Overheard] = {}
        for workflow in self.workflows:
            starts = [(None, use) for trigger in workflow.triggers for use in trigger.uses]
            waits = [(one, use) for one in self.system.actions_of(workflow, "await") for use in one.uses]
            for wait, use in (*starts, *waits):
                emitters = [one for one in self.index.emitters.get(use.message, ()) if not one.process.contract]
                if not emitters or any(one.process.service is workflow.service for one in emitters):
                    continue
                private = use.message.visibility == "private"
                if private and not _share_context(workflow, emitters[0].process):
                    found.setdefault((workflow, use.message), Overheard(workflow, use, emitters[0], True))
                elif wait is not None and use.message.visibility == "internal" and self._unasked(wait, emitters):
                    found.setdefault((workflow, use.message), Overheard(workflow, use, emitters[0], False))
        return tuple(found.values())

    def _unasked(self, wait: Action, emitters: list[Action]) -> bool:
        """Whether participants publish an awaited event of their own accord, moved by nothing but what moves the workflow."""
        workflow = wait.process
        participants = set(self.scope(workflow).participants)
        if any(emit.process.service not in participants for emit in emitters):
            return False
        own = set(workflow.actions)
        caused = {target for number in own for target in self._beside[number] if target not in own}
        stack = sorted(caused)
        while stack:
            for target in self._beside[stack.pop()]:
                if target not in caused and target not in own:
                    caused.add(target)
                    stack.append(target)
        if any(emit.id in caused for emit in emitters):
            return False
        entries = set(self.causality.entry_nodes)
        moving = entries & self.causality.before([workflow.start])
        return bool(moving) and entries & self.causality.before([emit.id for emit in emitters]) <= moving

    @cached_property
    def _beside(self) -> list[list[int]]:
        """The plain causal graph with polls, but without the ways back to a caller."""
        return causal_successors(self.index, polls=True)

    # -------------------------------------------------------------------------------------------- reactions

    @cached_property
    def races(self) -> tuple[Race, ...]:
        """Reactions of participants to events of a saga, on an entity that a later step makes them write, in no order."""
        found: dict[tuple[Process, Process], Race] = {}
        known = {(dual.commanded, dual.reacting) for dual in self.dual_triggers}
        for saga in self.sagas.all:
            process = saga.process
            interval = self.interval(process)
            for publication in self.publications(process, interval):
                reactions = self._reactions_to(publication.event)
                if not reactions:
                    continue
                for number in sorted(self._later(publication.cause, set(process.actions))):
                    step = self.system.actions[number]
                    if step.kind not in {"call", "send"} or step.region != "main" or step.message.phantom:
                        continue
                    for commanded in self.sagas.answering(step):
                        for reaction in reactions.get(commanded.service, ()):
                            entity = self._contested(reaction, commanded)
                            pair = (commanded, reaction)
                            if entity is None or pair in known or pair in found or reaction is process:
                                continue
                            if self._race(reaction, step, commanded):
                                found[pair] = Race(process, publication, reaction, step, commanded, entity)
        return tuple(found.values())

    def _reactions_to(self, event: Message) -> dict[Service, list[Process]]:
        """The handlers of an event that change something of their own whatever its state is, by service."""
        if event not in self._reactions:
            found: dict[Service, list[Process]] = {}
            for process in self.index.started.get(event, ()):
                if process.workflow is None and self._works(process) and not process.fact("when").declared:
                    found.setdefault(process.service, []).append(process)
            self._reactions[event] = found
        return self._reactions[event]

    def _contested(self, reaction: Process, commanded: Process) -> str | None:
        """The first entity that both write, if they belong to one service and are not handed one message after the other."""
        if reaction.service is not commanded.service or reaction is commanded or not self._works(commanded):
            return None
        if commanded.fact("when").declared or commanded.workflow is not None or _in_sequence(reaction, commanded):
            return None
        theirs = self.writes(commanded)
        for key, action in self.writes(reaction).items():
            if key in theirs:
                return next(use.text for use in action.entities if (use.store, use.entity) == key)
        return None

    def _race(self, reaction: Process, step: Action, commanded: Process) -> bool:
        return not self.is_ordered(step, commanded, reaction.start) and self.in_one_run(step.id, reaction.start)

    @cached_property
    def uncompensated(self) -> tuple[Leg, ...]:
        """Reactions to provisional events that stay when the workflow fails; each once, with the first workflow."""
        found: dict[Process, Leg] = {}
        for workflow in self.workflows:
            for provisional in self.provisional(workflow):
                event = provisional.publication.event
                if event.fact("provisional").declared:
                    continue
                for reaction in self.index.started.get(event, ()):
                    if reaction not in found and reaction is not workflow and self._stays(reaction, provisional):
                        found[reaction] = Leg(workflow, provisional, reaction)
        return tuple(found.values())

    def _stays(self, reaction: Process, provisional: Provisional) -> bool:
        if not self._works(reaction) or reaction.fact("compensates").declared:
            return False
        undo = provisional.undo
        doing = self._taking_part(reaction)
        messages = {provisional.publication.event} | {use.message for one in doing for use in _uses(one.triggers)}
        services = {one.service for one in doing if self.changes(one)}
        acting = {one.service for one in doing if any(True for _ in self._in_main_course(one, "act"))}
        entities = {key for one in doing for key in self.writes(one)}
        return not (undo.of & messages or undo.entities & entities or undo.acting & acting or undo.unknown & services)

    def _taking_part(self, process: Process) -> list[Process]:
        """The process and those that it commands, directly and indirectly."""
        found = {process: None}
        stack = [process]
        while stack:
            for request in self._in_main_course(stack.pop(), "call", "send"):
                for handler in self.sagas.answering(request):
                    if handler not in found:
                        found[handler] = None
                        stack.append(handler)
        return list(found)


def _uses(triggers: Iterable[Trigger]) -> Iterator[MessageUse]:
    for trigger in triggers:
        yield from trigger.uses


def _share_context(one: Process, other: Process) -> bool:
    """Whether both belong to the same declared bounded context."""
    return bool(one.service.context) and one.service.context == other.service.context


def _in_sequence(one: Process, other: Process) -> bool:
    """Whether both take their messages from the same ordered channel."""
    channels = [
        {trigger.via or use.message.channel for use in trigger.uses} for p in (one, other) for trigger in p.triggers
    ]
    shared = set.intersection(*channels) if channels else set()
    return any(channel is not None and channel.fact("ordering").declared for channel in shared)
