"""Cycles: what causes itself again by calls, messages or workflows, what depends on itself, and waits for their own end.

A loop is looked for on processes and on what passes between them (messages, changes of entities). That a message satisfies
an ``awaits`` closes no loop: the waiting process goes on by its own control flow, so a request with its answer moves forward.
Poll edges (``every`` reading what is written elsewhere) are left out too: time bounds them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from coordlint.analysis.circles import feedback_edges, shortest_cycle, strong_parts
from coordlint.analysis.emissions import Emission, emission
from coordlint.source import Span
from coordlint.system import Action, Channel, Fact, Message, Process, Service, Store, System

if TYPE_CHECKING:
    from coordlint.analysis.causality import Causality
    from coordlint.graph import Index


class Change(NamedTuple):
    """That an entity changes: what passes from a write to what is declared ``on change of`` it."""

    store: Store
    entity: str | None

    @property
    def name(self) -> str:
        """``change of OrdersDb.orders``."""
        return f"change of {self.store.name}.{self.entity}" if self.entity else f"change of {self.store.name}"


Via: TypeAlias = Message | Change
"""What passes from one process to the next."""


class Hop(NamedTuple):
    """One process causes another: by which action, and by what that passes on."""

    action: Action
    via: Via
    target: Process

    @property
    def source(self) -> Process:
        """The process the action belongs to."""
        return self.action.process


class Guard(NamedTuple):
    """What may end a loop and does not promise to: a clause about it, and where it stands."""

    text: str
    span: Span


Verdict: TypeAlias = Literal["endless", "storm", "guarded", "fading"]
"""How a loop ends.

