"""Two workflows change or read the same data, one of them only provisionally, and nothing keeps them apart.

## Why

Sagas commit step by step, so others see and change what may yet be undone. The compensation of one then overwrites the update
of the other (lost update), the other decides on a state that is taken back (dirty read), or it reads two different states in
one run (fuzzy read). Richardson names six countermeasures; which one fits is a decision about the business, and `isolation`
declares it.

## Bad

```coord
store OrdersDb
command PlaceOrder, CancelOrder
command OpenOrder, CloseOrder, MarkCancelled, UnmarkCancelled, ChargeCard, RefundCard

external service Shopper {
  sends Orders.PlaceOrder
  sends Orders.CancelOrder
}

service Orders {
  handles OpenOrder { writes OrdersDb.orders }
  handles CloseOrder { compensates OpenOrder  writes OrdersDb.orders }
  handles MarkCancelled { writes OrdersDb.orders }
  handles UnmarkCancelled { compensates MarkCancelled  writes OrdersDb.orders }
}
service Payments {
  handles ChargeCard {
    acts "charges the card"
    succeeds or fails "card declined"
  }
  handles RefundCard {
    acts "refunds the card"
    succeeds or fails "nothing to refund"
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  step open calls Orders.OpenOrder { compensate Orders.CloseOrder }
  step charge calls Payments.ChargeCard { pivot }
}
workflow Cancellation in Orders {
  starts on CancelOrder
  step mark calls Orders.MarkCancelled { compensate Orders.UnmarkCancelled } # SAG308
  step refund calls Payments.RefundCard { pivot }
}

flow Sales {
  starts with PlaceOrder or CancelOrder from Shopper
  succeeds with Checkout or Cancellation
}
```

## Good

```coord
store OrdersDb
command PlaceOrder, CancelOrder
command OpenOrder, CloseOrder, MarkCancelled, UnmarkCancelled, ChargeCard, RefundCard

external service Shopper {
  sends Orders.PlaceOrder
  sends Orders.CancelOrder
}

service Orders {
  handles OpenOrder { writes OrdersDb.orders }
  handles CloseOrder { compensates OpenOrder  writes OrdersDb.orders }
  handles MarkCancelled { writes OrdersDb.orders }
  handles UnmarkCancelled { compensates MarkCancelled  writes OrdersDb.orders }
}
service Payments {
  handles ChargeCard {
    acts "charges the card"
    succeeds or fails "card declined"
  }
  handles RefundCard {
    acts "refunds the card"
    succeeds or fails "nothing to refund"
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  step open calls Orders.OpenOrder { compensate Orders.CloseOrder  isolation semantic-lock }
  step charge calls Payments.ChargeCard { pivot }
}
workflow Cancellation in Orders {
  starts on CancelOrder
  step mark calls Orders.MarkCancelled { compensate Orders.UnmarkCancelled }
  step refund calls Payments.RefundCard { pivot }
}

flow Sales {
  starts with PlaceOrder or CancelOrder from Shopper
  succeeds with Checkout or Cancellation
}
```

## Exempt

Either step with an `isolation`; steps whose commands travel over one channel that is `ordered`; entities that are not named
(`writes OrdersDb` says nothing about which). Two runs of one workflow are not compared, as nothing says that they share a key.

## References

- Richardson, *Microservices Patterns*, chapter 4: lack of isolation, its anomalies and countermeasures.
- Frank, Zahle, "Semantic ACID properties in multidatabases using remote procedure calls and update propagations", 1998.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.effects import entity_text
from coordlint.analysis.isolation import Isolation
from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import path, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.isolation import Anomaly
    from coordlint.design import Design

_TEXTS = {
    "lost update": "change `{entity}`, and undoing {first} overwrites what {other} has written",
    "dirty read": "share `{entity}`, and {other} reads what undoing {first} takes back",
    "fuzzy read": "share `{entity}`, and {first} and a later step read different states when {other} runs in between",
}
_REMEDIES = {
    "lost update": "`isolation semantic-lock` or `isolation commutative`",
    "dirty read": "`isolation semantic-lock` or `isolation pessimistic-view`",
    "fuzzy read": "`isolation reread`",
}


@rule("SAG308", "isolation-anomaly", "I/W/W", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """Report entities at which two workflows get in each other's way."""
    for anomaly in Isolation(design.sagas).anomalies():
        yield _finding(anomaly)


def _finding(anomaly: Anomaly) -> Finding:
    first, other = anomaly.first, anomaly.other
    entity = entity_text(anomaly.entity)
    text = _TEXTS[anomaly.kind].format(entity=entity, first=first.step.label, other=other.step.label)
    remedy = _REMEDIES[anomaly.kind]
    return Finding(
        primary=Label(first.step.place, f"{anomaly.kind} of `{entity}`"),
        message=f"{whole(first.saga.process)} and {whole(other.saga.process)} {text}",
        related=(
            Label(other.step.place, "the other workflow's step"),
            Label(first.action.span, "the first one's data"),
            *((Label(other.action.span, "the other one's data"),) if other.action is not first.action else ()),
        ),
        help=f"declare how the two are kept apart, such as {remedy} at {first.step.label}",
        silence=f"`isolation` at {first.step.label} or {other.step.label}",
        subject=f"{path(first.step.step)} / {entity} / {anomaly.kind}",
    )
