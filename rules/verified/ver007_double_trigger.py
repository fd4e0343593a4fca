"""An action is executed twice although nothing goes wrong.

## Why

A command that a workflow sends and that a reaction to an event sends as well is carried out twice for the same case. No
fault is needed: the design itself says so. Exclusive branches do not count, because the runs know that only one of them happens.

Assumed: two triggers on branches that exclude each other do not count, nor do handlers whose `when` guards complement
each other. A message that is sent in a loop or at several places of one process on purpose means another occurrence
each time.

## Bad

```coord
store OrdersDb
command PlaceOrder, ChargeCard
event OrderPlaced

external service Shopper { sends Orders.PlaceOrder }

service Payments {
  outbox
  handles ChargeCard { not idempotent  acts "charges the card" } # VER007
  on OrderPlaced { sends Payments.ChargeCard }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  emits OrderPlaced
  step charge calls Payments.ChargeCard { timeout 2s }
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
event OrderPlaced

external service Shopper { sends Orders.PlaceOrder }

service Payments {
  outbox
  handles ChargeCard { idempotent by order  acts "charges the card" }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  emits OrderPlaced
  step charge calls Payments.ChargeCard { timeout 2s  attempts unlimited }
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


@rule("VER007", "double-trigger", "E/E/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B7."""
    yield from findings(design, "B7", "let one of the two senders trigger it, or make it idempotent")
