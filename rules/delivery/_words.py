"""Words and edits that the rules about delivery share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from coordlint.analysis.delivery import shown
from coordlint.finding import Fix, Gap, Label
from coordlint.source import Edit, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from coordlint.analysis.delivery import Arrival, Delivery
    from coordlint.design import Design
    from coordlint.system import Action, Process

PLACES = 8
"""How many places of one kind a finding shows; the rest is counted."""

_BODY = re.compile(r"\s*(?:via\s+[\w.\"-]+\s*)?\{")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def who(process: Process) -> str:
    """A handler or workflow as messages name it: ``on OrderPlaced`` of ``Billing``, each in backticks."""
    return f"`{process.name}` of `{process.service.name}`"


def inputs(delivery: Delivery, process: Process) -> str:
    """The messages that start a process: ``A`` or ``B``, each in backticks; ``its input`` if there are none."""
    names = [a.use.message.name for a in delivery.by_process.get(process, ()) if a.starts]
    return " or ".join(f"`{name}`" for name in dict.fromkeys(names)) or "its input"


def keys_of(delivery: Delivery, process: Process) -> tuple[str, ...]:
    """The key that all messages that start a process declare; empty if there is none or not one for all."""
    found = {a.use.message.fact("key").value or () for a in delivery.by_process.get(process, ()) if a.starts}
    return found.pop() if len(found) == 1 else ()


def judged_by_sagas(design: Design) -> frozenset[Action]:
    """The requests whose repetition SAG303 judges: of compensations, and of steps that have to succeed."""
    sagas = design.sagas
    found: list[Action] = []
    for saga in sagas.all:
        for step in saga.steps:
            found += (action for action in sagas.undoing(step) if sagas.can_run(saga, step, action))
            if step.kind == "retriable":
                found += (a for a in step.requests if a.kind == "call" and not a.fact("optional").declared)
    return frozenset(found)


def shortened(labels: Sequence[Label], what: str) -> tuple[tuple[Label, ...], tuple[str, ...]]:
    """The first labels, and a note that counts the others (``and 3 more handlers``; ``what`` in the singular)."""
    left = len(labels) - PLACES
    note = f"and {left} more {what}{'s' if left > 1 else ''}"
    return tuple(labels[:PLACES]), ((note,) if left > 0 else ())


def listed(names: Iterable[str], word: str = "and") -> str:
    """Names in backticks: `a`, `b` and `c`."""
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {word} {quoted[-1]}"


def as_name(name: str) -> str:
    """A name as it is written in a design: in quotes if it is not a plain word."""
    return name if _PLAIN.fullmatch(name) else f'"{name}"'


def idempotency_fix(process: Process, key: tuple[str, ...]) -> Fix | None:
    """Say ``idempotent by KEY`` in place of what is said now; None without a key, or where there is no body to say it in."""
    if not key:
        return None
    clause, said = f"idempotent by {', '.join(key)}", process.fact("idempotent").span
    edit = Edit(said, clause) if said is not None else _insert(process, clause)
    return Fix(f"add `{clause}`", (edit,)) if edit is not None else None


def _insert(process: Process, clause: str) -> Edit | None:
    """Put a clause at the beginning of a handler's body; None if it has no braces or something stands before them."""
    source, end = process.place.source, process.span.end
    found = _BODY.match(source.text, process.place.end, end)
    if process.kind != "handler" or found is None or not source.path.endswith(".coord"):
        return None
    line = re.match(r"[ \t]*\n([ \t]*)", source.text[found.end() : end])
    text = f"\n{line[1]}{clause}" if line else f" {clause} "
    return Edit(Span(source, found.end(), found.end()), text)


def unheard(design: Design, arrivals: Iterable[Arrival]) -> tuple[Gap, ...]:
    """What never happens if one of the messages is given up: what the handler that it starts would have done."""
    found = []
    for arrival in arrivals:
        process, message = arrival.process, arrival.use.message
        effects = design.delivery.effects(process)
        if not arrival.starts or not effects:
            continue
        names = listed(dict.fromkeys(shown(action) for action in effects))
        found.append(
            Gap(
                frozenset(action.id for action in design.index.producers(message)),
                frozenset((process.start,)),
                "lost",
                f"{who(process)} has never handled `{message.name}`",
                f"what {who(process)} does never happens: {names}",
                message.name,
            )
        )
    return tuple(found)
