"""A workflow needs more of its orchestrator than there is.

## Why

An orchestrator writes down every step: each instance costs it a state transition at its start and its end, one for each command it
sends and one for each reply. That is a ceiling for all flows that pass it, and the price of having everything in one place. Above it
instances pile up for good; at seventy percent queues grow noticeably, and where one replica less cannot bear the load, the
first crash becomes an overload.

The utilisation is rate x transitions / (capacity x replicas): 360/s with 10 transitions on 3 replicas of 2000/s use 60%. The rate comes
from the flows that are certain to start the workflow, the transitions count what every instance passes, so both are bounds from
below. By Little's law the instances in flight are rate x duration, where only the timers of the workflow count; more than
`max-inflight` cannot be admitted.

## Bad

```coord
command PlaceOrder
command Reserve, Charge, Pack, Ship

external service Shopper { sends Orders.PlaceOrder }
service Orders { replicas 3 }
external service Inventory {
  handles Reserve succeeds
  handles Pack succeeds
}
external service Payments { handles Charge succeeds }
external service Shipping { handles Ship succeeds }

workflow Fulfilment in Orders { # RES806
  starts on PlaceOrder
  timeout 10m
  capacity 2000/s
  step reserve calls Inventory.Reserve
  step charge calls Payments.Charge
  step pack calls Inventory.Pack
  step ship calls Shipping.Ship
}
flow Order {
  starts with PlaceOrder from Shopper
  succeeds with Fulfilment
  rate 810/s
}
```

## Good

```coord
command PlaceOrder
command Reserve, Charge, Pack, Ship

external service Shopper { sends Orders.PlaceOrder }
service Orders { replicas 6 }
external service Inventory {
  handles Reserve succeeds
  handles Pack succeeds
}
external service Payments { handles Charge succeeds }
external service Shipping { handles Ship succeeds }

workflow Fulfilment in Orders {
  starts on PlaceOrder
  timeout 10m
  capacity 2000/s
  step reserve calls Inventory.Reserve
  step charge calls Payments.Charge
  step pack calls Inventory.Pack
  step ship calls Shipping.Ship
}
flow Order {
  starts with PlaceOrder from Shopper
  succeeds with Fulfilment
  rate 810/s
}
```

## Exempt

Nothing is computed unless the `rate` of a flow, the `capacity` of the workflow (transitions of one replica) and the `replicas` of
its service are declared. With a single replica the loss of it is no question of load (SPF101). Several workflows with a
`capacity` of their own are not added up.

## Options

`utilisation` (0.7): the share in use above which it is a warning.

## References

- J. D. C. Little: A proof for the queuing formula L = λW, Operations Research, 1961.
- Google SRE book, chapter *Addressing Cascading Failures*: capacity for the loss of a replica.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.latency import SLACK, exceeds, seconds_text
from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import labels, span_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.load import Utilisation
    from coordlint.design import Design
    from coordlint.system import Workflow


@rule("RES806", "orchestrator-overload", "W/W/E", evidence="Q", options={"utilisation": 0.7})
def check(design: Design) -> Iterator[Finding]:
    """One finding per workflow: overload, else too many instances in flight."""
    limit = check.option(design, "utilisation")
    for workflow in design.system.workflows.values():
        used = design.load.utilisation(workflow)
        if used is not None and (exceeds(used.all, limit) or _falls_with_one(used)):
            yield _overload(workflow, used)
        else:
            yield from _in_flight(design, workflow)


def _is_overloaded(share: float) -> bool:
    return share >= 1 - SLACK


def _falls_with_one(used: Utilisation) -> bool:
    return used.replicas > 1 and _is_overloaded(used.one_less)


def _overload(workflow: Workflow, used: Utilisation) -> Finding:
    capacity, replicas = workflow.fact("capacity"), workflow.service.fact("replicas")
    overloaded = _is_overloaded(used.all)
    sum_ = f"{used.rate.text} x {used.transitions:.4g} transitions / ({capacity.value:g}/s x {used.replicas})"
    notes = [f"{sum_} = {used.all:.2f}"]
    if used.replicas > 1:
        notes.append(f"with one replica less it is {used.one_less:.2f}")
    needed = f"workflow `{workflow.name}` needs {used.all:.0%} of its capacity"
    alone = f"one replica less cannot bear workflow `{workflow.name}`: it needs {used.one_less:.0%} of what is left"
    return Finding(
        primary=Label(workflow.place, f"{used.transitions:.4g} transitions for each instance"),
        message=alone if _falls_with_one(used) and not overloaded else needed,
        related=(
            *labels(used.rate.reasons),
            Label(span_of(capacity), "transitions of one replica"),
            Label(span_of(replicas), f"{used.replicas} replicas"),
        ),
        notes=tuple(notes),
        help="add replicas, or leave steps to events that need no orchestrator",
        silence="the `capacity` and `replicas` that carry the load",
        subject=f"workflow {workflow.name}",
        levels="E/E/E" if overloaded else "",
    )


def _in_flight(design: Design, workflow: Workflow) -> Iterator[Finding]:
    limit = workflow.fact("max_inflight")
    rate = design.load.rate(workflow.process)
    if not limit.declared or rate.per_second <= 0:
        return
    least = design.latency.least_duration(workflow.process)
    if not exceeds(rate.per_second * least, limit.value):
        return
    yield Finding(
        primary=Label(span_of(limit), f"at most {limit.value} at a time"),
        message=(
            f"workflow `{workflow.name}` has {rate.per_second * least:.4g} instances in flight, "
            f"and {limit.value} are admitted"
        ),
        related=labels(rate.reasons),
        notes=(f"{rate.text} x {seconds_text(least)} of waits in each = {rate.per_second * least:.4g}",),
        help="admit more instances, or let them wait for a shorter time",
        silence=f"`max-inflight` above {rate.per_second * least:.4g}",
        subject=f"workflow {workflow.name}",
        levels="E/E/E",
    )
