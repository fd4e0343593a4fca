"""Pair scenes: which two runs of workflows meet at an entity that both of them name, one of them writing it.

Runs without a common entity are independent, and one of them is verified alone. For each entity one writer is paired with each
other workflow that touches it, so that there are never more pairs than touches. Two runs of one workflow are paired only where
the design says that they meet: by an `isolation` at an entity that no other workflow touches, or by semantic locks that one
workflow takes side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from coordlint.analysis.effects import Key, entity_text
from coordlint.analysis.isolation import Isolation, Touch, in_one_queue
from coordlint.explore.scene import Scene, alone

if TYPE_CHECKING:
    from coordlint.analysis.sagas import Saga, Sagas, SagaStep
    from coordlint.graph import Index
    from coordlint.system import Process

LOCK, BY_VALUE = "semantic-lock", "by-value"
"""`by-value` keeps nothing apart: it says that the risk is taken."""


class Pair(NamedTuple):
    """Two runs that share entities.

    Attributes:
        name: how verdicts name it: ``pair of workflow Checkout (shares StockDb.stock)``.
        sagas: the workflows of the two runs; the same one twice for two runs of one workflow.
        scenes: each of them with all that it causes.
        shared: the entities, by name.
    """

    name: str
    sagas: tuple[Saga, Saga]
    scenes: tuple[Scene, Scene]
    shared: tuple[Key, ...]

    @property
    def same(self) -> bool:
        """Two runs of one workflow."""
        return self.sagas[0].process is self.sagas[1].process

    @property
    def names(self) -> list[str]:
        """The names of the workflows, each once."""
        return list(dict.fromkeys(saga.process.name.removeprefix("workflow ") for saga in self.sagas))


def pairs(index: Index, sagas: Sagas) -> Iterator[Pair]:
    """The pair scenes of a design, in model order."""
    isolation = Isolation(sagas)
    order = {saga.process: number for number, saga in enumerate(sagas.workflows)}
    shared: dict[tuple[int, int], dict[Key, None]] = {}
    reads, writes = isolation.touches
    for key in sorted(writes, key=_name):
        touches = [*writes[key], *reads.get(key, ())]
        users = sorted({order[touch.saga.process] for touch in touches})
        if len(users) > 1:
            centre = order[_centre(isolation, writes[key]).saga.process]
            found = [(min(centre, other), max(centre, other)) for other in users if other != centre]
            found = [pair for pair in found if not _queued(touches, pair, order)]
        else:
            found = [(users[0], users[0])] if _meets_itself(isolation, touches) else []
        for pair in found:
            shared.setdefault(pair, {})[key] = None
    for circle in isolation.inversions():
        members = sorted({order[lock.saga.process] for lock in circle})
        if len(members) <= 2:  # a circle of three needs three runs
            shared.setdefault((members[0], members[-1]), {}).update((lock.held, None) for lock in circle)
    workflows = sagas.workflows
    scenes: dict[int, Scene] = {}
    for first, second in sorted(shared):
        for number in (first, second):
            workflow = workflows[number].process.workflow
            if number not in scenes and workflow is not None:
                scenes[number] = alone(index, workflow)
        if not (scenes[first].starts and scenes[second].starts):
            continue
        keys = tuple(sorted(shared[first, second], key=_name))
        names = list(dict.fromkeys(f"workflow {scenes[n].root.name}" for n in (first, second)))
        name = f"pair of {' and '.join(names)} (shares {', '.join(entity_text(key) for key in keys)})"
        yield Pair(name, (workflows[first], workflows[second]), (scenes[first], scenes[second]), keys)


def declared(step: SagaStep, sagas: Sagas) -> str:
    """The declared isolation of a step; empty if nobody says."""
    fact = step.step.fact("isolation", sagas.system)
    return str(fact.value) if fact.declared else ""


def _centre(isolation: Isolation, writes: list[Touch]) -> Touch:
    """The writer that meets all the others: one that may be undone and is kept apart by nothing, if there is one."""

    def weight(touch: Touch) -> int:
        undoable = touch.step.compensation.declared and not touch.step.after_pivot
        return 2 * (not isolation.countermeasure(touch.step).declared) + undoable

    return max(writes, key=weight)


def _queued(touches: list[Touch], pair: tuple[int, int], order: dict[Process, int]) -> bool:
    """Whether all their requests for the entity travel over one channel that keeps the order per key."""
    first, second = ([touch for touch in touches if order[touch.saga.process] == one] for one in pair)
    return all(in_one_queue(one, other) for one in first for other in second)


def _meets_itself(isolation: Isolation, touches: list[Touch]) -> bool:
    """Whether a countermeasure is declared that makes sense only among runs of the one workflow.

    A semantic lock is none: it may be meant for the queries and single commands of others.
    """
    return any(isolation.countermeasure(touch.step).value not in {None, LOCK} for touch in touches)


def _name(key: Key) -> tuple[str, str]:
    return key[0].name, key[1] or ""
