"""A step changes state and has no compensation, though something later in its saga can still fail.

## Why

A saga has no rollback: what a completed step has committed stays until something undoes it (Garcia-Molina and Salem). When a
later step then fails for good, the system is left with half of the work: money taken for goods that are not there. The last
step that can fail, the pivot, needs no undo, and neither do the steps behind it, which are retried until they succeed.

A handler that calls two or more state-changing operations of other services is an orchestration, too, and is read like one.

## Bad

```coord
store StockDb
command PlaceOrder
command ReserveStock, ChargeCard

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Inventory { handles ReserveStock { writes StockDb.stock } }
service Payments {
  handles ChargeCard {
    acts "charges the card"
    succeeds or fails "card declined"
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  step reserve calls Inventory.ReserveStock # SAG301
  step charge calls Payments.ChargeCard
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Good

```coord
store StockDb
command PlaceOrder
command ReserveStock, ReleaseStock, ChargeCard

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Inventory {
  handles ReserveStock { writes StockDb.stock }
  handles ReleaseStock { compensates ReserveStock  writes StockDb.stock }
}
service Payments {
  handles ChargeCard {
    acts "charges the card"
    succeeds or fails "card declined"
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  step reserve calls Inventory.ReserveStock { compensate Inventory.ReleaseStock }
  step charge calls Payments.ChargeCard { pivot }
  on failure { emits OrderRejected }
}

event OrderRejected
service Mailer { on OrderRejected { notifies  acts "tells the customer" } }

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
  fails with OrderRejected
}
```

## Exempt

Steps that change nothing; the pivot and what comes after it; a step whose effect is undone in the failure block, or by a
reaction to an event published there; `recovery forward`; a step with `no compensation "why"`; an `irreversible` one, which
SAG302 judges. A failure that is handled (`optional`, `fallback`, a failure block that goes on) and one of `0%` do not count.

A failure that is declared, or a declared `no compensation`, is a warning. Where a later step merely might fail, the finding is
information in the default profile. A run bears it out that ends in failure with the step done, or in which the process waits for
ever with the step done; the latter leaves its severity as it is. An orchestration without any compensation gets one finding. Where all of it happens in one
service and one store, a local transaction could do the job, and the finding is a hint.

## References

- Garcia-Molina, Salem, "Sagas", SIGMOD 1987.
- Richardson, *Microservices Patterns*, 2nd ed.: compensatable, pivot and retriable steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule

from ._words import can_fail, effect, path, said, stays, when, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.sagas import Gap, Saga
    from coordlint.design import Design
    from coordlint.source import Span

CANDIDATE = "I/W/E"
LOCAL = "H/H/H"
HALF_DONE = ("B1", "B11", "B12")


@rule("SAG301", "missing-compensation", "W/E/E", evidence="SD")
def check(design: Design) -> Iterator[Finding]:
    """Report steps that stay done."""
    for saga in design.sagas.all:
        if saga.recovers_forward:
            continue
        gaps = [gap for gap in design.sagas.gaps(saga, unknown=design.strict) if _speaks(design, saga, gap)]
        levels = LOCAL if _is_local(saga) else ""
        alone = [gap for gap in gaps if saga.compensates or gap.step.compensation.absent]
        for gap in alone:
            yield _of_step(gap, levels or ("" if _is_proven(gap) else CANDIDATE))
        together = [gap for gap in gaps if gap not in alone]
        if together:
            yield _of_saga(saga, together, levels or ("" if any(_is_proven(gap) for gap in together) else CANDIDATE))


def _is_proven(gap: Gap) -> bool:
    return gap.failure.sure or gap.step.compensation.absent


def _speaks(design: Design, saga: Saga, gap: Gap) -> bool:
    """Whether the process would fail, and not only wait for an answer that nobody says may stay away."""
    certain = gap.step.compensation.absent or gap.failure.weight > 0
    return certain or (design.strict and saga.compensates)


def _is_local(saga: Saga) -> bool:
    """Whether one transaction could span all of it."""
    services = {service for step in saga.steps for service in step.services}
    stores = {store for step in saga.steps for store, _ in step.effects.writes}
    return len(services) == 1 and len(stores) == 1 and not any(step.effects.acts for step in saga.steps)


def _of_step(gap: Gap, levels: str) -> Finding:
    step, failure = gap
    related = [stays(step), can_fail(failure.cause)]
    return Finding(
        primary=Label(step.place, effect(step.effects)),
        message=f"nothing undoes {step.label} {when(failure)}",
        related=(
            *(label for label in related if label is not None),
            *said(step.compensation, "said here"),
        ),
        help=f"give {step.label} a `compensate`, or mark it `pivot` and what follows `retriable`",
        silence=f'`no compensation "why"` at {step.label}',
        subject=path(step.step),
        levels=levels,
        claim=_claim((step.place,), levels),
    )


def _of_saga(saga: Saga, gaps: list[Gap], levels: str) -> Finding:
    first = max(gaps, key=lambda gap: (gap.step.effects.changes, gap.failure.weight))
    others = [gap.step for gap in gaps if gap is not first]
    shown = stays(first.step)
    return Finding(
        primary=Label(first.step.place, effect(first.step.effects)),
        message=f"nothing undoes {first.step.label} {when(first.failure)}: {whole(saga.process)} has no compensation",
        related=(
            *((shown,) if shown is not None else ()),
            can_fail(first.failure.cause),
            *(Label(step.place, "stays done as well") for step in others),
        ),
        help="give each step that changes state a `compensate`, or say `recovery forward`",
        silence='`recovery forward`, or `no compensation "why"` at each step',
        subject=saga.process.path,
        levels=levels,
        claim=_claim(tuple(gap.step.place for gap in gaps), levels),
    )


def _claim(places: tuple[Span, ...], levels: str) -> Claim:
    """That a run ends with one of the steps done: failed, or waiting for ever."""
    return Claim(HALF_DONE, places, held=places, levels="" if levels == LOCAL else "E/E/E")
