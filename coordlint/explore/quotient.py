"""Smaller tables for proof mode: local states that cannot be told apart, or need not be, become one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.parts import STANDING, WRONG
from coordlint.explore.tables import Act, Component, Row, Tables, bits, gathered
from coordlint.system import Flow

if TYPE_CHECKING:
    from coordlint.explore.scene import Compiled

Labels = Mapping[int, Sequence[Hashable]]
"""By component: what has to stay apart in each of its local states; components without labels stay as they are."""


class Small(NamedTuple):
    """What proof mode reads of a scene.

    Attributes:
        tables: the smaller tables.
        behind: by component, a local state of the scene behind each of theirs, the same for the judge.
        alike: by component, for each of its local states the first one that is the same for the judge, however it behaves.
    """

    tables: Tables
    behind: list[list[int]]
    alike: dict[int, list[int]]


def for_proof(compiled: Compiled) -> Small:
    """The tables of a scene without what proof mode need not know.

    How often a call was tried is forgotten: it may be given up or repeated at any time. Where one workflow alone decides how
    the scene ends, actions of a ledger that have no effect, whether they were refused, undone or never came, are told apart
    only as far as they answer differently.
    """
    loose, spots = merged(
        compiled.tables,
        {
            n: [(spot.where, spot.undo, spot.extra, spot.caller, spot.turns) for spot in thread.spots]
            for n, thread in compiled.threads.items()
        },
    )
    labels: dict[int, list[Hashable]] = {}
    for number, thread in compiled.threads.items():
        labels[number] = [thread.spots[spot].where if thread.parent is None else None for spot in spots[number]]
    decided = _is_decided_by_a_workflow(compiled)
    for number, part in compiled.parts.items():
        labels[number] = [
            tuple(c if not decided or c in STANDING or c in WRONG else None for c in codes) for codes in part.codes
        ]
    small, firsts = minimal(loose, labels)
    behind = [[old[first] for first in some] for old, some in zip(spots, firsts, strict=True)]
    return Small(
        small, behind, {n: _numbered([labels[n][one] for one in firsts[n]], firsts=True) for n in compiled.parts}
    )


def _is_decided_by_a_workflow(compiled: Compiled) -> bool:
    """Whether a scene has ended when its only workflow has, and nobody else does anything without being told by it."""
    roots = [thread for thread in compiled.threads.values() if thread.parent is None]
    if len(roots) != 1 or roots[0].process.workflow is None:
        return False
    root, workflow = compiled.scene.root, roots[0].process.workflow
    if isinstance(root, Flow) and (root.success is None or workflow not in root.success.targets):
        return False
    tables = compiled.tables
    sent = set(tables.initial)
    for number, component in enumerate(tables.components):
        if number not in compiled.threads:
            sent.update(
                kind for rows in component.rows for group in rows.values() for row in group for kind in row.emits
            )
    return not any(tables.kinds[kind].to in compiled.parts for kind in sent)


def merged(tables: Tables, together: Labels) -> tuple[Tables, list[list[int]]]:
    """Let the local states of equal labels be one that may do what any of them may.

    Runs of the tables stay runs. So that something may still rest, drop or wait where it did, only states are merged that take
    the same kinds now, that take the same kinds from there on, and that have late timers of the same depths, or else agree
    whether there is a free move.

    Args:
        tables: what to make smaller.
        together: the labels.

    Returns:
        The smaller tables, and by component the first of the old local states behind each new one.
    """
    numbers: list[list[int]] = []
    firsts: list[list[int]] = []
    for number, component in enumerate(tables.components):
        classes: dict[Hashable, int] = {}
        of: list[int] = []
        first: list[int] = []
        later = _taken(component) if number in together else []
        for local in range(component.size):
            key: Hashable = local
            if number in together:
                acts = component.acts[local]
                late = frozenset(act.depth for act in acts if act.when == "late")
                free = not late and any(act.when != "late" and not act.price for act in acts)
                key = (together[number][local], late, free, frozenset(component.rows[local]), later[local])
            if key not in classes:
                classes[key] = len(first)
                first.append(local)
            of.append(classes[key])
        numbers.append(of)
        firsts.append(first)
    return _with(tables, numbers, firsts, alike=True), firsts


def _taken(component: Component) -> list[int]:
    """The kinds that are taken in each local state or behind it, as bit sets."""
    after: list[list[int]] = []
    for rows, acts in zip(component.rows, component.acts, strict=True):
        targets = {row.target for group in rows.values() for row in group}
        after.append(sorted(targets | {act.target for act in acts}))
    return gathered(after, [bits(rows) for rows in component.rows])


def minimal(tables: Tables, apart: Labels) -> tuple[Tables, list[list[int]]]:
    """Let the local states that behave alike be one (strong bisimulation, by partition refinement).

    Behind it everything is as before, up to the merging (P. Kanellakis and S. Smolka, CCS expressions, finite state processes,
    and three problems of equivalence, 1990).

    Args:
        tables: what to make smaller.
        apart: labels of states that must not be merged although they behave alike.

    Returns:
        The smaller tables, and by component the first of the old local states behind each new one.
    """
    numbers: list[list[int]] = []
    firsts: list[list[int]] = []
    for number, component in enumerate(tables.components):
        of = list(range(component.size))
        if number in apart:
            of = _numbered(apart[number])
            count = 0
            while count != max(of) + 1:
                count = max(of) + 1
                of = _numbered([(of[local], *_behaviour(component, local, of)) for local in range(component.size)])
        first: dict[int, int] = {}
        for local, one in enumerate(of):
            first.setdefault(one, local)
        numbers.append(of)
        firsts.append(list(first.values()))
    return _with(tables, numbers, firsts), firsts


def _numbered(keys: Sequence[Hashable], *, firsts: bool = False) -> list[int]:
    """The keys as numbers, in the order of their first occurrence, or else by the place of that."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(key, place if firsts else len(numbers)) for place, key in enumerate(keys)]


