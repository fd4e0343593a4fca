"""A flow fails, and a handler that has changed something for it does not hear of the failure.

## Why

In a choreography nobody has the whole in hand: each service that changes something for an instance has to learn when the
instance fails, and has to undo its own part. Forgetting one subscription is enough for money to stay taken or a seat to stay
reserved (Richardson counts this among the drawbacks of choreographed sagas). It is seen only when a customer complains, because
every service by itself has done its work.

The failure may come from outside the flow: an order is cancelled while its payment runs. The run of such a finding begins with both
entries.

## Bad

```coord
store SeatDb
event TicketOrdered, TicketPaid, PaymentDeclined

external service Shopper { emits TicketOrdered }

service Seats {
  on TicketOrdered writes SeatDb.seats # SAG310
}
service Payments {
  on TicketOrdered {
    acts "charges the card"
    emits TicketPaid or fails PaymentDeclined
  }
}
service Mailer { on TicketPaid or PaymentDeclined { notifies  acts "tells the customer" } }

flow Booking {
  starts with TicketOrdered from Shopper
  succeeds with TicketPaid
  fails with PaymentDeclined
}
```

## Good

```coord
store SeatDb
event TicketOrdered, TicketPaid, PaymentDeclined

external service Shopper { emits TicketOrdered }

service Seats {
  on TicketOrdered writes SeatDb.seats
  on PaymentDeclined { compensates TicketOrdered  writes SeatDb.seats }
}
service Payments {
  on TicketOrdered {
    acts "charges the card"
    emits TicketPaid or fails PaymentDeclined
  }
}
service Mailer { on TicketPaid or PaymentDeclined { notifies  acts "tells the customer" } }

flow Booking {
  starts with TicketOrdered from Shopper
  succeeds with TicketPaid
  fails with PaymentDeclined
}
```

## Exempt

Handlers that are `projection`, `notifies` or external; reactions to `provisional` or `technical` events; handlers behind the
last thing that can fail; those that a reaction to the failure `compensates`, or whose data it writes; what the failing service
has changed itself; intake of a batch, where the failure concerns one item of a `for each`. A failure that leads to the failure event of its flow is judged by that event, and
one whose message goes to a dead-letter channel is repaired by hand. What a workflow commands is SAG301's, what reacts to a
workflow's events MIX405's. A failure that nobody hears is EVT207's: it has to be heard first.

## References

- Richardson, *Microservices Patterns*, 2nd ed., on choreographed sagas.
- Ford, Richards, Sadalage, Dehghani, *Software Architecture: The Hard Parts*, chapter 11, on errors in choreographies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Claim, Finding, Label, Succession
from coordlint.rule import rule

from ._words import joined

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.rollback import Rollback
    from coordlint.design import Design
    from coordlint.system import Action

PLACES = 8


@rule("SAG310", "missing-choreographed-compensation", "W/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Report failures of flows after which something stays done."""
    for rollback in design.rollbacks.found:
        yield _finding(rollback)


def _finding(rollback: Rollback) -> Finding:
    view, causes, event, unordered, _ = rollback
    cause = causes[0]
    left = sorted(unordered, key=lambda action: action.kind != "act")
    services = list(dict.fromkeys(f"`{action.process.service.name}`" for action in left))
    first = left[0]
    failing = f"`{cause.process.name}` of `{cause.process.service.name}`"
    heard = f"`{event.name}`" if event is not None else f"the failure of {failing}"
    fails = (
        f"flow `{view.flow.name}` fails with {heard}"
        if event is not None
        else f"{failing} fails in flow `{view.flow.name}`"
    )
    return Finding(
        primary=_done(first),
        message=f"when {fails}, nothing undoes what {joined(services)} did",
        related=(
            *(_done(action) for action in left[1:PLACES]),
            *(Label(one.span, "the flow fails here") for one in causes[:PLACES]),
        ),
        help=f"let {joined(services)} react to {heard} and undo the change in a handler that `compensates` it",
        notes=(f"{len(left) - PLACES} more changes stay done",) if len(left) > PLACES else (),
        silence="a reaction to the failure that `compensates` the handler",
        subject=f"event {event.name}" if event is not None else cause.process.path,
        claim=Claim(
            ("B1", "B2"),
            tuple(one.process.place for one in causes),
            both=(frozenset(one.id for one in left), frozenset(one.id for one in causes)),
            end=f"{fails}, and nothing undoes {{done}}",
            flow=view.flow.name,
            foremost=_foremost(rollback, first, heard),
            levels="E/E/E",
        ),
    )


def _foremost(rollback: Rollback, first: Action, heard: str) -> Succession:
    """The first effect that is left, and the failures after which it is."""
    cases = [(view, cause) for view, cause, left in rollback.cases if first in left]
    flow = next((view for view, _ in cases if view is rollback.view), cases[0][0])
    causes = frozenset(cause.id for view, cause in cases if view is flow)
    who = f"`{first.process.service.name}`"
    what = f"what {who} did: {_effect(first)}" if first.kind == "act" else f"what {who} wrote to {_effect(first)}"
    end = f"nothing that follows {heard} undoes {what}"
    return Succession(frozenset((first.id,)), causes, flow.flow.name, end)


def _done(action: Action) -> Label:
    process, done = action.process, _effect(action)
    verb = "does" if action.kind == "act" else "writes"
    return Label(action.span, f"`{process.name}` of `{process.service.name}` {verb} {done}")


def _effect(action: Action) -> str:
    """What an action does, or which data it writes."""
    return f'"{action.text}"' if action.kind == "act" else joined([f"`{use.text}`" for use in action.entities])
