"""A declared order of events can be broken.

## Why

A flow that says `order Paid before Delivered` promises something to those who read it. The runs were watched for one in which the
second event comes without the first.

Assumed: a flow's order concerns the moments at which messages are sent.

## Bad

```coord
store OrdersDb
command PlaceOrder, Pay, Deliver
event Paid, Delivered

external service Shopper { sends Orders.PlaceOrder }

service Payments { outbox  handles Pay { idempotent by order  writes OrdersDb.payments  emits Paid } }
service Shipping { outbox  handles Deliver { idempotent by order  writes OrdersDb.parcels  emits Delivered } }
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  sends Payments.Pay
  step deliver calls Shipping.Deliver { timeout 5s  attempts unlimited }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Delivered
  order Paid before Delivered # VER020
}
```

## Good

```coord
store OrdersDb
command PlaceOrder, Pay, Deliver
event Paid, Delivered

external service Shopper { sends Orders.PlaceOrder }

service Payments { outbox  handles Pay { idempotent by order  writes OrdersDb.payments  emits Paid } }
service Shipping { outbox  handles Deliver { idempotent by order  writes OrdersDb.parcels  emits Delivered } }
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  step pay calls Payments.Pay { timeout 5s  attempts unlimited }
  step deliver calls Shipping.Deliver { timeout 5s  attempts unlimited }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Delivered
  order Paid before Delivered
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


@rule("VER020", "declared-order-broken", "E/E/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B20."""
    yield from findings(design, "B20", "wait for the first before the second is caused, or take the promise back")
