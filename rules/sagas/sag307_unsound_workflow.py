"""A workflow has statements that never run, ways without an end, branches that never meet, or an answer that it cannot take.

## Why

A sound workflow can always reach an end, leaves nothing running behind it, and has no dead part (van der Aalst). `parallel`,
`either` and loops are nested, so their branches always meet again; `goto` can break that. The other way to get stuck is to ask
a participant and to wait for only one of its declared outcomes: when the other one comes, or nothing at all, the instance
waits for ever.

## Bad

```coord
command PlaceOrder
command PickGoods
event GoodsPicked, GoodsMissing

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Mailer { on GoodsMissing { notifies  acts "tells the customer" } }
service Warehouse {
  handles PickGoods {
    acts "picks the goods"
    emits GoodsPicked or fails GoodsMissing
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  sends Warehouse.PickGoods
  awaits GoodsPicked # SAG307
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
  fails with GoodsMissing
  within 7d
}
```

```coord
command PlaceOrder
command PickGoods, PrintLabel, CloseOrder

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Warehouse {
  handles PickGoods acts "picks the goods"
  handles PrintLabel acts "prints a label"
}
service Ledger { handles CloseOrder acts "closes the order" }

workflow Checkout in Orders {
  starts on PlaceOrder
  recovery forward
  parallel {
    step pick calls Warehouse.PickGoods
    branch {
      step print calls Warehouse.PrintLabel
      goto close # SAG307
    }
  }
  step close calls Ledger.CloseOrder
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Good

```coord
command PlaceOrder
command PickGoods
event GoodsPicked, GoodsMissing

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Mailer { on GoodsMissing { notifies  acts "tells the customer" } }
service Warehouse {
  handles PickGoods {
    acts "picks the goods"
    emits GoodsPicked or fails GoodsMissing
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  sends Warehouse.PickGoods
  awaits {
    on GoodsPicked { }
    on GoodsMissing { fails "not in stock" }
  }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
  fails with GoodsMissing
  within 7d
}
```

## Exempt

`parallel any`, whose first branch wins: leaving it or entering it leaves nobody waiting. An outcome counts as taken if it leads
back to the wait in any way, if the wait has a limit, or if it happens in `0%`. A failed call always has a way on. A compensation
that never runs is no dead statement.

## References

- van der Aalst, van Hee, ter Hofstede, et al., "Soundness of workflow nets", Formal Aspects of Computing 23, 2011.
- Favre, Fahland, Völzer, "The relationship between workflow graphs and free-choice workflow nets", Information Systems 47, 2015.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.soundness import dead, endless, jumps, unanswered
from coordlint.analysis.waits import Waits
from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule

from ._words import path, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.soundness import Jump, Outcome
    from coordlint.design import Design
    from coordlint.system import Action


@rule("SAG307", "unsound-workflow", "E/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Report what makes a process unsound."""
    system = design.system
    for process in system.processes:
        if process.contract or process.kind == "own":
            continue
        for action in dead(system, process):
            yield _dead(design, action)
        for action in endless(system, process):
            yield _endless(design, action)
        for jump in jumps(system, process):
            yield _crossing(design, jump)
    yield from _stuck(design)


def _stuck(design: Design) -> Iterator[Finding]:
    waits = Waits(design.sagas, design.flows)
    for wait in design.system.actions:
        if wait.kind != "await" or wait.process.workflow is None or waits.ends(wait):
            continue
        if wait.id not in design.sagas.reached(wait.process) or any(n < wait.id for n in design.sagas.rivals(wait)):
            continue
        for outcome in unanswered(design.causality, design.sagas, wait):
            yield _unanswered(outcome)


def _place(action: Action) -> Label:
    first = action.step is not None and action.step.actions[:1] == [action.id]
    return Label(action.step.place if first and action.step is not None else action.span)


def _subject(action: Action) -> str:
    return path(action.step) if action.step is not None else action.process.path


def _named(action: Action) -> str:
    first = action.step is not None and action.step.actions[:1] == [action.id]
    if first and action.step is not None:
        return action.step.label
    return f"`{' '.join(action.span.text.split())}`"


def _claim(design: Design, action: Action) -> Claim:
    """What runs may come to: the process sticks or goes round there, or no flow through it comes to its goal."""
    flows = [view.flow.place for view in design.flows if action.process in view.processes]
    return Claim(("B2", "B3", "B19", "B21"), (action.span, action.process.place, *flows))


def _dead(design: Design, action: Action) -> Finding:
    where = whole(action.process)
    return Finding(
        primary=_place(action),
        message=f"{where} never comes to {_named(action)}",
        related=(Label(action.process.place, "no way leads there from the start"),),
        help="remove it, or let a branch or a `goto` lead there",
        silence="a way that leads there",
        subject=_subject(action),
        claim=_claim(design, action),
    )


def _endless(design: Design, action: Action) -> Finding:
    where = whole(action.process)
    return Finding(
        primary=Label(action.span),
        message=f"{where} never ends once it has come to {_named(action)}",
        related=(Label(action.process.place, "no way leads to its end from there"),),
        help="let one of the branches in the circle leave it",
        silence="a way out of the circle",
        subject=_subject(action),
        claim=_claim(design, action),
    )


def _crossing(design: Design, jump: Jump) -> Finding:
    block = "parallel" if jump.block.kind == "fork" else "for each in parallel"
    if jump.out:
        text = f"leaves a branch of `{block}`, which the others then wait for or overtake"
        remedy = "let the branch run to its end, and decide behind the block"
    else:
        text = f"leads into a branch of `{block}`, which then waits for branches that nobody has started"
        remedy = "lead to the block as a whole"
    return Finding(
        primary=Label(jump.goto.span),
        message=f"`{' '.join(jump.goto.span.text.split())}` {text}",
        related=(Label(jump.block.span, "the branches that have to meet"), Label(jump.target.span, "where it leads")),
        help=f"{remedy}, or use `parallel any` if the first branch decides",
        silence="`parallel any`",
        subject=_subject(jump.goto),
        claim=_claim(design, jump.goto),
    )


def _unanswered(outcome: Outcome) -> Finding:
    wait, request, handler, end = outcome
    awaited = " or ".join(f"`{use.message.name}`" for use in wait.uses)
    asked = f"`{request.message.name}`"
    ends = "fails" if end.kind != "emit" else f"ends with `{end.message.name}`"
    return Finding(
        primary=Label(wait.span, "without a limit"),
        message=f"{whole(wait.process)} waits for {awaited} for ever when {asked} {ends}",
        related=(
            Label(request.span, "asked here"),
            Label(end.span, f"{whole(handler)} {'fails' if end.kind != 'emit' else 'ends'} here, and does not answer"),
        ),
        help="publish an event in that case and await it too, or limit the wait with `within`",
        silence="`within` at the wait",
        subject=f"{_subject(wait)} / {request.message.name}",
        claim=Claim(("B2",), (wait.span,)),
    )
