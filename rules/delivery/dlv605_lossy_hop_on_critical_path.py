"""A flow needs a message for its goal that its channel may lose.

## Why

With `at-most-once` delivery a message is gone when its receiver is away or fails; what a channel keeps in memory is gone when
the broker restarts. Nobody is told: the sender has done its part and the receiver never knew. A flow whose goal depends on
that message stands still, with nobody waiting for it.

## Bad

```coord
broker Kafka
channel payments on Kafka { topic  delivery at-most-once } # DLV605
event PaymentTaken via payments
command PlaceOrder
external service Shopper { calls Payments.PlaceOrder }

service Payments {
  handles PlaceOrder emits PaymentTaken
}
event OrderShipped
service Shipping {
  on PaymentTaken emits OrderShipped
}

flow Order {
  starts with PlaceOrder from Shopper
  succeeds with OrderShipped
}
```

## Good

```coord
broker Kafka
channel payments on Kafka { topic  delivery at-least-once }
event PaymentTaken via payments
command PlaceOrder
external service Shopper { calls Payments.PlaceOrder }

service Payments {
  handles PlaceOrder emits PaymentTaken
}
event OrderShipped
service Shipping {
  on PaymentTaken emits OrderShipped
}

flow Order {
  starts with PlaceOrder from Shopper
  succeeds with OrderShipped
}
```

## Exempt

- A message without which the goal is still reached: another way leads to it, or a timer (`every`) that reads what the flow has
  written and looks for what is left over.
- The goal event itself, as it counts as reached when it is published.
- A request whose sender waits for the answer (`calls`): it notices.

That a message repeats a state that the next one will repeat again, so that a lost one does no harm, has no word in the language.

## References

- G. Hohpe, B. Woolf, Enterprise Integration Patterns, *Guaranteed Delivery*.
- RabbitMQ documentation, persistence: a durable queue does not make its messages persistent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.delivery import loses
from coordlint.finding import Claim, Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit

from ._words import listed, shortened, who

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.flows import FlowView
    from coordlint.design import Design
    from coordlint.system import Channel


@rule("DLV605", "lossy-hop-on-critical-path", "W/E/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """One finding per channel."""
    for channel, views in design.delivery.endangered(design.flows).items():
        yield _finding(design, channel, views)


def _finding(design: Design, channel: Channel, views: list[FlowView]) -> Finding:
    fact = loses(channel)
    assert fact is not None
    assert fact.span is not None
    arrivals = [
        arrival
        for arrival in design.delivery.over(channel)
        if any(arrival.process.start in view.nodes for view in views)
    ]
    readers = dict.fromkeys(arrival.process for arrival in arrivals)
    labels, more = shortened(
        [Label(reader.place, f"{who(reader)} waits for it in vain") for reader in readers], "reader"
    )
    flows = "flow" if len(views) == 1 else "flows"
    at_most_once = fact.value == "at-most-once"
    return Finding(
        primary=Label(fact.span, "may lose a message" if at_most_once else "gone when it stops"),
        message=f"`{channel.name}` may lose what {flows} {listed(view.flow.name for view in views)} cannot do without",
        related=(*labels, *(Label(view.flow.place, "its goal needs the message") for view in views[:1])),
        notes=more,
        help="deliver at least once"
        if at_most_once
        else "keep the messages on disk, or look for what was lost with a timer",
        silence="`delivery at-least-once`" if at_most_once else "no `in-memory`",
        fix=Fix("deliver at least once", (Edit(fact.span, "delivery at-least-once"),)) if at_most_once else None,
        subject=f"channel {channel.name}",
        claim=Claim(
            ("B1", "B2"),
            messages=frozenset(arrival.use.message.name for arrival in arrivals),
            faults=frozenset({"lose" if at_most_once else "forget"}),
        ),
    )
