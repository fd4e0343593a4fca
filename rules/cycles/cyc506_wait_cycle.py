"""A handler waits for a message that cannot come before the handler has ended.

## Why

A handler that awaits something keeps its slot meanwhile: the partition whose messages it takes in order, or one of the few instances
that `concurrency` allows. If the awaited message has to come through the same slot, it stands in the queue behind the one that
waits for it. With an ordered channel this happens at the first message; with a pool of several slots as soon as all of them wait,
so that it passes every test and stops under load. Waiting in a request made of events - *sync over async* - is the usual way
into it.

A workflow that awaits holds no slot, and the next message of its instance finds it by its key.

## Bad

```coord
broker Kafka
channel orders on Kafka { topic  ordered by order_id }
event OrderPlaced via orders { order_id: uuid }
event PaymentTaken via orders { order_id: uuid }
command TakePayment

service Web { every 1h emits OrderPlaced }
service Orders {
  on OrderPlaced {
    sends Payments.TakePayment
    awaits PaymentTaken within 1m by order_id # CYC506
    acts "packs the goods"
  }
}
service Payments {
  handles TakePayment {
    acts "charges the card"
    emits PaymentTaken
  }
}
```

## Good

The work goes on in a handler of its own:

```coord
broker Kafka
channel orders on Kafka { topic  ordered by order_id }
event OrderPlaced via orders { order_id: uuid }
event PaymentTaken via orders { order_id: uuid }
command TakePayment

service Web { every 1h emits OrderPlaced }
service Orders {
  on OrderPlaced sends Payments.TakePayment
  on PaymentTaken acts "packs the goods"
}
service Payments {
  handles TakePayment {
    acts "charges the card"
    emits PaymentTaken
  }
}
```

## Exempt

- Workflows: their waiting instances are stored, not running.
- Handlers for which no `concurrency` is declared and whose channel is neither `ordered` nor said to have one partition: nothing
  bounds how many may wait.
- An awaited message that comes over another channel, and can be produced without a message of this one being taken first.
- It is a warning in the default profile if several slots have to wait at once (`concurrency` above 1).

## References

- Nygard, "Release It!", 2nd ed., 2018: blocked threads.
- Stopford, "Designing event-driven systems", 2018: request and response over ordered logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.cycles import Wait
    from coordlint.design import Design


@rule("CYC506", "wait-cycle", "E/E/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """Report each wait that holds up what it waits for."""
    for wait in design.cycles.waits:
        yield _finding(wait)


def _finding(wait: Wait) -> Finding:
    process, awaited = wait.process, listed([use.message.name for use in wait.action.uses])
    assert wait.limit.span is not None
    return Finding(
        primary=Label(wait.action.span, "waits here, and keeps its place"),
        message=f"`{process.service.name}` waits for {awaited} in {_place(wait)} {_passage(wait)}",
        related=(
            Label(process.place, "by this handler"),
            Label(wait.limit.span, f"`{wait.limit.text}`"),
        ),
        help=f"let a handler `on` {awaited} go on with the work, or a workflow wait for it",
        silence="a channel of its own for the awaited message",
        subject=process.path,
        levels="E/E/E" if wait.slots == 1 else "W/E/E",
    )


def _place(wait: Wait) -> str:
    if wait.channel is not None and wait.slots == 1:
        return f"the one place of `{wait.channel.name}`"
    return "the only slot" if wait.slots == 1 else f"one of {wait.slots} slots"


def _passage(wait: Wait) -> str:
    return "through which it has to come" if wait.delivered else "through which all that leads to it has to come"
