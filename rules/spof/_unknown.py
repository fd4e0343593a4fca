"""The question for redundancy of which nothing is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from coordlint.finding import Finding, Label
from coordlint.system import Store

from ._words import flows_text, kind_of, listed, lowered, only_low, path_of

if TYPE_CHECKING:
    from coordlint.analysis.causality import Component
    from coordlint.analysis.criticality import Critical
    from coordlint.design import Design
    from coordlint.system import FactName


class _Kind(NamedTuple):
    """The facts that answer the question for one kind of component, and how an answer looks."""

    facts: tuple[FactName, ...]
    words: str
    example: str


_KINDS = {
    "service": _Kind(("replicas", "zones"), "`replicas` or `zones`", "`replicas 2`"),
    "store": _Kind(("replicas", "failover"), "`replicas` and `failover`", "`replicas 2  failover auto`"),
    "broker": _Kind(
        ("nodes", "replication", "min_insync", "quorum"), "`nodes`, `replication` and `min-insync`", "`nodes 3`"
    ),
}


def questions(design: Design, candidates: Sequence[Critical]) -> Iterator[Finding]:
    """In the default profile one question for each kind of component, else one for each component.

    Args:
        design: the design.
        candidates: the components that flows cannot do without and of whose redundancy nothing is said.
    """
    for kind in _KINDS:
        asked = sorted(
            (one for one in candidates if kind_of(one.component) == kind), key=lambda one: one.component.name
        )
        if design.strict:
            yield from (_question([one]) for one in asked)
            continue
        spoken = [element for element in _elements(design, kind) if _says_something(element)]
        asked = [one for one in asked if len(one.flows) > 1 or any(other is not one.component for other in spoken)]
        asked = [one for one in asked if not _is_part(design, one.component, spoken)]
        if asked:
            yield _question(asked)


def _elements(design: Design, kind: str) -> Iterator[Component]:
    return (component for component in design.causality.components if kind_of(component) == kind)


def _says_something(element: Component) -> bool:
    """The vocabulary gate: whether anything is said about its redundancy."""
    return any(not element.fact(name).unknown for name in _KINDS[kind_of(element)].facts)


def _is_part(design: Design, component: Component, spoken: Sequence[Component]) -> bool:
    """Whether it is a store whose services all use another store that has been spoken of, as a schema is part of its server."""
    if not isinstance(component, Store):
        return False
    index = design.index
    entities = [(store, entity) for store, entity in (*index.readers, *index.writers) if store is component]
    actions = [action for key in entities for action in (*index.readers.get(key, ()), *index.writers.get(key, ()))]
    others = set(spoken) - {component}
    return bool(actions) and all(any(use.target in others for use in action.process.service.uses) for action in actions)


def _question(asked: Sequence[Critical]) -> Finding:
    kind = kind_of(asked[0].component)
    names = [one.component.name for one in asked]
    flows = list({view.flow.name: view for one in asked for view in one.flows}.values())
    flows.sort(key=lambda view: view.flow.name)
    several = len(names) > 1
    return Finding(
        primary=Label(asked[0].component.place, "redundancy unknown"),
        message=(
            f"nothing says how redundant {kind}{'s' if several else ''} {listed(names)} {'are' if several else 'is'}, and "
            f"{flows_text(flows)} cannot succeed without {'them' if several else 'it'}"
        ),
        related=tuple(Label(one.component.place, "redundancy unknown") for one in asked[1:8]),
        help=f"say it with {_KINDS[kind].words}",
        notes=(f"{kind}s: {listed(names, most=40)}",) if len(names) > 3 else (),
        silence=_KINDS[kind].example,
        subject=path_of(asked[0].component),
        levels=lowered("I/W/E", int(only_low(flows))),
    )
