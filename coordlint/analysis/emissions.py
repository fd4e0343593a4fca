"""How often one run of a process does something: on average and at most, and whether every run does."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from coordlint.analysis.calls import strong_components
from coordlint.system import Action, Edge, Process, System


class Emission(NamedTuple):
    """How often one run of a process performs one of some actions.

    Attributes:
        least, most: bounds of the expected number. They differ where a choice declares no chances: its rest goes to the branch
            with least or with most. ``most`` is infinity for what stands in a loop without a declared bound.
        certain: every run performs at least one of them, unless something fails technically. A ``for each`` counts as having
            an item.
    """

    least: float
    most: float
    certain: bool


def emission(system: System, process: Process, actions: Iterable[Action]) -> Emission:
    """How often one run of the process performs one of the actions.

    Over the control-flow graph without recursion over its length; only ``parallel`` blocks nest. The mean of a choice is the
    sum of ``p * m`` over the branches, where those without a chance share what the others leave.
    """
    wanted = {action.id for action in actions}
    least, most = _Means(system, process, wanted).total(process.start, None)
    certain = _is_certain(system, process, wanted)
    return Emission(max(least, 1.0) if certain else least, most, certain)


class _Means:
    """The expected number of wanted actions from a node on: at least and at most."""

    def __init__(self, system: System, process: Process, wanted: set[int]) -> None:
        self.system = system
        self.wanted = wanted
        self.component = _components(system, process)
        self.members: dict[int, list[int]] = {}
        for node, number in self.component.items():
            self.members.setdefault(number, []).append(node)
        self.joins = {
            action.span: action.id for action in system.actions_of(process, "join")
        }  # a parallel block's fork and join have the same span

    def total(self, entry: int, stop: int | None) -> _Bounds:
        """The bounds from the entry on, up to a join that is not counted."""
        values: dict[int, _Bounds] = {}
        if stop is not None:
            values[stop] = _Bounds(0.0, 0.0)
        if entry in values:
            return values[entry]
        for node in self._order(entry, stop):
            if node not in values:
                values.update(self._value(node, values))
        return values[entry]

    def _order(self, entry: int, stop: int | None) -> list[int]:
        """The nodes from the entry on, those first that lead to no other; the insides of parallel blocks left out."""
        seen = {entry}
        stack = [entry]
        while stack:
            for target in self._following(stack.pop()):
                if target not in seen and target != stop:
                    seen.add(target)
                    stack.append(target)
        return sorted(seen, key=lambda node: (self.component[node], node))

    def _following(self, node: int) -> list[int]:
        action = self.system.actions[node]
        if action.kind == "fork" and not self._loops(node):
            join = self.joins.get(action.span)
            return [join] if join is not None else [edge.target for edge in action.edges]
        return [edge.target for edge in action.edges]

    def _loops(self, node: int) -> bool:
        members = self.members[self.component[node]]
        return len(members) > 1 or any(edge.target == node for edge in self.system.actions[node].edges)

    def _value(self, node: int, values: dict[int, _Bounds]) -> dict[int, _Bounds]:
        if self._loops(node):
            return self._loop(self.members[self.component[node]], values)
        action = self.system.actions[node]
        own = 1.0 if node in self.wanted else 0.0
        join = self.joins.get(action.span) if action.kind == "fork" else None
        if action.kind == "fork":
            parts = [self.total(edge.target, join) for edge in action.edges]
            if join is not None:
                parts.append(values[join])
            after = _Bounds(sum(part.least for part in parts), sum(part.most for part in parts))
        else:
            after = _one_of(action, [(edge, values[edge.target]) for edge in action.edges])
        return {node: _Bounds(own + after.least, own + after.most)}

    def _loop(self, members: list[int], values: dict[int, _Bounds]) -> dict[int, _Bounds]:
        """All nodes of a loop have the same bounds: at most what its rounds perform together, and what comes after."""
        actions = [self.system.actions[node] for node in members]
        within = set(members)
        inside = len(within & self.wanted)
        heads = [action for action in actions if action.kind == "loop"]
        rounds = math.inf
        if len(heads) == 1 and heads[0].mode == "repeat" and heads[0].limit is not None:
            rounds = float(heads[0].limit)
        after = [
            values[edge.target]
            for action in actions
            for edge in action.edges
            if edge.target not in within and edge.target in values
        ]
        most = max((value.most for value in after), default=0.0)
        least = min((value.least for value in after), default=0.0)
        return dict.fromkeys(members, _Bounds(least, (inside * rounds if inside else 0.0) + most))


class _Bounds(NamedTuple):
    least: float
    most: float


def _one_of(action: Action, edges: list[tuple[Edge, _Bounds]]) -> _Bounds:
    """The bounds over the edges of which control takes one."""
    if not edges:
        return _Bounds(0.0, 0.0)
    least = sum(edge.chance * value.least for edge, value in edges if edge.chance)
    most = sum(edge.chance * value.most for edge, value in edges if edge.chance)
    rest = max(0.0, 1 - sum(edge.chance or 0.0 for edge, _ in edges))
    if rest < _NEGLIGIBLE:
        return _Bounds(least, most)
    # Chances that do not add up to one leave the rest to the branches without a chance, or else to any branch.
    left = [(edge, value) for edge, value in edges if edge.chance is None] or edges
    # A call is answered, and a process goes on in time: a loop does not end because something fails technically.
    usual = [value.least for edge, value in left if edge.kind not in _UNUSUAL[action.kind in {"call", "start"}]]
    return _Bounds(
        least + rest * min(usual, default=0.0),
        most + rest * max(value.most for _, value in left),
    )


def _components(system: System, process: Process) -> dict[int, int]:
    """Action -> the number of its strongly connected component; smaller than those of all that lead to it."""
    place = {node: number for number, node in enumerate(process.actions)}
    successors = [[place[edge.target] for edge in system.actions[node].edges] for node in process.actions]
    component = strong_components(successors)
    return {node: component[number] for node, number in place.items()}


def _is_certain(system: System, process: Process, wanted: set[int]) -> bool:
    """Whether every run performs one of the actions: the greatest fixpoint of *all ways lead to one* (*one way* at a fork)."""
    component = _components(system, process)
    targets: dict[int, list[int]] = {}
    for node in process.actions:
        action = system.actions[node]
        followed = [edge for edge in action.edges if edge.kind not in _UNUSUAL[action.kind in {"call", "start"}]]
        found: list[int] = []
        for edge in followed:
            head = system.actions[edge.target]
            if head.kind == "loop" and component[head.id] == component[node]:
                found += [exit.target for exit in head.edges if exit.kind == "exit"]
            elif not (action.kind == "loop" and edge.kind == "exit" and len(followed) > 1):
                found.append(edge.target)
        targets[node] = found
    sources: dict[int, list[int]] = {}
    for node, reached in targets.items():
        for target in reached:
            sources.setdefault(target, []).append(node)
    certain = dict.fromkeys(process.actions, True)
    pending = [node for node in process.actions if node not in wanted and not targets[node]]
    while pending:
        node = pending.pop()
        if not certain[node]:
            continue
        certain[node] = False
        for source in sources.get(node, ()):
            if source not in wanted and certain[source]:
                fork = system.actions[source].kind == "fork"
                if not fork or not any(certain[target] for target in targets[source]):
                    pending.append(source)
    return certain[process.start]


_NEGLIGIBLE = 1e-9

_UNUSUAL = (frozenset[str](), frozenset({"failure", "timeout"}))
"""The edges that only a technical failure takes, for actions that are no calls and for calls and starts."""
