"""Workflows take their semantic locks in different orders and can wait for each other for ever.

## Why

A semantic lock marks data as pending until the saga ends, and whoever meets the mark waits or fails. When one workflow marks
an order and then asks for the credit, and another marks the credit and then asks for the order, each holds what the other
needs. Databases detect such circles, sagas do not. A common order of the locks is the cheap cure.

## Bad

```coord
store OrdersDb
store CreditDb
command PlaceOrder, LowerCredit
command HoldOrder, FreeOrder, HoldCredit, FreeCredit, ChargeCard

external service Shopper {
  sends Orders.PlaceOrder
  sends Orders.LowerCredit
}

service Orders {
  handles HoldOrder { writes OrdersDb.orders }
  handles FreeOrder { compensates HoldOrder  writes OrdersDb.orders }
}
service Credit {
  handles HoldCredit { writes CreditDb.accounts }
  handles FreeCredit { compensates HoldCredit  writes CreditDb.accounts }
}
service Payments {
  handles ChargeCard {
    acts "charges the card"
    succeeds or fails "card declined"
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  step order calls Orders.HoldOrder { isolation semantic-lock  compensate Orders.FreeOrder }
  step credit calls Credit.HoldCredit { isolation semantic-lock  compensate Credit.FreeCredit }
  step charge calls Payments.ChargeCard { pivot }
}
workflow Review in Orders {
  starts on LowerCredit
  step credit calls Credit.HoldCredit { isolation semantic-lock  compensate Credit.FreeCredit }
  step order calls Orders.HoldOrder { isolation semantic-lock  compensate Orders.FreeOrder } # SAG309
  step charge calls Payments.ChargeCard { pivot }
}

flow Sales {
  starts with PlaceOrder or LowerCredit from Shopper
  succeeds with Checkout or Review
}
```

## Good

```coord
store OrdersDb
store CreditDb
command PlaceOrder, LowerCredit
command HoldOrder, FreeOrder, HoldCredit, FreeCredit, ChargeCard

external service Shopper {
  sends Orders.PlaceOrder
  sends Orders.LowerCredit
}

service Orders {
  handles HoldOrder { writes OrdersDb.orders }
  handles FreeOrder { compensates HoldOrder  writes OrdersDb.orders }
}
service Credit {
  handles HoldCredit { writes CreditDb.accounts }
  handles FreeCredit { compensates HoldCredit  writes CreditDb.accounts }
}
service Payments {
  handles ChargeCard {
    acts "charges the card"
    succeeds or fails "card declined"
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  step order calls Orders.HoldOrder { isolation semantic-lock  compensate Orders.FreeOrder }
  step credit calls Credit.HoldCredit { isolation semantic-lock  compensate Credit.FreeCredit }
  step charge calls Payments.ChargeCard { pivot }
}
workflow Review in Orders {
  starts on LowerCredit
  step order calls Orders.HoldOrder { isolation semantic-lock  compensate Orders.FreeOrder }
  step credit calls Credit.HoldCredit { isolation semantic-lock  compensate Credit.FreeCredit }
  step charge calls Payments.ChargeCard { pivot }
}

flow Sales {
  starts with PlaceOrder or LowerCredit from Shopper
  succeeds with Checkout or Review
}
```

## Exempt

Locks that are taken in the same order everywhere; branches of one workflow that exclude each other. Where every step of the
circle has a `timeout`, the circle resolves itself by failing, and the finding is information. A lock is
`isolation semantic-lock` on the entities that the handlers of the step write.

## References

- Richardson, *Microservices Patterns*, chapter 4, on semantic locks and deadlocks.
- Coffman, Elphick, Shoshani, "System deadlocks", ACM Computing Surveys 3(2), 1971.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.effects import entity_text
from coordlint.analysis.isolation import Isolation
from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import joined, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.isolation import Lock
    from coordlint.design import Design
    from coordlint.source import Span


@rule("SAG309", "lock-order-inversion", "W/W/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """Report circles of semantic locks."""
    for circle in Isolation(design.sagas).inversions():
        yield _finding(design, circle)


def _finding(design: Design, circle: list[Lock]) -> Finding:
    workflows = list(dict.fromkeys(whole(lock.saga.process) for lock in circle))
    entities = " -> ".join(f"`{entity_text(key)}`" for key in (*(lock.held for lock in circle), circle[0].held))
    who = f"two runs of {workflows[0]}" if len(workflows) == 1 else joined(workflows)
    limited = all(
        step.step.fact("timeout", design.system).declared for lock in circle for step in (lock.first, lock.then)
    )
    first = circle[0]
    labels: dict[Span, str] = {}
    for lock in circle:
        labels.setdefault(lock.first.place, f"{whole(lock.saga.process)} locks `{entity_text(lock.held)}`")
        labels.setdefault(lock.then.place, f"{whole(lock.saga.process)} locks `{entity_text(lock.taken)}`")
    return Finding(
        primary=Label(
            first.then.place, f"waits for `{entity_text(first.taken)}` and holds `{entity_text(first.held)}`"
        ),
        message=f"{who} can wait for each other's locks for ever: {entities}",
        related=tuple(Label(span, text) for span, text in labels.items() if span != first.then.place),
        help="take the locks in the same order everywhere",
        silence="one order of the locks",
        subject=" / ".join(sorted(entity_text(lock.held) for lock in circle)),
        levels="I/I/I" if limited else "",
    )
