"""A service acts on a provisional event of a workflow, and nothing undoes that when the workflow fails.

## Why

What a workflow publishes before its pivot is provisional: if a later step fails, the workflow compensates its own steps and ends
as if nothing had happened. Services that reacted to the event meanwhile are no steps of it. Nobody compensates them: points stay
credited for a rejected order, a courier sets out, statistics keep counting.

An event counts as provisional if the workflow, or the handler of one of its commands, publishes it in the saga interval and a later
step can fail: for a declared business reason or, where the workflow says what it does about failures, for any reason.

## Bad

```coord
command PlaceOrder, TakePayment
event OrderOpened
store LoyaltyDb

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Payments {
  handles TakePayment {
    acts "charges the card"
    succeeds or fails "no funds"
  }
}
service Loyalty {
  on OrderOpened writes LoyaltyDb.points # MIX405
}

workflow Checkout in Orders {
  starts on PlaceOrder
  emits OrderOpened
  calls Payments.TakePayment { pivot }
}
```

## Good

It reacts to the outcome:

```coord
command PlaceOrder, TakePayment
event OrderConfirmed
store LoyaltyDb

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Payments {
  handles TakePayment {
    acts "charges the card"
    succeeds or fails "no funds"
  }
}
service Loyalty {
  on OrderConfirmed writes LoyaltyDb.points
}

workflow Checkout in Orders {
  starts on PlaceOrder
  calls Payments.TakePayment { pivot }
  emits OrderConfirmed
}
```

Or it hears of the failure, too:

```coord
command PlaceOrder, TakePayment
event OrderOpened, OrderRejected
store LoyaltyDb

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Payments {
  handles TakePayment {
    acts "charges the card"
    succeeds or fails "no funds"
  }
}
service Loyalty {
  on OrderOpened writes LoyaltyDb.points
  on OrderRejected { compensates OrderOpened  writes LoyaltyDb.points }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  emits OrderOpened
  calls Payments.TakePayment { pivot }
  on failure { emits OrderRejected }
}
```

## Exempt

- `provisional` on the event: whoever consumes it knows that it may be undone.
- Read models and notices (`projection`, `notifies`), and external services. That a notice cannot be taken back is not judged, since
  the language has no word for which notices matter.
- Events published after the pivot, or after the last step that can fail.
- A reaction that something undoes when the workflow fails there: a handler that `compensates` the event or the command behind it, writes
  one of the same entities, or acts in the same service; reached from the workflow's compensations, its `on failure` block,
  the events of the failing step, or the caller's failure block.

Flows without a workflow are SAG310's.

## References

- Ford, Richards, Sadalage, Dehghani, "Software architecture: the hard parts", 2021, ch. 12: side effects of compensation.
- Richardson, "Microservices patterns", 2018, ch. 4: dirty reads of sagas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule

from ._words import publication_label, who

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.scopes import Leg
    from coordlint.design import Design


@rule("MIX405", "uncompensated-choreography-leg", "W/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Report each reaction that outlives the failure of the workflow it belongs to."""
    for leg in design.scopes.uncompensated:
        yield _finding(design, leg)


def _finding(design: Design, leg: Leg) -> Finding:
    publication, failure = leg.provisional.publication, leg.provisional.failure
    event, reacting = publication.event.name, who(leg.reaction)
    causes = [Label(failure.action.span, f"{who(leg.workflow)} can still fail here")]
    if failure.cause is not failure.action:
        causes.append(Label(failure.cause.span, "for this reason"))
    return Finding(
        primary=Label(leg.reaction.place, "nothing undoes this"),
        message=f"{reacting} acts on `{event}` before {who(leg.workflow)} is decided, and stays so if it fails",
        related=(publication_label(publication.emit), *causes),
        help=f"react to the event of the outcome, or undo it in a handler for that of the failure (`compensates {event}`)",
        silence=f"`provisional` on `{event}`",
        subject=leg.reaction.path,
        claim=Claim(
            both=_both(design, leg),
            end=f"{who(leg.workflow)} has failed, and nothing undoes {{done}} of {reacting}",
            levels="E/E/E",
        ),
    )


def _both(design: Design, leg: Leg) -> tuple[frozenset[int], frozenset[int]]:
    """What one run must come to: the reaction changes something, and the workflow fails."""
    changes = design.system.actions_of(leg.reaction, "write", "act")
    return frozenset(action.id for action in changes), frozenset(leg.workflow.actions[1:2])
