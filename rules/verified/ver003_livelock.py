"""A process can go on for ever without coming to an end.

## Why

What is tried again until it succeeds never ends if it cannot succeed: a refusal for a business reason stays a refusal. After
the pivot there is no way back, so a later step that may refuse leaves the saga asking for ever.

Assumed: a compensation, and a call behind the `pivot`, is repeated until it succeeds. A handler that recognises a
repetition repeats its refusal. A loop of the design itself (`repeat`, `for each`) ends after at most two turns.

## Bad

```coord
store OrdersDb
store StockDb
command PlaceOrder, ReserveStock, ReleaseStock, ChargeCard, ShipOrder

external service Shopper { sends Orders.PlaceOrder }

service Payments {
  outbox
  handles ChargeCard {
    idempotent by order
    acts "charges the card"
    succeeds or fails "card declined"
  }
}
service Shipping {
  outbox
  handles ShipOrder {
    idempotent by order
    writes StockDb.parcels
    succeeds or fails "no carrier"
  }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  step charge calls Payments.ChargeCard { pivot  timeout 5s  attempts unlimited }
  step ship calls Shipping.ShipOrder { retriable  timeout 5s  attempts unlimited } # VER003
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
command PlaceOrder, ReserveStock, ReleaseStock, ChargeCard, ShipOrder

external service Shopper { sends Orders.PlaceOrder }

service Payments {
  outbox
  handles ChargeCard {
    idempotent by order
    acts "charges the card"
    succeeds or fails "card declined"
  }
}
service Shipping {
  outbox
  handles ShipOrder {
    idempotent by order
    writes StockDb.parcels
  }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  step charge calls Payments.ChargeCard { pivot  timeout 5s  attempts unlimited }
  step ship calls Shipping.ShipOrder { retriable  timeout 5s  attempts unlimited }
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


@rule("VER003", "livelock", "E/E/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B3."""
    yield from findings(
        design, "B3", "give the loop an end that it can reach: another way to succeed, or people who decide"
    )
