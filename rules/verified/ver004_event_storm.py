"""Messages cause each other for ever.

## Why

Two services that correct each other, or a handler that publishes what it listens to, keep the brokers busy without end: no
retry policy and no limit stops a loop of deliveries that succeed.

Assumed: a `when` is taken to hold, and `max-hops` is not counted.

## Bad

```coord
command PlaceOrder
event PriceChanged, CatalogChanged

external service Shopper { sends Catalog.PlaceOrder }

service Catalog {
  handles PlaceOrder { emits PriceChanged }
  on CatalogChanged { emits PriceChanged } # VER004
}
service Pricing {
  on PriceChanged { emits CatalogChanged }
}

flow Update {
  starts with PlaceOrder from Shopper
  succeeds with CatalogChanged
}
```

## Good

```coord
command PlaceOrder
event PriceChanged, CatalogChanged

external service Shopper { sends Catalog.PlaceOrder }

service Catalog {
  handles PlaceOrder { emits PriceChanged }
  on CatalogChanged { idempotent by product  acts "refreshes the page" }
}
service Pricing {
  on PriceChanged { emits CatalogChanged }
}

flow Update {
  starts with PlaceOrder from Shopper
  succeeds with CatalogChanged
}
```

## Exempt

A declared `if-changed` or `max-hops` ends a loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.rule import rule

from ._told import findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.finding import Finding


@rule("VER004", "event-storm", "E/E/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B4."""
    yield from findings(design, "B4", "break the circle: publish only what has changed")
