"""An action can take effect after its compensation.

## Why

A slow request can arrive after the saga has given up and undone the step. The compensation finds nothing to undo, then the
action is carried out, and nobody will undo it any more: the try-confirm-cancel literature calls this hanging. A compensation that
fences remembers the case, so that the late action refuses.

Assumed: an action refuses after its compensation only if that compensation declares `fences`.

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
    writes StockDb.stock
  }
}
service Payments {
  outbox
  handles ChargeCard {
    idempotent by order
    acts "charges the card"
    succeeds or fails "card declined"
  }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  step reserve calls Inventory.ReserveStock { timeout 2s  compensate Inventory.ReleaseStock { timeout 2s  attempts unlimited } } # VER009
  step charge calls Payments.ChargeCard { timeout 5s  attempts unlimited }
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
    succeeds or fails "card declined"
  }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  step reserve calls Inventory.ReserveStock { timeout 2s  compensate Inventory.ReleaseStock { timeout 2s  attempts unlimited } }
  step charge calls Payments.ChargeCard { timeout 5s  attempts unlimited }
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


@rule("VER009", "hanging-action", "E/E/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B9."""
    yield from findings(design, "B9", "let the compensation fence the late action")
