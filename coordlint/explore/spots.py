"""Where a thread rests, and what happens from one rest to the next."""

from __future__ import annotations

from typing import NamedTuple


class Spot(NamedTuple):
    """A place where a thread rests.

    `where` is (kind, action): idle, arm (a join of triggers), call, await, timer, fork, undoing, done, failed, parked, lost,
    twice. `undo` holds what a failure undoes, latest last: steps by number, forks as negative numbers; None after undoing.
    """

    where: tuple[str, int]
    used: int = 1
    slow: bool = False
    undo: tuple[int, ...] | None = ()
    extra: tuple[int, ...] = ()
    caller: int = -1


class Run(NamedTuple):
    """What happens from one rest to the next: what is emitted, and the actions passed."""

    spot: Spot
    emits: tuple[int, ...]
    trail: tuple[int, ...]
