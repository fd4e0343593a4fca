"""A chain of calls leads back to the handler it began in.

## Why

Whoever calls waits. In a circle of calls everyone waits for an answer that needs, in the end, the one who waits. If each
handler always makes its call, the chain never returns. If it sometimes stops, it still holds one thread or connection in
each service and round, so under load the pools fill up with requests that wait for each other; time limits and retries
multiply along the way; and no service can be started, deployed or tested without the others.

The circle is looked for between operations, not between services: two services that call different operations of each
other are CYC504's.

## Bad

```coord
query GetOrder, GetInvoice

external service Clerk { calls Orders.GetOrder }

service Orders {
  handles GetOrder calls Billing.GetInvoice # CYC501
}
service Billing {
  handles GetInvoice calls Orders.GetOrder
}
```

## Good

The caller passes on what the other one would ask for:

```coord
query GetOrder, GetInvoice
store OrdersDb

external service Clerk { calls Orders.GetOrder }

service Orders {
  handles GetOrder {
    reads OrdersDb.orders
    calls Billing.GetInvoice
  }
}
service Billing {
  handles GetInvoice succeeds
}
```

## Exempt

Nothing takes a circle of calls away but calling less. It is a warning where the circle is not certain to close: a call is
`optional`, stands in one branch of an `either` or is only made after a failure, or the handler says `when` or `max-hops`. Circles
through a workflow are CYC503's, and circles with an event or a sent command in them CYC502's.

## References

- Taibi, Lenarduzzi, "On the definition of microservice bad smells", IEEE Software 35(3), 2018: cyclic dependency.
- Nygard, "Release It!", 2nd ed., 2018: blocked threads and cascading failures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import chain, hops, operation, others

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.cycles import Loop
    from coordlint.design import Design


@rule("CYC501", "sync-call-cycle", "E/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Report each knot of calls once."""
    for loop in design.cycles.calls:
        yield _finding(loop)


def _finding(loop: Loop) -> Finding:
    certain = loop.verdict == "endless"
    *hops_before, closing = hops(loop.cycle)
    ways = chain([operation(hop.source) for hop in loop.cycle])
    fact = "never returns" if certain else "may come back to itself while it waits"
    return Finding(
        primary=Label(closing.span, "closes the circle"),
        message=f"the chain of calls {ways} {fact}",
        related=(*hops_before, *(Label(guard.span, guard.text) for guard in loop.guards)),
        notes=others(loop),
        help="pass on what the callee needs, let one of them hear of it by an event, or move the operations together",
        subject=loop.cycle[0].source.path,
        levels="E/E/E" if certain else "W/E/E",
    )
