"""Courses through one process: its control flow without the edges that lead back, in an order in which sums can be made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from coordlint.system import Action, Edge, Process


class Forward(NamedTuple):
    """The control flow of a process without the edges that lead back.

    Attributes:
        edges: for each action that control can reach, where it goes next.
        repeats: the end of the body of a ``repeat`` -> the head of its loop.
        leaves: edges (source, target) from the end of a ``for each`` body past its head -> the head whose exit they take.
    """

    edges: dict[int, list[Edge]]
    repeats: dict[int, int]
    leaves: dict[tuple[int, int], int]


def forward(process: Process, actions: Sequence[Action], keep: Callable[[Action, Edge], bool] | None = None) -> Forward:
    """The control flow of a process without the edges that lead back.

    A ``for each`` is left behind its body as well as at its head, so that a course can pass the body once.

    Args:
        process: the process.
        actions: those of the system.
        keep: whether an edge counts at all; all do if left out.
    """
    edges: dict[int, list[Edge]] = {}
    repeats: dict[int, int] = {}
    leaves: dict[tuple[int, int], int] = {}
    for number in process.actions:
        found: list[Edge] = []
        pending = [
            (edge, -1) for edge in reversed(actions[number].edges) if keep is None or keep(actions[number], edge)
        ]
        passed: set[int] = set()
        while pending:
            edge, loop = pending.pop()
            target = actions[edge.target]
            if target.kind != "loop" or number < target.id:
                found.append(edge)
                if loop >= 0:
                    leaves[number, edge.target] = loop
            elif target.mode == "repeat":
                repeats[number] = target.id
            elif target.id not in passed:
                passed.add(target.id)
                exits = [one for one in reversed(target.edges) if one.kind == "exit"]
                pending += [(edge._replace(target=one.target), target.id) for one in exits]
        edges[number] = found
    return Forward(_without_back_edges(process.start, edges), repeats, leaves)


def in_order(start: int, edges: dict[int, list[Edge]]) -> list[int]:
    """The actions of an acyclic graph from its start, each before what it leads to."""
    order: list[int] = []
    seen = {start}
    work: list[tuple[int, Iterator[Edge]]] = [(start, iter(edges[start]))]
    while work:
        node, rest = work[-1]
        for edge in rest:
            if edge.target not in seen:
                seen.add(edge.target)
                work.append((edge.target, iter(edges[edge.target])))
                break
        else:
            order.append(node)
            work.pop()
    return order[::-1]


def _without_back_edges(start: int, edges: dict[int, list[Edge]]) -> dict[int, list[Edge]]:
    """The edges without those that lead back to where a depth-first search still is."""
    kept: dict[int, list[Edge]] = {start: []}
    active = {start}
    work: list[tuple[int, Iterator[Edge]]] = [(start, iter(edges[start]))]
    while work:
        node, rest = work[-1]
        for edge in rest:
            if edge.target in active:
                continue
            kept[node].append(edge)
            if edge.target not in kept:
                kept[edge.target] = []
                active.add(edge.target)
                work.append((edge.target, iter(edges[edge.target])))
                break
        else:
            active.discard(node)
            work.pop()
    return kept
