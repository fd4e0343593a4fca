"""Two runs can wait for each other's semantic locks, and neither of them ever goes on.

## Why

A semantic lock is held until its run has ended, and whoever meets it waits, or is refused if the handler declares `fails`.
When two runs take the same locks in different orders, each can come to hold what the other needs. Databases notice that and
break the circle, sagas do not. The run that is shown leads there.

## Bad

```coord
store SalesDb
store OrdersDb
store CreditDb
command PlaceOrder, LowerCredit
command HoldOrder, FreeOrder, HoldCredit, FreeCredit, ChargeCard

external service Shopper { sends Sales.PlaceOrder }
external service Bank { sends Sales.LowerCredit }

service Orders {
  outbox
  handles HoldOrder { idempotent by order  writes OrdersDb.orders }
  handles FreeOrder { compensates HoldOrder  idempotent by order  fences  writes OrdersDb.orders }
}
service Credit {
  outbox
  handles HoldCredit { idempotent by order  writes CreditDb.accounts }
  handles FreeCredit { compensates HoldCredit  idempotent by order  fences  writes CreditDb.accounts }
}
service Payments {
  outbox
  handles ChargeCard { idempotent by order  acts "charges the card"  succeeds or fails "card declined" }
}
service Sales { outbox }
workflow Checkout in Sales {
  starts on PlaceOrder
  idempotent by order
  state in SalesDb
  step order calls Orders.HoldOrder { timeout 2s  attempts unlimited  isolation semantic-lock  compensate Orders.FreeOrder { timeout 2s  attempts unlimited } }
  step credit calls Credit.HoldCredit { timeout 2s  attempts unlimited  isolation semantic-lock  compensate Credit.FreeCredit { timeout 2s  attempts unlimited } } # VER018
  step charge calls Payments.ChargeCard { timeout 5s  attempts unlimited  pivot }
}
workflow Review in Sales {
  starts on LowerCredit
  idempotent by order
  state in SalesDb
  step credit calls Credit.HoldCredit { timeout 2s  attempts unlimited  isolation semantic-lock }
  step order calls Orders.HoldOrder { timeout 2s  attempts unlimited  isolation semantic-lock }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
flow Lowering {
  starts with LowerCredit from Bank
  succeeds with Review
}
```

## Good

```coord
store SalesDb
store OrdersDb
store CreditDb
command PlaceOrder, LowerCredit
command HoldOrder, FreeOrder, HoldCredit, FreeCredit, ChargeCard

external service Shopper { sends Sales.PlaceOrder }
external service Bank { sends Sales.LowerCredit }

service Orders {
  outbox
  handles HoldOrder { idempotent by order  writes OrdersDb.orders }
  handles FreeOrder { compensates HoldOrder  idempotent by order  fences  writes OrdersDb.orders }
}
service Credit {
  outbox
  handles HoldCredit { idempotent by order  writes CreditDb.accounts }
  handles FreeCredit { compensates HoldCredit  idempotent by order  fences  writes CreditDb.accounts }
}
service Payments {
  outbox
  handles ChargeCard { idempotent by order  acts "charges the card"  succeeds or fails "card declined" }
}
service Sales { outbox }
workflow Checkout in Sales {
  starts on PlaceOrder
  idempotent by order
  state in SalesDb
  step order calls Orders.HoldOrder { timeout 2s  attempts unlimited  isolation semantic-lock  compensate Orders.FreeOrder { timeout 2s  attempts unlimited } }
  step credit calls Credit.HoldCredit { timeout 2s  attempts unlimited  isolation semantic-lock  compensate Credit.FreeCredit { timeout 2s  attempts unlimited } }
  step charge calls Payments.ChargeCard { timeout 5s  attempts unlimited  pivot }
}
workflow Review in Sales {
  starts on LowerCredit
  idempotent by order
  state in SalesDb
  step order calls Orders.HoldOrder { timeout 2s  attempts unlimited  isolation semantic-lock }
  step credit calls Credit.HoldCredit { timeout 2s  attempts unlimited  isolation semantic-lock }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
flow Lowering {
  starts with LowerCredit from Bank
  succeeds with Review
}
```

## Exempt

Limits that end the wait in failure: a run that gives up undoes what it has done and frees its locks. Circles of three and
more workflows are left to the rule about the order of locks.

## References

- Coffman, Elphick, Shoshani, "System deadlocks", ACM Computing Surveys 3(2), 1971.
- Richardson, *Microservices Patterns*, chapter 4, on semantic locks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.rule import rule

from ._told import findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.finding import Finding


@rule("VER018", "lock-deadlock", "E/E/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B18."""
    yield from findings(design, "B18", "take the locks in the same order everywhere")
