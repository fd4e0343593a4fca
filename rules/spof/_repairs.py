"""How a component that survives no crash is given a second unit: in words, as a declaration, as an edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coordlint.finding import Fix
from coordlint.source import Edit
from coordlint.system import Service, Store

from ._words import span_of

if TYPE_CHECKING:
    from coordlint.analysis.causality import Component
    from coordlint.system import Fact


def consequence(component: Component, fact: Fact) -> str:
    if fact is component.fact("failover"):
        return "nothing takes over by itself"
    return "the loss of one stops it"


def remedy(component: Component, facts: Sequence[Fact]) -> str:
    if isinstance(component, Service):
        if facts[0] is component.fact("zones"):
            return "spread the replicas over two zones or more"
        return (
            "run a second replica, give the calls to it a `fallback`, or let its work wait in a durable channel "
            "(`retention` of the channel, `rto` of the service)"
        )
    if isinstance(component, Store):
        return "give the store a second replica that takes over by itself: `replicas 2  failover auto`"
    return "run three nodes with a copy to spare: `nodes 3  replication 3  min-insync 2`"


def answer(component: Component, facts: Sequence[Fact]) -> str:
    if isinstance(component, Service):
        return "`zones 2`" if facts[0] is component.fact("zones") else "`replicas 2`"
    return "`replicas 2  failover auto`" if isinstance(component, Store) else "`nodes 3`"


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
