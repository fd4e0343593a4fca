"""An event asks its only consumer for something.

## Why

An event states what happened and leaves it to others whether they care. If it has exactly one consumer, the flow comes to a halt
without it, and the publisher waits for what that consumer publishes next, then it is a request in the clothes of a fact. A request can
be refused, answered and timed out, and shows who depends on whom; the disguised one can only be ignored. Ruecker's question
tells them apart: is it fine if nobody reacts?

## Bad

```coord
command PlaceOrder
event PaymentNeeded, PaymentTaken, OrderConfirmed

external service Shopper { sends Orders.PlaceOrder }

service Orders {
  handles PlaceOrder emits PaymentNeeded # MIX407
  on PaymentTaken emits OrderConfirmed
}
service Payments {
  on PaymentNeeded {
    acts "charges the card"
    emits PaymentTaken
  }
}

flow Ordering {
  starts with PlaceOrder from Shopper
  succeeds with OrderConfirmed
}
```

## Good

```coord
command PlaceOrder, TakePayment
event PaymentTaken, OrderConfirmed

external service Shopper { sends Orders.PlaceOrder }

service Orders {
  handles PlaceOrder sends Payments.TakePayment
  on PaymentTaken emits OrderConfirmed
}
service Payments {
  handles TakePayment {
    acts "charges the card"
    emits PaymentTaken
  }
}

flow Ordering {
  starts with PlaceOrder from Shopper
  succeeds with OrderConfirmed
}
```

## Exempt

- Two or more consumers, a consumer outside the design, or one that is a workflow: to start a workflow by an event is a clear boundary.
- `public`, `external` and `technical` events.
- Flows whose goal does not need the consumer, and answers with another `key`.
- Events from the midst of a workflow: MIX408 reports them as dirty handovers.
- An answer that comes more than two hops behind the consumer: then it is no answer any more.

It is an information in the default profile, and a warning if the name itself asks for something (requested, needed, required,
should, please). The finding shows where the answer is taken.

## References

- Dudycz, "Passive-aggressive events", event-driven.io; the term is Fowler's.
- Ruecker, "Practical process automation", 2021, ch. 7: commands, events, and who decides.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import who

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.handovers import Disguise
    from coordlint.design import Design

ASKING = frozenset({"requested", "needed", "required", "should", "please"})
"""Words in a name that ask."""


@rule("MIX407", "passive-aggressive-event", "I/W/W", evidence="O")
def check(design: Design) -> Iterator[Finding]:
    """Report each event that is a request, once."""
    dirty = {
        (handover.emit, handover.target)
        for view in design.flows
        for handover in design.handovers.of(view)
        if not handover.clean
    }
    for disguise in design.handovers.disguises(design.flows):
        if (disguise.emit, disguise.consumer) not in dirty:
            yield _finding(disguise)


def _finding(disguise: Disguise) -> Finding:
    event, consumer = disguise.event.name, disguise.consumer.service.name
    publisher = disguise.emit.process
    return Finding(
        primary=Label(disguise.emit.span, f"only `{consumer}` listens"),
        message=f"`{event}` asks `{consumer}` for something: {who(publisher)} waits for `{disguise.answer.name}`",
        related=(
            Label(disguise.consumer.place, "its only consumer"),
            Label(disguise.heard, f"`{publisher.service.name}` takes the answer here"),
        ),
        notes=(f"the goal of flow `{disguise.view.flow.name}` needs this consumer",),
        help=f"make it a command that `{consumer}` handles",
        silence=f"`public` on `{event}`, if others are meant to listen",
        subject=f"event {event}",
        levels="W/W/W" if _asks(event) else "",
    )


def _asks(name: str) -> bool:
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return any(word.lower() in ASKING for word in words)
