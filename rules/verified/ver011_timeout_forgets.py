"""A step that timed out was done all the same, and the saga forgets to undo it.

## Why

No answer in time does not mean that nothing was done. A saga that undoes only the steps that answered leaves the effect of the
one that did not: the classic is the card that is charged for an order that was cancelled.

Assumed: that a call was not answered in time says nothing about whether it was carried out. One slow peer is one fault,
however many attempts it outlasts.

## Bad

```coord
store OrdersDb
store StockDb
command PlaceOrder, ReserveStock, ReleaseStock, ChargeCard

external service Shopper { sends Orders.PlaceOrder }

service Inventory {
  outbox
  handles ReserveStock { idempotent by order  writes StockDb.stock }
  handles ReleaseStock {
    compensates ReserveStock
    idempotent by order
    fences
    writes StockDb.stock
  }
}
service Payments {
  outbox
  handles ChargeCard {
    idempotent by order
    acts "charges the card"
  }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  step charge calls Payments.ChargeCard { timeout 5s } # VER011
  step reserve calls Inventory.ReserveStock { timeout 2s  attempts unlimited }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Good

```coord
store OrdersDb
store StockDb
command PlaceOrder, ReserveStock, ReleaseStock, ChargeCard

external service Shopper { sends Orders.PlaceOrder }

service Inventory {
  outbox
  handles ReserveStock { idempotent by order  writes StockDb.stock }
  handles ReleaseStock {
    compensates ReserveStock
    idempotent by order
    fences
    writes StockDb.stock
  }
}
service Payments {
  outbox
  handles ChargeCard {
    idempotent by order
    acts "charges the card"
  }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  step charge calls Payments.ChargeCard { timeout 5s  attempts unlimited }
  step reserve calls Inventory.ReserveStock { timeout 2s  attempts unlimited }
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


@rule("VER011", "timeout-forgets", "E/E/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B11."""
    yield from findings(design, "B11", "undo the step also when it times out, or ask its service what became of it")
