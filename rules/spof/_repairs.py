"""How a component that survives no crash is given a second unit: in words, as a declaration, as an edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coordlint.finding import Fix
from coordlint.source import Edit
from coordlint.system import Service, Store, Workflow

from ._words import span_of

if TYPE_CHECKING:
    from coordlint.analysis.causality import Component
    from coordlint.analysis.criticality import Critical
    from coordlint.analysis.flows import FlowView
    from coordlint.system import Fact, FactName, Process


def consequence(component: Component, fact: Fact) -> str:
    """What the fact means, as a label beside it."""
    if fact is component.fact("failover"):
        return "nothing takes over by itself"
    return "the loss of one stops it"


def remedy(critical: Critical) -> str:
    """What would help, the cheapest first."""
    component, facts = critical.component, critical.tolerance.facts
    if isinstance(component, Store):
        return "give the store a second replica that takes over by itself: `replicas 2  failover auto`"
    if not isinstance(component, Service):
        return "run three nodes with a copy to spare: `nodes 3  replication 3  min-insync 2`"
    if facts[0] is component.fact("zones"):
        return "spread the replicas over two zones or more"
    ways = _ways_in(component, critical.flows or critical.branches)
    parts = ["run a second replica"]
    if "timer" in ways:
        parts = ["run a second replica (only one may act on the timer at a time)"]
    if "call" in ways:
        parts.append("give the calls to it a `fallback`")
    if "message" in ways:
        parts.append("let its work wait in a durable channel (`retention` of the channel, `rto` of the service)")
    return ", or ".join(parts)


def _ways_in(service: Service, flows: Sequence[FlowView]) -> set[str]:
    """How these flows come to the service: by calls, messages or timers."""
    ways: set[str] = set()
    for view in flows:
        index = view.causality.index
        for process in view.processes:
            if process.service is not service:
                continue
            for trigger in process.triggers:
                if trigger.kind == "timer":
                    ways.add("timer")
                for use in trigger.uses:
                    called = [one for one in index.senders.get(use.message, ()) if one.kind == "call"]
                    ways.add("call" if called else "message")
        if view.flow.source is service:
            ways |= {"timer" for process in _own(view, service) if any(one.kind == "timer" for one in process.triggers)}
    return ways


def _own(view: FlowView, service: Service) -> list[Process]:
    """The processes of the service that publish what the flow starts with."""
    starts = [start.message for start in view.flow.starts if not isinstance(start, Workflow)]
    found = [action.process for message in starts for action in view.causality.index.producers(message)]
    return [process for process in found if process.service is service]


def answer(component: Component, facts: Sequence[Fact]) -> str:
    """The declaration that says that there is a second unit."""
    if isinstance(component, Service):
        return "`zones 2`" if facts[0] is component.fact("zones") else "`replicas 2`"
    if isinstance(component, Store):
        return "`replicas 2  failover auto`"
    return " and ".join(_MORE[name] for name in _MORE if any(fact is component.fact(name) for fact in facts))


_MORE: dict[FactName, str] = {"nodes": "`nodes 3`", "replication": "`replication 3`", "min_insync": "`min-insync 2`"}


def repair(component: Component, facts: Sequence[Fact]) -> Fix | None:
    """The cheapest repair as an edit of the facts that stand there."""
    edits = []
    for fact in facts:
        if fact is component.fact("replicas") and fact.value == 1:
            alone = isinstance(component, Store) and component.fact("failover").unknown
            edits.append(Edit(span_of(fact), "replicas 2  failover auto" if alone else "replicas 2"))
        elif fact is component.fact("nodes") and fact.value < 3:
            edits.append(Edit(span_of(fact), "nodes 3"))
        elif fact is component.fact("replication") and fact.value < 3:
            edits.append(Edit(span_of(fact), "replication 3"))
        elif fact is component.fact("failover"):
            edits.append(Edit(span_of(fact), "failover auto"))
    return Fix(f"give `{component.name}` a second unit", tuple(edits)) if edits else None
