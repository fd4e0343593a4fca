"""Views of the landscape that fit on a page: by context, and by flow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from coordlint.analysis.flows import FlowView
from coordlint.analysis.landscape import Landscape, Node
from coordlint.system import Element, Message, Process

LARGE = 120
"""Nodes beyond which a drawing starts from the contexts."""


class Region(NamedTuple):
    """A context, or a stand-in where none is declared: a file, or things that are closely connected.

    ``links`` counts, by the name of another region, the commands and the events that go there.
    """

    name: str
    nodes: tuple[Node, ...]
    commands: dict[str, int]
    events: dict[str, int]


def part(found: Landscape, ids: Iterable[str]) -> Landscape:
    """Those nodes and the edges between them."""
    wanted = set(ids)
    return Landscape(
        tuple(node for node in found.nodes if node.id in wanted),
        tuple(edge for edge in found.edges if edge.source in wanted and edge.target in wanted),
    )


def neighbourhood(found: Landscape, nodes: Iterable[Node]) -> Landscape:
    """Those nodes, what is directly connected to them, and the edges that touch them."""
    inside = {node.id for node in nodes}
    edges = tuple(edge for edge in found.edges if edge.source in inside or edge.target in inside)
    around = inside.union(*((edge.source, edge.target) for edge in edges)) if edges else inside
    return Landscape(tuple(node for node in found.nodes if node.id in around), edges)


def flow_nodes(view: FlowView, ids: dict[Element, str]) -> list[str]:
    """The ids of all that an instance of the flow can touch, in the order of the model."""
    elements: dict[Element, None] = {}
    system = view.causality.system
    if view.flow.source is not None:
        elements[view.flow.source] = None
    for process in view.processes:
        elements[_owner(process)] = None
    for node in sorted(view.nodes):
        message = view.causality.message_at(node)
        if message is not None:
            elements[message] = None
            continue
        action = system.actions[node]
        for entity in action.entities:
            elements[entity.store] = None
        if action.kind in {"emit", "send", "call"}:
            elements[action.message] = None
            if action.use.service is not None and not _is_handled(view, action.message):
                elements[action.use.service] = None
    return [ids[element] for element in elements if element in ids]


def regions(found: Landscape) -> list[Region]:
    """The landscape by contexts, by files where no context is declared, else by what is closely connected."""
    names = _region_names(found)
    members: dict[str, list[Node]] = {}
    for node in found.nodes:
        members.setdefault(names[node.id], []).append(node)
    commands: dict[str, Counter[str]] = {name: Counter() for name in members}
    events: dict[str, Counter[str]] = {name: Counter() for name in members}
    kinds = {node.id: node.kind for node in found.nodes}
    for edge in found.edges:
        source, target = names[edge.source], names[edge.target]
        if source != target:
            table = events if "event" in (kinds[edge.source], kinds[edge.target]) else commands
            table[source][target] += 1
    return [
        Region(name, tuple(members[name]), dict(sorted(commands[name].items())), dict(sorted(events[name].items())))
        for name in sorted(members)
    ]


def _region_names(found: Landscape) -> dict[str, str]:
    if any(node.context for node in found.nodes):
        return {node.id: node.context or "outside all contexts" for node in found.nodes}
    files = {node.id: node.element.place.source.path for node in found.nodes}
    if 1 < len(set(files.values())) <= LARGE:
        return files
    return _communities(found)


def _communities(found: Landscape) -> dict[str, str]:
    """Label propagation (Raghavan et al., 2007) in a fixed order: each node takes the label most of its neighbours have."""
    near: dict[str, list[str]] = {node.id: [] for node in found.nodes}
    for edge in found.edges:
        near[edge.source].append(edge.target)
        near[edge.target].append(edge.source)
    label = {one: one for one in near}
    for _ in range(12):
        changed = False
        for one, others in near.items():
            if others:
                counts = Counter(label[other] for other in others)
                best = min(counts, key=lambda name: (-counts[name], name))
                changed, label[one] = changed or label[one] != best, best
        if not changed:
            break
    groups: dict[str, list[Node]] = {}
    for node in found.nodes:
        groups.setdefault(label[node.id], []).append(node)
    names: dict[str, str] = {}
    alone = {key for key, nodes in groups.items() if len(nodes) == 1}
    for key, nodes in groups.items():
        centre = max(nodes, key=lambda node: (node.kind in {"service", "workflow"}, len(near[node.id]), node.id))
        for node in nodes:
            names[node.id] = "unconnected" if key in alone else f"around {centre.name}"
    return names


def _owner(process: Process) -> Element:
    return process.workflow if process.workflow is not None else process.service


def _is_handled(view: FlowView, message: Message) -> bool:
    return bool(view.causality.index.handlers(message))
