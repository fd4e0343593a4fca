"""What a flow needs is available less often than the flow promises.

## Why

A flow is at most as available as the components it cannot do without are together: five dependencies in series at 99.9% leave
99.501%, which is 215.6 minutes of outage in 30 days where 99.95% allows 21.6. Nothing that the service itself does can make up
for that. The number is computed from the structure of the flow: a component that several services share counts once, an
alternative lowers the risk, what waits in a channel while a consumer is away does not fail. What declares no `availability`
counts as always up, so the finding holds whatever the missing numbers are.

A flow with `within` promises to be complete in time; a flow without it has kept its promise when its work is safely handed on.

## Bad

```coord
command PlaceOrder
command Reserve, Charge
event OrderPlaced

external service Shopper { calls Orders.PlaceOrder }
service Orders {
  availability 99.99%
  handles PlaceOrder {
    calls Inventory.Reserve { timeout 1s }
    calls Payments.Charge { timeout 1s }
    emits OrderPlaced
  }
}
service Inventory {
  availability 99.9%
  handles Reserve succeeds
}
service Payments {
  availability 99.9%
  handles Charge succeeds
}
service Mail {
  on OrderPlaced {
    notifies
    acts "mails the buyer"
  }
}

flow Ordering {
  starts with PlaceOrder from Shopper
  succeeds with OrderPlaced
  availability 99.95% # RES801
}
```

## Good

```coord
command PlaceOrder
command Reserve, Charge
event OrderPlaced

external service Shopper { calls Orders.PlaceOrder }
service Orders {
  availability 99.99%
  handles PlaceOrder {
    calls Inventory.Reserve { timeout 1s }
    calls Payments.Charge { timeout 1s }
    emits OrderPlaced
  }
}
service Inventory {
  availability 99.9%
  handles Reserve succeeds
}
service Payments {
  availability 99.9%
  handles Charge succeeds
}
service Mail {
  on OrderPlaced {
    notifies
    acts "mails the buyer"
  }
}

flow Ordering {
  starts with PlaceOrder from Shopper
  succeeds with OrderPlaced
  availability 99.7%
}
```

## Exempt

- An `optional` call and one with a `fallback`: the flow does without what is behind them.
- What only serves messages in durable channels, if the flow has no `within`; with `within` and the consumer's `mttr` it counts
  as far as the work cannot wait.
- A flow without a success goal, or whose goal nothing reaches (EVT204 speaks of that).

## Options

`extra_nine` (off): also report what the flow needs and whose unavailability is above a tenth of what the flow may be away, the
rule of the extra nine.

## References

- B. Treynor, M. Dahlin, V. Rau, B. Beyer: The calculus of service availability, ACM Queue, 2017: a service cannot be more available
  than the intersection of its critical dependencies, and the rule of the extra nine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.availability import availability_bound
from coordlint.analysis.latency import SLACK
from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import PLACES, listed, percent, span_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.availability import Bound, Contributor
    from coordlint.analysis.flows import FlowView
    from coordlint.design import Design

MINUTES = 30 * 24 * 60
"""The minutes of the 30 days in which outages are told."""


@rule("RES801", "availability-below-slo", "E/E/E", evidence="Q", options={"extra_nine": False})
def check(design: Design) -> Iterator[Finding]:
    """One finding per flow whose promise is above the bound."""
    for view in design.flows:
        if not view.flow.fact("availability").declared:
            continue
        within = view.flow.fact("within").declared
        least = design.latency.least_flow_duration(view) if within else 0.0
        bound = availability_bound(view, acceptance=not within, duration=least)
        if bound is None:
            continue
        promise = view.flow.fact("availability").value
        if bound.value < promise - SLACK:
            yield _finding(view, bound, promise)
        elif check.option(design, "extra_nine"):
            weak = [one for one in bound.contributors if 1 - one.availability > (1 - promise) / 10 + SLACK]
            if weak:
                yield _extra_nine(view, weak, promise)


def _finding(view: FlowView, bound: Bound, promise: float) -> Finding:
    flow = view.flow
    best = bound.contributors[0]
    gain = f"without any outage of `{best.component.name}` the flow would reach {percent(bound.value + best.gain)}"
    return Finding(
        primary=Label(span_of(flow.fact("availability")), f"{_minutes(promise)} of outage in 30 days"),
        message=(
            f"flow `{flow.name}` promises {percent(promise)}, and what it needs is available {percent(bound.value)} "
            "of the time at most"
        ),
        related=_labels(bound.contributors),
        notes=(f"{percent(bound.value)} is {_minutes(bound.value)} of outage in 30 days", gain),
        help=f"hand work on without waiting for the answer, make `{best.component.name}` more available, or promise less",
        silence=f"`availability` of flow `{flow.name}` at {percent(bound.value)} or below",
        subject=f"flow {flow.name}",
    )


def _extra_nine(view: FlowView, weak: list[Contributor], promise: float) -> Finding:
    flow = view.flow
    wanted = percent(1 - (1 - promise) / 10)
    return Finding(
        primary=Label(span_of(flow.fact("availability")), f"what the flow needs should reach {wanted}"),
        message=(
            f"flow `{flow.name}` promises {percent(promise)} and needs {listed(one.component.name for one in weak)}, "
            f"available less than {wanted}"
        ),
        related=_labels(tuple(weak)),
        help="make what the flow needs ten times as available as the flow, or promise less",
        silence="`extra_nine` off",
        subject=f"flow {flow.name}",
        levels="I/W/W",
    )


def _labels(contributors: tuple[Contributor, ...]) -> tuple[Label, ...]:
    return tuple(
        Label(span_of(one.fact), f"`{one.component.name}` counts with {percent(one.availability)}")
        for one in contributors[:PLACES]
    )


def _minutes(availability: float) -> str:
    return f"{MINUTES * (1 - availability):.1f} minutes"
