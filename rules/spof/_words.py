"""Words that the rules of this group share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coordlint.system import Service, Store

if TYPE_CHECKING:
    from coordlint.analysis.causality import Component
    from coordlint.analysis.criticality import Critical
    from coordlint.analysis.flows import FlowView
    from coordlint.source import Span
    from coordlint.system import Fact


def listed(names: Sequence[str], *, most: int = 3, word: str = "more") -> str:
    """Names in a sentence, ``A``, ``B`` and 4 more; those beyond ``most`` are only counted."""
    quoted = [f"`{name}`" for name in names]
    if len(quoted) > most:
        quoted = [*quoted[: most - 1], f"{len(quoted) - most + 1} {word}"]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def flows_text(flows: Sequence[FlowView]) -> str:
    """``flow `A```, ``flows `A` and `B``` or ``flows `A`, `B` and 4 more``."""
    names = [view.flow.name for view in flows]
    return f"{'flow' if len(names) == 1 else 'flows'} {listed(names)}"


def facts_text(facts: Sequence[Fact]) -> str:
    """The declared facts as they were written: ``replicas 2`` and ``failover manual``."""
    return listed(list(dict.fromkeys(fact.text for fact in facts)), most=4)


def kind_of(component: Component) -> str:
    """The word that declares it."""
    if isinstance(component, Service):
        return "service"
    return "store" if isinstance(component, Store) else "broker"


def path_of(component: Component) -> str:
    """Its path in the model, the subject of findings."""
    return f"{kind_of(component)} {component.name}"


def blast_radius_note(critical: Critical) -> str:
    """The blast radius with both its factors."""
    return (
        f"blast radius {critical.blast_radius:.2f}: {critical.flow_share:.0%} of the flows by weight "
        f"x {critical.service_share:.0%} of the services"
    )


def lowered(levels: str, times: int) -> str:
    """A severity triple, each a number of steps milder; a hint stays a hint."""
    ladder = "HIWE"
    return "/".join(ladder[max(ladder.index(letter) - times, 0)] for letter in levels.split("/"))


def only_low(flows: Sequence[FlowView]) -> bool:
    """Whether all of these flows are declared to matter little."""
    return all(view.flow.fact("criticality").value == "low" for view in flows)


def span_of(fact: Fact) -> Span:
    """Where a declared fact stands."""
    assert fact.span is not None, "a declared fact stands somewhere"
    return fact.span
