"""A participant commands what its orchestrator commands as well.

## Why

An orchestrator is worth its price because one place knows what has been done, retries it and undoes it. If a participant, while it
serves one of the workflow's commands, goes on to command another participant's operation that belongs to the workflow, then the step
happens behind the orchestrator's back: it is done twice or at the wrong time, and a compensation of the workflow misses it.

## Bad

```coord
command PlaceOrder, TakePayment, Ship

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Payments {
  handles TakePayment {
    acts "charges the card"
    sends Shipping.Ship # MIX402
  }
}
service Shipping {
  handles Ship acts "ships the parcel"
}

workflow Fulfilment in Orders {
  starts on PlaceOrder
  calls Payments.TakePayment { pivot }
  calls Shipping.Ship
}
```

## Good

```coord
command PlaceOrder, TakePayment, Ship

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Payments {
  handles TakePayment acts "charges the card"
}
service Shipping {
  handles Ship acts "ships the parcel"
}

workflow Fulfilment in Orders {
  starts on PlaceOrder
  calls Payments.TakePayment { pivot }
  calls Shipping.Ship
}
```

## Exempt

- Operations that only read, build a view or tell people, and operations that the workflow does not command.
- Branches that exclude each other: the workflow commands it only where the participant does not.
- A participant that is an orchestrator itself: its command starts a workflow of its own.

## References

- Ford, Richards, Sadalage, Dehghani, "Software architecture: the hard parts", 2021, ch. 11.
- Ruecker, "Practical process automation", 2021, ch. 7: balancing orchestration and choreography.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule

from ._words import asks, request_label, who

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.scopes import Bypass
    from coordlint.design import Design


@rule("MIX402", "orchestrator-bypass", "W/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Report each operation that a participant commands beside the workflow."""
    for bypass in design.scopes.bypasses:
        yield _finding(bypass)


def _finding(bypass: Bypass) -> Finding:
    workflow, request = bypass.own.process, bypass.request
    participant = bypass.through.service.name
    return Finding(
        primary=Label(request.span, f"behind the back of {who(workflow)}"),
        message=f"`{participant}` {asks(request)} while it serves {who(workflow)}, which commands that itself",
        related=(request_label(bypass.own), Label(bypass.through.place, f"{who(workflow)} commands this")),
        help=f"let `{participant}` answer, and {who(workflow)} go on from there",
        silence="a choice in the workflow that leaves the step out where the participant takes it",
        subject=bypass.through.path,
        claim=Claim(both=(frozenset({bypass.own.id}), frozenset({request.id})), levels="E/E/E"),
    )
