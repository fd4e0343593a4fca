"""Words and edits that the rules about delivery share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from coordlint.finding import Label
from coordlint.source import Edit, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from coordlint.analysis.delivery import Delivery
    from coordlint.system import Process

PLACES = 8
"""How many places of one kind a finding shows; the rest is counted."""

_BODY_OF_HANDLER = re.compile(r"\s*(?:via\s+[\w.\"-]+\s*)?\{")
_BODY_OF_CHANNEL = re.compile(r"[^{}#\"]*(?:\"[^\"\n]*\"[^{}#\"]*)?\{")
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


def insert_in_handler(process: Process, clause: str) -> Edit | None:
    """An edit that puts a clause at the beginning of a handler's body; None if it has no braces or something stands between."""
    return _insert(process.place, process.span, _BODY_OF_HANDLER, clause) if process.kind == "handler" else None


def insert_in_channel(place: Span, declaration: Span, clause: str) -> Edit | None:
    """An edit that puts a clause at the beginning of a channel's body; None if it has none."""
    return _insert(place, declaration, _BODY_OF_CHANNEL, clause)


def _insert(place: Span, whole: Span, opening: re.Pattern[str], clause: str) -> Edit | None:
    source = place.source
    found = opening.match(source.text, place.end, whole.end)
    if found is None or not source.path.endswith(".coord"):
        return None
    at = found.end()
    after = source.text[at : whole.end]
    line = re.match(r"[ \t]*\n([ \t]*)", after)
    return Edit(Span(source, at, at), f"\n{line[1]}{clause}" if line else f" {clause} ")
