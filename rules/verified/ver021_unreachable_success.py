"""A flow cannot succeed even if nothing goes wrong.

## Why

Before faults are of interest, the good run has to exist: from the start of a flow to what it `succeeds with`, without a loss, a
crash or a timeout. Where it does not, nothing else about the flow is reported.

Assumed: everything that is awaited from outside of the design comes. The outcomes of external services are those that
the design declares.

## Bad

```coord
command PlaceOrder
event OrderPlaced, OrderPacked, OrderDelivered

external service Shopper { sends Orders.PlaceOrder }

service Orders { handles PlaceOrder { emits OrderPlaced } }
service Packing { on OrderPlaced { emits OrderPacked } }
service Delivery { on OrderDelivered { acts "thanks the courier" } }

flow Purchase { # VER021
  starts with PlaceOrder from Shopper
  succeeds with OrderDelivered
}
```

## Good

```coord
command PlaceOrder
event OrderPlaced, OrderPacked, OrderDelivered

external service Shopper { sends Orders.PlaceOrder }

service Orders { handles PlaceOrder { emits OrderPlaced } }
service Packing { on OrderPlaced { emits OrderPacked } }
service Delivery { on OrderPacked { emits OrderDelivered } }

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with OrderDelivered
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


@rule("VER021", "unreachable-success", "E/E/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B21."""
    yield from findings(design, "B21", "connect the start of the flow with its goal")
