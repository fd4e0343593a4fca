"""A statement of a workflow is never reached, whatever goes wrong.

## Why

A step, a compensation or an answer to a failure that no run comes to is either superfluous or cut off by mistake. All runs with
up to two faults were looked at.

Assumed: a compensation in front of the pivot that never runs because nothing behind its step fails is right. An outcome
of `0%` does not come about.

## Bad

```coord
store OrdersDb
command PlaceOrder, ChargeCard
event Placed, CardDeclined

external service Shopper { sends Orders.PlaceOrder }

service Payments { outbox  handles ChargeCard { idempotent by order  acts "charges the card" } }
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  step charge calls Payments.ChargeCard {
    timeout 5s
    attempts unlimited
    on failure {
      emits CardDeclined # VER019
      fails
    }
  }
  emits Placed
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Good

```coord
store OrdersDb
command PlaceOrder, ChargeCard
event Placed, CardDeclined

external service Shopper { sends Orders.PlaceOrder }

service Payments {
  outbox
  handles ChargeCard { idempotent by order  acts "charges the card"  succeeds or fails "declined" }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  step charge calls Payments.ChargeCard {
    timeout 5s
    attempts unlimited
    on failure {
      emits CardDeclined
      fails
    }
  }
  emits Placed
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


@rule("VER019", "dead-statement", "I/W/W", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B19."""
    yield from findings(design, "B19", "remove it, or correct the way to it")
