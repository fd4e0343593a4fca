"""A channel throws messages away before a consumer that was away has caught up.

## Why

A channel bridges the outage of a consumer only as long as it keeps what has piled up. A service that promises to be back after
four hours, behind a channel that keeps messages for one hour, loses three hours of them without anybody noticing. Catching up
takes time as well: while the consumer works off what has piled up, the oldest message still grows older.

What has to be kept is the promised outage (`rto`) plus, where rates and lanes are declared, the drain of the backlog:
`arrival * outage / (service - arrival)`.

## Bad

```coord
broker Kafka
channel orders on Kafka { topic  retention 1h } # DLV608
event OrderPlaced via orders
external service Shop { emits OrderPlaced }

store BillingDb { owner Billing }
service Billing {
  rto 4h
  on OrderPlaced { writes BillingDb.invoices }
}
```

## Good

```coord
broker Kafka
channel orders on Kafka { topic  retention 4h }
event OrderPlaced via orders
external service Shop { emits OrderPlaced }

store BillingDb { owner Billing }
service Billing {
  rto 4h
  on OrderPlaced { writes BillingDb.invoices }
}
```

## Exempt

- A channel with `archive`: what it forgets can be had from there.
- A handler that only `notifies`: old news may be lost.
- A service without a declared `rto`.

How long a dead-letter channel has to keep its messages depends on whether the broker counts from their first arrival, for which
the language has no word; it is not judged.

## References

- Amazon Builders' Library, "Avoiding insurmountable queue backlogs".
- Apache Kafka documentation, `retention.ms`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from coordlint.analysis.latency import exceeds
from coordlint.analysis.load import backlog_drain
from coordlint.analysis.units import at_least, readable
from coordlint.finding import Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit

from ._words import who

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.calls import Reason
    from coordlint.design import Design
    from coordlint.system import Channel, Process


class _Need(NamedTuple):
    process: Process
    outage: float
    drain: float
    reasons: tuple[Reason, ...]

    @property
    def seconds(self) -> float:
        return self.outage + self.drain


@rule("DLV608", "retention-too-short", "W/W/E", evidence="Q")
def check(design: Design) -> Iterator[Finding]:
    """One finding per channel, about the consumer that needs it longest."""
    for channel in design.system.channels.values():
        kept = channel.fact("retention")
        if not kept.declared or channel.fact("archive").declared:
            continue
        short = [need for need in _needs(design, channel) if exceeds(need.seconds, kept.value)]
        if short:
            yield _finding(channel, short)


def _needs(design: Design, channel: Channel) -> Iterator[_Need]:
    for process in dict.fromkeys(arrival.process for arrival in design.delivery.by_channel.get(channel, ())):
        outage = process.service.fact("rto")
        if outage.declared and not process.service.external and not process.fact("notifies").declared:
            drain, reasons = _drain(design, process, outage.value)
            yield _Need(process, outage.value, drain, reasons)


def _drain(design: Design, process: Process, outage: float) -> tuple[float, tuple[Reason, ...]]:
    """How long the consumer needs to catch up; nothing where too little is declared, or where it never does (RES807)."""
    rate, lanes = design.load.rate(process), design.load.lanes(process)
    if not rate.per_second or lanes.per_second is None:
        return 0.0, ()
    drain = backlog_drain(rate.per_second, lanes.per_second, outage)
    return (drain, (*rate.reasons, *lanes.reasons)) if math.isfinite(drain) else (0.0, ())


def _finding(channel: Channel, short: list[_Need]) -> Finding:
    kept = channel.fact("retention")
    worst = max(short, key=lambda need: need.seconds)
    outage = worst.process.service.fact("rto")
    assert kept.span is not None
    assert outage.span is not None
    needed = at_least(worst.seconds)
    name = worst.process.service.name
    sum_ = f"an outage of {readable(worst.outage)}"
    if worst.drain:
        sum_ += f" + {readable(worst.drain)} to catch up = {readable(worst.seconds)}"
    return Finding(
        primary=Label(kept.span, f"forgotten after {readable(kept.value)}"),
        message=(
            f"`{channel.name}` keeps messages for {readable(kept.value)}, "
            f"but `{name}` may be {readable(worst.seconds)} behind"
        ),
        related=(
            Label(outage.span, f"may be away for {readable(worst.outage)}"),
            Label(worst.process.place, "reads from it"),
            *(Label(reason.span, reason.text) for reason in worst.reasons),
        ),
        notes=(
            f"{sum_}, against {readable(kept.value)}",
            *(f"{who(need.process)} needs {readable(need.seconds)}" for need in short if need is not worst),
        ),
        help=f"keep messages for at least {needed}",
        silence=f"`retention {needed}`, or `archive` if they can be had from elsewhere",
        fix=Fix(f"keep messages for {needed}", (Edit(kept.span, f"retention {needed}"),)),
        subject=f"channel {channel.name}",
    )
