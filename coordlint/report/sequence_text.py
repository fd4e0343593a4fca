"""A path of a flow as text for other tools: a Mermaid sequence diagram, or a numbered graph in Graphviz DOT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.record import And, Arrow, Begin, Finish, Remark
from coordlint.report.drawing import shown

if TYPE_CHECKING:
    from coordlint.analysis.sequences import Path

_MERMAID = {"call": "->>", "reply": "-->>", "send": "-)", "event": "--)", "change": "--)"}
_DOT = {
    "call": "",
    "send": "arrowhead=open",
    "event": "style=dashed, arrowhead=open",
    "change": "style=dotted, arrowhead=open",
}
_WORDS = {"compensation": "undo: ", "failure": "on failure: ", "timeout": "on timeout: ", "fallback": "fallback: "}


def mermaid(path: Path) -> str:
    """The path as a Mermaid sequence diagram."""
    names = {party.key: f"p{number}" for number, party in enumerate(path.parties)}
    lines = ["sequenceDiagram"]
    for party in path.parties:
        kind = "actor" if party.kind in {"external", "outside"} else "participant"
        host = f" (in {party.host})" if party.host else ""
        lines.append(f"  {kind} {names[party.key]} as {entity(party.name + host)}")
    depth = 1
    for item in path.items:
        indent = "  " * depth
        if isinstance(item, Arrow):
            text = item.text if item.kind == "reply" else f"{item.number} {_WORDS.get(item.region, '')}{item.text}"
            sign = "-x" if item.failing and item.kind != "reply" else _MERMAID[item.kind]
            lines.append(f"{indent}{names[item.source]}{sign}{names[item.target]}: {entity(text or 'answer')}")
        elif isinstance(item, Remark):
            lines.append(
                f"{indent}Note right of {names[item.party]}: {entity(_WORDS.get(item.region, '') + item.text)}"
            )
        elif isinstance(item, Begin):
            lines.append(f"{indent}{item.kind} {entity(item.text)}")
            depth += 1
        elif isinstance(item, And):
            lines.append(f"{'  ' * (depth - 1)}and")
        elif isinstance(item, Finish):
            depth -= 1
            lines.append(f"{'  ' * depth}end")
    return "\n".join(lines) + "\n"


def dot(path: Path, *, name: str) -> str:
    """The path as a communication diagram: who talks to whom, with numbers for the order."""
    names = {party.key: f"p{number}" for number, party in enumerate(path.parties)}
    lines = [f"digraph {_quoted(name)} {{", "  rankdir=LR", '  node [shape=box, fontname="sans-serif", fontsize=11]']
    for party in path.parties:
        style = {
            "external": ', style="rounded,dashed"',
            "outside": ", shape=plaintext",
            "workflow": ", shape=component",
        }
        lines.append(f"  {names[party.key]} [label={_quoted(party.name)}{style.get(party.kind, ', style=rounded')}]")
    for item in path.items:
        if isinstance(item, Arrow) and item.kind != "reply":
            label = f"{item.number} {_WORDS.get(item.region, '')}{item.text}" + (" (in vain)" if item.failing else "")
            look = f", {_DOT[item.kind]}" if _DOT[item.kind] else ""
            lines.append(f"  {names[item.source]} -> {names[item.target]} [label={_quoted(label)}{look}]")
    return "\n".join((*lines, "}")) + "\n"


def entity(text: str) -> str:
    """Text that Mermaid takes for nothing but text: everything but plain letters, digits and a few signs as a numeric entity."""
    return "".join(char if char.isalnum() or char in " .,_-/" else f"#{ord(char)};" for char in shown(text)) or "#160;"


def _quoted(text: str) -> str:
    escaped = shown(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
