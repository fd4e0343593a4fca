"""An event can be lost between the write and its publication.

## Why

A handler that commits its data and then crashes before it publishes has done its work without telling anybody. The message comes
again, but the handler recognises it and does nothing, so the event is never published. An outbox commits both together; a
handler that re-emits publishes again.

Assumed: without an `outbox`, a handler may crash behind its effects and in front of any of its publications. A message
that is recognised when it comes again publishes nothing again, unless the handler says `re-emits`; where neither is
said, the finding has a lower severity. What follows from a write (`on change of`) is never lost.

## Bad

```coord
broker Kafka
channel payments on Kafka { topic  ordered by order  delivery at-least-once }
store OrdersDb
store PaymentsDb
command PlaceOrder
event OrderPlaced via payments
event PaymentCaptured via payments

external service Shopper { sends Orders.PlaceOrder }

service Payments {
  no outbox
  on OrderPlaced {
    idempotent by order
    writes PaymentsDb.payments
    emits PaymentCaptured
  }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  emits OrderPlaced
  awaits PaymentCaptured # VER013
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Good

```coord
broker Kafka
channel payments on Kafka { topic  ordered by order  delivery at-least-once }
store OrdersDb
store PaymentsDb
command PlaceOrder
event OrderPlaced via payments
event PaymentCaptured via payments

external service Shopper { sends Orders.PlaceOrder }

service Payments {
  outbox
  on OrderPlaced {
    idempotent by order
    writes PaymentsDb.payments
    emits PaymentCaptured
  }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  emits OrderPlaced
  awaits PaymentCaptured
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


@rule("VER013", "lost-event", "E/E/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B13."""
    yield from findings(design, "B13", "publish through an `outbox`, or let the handler re-emit")
