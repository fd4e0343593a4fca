"""One instance of a flow, or one event, causes more messages than the broker or anybody's attention can bear.

## Why

In a choreography load is hidden: nobody sees that one order becomes a hundred messages, as each service adds only its few. The broker
sees all of them. What it is declared to carry is held against what flows with a `rate` are certain to send over it, and above that
nothing works. Whoever listens to an event that more than twenty consumers wait for meets their slowest as a matter of course: with one
slow answer in a hundred, one of twenty is slow in 18% of the cases.

## Bad

```coord
broker Rabbit { capacity 1000/s } # RES808
channel orders on Rabbit { topic  delivery at-least-once }
event OrderPlaced, OrderPriced, OrderPacked via orders
command PlaceOrder

external service Shopper { calls Orders.PlaceOrder }
service Orders {
  handles PlaceOrder emits OrderPlaced
}
service Pricing {
  on OrderPlaced emits OrderPriced
}
service Packing {
  on OrderPriced emits OrderPacked
}
service Mail {
  on OrderPacked {
    notifies
    acts "mails the buyer"
  }
}
flow Ordering {
  starts with PlaceOrder from Shopper
  succeeds with OrderPacked
  rate 400/s
}
```

## Good

```coord
broker Rabbit { capacity 2000/s }
channel orders on Rabbit { topic  delivery at-least-once }
event OrderPlaced, OrderPriced, OrderPacked via orders
command PlaceOrder

external service Shopper { calls Orders.PlaceOrder }
service Orders {
  handles PlaceOrder emits OrderPlaced
}
service Pricing {
  on OrderPlaced emits OrderPriced
}
service Packing {
  on OrderPriced emits OrderPacked
}
service Mail {
  on OrderPacked {
    notifies
    acts "mails the buyer"
  }
}
flow Ordering {
  starts with PlaceOrder from Shopper
  succeeds with OrderPacked
  rate 400/s
}
```

## Exempt

Under the profile default only the capacity of a broker is held against the load. `technical` events may have any number of
consumers.

## Options

`messages` (100): the messages of one instance of a flow above which it is told. `consumers` (20): the consumers of one event.

## References

- J. Dean, L. A. Barroso: The tail at scale, Communications of the ACM, 2013.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.latency import exceeds
from coordlint.analysis.load import rate_text
from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import PLACES, labels, span_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.flows import FlowView
    from coordlint.design import Design
    from coordlint.system import Broker, Message

_OPINION = "–/I/W"


@rule("RES808", "fan-out-amplification", "E/E/E", evidence="QO", options={"messages": 100, "consumers": 20})
def check(design: Design) -> Iterator[Finding]:
    """Brokers in every profile; under strict and production also flows and events."""
    for broker in design.system.brokers.values():
        yield from _broker(design, broker)
    if design.strict:
        for view in design.flows:
            yield from _flow(design, view, check.option(design, "messages"))
        for event in design.system.events():
            yield from _event(design, event, check.option(design, "consumers"))


def _broker(design: Design, broker: Broker) -> Iterator[Finding]:
    capacity = broker.fact("capacity")
    carried, messages = design.load.carried(broker)
    if not capacity.declared or not exceeds(carried, capacity.value):
        return
    yield Finding(
        primary=Label(span_of(capacity), "messages it can carry"),
        message=(
            f"broker `{broker.name}` has to carry {rate_text(carried)} and is declared to carry "
            f"{rate_text(capacity.value)}"
        ),
        related=labels(design.load.rate(messages[0]).reasons),
        notes=tuple(f"`{message.name}`: {design.load.rate(message).text}" for message in messages[:PLACES]),
        help="send fewer messages for each instance, or give the broker more nodes",
        silence="a `capacity` that carries the load",
        subject=f"broker {broker.name}",
    )


def _flow(design: Design, view: FlowView, limit: float) -> Iterator[Finding]:
    count = design.load.emissions(view.flow)
    if exceeds(count, limit):
        yield Finding(
            primary=Label(view.flow.place),
            message=f"one instance of flow `{view.flow.name}` causes at least {count:.6g} messages",
            notes=(f"{count:.6g} messages against {limit:g}",),
            help="say it once: one event that carries the result instead of one for each part of it",
            silence="the option `messages` of this rule",
            subject=f"flow {view.flow.name}",
            levels=_OPINION,
        )


def _event(design: Design, event: Message, limit: float) -> Iterator[Finding]:
    if event.fact("technical").declared:
        return
    consumers = list(design.index.consumers(event))
    if len(consumers) > limit:
        slow = 1 - 0.99 ** len(consumers)
        yield Finding(
            primary=Label(event.place),
            message=f"`{event.name}` has {len(consumers)} consumers",
            related=tuple(Label(process.place, "one of them") for process in consumers[:PLACES]),
            notes=(f"with one slow consumer in a hundred, one of them is slow in {slow:.0%} of the cases",),
            help="let fewer consumers listen to it, each for a group of others",
            silence="`technical` at the event, or the option `consumers` of this rule",
            subject=f"event {event.name}",
            levels=_OPINION,
        )
