"""A message never makes a difference to the process that it is for.

## Why

A process that waits for a message only before the message can be sent, or only where it never is sent, throws it away on every
run. Nothing breaks: that is why nobody notices that the answer is never used. Late answers and copies of a message that is
used on some other run are no finding. All runs with up to two faults were looked at.

Assumed: a message counts as used if any run, also one with faults, takes it where it is awaited.

## Bad

```coord
store OrdersDb
command PlaceOrder, CheckFraud
event FraudChecked

external service Shopper { sends Orders.PlaceOrder }

service Fraud {
  outbox
  handles CheckFraud { idempotent by order  acts "rates the order"  emits FraudChecked }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  on unexpected drop
  awaits {
    on FraudChecked { } # VER006
    within 5m { }
  }
  sends Fraud.CheckFraud
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Good

```coord
store OrdersDb
command PlaceOrder, CheckFraud
event FraudChecked

external service Shopper { sends Orders.PlaceOrder }

service Fraud {
  outbox
  handles CheckFraud { idempotent by order  acts "rates the order"  emits FraudChecked }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  on unexpected drop
  sends Fraud.CheckFraud
  awaits { on FraudChecked { }  within 5m { } }
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


@rule("VER006", "orphan-message", "I/I/I", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B6."""
    yield from findings(design, "B6", "wait for it where it can come, or do not send it")
