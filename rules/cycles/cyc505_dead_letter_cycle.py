"""Dead letters come back to the channel that they were taken from.

## Why

A dead-letter channel is where a message goes that nobody can handle. If that channel has a dead-letter channel of its own and the
chain leads back, the message is never out of the way: it goes round and fails again, for ever. Brokers differ in what they
do about it. RabbitMQ drops a message silently that comes back to a queue without a consumer having rejected it on the way,
and lets one that was rejected circulate without a bound.

The language says after how many deliveries a message is set aside (`after N`), but not for which other reasons. A move
counts as made by the broker alone if it says `after N`, or if nobody consumes from the channel, so that messages can only
expire there. A circle of such moves is an error; where a consumer's rejection may be part of it, it is a warning.

## Bad

```coord
broker Rabbit
channel orders on Rabbit { queue  dead-letter orders-retry after 5 } # CYC505
channel orders-retry on Rabbit { queue  retention 1m  dead-letter orders }
event OrderPlaced via orders
store BillingDb

service Web { every 1h emits OrderPlaced }
service Billing {
  on OrderPlaced {
    idempotent
    writes BillingDb.invoices
  }
}
```

## Good

```coord
broker Rabbit
channel orders on Rabbit { queue  dead-letter orders-parked after 5 }
channel orders-parked on Rabbit { queue  retention 14d }
event OrderPlaced via orders
store BillingDb

service Web { every 1h emits OrderPlaced }
service Billing {
  on OrderPlaced {
    idempotent
    writes BillingDb.invoices
  }
}
```

## Exempt

- `redrive` on a channel whose `dead-letter` says `after N`: a person or a job decides about each round, and each has a bound.
- A channel all of whose handlers say themselves where their dead letters go (`dead-letter parked after 5` in the handler), if that
  leads out of the circle: a retry channel with a counter.
- A dead-letter channel that ends the chain.

## References

- RabbitMQ documentation, "Dead letter exchanges": cycles; pull request 11174.
- Hohpe, Woolf, "Enterprise integration patterns", 2003: dead letter channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import chain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.cycles import Circulation, Move
    from coordlint.design import Design


@rule("CYC505", "dead-letter-cycle", "E/E/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """Report each circle of dead-letter channels once, by its shortest way round."""
    for circulation in design.cycles.circulations:
        yield _finding(circulation)


def _finding(circulation: Circulation) -> Finding:
    first, *rest = circulation.way
    decided = "" if circulation.automatic else ", unless a consumer or a person lets it go"
    return Finding(
        primary=Label(first.span, _move(first)),
        message=f"what nobody can handle goes round for ever{decided}: {chain([one.source.name for one in circulation.way])}",
        related=tuple(Label(one.span, _move(one)) for one in rest),
        help="end the chain in a channel without a dead-letter channel, where somebody looks at what is left",
        silence="`dead-letter CHANNEL after N` in the handlers, leading out of the circle",
        subject=f"channel {first.source.name}",
        levels="E/E/E" if circulation.automatic else "W/W/E",
    )


def _move(move: Move) -> str:
    if move.why == "redrive":
        return f"puts the messages of `{move.source.name}` back"
    if move.why == "expiry":
        return f"nobody consumes from `{move.source.name}`, so messages leave it when they expire"
    return f"leaves `{move.source.name}`"
