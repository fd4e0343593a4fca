"""A command and an event start the same work in one run.

## Why

In a design that both orchestrates and reacts, the same step is easily arranged twice: the workflow commands it, and its service
also listens for the event that used to trigger it. Then goods are shipped twice, or, where the second execution is recognised,
the order in which the two arrive decides what happens and what the orchestrator is told.

The same work means one of these:

- an operation that one process commands and that a reaction to an event commands, too;
- a workflow that starts on a command or on an event, both of which occur;
- two handlers of one service that publish an outcome which nobody else publishes, one for the command and one for the event;
- two such handlers that write exactly the same entities and announce nothing. That is no proof of the same work, only of the same
  data changed twice in no order, and so a warning.

Both have to be reachable in one run from one entry of the design, and neither may come after the other, unless both say that they do
the same (`acts "…"`).

## Bad

```coord
command PlaceOrder, TakePayment, Ship
event PaymentTaken, Shipped

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Payments {
  handles TakePayment {
    acts "charges the card"
    emits PaymentTaken
  }
}
service Shipping {
  handles Ship {
    acts "ships the parcel"
    emits Shipped
  }
  on PaymentTaken { # MIX401
    acts "ships the parcel"
    emits Shipped
  }
}

service Mail {
  on Shipped { notifies  acts "mails the buyer" }
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
event Shipped

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Payments {
  handles TakePayment acts "charges the card"
}
service Shipping {
  handles Ship {
    acts "ships the parcel"
    emits Shipped
  }
}

service Mail {
  on Shipped { notifies  acts "mails the buyer" }
}

workflow Fulfilment in Orders {
  starts on PlaceOrder
  calls Payments.TakePayment { pivot }
  calls Shipping.Ship
}
```

## Exempt

- Read models and notices (`projection`, `notifies`), and handlers of external services.
- Branches that exclude each other, and runs from different entries: two flows may well use one operation.
- A later stage: the event is published only after the command was handled, or the command is given only after the reaction.
- An operation that more than four processes request: it is a general one.
- A handler that `compensates` something.

It is a warning in the default profile where both share a key by which a repetition is recognised (`idempotent by …`), or where it is
one operation that is `idempotent`.

## References

- Hohpe, Woolf, "Enterprise integration patterns", 2003: process manager, idempotent receiver.
- Ford, Richards, Sadalage, Dehghani, "Software architecture: the hard parts", 2021, ch. 11: orchestration and choreography.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule

from ._words import asks, request_label, who

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.scopes import DualTrigger
    from coordlint.design import Design
    from coordlint.source import Span


@rule("MIX401", "dual-trigger", "E/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Report each pair of triggers once, at the event's handler."""
    for dual in design.scopes.dual_triggers:
        yield _finding(design, dual)


def _finding(design: Design, dual: DualTrigger) -> Finding:
    request, event = dual.request, dual.event.name
    return Finding(
        primary=Label(_place(dual), f"`{event}` starts it, too"),
        message=f"{_fact(dual)}: {who(request.process)} {asks(request)}, and `{event}` {_other(dual)}",
        related=(request_label(request), *_related(dual)),
        notes=() if dual.sure else ("nothing says which of the two comes first",),
        help=_help(dual),
        silence="a choice (`either`) between the two, or handlers that say different outcomes",
        subject=dual.reacting.path,
        levels=_levels(dual),
        claim=Claim(
            both=_both(design, dual),
            end=f"`{dual.commanded.service.name}` does it for {who(request.process)} and for `{event}`",
            levels="" if dual.sure else "W/E/E",
        ),
    )


def _both(design: Design, dual: DualTrigger) -> tuple[frozenset[int], frozenset[int]]:
    """What one run must come to: the command is carried out, and the event's reaction does the same."""
    system = design.system
    if dual.repeat is not None:
        then = [dual.repeat]
    elif dual.commanded is dual.reacting:
        then = list(design.index.emitters.get(dual.event, ()))
    else:
        then = [a for a in system.actions_of(dual.reacting) if a.kind in {"write", "act", "emit", "send", "call"}]
    work = [a for a in system.actions_of(dual.commanded) if a.kind in {"write", "act", "emit", "send", "call"}]
    first = work if dual.commanded is not dual.reacting else [dual.request]
    return frozenset(action.id for action in first or [dual.request]), frozenset(action.id for action in then)


def _place(dual: DualTrigger) -> Span:
    return dual.repeat.span if dual.repeat is not None else dual.reacting.place


def _fact(dual: DualTrigger) -> str:
    service = dual.commanded.service.name
    if not dual.sure:
        return f"one run makes `{service}` write the same data twice"
    if dual.commanded.workflow is not None:
        return f"one run starts workflow `{dual.commanded.workflow.name}` twice"
    return f"one run makes `{service}` do the same work twice"


def _other(dual: DualTrigger) -> str:
    if dual.repeat is not None:
        return f"makes `{dual.reacting.service.name}` {dual.repeat.kind} it again"
    return "starts it" if dual.commanded is dual.reacting else "triggers the same"


def _related(dual: DualTrigger) -> tuple[Label, ...]:
    if dual.repeat is not None:
        return (Label(dual.reacting.place, f"`{dual.reacting.service.name}` reacts here"),)
    return () if dual.commanded is dual.reacting else (Label(dual.commanded.place, "the work, by command"),)


def _help(dual: DualTrigger) -> str:
    if dual.request.process.workflow is not None:
        return f"let {who(dual.request.process)} decide when it is done, and drop the reaction to `{dual.event.name}`"
    return "keep one of the two triggers"


def _levels(dual: DualTrigger) -> str:
    if not dual.sure:
        return "W/W/E"
    one, other = dual.commanded.fact("idempotent"), dual.reacting.fact("idempotent")
    once = one.declared and (dual.repeat is not None or dual.commanded is dual.reacting)
    shared = one.declared and other.declared and bool(one.value) and one.value == other.value
    return "W/E/E" if once or shared else "E/E/E"
