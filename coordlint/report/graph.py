"""The landscape of a design as Graphviz DOT, Mermaid, GraphML or JSON, for documents and other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.report.json import to_json
from coordlint.report.xml import is_allowed
from coordlint.source import printable, printable_char

if TYPE_CHECKING:
    from coordlint.analysis.landscape import Landscape, Node

FORMATS = ("dot", "mermaid", "json", "graphml")

_DOT_SHAPES = {
    "service": 'shape=box, style="rounded,filled", fillcolor="#dbeafe"',
    "external": 'shape=box, style="rounded,dashed"',
    "workflow": 'shape=component, style=filled, fillcolor="#ede9fe"',
    "event": 'shape=cds, style=filled, fillcolor="#fef3c7"',
    "command": 'shape=note, style=filled, fillcolor="#dcfce7"',
    "query": 'shape=note, style="filled,dashed", fillcolor="#f0fdf4"',
    "store": 'shape=cylinder, style=filled, fillcolor="#f3f4f6"',
}
_DOT_EDGES = {
    "publishes": "style=dashed",
    "triggers": "style=dashed",
    "awaited": "style=dashed, arrowhead=odot",
    "sends": "",
    "calls": "arrowhead=normal, arrowtail=open, dir=both",
    "handled": "",
    "stores": "style=dotted, arrowhead=none",
    "needs": "style=dotted, arrowhead=vee",
}
_MERMAID_SHAPES = {
    "service": ("[", "]"),
    "external": ("([", "])"),
    "workflow": ("[[", "]]"),
    "event": (">", "]"),
    "command": ("[/", "/]"),
    "query": ("[/", "\\]"),
    "store": ("[(", ")]"),
}
_MERMAID_EDGES = {
    "publishes": "-.->",
    "triggers": "-.->",
    "awaited": "-.-o",
    "sends": "-->",
    "calls": "<-->",
    "handled": "-->",
    "stores": "---",
    "needs": "==>",
}


def render(found: Landscape, format: str, *, name: str = "design") -> str:
    """The landscape as text.

    Args:
        found: what to draw.
        format: one of `FORMATS`.
        name: the title of the drawing.

    Raises:
        ValueError: the format does not exist.
    """
    if format == "json":
        return _json(found, name)
    if format == "dot":
        return _dot(found, name)
    if format == "mermaid":
        return _mermaid(found)
    if format == "graphml":
        return _graphml(found, name)
    raise ValueError(f"there is no format `{format}`")


def _json(found: Landscape, name: str) -> str:
    nodes = [{"id": n.id, "kind": n.kind, "name": n.name, "title": n.title, "context": n.context} for n in found.nodes]
    return to_json({"version": 1, "name": name, "nodes": nodes, "edges": [edge._asdict() for edge in found.edges]})


def _graphml(found: Landscape, name: str) -> str:
    import networkx as nx

    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(name=name)
    for node in found.nodes:
        graph.add_node(
            node.id, kind=node.kind, name=_xml(node.name), title=_xml(node.title), context=_xml(node.context)
        )
    for edge in found.edges:
        graph.add_edge(edge.source, edge.target, kind=edge.kind)
    return "\n".join(nx.generate_graphml(graph)) + "\n"


def _xml(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold; the writer escapes the others."""
    return "".join(char if is_allowed(char) else printable_char(char) for char in text)


def _dot(found: Landscape, name: str) -> str:
    lines = [f"digraph {_quoted(name)} {{", "  rankdir=LR", '  node [fontname="sans-serif", fontsize=11]']
    for number, context in enumerate(sorted({node.context for node in found.nodes})):
        indent = "  "
        if context:
            lines += [f"  subgraph cluster_{number} {{", f"    label={_quoted(context)}", "    color=gray"]
            indent = "    "
        for node in found.nodes:
            if node.context == context:
                lines.append(f"{indent}{_quoted(node.id)} [label={_quoted(_label(node))}, {_DOT_SHAPES[node.kind]}]")
        if context:
            lines.append("  }")
    for edge in found.edges:
        style = _DOT_EDGES[edge.kind]
        lines.append(f"  {_quoted(edge.source)} -> {_quoted(edge.target)}" + (f" [{style}]" if style else ""))
    return "\n".join((*lines, "}")) + "\n"


def _quoted(text: str) -> str:
    escaped = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _mermaid(found: Landscape) -> str:
    lines = ["flowchart LR"]
    numbers = {node.id: f"n{i}" for i, node in enumerate(found.nodes)}
    for number, context in enumerate(sorted({node.context for node in found.nodes})):
        indent = "  "
        if context:
            lines.append(f'  subgraph c{number}["{_entity(context)}"]')
            indent = "    "
        for node in found.nodes:
            if node.context == context:
                left, right = _MERMAID_SHAPES[node.kind]
                lines.append(f'{indent}{numbers[node.id]}{left}"{_entity(_label(node))}"{right}')
        if context:
            lines.append("  end")
    for edge in found.edges:
        lines.append(f"  {numbers[edge.source]} {_MERMAID_EDGES[edge.kind]} {numbers[edge.target]}")
    return "\n".join(lines) + "\n"


def _entity(text: str) -> str:
    """Text inside Mermaid's quotes: everything with a meaning there becomes a numeric entity."""
    return "".join(f"#{ord(char)};" if char in '"#&<>;\\`{}[]()|' else char for char in printable(text))


def _label(node: Node) -> str:
    return node.name
