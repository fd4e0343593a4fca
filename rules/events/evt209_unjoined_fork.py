"""Parallel branches meet again in a handler that runs once for each of them.

## Why

One event makes several services work side by side, and each of their answers starts the same handler. It runs as often as
there are branches: two confirmations, two charges, and the first of them before the other branch is done. A drawing does not
show the difference between *after both* and *after each*; the trigger does. A handler of several stages that follow one another
is meant to run at each stage, and is no such case.

## Bad

```coord
event OrderPlaced, PaymentTaken, StockReserved
external service Shop { emits OrderPlaced }
service Payments {
  on OrderPlaced emits PaymentTaken
}
service Stock {
  on OrderPlaced emits StockReserved
}
service Orders {
  on PaymentTaken or StockReserved { acts "confirms the order" } # EVT209
}
```

## Good

```coord
event OrderPlaced, PaymentTaken, StockReserved
external service Shop { emits OrderPlaced }
service Payments {
  on OrderPlaced emits PaymentTaken
}
service Stock {
  on OrderPlaced emits StockReserved
}
service Orders {
  on PaymentTaken and StockReserved within 10m by order_id { acts "confirms the order" }
}
```

## Exempt

- Triggers joined with `and`, and branches that exclude each other.
- `idempotent` handlers and workflows: the second run changes nothing.
- `projection` and `notifies` handlers, handlers that only read or pass on, external services.
- `technical` events, and handlers that more than 16 publications may start: these are not compared with each other.

## References

- W. van der Aalst, A. ter Hofstede, B. Kiepuszewski, A. Barros, "Workflow patterns", 2003: *Synchronization* and *Multi-Merge*.
- bpmnlint, rule `fake-join`: the same mistake within one diagram.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import called, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.forks import Rerun
    from coordlint.design import Design
    from coordlint.source import Span


@rule("EVT209", "unjoined-fork", "W/W/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """One finding per handler or workflow."""
    for rerun in design.forks.reruns():
        yield _finding(design, rerun)


def _finding(design: Design, rerun: Rerun) -> Finding:
    process, first, second = rerun.process, rerun.first, rerun.second
    message = design.causality.message_at(rerun.fork)
    if message is not None:
        fork = Label(message.place, "both branches begin with this")
    else:
        fork = Label(design.system.actions[rerun.fork].span, "the branches part here")
    names = list(dict.fromkeys((first.message.name, second.message.name)))
    what = f"`{names[0]}` and `{names[1]}`" if len(names) > 1 else f"two publications of `{names[0]}`"
    return Finding(
        primary=Label(_trigger(rerun), "runs once per branch"),
        message=f"{called(process)} runs twice for one instance: {what} come from parallel branches",
        related=shown(
            [
                fork,
                Label(first.span, f"one branch, in `{first.process.service.name}`"),
                Label(second.span, f"another branch, in `{second.process.service.name}`"),
            ]
        ),
        help=f"wait for both, `{names[0]} and {names[1]} within … by …`, or make the second run harmless"
        if len(names) > 1
        else "publish it once, behind both branches, or make the second run harmless",
        notes=_ways(design, rerun),
        silence="`idempotent` with the key of the instance",
        subject=process.path,
    )


def _trigger(rerun: Rerun) -> Span:
    """The trigger of a handler is its place; that of a workflow stands in its body."""
    process = rerun.process
    started = [
        trigger for trigger in process.triggers if any(use.message is rerun.first.message for use in trigger.uses)
    ]
    return started[0].span if process.workflow is not None and started else process.place


def _ways(design: Design, rerun: Rerun) -> tuple[str, ...]:
    causality = design.causality
    ways = []
    for action in (rerun.first, rerun.second):
        path = causality.path([rerun.fork], [action.id])
        ways.append(causality.describe([*path, causality.number(action.message)]))
    return tuple(f"one way: {text}" for text in dict.fromkeys(ways))
