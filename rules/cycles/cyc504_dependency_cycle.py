"""Services depend on each other in a circle.

## Why

Who requests something from another service has to know its operations, and cannot work, be tested or be released without
it. In a circle this holds for all of them at once: they are one service in several processes. A circle of contexts
says the same of teams.

Only requests (`calls`, `sends`) and `uses` count. Whoever reacts to an event depends on its publisher, but the publisher needs nobody
who listens; services that tell each other what happened by events are decoupled in just the way that events are for. The
finding names a smallest set of dependencies that holds the circle together (fewest dependencies, then fewest places).

## Bad

```coord
query GetOrder
command CreateInvoice
event OrderPlaced
store OrdersDb
store BillingDb

service Orders {
  every 1d calls Billing.CreateInvoice
  every 1h emits OrderPlaced
  handles GetOrder reads OrdersDb.orders
}
service Billing {
  handles CreateInvoice writes BillingDb.invoices
  on OrderPlaced {
    calls Orders.GetOrder # CYC504
    writes BillingDb.orders
  }
}
```

## Good

What Billing needs comes with the event:

```coord
command CreateInvoice
event OrderPlaced
store BillingDb

service Orders {
  every 1d calls Billing.CreateInvoice
  every 1h emits OrderPlaced
}
service Billing {
  handles CreateInvoice writes BillingDb.invoices
  on OrderPlaced writes BillingDb.orders
}
```

## Exempt

- Events in one direction or in both.
- Answers: a command that is only awaited by a running workflow or handler.
- External services: people and partners are not released together with us.
- Services that a finding of CYC501, CYC502 or CYC503 names already.

A circle within one bounded context is an information in the default profile, one that crosses contexts a warning.

## References

- Taibi, Lenarduzzi, "On the definition of microservice bad smells", IEEE Software 35(3), 2018: cyclic dependency.
- Richardson, "Microservices patterns", 2018, ch. 4: cyclic dependencies between the participants of a choreographed saga.
- Eades, Lin, Smyth, "A fast and effective heuristic for the feedback arc set problem", Inf. Process. Lett. 47, 1993, for
  circles of more than a dozen services; smaller ones are solved exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import MOST, chain, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.cycles import Tangle
    from coordlint.design import Design


@rule("CYC504", "dependency-cycle", "I/W/W", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Report each circle of services or contexts once, unless its cause is a loop that is reported."""
    cycles = design.cycles
    looping = [
        {process.service for process in loop.processes}
        for loop in (*cycles.calls, *cycles.feedback, *cycles.recursions)
    ]
    for tangle in cycles.dependencies:
        known = [
            services
            for services in looping
            if len({_member(tangle, service.name, service.context) for service in services} - {""}) > 1
        ]
        if not known:
            yield _finding(tangle)


def _member(tangle: Tangle, service: str, context: str) -> str:
    name = service if tangle.kind == "service" else context
    return name if name in tangle.members else ""


def _finding(tangle: Tangle) -> Finding:
    first = tangle.feedback[0]
    words = "contexts " if tangle.kind == "context" else ""
    in_a_circle = " in a circle" if len(tangle.members) > 2 else ""
    size = "a smallest" if tangle.exact else "a small"
    pairs = "; ".join(f"`{one.source}` -> `{one.target}`" for one in tangle.feedback[:MOST])
    more = f" and {len(tangle.feedback) - MOST} more" if len(tangle.feedback) > MOST else ""
    places = [
        Label(span, f"`{one.source}` {text}")
        for one in tangle.cycle[:MOST]
        for span, text in one.places[:1]
        if span != first.places[0][0]
    ]
    return Finding(
        primary=Label(first.places[0][0], f"`{first.source}` {first.places[0][1]}"),
        message=f"{words}{listed(tangle.members)} depend on each other{in_a_circle}",
        related=tuple(places),
        notes=(
            f"the circle: {chain([one.source for one in tangle.cycle])}",
            f"{size} set of dependencies to give up: {pairs}{more}",
        ),
        help=f"let `{first.source}` hear of it by an event, or carry what it asks for in the request",
        silence="`# coordlint: ignore[CYC504] why this may stay`",
        subject=f"{tangle.kind} {tangle.members[0]}",
        levels="W/W/E" if tangle.crossing else "I/W/W",
    )
