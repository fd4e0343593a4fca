"""Two workflows command the same operation in one run.

## Why

Each of the two believes that the outcome is its own. Both retry it, both compensate it, and neither knows of the other, so the card is
captured twice, or captured by one and refunded by the other.

## Bad

```coord
command CaptureCard
event OrderPlaced

service Web { every 1h emits OrderPlaced }
service Orders
service Risk
service Payments {
  handles CaptureCard acts "charges the card"
}

workflow Checkout in Orders {
  starts on OrderPlaced
  calls Payments.CaptureCard # MIX404
}
workflow FraudCheck in Risk {
  starts on OrderPlaced
  acts "scores the order"
  calls Payments.CaptureCard
}
```

## Good

One of them captures the card, the other gives its verdict:

```coord
command CaptureCard
query GetScore
event OrderPlaced
store RiskDb

service Web { every 1h emits OrderPlaced }
service Orders
service Risk {
  handles GetScore reads RiskDb.scores
}
service Payments {
  handles CaptureCard acts "charges the card"
}

workflow Checkout in Orders {
  starts on OrderPlaced
  calls Risk.GetScore
  calls Payments.CaptureCard
}
```

## Exempt

- Workflows that run in different flows: to reuse an operation is normal.
- One workflow that leads to the start of the other, as a parent to its child or one stage to the next.
- Branches that exclude each other: only one of the two workflows is started, or gets that far.
- Operations that only read, build a view or tell people, and operations that more than four processes request.
- Compensations: undoing twice is DLV601's question.

It is a warning in the default profile if the operation is `idempotent`.

## References

- Ruecker, "Practical process automation", 2021, ch. 7: who is responsible for the outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Claim, Finding
from coordlint.rule import rule

from ._words import request_label, who

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.scopes import Rivalry
    from coordlint.design import Design


@rule("MIX404", "rival-orchestrators", "E/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Report each operation that two workflows command in one run."""
    for rivalry in design.scopes.rivalries:
        yield _finding(design, rivalry)


def _finding(design: Design, rivalry: Rivalry) -> Finding:
    first, second = rivalry.first, rivalry.second
    handlers = design.sagas.answering(first)
    recognised = bool(handlers) and all(handler.fact("idempotent").declared for handler in handlers)
    return Finding(
        primary=request_label(first),
        message=f"{who(first.process)} and {who(second.process)} both command `{first.message.name}` in one run",
        related=(request_label(second),),
        help="let one of them command it, and the other tell its result",
        silence="a choice (`either`) that lets only one of them get there",
        subject=f"{first.process.path} / {first.message.name}",
        levels="W/E/E" if recognised else "E/E/E",
        claim=Claim(both=(frozenset({first.id}), frozenset({second.id}))),
    )
