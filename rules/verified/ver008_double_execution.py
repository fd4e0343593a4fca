"""An action can be executed twice after a redelivery, a retry or a crash.

## Why

What is delivered at least once is delivered twice some day, and a request that was not answered in time is sent again though it
may have arrived. A handler that does not recognise the repetition does its work twice.

Assumed: the broker may deliver again what is not said to come once; a client may repeat the request that starts a flow;
`attempts` and `retries` repeat a call that was carried out. Handlers that declare `idempotent` recognise every
repetition. A message that is sent in a loop is not watched, because its repetition looks like the next turn.

## Bad

```coord
store OrdersDb
store StockDb
command PlaceOrder, ReserveStock, ReleaseStock, ChargeCard

external service Shopper { sends Orders.PlaceOrder }

service Inventory {
  outbox
  handles ReserveStock { not idempotent  writes StockDb.stock } # VER008
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
  step reserve calls Inventory.ReserveStock { timeout 2s  attempts 2  compensate Inventory.ReleaseStock { timeout 2s  attempts unlimited } }
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
  step reserve calls Inventory.ReserveStock { timeout 2s  attempts 2  compensate Inventory.ReleaseStock { timeout 2s  attempts unlimited } }
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


@rule("VER008", "double-execution", "E/E/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B8."""
    yield from findings(design, "B8", "make the handler idempotent by a key")
