"""Where a thread rests, and what happens from one rest to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from coordlint.system import Action, Edge

MOST_LOCAL = 4096
"""A component may have so many local states."""

TURNS = 2
"""So many turns of a loop, and items of a `for each`, are told apart."""


class TooLargeError(Exception):
    """A component has more local states, or a handler more ways through it, than can be told apart."""


class Spot(NamedTuple):
    """A place where a thread rests.

    `where` is (kind, action): idle, arm (a join of triggers), call, await, timer, fork, undoing, done, failed, parked, lost,
    twice, broken (an unexpected message stops it). `undo` holds what a failure undoes, latest last: steps by number, forks as
    negative numbers; None after undoing. `turns` holds, for each loop it is in, the number of the turn.
    """

    where: tuple[str, int]
    used: int = 1
    slow: bool = False
    undo: tuple[int, ...] | None = ()
    extra: tuple[int, ...] = ()
    caller: int = -1
    turns: tuple[tuple[int, int], ...] = ()


class Run(NamedTuple):
    """What happens from one rest to the next: what is emitted, and the actions passed.

    `rare`: on the way, a branch is taken that is declared never to be (`0%`), which is a fault.
    """

    spot: Spot
    emits: tuple[int, ...]
    trail: tuple[int, ...]
    rare: bool = False


def turn(action: Action, edge: Edge, turns: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...] | None:
    """The turns of the loops behind an edge; None if the loop has had all its turns.

    Args:
        action: where the edge begins.
        edge: the edge.
        turns: the turn of each loop in front of the edge.
    """
    if action.kind == "loop" and edge.kind == "body":
        done = dict(turns)
        most = TURNS if action.limit is None or action.mode != "repeat" else min(action.limit, TURNS)
        if done.get(action.id, 0) >= most:
            return None
        done[action.id] = done.get(action.id, 0) + 1
        return tuple(sorted(done.items()))
    if edge.kind == "exit":
        loop = action.id if action.kind == "loop" else next((e.target for e in action.edges if e.kind == "body"), -1)
        return tuple((number, count) for number, count in turns if number != loop)
    return turns
