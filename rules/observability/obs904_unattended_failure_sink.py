"""What could not be handled is set aside where nobody looks.

## Why

A dead-letter channel turns a failure that would have stopped everything into one that nobody notices. Each message in it is an order,
a payment, a customer that waits. The number of its messages and the age of the oldest are the signals that an asynchronous system
has; without somebody who sees them, quarantine becomes a graveyard.

## Bad

```coord strict
broker Kafka { nodes 3  replication 3  min-insync 2 }
channel orders on Kafka {
  topic
  delivery at-least-once
  dead-letter orders-dlq after 5
}
channel orders-dlq on Kafka { queue } # OBS904
event OrderPlaced via orders {
  key order_id
  order_id: uuid
}

service Orders {
  outbox
  replicas 2
  emits OrderPlaced
}
service Billing {
  replicas 2
  on OrderPlaced {
    idempotent by order_id
    acts "bills the order"
  }
}
```

## Good

```coord strict
broker Kafka { nodes 3  replication 3  min-insync 2 }
channel orders on Kafka {
  topic
  delivery at-least-once
  dead-letter orders-dlq after 5
}
channel orders-dlq on Kafka { queue }
event OrderPlaced via orders {
  key order_id
  order_id: uuid
}

service Orders {
  outbox
  replicas 2
  emits OrderPlaced
}
service Billing {
  replicas 2
  on OrderPlaced {
    idempotent by order_id
    acts "bills the order"
  }
}
monitor Quarantine { watches orders-dlq }
```

## Exempt

- A channel that a `monitor` watches, that a handler reads (`via`), or that belongs to a `team`.
- One whose messages are put back (`redrive` at the channel they come from), go on to a further dead-letter channel, or
  are kept in an `archive`.

What a workflow sets aside has no channel in the language; the rule looks at channels only.

## References

- Amazon Builders' Library, *Avoiding insurmountable queue backlogs*: depth of the dead-letter queue, age of messages.
- G. Hohpe, B. Woolf, Enterprise Integration Patterns, *Dead Letter Channel*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import PLACES, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.system import Channel, Fact


@rule("OBS904", "unattended-failure-sink", "–/I/W", evidence="A")
def check(design: Design) -> Iterator[Finding]:
    """One finding per channel that dead letters end in."""
    sources = _sources(design)
    for channel in design.system.channels.values():
        if channel in sources and not _is_attended(design, channel):
            facts = sources[channel]
            if not all(redriven for _, _, redriven in facts):
                yield _finding(channel, [(name, fact) for name, fact, _ in facts])


def _sources(design: Design) -> dict[Channel, list[tuple[str, Fact, bool]]]:
    """For each dead-letter channel, who sets messages aside there, the fact that says so, and whether they are put back."""
    found: dict[Channel, list[tuple[str, Fact, bool]]] = {}
    for channel in design.system.channels.values():
        fact = channel.fact("dead_letter")
        if fact.declared:
            found.setdefault(fact.value.channel, []).append((channel.name, fact, channel.fact("redrive").declared))
    for process in design.system.processes:
        fact = process.fact("dead_letter")
        if fact.declared:
            found.setdefault(fact.value.channel, []).append((process.name, fact, False))
    return found


def _is_attended(design: Design, channel: Channel) -> bool:
    if any(channel.fact(name).declared for name in ("team", "archive", "dead_letter")):
        return True
    if design.delivery.by_channel.get(channel):
        return True
    return any(channel in monitor.watches for monitor in design.system.monitors.values())


def _finding(channel: Channel, sources: list[tuple[str, Fact]]) -> Finding:
    labels = [Label(fact.span, "ends up there") for _, fact in sources if fact.span is not None]
    left = len(labels) - PLACES
    return Finding(
        primary=Label(channel.place, "nobody looks here"),
        message=f"dead letters of {listed(name for name, _ in sources)} end in `{channel.name}`, which nobody reads or watches",
        related=tuple(labels[:PLACES]),
        notes=(f"and {left} more",) if left > 0 else (),
        help=f"watch it: `monitor Quarantine {{ watches {channel.name} }}`, or name its `team`",
        silence="`team NAME` at the channel, or a `monitor` that watches it",
        subject=f"channel {channel.name}",
    )
