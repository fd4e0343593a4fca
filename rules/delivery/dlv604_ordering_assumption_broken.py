"""A handler relies on an order of its messages that the way they travel does not keep.

## Why

Messages keep an order only on one lane of one channel: a partition, a session, a queue with a single consumer. Two channels
have no order between them, two publishers have none even on one channel, a channel split by another key mixes the lanes, and
several hands that take from one lane finish in any order. A dead-letter channel that takes out a single message lets the
later ones of its key pass; with `by KEY` they are set aside together. What relied on the order then fails rarely and under
load: a cancelled policy comes back to life, an invoice has no customer.

`ordered by KEY` at a handler says that it relies on the order of the messages of one key; the handlers of a service with the
same key rely on the order among their messages as well.

Where it is known who asks for two messages, the finding shows a run in which the wrong one is taken first: over two channels what
was sent first arrives last, and from two publishers what was asked for first is sent last. An entry that reads what the other one
writes is taken for the second one.

## Bad

```coord
broker Kafka
channel orders on Kafka { topic  partitions 6  ordered by customer_id }
event OrderPlaced via orders {
  order_id: uuid
  customer_id: uuid
}
external service Shop { emits OrderPlaced }

store StockDb { owner Stock }
service Stock {
  on OrderPlaced { # DLV604
    ordered by order_id
    writes StockDb.reservations
  }
}
```

```coord
broker Kafka
channel registered on Kafka { topic }
channel cancelled on Kafka { topic }
event PolicyRegistered via registered { number: string }
event PolicyCancelled via cancelled { number: string }
external service Policies { emits PolicyRegistered  emits PolicyCancelled }

store SearchDb { owner Search }
service Search {
  on PolicyCancelled { # DLV604
    projection
    ordered by number
    writes SearchDb.policies
  }
  on PolicyRegistered {
    projection
    ordered by number
    writes SearchDb.policies
  }
}
```

```coord
broker Kafka
channel orders on Kafka { topic  ordered by order_id  dead-letter orders-dlq after 5 }
channel orders-dlq on Kafka { queue }
event OrderPlaced via orders { order_id: uuid }
external service Shop { emits OrderPlaced }

store StockDb { owner Stock }
service Stock {
  on OrderPlaced { # DLV604
    ordered by order_id
    writes StockDb.reservations
  }
}
```

## Good

```coord
broker Kafka
channel orders on Kafka { topic  partitions 6  ordered by order_id }
event OrderPlaced via orders {
  order_id: uuid
  customer_id: uuid
}
external service Shop { emits OrderPlaced }

store StockDb { owner Stock }
service Stock {
  on OrderPlaced {
    ordered by order_id
    writes StockDb.reservations
  }
}
```

```coord
broker Kafka
channel policies on Kafka { topic  ordered by number }
event PolicyRegistered via policies { number: string }
event PolicyCancelled via policies { number: string }
external service Policies { emits PolicyRegistered  emits PolicyCancelled }

store SearchDb { owner Search }
service Search {
  on PolicyCancelled {
    projection
    ordered by number
    writes SearchDb.policies
  }
  on PolicyRegistered {
    projection
    ordered by number
    writes SearchDb.policies
  }
}
```

```coord
broker Kafka
channel orders on Kafka { topic  ordered by order_id  dead-letter orders-dlq after 5 by order_id }
channel orders-dlq on Kafka { queue }
event OrderPlaced via orders { order_id: uuid }
external service Shop { emits OrderPlaced }

store StockDb { owner Stock }
service Stock {
  on OrderPlaced {
    ordered by order_id
    writes StockDb.reservations
  }
}
```

## Exempt

- A handler that `resequences`: it restores the order itself.
- Publishers that follow one another: if the second event is only published because of the first, one channel keeps their
  order.
- Several publishers of one event, of whom EVT206 speaks.
- A channel that says nothing about its order, as far as the handler's own messages are concerned.
- A channel lane by a part of the key: what is in order by customer is in order by customer and product.

The order between two events that a flow declares (`order A before B`) is judged by EVT208. That a handler compares versions, or
that the order of its effects does not matter, has no word in the language: then leave `ordered by` out.

## References

- AWS, Amazon SQS Developer Guide: no dead-letter queue for a FIFO queue whose exact order matters.
- Confluent, "Error handling patterns for Apache Kafka applications": retry topics and the order of a key.
- G. Hohpe, B. Woolf, Enterprise Integration Patterns, *Resequencer*, *Competing Consumers*.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from coordlint.analysis.delivery import dead_letter
from coordlint.finding import Claim, Finding, Fix, Label, Overtaking, Taking
from coordlint.rule import rule
from coordlint.source import Edit, Span

from ._words import listed, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.delivery import Arrival
    from coordlint.design import Design
    from coordlint.system import Channel, Message, Process, Service


BATCH = 200
"""How many groups of messages one pass over the causes answers."""


class _Reason(NamedTuple):
    """Why the order is not kept, where one sees it, the edit that keeps it, and the two messages if it is one of two."""

    text: str
    labels: tuple[Label, ...]
    help: str
    edit: Edit | None = None
    apart: tuple[Arrival, Arrival] | None = None


@rule("DLV604", "ordering-assumption-broken", "E/E/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """One finding per service and key."""
    groups: dict[tuple[Service, tuple[str, ...]], list[Arrival]] = {}
    for arrival in design.delivery.arrivals:
        ordered, process = arrival.process.fact("ordered_by"), arrival.process
        if ordered.declared and not process.fact("resequences").declared and arrival.starts:
            groups.setdefault((process.service, ordered.value), []).append(arrival)
    unordered = _publishers_without_order(design, list(groups.values()))
    for (service, key), arrivals in groups.items():
        reasons = [reason for arrival in arrivals for reason in _on_the_way(arrival, key)]
        apart = _different_ways(arrivals) or unordered.get(id(arrivals))
        if apart is not None:
            reasons.append(apart)
        if reasons:
            yield _finding(service, key, arrivals, reasons)


# ------------------------------------------------------------------------------------------------ one message's way


def _on_the_way(arrival: Arrival, key: tuple[str, ...]) -> Iterator[_Reason]:
    by = ", ".join(key)
    for hop in arrival.hops:
        ordering = hop.fact("ordering")
        if ordering.absent and ordering.span is not None:
            text = f"`{hop.name}` is unordered"
            yield _Reason(
                text, (Label(ordering.span, "keeps no order"),), f"order it: `ordered by {by}`", _edit(hop, key)
            )
        elif isinstance(ordering.value, tuple) and not set(ordering.value) <= set(key) and ordering.span is not None:
            text = f"`{hop.name}` keeps the order of {listed(ordering.value)} only"
            yield _Reason(text, (Label(ordering.span, "another key"),), f"order it `by {by}`", _edit(hop, key))
    channel = arrival.channel
    if channel is not None:
        yield from _set_aside(arrival.process, channel, key)
        yield from _several_hands(arrival.process, channel, key)


def _edit(channel: Channel, key: tuple[str, ...]) -> Edit | None:
    span = channel.fact("ordering").span
    return Edit(span, f"ordered by {', '.join(key)}") if span is not None else None


def _set_aside(process: Process, channel: Channel, key: tuple[str, ...]) -> Iterator[_Reason]:
    target = dead_letter(channel)
    if target is not None and target.by and set(target.by) <= set(key):
        return  # the later messages of the key are set aside with it
    own, shared = process.fact("dead_letter"), channel.fact("dead_letter")
    fact = own if own.declared else shared if not own.absent else own
    if not fact.declared or fact.span is None:
        return
    by = ", ".join(key)
    text = f"a message that goes to `{fact.value.channel.name}` lets the later ones of its key pass"
    edit = None
    if fact is shared:
        kept = fact.span.text.split(" by ")[0]
        edit = Edit(fact.span, f"{kept} by {by}")
    help = (
        f"set aside the later ones of the key as well: `dead-letter {fact.value.channel.name} by {by}` at the channel"
    )
    yield _Reason(text, (Label(fact.span, "takes out one message alone"),), help, edit)


def _several_hands(process: Process, channel: Channel, key: tuple[str, ...]) -> Iterator[_Reason]:
    hands, ordering = process.fact("concurrency"), channel.fact("ordering")
    if not hands.declared or hands.value <= 1 or ordering.value != "total" or hands.span is None:
        return
    text = f"{hands.value} messages of `{channel.name}` are handled at a time, whatever their key"
    yield _Reason(
        text,
        (Label(hands.span, "finish in any order"),),
        f"give each key a lane: `ordered by {', '.join(key)}` at the channel",
    )


# ------------------------------------------------------------------------------------------------ several messages


def _different_ways(arrivals: list[Arrival]) -> _Reason | None:
    """Whether messages that belong in one order travel over different channels."""
    ways: dict[tuple[Channel, ...], Arrival] = {}
    for arrival in arrivals:
        if arrival.hops:
            ways.setdefault(arrival.hops, arrival)
    if len(ways) < 2:
        return None
    first, second = list(ways.values())[:2]
    names = [next(hop for hop in one.hops if hop not in other.hops) if set(one.hops) - set(other.hops) else one.hops[-1]
             for one, other in ((first, second), (second, first))]  # fmt: skip
    text = f"`{first.use.message.name}` comes over `{names[0].name}` and `{second.use.message.name}` over `{names[1].name}`"
    labels = (
        Label(first.use.message.place, f"on `{names[0].name}`"),
        Label(second.use.message.place, f"on `{names[1].name}`"),
    )
    return _Reason(
        text, labels, "publish both on one channel that is ordered by the key, or let the handler wait for the first",
        apart=(first, second),
    )  # fmt: skip


def _publishers_without_order(design: Design, groups: list[list[Arrival]]) -> dict[int, _Reason]:
    """By the identity of the group: messages of several services, of which none is published because of the other."""
    shared = []
    members = {id(group): group for group in groups}
    for group in groups:
        published = _publishers(design, group)
        if len({service for _, service in published}) > 1:
            shared.append((id(group), published))
    result = {}
    for start in range(0, len(shared), BATCH):
        batch = shared[start : start + BATCH]
        causality = design.causality
        nodes = {message: causality.produced(message) for _, published in batch for message, _ in published}
        needs = causality.graph.critical(causality.entries, nodes.values())
        behind = {message: set(needs.of(node)) for message, node in nodes.items()}
        for identity, published in batch:
            # What has few causes comes first, so that the first pair is the same whatever the services are called.
            published.sort(key=lambda one: len(behind[one[0]]))
            for one, other in combinations(published, 2):
                apart = one[0] is not other[0] and one[1] is not other[1]
                if apart and nodes[one[0]] not in behind[other[0]] and nodes[other[0]] not in behind[one[0]]:
                    result[identity] = _two_publishers(design, members[identity], one, other)
                    break
    return result


def _publishers(design: Design, group: list[Arrival]) -> list[tuple[Message, Service]]:
    messages = dict.fromkeys(arrival.use.message for arrival in group)
    return [(message, service) for message in messages for service in design.delivery.publishers(message)]


def _two_publishers(
    design: Design, group: list[Arrival], one: tuple[Message, Service], other: tuple[Message, Service]
) -> _Reason:
    labels = []
    first, second = (next(arrival for arrival in group if arrival.use.message is m) for m, _ in (one, other))
    for message, service in (one, other):
        action = next(a for a in design.index.producers(message) if a.process.service is service)
        labels.append(Label(action.span, f"published by `{service.name}`"))
    text = f"`{one[0].name}` comes from `{one[1].name}` and `{other[0].name}` from `{other[1].name}`"
    help = "let one service publish both, or let the handler wait for the first"
    return _Reason(text, tuple(labels), help, apart=(first, second))


# ------------------------------------------------------------------------------------------------ the finding


def _finding(service: Service, key: tuple[str, ...], arrivals: list[Arrival], reasons: list[_Reason]) -> Finding:
    process = arrivals[0].process
    span: Span | None = process.fact("ordered_by").span
    assert span is not None
    seen: dict[str, _Reason] = {}
    for reason in reasons:
        seen.setdefault(reason.text, reason)
    first, *others = seen.values()
    labels, more = shortened([label for reason in seen.values() for label in reason.labels], "place")
    edits = list(dict.fromkeys(reason.edit for reason in seen.values() if reason.edit is not None))
    by = ", ".join(key)
    return Finding(
        primary=Label(process.place, f"relies on the order by {listed(key)}"),
        message=f"`{service.name}` relies on the order of messages by {listed(key)}, but {first.text}",
        related=(Label(span, "says so"), *labels),
        notes=(*more, *(reason.text for reason in others)),
        help=first.help,
        silence="`resequences` at the handler, or no `ordered by`",
        fix=Fix(f"keep the order by `{by}`", tuple(edits)) if len(edits) == len(seen) else None,
        subject=f"service {service.name} / ordered by {by}",
        claim=Claim(
            ("B5", "B15"),
            (process.place,),
            frozenset(arrival.use.message.name for arrival in arrivals),
            overtaking=next((_overtaking(*reason.apart) for reason in reasons if reason.apart is not None), None),
        ),
    )


def _overtaking(first: Arrival, then: Arrival) -> Overtaking | None:
    if first.use.message is then.use.message:
        return None
    one, other = (Taking(arrival.use.message.name, arrival.process.start) for arrival in (first, then))
    return Overtaking(one, other, apart=first.hops != then.hops)
