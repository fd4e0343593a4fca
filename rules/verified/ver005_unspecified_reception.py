"""A message that comes too early is dropped, and what waits for it waits for ever.

## Why

Where a process drops what it does not expect yet, an answer that is faster than the wait for it is gone: the process comes to
its wait and nobody will answer any more. Sagas whose state is stored after the request is sent have met this often.

Assumed: the policy for a message that no state takes is what `on unexpected` says: `drop` throws it away, `park` keeps
it until it is awaited, `fail` stops the process with an error. Where nothing is said, it is kept, and that it is thrown
away is a finding of lower severity.

## Bad

```coord
store OrdersDb
command PlaceOrder, Score, Check
event Scored

external service Shopper { sends Orders.PlaceOrder }

service Risk { outbox  handles Score { idempotent by order  emits Scored } }
service Credit { outbox  handles Check { idempotent by order } }
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  on unexpected drop
  sends Risk.Score
  step check calls Credit.Check { timeout 2s  attempts unlimited }
  awaits Scored # VER005
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Good

```coord
store OrdersDb
command PlaceOrder, Score, Check
event Scored

external service Shopper { sends Orders.PlaceOrder }

service Risk { outbox  handles Score { idempotent by order  emits Scored } }
service Credit { outbox  handles Check { idempotent by order } }
service Orders { outbox }
workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent by order
  state in OrdersDb
  on unexpected park
  sends Risk.Score
  step check calls Credit.Check { timeout 2s  attempts unlimited }
  awaits Scored
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


@rule("VER005", "unspecified-reception", "E/E/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B5."""
    yield from findings(
        design, "B5", "keep what comes early, with `on unexpected park`, or wait for it before anything else"
    )
