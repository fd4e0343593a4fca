"""Brokers that keep copies and need all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._words import only_low

if TYPE_CHECKING:
    from coordlint.analysis.criticality import Critical
    from coordlint.design import Design
    from coordlint.system import Broker, Fact


def spares_nothing(design: Design, broker: Broker) -> bool:
    """Whether SPF104 reports the broker, so that SPF101 need not."""
    if broker.phantom or not (copies_without_spare(broker) or voters_without_majority(broker)):
        return False
    flows = [view for view in design.flows if broker in view.components]
    if flows and only_low(flows):
        return False
    return not (is_single(broker) and critical_of(design, broker))


def copies_without_spare(broker: Broker) -> tuple[Fact, ...]:
    """The facts by which every copy has to be in sync, or none."""
    replication, insync = broker.fact("replication"), broker.fact("min_insync")
    # More than there are cannot be: REF003 says so.
    needed = replication.declared and insync.declared and replication.value == insync.value
    return (insync, replication) if needed else ()


def voters_without_majority(broker: Broker) -> tuple[Fact, ...]:
    """The facts by which no node may be missing from the vote, or none."""
    nodes, quorum = broker.fact("nodes"), broker.fact("quorum")
    return (nodes, quorum) if nodes.declared and quorum.declared and nodes.value < 3 else ()


def is_single(broker: Broker) -> bool:
    """Whether there is one unit only, which is a plain single point of failure."""
    return 1 in (broker.fact("nodes").value, broker.fact("replication").value)


def critical_of(design: Design, broker: Broker) -> Critical | None:
    """What is known about the flows that cannot do without the broker, if there are any."""
    return next((one for one in design.criticals if one.component is broker and one.flows), None)
