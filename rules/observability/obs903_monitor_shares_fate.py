"""A monitor cannot work without something that it watches.

## Why

A monitor is needed most when something is down. If it keeps its data in the broker it watches, or in the database of the service it
reports on, the outage and the blindness come together. Large outages lasted longer than they had to because the
dashboards, the status page or the doors to the data centre depended on what had failed.

## Bad

```coord
broker Kafka { nodes 3  replication 3  min-insync 2 }
channel orders on Kafka { topic  delivery at-least-once }
store Trail { replicas 1 }
event OrderPlaced via orders

service Orders {
  uses Trail
  emits OrderPlaced
}
service Mail {
  on OrderPlaced {
    notifies
    acts "mails the buyer"
  }
}
monitor Tracker {
  watches Orders
  uses Orders, Trail # OBS903
}
```

## Good

```coord
broker Kafka { nodes 3  replication 3  min-insync 2 }
channel orders on Kafka { topic  delivery at-least-once }
store Trail { replicas 1 }
event OrderPlaced via orders

service Orders {
  emits OrderPlaced
}
service Mail {
  on OrderPlaced {
    notifies
    acts "mails the buyer"
  }
}
monitor Tracker {
  watches Orders
  uses Trail
}
```

## Exempt

A component that survives the crash of a unit (`replicas 2`, `failover auto`, spare copies of a broker). Of a flow, the
components that its goal cannot do without are watched; of a channel its broker, of a workflow its service and the store of
its state. That alarms reach somebody by another way has no word in the language.

## References

- Amazon Web Services, *Summary of the Amazon Kinesis Event in the Northern Virginia (US-EAST-1) Region*, November 2020.
- Meta Engineering, *More details about the October 4 outage*, 2021.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.criticality import tolerance
from coordlint.finding import Finding, Label
from coordlint.rule import rule
from coordlint.system import Broker, Channel, Flow, Service, Store, Workflow

from ._words import PLACES, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.causality import Component
    from coordlint.analysis.flows import FlowView
    from coordlint.design import Design
    from coordlint.system import Monitor, Use


@rule("OBS903", "monitor-shares-fate", "W/W/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """One finding per monitor."""
    views = {view.flow: view for view in design.flows}
    for monitor in design.system.monitors.values():
        watched = _watched(views, monitor)
        shared: dict[Component, tuple[Use, str]] = {}
        for use in monitor.uses:
            for component in _closure(use.target):
                if component in watched and component not in shared and not _survives(design, component):
                    shared[component] = (use, watched[component])
        if shared:
            yield _finding(monitor, shared)


def _watched(views: dict[Flow, FlowView], monitor: Monitor) -> dict[Component, str]:
    """What is watched, and in the name of what."""
    found: dict[Component, str] = {}
    for one in monitor.watches:
        for component in _components(views, one):
            if not component.phantom:
                found.setdefault(component, one.name)
    return found


def _components(views: dict[Flow, FlowView], one: Flow | Service | Channel | Workflow) -> list[Component]:
    if isinstance(one, Service):
        return [one]
    if isinstance(one, Channel):
        return [one.broker] if one.broker is not None else []
    if isinstance(one, Workflow):
        state = one.fact("state").value
        return [one.service, *([state] if isinstance(state, Store) else [])]
    return list(views[one].critical)


def _closure(target: Broker | Channel | Store | Service) -> list[Component]:
    """A component and all it uses, directly and indirectly."""
    found: dict[Component, None] = {}
    pending: list[Broker | Channel | Store | Service] = [target]
    while pending:
        one = pending.pop()
        if isinstance(one, Channel):
            pending += [one.broker] if one.broker is not None else []
        elif one not in found:
            found[one] = None
            pending += [] if isinstance(one, Store) else [use.target for use in one.uses]
    return list(found)


def _survives(design: Design, component: Component) -> bool:
    return (tolerance(component, zones=design.profile == "production").crashes or 0) > 0


def _finding(monitor: Monitor, shared: dict[Component, tuple[Use, str]]) -> Finding:
    use, watched = next(iter(shared.values()))
    names = [component.name for component in shared]
    what = f"`{watched}`" if watched in names else f"{listed(names)} of `{watched}`"
    return Finding(
        primary=Label(use.span, "the monitor needs it"),
        message=f"monitor `{monitor.name}` watches {what} and cannot work without {'it' if len(names) == 1 else listed(names)}",
        related=tuple(Label(one.place, "down together with the monitor") for one in shared)[:PLACES],
        help="let the monitor keep its data elsewhere",
        silence="redundancy of what both need: `replicas 2`, `failover auto`",
        subject=f"monitor {monitor.name}",
    )
