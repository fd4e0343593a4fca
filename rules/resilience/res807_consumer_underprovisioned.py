"""More messages arrive than a consumer can take.

## Why

A consumer that is slower than its input never works off its backlog: the queue grows until something is full or too old. From eighty
percent on each hiccup takes long to make up for. How many messages a consumer takes at once is bounded twice, by its
replicas and what each does in parallel, and on a topic by the partitions, as only one of a consumer's lanes reads each. Replicas
beyond the partitions have nothing to do.

The load is what flows with a `rate` are certain to send here, the capacity `min(partitions, replicas x concurrency) / takes`: 300/s into 12
lanes of 50 ms (240/s) is 125%. A service with a `capacity` of its own is held against all its messages and requests.

## Bad

```coord
channel orders { topic  partitions 12  delivery at-least-once }
event OrderPlaced via orders
command PlaceOrder

external service Shopper { calls Orders.PlaceOrder }
service Orders {
  handles PlaceOrder emits OrderPlaced
}
service Billing {
  on OrderPlaced { # RES807
    idempotent
    takes 50ms
    acts "bills the order"
  }
}
flow Ordering {
  starts with PlaceOrder from Shopper
  succeeds with OrderPlaced
  rate 300/s
}
```

## Good

```coord
channel orders { topic  partitions 24  delivery at-least-once }
event OrderPlaced via orders
command PlaceOrder

external service Shopper { calls Orders.PlaceOrder }
service Orders {
  handles PlaceOrder emits OrderPlaced
}
service Billing {
  on OrderPlaced {
    idempotent
    takes 50ms
    acts "bills the order"
  }
}
flow Ordering {
  starts with PlaceOrder from Shopper
  succeeds with OrderPlaced
  rate 300/s
}
```

## Exempt

- What is only sent in some cases counts with its declared chance, else not at all.
- A handler with `batch`, as its `takes` may be that of a message or of a batch.
- Replicas without a partition are only information: they may stand by for a crash.

## Options

`utilisation` (0.8): the share in use above which it is a warning.

## References

- Amazon Builders' Library, *Avoiding insurmountable queue backlogs*.
- Apache Kafka documentation: a partition is read by one member of a consumer group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.calls import shown
from coordlint.analysis.latency import SLACK, exceeds
from coordlint.analysis.load import rate_text
from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import labels, listed, span_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.system import Channel, Process, Service

_OVERLOADED = "E/E/E"


@rule("RES807", "consumer-underprovisioned", "W/W/E", evidence="Q", options={"utilisation": 0.8})
def check(design: Design) -> Iterator[Finding]:
    """Handlers, then services with a capacity of their own, then replicas without a partition."""
    limit = check.option(design, "utilisation")
    for process in design.system.processes:
        if process.kind == "handler" and not process.contract:
            yield from _handler(design, process, limit)
    for service in design.system.services.values():
        if not service.external:
            yield from _service(design, service, limit)
    yield from _idle(design)


def _handler(design: Design, process: Process, limit: float) -> Iterator[Finding]:
    per_second = design.load.per_second(process)
    lanes = design.load.lanes(process) if per_second else None
    if lanes is None or not lanes.per_second or not exceeds(per_second / lanes.per_second, limit):
        return
    share = per_second / lanes.per_second
    takes = process.fact("takes")
    yield Finding(
        primary=Label(process.place, f"{rate_text(per_second)} arrive"),
        message=(
            f"{shown(process)} gets {rate_text(per_second)} and can take {rate_text(lanes.per_second)}, "
            f"{share:.0%} of its capacity"
        ),
        related=labels((*design.load.rate(process).reasons, *lanes.reasons)),
        notes=(f"{lanes.parallel:g} at a time, each for {takes.text.removeprefix('takes ')}",),
        help="add partitions, replicas or concurrency, or make the work shorter",
        silence="the `partitions`, `replicas` and `concurrency` that carry the load",
        subject=process.path,
        levels=_OVERLOADED if share >= 1 - SLACK else "",
    )


def _service(design: Design, service: Service, limit: float) -> Iterator[Finding]:
    capacity, replicas = service.fact("capacity"), service.fact("replicas")
    if not (capacity.declared and replicas.declared):
        return
    per_second, most = design.load.requests(service), capacity.value * replicas.value
    if not most or not exceeds(per_second / most, limit):
        return
    busiest = design.load.busiest(service)
    yield Finding(
        primary=Label(service.place, f"{rate_text(per_second)} arrive"),
        message=(
            f"service `{service.name}` gets {rate_text(per_second)} and can take {rate_text(most)}, "
            f"{per_second / most:.0%} of its capacity"
        ),
        related=(
            Label(span_of(capacity), "requests of one replica"),
            Label(span_of(replicas), f"{replicas.value} replicas"),
            *labels(design.load.rate(busiest[0]).reasons),
        ),
        notes=tuple(f"{shown(one)}: {design.load.rate(one).text}" for one in busiest[:5]),
        help="add replicas, or take load off the service",
        silence="the `capacity` and `replicas` that carry the load",
        subject=f"service {service.name}",
        levels=_OVERLOADED if per_second / most >= 1 - SLACK else "",
    )


def _idle(design: Design) -> Iterator[Finding]:
    """Replicas of a service that get none of the partitions of a topic."""
    readers: dict[tuple[Channel, Service], list[Process]] = {}
    for process in design.system.processes:
        for channel, _ in design.load.partitions(process):
            readers.setdefault((channel, process.service), []).append(process)
    for (channel, service), processes in readers.items():
        replicas, partitions = service.fact("replicas"), channel.fact("partitions")
        # A replica has at least one lane; the least parallel of its handlers keeps the most replicas busy.
        lanes = [one.fact("concurrency").value or 1 for one in processes]
        busy = -(-partitions.value // min(lanes))
        if not replicas.declared or replicas.value <= busy:
            continue
        idle = replicas.value - busy
        yield Finding(
            primary=Label(span_of(partitions), f"{partitions.value} partitions"),
            message=(
                f"{idle} of {replicas.value} replicas of `{service.name}` have nothing to do, "
                f"as `{channel.name}` has {partitions.value} partitions"
            ),
            related=(Label(span_of(replicas), f"{replicas.value} replicas"),),
            notes=(f"read by {listed((one.name for one in processes), most=4)}",),
            help="add partitions, if the replicas are there for the load",
            silence=f"`partitions {replicas.value}` or more",
            subject=f"channel {channel.name} / service {service.name}",
            levels="I/I/I",
        )
