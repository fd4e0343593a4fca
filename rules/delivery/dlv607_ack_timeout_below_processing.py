"""A channel delivers a message again while its handler may still be working on the first copy.

## Why

A broker that has heard nothing for its acknowledgement timeout (a visibility timeout, a lock, a maximal poll interval) takes
the consumer for dead and gives the message to another one, which works on it at the same time. The slower the day, the more
copies run. The timeout has to be longer than the handler can take at worst: its own work and the calls it waits for with all
their attempts, times the messages of one batch.

## Bad

```coord
broker SQS
channel orders on SQS { queue  ack-timeout 30s } # DLV607
command PlaceOrder via orders { order_id: uuid }
external service Shop { sends Orders.PlaceOrder }

service Orders {
  handles PlaceOrder {
    idempotent by order_id
    calls Payments.Charge { timeout 15s  attempts 3  backoff 1s }
  }
}
command Charge { order_id: uuid }
service Payments {
  handles Charge { idempotent by order_id  acts "charges the card" }
}
```

## Good

```coord
broker SQS
channel orders on SQS { queue  ack-timeout 47s }
command PlaceOrder via orders { order_id: uuid }
external service Shop { sends Orders.PlaceOrder }

service Orders {
  handles PlaceOrder {
    idempotent by order_id
    calls Payments.Charge { timeout 15s  attempts 3  backoff 1s }
  }
}
command Charge { order_id: uuid }
service Payments {
  handles Charge { idempotent by order_id  acts "charges the card" }
}
```

## Exempt

- What is not declared counts nothing: a handler of which neither `takes` nor any timeout is known is never slow.
- A workflow: the message that starts it is acknowledged when the instance exists.

A heartbeat that extends the timeout has no word in the language: declare the `ack-timeout` it extends to.

## Options

- `factor` (default 1): how many times the processing time the timeout has to be; some managed pollers recommend 6.

## References

- AWS Lambda Developer Guide, using SQS: a visibility timeout of six times the function's timeout.
- Apache Kafka documentation, `max.poll.interval.ms` and `max.poll.records`: the whole batch counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from coordlint.analysis.latency import exceeds
from coordlint.analysis.units import at_least, readable
from coordlint.finding import Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit

from ._words import who

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.latency import Duration
    from coordlint.design import Design
    from coordlint.system import Channel, Process


class _Slow(NamedTuple):
    process: Process
    one: Duration
    batch: int

    @property
    def seconds(self) -> float:
        return self.one.seconds * self.batch


@rule("DLV607", "ack-timeout-below-processing", "W/E/E", evidence="Q", options={"factor": 1})
def check(design: Design) -> Iterator[Finding]:
    """One finding per channel, about its slowest handler."""
    factor = check.option(design, "factor")
    for channel in design.system.channels.values():
        timeout = channel.fact("ack_timeout")
        if not timeout.declared:
            continue
        slow = [one for one in _handlers(design, channel) if exceeds(one.seconds * factor, timeout.value)]
        if slow:
            yield _finding(channel, slow, factor)


def _handlers(design: Design, channel: Channel) -> Iterator[_Slow]:
    for process in dict.fromkeys(
        arrival.process for arrival in design.delivery.by_channel.get(channel, ()) if arrival.starts
    ):
        if process.kind == "handler" and not process.service.external:
            batch = process.fact("batch")
            yield _Slow(process, design.latency.handler_duration(process), batch.value if batch.declared else 1)


def _finding(channel: Channel, slow: list[_Slow], factor: float) -> Finding:
    timeout = channel.fact("ack_timeout")
    assert timeout.span is not None
    worst = max(slow, key=lambda one: one.seconds)
    batch = worst.process.fact("batch")
    needed = at_least(worst.seconds * factor)
    sum_ = f"{worst.batch} messages of {worst.one.text}" if worst.batch > 1 else worst.one.text
    also = [f"{who(one.process)} may take {readable(one.seconds)}" for one in slow if one is not worst]
    return Finding(
        primary=Label(timeout.span, f"delivered again after {readable(timeout.value)}"),
        message=(
            f"`{channel.name}` delivers a message again after {readable(timeout.value)}, "
            f"while {who(worst.process)} may work on it for {readable(worst.seconds)}"
        ),
        related=(
            Label(worst.process.place, f"at worst {readable(worst.seconds)}"),
            *(Label(reason.span, reason.text) for reason in worst.one.reasons()),
            *((Label(batch.span, f"{worst.batch} messages at a time"),) if worst.batch > 1 and batch.span else ()),
        ),
        notes=(
            f"{sum_}{f', times the factor {factor:g}' if factor != 1 else ''}, against {readable(timeout.value)}",
            *worst.one.notes,
            *also,
        ),
        help=f"wait for at least {needed}, or let the handler do less",
        silence=f"`ack-timeout {needed}`, or a shorter limit of what the handler waits for",
        fix=Fix(f"wait for {needed}", (Edit(timeout.span, f"ack-timeout {needed}"),)),
        subject=f"channel {channel.name}",
    )
