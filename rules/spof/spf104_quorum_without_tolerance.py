"""A broker keeps copies or votes, and still cannot do without a single one of them.

## Why

Copies cost as much as they do anywhere, and help only if one of them may be missing. A producer that waits for `min-insync 3` of
`replication 3` stops when one node restarts: more safety was asked for than the copies can give while one is away. A vote needs the
majority of its nodes: two nodes tolerate no loss (one of two is no majority), so two are twice as likely to stand still as
one, and four tolerate one loss, as three do.

## Bad

```coord
broker Kafka {
  nodes 3
  replication 3
  min-insync 3 # SPF104
}
channel orders on Kafka { topic  delivery at-least-once }
event OrderPlaced via orders

external service Shop { emits OrderPlaced }
service Picking {
  on OrderPlaced {
    idempotent
    acts "picks the goods"
  }
}
```

```coord
broker Rabbit {
  nodes 2 # SPF104
  quorum
}
channel orders on Rabbit { topic  delivery at-least-once }
event OrderPlaced via orders

external service Shop { emits OrderPlaced }
service Picking {
  on OrderPlaced {
    idempotent
    acts "picks the goods"
  }
}
```

## Good

```coord
broker Kafka {
  nodes 3
  replication 3
  min-insync 2
}
channel orders on Kafka { topic  delivery at-least-once }
event OrderPlaced via orders

external service Shop { emits OrderPlaced }
service Picking {
  on OrderPlaced {
    idempotent
    acts "picks the goods"
  }
}
```

```coord
broker Rabbit {
  nodes 3
  quorum
}
channel orders on Rabbit { topic  delivery at-least-once }
event OrderPlaced via orders

external service Shop { emits OrderPlaced }
service Picking {
  on OrderPlaced {
    idempotent
    acts "picks the goods"
  }
}
```

## Exempt

- A broker that only carries flows of `criticality low`.
- A broker with one node or one copy that flows cannot do without: SPF101 reports it. What SPF104 reports is not repeated by SPF101.

An even number of four nodes or more is information only.

## References

- Apache Kafka documentation, `min.insync.replicas` and `acks`: more required replicas trade availability for durability.
- L. Lamport: The part-time parliament, 1998: 2f + 1 voters for f failures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit

from ._quorum import copies_without_spare, critical_of, spares_nothing, voters_without_majority
from ._words import blast_radius_note, flows_text, path_of, span_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.system import Broker


@rule("SPF104", "quorum-without-tolerance", "W/W/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """One finding per broker: no copy to spare, no majority to spare, or a node too many."""
    for broker in design.system.brokers.values():
        if spares_nothing(design, broker):
            yield _no_spare_copy(design, broker) if copies_without_spare(broker) else _no_majority(design, broker)
        elif _has_a_node_too_many(broker):
            yield _even(broker)


def _no_spare_copy(design: Design, broker: Broker) -> Finding:
    insync, replication = copies_without_spare(broker)
    repair = replication.value >= 3
    spare = f"min-insync {replication.value - 1}" if repair else "replication 3"
    return Finding(
        primary=Label(span_of(insync), "each copy is needed for each message"),
        message=(
            f"broker `{broker.name}` has `{replication.text}` and `{insync.text}`: the loss of one copy stops all who publish"
        ),
        related=(Label(span_of(replication)),),
        help="ask for one copy less than there are" if repair else "keep three copies and ask for two: `replication 3`",
        notes=_consequences(design, broker),
        silence=f"`{spare}`",
        fix=Fix("leave one copy to spare", (Edit(span_of(insync), spare),)) if repair else None,
        subject=path_of(broker),
        levels=_levels(design, broker),
    )


def _no_majority(design: Design, broker: Broker) -> Finding:
    nodes, quorum = voters_without_majority(broker)
    return Finding(
        primary=Label(span_of(nodes), "no majority without each of them"),
        message=f"broker `{broker.name}` decides by `quorum` with `{nodes.text}`: the loss of one node stops it",
        related=(Label(span_of(quorum)),),
        help="run three nodes, which tolerate the loss of one",
        notes=_consequences(design, broker),
        silence="`nodes 3`",
        fix=Fix("run three nodes", (Edit(span_of(nodes), "nodes 3"),)),
        subject=path_of(broker),
        levels=_levels(design, broker),
    )


def _has_a_node_too_many(broker: Broker) -> bool:
    nodes = broker.fact("nodes")
    return broker.fact("quorum").declared and nodes.declared and nodes.value >= 4 and nodes.value % 2 == 0


def _even(broker: Broker) -> Finding:
    nodes = broker.fact("nodes")
    return Finding(
        primary=Label(span_of(nodes), "an even number of voters"),
        message=(
            f"broker `{broker.name}` decides by `quorum` with `{nodes.text}`, which tolerate the loss of "
            f"{nodes.value // 2 - 1}, as {nodes.value - 1} would"
        ),
        related=(Label(span_of(broker.fact("quorum"))),),
        help=f"run {nodes.value - 1} nodes, or {nodes.value + 1} to tolerate one loss more",
        silence=f"`nodes {nodes.value + 1}`",
        subject=path_of(broker),
        levels="I/I/I",
    )


def _levels(design: Design, broker: Broker) -> str:
    """What SPF101 would say of a broker that the flows cannot do without."""
    critical = critical_of(design, broker)
    return "E/E/E" if critical is not None and critical.blast_radius >= 0.5 else ""


def _consequences(design: Design, broker: Broker) -> tuple[str, ...]:
    critical = critical_of(design, broker)
    if critical is None:
        return ()
    return f"{flows_text(critical.flows)} cannot succeed without it", blast_radius_note(critical)
