"""Causality: what can happen after what, from which entries, and depending on which components.

One AND/OR graph over the whole design serves reachability (is there a way at all?) and availability (is there a way without
this component?). Joins, joined triggers, replies and mandatory resources are conjunctions; alternatives are disjunctions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Set
from functools import cached_property
from typing import TypeAlias

from coordlint.analysis.andor import AndOr
from coordlint.analysis.exclusion import Exclusion
from coordlint.graph import Index, causal_successors, message_numbers
from coordlint.system import (
    Action,
    Broker,
    Channel,
    Flow,
    Goal,
    Message,
    MessageUse,
    Process,
    Service,
    Store,
    System,
    Workflow,
)

Component: TypeAlias = Service | Store | Broker
"""What can be down: services (orchestrators among them), stores and brokers."""


_CONDITIONAL = frozenset({"start", "await", "call", "read", "write"})


class Causality:
    """The AND/OR graph of a system and the plain causal graph beside it.

    Nodes of the AND/OR graph: ``entered(action)`` holds when control can arrive at an action, ``done(action)`` when it can be
    completed, ``sent(message)`` when the message can be delivered. Nodes of the plain graph: action ids, then messages (see
    :func:`~coordlint.graph.causal_successors`).
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self.system: System = index.system
        self.numbers = message_numbers(self.system)
        self.graph = AndOr()
        self.components: list[Component] = []
        self._up: dict[Component, int] = {}
        self._available: dict[object, int] = {}
        self._entered: list[int] = []
        self._done: list[int] = []
        self._sent: dict[Message, int] = {}
        self._build()

    # -------------------------------------------------------------------------------------------- nodes

    def entered(self, action: Action | int) -> int:
        """The node that holds when control can arrive at the action."""
        return self._entered[action if isinstance(action, int) else action.id]

    def done(self, action: Action | int) -> int:
        """The node that holds when the action can be completed."""
        return self._done[action if isinstance(action, int) else action.id]

    def sent(self, message: Message) -> int:
        """The node that holds when the message can be delivered; what an unresolved name stands for always can."""
        return self._message_source(message)

    def up(self, component: Component) -> int:
        """The given node that stands for the component being up."""
        return self._up[component]

    def needed_by(self, component: Component) -> list[Component]:
        """The component and all that it ``uses``, directly and indirectly."""
        return _closure(component)

    @cached_property
    def component_nodes(self) -> frozenset[int]:
        """The given nodes of all components."""
        return frozenset(self._up.values())

    def component_at(self, node: int) -> Component:
        """The component that a node of :attr:`component_nodes` stands for."""
        return self._component_of[node]

    @cached_property
    def _component_of(self) -> dict[int, Component]:
        return {node: component for component, node in self._up.items()}

    # -------------------------------------------------------------------------------------------- building

    def _build(self) -> None:
        system, graph = self.system, self.graph
        self._phantom()
        self.components = [*system.services.values(), *system.stores.values(), *system.brokers.values()]
        for component in self.components:
            self._up[component] = graph.node(given=True)
        for action in system.actions:
            # A join waits for each of its branches; every other action is entered by any one edge.
            entered = graph.node(conjunctive=action.kind == "join" and action.mode != "any")
            self._entered.append(entered)
            self._done.append(graph.node(conjunctive=True) if action.kind in _CONDITIONAL else entered)
        for message in system.messages.values():
            self._message(message)
        for process in system.processes:
            self._start(process)
        for action in system.actions:
            self._action(action)
        for flow in system.flows.values():
            self._begin(flow)
            for goal in (flow.success, flow.failure):
                if goal is not None:
                    self._goal(goal)

    def _resource(self, component: Component) -> int:
        """The node that holds when the component and all it ``uses`` are up."""
        if component not in self._up:
            return self._phantom()
        if component not in self._available:
            node = self.graph.node(conjunctive=True)
            self._available[component] = node
            for needed in _closure(component):
                self.graph.edge(self._up[needed] if needed in self._up else self._phantom(), node)
        return self._available[component]

    def _phantom(self) -> int:
        """What an unresolved name, or a second declaration of one, stands for always holds: its own finding says enough."""
        if None not in self._available:
            self._available[None] = self.graph.node(given=True)
        return self._available[None]

    def _message(self, message: Message) -> None:
        graph = self.graph
        produced = graph.node()
        channel = message.channel
        if channel is not None and channel.broker is not None:
            delivered = graph.node(conjunctive=True)
            graph.edge(produced, delivered)
            graph.edge(self._resource(channel.broker), delivered)
        else:
            delivered = produced
        self._sent[message] = delivered
        for action in self.index.producers(message):
            graph.edge(self.done(action) if action.kind != "call" else self.entered(action), produced)
        self._produced[message] = produced

    @cached_property
    def _produced(self) -> dict[Message, int]:
        return {}

    def produced(self, message: Message) -> int:
        """The node that holds when somebody publishes or sends the message; what a flow starts with holds by itself."""
        return self._produced[message]

    def _start(self, process: Process) -> None:
        """The start action: its trigger, its service and what a workflow keeps its state in."""
        graph = self.graph
        entered, done = self.entered(process.start), self.done(process.start)
        graph.edge(entered, done)
        graph.edge(self._resource(process.service), done)
        state = process.fact("state")
        if isinstance(state.value, Store):
            graph.edge(self._resource(state.value), done)
        for trigger in process.triggers:
            sources = [self._message_source(use.message) for use in trigger.uses]
            if trigger.entity is not None:
                for write in self.index.writes(trigger.entity):
                    graph.edge(self.done(write), entered)
            if trigger.mode == "all" and len(sources) > 1:
                joined = graph.node(conjunctive=True)
                for source in sources:
                    graph.edge(source, joined)
                sources = [joined]
            if trigger.via is not None and trigger.via.broker is not None and sources:
                any_source = graph.node()
                for source in sources:
                    graph.edge(source, any_source)
                through = graph.node(conjunctive=True)
                graph.edge(any_source, through)
                graph.edge(self._resource(trigger.via.broker), through)
                sources = [through]
            for source in sources:
                graph.edge(source, entered)

    def _message_source(self, message: Message) -> int:
        return self._sent[message] if not message.phantom else self._phantom()

    def _action(self, action: Action) -> None:
        graph = self.graph
        entered, done = self.entered(action), self.done(action)
        if action.kind == "await":
            arrived = graph.node()
            for use in action.uses:
                graph.edge(self._message_source(use.message), arrived)
            graph.edge(entered, done)
            graph.edge(arrived, done)
        elif action.kind in {"read", "write"}:
            graph.edge(entered, done)
            for entity in action.entities:
                graph.edge(self._resource(entity.store), done)
        elif action.kind == "call":
            graph.edge(entered, done)
            graph.edge(self._answer(action), done)
        for edge in action.edges:
            # What follows a failed call needs the call to be made, not to be answered.
            unanswered = action.kind == "call" and edge.kind != "ok"
            graph.edge(entered if unanswered else done, self.entered(edge.target))

    def _answer(self, call: Action) -> int:
        """The node that holds when the call can be answered well."""
        message = call.message
        if message.phantom:
            return self._phantom()
        handlers = self.index.handlers(message)
        answer = self.graph.node()
        for process in handlers:
            self.graph.edge(self.done(process.actions[-1]), answer)
        if not handlers:
            waiting = self.index.awaiting.get(message, ())
            for action in waiting:
                self.graph.edge(self.done(action), answer)
            service = call.use.service
            if not waiting:
                # Nobody declared handles it: an external service answers in its own way, else EVT205 speaks.
                self.graph.edge(self._resource(service) if service is not None else self._phantom(), answer)
        return answer

    # -------------------------------------------------------------------------------------------- entries

    def timers(self) -> Iterator[int]:
        """Roots: processes that time starts."""
        for process in self.system.processes:
            if any(trigger.kind == "timer" for trigger in process.triggers):
                yield self.entered(process.start)

    def own_acts(self) -> Iterator[int]:
        """Roots: what services do on their own, and the contract facts without a cause."""
        for process in self.system.processes:
            if any(trigger.kind == "entry" for trigger in process.triggers):
                yield self.entered(process.start)

    def external_messages(self) -> Iterator[int]:
        """Roots: messages that come from outside (``external``)."""
        for message in self.system.messages.values():
            if message.visibility == "external":
                yield self.produced(message)

    def flow_starts(self, flow: Flow) -> Iterator[int]:
        """Roots: what that flow starts with."""
        for start in flow.starts:
            if isinstance(start, Workflow):
                yield self.entered(start.process.start)
            elif not start.message.phantom:
                yield self._begun.get((flow, start.message), self.produced(start.message))

    def _begin(self, flow: Flow) -> None:
        """A flow that starts ``from`` a service of ours needs that service; whoever is outside is not our concern."""
        if flow.source is None or flow.source.external or flow.source.phantom:
            return
        for start in flow.starts:
            if not isinstance(start, Workflow) and not start.message.phantom:
                begins, published = self.graph.node(), self.graph.node(conjunctive=True)
                self.graph.edge(begins, published)
                self.graph.edge(self._resource(flow.source), published)
                self.graph.edge(published, self.produced(start.message))
                self._begun[flow, start.message] = begins

    @cached_property
    def _begun(self) -> dict[tuple[Flow, Message], int]:
        return {}

    @cached_property
    def spontaneous(self) -> frozenset[int]:
        """Roots that belong to no flow in particular: timers and messages from outside."""
        return frozenset({*self.timers(), *self.external_messages()})

    @cached_property
    def entries(self) -> frozenset[int]:
        """All entries of the design: timers, own acts, external messages, and the starts of all flows."""
        starts = {root for flow in self.system.flows.values() for root in self.flow_starts(flow)}
        return frozenset({*self.timers(), *self.own_acts(), *self.external_messages(), *starts})

    @cached_property
    def entry_nodes(self) -> list[int]:
        """The plain nodes that runs start at: the entries, and messages that somebody takes and nobody produces."""
        own = {"timer", "entry"}
        nodes = {p.start for p in self.system.processes if any(trigger.kind in own for trigger in p.triggers)}
        nodes.update(node for flow in self.system.flows.values() for node in self.starts_of(flow))
        for message, number in self.numbers.items():
            taken = message in self.index.started or message in self.index.awaiting
            if message.visibility == "external" or (taken and not self.index.producers(message)):
                nodes.add(number)
        return sorted(nodes)

    @cached_property
    def live(self) -> Set[int]:
        """The AND/OR nodes that hold when every entry fires and every component is up."""
        return self.graph.reached(self.entries)

    def is_live(self, action: Action | int) -> bool:
        """Whether control can ever arrive at the action."""
        return self.entered(action) in self.live

    def goal_node(self, goal: Goal) -> int:
        """The node that holds when the goal is met."""
        return self._goals[goal]

    @cached_property
    def _goals(self) -> dict[Goal, int]:
        return {}

    def _goal(self, goal: Goal) -> None:
        if len(goal.targets) == 1:
            # No node of its own: many flows may share a goal, and none should pay for the others' nodes.
            self._goals[goal] = self._goal_target(goal.targets[0])
            return
        node = self.graph.node(conjunctive=goal.mode == "all")
        for target in goal.targets:
            self.graph.edge(self._goal_target(target), node)
        self._goals[goal] = node

    def _goal_target(self, target: MessageUse | Workflow) -> int:
        if isinstance(target, Workflow):
            return self.done(target.process.actions[-1])
        return self._message_source(target.message)

    # -------------------------------------------------------------------------------------------- the plain graph

    @cached_property
    def successors(self) -> list[list[int]]:
        """The causal graph with return edges and polls: for questions about paths and coverage."""
        return causal_successors(self.index, returns=True, polls=True)

    @cached_property
    def predecessors(self) -> list[list[int]]:
        """The reverse of :attr:`successors`."""
        result: list[list[int]] = [[] for _ in self.successors]
        for node, targets in enumerate(self.successors):
            for target in targets:
                result[target].append(node)
        return result

    @cached_property
    def strict_successors(self) -> list[list[int]]:
        """The causal graph without return edges and polls: its cycles are real loops."""
        return causal_successors(self.index)

    def number(self, message: Message) -> int:
        """The plain node of a message."""
        return self.numbers[message]

    def message_at(self, node: int) -> Message | None:
        """The message that a plain node stands for; None for an action."""
        base = len(self.system.actions)
        return self._messages[node - base] if node >= base else None

    @cached_property
    def _messages(self) -> list[Message]:
        return list(self.system.messages.values())

    def starts_of(self, flow: Flow) -> list[int]:
        """The plain nodes a flow starts with."""
        nodes = []
        for start in flow.starts:
            if isinstance(start, Workflow):
                nodes.append(start.process.start)
            elif start.message in self.numbers:
                nodes.append(self.numbers[start.message])
        return nodes

    def after(self, nodes: Iterable[int], *, successors: list[list[int]] | None = None) -> set[int]:
        """All plain nodes reachable from those, they included."""
        return _search(nodes, self.successors if successors is None else successors)

    def before(self, nodes: Iterable[int]) -> set[int]:
        """All plain nodes from which those can be reached, they included."""
        return _search(nodes, self.predecessors)

    def path(self, sources: Iterable[int], targets: Iterable[int], *, within: set[int] | None = None) -> list[int]:
        """A shortest plain path from a source to a target, both ends included; empty if there is none."""
        wanted = set(targets)
        came: dict[int, int] = {}
        queue = deque(sorted(set(sources)))
        seen = set(queue)
        while queue:
            node = queue.popleft()
            if node in wanted:
                path = [node]
                while path[-1] in came:
                    path.append(came[path[-1]])
                return path[::-1]
            for target in self.successors[node]:
                if target not in seen and (within is None or target in within):
                    seen.add(target)
                    came[target] = node
                    queue.append(target)
        return []

    def describe(self, path: Iterable[int]) -> str:
        """A path in words: the messages on it, ``OrderPlaced -> PaymentTaken``; consecutive repeats left out."""
        names: list[str] = []
        for node in path:
            message = self.message_at(node)
            if message is not None and (not names or names[-1] != message.name):
                names.append(message.name)
        return " -> ".join(f"`{name}`" for name in names)

    @cached_property
    def _exclusion(self) -> Exclusion:
        return Exclusion(self.index)

    def can_both_happen(self, first: int, second: int, roots: Iterable[int]) -> bool:
        """Whether one run from one of the roots can reach both plain nodes: they are in sequence, or behind different branches
        of a fork (``parallel``, an event with several consumers, what a process does after sending). Branches of a choice
        exclude each other. See :class:`~coordlint.analysis.exclusion.Exclusion`.
        """
        return self._exclusion.can_both_happen(first, second, roots)


def _search(nodes: Iterable[int], successors: list[list[int]]) -> set[int]:
    seen = set(nodes)
    stack = list(seen)
    while stack:
        for target in successors[stack.pop()]:
            if target not in seen:
                seen.add(target)
                stack.append(target)
    return seen


def _closure(component: Component) -> list[Component]:
    """The component and all it uses, directly and indirectly; the order is that of the declarations."""
    found: dict[Component, None] = {}
    pending: list[Component] = [component]
    while pending:
        one = pending.pop()
        if one in found:
            continue
        found[one] = None
        for use in one.uses if not isinstance(one, Store) else ():
            target = use.target
            if isinstance(target, Channel):
                if target.broker is not None:
                    pending.append(target.broker)
            else:
                pending.append(target)
    return list(found)
