"""A handler writes its data and publishes a message, and nothing makes both happen or neither.

## Why

A database and a broker share no transaction. A crash between the two leaves an order that nobody hears of, or an event about
an order that never came to be; either way the services disagree for good, because nobody notices. A *transactional outbox*
stores the message in the same transaction as the data, and a relay publishes it afterwards, at least once. Two stores that
one handler writes have the same gap, and so has an effect outside (`acts`) whose announcement is never tried again.

All handlers under one `no outbox` are one finding. A handler or workflow that publishes an event and then sends a command to
somebody who waits for it has a finding of its own: the event is out, and the command may come when nobody waits any more.

## Bad

```coord
event OrderPlaced
command PlaceOrder
external service Shopper { calls Orders.PlaceOrder }

store OrdersDb { owner Orders }
service Orders {
  no outbox # DLV603
  handles PlaceOrder {
    writes OrdersDb.orders
    emits OrderPlaced
  }
}
service Billing {
  on OrderPlaced { notifies }
}
```

```coord
event ParcelSent, WaitedTooLong
command Order, Pack, Packed
external service Shopper { sends Desk.Order }

store DepotDb { owner Depot }
service Depot {
  no outbox
  handles Pack {
    writes DepotDb.parcels
    emits ParcelSent # DLV603
    sends Desk.Packed
  }
}
service Desk
workflow Delivery in Desk {
  starts on Order
  sends Depot.Pack
  awaits {
    on Packed {}
    within 2h { emits WaitedTooLong }
  }
}
service Mail {
  on ParcelSent or WaitedTooLong { notifies }
}
```

## Good

```coord
event OrderPlaced
command PlaceOrder
external service Shopper { calls Orders.PlaceOrder }

store OrdersDb { owner Orders }
service Orders {
  outbox
  handles PlaceOrder {
    writes OrdersDb.orders
    emits OrderPlaced
  }
}
service Billing {
  on OrderPlaced { notifies }
}
```

Change data capture needs no outbox: what is published follows from the write alone.

```coord
event OrderPlaced
command PlaceOrder
external service Shopper { calls Orders.PlaceOrder }

store OrdersDb { owner Orders }
service Orders {
  no outbox
  handles PlaceOrder { writes OrdersDb.orders }
  on change of OrdersDb.orders { emits OrderPlaced }
}
service Billing {
  on OrderPlaced { notifies }
}
```

## Exempt

- `outbox` on the service or the handler; `on change of` (change data capture).
- A workflow with `state in` a store: after a crash its engine goes on where it stopped.
- A handler that publishes first, is delivered at least once and is idempotent: what was interrupted is done again. The same
  holds for one that is idempotent and `re-emits`, in any order.
- Effects on alternative branches, and what only a compensation does.
- A store whose own log is what is published (event sourcing) has no word in the language: `outbox` says the same.
- `no outbox "why"` is a decision and at most information. Where nothing is said of an outbox, only the profile production asks.

A run shows the crash between the two: the first is done and the second never happens, or the input is delivered again and
done as if it were new, so that the first is there twice. Where nobody says whether a repetition `re-emits`, no run is certain
under the profile default.

## References

- C. Richardson, Microservices Patterns, 2018, chapter 3, and microservices.io: *Transactional outbox*, *Transaction log
  tailing*.
- AWS Prescriptive Guidance, saga patterns: dual writes as a hazard of choreography.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.delivery import shown
from coordlint.finding import Claim, Finding, Fix, Gap, Label, Twice
from coordlint.rule import rule
from coordlint.source import Edit

from ._words import shortened, who

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.delivery import Delivery, DualWrite
    from coordlint.design import Design
    from coordlint.system import Action, Fact, Process, Service


@rule("DLV603", "dual-write", "W/W/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """One finding per `no outbox`; under the profile production also one per service that says nothing.

    What announces something before it knows whether who waits for its command still does has one of its own.
    """
    groups: dict[tuple[Service, Fact], list[tuple[Process, DualWrite]]] = {}
    for process in design.system.processes:
        fact = process.fact("outbox")
        if fact.declared or process.service.external or (fact.unknown and design.profile != "production"):
            continue
        pair = design.delivery.dual_write(process)
        if pair is not None and not _is_done_again(design.delivery, process, pair):
            hasty = next(_hasty(design, process), None)
            if hasty is not None:
                yield _announced(design, process, pair, hasty)
            else:
                groups.setdefault((process.service, fact), []).append((process, pair))
    for (service, fact), writes in groups.items():
        yield _finding(service, fact, writes)


def _is_done_again(delivery: Delivery, process: Process, pair: DualWrite) -> bool:
    """Whether a crash between the two effects heals, as the input is delivered again and its repetition publishes again."""
    if not process.fact("idempotent").declared or not delivery.is_redelivered(process):
        return False
    return pair.publishes_first or process.fact("re_emits").declared


def _finding(service: Service, fact: Fact, writes: list[tuple[Process, DualWrite]]) -> Finding:
    process, pair = writes[0]
    others = len(writes) - 1
    also = f", and so do {others} more" if others > 1 else ", and so does one more" if others else ""
    labels, more = shortened([Label(two.second.span, f"`{one.name}` {_words(two)}") for one, two in writes], "handler")
    outside = "act" in {pair.first.kind, pair.second.kind}
    return Finding(
        primary=Label(fact.span or service.place, "nothing ties the two together"),
        message=f"{who(process)} {_words(pair)} without an outbox{also}",
        related=labels,
        notes=more,
        help=_help(pair),
        silence='`outbox`, or `no outbox "why one without the other does no harm"`',
        fix=Fix("add `outbox`", (Edit(fact.span, "outbox"),)) if fact.span is not None and not outside else None,
        subject=process.path if "outbox" in process.facts else f"service {service.name}",
        claim=Claim(
            ("B13", "B14"),
            tuple(place for one, two in writes for place in (one.place, two.second.span)),
            gaps=tuple(_torn(one, two) for one, two in writes if two.first is not two.second),
            twice=tuple(_again(two) for _, two in writes if two.first is not two.second),
        ),
        levels="I/I/I" if fact.absent and fact.why else "",
    )


def _hasty(design: Design, process: Process) -> Iterator[tuple[Action, Action]]:
    """What it announces before it sends a command that only somebody takes who waits for it: the publication and the command."""
    for emit, send in design.delivery.announced(process):
        if design.index.awaiting.get(send.message) and not design.index.started.get(send.message):
            yield emit, send


def _announced(design: Design, process: Process, pair: DualWrite, hasty: tuple[Action, Action]) -> Finding:
    fact = process.fact("outbox")
    emit, send = hasty
    told, asked = emit.message.name, send.message.name
    return Finding(
        primary=Label(emit.span, "out, whatever becomes of the command behind it"),
        message=f"{who(process)} {_words(pair)} without an outbox, before it knows whether anybody still waits for `{asked}`",
        related=(
            Label(pair.first.span, "done before"),
            Label(send.span, "may come too late"),
            *((Label(fact.span, "nothing ties them together"),) if fact.span is not None else ()),
        ),
        help=f"send `{asked}` first, and publish `{told}` when it has been taken",
        silence='`no outbox "why one without the other does no harm"`',
        subject=process.path,
        claim=Claim(
            ("B13", "B14"),
            (process.place, emit.span),
            gaps=(
                Gap(
                    frozenset((emit.id,)),
                    frozenset(action.id for action in design.index.awaiting[send.message]),
                    "any",
                    f"nobody has taken the `{asked}` of {who(process)}",
                    f"`{told}` is out, although nobody waits for `{asked}` any more",
                ),
                *((_torn(process, pair),) if pair.first is not pair.second else ()),
            ),
        ),
        levels="I/I/I" if fact.absent and fact.why else "",
    )


def _torn(process: Process, pair: DualWrite) -> Gap:
    """The first without the second, after a crash between the two."""
    first, second = pair.first, pair.second
    done = f"`{first.message.name}` is out" if first.kind in {"emit", "send"} else f"`{shown(first)}` is done"
    missing = f"`{shown(second)}` never happens"
    if second.kind in {"emit", "send"}:
        missing = f"`{second.message.name}` is never {'published' if second.kind == 'emit' else 'sent'}"
    return Gap(
        frozenset((first.id,)),
        frozenset((second.id,)),
        "torn",
        f"{who(process)} has not come to `{shown(second)}`",
        f"{done}, and {missing}",
    )


def _again(pair: DualWrite) -> Twice:
    """The crash leaves the first without the second, and the repetition does both again."""
    first, second = shown(pair.first), shown(pair.second)
    return Twice(
        frozenset((pair.first.id,)),
        "torn",
        f"`{first}` happens twice, and `{second}` only the second time",
        frozenset((pair.second.id,)),
    )


def _words(pair: DualWrite) -> str:
    if pair.first is pair.second:
        return f"`{shown(pair.first)}` in two stores"
    return f"`{shown(pair.first)}`, then `{shown(pair.second)}`"


def _help(pair: DualWrite) -> str:
    if pair.first.kind == "write" and pair.second.kind == "write":
        return "write one store and let the other follow its changes, or send it a message through an `outbox`"
    if "act" in {pair.first.kind, pair.second.kind}:
        return "make the effect idempotent and let its input be delivered again until the message is out"
    return "store the message with the data and let a relay publish it: `outbox`"
