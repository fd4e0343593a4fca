"""A compensation cannot undo what its step did.

## Why

Going back has to reach what was done: the same data, in the same service, by a handler that does something (Garcia-Molina and
Salem). A compensation that goes to another service, writes other data, repeats the command that it should undo, or always
fails, leaves the effect in place, and the saga reports that it was rolled back.

## Bad

```coord
store StockDb
store PaymentDb
command PlaceOrder
command ReserveStock, ReleaseStock, ChargeCard, ShipGoods

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Inventory {
  handles ReserveStock { writes StockDb.stock }
  handles ReleaseStock { writes StockDb.stock }
}
service Payments { handles ChargeCard { writes PaymentDb.charges } }
service Shipping {
  handles ShipGoods {
    acts "ships the goods"
    succeeds or fails "no carrier"
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  step reserve calls Inventory.ReserveStock { compensate Inventory.ReleaseStock }
  step charge calls Payments.ChargeCard { compensate Inventory.ReleaseStock } # SAG304
  step ship calls Shipping.ShipGoods { pivot }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Good

```coord
store StockDb
store PaymentDb
command PlaceOrder
command ReserveStock, ReleaseStock, ChargeCard, RefundPayment, ShipGoods

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Inventory {
  handles ReserveStock { writes StockDb.stock }
  handles ReleaseStock { writes StockDb.stock }
}
service Payments {
  handles ChargeCard { writes PaymentDb.charges }
  handles RefundPayment { compensates ChargeCard  writes PaymentDb.refunds }
}
service Shipping {
  handles ShipGoods {
    acts "ships the goods"
    succeeds or fails "no carrier"
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  step reserve calls Inventory.ReserveStock { compensate Inventory.ReleaseStock }
  step charge calls Payments.ChargeCard { compensate Payments.RefundPayment }
  step ship calls Shipping.ShipGoods { pivot }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Exempt

A handler that says `compensates COMMAND` of the step's command may keep its undoing elsewhere, in a facade or as an entry of
another table. Handlers without a body are not compared, nor is a step without a statement, which undoes what came before it.
Other data of the same service, and a compensation that two steps share though its handler treats the second as a repetition,
are warnings. There is no word for the order of compensations: it is the reverse order of the steps.

## References

- Garcia-Molina, Salem, "Sagas", SIGMOD 1987: compensations run in reverse order and undo semantically.
- Microsoft, Azure Architecture Center, "Compensating Transaction pattern".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from coordlint.analysis.effects import entity_text
from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule

from ._words import can_fail, effect, joined, path, said, stays

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.effects import Effects
    from coordlint.analysis.sagas import Saga, Sagas, SagaStep
    from coordlint.design import Design
    from coordlint.system import Action, Message

MILD = "W/W/E"


@rule("SAG304", "compensation-mismatch", "E/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Report compensations that do not reach what was done."""
    for saga in design.sagas.all:
        for step in saga.steps:
            finding = _mismatch(design.sagas, saga, step) if step.compensation.declared else None
            if finding is not None:
                yield finding
        yield from _shared(design.sagas, saga)


def _mismatch(sagas: Sagas, saga: Saga, step: SagaStep) -> Finding | None:
    """The first thing that is wrong with the compensation of a step."""
    undoing = sagas.undoing(step)
    forward = {request.message for request in step.requests}
    for action in undoing:
        if action.message in forward:
            return _finding(step, action, f"{step.label} is undone by `{action.message.name}`, which it did itself")
        handlers = sagas.answering(action)
        if handlers and not any(sagas.can_succeed(handler) for handler in handlers):
            cause = next(sagas.failing[handler] for handler in handlers if handler in sagas.failing)
            text = f"`{action.message.name}`, which undoes {step.label}, always fails and undoes nothing"
            found = _finding(step, action, text, (can_fail(cause),))
            # Going back, the saga asks again and again.
            return replace(found, claim=Claim(("B1", "B3", "B10", "B11"), (step.place, action.span)))
    if not (step.requests or step.effects.changes):
        return None  # it undoes what came before it
    if _only_reads(sagas, step):
        return _finding(step, undoing[0] if undoing else None, f"{step.label} changes nothing that could be undone")
    return _other_target(sagas, saga, step, undoing, forward)


