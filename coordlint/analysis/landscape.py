"""The landscape of a design: what there is and what goes from where to where, as plain nodes and edges for drawings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from coordlint.graph import Index
from coordlint.system import Element, Message, Process, Service, Store, System, Workflow

NODE_KINDS = ("service", "external", "workflow", "event", "command", "query", "store")
EDGE_KINDS = {
    "publishes": "a service or workflow publishes an event",
    "triggers": "an event starts a reaction",
    "awaited": "an event or command is waited for",
    "sends": "a command goes out, no answer awaited",
    "calls": "a command or query goes out, and the answer is waited for",
    "handled": "a command or query is handled",
    "stores": "state is kept in a store",
    "needs": "cannot work without",
}
"""What the edges mean; events and commands are nodes of their own."""


class Node(NamedTuple):
    """One thing of the design. ``id`` is stable and safe in every format: ``event-order-placed-3``."""

    id: str
    kind: str
    name: str
    title: str
    context: str
    inside: str
    element: Element


class Edge(NamedTuple):
    """Something goes from one node to another; ``kind`` is one of :data:`EDGE_KINDS`."""

    source: str
    target: str
    kind: str


class Landscape(NamedTuple):
    """Nodes by kind and name, edges by their ends; each edge once."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def landscape(index: Index) -> Landscape:
    """The landscape of a system. A workflow stands inside the service it runs in."""
    system = index.system
    ids = dict(_ids(system))
    nodes = tuple(
        Node(
            ids[element],
            _kind(element),
            element.name,
            element.title,
            element.context,
            ids[element.service] if isinstance(element, Workflow) and element.service in ids else "",
            element,
        )
        for element in ids
    )
    edges = {edge for edge in _edges(index, ids) if edge.source and edge.target and edge.source != edge.target}
    return Landscape(nodes, tuple(sorted(edges)))


def _ids(system: System) -> Iterator[tuple[Element, str]]:
    taken: dict[str, int] = {}
    for element in (
        *system.services.values(),
        *system.workflows.values(),
        *system.messages.values(),
        *system.stores.values(),
    ):
        words = "".join(char if char.isascii() and char.isalnum() else "-" for char in element.name).strip("-")
        base = f"{_kind(element)}-{words}"[:60].rstrip("-")
        taken[base] = taken.get(base, 0) + 1
        yield element, base if taken[base] == 1 else f"{base}-{taken[base]}"


def _kind(element: Element) -> str:
    if isinstance(element, Service):
        return "external" if element.external else "service"
    if isinstance(element, Workflow):
        return "workflow"
    if isinstance(element, Message):
        return element.kind
    return "store"


def _edges(index: Index, ids: dict[Element, str]) -> Iterator[Edge]:
    system = index.system

    def owner(process: Process) -> str:
        return ids.get(process.workflow if process.workflow is not None else process.service, "")

    for action in system.actions:
        here = owner(action.process)
        if action.kind in {"emit", "send", "call"}:
            word = {"emit": "publishes", "send": "sends", "call": "calls"}[action.kind]
            yield Edge(here, ids.get(action.message, ""), word)
            if action.kind != "emit" and not index.handlers(action.message) and action.use.service is not None:
                yield Edge(ids.get(action.message, ""), ids.get(action.use.service, ""), "handled")
        elif action.kind == "await":
            for use in action.uses:
                yield Edge(ids.get(use.message, ""), here, "awaited")
        elif action.kind in {"read", "write"}:
            for entity in action.entities:
                yield Edge(here, ids.get(entity.store, ""), "stores")
    for process in system.processes:
        for trigger in process.triggers:
            for use in trigger.uses:
                word = "triggers" if use.message.kind == "event" else "handled"
                yield Edge(ids.get(use.message, ""), owner(process), word)
            if trigger.entity is not None:
                yield Edge(ids.get(trigger.entity.store, ""), owner(process), "triggers")
    for service in system.services.values():
        for needed in service.uses:
            target = needed.target
            yield Edge(ids[service], ids.get(target, ""), "stores" if isinstance(target, Store) else "needs")
    for workflow in system.workflows.values():
        state = workflow.fact("state").value
        if isinstance(state, Store):
            yield Edge(ids[workflow], ids.get(state, ""), "stores")
