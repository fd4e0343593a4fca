"""A flow declares an order of two messages that nothing enforces.

## Why

Services that react to the same event do so at the same time, and a channel only keeps the order in which messages were
published. One message comes before another for sure only if it is among its causes, or if the service that publishes the
second one learns of the first and can wait for it. An order that is declared and not caused is a wish: it holds on a quiet
day and breaks under load.

## Bad

```coord
event OrderPlaced, PaymentTaken, ParcelSent
external service Shop { emits OrderPlaced }
service Payments {
  on OrderPlaced emits PaymentTaken
}
service Shipping {
  on OrderPlaced emits ParcelSent
}
flow Order {
  starts with OrderPlaced from Shop
  succeeds with PaymentTaken and ParcelSent
  order PaymentTaken before ParcelSent # EVT208
}
```

## Good

```coord
event OrderPlaced, PaymentTaken, ParcelSent
external service Shop { emits OrderPlaced }
service Payments {
  on OrderPlaced emits PaymentTaken
}
service Shipping {
  on PaymentTaken emits ParcelSent
}
flow Order {
  starts with OrderPlaced from Shop
  succeeds with PaymentTaken and ParcelSent
  order PaymentTaken before ParcelSent
}
```

## Exempt

- The first message is among the causes of every publication of the second.
- The service that publishes the second message also reacts to what follows from the first.
- Both messages exclude each other: they stand in different branches of a choice.

A common channel with one partition does not enforce the order: it delivers in the order of publication, whichever that was.

## References

- OMG, *Business Process Model and Notation 2.0*, 2011, section 11.5: the initiator of a choreography activity must have taken
  part in the one before.
- S. Basu, T. Bultan, M. Ouederni, "Deciding choreography realizability", POPL 2012.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule

from ._words import called, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.forks import Unordered
    from coordlint.design import Design
    from coordlint.system import Flow


@rule("EVT208", "unenforceable-order", "E/E/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """One finding per declared order."""
    for view in design.flows:
        for one in design.forks.unordered(view):
            yield _finding(view.flow, one)


def _finding(flow: Flow, one: Unordered) -> Finding:
    first, then = one.order.first.message.name, one.order.then.message.name
    labels = []
    if one.before is not None:
        labels.append(Label(one.before.span, f"`{first}` may come later"))
    if one.after is not None:
        labels.append(Label(one.after.span, f"`{then}` does not wait for it"))
    return Finding(
        primary=Label(one.order.span, "nothing enforces this"),
        message=f"nothing makes `{first}` come before `{then}` in flow `{flow.name}`: {_why(one)}",
        related=shown(labels),
        help=f"let {called(one.after.process) if one.after else 'the flow'} begin with what follows from `{first}`",
        silence=f"a chain of messages from `{first}` to `{then}`",
        subject=f"flow {flow.name} / order {first} before {then}",
        claim=Claim(("B20",), (one.order.span,)),
    )


def _why(one: Unordered) -> str:
    if one.after is None:
        return "the flow starts with the second"
    if one.before is None:
        return "the flow itself never publishes the first"
    return f"{called(one.after.process)} neither follows from it nor learns of it"
