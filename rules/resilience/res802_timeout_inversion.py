"""A caller gives up while what it called is still allowed to try.

## Why

When the timeout of a caller is shorter than the time that the called operation may take with its own calls and retries, the caller
turns to its error path, or tries again, while the first attempt still runs: its work is thrown away, its effects happen all the
same, and each repetition adds load where time was short already. Timeouts have to shrink from the outside to the inside, or one
deadline has to be handed down so that everybody stops together.

The time of the operation is a lower bound: its service time, its calls with attempts, backoff and timeouts, its waits, along the
longest course that ends well; parallel calls count by the longest, and what is not declared counts nothing.

## Bad

```coord
command PlaceOrder
command Charge, Capture

external service Shopper { calls Orders.PlaceOrder }
service Orders {
  handles PlaceOrder {
    calls Payments.Charge { timeout 3s } # RES802
  }
}
service Payments {
  handles Charge {
    idempotent
    calls Bank.Capture { timeout 2s  attempts 3  backoff 100ms x2 }
  }
}
external service Bank { handles Capture succeeds }
```

## Good

```coord
command PlaceOrder
command Charge, Capture

external service Shopper { calls Orders.PlaceOrder }
service Orders {
  handles PlaceOrder {
    calls Payments.Charge { timeout 7s }
  }
}
service Payments {
  handles Charge {
    idempotent
    calls Bank.Capture { timeout 2s  attempts 3  backoff 100ms x2 }
  }
}
external service Bank { handles Capture succeeds }
```

## Exempt

- `deadline propagate` at the call or below: what is called stops with its caller.
- A handler whose own `timeout` is not longer than the caller's: it gives up first.
- What is sent and not waited for (`sends`).
- Calls on a cycle, whose time cannot be told (CYC501).

## References

- gRPC guides, *Deadlines*: a server may waste resources on calls whose client has given up; propagate the deadline.
- Google SRE book, chapter *Addressing Cascading Failures*: missed deadlines, deadline propagation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.calls import shown
from coordlint.analysis.latency import exceeds, seconds_text
from coordlint.analysis.units import at_least
from coordlint.finding import Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit

from ._words import is_own, labels, span_of, target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.source import Span
    from coordlint.system import Action, Fact, Process


@rule("RES802", "timeout-inversion", "W/W/E", evidence="Q")
def check(design: Design) -> Iterator[Finding]:
    """One finding per declared limit; of several calls under one limit the slowest is told."""
    found: dict[Span, list[Action]] = {}
    for call in design.calls.callees:
        limit = _limit(design, call)
        if limit is not None and exceeds(design.latency.answer_duration(call).seconds, limit.value):
            found.setdefault(span_of(limit), []).append(call)
    for calls in found.values():
        worst = max(calls, key=lambda call: design.latency.answer_duration(call).seconds)
        limit = _limit(design, worst)
        assert limit is not None
        yield _finding(design, worst, limit, len(calls) - 1)


def _limit(design: Design, call: Action) -> Fact | None:
    """What bounds one attempt of the call: its timeout, else its own deadline."""
    governed = design.calls.governed(call)
    if governed.deadline.value == "propagate":
        return None
    if governed.timeout.declared:
        return governed.timeout
    return governed.deadline if governed.deadline.declared else None


def _finding(design: Design, call: Action, limit: Fact, others: int) -> Finding:
    answer = design.latency.answer_duration(call)
    callee = _slowest(design, call)
    notes = [f"{shown(callee)} may take {answer.text}{'' if answer.exact else ' or more'}", *answer.notes]
    if others:
        notes.append(f"the same limit is too short for {others} more call{'s' if others > 1 else ''}")
    return Finding(
        primary=Label(span_of(limit), f"gives up after {seconds_text(limit.value)}"),
        message=(
            f"{shown(call.process)} waits {seconds_text(limit.value)} for `{target(call)}`, "
            f"which may take {answer.text}"
        ),
        related=labels(answer.reasons(), span_of(limit)),
        notes=tuple(notes),
        help=f"wait {at_least(answer.seconds)} or longer, let it try for a shorter time, or hand the deadline down",
        silence="`deadline propagate` at the call, if what it asks for stops with it",
        fix=_fix(call, limit, answer.seconds),
        subject=f"{call.process.path} / calls {target(call)}",
    )


def _slowest(design: Design, call: Action) -> Process:
    followed = design.calls.followed(call)
    return max(followed, key=lambda process: design.latency.handler_duration(process).seconds)


def _fix(call: Action, limit: Fact, seconds: float) -> Fix | None:
    if not is_own(call, limit) or not limit.text.startswith("timeout"):
        return None
    clause = f"timeout {at_least(seconds)}"
    return Fix(f"wait longer: `{clause}`", (Edit(span_of(limit), clause),))