def _behaviour(component: Component, local: int, of: list[int]) -> tuple[Hashable, ...]:
    rows = frozenset(
        (kind, of[row.target], row.emits, row.price, row.keep, row.error, row.fault)
        for kind, group in component.rows[local].items()
        for row in group
    )
    acts = frozenset(
        (of[act.target], act.emits, act.when, act.price, act.depth, act.error) for act in component.acts[local]
    )
    return rows, acts


def _with(tables: Tables, numbers: list[list[int]], firsts: list[list[int]], *, alike: bool = False) -> Tables:
    """The tables with new numbers for local states; each has what any of its old ones had, without the notes.

    If `alike`, faults of a component that do the same are one, such as a crash that repeats a call and an early timer.
    """
    components = []
    for component, of, first in zip(tables.components, numbers, firsts, strict=True):
        if len(first) == component.size:
            components.append(component)
            continue
        rows: list[dict[int, dict[Row, None]]] = [{} for _ in first]
        acts: list[dict[Act, None]] = [{} for _ in first]
        for local, one in enumerate(of):
            for kind, group in component.rows[local].items():
                into = rows[one].setdefault(kind, {})
                for row in group:
                    into[Row(of[row.target], row.emits, row.price, row.keep, -1, row.error, row.fault)] = None
            for act in component.acts[local]:
                when, depth = act.when, act.depth
                if alike and act.price and when != "late":
                    when, depth = "early", 0
                acts[one][Act(of[act.target], act.emits, when, act.price, depth, -1, act.error)] = None
        components.append(
            Component(
                component.name,
                of[component.initial],
                [{kind: tuple(group) for kind, group in one.items()} for one in rows],
                [tuple(one) for one in acts],
            )
        )
    return Tables(components, tables.kinds, tables.initial, tables.queues)
