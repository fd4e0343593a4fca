"""Several services publish the same event.

## Why

An event states a fact, and a fact has one authority. When two services publish it, nothing orders their statements, a change
of its schema has to be agreed on and released by both, and consumers cannot tell whether both mean the same. The service that
finds out about it second sends a command to the owner instead, and the owner decides whether the fact holds.

## Bad

```coord
event OrderCancelled # EVT206
command CancelOrder
external service Buyer { sends Orders.CancelOrder  emits ComplaintRaised }
event ComplaintRaised
service Orders {
  handles CancelOrder emits OrderCancelled
}
service Support {
  on ComplaintRaised emits OrderCancelled
}
service Mail {
  on OrderCancelled { notifies }
}
```

## Good

```coord
event OrderCancelled
command CancelOrder
external service Buyer { sends Orders.CancelOrder  emits ComplaintRaised }
event ComplaintRaised
service Orders {
  handles CancelOrder emits OrderCancelled
}
service Support {
  on ComplaintRaised { sends Orders.CancelOrder }
}
service Mail {
  on OrderCancelled { notifies }
}
```

## Exempt

- `technical` events, which many services publish: heartbeats, audit.
- `migrating until DATE`: the event is on its way from one owner to the other; after that day it is reported again.
- One owner beside `external` publishers: a bridge to the outside repeats what was said there.

The language has no word for the owner of an event; the publishers are compared with each other.

## References

- B. Stopford, "Build services on a backbone of events", Confluent, 2017: the single writer principle.
- NServiceBus documentation, "Messages, events, and commands": an event has one logical publisher.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.system import Action, Message


@rule("EVT206", "multiple-event-owners", "W/W/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """One finding per event with two publishing services or more."""
    for event in design.system.events():
        if event.phantom or event.fact("technical").declared or _is_migrating(design, event):
            continue
        emits = design.index.emitters.get(event, ())
        inside = [action for action in emits if not _is_outside(action)]
        owners = sorted({action.process.service.name for action in inside})
        if len(owners) > 1:
            yield _finding(event, owners, inside)


def _is_outside(action: Action) -> bool:
    return action.process.service.external or action.process.service.phantom


def _is_migrating(design: Design, event: Message) -> bool:
    """Whether the day until which it may have two owners has not passed."""
    migrating = event.fact("migrating")
    if not migrating.declared:
        return False
    try:
        return design.today is None or design.today <= date.fromisoformat(migrating.value)
    except ValueError:  # REF003 speaks of a day that is none
        return True


def _finding(event: Message, owners: list[str], emits: list[Action]) -> Finding:
    first: dict[str, Action] = {}
    for action in emits:
        first.setdefault(action.process.service.name, action)
    return Finding(
        primary=Label(event.place, f"has {len(owners)} publishers"),
        message=f"`{event.name}` is published by {listed(owners, most=4)}",
        related=shown([Label(first[name].span, f"published by `{name}`") for name in owners]),
        help="let one service own it and the others send that service a command",
        silence="`technical` in its body, or `migrating until` a day",
        subject=f"event {event.name}",
    )
