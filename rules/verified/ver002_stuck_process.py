"""A process can wait for ever.

## Why

A wait without a limit ends only if its message comes. Where one outcome of another service publishes nothing, or nothing that
the wait listens to, the process stays where it is, with everything it has done so far, and nobody is told.

Assumed: a direct call without a `timeout` may stay without an answer; all calls of one process are told as one finding.
Over a channel every request arrives, but whoever is asked may never answer (the fault `omission`): its handling fails each
time, or nobody is there any more. That counts where somebody says `no timeout` (of the call, the step, the workflow or all
calls of the service) and not why; a call of which nobody says anything may be one, and any limit of the process or `within` of
the flow is an answer to it. A service that asks itself is trusted to answer. What a channel keeps `in-memory` is gone when its broker
restarts (`forget`), and an outcome of `0%` is a fault of its own (`rare`).
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

```coord
channel Wire { delivery at-least-once }
store OrdersDb
store StockDb
command PlaceOrder
command Reserve via Wire

external service Shopper { sends Orders.PlaceOrder }

service Stock {
  outbox
  handles Reserve { idempotent by order  writes StockDb.stock }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  no timeout
  step reserve calls Stock.Reserve # VER002
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Good

```coord
channel Wire { delivery at-least-once }
store OrdersDb
store StockDb
command PlaceOrder
command Reserve via Wire

external service Shopper { sends Orders.PlaceOrder }

service Stock {
  outbox
  handles Reserve { idempotent by order  writes StockDb.stock }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  step reserve calls Stock.Reserve { timeout 5s  attempts unlimited }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

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
