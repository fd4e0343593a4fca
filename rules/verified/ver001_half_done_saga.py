"""A saga can end with some of its steps done and others undone.

## Why

Undoing a saga is a program of its own: every step that was done has to be undone, whatever failed and when. This rule runs
the saga with every outcome of every step and with faults of the network and the hosts, and looks at what is left when
everything rests. The run that is shown has the fewest faults there are.

Assumed: a call that was given up counts as one that may have been done, and its own compensation is owed too. A flow
without a workflow is half done if somebody refuses, no failure is declared, and another service has taken effect
already. Every branch of an `either` and every declared outcome is taken to be possible, except one of `0%`.

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
    succeeds or fails "card declined"
  }
}
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  step reserve calls Inventory.ReserveStock { timeout 2s  attempts unlimited } # VER001
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

## Exempt

A reason with `no compensation "…"`, `irreversible`, and `recovery forward` are heeded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.rule import rule

from ._told import findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.finding import Finding


@rule("VER001", "half-done-saga", "E/E/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B1."""
    yield from findings(design, "B1", "declare what undoes the step, with `compensate`")