endless: each process of some cycle always causes the next, and nothing stops it.
storm: each run of a process leads on average to at least one more run, by the declared chances.
guarded: something may end it (a ``when``, an alternative without a chance), but nothing says that it does.
fading: by the declared chances it dies out.
"""


class Loop(NamedTuple):
    """A strongly connected part that still has a cycle when all that breaks one is taken out.

    Attributes:
        processes: all of the part, breakers included, in model order.
        cycle: the shortest cycle that is left, as a witness; the first process is the first in model order.
        verdict: how it ends; of the worst remaining part if there are several.
        gain: how often one run of the first process leads to another run of it, on average: at most, and for a storm at least;
            infinity if that is not bounded by what is declared.
        guards: what may end the cycle, in the order of the cycle.
    """

    processes: tuple[Process, ...]
    cycle: tuple[Hop, ...]
    verdict: Verdict
    gain: float = math.inf
    guards: tuple[Guard, ...] = ()

    @property
    def expected(self) -> float:
        """The runs of the first process that one trigger leads to, 1 / (1 - gain); infinity if the gain is 1 or more."""
        return 1 / (1 - self.gain) if self.gain < 1 else math.inf


class Dependency(NamedTuple):
    """One service depends on another: the requests and ``uses`` that make it so, in model order."""

    source: str
    target: str
    places: tuple[tuple[Span, str], ...]


class Tangle(NamedTuple):
    """Services or contexts that depend on each other in a circle.

    Attributes:
        kind: service or context.
        members: names, sorted.
        cycle: the shortest cycle as a witness.
        feedback: a smallest set of dependencies without which there is no cycle.
        exact: whether no smaller set exists; large tangles get one that is only small.
        crossing: whether it joins several bounded contexts.
    """

    kind: Literal["service", "context"]
    members: tuple[str, ...]
    cycle: tuple[Dependency, ...]
    feedback: tuple[Dependency, ...]
    exact: bool
    crossing: bool


class Move(NamedTuple):
    """One way of a message out of a channel: set aside as a dead letter, or put back by ``redrive``.

    ``why`` it leaves: ``deliveries`` (after N of them), ``expiry`` (nobody consumes there), ``rejected`` (or any other reason:
    it is not said), ``redrive`` (a person or a job puts it back).
    """

    source: Channel
    target: Channel
    why: Literal["deliveries", "expiry", "rejected", "redrive"]
    span: Span
    bounded: bool


class Circulation(NamedTuple):
    """Channels whose dead letters come back to them; ``automatic`` if no consumer or person decides on the way."""

    way: tuple[Move, ...]

    @property
    def automatic(self) -> bool:
        """Every move is made by the broker alone."""
        return all(one.why in {"deliveries", "expiry"} for one in self.way)


class Wait(NamedTuple):
    """A handler that waits for what cannot come before it has ended.

    Attributes:
        process: the handler.
        action: its ``awaits``.
        channel: the channel whose order or whose consumer it holds up, None if only the handler's own slots matter.
        limit: the fact that bounds it: the channel's order or single partition, or the handler's ``concurrency``.
        slots: how many may wait at once before nothing moves; 1 for an ordered channel.
        delivered: whether the awaited message itself arrives there; otherwise all that leads to it does.
    """

    process: Process
    action: Action
    channel: Channel | None
    limit: Fact
    slots: int
    delivered: bool


class Cycles:
    """The cycles of a design, each kind computed once and in model order."""

    def __init__(self, causality: Causality) -> None:
        self.causality = causality
        self.index: Index = causality.index
        self.system: System = causality.system
        self.causes = Causes(self.index)

    @cached_property
    def calls(self) -> tuple[Loop, ...]:
        """Synchronous calls that lead back to their own handler; workflows are left to :attr:`recursions`."""
        handlers = {process for process in self.system.processes if process.workflow is None}
        return tuple(
            loop
            for part in self.causes.parts(handlers, lambda action: action.kind == "call")
            for loop in self._judge(part, handlers, lambda action: action.kind == "call", breaks=_breaks_no_call)
        )

    @cached_property
    def feedback(self) -> tuple[Loop, ...]:
        """Loops of handlers that at least one event, sent command or change passes through."""
        handlers = {process for process in self.system.processes if process.workflow is None}
        return tuple(
            loop
            for part in self.causes.parts(handlers, _any_action)
            for loop in self._judge(
                part, handlers, _any_action, breaks=breaks, passing=lambda action: action.kind != "call"
            )
        )

    @cached_property
    def recursions(self) -> tuple[Loop, ...]:
        """Workflows that start themselves again, directly or through others."""
        everything = set(self.system.processes)
        return tuple(
            loop
            for part in self.causes.parts(everything, _any_action)
            if any(process.workflow is not None for process in part)
            for loop in self._judge(
                part,
                everything,
                _any_action,
                breaks=breaks,
                passing=lambda action: action.process.workflow is not None,
            )
        )

    def _judge(
        self,
        part: Collection[Process],
        among: Collection[Process],
        kinds: Callable[[Action], bool],
        *,
        breaks: Callable[[Process], bool],
        passing: Callable[[Action], bool] = lambda action: True,
    ) -> Iterator[Loop]:
        """The loop that a strongly connected part holds when its breakers are taken out, if any."""
        found = [
            loop
            for rest in self._unbroken(part, kinds, breaks)
            if (loop := self._loop(rest, kinds, passing)) is not None
        ]
        if found:
            order = ("endless", "storm", "guarded", "fading")
            worst = min(found, key=lambda loop: order.index(loop.verdict))
            yield worst._replace(processes=tuple(self._sorted(part)))

    def _sorted(self, processes: Iterable[Process]) -> list[Process]:
        return sorted(processes, key=lambda process: process.start)

    def _unbroken(
        self, part: Collection[Process], kinds: Callable[[Action], bool], breaks: Callable[[Process], bool]
    ) -> list[list[Process]]:
        """The strongly connected parts without breakers, and without joins that wait for something from elsewhere."""
        left = {process for process in part if not breaks(process)}
        while True:
            parts = self.causes.parts(left, kinds)
            starved = set()
            for rest in parts:
                passed = self.causes.passed(rest, kinds)
                for process in rest:
                    for trigger in process.triggers:
                        if trigger.mode == "all" and any(use.message not in passed for use in trigger.uses):
                            starved.add(process)
            if not starved:
                return parts
            left -= starved

    def _loop(
        self, part: list[Process], kinds: Callable[[Action], bool], passing: Callable[[Action], bool]
    ) -> Loop | None:
        links = self.causes.links(part, kinds)
        rates = {key: emission(self.system, key[0], link.actions) for key, link in links.items()}
        links = {key: link for key, link in links.items() if rates[key].most > 0}
        witness = self._witness(links, passing)
        if witness is None:
            return None
        sure = {
            key: link
            for key, link in links.items()
            if rates[key].certain and not _guards(key[0]) and not _hesitates(link.actions)
        }
        endless = self._witness(sure, passing)
        if endless is not None:
            return Loop(tuple(part), endless, "endless", loop_gain(_weights(sure, rates), endless[0].source))
        known = {
            key: link
            for key, link in links.items()
            if rates[key].least > 0 and not _guards(key[0]) and not _hesitates(link.actions)
        }
        for rest in connected(known):
            inside = within(known, rest)
            storm = self._witness(inside, passing)
            if storm is not None:
                gain = loop_gain(_weights(inside, rates, least=True), storm[0].source)
                if gain >= 1:
                    return Loop(tuple(part), storm, "storm", gain)
        gain = loop_gain(_weights(links, rates), witness[0].source)
        guards = tuple(self._guards_of(witness, links, rates))
        return Loop(tuple(part), witness, "fading" if gain < 1 else "guarded", gain, guards)

    def _witness(self, links: Links, passing: Callable[[Action], bool]) -> tuple[Hop, ...] | None:
        """The shortest cycle with a passing action, turned so that its first process is the first in model order."""
        successors: dict[object, list[object]] = {}
        for (process, via), link in links.items():
            successors.setdefault(process, []).append(via)
            successors[via] = list(link.targets)
        starts = [(process, via) for (process, via), link in links.items() if any(map(passing, link.actions))]
        nodes = shortest_cycle(successors, starts)
        if nodes is None:
            return None
        hops = []
        for place in range(0, len(nodes), 2):
            source, passed, target = nodes[place], nodes[place + 1], nodes[(place + 2) % len(nodes)]
            assert isinstance(source, Process)
            assert isinstance(passed, Message | Change)
            assert isinstance(target, Process)
            actions = links[source, passed].actions
            hops.append(Hop(next(filter(passing, actions), actions[0]), passed, target))
        first = min(range(len(hops)), key=lambda place: hops[place].source.start)
        return (*hops[first:], *hops[:first])

    def _guards_of(
        self, cycle: Iterable[Hop], links: Links, rates: Mapping[tuple[Process, Via], Emission]
    ) -> Iterator[Guard]:
        for hop in cycle:
            yield from _guards(hop.source)
            link, rate = links[hop.source, hop.via], rates[hop.source, hop.via]
            if _hesitates(link.actions):
                yield Guard(_hesitation(hop.action), hop.action.span)
            elif not rate.certain:
                yield Guard(_condition(hop), hop.action.span)

    # -------------------------------------------------------------------------------------------- dependencies

    @cached_property
    def dependencies(self) -> tuple[Tangle, ...]:
        """Circles of services that request from or use each other, then those of contexts.

        Events make no circle: whoever reacts to an event depends on its publisher, never the other way round, and services
        that tell each other what happened can be deployed one by one. A command that is only awaited is an answer.
        """
        edges: dict[tuple[str, str], list[tuple[Span, str]]] = {}
        for source, target, span, text in self._requests():
            edges.setdefault((source.name, target.name), []).append((span, text))
        context = {service.name: service.context for service in self.system.services.values()}
        services = [
            tangle._replace(crossing=len({context[member] for member in tangle.members}) > 1)
            for tangle in _tangles("service", edges)
        ]
        covered = {frozenset(context[member] for member in tangle.members) for tangle in services}
        quotient: dict[tuple[str, str], list[tuple[Span, str]]] = {}
        for (one, other), places in edges.items():
            if context[one] and context[other] and context[one] != context[other]:
                quotient.setdefault((context[one], context[other]), []).extend(places)
        contexts = [
            tangle
            for tangle in _tangles("context", quotient)
            if not any(set(tangle.members) <= known for known in covered)
        ]
        return (*services, *contexts)

    def _requests(self) -> Iterator[tuple[Service, Service, Span, str]]:
        for action in self.system.actions:
            if action.kind not in {"call", "send"}:
                continue
            targets = [process.service for process in self.index.handlers(action.message)]
            for target in dict.fromkeys(targets):
                if _is_ours(action.process.service, target):
                    text = f"{action.kind}s `{action.message.name}`"
                    yield action.process.service, target, action.span, text
        for service in self.system.services.values():
            for use in service.uses:
                if isinstance(use.target, Service) and _is_ours(service, use.target):
                    yield service, use.target, use.span, f"uses `{use.target.name}`"

    # -------------------------------------------------------------------------------------------- dead letters

    @cached_property
    def circulations(self) -> tuple[Circulation, ...]:
        """Circles of dead-letter channels, by name; those that end in time (see :func:`_is_decided`) are left out."""
        moves = self._moves()
        names = sorted({channel.name for move in moves for channel in (move.source, move.target)})
        numbers = {name: number for number, name in enumerate(names)}
        successors: list[list[int]] = [[] for _ in names]
        for move in moves:
            successors[numbers[move.source.name]].append(numbers[move.target.name])
        found = []
        for part in strong_parts(successors):
            inside = {names[number] for number in part}
            here = [move for move in moves if move.source.name in inside and move.target.name in inside]
            ways: dict[object, list[object]] = {}
            for move in here:
                ways.setdefault(move.source.name, []).append(move.target.name)
            cycle = shortest_cycle(ways, [(move.source.name, move.target.name) for move in here])
            assert cycle is not None
            by_ends = {(move.source.name, move.target.name): move for move in here}
            first = cycle.index(min(map(str, cycle)))
            turned = [str(name) for name in (*cycle[first:], *cycle[:first])]
            way = tuple(by_ends[name, turned[(i + 1) % len(turned)]] for i, name in enumerate(turned))
            if not _is_decided(way):
                found.append(Circulation(way))
        return tuple(found)

    def _moves(self) -> list[Move]:
        """Where the messages of each channel go, in the order of the channels' names."""
        consumers = self._consumers
        moves: list[Move] = []
        for channel in self.system.channels.values():
            readers = consumers.get(channel, [])
            own = [process.fact("dead_letter") for process in readers]
            fact = channel.fact("dead_letter")
            # What a handler says of its own dead letters is nearer than what the channel says.
            facts = [fact] if fact.declared and (not own or any(one.unknown for one in own)) else []
            for one in (*facts, *(one for one in own if one.declared)):
                assert one.span is not None
                target, after = one.value.channel, one.value.after
                why: Literal["deliveries", "expiry", "rejected"] = "rejected"
                if after is not None:
                    why = "deliveries"
                elif not readers:
                    why = "expiry"
                moves.append(Move(channel, target, why, one.span, after is not None))
                redrive = channel.fact("redrive")
                if redrive.declared and redrive.span is not None:
                    moves.append(Move(target, channel, "redrive", redrive.span, after is not None))
        # Of several ways between two channels, the one that asks nobody decides.
        chosen: dict[tuple[Channel, Channel], Move] = {}
        for move in sorted(moves, key=lambda move: (_ALONE.index(move.why), move.bounded)):
            chosen.setdefault((move.source, move.target), move)
        return sorted(chosen.values(), key=lambda move: (move.source.name, move.target.name))

    @cached_property
    def _consumers(self) -> dict[Channel, list[Process]]:
        """Channel -> the processes that read from it, in model order."""
        result: dict[Channel, list[Process]] = {}
        for process in self.system.processes:
            for channel in _inputs(process):
                result.setdefault(channel, []).append(process)
        for action in self.system.actions:
            if action.kind == "await":
                for use in action.uses:
                    if use.message.channel is not None:
                        known = result.setdefault(use.message.channel, [])
                        if action.process not in known:
                            known.append(action.process)
        return result

    # -------------------------------------------------------------------------------------------- waits

    @cached_property
    def waits(self) -> tuple[Wait, ...]:
        """Handlers that hold a bounded pool or an ordered partition while they wait for what has to pass through it."""
        found = []
        for action in self.system.actions:
            process = action.process
            if action.kind == "await" and process.kind == "handler" and not process.service.external:
                wait = self._wait(process, action)
                if wait is not None:
                    found.append(wait)
        return tuple(found)

    def _wait(self, process: Process, action: Action) -> Wait | None:
        for channel in _inputs(process):
            order = _serial(channel)
            if order is not None:
                pool = [
                    one
                    for one in self._consumers.get(channel, ())
                    if one.service is process.service and not one.workflow
                ]
                delivered = all(use.message.channel is channel for use in action.uses)
                if delivered or self._needs(action, pool):
                    return Wait(process, action, channel, order, 1, delivered)
        slots = process.fact("concurrency")
        if not slots.declared:
            return None
        for channel in _inputs(process):
            if all(use.message.channel is channel for use in action.uses):
                return Wait(process, action, channel, slots, slots.value, True)
        if self._needs(action, [process]):
            return Wait(process, action, None, slots, slots.value, False)
        return None

    def _needs(self, action: Action, pool: Collection[Process]) -> bool:
        """Whether all that leads to the awaited messages starts a process of the pool."""
        wanted = {self.causality.number(use.message) for use in action.uses if not use.message.phantom}
        if not wanted or not any(self.index.producers(use.message) for use in action.uses):
            return False
        banned = {process.start for process in pool}
        # The handler itself runs already; what it has done before it waits may still lead there.
        roots = {node for node in self.causality.entry_nodes if node not in banned}
        before = self._leading_to(action)
        seen = roots | before
        stack = sorted(seen)
        while stack:
            node = stack.pop()
            if node in wanted:
                return False
            inside = node in before
            for target in self.causality.strict_successors[node]:
                if target in seen or target in banned or (inside and target == action.id):
                    continue
                seen.add(target)
                stack.append(target)
        return True

    def _leading_to(self, action: Action) -> set[int]:
        """The actions of its process that control passes before that one."""
        before: dict[int, list[int]] = {}
        for one in self.system.actions_of(action.process):
            for edge in one.edges:
                before.setdefault(edge.target, []).append(one.id)
        seen: set[int] = set()
        stack = [action.id]
        while stack:
            for source in before.get(stack.pop(), ()):
                if source not in seen and source != action.id:
                    seen.add(source)
                    stack.append(source)
        return seen


