"""A long way from event to event, and nothing shows how far one instance has come.

## Why

In a choreography no service knows the whole process. Each does its part and tells the next; where order 4711 is now, and whether it
is stuck, can only be answered by looking into all of them. Netflix gave this as a reason to bring in a coordinator; the mildest
remedy is an observer that listens to the events and keeps the state of each instance.

The way is the shortest from the start of the flow to its success goal. Told is a stretch of four events or more through three
services or more without a workflow in it. Under the profile default the rule speaks if the design has monitors at all, and of a
flow with `visibility required` in any case; that is an error.

## Bad

```coord
event OrderPlaced, OrderPaid, OrderPacked, OrderShipped
command PlaceOrder

external service Shopper { calls Orders.PlaceOrder }
service Orders {
  handles PlaceOrder emits OrderPlaced
}
service Payments {
  on OrderPlaced emits OrderPaid
}
service Warehouse {
  on OrderPaid emits OrderPacked
}
service Shipping {
  on OrderPacked emits OrderShipped
}
service Mail {
  on OrderShipped {
    notifies
    acts "mails the buyer"
  }
}
flow Ordering { # OBS902
  starts with PlaceOrder from Shopper
  succeeds with OrderShipped
  visibility required
}
```

## Good

```coord
event OrderPlaced, OrderPaid, OrderPacked, OrderShipped
command PlaceOrder

external service Shopper { calls Orders.PlaceOrder }
service Orders {
  handles PlaceOrder emits OrderPlaced
}
service Payments {
  on OrderPlaced emits OrderPaid
}
service Warehouse {
  on OrderPaid emits OrderPacked
}
service Shipping {
  on OrderPacked emits OrderShipped
}
service Mail {
  on OrderShipped {
    notifies
    acts "mails the buyer"
  }
}
flow Ordering {
  starts with PlaceOrder from Shopper
  succeeds with OrderShipped
  visibility required
}
monitor Tracker { watches Ordering }
```

## Exempt

- A flow that a `monitor` watches, or whose events all travel on channels that one watches.
- What a workflow does: its state says how far it is.
- A flow without a success goal, or whose goal nothing reaches (EVT204).

## Options

`hops` (4): the events in a row from which it is told. `services` (3): the services that they pass at least.

## References

- Netflix Technology Blog, *Netflix Conductor: A microservices orchestrator*, 2016: "how much are we done with process X".
- B. Ruecker: Practical Process Automation, O'Reilly 2021: visibility of event chains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from coordlint.finding import Finding, Label
from coordlint.rule import rule
from coordlint.system import Workflow

from ._words import PLACES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.flows import FlowView
    from coordlint.design import Design
    from coordlint.system import Action, Message, Service


class _Stretch(NamedTuple):
    """Events in a row without a workflow, with the actions that publish them and the services they pass."""

    events: tuple[Message, ...] = ()
    emits: tuple[Action, ...] = ()
    services: tuple[Service, ...] = ()


@rule("OBS902", "invisible-process", "I/W/W", evidence="A", options={"hops": 4, "services": 3})
def check(design: Design) -> Iterator[Finding]:
    """One finding per flow."""
    hops, services = check.option(design, "hops"), check.option(design, "services")
    watched = {one for monitor in design.system.monitors.values() for one in monitor.watches}
    for view in design.flows:
        required = view.flow.fact("visibility").declared
        if not (required or design.strict or design.system.monitors) or view.flow in watched:
            continue
        stretch = _longest(design, view)
        if stretch.events and all(event.channel in watched for event in stretch.events):
            continue
        if required and stretch.events:
            yield _finding(design, view, stretch, required=True)
        elif len(stretch.events) >= hops and len(stretch.services) >= services:
            yield _finding(design, view, stretch, required=False)


def _longest(design: Design, view: FlowView) -> _Stretch:
    """The longest stretch on a shortest way to one of the success goals."""
    best = _Stretch()
    for target in view.flow.success.targets if view.flow.success is not None else ():
        if isinstance(target, Workflow):
            node = target.process.actions[-1]
        elif target.message.phantom:
            continue
        else:
            node = design.causality.number(target.message)
        path = design.causality.path(design.causality.starts_of(view.flow), (node,))
        for stretch in _stretches(design, path):
            if len(stretch.events) > len(best.events):
                best = stretch
    return best


def _stretches(design: Design, path: list[int]) -> Iterator[_Stretch]:
    actions = design.system.actions
    emits: list[Action] = []
    services: dict[Service, None] = {}
    for node in path:
        if node >= len(actions):
            continue
        action = actions[node]
        if action.process.workflow is not None:
            yield _stretch(emits, services)
            emits, services = [], {}
            continue
        services[action.process.service] = None
        if action.kind == "emit":
            emits.append(action)
    yield _stretch(emits, services)


def _stretch(emits: list[Action], services: dict[Service, None]) -> _Stretch:
    ours = tuple(service for service in services if not service.external)
    return _Stretch(tuple(dict.fromkeys(action.message for action in emits)), tuple(emits), ours)


def _finding(design: Design, view: FlowView, stretch: _Stretch, *, required: bool) -> Finding:
    flow = view.flow
    count = len(stretch.events)
    events = f"{count} event{'s' if count > 1 else ''}"
    who = f"{len(stretch.services)} service{'s' if len(stretch.services) > 1 else ''}"
    span = flow.fact("visibility").span
    asked = (Label(span, "has to be visible"),) if required and span is not None else ()
    return Finding(
        primary=Label(flow.place, "how far is an instance?"),
        message=f"flow `{flow.name}` goes on by {events} through {who}, and no monitor watches it",
        related=(*asked, *(Label(action.span, "goes on by this event") for action in stretch.emits))[:PLACES],
        notes=(" -> ".join(f"`{event.name}`" for event in stretch.events),),
        help=f"add an observer that follows each instance: `monitor Tracker {{ watches {flow.name} }}`",
        silence=f"a `monitor` that watches flow `{flow.name}` or the channels of its events",
        subject=f"flow {flow.name}",
        levels="E/E/E" if required else "",
    )
