"""A channel has no place for a message that its handler cannot handle.

## Why

Some messages can never be handled: a field is missing, a rule has changed, a bug throws. Without a place to put them there
are only bad ways out. Given up, they are lost and the instance they belong to stands still without a trace. Tried again,
they keep the consumer busy, and on an ordered channel everything behind them waits for ever. A *dead letter channel* takes
them out of the way after a few deliveries and keeps them for a person or a later repair.

On an ordered channel a message set aside lets those behind it pass, so it takes along the later ones of its key:
`dead-letter C after 5 by KEY`. Without a number of deliveries nothing is ever set aside.

## Bad

```coord
broker Kafka
channel orders on Kafka { queue  no dead-letter } # DLV602
event OrderPlaced via orders
external service Shop { emits OrderPlaced }

store BillingDb { owner Billing }
service Billing {
  on OrderPlaced { writes BillingDb.invoices }
}
```

```coord
broker Kafka
channel payments on Kafka { queue  dead-letter set-aside after 5 }
channel orders on Kafka {
  topic
  ordered by order_id
  dead-letter set-aside by order_id # DLV602
}
channel set-aside on Kafka { queue }
event OrderPlaced via orders { order_id: uuid }
event PaymentTaken via payments
external service Shop { emits OrderPlaced  emits PaymentTaken }

store BillingDb { owner Billing }
service Billing {
  on OrderPlaced { writes BillingDb.invoices }
  on PaymentTaken { writes BillingDb.invoices }
}
```

## Good

```coord
broker Kafka
channel orders on Kafka { queue  dead-letter orders-dlq after 5 }
channel orders-dlq on Kafka { queue }
event OrderPlaced via orders
external service Shop { emits OrderPlaced }

store BillingDb { owner Billing }
service Billing {
  on OrderPlaced { writes BillingDb.invoices }
}
```

```coord
broker Kafka
channel payments on Kafka { queue  dead-letter set-aside after 5 }
channel orders on Kafka {
  topic
  ordered by order_id
  dead-letter set-aside after 5 by order_id
}
channel set-aside on Kafka { queue }
event OrderPlaced via orders { order_id: uuid }
event PaymentTaken via payments
external service Shop { emits OrderPlaced  emits PaymentTaken }

store BillingDb { owner Billing }
service Billing {
  on OrderPlaced { writes BillingDb.invoices }
  on PaymentTaken { writes BillingDb.invoices }
}
```

## Exempt

- Handlers that are a `projection` (rebuilt by reading again), only `notifies`, or change nothing.
- A handler with a `dead-letter` of its own; consumers in an `external service`.
- A channel that is itself a dead-letter channel, or delivers `at-most-once`: there is nothing to set aside.
- `no dead-letter "why"` is a decision and at most information.
- Where nothing is said, the rule speaks under the profile default only if another channel or handler speaks of dead letters.

On the way of a flow with `criticality high` or `critical`, `no dead-letter` is a warning under the profile default, too.

A run shows what the handler would have done and never does. There is none where another message, or a later try, still brings it
about.

## References

- G. Hohpe, B. Woolf, Enterprise Integration Patterns, *Dead Letter Channel*, *Invalid Message Channel*.
- Confluent, "Error handling patterns for Apache Kafka applications": a poison message blocks its partition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.delivery import dead_letter
from coordlint.finding import Claim, Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit, Span

from ._words import as_name, shortened, unheard, who

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.delivery import Arrival
    from coordlint.design import Design
    from coordlint.finding import Gap
    from coordlint.system import Channel, Fact, Process


@rule("DLV602", "no-dead-letter", "I/W/E", evidence="A")
def check(design: Design) -> Iterator[Finding]:
    """One finding per channel, and one per handler that says for itself that it has none."""
    delivery = design.delivery
    targets = [found for channel in design.system.channels.values() if (found := dead_letter(channel))]
    sinks = {target.channel for target in targets}
    counted = design.strict or any(target.after is not None for target in targets)
    critical = _critical(design)
    for channel, arrivals in delivery.by_channel.items():
        is_sink = channel in sinks and dead_letter(channel) is None
        if is_sink or channel.fact("delivery").value == "at-most-once":
            continue
        affected = [arrival for arrival in arrivals if _matters(design, arrival)]
        silent = [arrival for arrival in affected if arrival.process.fact("dead_letter").unknown]
        fact = channel.fact("dead_letter")
        if (
            silent
            and not fact.declared
            and (fact.absent or design.strict or delivery.others_say("dead_letter", channel))
        ):
            yield _missing(design, channel, fact, silent, critical)
        elif silent and counted and _never_full(channel):
            yield _uncounted(channel, silent)
        for process in dict.fromkeys(arrival.process for arrival in affected):
            if process.fact("dead_letter").absent:
                yield _refused(
                    channel, process, critical, unheard(design, (a for a in affected if a.process is process))
                )


def _matters(design: Design, arrival: Arrival) -> bool:
    """Whether a message that this consumer fails on would be missed."""
    process = arrival.process
    if process.service.external or process.fact("projection").declared or process.fact("notifies").declared:
        return False
    return process.kind == "workflow" or design.delivery.changes_state(process)


def _never_full(channel: Channel) -> bool:
    """Whether the channel is ordered, and its dead-letter channel has no number of deliveries that leads to it."""
    target = dead_letter(channel)
    return target is not None and target.after is None and channel.fact("ordering").declared


# ------------------------------------------------------------------------------------------------ findings


def _missing(design: Design, channel: Channel, fact: Fact, arrivals: list[Arrival], critical: set[Process]) -> Finding:
    labels, more = _consumers(arrivals)
    key = _key(channel, arrivals)
    clause = f"dead-letter {as_name(_local(channel) + '-dlq')} after 5{f' by {key}' if key else ''}"
    return Finding(
        primary=Label(fact.span or channel.place, "nothing takes it"),
        message=f"a message of `{channel.name}` that {who(arrivals[0].process)} cannot handle has nowhere to go",
        related=labels,
        notes=(*more, *_fate(channel, arrivals)),
        help=f"set it aside after a few deliveries: `{clause}`",
        silence='`dead-letter CHANNEL after N`, or `no dead-letter "why the message may be lost"`',
        fix=_fix(design, channel, fact, clause),
        subject=f"channel {channel.name}",
        levels=_levels(fact, [arrival.process for arrival in arrivals], critical),
        claim=Claim(
            ("B1", "B2"),
            messages=frozenset(arrival.use.message.name for arrival in arrivals),
            faults=frozenset({"lose", "park"}),
            gaps=unheard(design, arrivals),
        ),
    )


def _refused(channel: Channel, process: Process, critical: set[Process], gaps: tuple[Gap, ...]) -> Finding:
    fact = process.fact("dead_letter")
    assert fact.span is not None
    return Finding(
        primary=Label(fact.span, "nothing takes it"),
        message=f"a message of `{channel.name}` that {who(process)} cannot handle has nowhere to go",
        related=(Label(channel.place, "where it comes from"),),
        help="set it aside after a few deliveries: `dead-letter CHANNEL after 5`",
        silence='`dead-letter CHANNEL after N`, or `no dead-letter "why the message may be lost"`',
        subject=process.path,
        levels=_levels(fact, [process], critical),
        claim=Claim(("B1", "B2"), (process.place,), gaps=gaps),
    )


def _uncounted(channel: Channel, arrivals: list[Arrival]) -> Finding:
    fact, ordering = channel.fact("dead_letter"), channel.fact("ordering")
    assert fact.span is not None
    assert ordering.span is not None
    labels, more = _consumers(arrivals)
    return Finding(
        primary=Label(fact.span, "after how many deliveries?"),
        message=f"`{channel.name}` is ordered and does not say after how many deliveries a message is set aside",
        related=(Label(ordering.span, "the messages behind it wait"), *labels),
        notes=more,
        help="say `after N`, so that one message cannot hold up the others for ever",
        silence="`after N` behind the dead-letter channel",
        subject=f"channel {channel.name}",
    )


def _levels(fact: Fact, processes: list[Process], critical: set[Process]) -> str:
    if fact.absent and fact.why:
        return "I/I/I"
    return "W/W/E" if fact.absent and any(process in critical for process in processes) else "I/W/E"


def _critical(design: Design) -> set[Process]:
    """The processes on the way of flows of high criticality."""
    return {
        process
        for view in design.flows
        if view.flow.fact("criticality").value in {"high", "critical"}
        for process in view.processes
    }


def _consumers(arrivals: list[Arrival]) -> tuple[tuple[Label, ...], tuple[str, ...]]:
    processes = dict.fromkeys(arrival.process for arrival in arrivals)
    return shortened([Label(process.place, f"read by `{process.service.name}`") for process in processes], "consumer")


def _fate(channel: Channel, arrivals: list[Arrival]) -> tuple[str, ...]:
    """What happens to the message, as far as it is declared."""
    limits = [arrival.process.fact("attempts") for arrival in arrivals]
    if limits[0].declared and limits[0].value != float("inf"):
        return (f"with `{limits[0].text}` it is gone after that",)
    if channel.fact("ordering").declared:
        return ("the channel is ordered: what is behind the message waits while it is tried again",)
    return ()


def _key(channel: Channel, arrivals: list[Arrival]) -> str:
    """The key whose later messages have to wait, too: that of the channel, else that which a consumer is ordered by."""
    ordering = channel.fact("ordering")
    if ordering.declared and isinstance(ordering.value, tuple):
        return ", ".join(ordering.value)
    keys = [a.process.fact("ordered_by").value for a in arrivals if a.process.fact("ordered_by").declared]
    return ", ".join(keys[0]) if keys else ""


def _local(channel: Channel) -> str:
    """The name as the channel's own file knows it, without the prefix of an include."""
    return channel.name.rpartition(".")[2] if not channel.place.text.startswith('"') else channel.name


def _fix(design: Design, channel: Channel, fact: Fact, clause: str) -> Fix | None:
    name = f"{_local(channel)}-dlq"
    if fact.span is None or name in design.system.channels or not channel.span.source.path.endswith(".coord"):
        return None
    source, end = channel.span.source, channel.span.end
    start, _ = source.line_bounds(channel.span.line)
    indent = source.text[start : channel.span.start]
    on = f" on {as_name(channel.broker.name)}" if channel.broker is not None else ""
    declaration = f"\n{indent if not indent.strip() else ''}channel {as_name(name)}{on} {{ queue }}"
    return Fix(f"add `{clause}`", (Edit(fact.span, clause), Edit(Span(source, end, end), declaration)))
