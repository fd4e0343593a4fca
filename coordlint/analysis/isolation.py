"""Isolation of sagas: which entities two workflows touch without a countermeasure, and in which order they lock.

Sagas are atomic, consistent and durable, but not isolated: between a compensatable step and the end of its saga, others see
and change what may yet be undone. Source: Richardson, *Microservices Patterns*, chapter 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Literal, NamedTuple

from coordlint.analysis.calls import strong_components
from coordlint.analysis.effects import Key
from coordlint.analysis.sagas import Saga, Sagas, SagaStep
from coordlint.system import Action, Fact


class Touch(NamedTuple):
    """A step that reads or writes an entity, and the action that does so."""

    saga: Saga
    step: SagaStep
    action: Action


class Anomaly(NamedTuple):
    """Two workflows get in each other's way at one entity.

    Attributes:
        kind: ``lost update`` (both write), ``dirty read`` (one reads what the other may undo), or ``fuzzy read`` (one reads
            twice, and the other writes in between).
        entity: the entity.
        first: the compensatable write, or the first of the two reads.
        other: what the other workflow does.
    """

    kind: Literal["lost update", "dirty read", "fuzzy read"]
    entity: Key
    first: Touch
    other: Touch


class Lock(NamedTuple):
    """A semantic lock: the workflow holds ``held`` when it takes ``taken``.

    ``side_by_side``: the two steps run in parallel, so that either may come first.
    """

    saga: Saga
    held: Key
    taken: Key
    first: SagaStep
    then: SagaStep
    side_by_side: bool


class Isolation:
    """The questions about isolation, over all workflows of a design. Linear in the touches of each entity and in the steps."""

    def __init__(self, sagas: Sagas) -> None:
        self.sagas = sagas
        self.system = sagas.system

    # -------------------------------------------------------------------------------------------- anomalies

    @cached_property
    def touches(self) -> tuple[dict[Key, list[Touch]], dict[Key, list[Touch]]]:
        """The reads and the writes of each entity by steps of workflows, in model order."""
        reads: dict[Key, list[Touch]] = {}
        writes: dict[Key, list[Touch]] = {}
        for saga in self.sagas.workflows:
            for step in saga.steps:
                for table, touched in ((reads, step.effects.reads), (writes, step.effects.writes)):
                    for key, action in touched.items():
                        if key[1] is not None:
                            table.setdefault(key, []).append(Touch(saga, step, action))
        return reads, writes

    def anomalies(self) -> Iterator[Anomaly]:
        """At most one anomaly of each kind for each entity, the entities in the order of their names."""
        reads, writes = self.touches
        for key in sorted(writes, key=lambda one: (one[0].name, one[1] or "")):
            open_writes = [touch for touch in writes[key] if not self.countermeasure(touch.step).declared]
            undoable = [touch for touch in open_writes if self._may_be_undone(touch.step)]
            open_reads = [touch for touch in reads.get(key, ()) if not self.countermeasure(touch.step).declared]
            candidates = (
                ("lost update", _pair(undoable, open_writes)),
                ("dirty read", _pair(undoable, open_reads)),
                ("fuzzy read", _pair(_again(open_reads), undoable)),
            )
            for kind, pair in candidates:
                if pair is not None and not in_one_queue(*pair):
                    yield Anomaly(kind, key, *pair)  # type: ignore[arg-type]

    def countermeasure(self, step: SagaStep) -> Fact:
        """The fact ``isolation`` of a step."""
        return step.step.fact("isolation", self.system)

    def _may_be_undone(self, step: SagaStep) -> bool:
        return step.compensation.declared and not step.after_pivot and step.kind != "pivot"

    # -------------------------------------------------------------------------------------------- locks

    @cached_property
    def locks(self) -> list[Lock]:
        """G_lock: the pairs of different entities that a workflow locks one while it holds the other, in model order."""
        found = []
        for saga in self.sagas.workflows:
            locking = [step for step in saga.steps if self.countermeasure(step).value == "semantic-lock"]
            for first in locking:
                beside = self.sagas.beside(first.step)
                behind = self.sagas.behind(first.step) - set(first.step.actions)
                for then in locking:
                    start = then.step.actions[0]
                    if then is first or (start not in beside and start not in behind):
                        continue
                    for held in first.effects.writes:
                        for taken in then.effects.writes:
                            if held != taken:
                                found.append(Lock(saga, held, taken, first, then, start in beside))
        return found

    def inversions(self) -> list[list[Lock]]:
        """One shortest circle for each set of entities that are locked in circles by runs that can meet.

        Two runs of one workflow can meet only in a circle if it locks side by side: in sequence every run has one order, and
        branches that exclude each other are exempt.
        """
        keys = sorted({key for lock in self.locks for key in (lock.held, lock.taken)}, key=_name)
        number = {key: i for i, key in enumerate(keys)}
        edges: dict[tuple[int, int], list[Lock]] = {}
        for lock in self.locks:
            edges.setdefault((number[lock.held], number[lock.taken]), []).append(lock)
        successors: list[list[int]] = [[] for _ in keys]
        for held, taken in edges:
            successors[held].append(taken)
        component = strong_components(successors)
        groups: dict[int, list[int]] = {}
        for i in range(len(keys)):
            groups.setdefault(component[i], []).append(i)
        circles = (self._circle(members, successors, edges) for members in groups.values() if len(members) > 1)
        return [circle for circle in circles if circle is not None]

    def _circle(
        self, members: list[int], successors: list[list[int]], edges: dict[tuple[int, int], list[Lock]]
    ) -> list[Lock] | None:
        """The shortest circle of different workflows, or of one that locks side by side, from the first entity that has one."""
        inside = set(members)
        for start in members:
            came: dict[int, int] = {}
            queue = [start]
            for node in queue:
                for target in sorted(successors[node]):
                    if target == start:
                        path = [node]
                        while path[-1] != start:
                            path.append(came[path[-1]])
                        path.reverse()
                        circle = _witness([edges[pair] for pair in zip(path, [*path[1:], start], strict=True)])
                        if circle is not None:
                            return circle
                    elif target in inside and target not in came and target != start:
                        came[target] = node
                        queue.append(target)
        return None


def _witness(alternatives: list[list[Lock]]) -> list[Lock] | None:
    """One lock for each edge of a circle, so that they belong to runs that can meet."""
    circle = [locks[0] for locks in alternatives]
    if len({lock.saga.process for lock in circle}) > 1 or any(lock.side_by_side for lock in circle):
        return circle
    for position, locks in enumerate(alternatives):
        for lock in locks[1:]:
            if lock.saga.process is not circle[0].saga.process or lock.side_by_side:
                return [*circle[:position], lock, *circle[position + 1 :]]
    return None


def _pair(firsts: list[Touch], others: list[Touch]) -> tuple[Touch, Touch] | None:
    """The first pair from two different workflows."""
    one = others[0] if others else None
    two = next((other for other in others if one is not None and other.saga.process is not one.saga.process), None)
    for first in firsts:
        other = one if one is not None and one.saga.process is not first.saga.process else two
        if other is not None:
            return first, other
    return None


def _again(reads: list[Touch]) -> list[Touch]:
    """The first read of each workflow that reads in two steps."""
    steps: dict[object, list[Touch]] = {}
    for touch in reads:
        steps.setdefault(touch.saga.process, []).append(touch)
    return [touches[0] for touches in steps.values() if len(touches) > 1]


def in_one_queue(first: Touch, other: Touch) -> bool:
    """Whether the requests of both travel over one channel that keeps the order per key."""
    channels = {request.message.channel for touch in (first, other) for request in touch.step.requests}
    if len(channels) != 1:
        return False
    channel = channels.pop()
    return channel is not None and channel.fact("ordering").declared


def _name(key: Key) -> tuple[str, str]:
    return key[0].name, key[1] or ""