def _only_reads(sagas: Sagas, step: SagaStep) -> bool:
    effects = step.effects
    actions = [sagas.system.actions[number] for number in step.step.actions]
    if effects.changes or not effects.known or effects.passive or sagas.causes_more(actions):
        return False
    return bool(effects.reads) or all(request.message.kind == "query" for request in step.requests)


def _other_target(
    sagas: Sagas, saga: Saga, step: SagaStep, undoing: list[Action], forward: set[Message]
) -> Finding | None:
    handlers = [handler for action in undoing for handler in sagas.answering(action)]
    claims = [handler.fact("compensates") for handler in handlers]
    meant = [fact for fact in claims if fact.declared]
    if any(fact.value.message in sagas.reach(step) for fact in meant):
        return None
    if meant and len(meant) == len(handlers) and forward:
        fact = meant[0]
        text = f"{step.label} is undone by `{undoing[0].message.name}`, which says that it undoes `{fact.value.message.name}`"
        return _finding(step, undoing[0], text, said(fact, "said here"))
    done, undone = step.effects, sagas.undo_effects(step)
    if not (done.changes and done.known and undone.known) or sagas.is_undone(step, step.undo):
        return None
    shown = undone.shown
    related = (Label(shown.span, "the compensation does this"),) if shown is not None else ()
    first = undoing[0] if undoing else None
    if not undone.changes:
        if sagas.causes_more(sagas.system.actions[number] for number in step.step.compensation):
            return None
        return _finding(step, first, f"the compensation of {step.label} changes nothing")
    if not undone.services & done.services:
        there = joined([f"`{service.name}`" for service in sorted(undone.services, key=lambda one: one.name)])
        text = f"{step.label} {_did(done)}, and its compensation works in {there} instead"
        return _finding(step, first, text, related)
    if done.writes and undone.writes and not done.acts and not undone.acts:
        other = joined([f"`{entity_text(key)}`" for key in undone.writes])
        text = f"{step.label} {_did(done)}, and its compensation writes {other} instead"
        return _finding(step, first, text, related, MILD)
    return None


def _did(effects: Effects) -> str:
    return f"acts in `{effects.acts[0].process.service.name}`" if effects.acts else effect(effects)


def _shared(sagas: Sagas, saga: Saga) -> Iterator[Finding]:
    """Two steps of one run share a compensation, and its handler takes the second for a repetition of the first."""
    instance = saga.process.fact("idempotent").value or ()
    users: dict[Message, list[tuple[SagaStep, Action]]] = {}
    for step in saga.steps:
        for action in sagas.undoing(step):
            users.setdefault(action.message, []).append((step, action))
    for message in users:
        (first, _), *others = users[message]
        for handler in sagas.answering(users[message][0][1]):
            key = handler.fact("idempotent")
            if not instance or not key.value or not set(key.value) <= set(instance):
                continue
            for step, action in others:
                if sagas.both_run(first.step, step.step):
                    text = f"`{message.name}` undoes both {first.label} and {step.label}, and is done once per {_keys(key.value)}"
                    related = (
                        Label(first.place, "the first step"),
                        *said(key, "the second one counts as a repetition"),
                    )
                    yield _finding(step, action, text, related, MILD)


def _keys(names: tuple[str, ...]) -> str:
    return joined([f"`{name}`" for name in names])


def _finding(
    step: SagaStep, action: Action | None, message: str, related: tuple[Label, ...] = (), levels: str = ""
) -> Finding:
    shown = stays(step)
    return Finding(
        primary=Label(action.span if action is not None else step.place),
        message=message,
        related=(*((shown,) if shown is not None else ()), *related),
        help=f"compensate {step.label} by a command of the service that did it, whose handler undoes its effect",
        silence="`compensates COMMAND` at the handler that undoes it",
        subject=f"{path(step.step)} / compensation",
        levels=levels,
        claim=Claim(("B1", "B10", "B11"), (step.place,)),
    )
