"""A message causes itself again.

## Why

Reactions to events are declared one by one, in services of different teams, and none of them shows where the chain leads. If it
leads back to where it began, one event keeps the system busy for ever, or more and more so: an event storm. Managed
platforms cut such loops off after a dozen or so rounds and bill what has run before; brokers do not.

How a loop ends decides what is said about it:

- Each reaction always causes the next, and nothing stops them: the loop never ends (error). So does one in which, by the declared
  chances, one round leads to one or more further rounds on average.
- Something may stop it - a `when` without `until`, one outcome among several, a delay, a key by which a repetition may be
  recognised - but nothing says that it does (warning).
- By the declared chances it dies out (information). The *gain* `g` is how often one run of a handler leads to another run of it:
  the number of messages sent, times the chance of sending them, multiplied along the loop; over all ways back if there are several.
  One trigger then leads to `1 / (1 - g)` runs on average: 2 for a gain of 0.5, 10 for 0.9. Where chances
  are missing, it counts as dying out only if it does with the largest possible ones, and as growing only if it does with the
  smallest.

## Bad

```coord
event StockChanged, PriceChanged

service Warehouse {
  every 1h emits StockChanged
  on PriceChanged {
    acts "moves items to the shop window"
    emits StockChanged
  }
}
service Pricing {
  on StockChanged { # CYC502
    acts "computes the price anew"
    emits PriceChanged
  }
}
```

## Good

A bound on the number of hops ends it:

```coord
event StockChanged, PriceChanged

service Warehouse {
  every 1h emits StockChanged
  on PriceChanged {
    acts "moves items to the shop window"
    emits StockChanged
  }
}
service Pricing {
  on StockChanged {
    max-hops 8
    acts "computes the price anew"
    emits PriceChanged
  }
}
```

So does publishing only what has changed:

```coord
event StockChanged, PriceChanged

service Warehouse {
  every 1h emits StockChanged
  on PriceChanged {
    acts "moves items to the shop window"
    emits StockChanged
  }
}
service Pricing {
  on StockChanged {
    if-changed
    acts "computes the price anew"
    emits PriceChanged
  }
}
```

## Exempt

- Every cycle passes a handler with `max-hops`, `if-changed` or `when "…" until "…"`, or a handler of an external service, where
  somebody outside the design decides whether there is another round.
- Every cycle passes a joined trigger (`on A and B`) one part of which comes from elsewhere, which then sets the pace.
- A request and its answer: a message that is only awaited goes on in a process that runs already, and closes no loop. A `repeat`
  around them is the process's own loop.
- Polling: what `every` reads is taken up with the next turn. `attempts` of a handler end nothing, as each round is a new message.
- Loops through the start of a workflow are CYC503's; circles of calls alone are CYC501's.

## References

- AWS Lambda developer guide, "Use Lambda recursive loop detection to prevent infinite loops".
- RabbitMQ pull request 11174, on a limit of hops for messages that go in circles.
- Harris, "The theory of branching processes", 1963: a process with a mean of one offspring or more does not die out for certain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import chain, further, hops, insertion, number, operation, others, passed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.cycles import Loop
    from coordlint.design import Design

LEVELS = {"endless": "E/E/E", "storm": "E/E/E", "guarded": "W/W/E", "fading": "I/I/I"}


@rule("CYC502", "event-feedback-loop", "E/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Report each knot of feedback once, by how it ends."""
    for loop in design.cycles.feedback:
        yield _finding(loop)


def _finding(loop: Loop) -> Finding:
    first = loop.cycle[0].source
    return Finding(
        primary=Label(first.place, "comes back here"),
        message=f"{chain(passed(loop))} {_fact(loop)}",
        related=(*hops(loop.cycle), *_guards(loop)),
        notes=(*_numbers(loop), *others(loop)),
        help='end it with `max-hops N`, `if-changed` or `when "…" until "…"` in one of the handlers',
        silence='`max-hops N`, `if-changed` or `when "…" until "…"` in one of the handlers',
        fix=insertion(first, "max-hops 8") if loop.verdict != "fading" else None,
        subject=first.path,
        levels=LEVELS[loop.verdict],
    )


def _guards(loop: Loop) -> tuple[Label, ...]:
    """What may end the loop, where nothing else is said about its end."""
    return tuple(Label(guard.span, guard.text) for guard in loop.guards) if loop.verdict == "guarded" else ()


def _fact(loop: Loop) -> str:
    if loop.verdict == "endless":
        return "goes round for ever: each causes the next, and nothing stops it"
    if loop.verdict == "storm":
        return f"never dies out: by the declared chances one round leads to {further(loop.gain)}"
    if loop.verdict == "guarded":
        return "goes round, and nothing says that it ends"
    return f"goes round {number(loop.expected)} times on average before it dies out"


def _numbers(loop: Loop) -> tuple[str, ...]:
    if loop.gain == float("inf"):
        return ("how many messages one round makes is not bounded",) if loop.verdict != "endless" else ()
    runs = f"runs of `{operation(loop.cycle[0].source)}`"
    if loop.gain < 1:
        return (
            f"gain {number(loop.gain)}: one trigger leads to 1 / (1 - {number(loop.gain)}) = {number(loop.expected)} {runs}",
        )
    return (f"gain {number(loop.gain)}: each round leads to {number(loop.gain)} {runs}",) if loop.gain > 1 else ()
