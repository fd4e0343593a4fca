"""Words that the rules of this group share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from coordlint.finding import Label

if TYPE_CHECKING:
    from coordlint.analysis.calls import Reason
    from coordlint.source import Span
    from coordlint.system import Action, Fact

PLACES = 8
"""How many places a finding shows at most."""


def listed(names: Iterable[str], *, most: int = 3) -> str:
    """Names in a sentence, `A`, `B` and 4 more; those beyond ``most`` are only counted."""
    quoted = [f"`{name}`" for name in dict.fromkeys(names)]
    if len(quoted) > most:
        quoted = [*quoted[: most - 1], f"{len(quoted) - most + 1} more"]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def labels(reasons: Iterable[Reason], *without: Span) -> tuple[Label, ...]:
    """The facts behind a number as places of a finding, each once, without those that it shows anyway."""
    shown = {(span.source.path, span.start) for span in without}
    found: dict[tuple[str, int], Label] = {}
    for reason in reasons:
        key = (reason.span.source.path, reason.span.start)
        if key not in shown:
            found.setdefault(key, Label(reason.span, reason.text))
    return tuple(found.values())[:PLACES]


def target(call: Action) -> str:
    """What a call asks for, with the service in front if it is named: ``Payments.Charge``."""
    use = call.use
    return f"{use.service.name}.{use.message.name}" if use.service is not None else use.message.name


def span_of(fact: Fact) -> Span:
    """Where a declared fact stands."""
    assert fact.span is not None, "a declared fact stands somewhere"
    return fact.span


def is_own(call: Action, fact: Fact) -> bool:
    """Whether the fact stands at the call or its step, and not in what the service says for all its calls."""
    levels: Sequence[object] = (*call.facts.values(), *(call.step.facts.values() if call.step is not None else ()))
    return any(one is fact for one in levels)


def percent(ratio: float) -> str:
    """A ratio as the language writes it, cut off (not rounded up) behind four digits: ``99.9501%``."""
    return f"{math.floor(ratio * 1e6 * (1 + 1e-12)) / 1e4:.6g}%"
