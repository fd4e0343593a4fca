"""A process relies on an order of messages that nothing keeps.

## Why

Messages of an unordered channel, or of different partitions, overtake each other. Where a process only works if they do not,
the finding goes away as soon as the channel keeps the order of the key: that was tried.

Assumed: messages overtake each other at no cost, except in one channel that is `ordered`. Where nobody says whether it
is, it is taken to be, and what goes wrong otherwise is a finding of lower severity.

## Bad

```coord
broker Kafka
channel orders on Kafka { topic  unordered  delivery exactly-once }
store StockDb
command PlaceOrder
event OrderPlaced via orders
event OrderCancelled via orders
event Released, Reserved

external service Shopper { sends Orders.PlaceOrder }

service Orders {
  handles PlaceOrder { emits OrderPlaced, OrderCancelled }
}
service Inventory { outbox }
workflow Hold in Inventory {
  starts on OrderPlaced
  idempotent by order
  state in StockDb
  on unexpected drop
  awaits OrderCancelled # VER015
  emits Released
}

flow Cancel {
  starts with PlaceOrder from Shopper
  succeeds with Released
}
```

## Good

```coord
broker Kafka
channel orders on Kafka { topic  ordered by order  delivery exactly-once }
store StockDb
command PlaceOrder
event OrderPlaced via orders
event OrderCancelled via orders
event Released, Reserved

external service Shopper { sends Orders.PlaceOrder }

service Orders {
  handles PlaceOrder { emits OrderPlaced, OrderCancelled }
}
service Inventory { outbox }
workflow Hold in Inventory {
  starts on OrderPlaced
  idempotent by order
  state in StockDb
  on unexpected drop
  awaits OrderCancelled
  emits Released
}

flow Cancel {
  starts with PlaceOrder from Shopper
  succeeds with Released
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


@rule("VER015", "order-hazard", "W/E/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B15."""
    yield from findings(design, "B15", "order the channel by the key of the case")
