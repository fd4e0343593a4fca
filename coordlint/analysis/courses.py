"""Courses through one process: its control flow without the edges that lead back, in an order in which sums can be made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from coordlint.system import Action, Edge, Process


def forward_edges(
    process: Process, actions: Sequence[Action], keep: Callable[[Action, Edge], bool] | None = None
) -> tuple[dict[int, list[Edge]], dict[int, int]]:
    """The edges of a process without those that lead back, and for each end of a ``repeat`` body the head of its loop.

    A ``for each`` is left behind its body instead of at its head, so that a course passes the body once. Only actions that
    control can reach from the start have an entry.

    Args:
        process: the process.
        actions: those of the system.
        keep: whether an edge counts at all; all do if left out.
    """
    edges: dict[int, list[Edge]] = {}
    loops: dict[int, int] = {}
    for number in process.actions:
        found: list[Edge] = []
        pending = [edge for edge in reversed(actions[number].edges) if keep is None or keep(actions[number], edge)]
        passed: set[int] = set()
        while pending:
            edge = pending.pop()
            target = actions[edge.target]
            if target.kind != "loop" or number < target.id:
                found.append(edge)
            elif target.mode == "repeat":
                loops[number] = target.id
            elif target.id not in passed:
                passed.add(target.id)
                pending += [edge._replace(target=one.target) for one in reversed(target.edges) if one.kind == "exit"]
        edges[number] = found
    return _without_back_edges(process.start, edges), loops


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
