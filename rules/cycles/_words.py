"""Words and edits that the rules about cycles share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from coordlint.finding import Fix, Label
from coordlint.source import Edit, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coordlint.analysis.cycles import Hop, Loop
    from coordlint.system import Process

MOST = 6
"""How many names of a chain or list a message shows."""


def chain(names: Sequence[str]) -> str:
    """``A`` -> ``B`` -> ``A``: the names in a circle, the first one again at the end; a long middle is only counted."""
    shown = [f"`{name}`" for name in (*names, names[0])]
    if len(shown) > MOST + 1:
        shown = [*shown[: MOST - 1], f"{len(shown) - MOST} more", shown[-1]]
    return " -> ".join(shown)


def listed(names: Sequence[str]) -> str:
    """``A``, ``B`` and ``C``."""
    shown = [f"`{name}`" for name in names]
    if len(shown) > MOST:
        shown = [*shown[: MOST - 1], f"{len(shown) - MOST + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def operation(process: Process) -> str:
    """How a chain of calls names a process: ``Orders.GetOrder``, or its service and trigger."""
    if process.workflow is not None:
        return process.workflow.name
    command = process.command
    return f"{process.service.name}.{command.name}" if command is not None else f"{process.service.name} {process.name}"


def passed(loop: Loop) -> list[str]:
    """What passes round the loop, beginning with what comes to its first process."""
    names = [hop.via.name for hop in loop.cycle]
    return [names[-1], *names[:-1]]


def hops(cycle: Sequence[Hop]) -> tuple[Label, ...]:
    """A label for each hop, in the order of the cycle; of a long one the first few and the last."""
    shown = cycle if len(cycle) <= MOST else (*cycle[: MOST - 1], cycle[-1])
    return tuple(Label(hop.action.span, f"`{hop.source.service.name}` {_VERBS[hop.action.kind]}") for hop in shown)


def others(loop: Loop) -> tuple[str, ...]:
    """A note about what else is in the knot, if anything."""
    on_cycle = {hop.source for hop in loop.cycle}
    rest = [operation(process) for process in loop.processes if process not in on_cycle]
    return (f"in the same knot: {listed(rest)}",) if rest else ()


def number(value: float) -> str:
    """A number with at most three digits that matter."""
    return f"{value:.3g}"


def further(gain: float) -> str:
    """How many more of the same one leads to: `1.5 more`, or `more and more` where no number bounds it."""
    return "more and more" if math.isinf(gain) else f"{number(gain)} more"


def insertion(process: Process, clause: str) -> Fix | None:
    """The edit that puts a clause at the front of a handler's block; None where the handler has no braces."""
    source = process.span.source
    text = source.text[process.place.end : process.span.end]
    offset = text.find("{")
    if offset < 0 or not source.path.endswith(".coord") or set(text[:offset].split()) - _before_block(text[:offset]):
        return None
    at = process.place.end + offset + 1
    line, _, following = source.text[at:].partition("\n")
    if line.strip() and not line.strip().startswith(("#", "//")):
        return Fix(f"add `{clause}`", (Edit(Span(source, at, at), f" {clause} "),))
    at += len(line)
    indent = following[: len(following) - len(following.lstrip(" \t"))]
    return Fix(f"add `{clause}`", (Edit(Span(source, at, at), f"\n{indent}{clause}"),))


def _before_block(text: str) -> set[str]:
    """The words that may stand between a trigger and its block: the subscription's own channel."""
    words = text.split()
    return set(words) if len(words) == 2 and words[0] == "via" else set()


_VERBS = {"emit": "publishes", "send": "sends", "call": "calls", "write": "writes"}
