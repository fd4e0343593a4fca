"""A channel forgets a message before the last moment at which it may deliver it again.

## Why

Recognising repetitions by memory only works as long as the memory lasts. A queue that remembers ids for five minutes is no
help against a message that comes back from the dead-letter queue after four days. The window has to cover the *redelivery
horizon*: all deliveries with the acknowledgement timeout between them, the stay in retry channels, and, where dead letters
are put back, the time they are kept.

## Bad

```coord
broker SQS
channel charges on SQS {
  queue
  delivery at-least-once
  dedup 5m # DLV606
  ack-timeout 30s
  dead-letter charges-dlq after 5
  redrive
}
channel charges-dlq on SQS { queue  retention 14d }
command Charge via charges { order_id: uuid }
external service Shop { sends Payments.Charge }

service Payments {
  handles Charge { acts "charges the card" }
}
```

## Good

```coord
broker SQS
channel charges on SQS {
  queue
  delivery at-least-once
  dedup 15d
  ack-timeout 30s
  dead-letter charges-dlq after 5
  redrive
}
channel charges-dlq on SQS { queue  retention 14d }
command Charge via charges { order_id: uuid }
external service Shop { sends Payments.Charge }

service Payments {
  handles Charge { acts "charges the card" }
}
```

## Exempt

- Consumers that guard themselves: `idempotent`, a `projection`, or one that only `notifies`.
- What is not declared counts nothing: the horizon is a lower bound.

That a consumer reads old messages again (a replay) has no word in the language and is not counted.

## References

- AWS, Amazon SQS Developer Guide: a deduplication interval of five minutes; redrive of a dead-letter queue; message retention
  up to 14 days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.delivery import guards_itself
from coordlint.analysis.latency import exceeds
from coordlint.analysis.units import at_least, readable
from coordlint.finding import Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit

from ._words import who

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.delivery import Horizon
    from coordlint.design import Design
    from coordlint.system import Channel, Process


@rule("DLV606", "dedup-window-too-short", "W/W/E", evidence="Q")
def check(design: Design) -> Iterator[Finding]:
    """One finding per channel."""
    delivery = design.delivery
    for channel in design.system.channels.values():
        window = channel.fact("dedup")
        if not window.declared:
            continue
        relying = [a.process for a in delivery.by_channel.get(channel, ()) if not guards_itself(a.process)]
        horizon = delivery.horizon(channel)
        if relying and exceeds(horizon.seconds, window.value):
            yield _finding(channel, horizon, relying[0])


def _finding(channel: Channel, horizon: Horizon, process: Process) -> Finding:
    window = channel.fact("dedup")
    assert window.span is not None
    needed = at_least(horizon.seconds)
    return Finding(
        primary=Label(window.span, f"remembers for {readable(window.value)}"),
        message=(
            f"`{channel.name}` recognises a repetition for {readable(window.value)}, "
            f"but may deliver a message again after {readable(horizon.seconds)}"
        ),
        related=(
            *(Label(span, f"{term}: {readable(seconds)}") for term, seconds, spans in horizon.terms for span in spans),
            Label(process.place, "takes the repetition for a new message"),
        ),
        notes=(" + ".join(f"{readable(seconds)} ({term})" for term, seconds, _ in horizon.terms),),
        help=f"remember for at least {needed}, or let {who(process)} be idempotent",
        silence=f"`dedup {needed}`, or `idempotent` at the handler",
        fix=Fix(f"remember for {needed}", (Edit(window.span, f"dedup {needed}"),)),
        subject=f"channel {channel.name}",
    )
