"""A process can wait for ever.

## Why

A wait without a limit ends only if its message comes. Where one outcome of another service publishes nothing, or nothing that
the wait listens to, the process stays where it is, with everything it has done so far, and nobody is told.

Assumed: a direct call without a `timeout` may stay without an answer; all calls of one process are told as one finding.
What awaits something from outside of the design gets it exactly once, at any time. A message that comes before it is
awaited waits, unless the process says `on unexpected drop` or `on unexpected fail`. A message whose handling fails for
good is gone where a handler says `attempts` and its channel `no dead-letter`.

## Bad

```coord
store OrdersDb
command PlaceOrder
event OrderPlaced, PaymentCaptured, PaymentFailed

external service Shopper { sends Orders.PlaceOrder }

service Payments {
  outbox
  on OrderPlaced {
    idempotent by order
    acts "charges the card"
    emits PaymentCaptured or fails PaymentFailed
  }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  emits OrderPlaced
  awaits PaymentCaptured # VER002
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Good

```coord
store OrdersDb
command PlaceOrder
event OrderPlaced, PaymentCaptured, PaymentFailed

external service Shopper { sends Orders.PlaceOrder }

service Payments {
  outbox
  on OrderPlaced {
    idempotent by order
    acts "charges the card"
    emits PaymentCaptured or fails PaymentFailed
  }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  emits OrderPlaced
  awaits {
    on PaymentCaptured { }
    on PaymentFailed { fails }
  }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.rule import rule

from ._told import findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.finding import Finding


@rule("VER002", "stuck-process", "E/E/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B2."""
    yield from findings(design, "B2", "give the wait a limit, or wait for the other outcomes as well")
