"""The steps of a saga contradict its pivot: two pivots, a failure after it, or something irreversible before it.

## Why

A saga has one point of no return. Before the pivot every step can be undone, after it every step can only be retried until it
succeeds (Richardson). A second pivot on the same path, a business failure behind the pivot, or a step that cannot be undone
in front of it leaves a run that can neither go back nor forward: half of it done, and no rule by which to repair it.

## Bad

```coord
command PlaceOrder
command ChargeCard, MailTickets

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Mailer { handles MailTickets acts "mails the tickets" }
service Payments {
  handles ChargeCard {
    acts "charges the card"
    succeeds or fails "card declined"
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  step mail calls Mailer.MailTickets { irreversible } # SAG302
  step charge calls Payments.ChargeCard { pivot }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

```coord
store StockDb
command PlaceOrder
command ChargeCard, PickGoods

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Inventory {
  handles PickGoods {
    writes StockDb.stock
    succeeds or fails "sold out"
  }
}
service Payments {
  handles ChargeCard {
    acts "charges the card"
    succeeds or fails "card declined"
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  step charge calls Payments.ChargeCard { pivot }
  step pick calls Inventory.PickGoods # SAG302
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Good

```coord
command PlaceOrder
command ChargeCard, MailTickets

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Mailer { handles MailTickets acts "mails the tickets" }
service Payments {
  handles ChargeCard {
    acts "charges the card"
    succeeds or fails "card declined"
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  step charge calls Payments.ChargeCard { pivot }
  step mail calls Mailer.MailTickets { irreversible }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Exempt

Pivots in branches that exclude each other. A failure after the pivot that is answered: a failure block that does something,
`fallback`, `optional`, or `0% fails`. An irreversible step with `no compensation "why"`. In the default profile a later step
counts as failable only if its failure is declared or it is the pivot. A compensation behind the pivot, which can never run, is
a warning.

## References

- Richardson, *Microservices Patterns*, 2nd ed.: the structure of a saga, and the pessimistic view that reorders its steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule

from ._words import can_fail, path, said, when

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.sagas import Failure, Saga, Sagas, SagaStep
    from coordlint.design import Design

BEYOND = ("B1", "B11", "B12")
"""What runs may come to: something that cannot be undone is done, and the rest is not."""


@rule("SAG302", "broken-pivot-structure", "E/E/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """Report what contradicts a pivot."""
    for saga in design.sagas.all:
        yield from _second_pivots(design.sagas, saga)
        yield from _late_failures(design.sagas, saga)
        yield from _irreversible(design, saga)
        yield from _useless_compensations(saga)


def _second_pivots(sagas: Sagas, saga: Saga) -> Iterator[Finding]:
    pivots = [step for step in saga.steps if step.kind == "pivot"]
    for number, later in enumerate(pivots):
        earlier = next((step for step in pivots[:number] if sagas.both_run(step.step, later.step)), None)
        if earlier is not None:
            yield Finding(
                primary=Label(later.place, "the second pivot"),
                message=f"{earlier.label} and {later.label} are both the pivot of one run",
                related=(Label(earlier.place, "the first pivot"),),
                help="keep the `pivot` at the last step that can fail, and give the other one a `compensate`",
                silence="one `pivot` a run",
                subject=path(later.step),
                claim=Claim(BEYOND, (earlier.place, later.place)),
            )


def _late_failures(sagas: Sagas, saga: Saga) -> Iterator[Finding]:
    pivots = [step for step in saga.steps if step.kind == "pivot"]
    for step in saga.steps:
        cause = sagas.late_failure(step) if step.after_pivot else None
        if cause is None:
            continue
        pivot = next(one for one in pivots if step.step.actions[0] in sagas.behind(one.step))
        yield Finding(
            primary=Label(step.place, "can fail for a business reason"),
            message=f"{step.label} can fail after the pivot {pivot.label}, when nothing can be undone any more",
            related=(can_fail(cause), Label(pivot.place, "the pivot")),
            help=f"move {step.label} before the pivot, or say in an `on failure` block what happens then",
            silence=f"an `on failure` block at {step.label}",
            subject=path(step.step),
            claim=Claim((*BEYOND, "B3"), (step.place, pivot.place, *(one.span for one in step.requests))),
        )


def _irreversible(design: Design, saga: Saga) -> Iterator[Finding]:
    for step in saga.steps:
        fact = step.step.fact("irreversible", design.system)
        decided = step.compensation.absent and step.compensation.why
        if not fact.declared or step.kind == "pivot" or step.after_pivot or decided:
            continue
        failure = _failing_behind(design, saga, step)
        if failure is not None:
            yield Finding(
                primary=Label(step.place, "cannot be undone"),
                message=f"{step.label} is irreversible, and the saga has to go back {when(failure)}",
                related=(*said(fact, "said here"), can_fail(failure.cause)),
                help=f"move {step.label} behind the last step that can fail",
                silence=f'`no compensation "why"` at {step.label}',
                subject=path(step.step),
                claim=Claim(BEYOND, (step.place,)),
            )


def _failing_behind(design: Design, saga: Saga, step: SagaStep) -> Failure | None:
    failures = design.sagas.failures(saga.process)
    pivots = {number for one in saga.steps if one.kind == "pivot" for number in one.step.actions}
    for number in sorted(design.sagas.follow(step.step) & failures.keys()):
        if design.strict or failures[number].sure or number in pivots:
            return failures[number]
    return None


def _useless_compensations(saga: Saga) -> Iterator[Finding]:
    for step in saga.steps:
        if step.after_pivot and step.compensation.declared:
            yield Finding(
                primary=Label(step.place, "comes after the pivot"),
                message=f"the compensation of {step.label} can never run: it comes after the pivot",
                related=said(step.compensation, "its compensation"),
                help="remove the compensation and mark the step `retriable`, or move it before the pivot",
                silence=f"{step.label} without `compensate`",
                subject=path(step.step),
                levels="W/W/W",
            )