# ------------------------------------------------------------------------------------------------ what causes what


class Link(NamedTuple):
    """The actions by which a process passes something on, and the processes that get it."""

    actions: tuple[Action, ...]
    targets: tuple[Process, ...]


Links: TypeAlias = dict[tuple[Process, Via], Link]


class Causes:
    """Processes, what they pass on, and who gets it: a bipartite graph, linear in the design."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.given: dict[Process, dict[Via, list[Action]]] = {}
        self.taken: dict[Via, tuple[Process, ...]] = {}
        for action in index.system.actions:
            for via in self._passed_by(action):
                self.given.setdefault(action.process, {}).setdefault(via, []).append(action)

    def _passed_by(self, action: Action) -> Iterator[Via]:
        vias: list[Via] = []
        if action.kind in {"emit", "send", "call"}:
            vias.append(action.message)
        elif action.kind == "write":
            vias += [Change(entity.store, entity.entity) for entity in action.entities]
        for via in vias:
            if via not in self.taken:
                if isinstance(via, Message):
                    takers: Iterable[Process] = self.index.started.get(via, ())
                else:
                    entity = next(one for one in action.entities if (one.store, one.entity) == via)
                    takers = self.index.reacting(entity)
                self.taken[via] = tuple(dict.fromkeys(takers))
            if self.taken[via]:
                yield via

    def links(self, processes: Iterable[Process], kinds: Callable[[Action], bool]) -> Links:
        """What those processes pass to each other by actions of those kinds, in model order."""
        among = set(processes)
        result: Links = {}
        for process in sorted(among, key=lambda one: one.start):
            for via, actions in self.given.get(process, {}).items():
                chosen = tuple(filter(kinds, actions))
                targets = tuple(target for target in self.taken[via] if target in among)
                if chosen and targets:
                    result[process, via] = Link(chosen, targets)
        return result

    def parts(self, processes: Iterable[Process], kinds: Callable[[Action], bool]) -> list[list[Process]]:
        """The strongly connected parts with a cycle; each in model order, the parts by their first process."""
        return connected(self.links(processes, kinds))

    def passed(self, processes: Iterable[Process], kinds: Callable[[Action], bool]) -> set[Via]:
        """What those processes pass to each other."""
        return {via for _, via in self.links(processes, kinds)}


def connected(links: Links) -> list[list[Process]]:
    """The strongly connected parts with a cycle; each in model order, the parts by their first process."""
    nodes: dict[object, int] = {}
    for (process, via), link in links.items():
        for node in (process, via, *link.targets):
            nodes.setdefault(node, len(nodes))
    successors: list[list[int]] = [[] for _ in nodes]
    for (process, via), link in links.items():
        successors[nodes[process]].append(nodes[via])
        if not successors[nodes[via]]:
            successors[nodes[via]] = [nodes[target] for target in link.targets]
    names = list(nodes)
    parts = []
    for part in strong_parts(successors):
        members = [node for node in (names[number] for number in part) if isinstance(node, Process)]
        parts.append(sorted(members, key=lambda one: one.start))
    return sorted(parts, key=lambda part: part[0].start)


def within(links: Links, processes: Iterable[Process]) -> Links:
    """The links between those processes."""
    among = set(processes)
    return {
        (process, via): link._replace(targets=tuple(target for target in link.targets if target in among))
        for (process, via), link in links.items()
        if process in among and not among.isdisjoint(link.targets)
    }


def breaks(process: Process) -> bool:
    """Whether every loop through the process ends there: ``max-hops``, ``max-depth``, ``if-changed``, ``when … until``, or
    that somebody outside the design decides each round.
    """
    when = process.fact("when")
    return (
        process.service.external
        or process.fact("max_hops").declared
        or process.fact("max_depth").declared
        or process.fact("if_changed").declared
        or (when.declared and when.value.until is not None)
    )


def _breaks_no_call(process: Process) -> bool:
    return False


def _any_action(action: Action) -> bool:
    return True


def _guards(process: Process) -> list[Guard]:
    """What the process as a whole says that may end a loop."""
    found = []
    for name in ("max_hops", "max_depth"):
        # Only calls come here with one: a bound on messages breaks a loop for good, a chain of calls still waits in a circle.
        bound = process.fact(name)
        if bound.declared and bound.span is not None:
            found.append(Guard(f"`{bound.text}` bounds it", bound.span))
    when = process.fact("when")
    if when.declared and when.span is not None:
        found.append(Guard(f"`{when.text}` may stop it", when.span))
    idempotent = process.fact("idempotent")
    if (
        idempotent.declared
        and idempotent.value
        and not process.fact("re_emits").declared
        and idempotent.span is not None
    ):
        found.append(Guard(f"`{idempotent.text}` may recognise a repetition", idempotent.span))
    return found


def _hesitates(actions: Iterable[Action]) -> bool:
    """Whether each of those actions waits first or may fail without harm."""
    return all((action.kind == "send" and action.delay) or action.own_fact("optional").declared for action in actions)


def _hesitation(action: Action) -> str:
    return "the call is optional" if action.own_fact("optional").declared else "each round waits first"


def _condition(hop: Hop) -> str:
    return f"not every run of `{hop.source.name}` gets here"


def _weights(
    links: Links, rates: Mapping[tuple[Process, Via], Emission], *, least: bool = False
) -> dict[Process, dict[Process, float]]:
    """How often one run of a process leads to one run of another, on average and at most (or at least)."""
    result: dict[Process, dict[Process, float]] = {}
    for (process, via), link in links.items():
        mean = rates[process, via].least if least else rates[process, via].most
        row = result.setdefault(process, {})
        for target in link.targets if mean else ():
            row[target] = row.get(target, 0.0) + mean
    return result


_LARGEST = 300


def loop_gain(weights: Mapping[Process, Mapping[Process, float]], start: Process) -> float:
    """The mean number of times that one run of a process leads back to it, counting each way back once.

    The loop is a branching process with several types: ``weights[p][q]`` is the mean number of runs of ``q`` that one run of
    ``p`` causes. Taking out one type after the other by ``w[p][q] += w[p][r] * w[r][q] / (1 - w[r][r])`` leaves the gain
    ``g`` of the start as its own weight: a single cycle gives the product of its weights. Below 1 the loop dies out with
    probability 1, and the start runs ``1 / (1 - g)`` times for one trigger on average (sum of a geometric series); at 1 and
    above it does not (Harris, "The theory of branching processes", 1963, ch. II). Infinity where a part beside the start does
    not die out, and for more than a few hundred processes, where it would take too long.
    """
    rows = {process: dict(row) for process, row in weights.items()}
    if len(rows) > _LARGEST:
        return math.inf
    for process in sorted(rows, key=lambda one: one.start):
        if process is start:
            continue
        row = rows.pop(process)
        again = row.pop(process, 0.0)
        if again >= 1:
            return math.inf
        for other in rows.values():
            share = other.pop(process, 0.0)
            if share:
                for target, weight in row.items():
                    other[target] = other.get(target, 0.0) + share * weight / (1 - again)
    return rows.get(start, {}).get(start, 0.0)


# ------------------------------------------------------------------------------------------------ dependencies


def _is_ours(source: Service, target: Service) -> bool:
    """Whether both are built and deployed here; who is outside keeps no step with anybody."""
    phantom = source.phantom or target.phantom
    return source is not target and not phantom and not source.external and not target.external


def _tangles(
    kind: Literal["service", "context"], edges: Mapping[tuple[str, str], list[tuple[Span, str]]]
) -> list[Tangle]:
    names = sorted({name for edge in edges for name in edge})
    numbers = {name: number for number, name in enumerate(names)}
    successors: list[list[int]] = [[] for _ in names]
    for source, target in sorted(edges):
        successors[numbers[source]].append(numbers[target])
    found = []
    for part in strong_parts(successors):
        members = {names[number] for number in part}
        inside = {edge: places for edge, places in sorted(edges.items()) if members.issuperset(edge)}
        ways: dict[object, list[object]] = {}
        for source, target in inside:
            ways.setdefault(source, []).append(target)
        cycle = shortest_cycle(ways, inside)
        assert cycle is not None
        pairs = [(str(node), str(cycle[(i + 1) % len(cycle)])) for i, node in enumerate(cycle)]
        feedback, exact = feedback_edges({edge: len(places) for edge, places in inside.items()})
        found.append(
            Tangle(
                kind,
                tuple(sorted(members)),
                tuple(Dependency(*pair, tuple(inside[pair])) for pair in pairs),
                tuple(Dependency(*pair, tuple(inside[pair])) for pair in feedback),
                exact,
                kind == "context",
            )
        )
    return found


# ------------------------------------------------------------------------------------------------ channels


_ALONE = ("deliveries", "expiry", "rejected", "redrive")
"""Why a message leaves a channel, from the broker alone to a person."""


def _is_decided(way: Iterable[Move]) -> bool:
    """Whether a person or a job puts each dead letter back after a number of deliveries that is declared."""
    moves = tuple(way)
    return any(move.why == "redrive" for move in moves) and all(move.bounded for move in moves)


def _inputs(process: Process) -> list[Channel]:
    """The channels the process reads its triggers from: the subscription's own, else that of the message."""
    found: dict[Channel, None] = {}
    for trigger in process.triggers:
        for use in trigger.uses:
            channel = trigger.via or use.message.channel
            if channel is not None and not channel.phantom:
                found[channel] = None
    return list(found)


def _serial(channel: Channel) -> Fact | None:
    """The fact by which the channel hands out one message after the other (of each key): its order or its one partition."""
    ordering, partitions = channel.fact("ordering"), channel.fact("partitions")
    if ordering.declared:
        return ordering
    return partitions if partitions.declared and partitions.value == 1 else None
