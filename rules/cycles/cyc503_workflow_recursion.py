"""A workflow starts itself again, directly or through others.

## Why

Each instance leaves another one behind. Where parents wait for their children, all of them stay alive, each with its history, its timers
and its locks; where they do not wait, the number of instances grows with nothing to bring it down. Workflow engines limit the
length of a history and the number of pending children, so what was meant as a retry ends in an error of the engine.

As with events (CYC502), the circle is looked for in what causes what: a command or event that starts a workflow, in any number of
steps in between. That a parent awaits its child is no circle.

## Bad

```coord
command PlaceOrder
event OrderRejected

external service Shopper { sends Orders.PlaceOrder }

service Orders {
  on OrderRejected sends Orders.PlaceOrder
}

workflow Fulfilment in Orders { # CYC503
  starts on PlaceOrder
  acts "looks for the goods"
  emits OrderRejected
}
```

## Good

A loop inside the workflow has a bound:

```coord
command PlaceOrder
event OrderRejected

external service Shopper {
  sends Orders.PlaceOrder
  on OrderRejected { notifies }
}

service Orders

workflow Fulfilment in Orders {
  starts on PlaceOrder
  repeat up to 3 { acts "looks for the goods" }
  emits OrderRejected
}
```

## Exempt

- `max-depth N` in one of the workflows, or what breaks a loop of events in one of the handlers between them: `max-hops`,
  `if-changed`, `when "…" until "…"`, or that somebody outside the design decides whether there is another round.
- It is a warning where the workflow does not always start itself again: the start stands in one branch of an `either`, comes
  after a failure, or is sent `after` a while (a workflow that continues as new); an information where the declared chances
  make it die out.
- `repeat`, and a request that the same instance awaits the answer to.

## References

- Temporal documentation, "Continue-As-New" and the limits of the event history and of pending operations.
- Harris, "The theory of branching processes", 1963.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import chain, further, hops, number, operation, others

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.cycles import Loop
    from coordlint.design import Design

LEVELS = {"endless": "E/E/E", "storm": "E/E/E", "guarded": "W/E/E", "fading": "I/I/I"}


@rule("CYC503", "workflow-recursion", "E/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Report each knot that holds a workflow once, at its first workflow."""
    for loop in design.cycles.recursions:
        yield _finding(loop)


def _finding(loop: Loop) -> Finding:
    ring = list(loop.cycle)
    first = next(place for place, hop in enumerate(ring) if hop.source.workflow is not None)
    ring = ring[first:] + ring[:first]
    workflow = ring[0].source
    way = chain([operation(hop.source) for hop in ring])
    guards = loop.guards if loop.verdict == "guarded" else ()
    waiting = all(hop.action.kind == "call" for hop in ring)
    return Finding(
        primary=Label(workflow.place, "starts itself again"),
        message=f"{way}: {_fact(loop)}",
        related=(*hops(ring), *(Label(guard.span, guard.text) for guard in guards)),
        notes=(*(("each instance waits for the next one",) if waiting else ()), *others(loop)),
        help="let a `repeat up to N` in the workflow do it, or bound it with `max-depth N`",
        silence="`max-depth N` in the workflow",
        subject=workflow.path,
        levels=LEVELS[loop.verdict],
    )


def _fact(loop: Loop) -> str:
    if loop.verdict == "endless":
        return "every instance of the workflow leads to another one, without end"
    if loop.verdict == "storm":
        return f"by the declared chances one instance of the workflow leads to {further(loop.gain)}"
    if loop.verdict == "guarded":
        return "an instance of the workflow can lead to another one, and nothing says how often"
    return f"one trigger leads to {number(loop.expected)} runs on average before it dies out"
