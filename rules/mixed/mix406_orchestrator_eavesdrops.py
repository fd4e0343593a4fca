"""A workflow waits for an event that is not meant for it.

## Why

A workflow that asks and gets an answer has an agreement with its participant. A workflow that waits for an event which its
participant publishes for its own purposes has none: the participant may rename it, publish it at another moment or not at all, and
the workflow waits. There are two forms of it:

- the event is `private` to a service of another context (or, where no contexts are declared, to another service);
- the event comes from a participant of the workflow, nothing that the workflow does leads to it, and it is moved by the very entry that
  starts the workflow: the participant reacts on its own account to what the workflow is about, and the workflow listens in.

## Bad

```coord
command PlaceOrder, TakePayment
private event LedgerRowInserted
store LedgerDb

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Payments {
  handles TakePayment {
    writes LedgerDb.rows
    emits LedgerRowInserted
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  recovery forward
  sends Payments.TakePayment
  awaits LedgerRowInserted within 1h # MIX406
}
```

## Good

```coord
command PlaceOrder, TakePayment
event PaymentTaken
store LedgerDb

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Payments {
  handles TakePayment {
    writes LedgerDb.rows
    emits PaymentTaken
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  recovery forward
  sends Payments.TakePayment
  awaits PaymentTaken within 1h
}
```

## Exempt

- Private events within one bounded context, and events of the workflow's own service.
- Answers: events that follow from something the workflow calls, sends, publishes or writes.
- Signals: events that a person, a partner, a timer or another flow causes. Only what moves the workflow itself counts.
- `public` and `external` events.

Handlers that consume a private event of another context are CON705's.

## References

- Newman, "Building microservices", 2nd ed., 2021: information hiding.
- Ruecker, "Practical process automation", 2021, ch. 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import publication_label, who

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.scopes import Overheard
    from coordlint.design import Design


@rule("MIX406", "orchestrator-eavesdrops", "W/W/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Report each event that a workflow overhears, once for each workflow."""
    for overheard in design.scopes.overheard:
        yield _finding(overheard)


def _finding(overheard: Overheard) -> Finding:
    event, workflow = overheard.use.message, overheard.process
    publisher = overheard.emit.process.service.name
    private = f"which is private to `{publisher}`"
    unasked = f"which `{publisher}` publishes without being asked by it"
    return Finding(
        primary=Label(overheard.use.span, "not meant for this workflow"),
        message=f"{who(workflow)} takes `{event.name}`, {private if overheard.private else unasked}",
        related=(publication_label(overheard.emit), *_declared(overheard)),
        help=f"let `{publisher}` answer a command of the workflow with an event made for that",
        silence=f"`public` on `{event.name}`" if not overheard.private else f"no `private` on `{event.name}`",
        subject=f"{workflow.path} / {event.name}",
    )


def _declared(overheard: Overheard) -> tuple[Label, ...]:
    return (Label(overheard.use.message.place, "declared private"),) if overheard.private else ()
