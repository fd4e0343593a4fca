"""A step that timed out may have happened, and the saga goes back without asking and without undoing it.

## Why

A timeout says that no answer came, not that nothing was done. The request may have been carried out and the answer lost, or it
may still be carried out after the saga has given up. A saga that then compensates only the earlier steps produces the classic
result: the card is charged, the order is cancelled. Either the step is undone as well, by a compensation that bears coming
before its action and finding nothing, or its service is asked what became of it.

## Bad

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
    idempotent
    acts "charges the card"
    succeeds or fails "card declined"
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  step reserve calls Inventory.ReserveStock { timeout 2s  compensate Inventory.ReleaseStock }
  step charge calls Payments.ChargeCard { pivot  timeout 5s } # SAG305
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
query GetCharge

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Inventory {
  handles ReserveStock { writes StockDb.stock }
  handles ReleaseStock { compensates ReserveStock  writes StockDb.stock }
}
service Payments {
  handles ChargeCard {
    idempotent
    acts "charges the card"
    succeeds or fails "card declined"
  }
  handles GetCharge { succeeds or fails "not charged" }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  step reserve calls Inventory.ReserveStock { timeout 2s  compensate Inventory.ReleaseStock }
  step charge calls Payments.ChargeCard {
    pivot
    timeout 5s
    on timeout { calls Payments.GetCharge { timeout 5s } }
  }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Exempt

`attempts unlimited`; a block that goes on, undoes the step, or calls the step's service (a query, or a command that cancels);
a step with a compensation and no block of its own, which is then undone too; `no compensation "why"`; a single step whose
failure has no further consequence. A missing compensation that SAG301 reports is not reported again.

## References

- Apache Seata, on the try-confirm-cancel mode: empty rollback, hanging, and repeated cancel.
- Richardson, *Microservices Patterns*, 2nd ed., on the pivot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule

from ._words import path, said, stays

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.sagas import Expiry, Saga, Sagas
    from coordlint.design import Design

_QUIET = frozenset({"fail", "failed", "choice"})


@rule("SAG305", "timeout-leaves-outcome-unknown", "W/E/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """Report limits behind which a step may have happened."""
    for saga in design.sagas.all:
        known = _reported(design.sagas, saga)
        seen = set()
        for expiry in design.sagas.expiries(saga):
            if expiry.step not in seen and expiry.step not in known and _matters(saga, expiry):
                seen.add(expiry.step)
                yield _finding(expiry)


def _reported(sagas: Sagas, saga: Saga) -> set[object]:
    """The steps whose missing compensation is reported as a defect, and which have no block of their own that would stay wrong."""
    if saga.recovers_forward:
        return set()
    gaps = (gap.step for gap in sagas.gaps(saga) if gap.failure.sure or gap.step.compensation.absent)
    return {
        step for step in gaps if not any(_has_block(sagas, step.step, name) for name in ("on_timeout", "on_failure"))
    }


def _has_block(sagas: Sagas, step: object, name: str) -> bool:
    return bool(step.fact(name, sagas.system).declared)  # type: ignore[attr-defined]


def _matters(saga: Saga, expiry: Expiry) -> bool:
    """Whether the outcome of the step is not the only thing that is left open, and nobody decided that it may be."""
    step = expiry.step
    if step.compensation.absent and step.compensation.why:
        return False
    others = [one for one in saga.steps if one is not step and (one.effects.changes or one.compensation.declared)]
    return bool(others) or step.kind == "pivot" or any(action.kind not in _QUIET for action in expiry.behind)


def _finding(expiry: Expiry) -> Finding:
    step, limit = expiry.step, expiry.limit
    fact = limit.fact("timeout") if limit.kind == "call" else None
    text = " ".join(limit.span.text.split()) if fact is None else fact.text
    block = next((a for a in expiry.behind if a.region in {"timeout", "failure"} and a.step is step.step), None)
    happened = stays(step)
    related = [
        happened._replace(text="this may have happened") if happened is not None else None,
        Label(limit.span, "the limit") if fact is None else None,
        Label(block.span, "what is done instead") if block is not None else None,
    ]
    return Finding(
        primary=Label(step.place),
        message=f"{step.label} may have happened when its `{text}` expires, and nothing asks or undoes it",
        related=(*(said(fact, "the limit") if fact is not None else ()), *(one for one in related if one is not None)),
        help=f"ask the service of {step.label} in an `on timeout` block, or undo the step there too",
        silence="an `on timeout` block that calls the same service",
        subject=path(step.step),
        claim=Claim(("B1", "B11", "B12"), (step.place,), levels="E/E/E"),
    )
