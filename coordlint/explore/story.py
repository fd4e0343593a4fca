"""A run told to people: numbered steps with their places, faults set apart, and a diagram of who sent what to whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coordlint.explore.scene import Compiled
from coordlint.explore.space import Move, Space
from coordlint.finding import Step
from coordlint.source import Span

FAULTS = {
    "copy": "a crash before the acknowledgement: the message will be delivered again",
    "lose": "the message is lost",
    "park": "the message ends in the dead-letter channel",
    "overtake": "the message overtakes another one of its channel",
}
"""What faults without a sentence of their own say."""

LANES, WIDE = 6, 16


def tell(compiled: Compiled, space: Space, path: Iterable[tuple[int, Move]]) -> tuple[Step, ...]:
    """The steps of a run. Messages get identities here: each delivery takes the oldest copy, and a copy knows its original."""
    tables = compiled.tables
    internal = {kind for key, kind in compiled.kinds.items() if key[0] in {"go", "done", "bad", "undo", "undone"}}
    origins: dict[int, list[tuple[str, int]]] = {}
    root = compiled.scene.root
    source = getattr(root, "source", None)
    for kind in tables.initial:
        origins.setdefault(kind, []).append((source.name if source is not None else "", 0))
    steps: list[Step] = []
    for _, move in path:
        sender, copy_of = "", 0
        if move.kind >= 0:
            known = origins.get(move.kind) or [("", 0)]
            sender, copy_of = known[0]
            if move.what != "copy" and not (move.choice is not None and getattr(move.choice, "keep", False)):
                origins[move.kind] = known[1:]
            else:
                origins[move.kind] = [(sender, len(steps) + 1), *known[1:]]
        receiver = lane(compiled, move.component)
        for one in move.choice.emits if move.choice is not None else ():
            origins.setdefault(one, []).append((receiver, 0))
        if move.kind >= 0 and (tables.kinds[move.kind].urgent or move.kind in internal):
            continue
        steps.append(_step(compiled, move, sender, receiver, copy_of, len(steps) + 1))
    return tuple(steps)


def lane(compiled: Compiled, component: int) -> str:
    """Whose lifeline a component belongs to: its service, or nobody's."""
    if component in compiled.threads:
        return compiled.threads[component].process.service.name
    if component in compiled.parts:
        return compiled.parts[component].name.strip("`")
    return compiled.tables.components[component].name


def _step(compiled: Compiled, move: Move, sender: str, receiver: str, copy_of: int, number: int) -> Step:
    name = compiled.tables.kinds[move.kind].name if move.kind >= 0 else ""
    note = compiled.notes[move.choice.note] if move.choice is not None and move.choice.note >= 0 else None
    span: Span = note.span if note is not None else compiled.scene.place
    text = note.text if note is not None else f"`{name}` is heard"
    if move.what == "drop":
        text = f"nothing takes `{name}` here: it is dropped"
    elif move.what in FAULTS:
        text = FAULTS[move.what] if note is None else f"{text}; {FAULTS[move.what]}"
    return Step(number, move.what, sender, receiver, name, text, span, bool(move.price), copy_of)


def sentences(steps: Sequence[Step]) -> list[str]:
    """One line for each step; faults are marked by a word, not by colour."""
    wide = len(str(len(steps)))
    lines = []
    for step in steps:
        what = "FAULT: " if step.fault else ""
        way = f"{step.sender} → {step.receiver} `{step.message}`: " if step.message and step.sender else ""
        again = f" (a copy, see step {step.copy_of})" if step.copy_of and not step.fault else ""
        place = f"{step.span.source.path}:{step.span.line}"
        lines.append(f"{step.number:>{wide}}  {what}{way}{step.text}{again}  ({place})")
    return lines


def diagram(steps: Sequence[Step]) -> list[str]:
    """A sequence diagram in characters: lifelines from left to right, time downwards; empty if there are too many lanes."""
    lanes = list(dict.fromkeys(name for step in steps for name in (step.sender, step.receiver) if name))
    if not lanes or len(lanes) > LANES:
        return []
    head = "".join(f"{name[: WIDE - 2]:^{WIDE}}" for name in lanes).rstrip()
    lines = [head]
    middle = {name: WIDE * number + WIDE // 2 for number, name in enumerate(lanes)}
    for step in steps:
        row = [" "] * (WIDE * len(lanes))
        for place in middle.values():
            row[place] = "|"
        mark = "!" if step.fault else "*"
        if step.message and step.sender and step.sender != step.receiver:
            _arrow(row, middle[step.sender], middle[step.receiver], step)
        elif step.receiver in middle:
            row[middle[step.receiver]] = mark
        lines.append(f"{''.join(row).rstrip():<{WIDE * len(lanes)}} {step.number}{' FAULT' if step.fault else ''}")
    return lines


def _arrow(row: list[str], start: int, end: int, step: Step) -> None:
    line = "." if step.copy_of else "-"
    low, high = min(start, end) + 1, max(start, end)
    text = step.message[: high - low - 2]
    filled = f"{text:{line}^{high - low}}"
    row[low:high] = list(filled)
    lost = step.move in {"lose", "park"}
    if end > start:
        row[high - 1] = "x" if lost else ">"
    else:
        row[low] = "x" if lost else "<"


def mermaid(steps: Sequence[Step], end: str) -> str:
    """The same as a Mermaid sequence diagram, for pull requests."""
    lanes = list(dict.fromkeys(name for step in steps for name in (step.sender, step.receiver) if name))
    names = {name: f"p{number}" for number, name in enumerate(lanes)}
    lines = ["sequenceDiagram"]
    lines += [f"  participant {names[name]} as {_safe(name)}" for name in lanes]
    for step in steps:
        if step.message and step.sender:
            arrow = "--x" if step.move in {"lose", "park"} else "-->>" if step.copy_of else "->>"
            lines.append(f"  {names[step.sender]}{arrow}{names[step.receiver]}: {step.number} {_safe(step.message)}")
        if step.fault:
            lines.append(f"  Note over {names[step.receiver]}: FAULT {_safe(step.text)}")
        elif not (step.message and step.sender):
            lines.append(f"  Note over {names[step.receiver]}: {step.number} {_safe(step.text)}")
    if lanes:
        ends = f"{names[lanes[0]]},{names[lanes[-1]]}" if len(lanes) > 1 else names[lanes[0]]
        lines.append(f"  Note over {ends}: {_safe(end)}")
    return "\n".join(lines) + "\n"


def _safe(text: str) -> str:
    return text.replace("`", "").replace(";", ",").replace("#", "").replace(":", " ")
