"""A message may come twice to a handler or workflow that does its work again each time.

## Why

Nothing between two services delivers exactly once: a broker repeats what was not acknowledged in time, a caller tries again
when the answer was lost, the relay of an outbox may crash between publishing and marking. The receiver cannot prevent the
second copy, so it has to recognise it (Hohpe and Woolf call this an *idempotent receiver*), by a key of the message or
because doing the work again changes nothing. Otherwise a card is charged twice.

With `not idempotent` every effect counts, a published event too. Where nothing is said, only writes, acts and requests count,
and only if other handlers of the design speak of idempotency.

## Bad

```coord
broker Kafka
channel orders on Kafka { topic  delivery at-least-once }
event OrderPlaced via orders {
  key order_id
  order_id: uuid
}
external service Shop { emits OrderPlaced }

service Payments {
  on OrderPlaced { # DLV601
    not idempotent
    acts "charges the card"
  }
}
```

```coord
command Charge { order_id: uuid }
command PlaceOrder
external service Shopper { calls Orders.PlaceOrder }

service Orders {
  handles PlaceOrder {
    idempotent
    calls Payments.Charge { timeout 2s  attempts 3 }
  }
}
service Payments {
  handles Charge { # DLV601
    acts "charges the card"
  }
}
```

## Good

```coord
broker Kafka
channel orders on Kafka { topic  delivery at-least-once }
event OrderPlaced via orders {
  key order_id
  order_id: uuid
}
external service Shop { emits OrderPlaced }

service Payments {
  on OrderPlaced {
    idempotent by order_id
    acts "charges the card"
  }
}
```

## Exempt

- `idempotent` (doing it again changes nothing) and `idempotent by KEY` (a repetition is recognised).
- A `projection` or a handler that only `notifies`, unless it is declared `not idempotent`.
- A handler whose only effects are requests to handlers that are idempotent themselves.
- A channel with `dedup D`: it recognises repetitions; whether it remembers for long enough is asked by DLV606.
- `delivery exactly-once` where the handler only publishes: the broker's transaction does not reach further than the broker.
- A handler of an `external service` of which nothing is said, under the profile default.
- A compensation or a retriable step of a saga that repeats what is declared `not idempotent` is SAG303's.
- `not idempotent "why"` is a decision and at most information.

What may repeat a message is read from `delivery`, `redrive`, `attempts` and `retries`, and `outbox` of the sender; under the
profile production an asynchronous message of which nothing is said may come twice as well.

A run shows it by the copy of one message, also where a loop sends more of the kind: those are other occurrences.

## References

- G. Hohpe, B. Woolf, Enterprise Integration Patterns, *Idempotent Receiver*, *Guaranteed Delivery*.
- C. Richardson, microservices.io, *Idempotent consumer*, *Transactional outbox*: the relay publishes at least once.
- CloudEvents 1.0: `source` and `id` together identify an event; a duplicate keeps them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.delivery import shown
from coordlint.finding import Claim, Finding, Label, Twice
from coordlint.rule import rule

from ._words import idempotency_fix, judged_by_sagas, keys_of, shortened, who

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.delivery import Repeat
    from coordlint.design import Design
    from coordlint.system import Action, Process


@rule("DLV601", "redelivery-without-idempotency", "W/E/E", evidence="DA")
def check(design: Design) -> Iterator[Finding]:
    """One finding per handler or workflow that would do its work again."""
    delivery = design.delivery
    judged = judged_by_sagas(design)
    for process in design.system.processes:
        levels = _levels(design, process)
        if not levels:
            continue
        effects = delivery.repeated(process)
        if not effects:
            continue
        # An entry that only may be repeated from outside is DLV609's.
        unsaid = design.profile == "production" and not delivery.entries(process)
        without = judged if process.fact("idempotent").absent else ()
        repeats = delivery.repeats(process, without=without, unsaid=unsaid)
        if repeats:
            yield _finding(design, process, effects, repeats, levels)


def _levels(design: Design, process: Process) -> str:
    """The severities, or an empty string where the rule does not speak."""
    fact = process.fact("idempotent")
    if fact.absent:
        return "I/I/I" if fact.why else "W/E/E"
    if fact.declared or process.contract:
        return ""
    if process.service.external:
        return "–/W/E" if design.strict else ""  # what is not ours is seldom described that closely
    if design.delivery.others_say("idempotent", process):
        return "I/E/E"
    return "–/E/E" if design.strict else ""


def _finding(design: Design, process: Process, effects: list[Action], repeats: list[Repeat], levels: str) -> Finding:
    fact = process.fact("idempotent")
    said = "is not idempotent" if fact.absent else "does not say that it is idempotent"
    labels, more = shortened([Label(repeat.span, repeat.text) for repeat in repeats], "reason why it may come again")
    key = keys_of(design.delivery, process)
    by = ", ".join(key) if key else "KEY"
    return Finding(
        primary=Label(process.place, "each time the message comes"),
        message=f"{who(process)} {said}, and a message that comes twice makes it repeat `{shown(effects[0])}`",
        related=(*labels, Label(effects[0].span, "done again")),
        notes=more,
        help=f"let it recognise a repetition: `idempotent by {by}`",
        silence='`idempotent`, or `not idempotent "why a repetition does no harm"`',
        fix=idempotency_fix(process, key),
        subject=process.path,
        levels=levels,
        claim=Claim(
            ("B7", "B8"),
            (process.place,),
            twice=(
                Twice(
                    frozenset((effects[0].id,)),
                    "copy",
                    f"`{shown(effects[0])}` happens twice for one and the same message",
                ),
            ),
            levels="" if fact.absent and fact.why else "E/E/E",
        ),
    )
