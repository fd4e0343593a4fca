"""A service waits for an event that nothing publishes.

## Why

The handler can never run, and whatever it starts never happens: a name that was changed on one side only, or a publisher that
was never built. Nothing fails at run time; there is just silence. It is reported together with all that stands still because
of it, and if an event with nearly the same name is published that nobody hears, the two are one finding.

## Bad

```coord
event PaymentDone
event PaymentDnoe
external service Bank { emits PaymentDone }
service Shipping {
  on PaymentDnoe { acts "ships the parcel" } # EVT202
}
```

```coord
event OrderPlaced, StockCounted
external service Shop { emits OrderPlaced }
service Warehouse {
  on OrderPlaced { acts "packs the parcel" }
  on StockCounted { acts "orders new stock" } # EVT202
}
```

## Good

```coord
event PaymentDone
external service Bank { emits PaymentDone }
service Shipping {
  on PaymentDone { acts "ships the parcel" }
}
```

```coord
event OrderPlaced
external event StockCounted
external service Shop { emits OrderPlaced }
service Warehouse {
  on OrderPlaced { acts "packs the parcel" }
  on StockCounted { acts "orders new stock" }
}
```

## Exempt

- `external` events, and what an `external service` emits: they come from outside.
- An event that a flow `starts with`.
- What comes from a dead-letter channel: the broker puts it there.

## References

- A. Lercher et al., "Microservice API evolution in practice", 2024: consumers break silently when a publisher changes.
- Netflix, "Netflix Conductor: a microservices orchestrator", 2016: flows that only live in subscriptions are hard to see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule

from ._rename import merge_names
from ._words import called, listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.liveness import Consequences
    from coordlint.analysis.orphans import Unheard, Unpublished
    from coordlint.design import Design
    from coordlint.source import Span

MOST_NOTES = 5
"""How many consequences are told one by one."""


@rule("EVT202", "event-never-published", "E/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """One finding per event, its near miss and its consequences included."""
    for one in design.orphans.unpublished:
        if not one.event.phantom:
            yield _finding(design, one)


def _finding(design: Design, one: Unpublished) -> Finding:
    event, meant = one.event, one.meant
    first, *others = one.places
    waiting = listed(place.process.service.name for place in one.places)
    related = [Label(place.use.span, f"`{place.process.service.name}` waits for it, too") for place in others]
    message = f"nothing publishes `{event.name}`, which {waiting} {'wait' if _several(one) else 'waits'} for"
    help = f"publish it, correct the name, or declare `external event {event.name}` if it comes from outside"
    if meant is not None:
        message = f"nothing publishes `{event.name}`, and nobody hears `{meant.event.name}`, which {_publishers(meant)}"
        related += [Label(place.use.span, "published under this name") for place in meant.places]
        help = f"did you mean `{meant.event.name}`?"
    return Finding(
        primary=Label(first.use.span, "never arrives"),
        message=message,
        related=shown(related),
        help=help,
        notes=tuple(_notes(design.liveness.of_event[event])),
        silence=f"`external event {event.name}`",
        fix=merge_names(design, event, meant.event) if meant is not None else None,
        subject=f"event {event.name}",
        claim=Claim(follows=_standing_still(design.liveness.of_event[event], one)),
    )


def _standing_still(consequences: Consequences, one: Unpublished) -> tuple[Span, ...]:
    processes = (*consequences.processes, *(place.process for place in one.places))
    return (*(view.flow.place for view in consequences.flows), *(process.span for process in processes))


def _several(one: Unpublished) -> bool:
    return len({place.process.service for place in one.places}) > 1


def _publishers(one: Unheard) -> str:
    services = list(dict.fromkeys(place.process.service.name for place in one.places))
    return f"{listed(services)} {'publishes' if len(services) == 1 else 'publish'}"


def _notes(consequences: Consequences) -> Iterator[str]:
    for view in consequences.flows:
        yield f"because of it, flow `{view.flow.name}` never reaches its goal"
    for process in consequences.processes[:MOST_NOTES]:
        yield f"because of it, {called(process)} never runs"
    if len(consequences.processes) > MOST_NOTES:
        yield f"{len(consequences.processes) - MOST_NOTES} more handlers and workflows never run because of it"
