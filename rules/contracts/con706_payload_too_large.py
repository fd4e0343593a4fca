"""A message is larger than what its channel carries.

## Why

Brokers and workflow engines limit the size of a message, and not by accident: a large one fills buffers, slows down everything
behind it and is copied to every consumer. What exceeds the limit is rejected when it is published, which in practice means on the
day of the first large order. A *claim check* stores the payload elsewhere and sends a reference.

## Bad

```coord
broker Kafka
channel documents on Kafka { topic  max-message 1MB }
event DocumentRendered via documents {
  size 5MB # CON706
  document_id: uuid
}
service Documents { emits DocumentRendered }
service Archive { on DocumentRendered { notifies } }
```

## Good

```coord
broker Kafka
channel documents on Kafka { topic  max-message 1MB }
event DocumentRendered via documents {
  size 1KB
  document_id: uuid
}
service Documents { emits DocumentRendered }
service Archive { on DocumentRendered { notifies } }
```

## Exempt

A message without a declared `size`, and a channel without `max-message`. With a claim check the `size` is that of the reference.

The limit of a workflow's state has no word in the language.

## References

- G. Hohpe, B. Woolf, Enterprise Integration Patterns, *Claim Check*.
- Apache Kafka documentation, `message.max.bytes`; Amazon SQS quotas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.units import size_text
from coordlint.finding import Finding, Label
from coordlint.rule import rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.system import Channel, Message, Version


@rule("CON706", "payload-too-large", "W/E/E", evidence="Q")
def check(design: Design) -> Iterator[Finding]:
    """One finding per version and channel."""
    queues: dict[Message, dict[Channel, None]] = {}
    for arrival in design.delivery.arrivals:
        queues.setdefault(arrival.use.message, {}).update(dict.fromkeys(arrival.hops[1:]))
    for message in design.system.messages.values():
        for version in message.versions:
            channels = dict.fromkeys(queues.get(message, ()))
            if version.channel is not None and not version.channel.phantom:
                channels = {version.channel: None, **channels}
            for channel in channels:
                if _exceeds(version, channel):
                    yield _finding(message, version, channel)
                    break


def _exceeds(version: Version, channel: Channel) -> bool:
    size, limit = version.fact("size"), channel.fact("max_message")
    return bool(size.declared and limit.declared and size.value > limit.value)


def _finding(message: Message, version: Version, channel: Channel) -> Finding:
    size, limit = version.fact("size"), channel.fact("max_message")
    assert size.span is not None
    assert limit.span is not None
    shown = f"{message.name} @{version.number}" if version.number else message.name
    return Finding(
        primary=Label(size.span, size_text(size.value)),
        message=f"`{shown}` has {size_text(size.value)}, but `{channel.name}` carries at most {size_text(limit.value)}",
        related=(Label(limit.span, f"at most {size_text(limit.value)}"),),
        help="store the payload elsewhere and send a reference to it (a claim check)",
        silence="a `size` within the limit, or a larger `max-message`",
        subject=f"{message.kind} {shown}",
    )
