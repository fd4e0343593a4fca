"""A crash takes away what a process has done, or the data that it needs to go on.

## Why

State in memory is gone with the host. The steps that were done stay done, and the restarted orchestrator knows nothing of the
case: it neither goes on nor goes back. A process that survives because its state is in a store fares no better if the data that
it reads were in memory: it looks for the order and finds nothing.

Assumed: a workflow with `state memory` is gone when its host crashes; with `state in STORE` it goes on where it was and
repeats its request. With `no outbox` it may also save its progress and never send what follows. The run that is shown
has no timer that would cure it. A store that is `in-memory` is emptied when its owner restarts, or the store itself if it has no
owner; what counts is data that the same flow has written before, by something other than a projection, which could
be run again. What else is in the midst of something in that service has to survive, so its workflows need `state in STORE`.

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
workflow Checkout in Orders { # VER014
  starts on PlaceOrder
  idempotent by order
  state memory
  step reserve calls Inventory.ReserveStock { timeout 2s  compensate Inventory.ReleaseStock { timeout 2s  attempts unlimited } }
  step charge calls Payments.ChargeCard { timeout 5s  attempts unlimited }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

```coord
store Engine
store OrdersDb {
  owner Orders
  in-memory
}
command PlaceOrder, StartOrder, Charge
external service Shopper { sends Orders.PlaceOrder }

service Orders {
  outbox
  handles PlaceOrder {
    idempotent by order
    writes OrdersDb.orders
    sends Orders.StartOrder
  }
}
service Payments {
  outbox
  handles Charge { idempotent by order  acts "charges the card" }
}
workflow Order in Orders {
  starts on StartOrder
  idempotent by order
  state in Engine
  reads OrdersDb.orders # VER014
  step charge calls Payments.Charge { timeout 5s  attempts unlimited }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Order
}
```

## Good

```coord
store Engine
store OrdersDb { owner Orders }
command PlaceOrder, StartOrder, Charge
external service Shopper { sends Orders.PlaceOrder }

service Orders {
  outbox
  handles PlaceOrder {
    idempotent by order
    writes OrdersDb.orders
    sends Orders.StartOrder
  }
}
service Payments {
  outbox
  handles Charge { idempotent by order  acts "charges the card" }
}
workflow Order in Orders {
  starts on StartOrder
  idempotent by order
  state in Engine
  reads OrdersDb.orders
  step charge calls Payments.Charge { timeout 5s  attempts unlimited }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Order
}
```

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


@rule("VER014", "amnesia", "E/E/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B14."""
    yield from findings(design, "B14", "keep the state, and the data that the process reads, in a store on disk")
