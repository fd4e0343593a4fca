"""An answer that is composed of several parts fails as a whole when one part is cut off by its breaker.

## Why

A handler that asks several services and puts their answers together is only as available as all of them, and one that is slow
fails the page for everybody. A breaker makes that failure fast and says nothing about what to answer then. For the parts that a
reader can do without, an empty answer or an older one is better than none.

## Bad

```coord
query ShowProduct, GetProduct, GetReviews

external service Browser { calls Gateway.ShowProduct }
service Gateway {
  handles ShowProduct {
    calls Products.GetProduct { timeout 1s }
    calls Reviews.GetReviews { timeout 1s  breaker } # RES811
  }
}
service Products { handles GetProduct succeeds }
service Reviews { handles GetReviews succeeds }
```

## Good

```coord
query ShowProduct, GetProduct, GetReviews

external service Browser { calls Gateway.ShowProduct }
service Gateway {
  handles ShowProduct {
    calls Products.GetProduct { timeout 1s }
    calls Reviews.GetReviews { timeout 1s  breaker  fallback { } }
  }
}
service Products { handles GetProduct succeeds }
service Reviews { handles GetReviews succeeds }
```

## Exempt

- A call that is `optional`, has a `fallback` or an `on failure` that goes on, and one with `no fallback "why"`.
- A handler that does more than ask: where it writes, sends or calls commands, a part that is missing is not only a part of an answer.

## References

- C. Richardson: microservices.io, *API Composition*, *Circuit breaker*.
- M. Nygard: Release It!, 2nd edition, *Circuit Breaker*: decide what to do while it is open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.calls import shown
from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import PLACES, listed, span_of, target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.system import Action, Process

_EFFECTS = frozenset({"write", "act", "send", "emit"})


@rule("RES811", "fallback-missing-on-composed-answer", "I/I/W", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """One finding per handler that composes an answer."""
    for process in design.system.processes:
        if process.kind != "handler" or process.service.external or not _composes(design, process):
            continue
        calls = [call for call in _parts(design, process) if _fails_the_whole(design, call)]
        if calls:
            yield _finding(design, process, calls)


def _parts(design: Design, process: Process) -> list[Action]:
    return [call for call in design.system.actions_of(process, "call") if call.region == "main"]


def _composes(design: Design, process: Process) -> bool:
    """Whether it only asks, and asks more than one thing."""
    if any(action.kind in _EFFECTS for action in design.system.actions_of(process)):
        return False
    parts = _parts(design, process)
    return len({target(call) for call in parts}) > 1 and all(call.message.kind == "query" for call in parts)


def _fails_the_whole(design: Design, call: Action) -> bool:
    if not call.fact("breaker").declared or call.fact("fallback").declared or call.fact("fallback").why:
        return False
    return design.calls.propagates(call)


def _finding(design: Design, process: Process, calls: list[Action]) -> Finding:
    first = calls[0]
    others = [call for call in _parts(design, process) if call is not first]
    breaker = first.fact("breaker")
    return Finding(
        primary=Label(first.span, "no answer while the breaker is open"),
        message=f"{shown(process)} answers nothing at all when {listed(map(target, calls))} is cut off",
        related=(
            Label(span_of(breaker), "fails fast"),
            *(Label(call.span, "another part of the answer") for call in others),
        )[:PLACES],
        help="answer without this part: `fallback { }`, or one with an older answer, or `optional`",
        silence='`no fallback "why"`',
        subject=process.path,
    )
