"""A component without which a flow cannot succeed survives no crash.

## Why

Every sequence of services is only as reliable as its weakest part, so a flow has many components that it cannot do without. That
is no fault as long as each of them survives the loss of one unit. The part that does not is the *single point of failure*: the
orchestrator that runs once, the database without a standby, the broker with one node. A choreography has no orchestrator,
and usually a broker that every message passes instead.

Whether a flow can do without a component is asked of its whole structure and not of a drawing of it: after a parallel split
all branches are needed although none comes before the other, and two alternatives that share a database are none. Only
the success goals of a flow count, since rejecting everything is possible without almost any service.

The *blast radius* is the share of the flows that are lost, by weight (`criticality` low 1, normal 2, high 4, critical 8), times the
share of the services that then can do nothing; from 0.5 on the finding is an error. It is one step milder if only `criticality low`
flows are cut, and if an outage merely *delays* the flows: all work for the service waits in durable channels whose `retention` is at
least the `rto` of the service.

## Bad

```coord
command PlaceOrder
query GetCatalogue
event OrderPlaced

external service Shopper {
  calls Catalogue.GetCatalogue
  calls Orders.PlaceOrder
}

service Catalogue {
  replicas 3
  handles GetCatalogue succeeds
}
service Orders {
  replicas 1 # SPF101
  handles PlaceOrder emits OrderPlaced
}

flow Ordering {
  starts with PlaceOrder from Shopper
  succeeds with OrderPlaced
}
```

A choreography stands and falls with its broker:

```coord
broker Rabbit { nodes 1 } # SPF101
channel orders on Rabbit { topic  delivery at-least-once }
event OrderPlaced, OrderPaid, OrderShipped via orders
command PlaceOrder

external service Shopper { calls Orders.PlaceOrder }

service Orders {
  handles PlaceOrder emits OrderPlaced
}
service Payments {
  on OrderPlaced emits OrderPaid
}
service Shipping {
  on OrderPaid emits OrderShipped
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
}
```

## Good

```coord
command PlaceOrder
query GetCatalogue
event OrderPlaced

external service Shopper {
  calls Catalogue.GetCatalogue
  calls Orders.PlaceOrder
}

service Catalogue {
  replicas 3
  handles GetCatalogue succeeds
}
service Orders {
  replicas 2
  handles PlaceOrder emits OrderPlaced
}

flow Ordering {
  starts with PlaceOrder from Shopper
  succeeds with OrderPlaced
}
```

```coord
broker Rabbit { nodes 3 }
channel orders on Rabbit { topic  delivery at-least-once }
event OrderPlaced, OrderPaid, OrderShipped via orders
command PlaceOrder

external service Shopper { calls Orders.PlaceOrder }

service Orders {
  handles PlaceOrder emits OrderPlaced
}
service Payments {
  on OrderPlaced emits OrderPaid
}
service Shipping {
  on OrderPaid emits OrderShipped
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
}
```

## Exempt

- External services: they are not ours to repeat. RES801 asks what their `availability` leaves of a promise.
- A component that survives a crash: a service with `replicas 2`, a store with `failover auto`, a broker with a copy to spare
  (`replication` above `min-insync`, `nodes 3` for a `quorum`). A single declared zone counts as one unit under the profile production.
- A call that is `optional` or has a `fallback`, `parallel any`, and alternative goals: the flow does not need what is behind them.
- What SPF103 (a fallback that shares the component) or SPF104 (a broker that gives its spare copy away) already reports.

Unknown redundancy is not taken for none. In the default profile one information for the services, one for the stores and one
for the brokers asks for it, where two flows or more need the component or where the design speaks of the redundancy
of another one of its kind (not for a store whose services all use another store of which it is declared, as schemas of one
server do); strict warns of each such component. An `availability` answers the question too, since it is said
to include the redundancy. A store that is `in-memory` and has an `owner` is part of its owner, and SPF102 asks what is lost with it.

## References

- D. Neri, J. Soldani, O. Zimmermann, A. Brogi: Design principles, architectural smells and refactorings for microservices, 2020:
  isolation of failures.
- B. Treynor, M. Dahlin, V. Rau, B. Beyer: The calculus of service availability, ACM Queue, 2017.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from coordlint.analysis.availability import k_of_n
from coordlint.analysis.criticality import critical_despite
from coordlint.finding import Finding, Label
from coordlint.rule import rule
from coordlint.system import Broker, Service, Store

from ._quorum import spares_nothing
from ._repairs import answer, consequence, remedy, repair
from ._unknown import questions
from ._words import blast_radius_note, facts_text, flows_text, kind_of, listed, lowered, only_low, path_of, span_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coordlint.analysis.causality import Component
    from coordlint.analysis.criticality import Critical
    from coordlint.analysis.flows import FlowView
    from coordlint.design import Design
    from coordlint.system import Action, Fact


@rule("SPF101", "single-point-of-failure", "W/W/E", evidence="SD")
def check(design: Design) -> Iterator[Finding]:
    """One finding per component that is known to survive no crash; the unknown ones as the profile wants them."""
    elsewhere = {broker for broker in design.system.brokers.values() if spares_nothing(design, broker)}
    faults = _faults_of_fallbacks(design)
    unknown = []
    for critical in design.criticals:
        component, crashes = critical.component, critical.tolerance.crashes
        if not _is_ours(component) or component in elsewhere or (crashes is not None and crashes > 0):
            continue
        flows = tuple(view for view in critical.flows if (component, view) not in faults)
        if crashes is None:
            if flows and not _has_answered(component):
                unknown.append(replace(critical, flows=flows))
        elif flows:
            yield _finding(critical, flows)
        elif critical.branches and not critical.flows:
            yield _branch_finding(critical)
    yield from questions(design, unknown)


def _is_ours(component: Component) -> bool:
    return not component.phantom and not (isinstance(component, Service) and component.external)


def _has_answered(component: Component) -> bool:
    """Whether the question for the redundancy is answered in another way, or belongs to another component."""
    if component.fact("availability").declared:
        return True
    return isinstance(component, Store) and component.fact("in_memory").declared and component.fact("owner").declared


def _faults_of_fallbacks(design: Design) -> set[tuple[Component, FlowView]]:
    """The components that a flow would do without if only its fallbacks had a fate of their own (SPF103)."""
    shared: dict[FlowView, dict[Component, list[Action]]] = {}
    for fate in design.shared_fates:
        for view in fate.flows:
            for component in fate.shared:
                shared.setdefault(view, {}).setdefault(component, []).append(fate.call)
    return {
        (component, view)
        for view, components in shared.items()
        for component, calls in components.items()
        if component not in critical_despite(view, calls)
    }


# ------------------------------------------------------------------------------------------------ known to be single


def _finding(critical: Critical, flows: Sequence[FlowView]) -> Finding:
    component, tolerance = critical.component, critical.tolerance
    milder = int(only_low(flows)) + int(critical.stalls is not None)
    return Finding(
        primary=Label(span_of(tolerance.facts[0]), consequence(component, tolerance.facts[0])),
        message=_message(component, tolerance.facts, flows),
        related=(
            *(Label(span_of(fact)) for fact in tolerance.facts[1:]),
            *(Label(view.flow.place, f"succeeds only while `{component.name}` is up") for view in flows[:3]),
        ),
        help=remedy(critical),
        notes=_notes(critical, flows),
        silence=answer(component, tolerance.facts),
        fix=repair(component, tolerance.facts),
        subject=path_of(component),
        levels=lowered("E/E/E" if critical.blast_radius >= 0.5 else "W/W/E", milder),
    )


def _branch_finding(critical: Critical) -> Finding:
    component, facts = critical.component, critical.tolerance.facts
    return Finding(
        primary=Label(span_of(facts[0]), consequence(component, facts[0])),
        message=(
            f"{kind_of(component)} `{component.name}` has {facts_text(facts)}, and without it {flows_text(critical.branches)} "
            "can reach only some of the goals"
        ),
        related=tuple(Label(view.flow.place, "other goals stay in reach") for view in critical.branches[:3]),
        help=remedy(critical),
        silence=answer(component, facts),
        fix=repair(component, facts),
        subject=path_of(component),
        levels="I/I/I",
    )


def _message(component: Component, facts: Sequence[Fact], flows: Sequence[FlowView]) -> str:
    if isinstance(component, Broker) and all(_is_choreography(view) for view in flows):
        return (
            f"{flows_text(flows)} {'has' if len(flows) == 1 else 'have'} no orchestrator that could fail, but cannot succeed "
            f"without broker `{component.name}`, which has {facts_text(facts)}"
        )
    return f"{kind_of(component)} `{component.name}` has {facts_text(facts)}, and {flows_text(flows)} cannot succeed without it"


def _outage(critical: Critical) -> str:
    """Stall or loss, and why."""
    if critical.stalls is not None:
        rto, retention = critical.stalls
        return f"an outage is a stall: all work for it waits in channels with `{retention.text}` or more, and it has `{rto.text}`"
    if isinstance(critical.component, Store):
        return "an outage is a loss: what reads or writes it fails meanwhile"
    if isinstance(critical.component, Broker):
        return "an outage is a loss: nothing keeps messages for a broker that is away"
    return (
        "an outage is a loss: nothing says that all work for it is kept (`retention`) as long as it may be away (`rto`)"
    )


def _is_choreography(view: FlowView) -> bool:
    return view.flow.fact("style").value != "orchestrated" and not any(process.workflow for process in view.processes)


def _notes(critical: Critical, flows: Sequence[FlowView]) -> tuple[str, ...]:
    component = critical.component
    notes = [blast_radius_note(critical)]
    if len(flows) > 3:
        notes.append(f"flows: {listed([view.flow.name for view in flows], most=12)}")
    others = [service.name for service in critical.lost if service is not component]
    if others:
        notes.append(f"without it, nothing can be done here by {listed(others, most=8)}")
    if critical.rate:
        notes.append(f"{critical.rate:g} instances per second depend on it at peak")
    notes.append(_outage(critical))
    availability = component.fact("availability")
    if isinstance(component, Service) and availability.declared and component.fact("replicas").value == 1:
        both = k_of_n(float(availability.value), 2, 1)
        notes.append(f"`{availability.text}` of one replica becomes {both:.6%} with two that fail independently")
    return tuple(notes)
