"""Scenes: one workflow or flow with everything it causes, cut out of a design and made ready for compilation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.tables import Kind, Tables
from coordlint.source import Span
from coordlint.system import (
    EntityUse,
    Fact,
    Flow,
    Message,
    MessageUse,
    Process,
    Service,
    Store,
    System,
    Workflow,
)

if TYPE_CHECKING:
    from coordlint.explore.parts import Gathering, Part
    from coordlint.explore.threads import Thread
    from coordlint.graph import Index

WAITING = frozenset({"call", "await", "timer", "fork"})
"""Actions at which a process rests; a handler without one runs in one move."""


class Scene(NamedTuple):
    """What is verified together.

    Attributes:
        name: how messages name it: ``workflow Checkout`` or ``flow OrderToDelivery``.
        root: the workflow or flow.
        processes: the handlers and workflows that take part, in model order.
        starts: the messages that begin it.
        place: where to point at.
        joins: the scenes that it was made of for a single claim; it shows runs and is not judged.
    """

    name: str
    root: Workflow | Flow
    processes: tuple[Process, ...]
    starts: tuple[Message, ...]
    place: Span
    joins: tuple[Scene, ...] = ()

    @property
    def flow(self) -> Flow | None:
        """The flow whose ends and orders are observed."""
        return self.root if isinstance(self.root, Flow) and not self.joins else None


def scenes(index: Index) -> Iterator[Scene]:
    """The scenes of a design: its flows, and the workflows that no flow reaches."""
    system = index.system
    order = _order(index)
    covered: set[Process] = set()
    for flow in system.flows.values():
        starts: list[Message] = []
        for start in flow.starts:
            starts += [start.message] if isinstance(start, MessageUse) else _triggers(start)
        if starts and not any(message.phantom for message in starts):
            processes = _closure(index, order, starts)
            covered.update(processes)
            yield Scene(f"flow {flow.name}", flow, processes, tuple(dict.fromkeys(starts)), flow.place)
    left = {w.process: alone(index, w, order) for w in system.workflows.values() if w.process not in covered}
    members = {process: set(scene.processes) for process, scene in left.items()}
    above: dict[Process, list[Process]] = {}
    for process in left:
        for other in left[process].processes:
            if other in left and other is not process:
                above.setdefault(other, []).append(process)
    for process, scene in left.items():
        # Of workflows that start each other each has a scene, so that it does not matter which of them comes first.
        if all(other in members[process] for other in above.get(process, ())):
            yield scene


def entered(index: Index, order: dict[Process, int], message: Message, source: Service | None, place: Span) -> Scene:
    """The scene of a message that somebody outside of the design sends and no flow begins with.

    Args:
        index: of the design's system.
        order: the number of each process of the system.
        message: what it begins with.
        source: who sends it, if that is known.
        place: where to point at.
    """
    root = Flow(name=message.name, place=place, span=place, starts=(MessageUse(message, place),), source=source)
    return Scene(f"entry {message.name}", root, _closure(index, order, [message]), (message,), place)


def alone(index: Index, workflow: Workflow, order: dict[Process, int] | None = None) -> Scene:
    """The scene of one workflow, whether or not a flow reaches it."""
    starts = _triggers(workflow)
    processes = _closure(index, order if order is not None else _order(index), starts, workflow.process)
    return Scene(f"workflow {workflow.name}", workflow, processes, tuple(dict.fromkeys(starts)), workflow.place)


def _order(index: Index) -> dict[Process, int]:
    return {process: number for number, process in enumerate(index.system.processes)}


def _triggers(workflow: Workflow) -> list[Message]:
    return [use.message for trigger in workflow.process.triggers for use in trigger.uses]


def combined(index: Index, order: dict[Process, int], *some: Scene, keep: frozenset[Process] = frozenset()) -> Scene:
    """A scene that begins with the starts of all of those.

    Args:
        index: of the design's system.
        order: the number of each process of the system.
        some: the scenes; a single one to keep more of it.
        keep: processes that take part although they only build views or tell people.
    """
    starts = list(dict.fromkeys(message for scene in some for message in scene.starts))
    first = [scene.root.process for scene in some if isinstance(scene.root, Workflow)]
    processes = _closure(index, order, starts, *first, keep=keep)
    name = " and ".join(scene.name for scene in some)
    return Scene(name, some[0].root, processes, tuple(starts), some[0].place, some)


def _closure(
    index: Index,
    order: dict[Process, int],
    starts: list[Message],
    *first: Process,
    keep: frozenset[Process] = frozenset(),
) -> tuple[Process, ...]:
    """Every process that the messages can start, and what those cause."""
    system = index.system
    found: dict[Process, None] = dict.fromkeys(first)
    messages = list(starts)
    seen = set(starts)
    todo = list(first)
    while messages or todo:
        if todo:
            process = todo.pop()
            for action in system.actions_of(process):
                if action.kind in {"emit", "send", "call"} and action.message not in seen:
                    seen.add(action.message)
                    messages.append(action.message)
                elif action.kind == "write":
                    new = [one for entity in action.entities for one in affected(index, entity) if one not in found]
                    found.update(dict.fromkeys(new))
                    todo += new
            continue
        for process in index.started.get(messages.pop(), ()):
            cut = process not in keep and _only_reads(process, system)
            if process not in found and not process.contract and not cut:
                found[process] = None
                todo.append(process)
    return tuple(sorted(found, key=order.__getitem__))


def affected(index: Index, entity: EntityUse) -> list[Process]:
    """The processes that a write of that entity reaches: those that react to it, and timers that look at it with their next turn."""
    return list(dict.fromkeys((*index.reacting(entity), *index.polling(entity))))


def _only_reads(process: Process, system: System) -> bool:
    """A read model or a notice without consequences: nothing of it can go wrong for the scene."""
    if not (process.fact("projection").declared or process.fact("notifies").declared):
        return False
    return not any(True for _ in system.actions_of(process, "emit", "send", "call"))


# ------------------------------------------------------------------------------------------------ facts


class Assumption(NamedTuple):
    """A fact that the design does not state, or that a repair would change: its name, what its worse value says, where."""

    name: str
    text: str
    span: Span
    repair: str = ""


class Facts:
    """Three-valued facts become booleans: unknown is benign unless the assumption is made that it is not.

    Args:
        adverse: the names of the unknown facts taken for absent; None takes all of them so.
        changed: facts that are taken for the other value than the declared one: repairs that are tried.
    """

    def __init__(self, adverse: frozenset[str] | None = frozenset(), changed: Mapping[str, bool] | None = None) -> None:
        self.adverse = adverse
        self.changed = changed or {}
        self.unknown: dict[str, Assumption] = {}
        self.worse: dict[str, Assumption] = {}

    def good(self, fact: Fact, name: str, text: str, span: Span, repair: str = "") -> bool:
        """Whether the fact has its benign value.

        Args:
            fact: what is declared.
            name: the name of the fact in this design.
            text: what its worse value says, such as ``ChargeCard is not idempotent``.
            span: where it could be declared.
            repair: what to declare to make it benign.
        """
        assumption = Assumption(name, text, fact.span or span, repair)
        value = fact.declared
        if fact.unknown:
            self.unknown[name] = assumption
            value = self.adverse is not None and name not in self.adverse
        value = self.changed.get(name, value)
        if not value:
            self.worse[name] = assumption
        return value


class Note(NamedTuple):
    """What a row or act means to people: a sentence, its place, and the unknown facts that make it possible."""

    text: str
    span: Span
    facts: tuple[str, ...] = ()
    trail: tuple[int, ...] = ()


@dataclass(slots=True)
class Compiled:
    """A scene as tables, and what the numbers in them mean.

    Attributes:
        threads: by component number.
        parts: by component number.
        kind_facts: the unknown facts by which a kind is copied, lost or dropped.
        gatherings: the joined triggers.
        stores: the observers of stores in memory, by component number.
        goals: the observer of a flow: its component number and the set of what has been seen, by local state.
    """

    scene: Scene
    facts: Facts
    system: System
    tables: Tables
    notes: list[Note] = field(default_factory=list)
    threads: dict[int, Thread] = field(default_factory=dict)
    parts: dict[int, Part] = field(default_factory=dict)
    kind_facts: dict[int, tuple[str, ...]] = field(default_factory=dict)
    gatherings: list[Gathering] = field(default_factory=list)
    stores: dict[int, Store] = field(default_factory=dict)
    goals: tuple[int, list[frozenset[int]]] | None = None
    orders: tuple[int, list[str]] | None = None
    kinds: dict[tuple[object, ...], int] = field(default_factory=dict)

    def note(self, text: str, span: Span, facts: tuple[str, ...] = (), trail: tuple[int, ...] = ()) -> int:
        """The number of a new note."""
        self.notes.append(Note(text, span, facts, trail))
        return len(self.notes) - 1

    def keys(self) -> dict[int, tuple[object, ...]]:
        """What each kind of message stands for."""
        return {kind: key for key, kind in self.kinds.items()}

    def part(self, component: int) -> Part | None:
        """The participant that a component is, if it is one."""
        return self.parts.get(component)

    def kind(self, key: tuple[object, ...], name: str, to: int, **more: object) -> int:
        """The number of a kind of message, made when it is first asked for."""
        if key not in self.kinds:
            self.kinds[key] = len(self.tables.kinds)
            self.tables.kinds.append(Kind(name, to, **more))  # type: ignore[arg-type]
        return self.kinds[key]


def is_atomic(process: Process, system: System) -> bool:
    """Whether a handler runs in one move: it waits for nothing."""
    return process.kind != "workflow" and not any(action.kind in WAITING for action in system.actions_of(process))


def in_loops(process: Process, system: System) -> set[int]:
    """The actions that stand in a loop of a process, or between a `goto` and its aim."""
    actions = [system.actions[number] for number in process.actions]
    found: set[int] = set()
    for loop in actions:
        if loop.kind == "loop":
            ends = [one.id for one in actions for edge in one.edges if edge.target == loop.id and one.id >= loop.id]
            found.update(range(loop.id, max(ends, default=loop.id) + 1))
        elif loop.mode == "goto":
            aims = [edge.target for edge in loop.edges if edge.target <= loop.id]
            found.update(number for aim in aims for number in range(aim, loop.id + 1))
    return found
