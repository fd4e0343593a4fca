"""A participant reacts to an event of a saga and writes what a later step makes it write, in no order.

## Why

While a saga runs, its orchestrator decides the order of the steps. A participant that reacts to an event of the saga on its own account
leaves that order: its reaction may run before, after or while it handles the next command. If both change the same entity,
what is left depends on which came last, and on most days it is the right one.

Sagas are workflows, and handlers that call two or more state-changing operations of other services.

## Bad

```coord
command PlaceOrder, ReserveStock
event OrderOpened
store StockDb

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Inventory {
  on OrderOpened { # MIX403
    writes StockDb.stock
    acts "moves the goods to the front"
  }
  handles ReserveStock writes StockDb.stock
}

workflow Checkout in Orders {
  starts on PlaceOrder
  emits OrderOpened
  calls Inventory.ReserveStock
}
```

## Good

```coord
command PlaceOrder, ReserveStock
store StockDb

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Inventory {
  handles ReserveStock {
    writes StockDb.stock
    acts "moves the goods to the front"
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  calls Inventory.ReserveStock
}
```

## Exempt

- Read models and notices (`projection`, `notifies`), and external services.
- A guard on the state (`when`) on either side.
- Both messages come over one `ordered` channel.
- The step waits for the reaction: its event is awaited before.
- Events published after the pivot, and branches that exclude each other.
- What MIX401 reports as the same work.

## References

- Richardson, "Microservices patterns", 2018, ch. 4: lost updates, and countermeasures against missing isolation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule

from ._words import asks, publication_label, request_label, who

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.scopes import Race
    from coordlint.design import Design
    from coordlint.system import Process


@rule("MIX403", "reaction-race-in-saga-scope", "W/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Report each reaction that races with a later step."""
    for race in design.scopes.races:
        yield _finding(design, race)


def _finding(design: Design, race: Race) -> Finding:
    event, service = race.publication.event.name, race.reaction.service.name
    return Finding(
        primary=Label(race.reaction.place, f"writes `{race.entity}` at some time"),
        message=(
            f"`{service}` writes `{race.entity}` when `{event}` arrives and when {who(race.process)} "
            f"{asks(race.step)}, in no order"
        ),
        related=(
            publication_label(race.publication.emit),
            request_label(race.step),
            Label(race.commanded.place, f"writes `{race.entity}`, too"),
        ),
        help=f"do both in the step, or let {who(race.process)} await the result of the reaction first",
        silence='`when "…"`, a guard on the state, on one of the two',
        subject=race.reaction.path,
        claim=Claim(
            both=(_writes(design, race.reaction, race.entity), _writes(design, race.commanded, race.entity)),
            any_order=True,
        ),
    )


def _writes(design: Design, process: Process, entity: str) -> frozenset[int]:
    """The writes of an entity by a process, as numbers of actions."""
    writes = design.system.actions_of(process, "write")
    return frozenset(action.id for action in writes if any(use.text == entity for use in action.entities))
