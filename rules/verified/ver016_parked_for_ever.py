"""A message in a dead-letter channel that nobody looks at leaves a process waiting.

## Why

A dead-letter channel takes poison messages out of the way, and with them the progress of the case they belong to. If nobody
watches the channel and nothing puts its messages back, what waits for them waits for ever.

Assumed: a dead-letter channel that a monitor watches, or that has a `redrive`, is looked after.

## Bad

```coord
broker Kafka
channel payments on Kafka { topic  ordered by order  delivery at-least-once  dead-letter parking after 5 }
channel parking on Kafka { queue }
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
  awaits PaymentCaptured # VER016
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Good

```coord
broker Kafka
channel payments on Kafka { topic  ordered by order  delivery at-least-once  dead-letter parking after 5 }
channel parking on Kafka { queue }
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

monitor Parking { watches parking }

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Exempt

A monitor that watches the dead-letter channel, and `redrive`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.rule import rule

from ._told import findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.finding import Finding


@rule("VER016", "parked-for-ever", "W/E/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B16."""
    yield from findings(
        design, "B16", "watch the dead-letter channel, put its messages back with `redrive`, or limit the wait"
    )
