"""Somebody outside may repeat a request, and the first handler or workflow does everything again.

## Why

Between the outside and the first handler lies a network on which answers get lost: a browser is reloaded, a mobile client
tries again, a partner sends its file twice. The design cannot forbid it; only a key that the sender chooses once per intent (a
request id, an order number) tells a repetition from a second order. Without one, every repetition is a new instance of the
flow with all that follows.

## Bad

```coord
command BookTrip { request_id: uuid }
external service Traveller { calls Trips.BookTrip }

service Trips {
  handles BookTrip { # DLV609
    not idempotent
    acts "books a flight"
  }
}
```

## Good

```coord
command BookTrip { request_id: uuid }
external service Traveller { calls Trips.BookTrip }

service Trips {
  handles BookTrip {
    idempotent by request_id
    acts "books a flight"
  }
}
```

## Exempt

- `idempotent`, and the other exits of DLV601; what changes nothing (queries, read models, notices).
- A message that the design itself may repeat (a channel, a retry, an outbox) is DLV601's.
- `not idempotent "why"` is a decision and at most information. Where nothing is said, the profiles strict and production ask.

## References

- Amazon Builders' Library, "Making retries safe with idempotent APIs": a client request identifier per intent.
- IETF HTTPAPI working group, "The Idempotency-Key HTTP Header Field" (draft).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.delivery import shown
from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule

from ._words import idempotency_fix, judged_by_sagas, keys_of, shortened, who

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.source import Span
    from coordlint.system import Action, Process


@rule("DLV609", "entry-without-idempotency", "W/W/E", evidence="DA")
def check(design: Design) -> Iterator[Finding]:
    """One finding per handler or workflow that is an entry."""
    delivery = design.delivery
    judged = judged_by_sagas(design)
    for process in design.system.processes:
        fact = process.fact("idempotent")
        if fact.declared or process.service.external or process.contract or (fact.unknown and not design.strict):
            continue
        entries = delivery.entries(process)
        if not entries or delivery.repeats(process, without=judged):
            continue
        effects = delivery.repeated(process)
        if effects:
            yield _finding(design, process, effects, entries)


def _finding(design: Design, process: Process, effects: list[Action], entries: list[tuple[str, Span]]) -> Finding:
    fact = process.fact("idempotent")
    said = "is not idempotent" if fact.absent else "does not say that it is idempotent"
    labels, more = shortened([Label(span, f"{text} and may do so again") for text, span in entries], "sender")
    key = keys_of(design.delivery, process)
    by = ", ".join(key) if key else "KEY"
    return Finding(
        primary=Label(process.place, "each time it is asked"),
        message=f"{who(process)} {said}, so that a repetition from outside makes it repeat `{shown(effects[0])}`",
        related=(*labels, Label(effects[0].span, "done again")),
        notes=more,
        help=f"recognise a repetition by a key that the sender chooses: `idempotent by {by}`",
        silence='`idempotent`, or `not idempotent "why a repetition does no harm"`',
        fix=idempotency_fix(process, key),
        subject=process.path,
        claim=Claim(("B7", "B8"), (process.place,)),
        levels="I/I/I" if fact.why else "W/W/E" if fact.absent else "–/W/E",
    )
