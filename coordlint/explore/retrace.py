"""The two runs as they are behind a way through condensed ones: what nobody hears of is filled in, as briefly as can be."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.pairspace import Stride
from coordlint.explore.product import Product, Turn

if TYPE_CHECKING:
    from coordlint.explore.condensed import Condensed


class Event(NamedTuple):
    """Something about a run that observers and locks are part of.

    Attributes:
        kind: the message that a lock lets pass; -1 for a move of the run itself.
        tells: what they hear of it.
        glued: it belongs to the same turn as the event before.
    """

    kind: int
    tells: tuple[int, ...]
    glued: bool


def retraced(plain: Product, condensed: Condensed, turns: Sequence[Turn]) -> list[Turn]:
    """Turns of the runs as they are, of which observers and locks hear the same in the same order.

    Each run by itself goes the way that needs the fewest faults, and of these the shortest one, on which the same is heard of
    it and it takes the same from locks; since that is all that connects the runs, both together can go these ways. The faults
    are no more than those of the given turns, as each run goes one such way there.

    Args:
        plain: the runs as they are.
        condensed: the runs of the given turns.
        turns: the way, each case with its own number.
    """
    events = [_events(plain, turn) for turn in turns]
    ways: list[Iterator[tuple[list[Stride], Stride]]] = []
    for run in (0, 1):
        own: list[Event] = []
        for some in events:
            mine = [event for who, event in some if who == run]
            own += [event._replace(glued=number > 0) for number, event in enumerate(mine)]
        ways.append(_way(condensed, run, own))
    state = plain.initial
    found: list[Turn] = []
    for turn, some in zip(turns, events, strict=True):
        chosen: list[Stride] = []
        for run, _ in some:
            silent, stride = next(ways[run])
            chosen.append(stride)
            for one in silent:
                found.append(next(other for other in plain.moves_of(state, run) if other.stride is one))
                state = found[-1].target
        if chosen:
            moves = plain.moves_of(state, turn.run)
            found.append(next(other for other in moves if other.stride is chosen[0] and _takes(other, chosen)))
            state = found[-1].target
    return found


def _events(plain: Product, turn: Turn) -> list[tuple[int, Event]]:
    """The events of a turn, each with its run; none if nobody hears of it."""
    if not turn.told[0]:
        return []
    found = [(turn.run, Event(-1, turn.told[0], False))]
    for move, tells in zip(turn.moves[1:], turn.told[1:], strict=True):
        found.append((plain.coupled.owners[move.kind], Event(move.kind, tells, False)))
    return found


def _takes(turn: Turn, strides: list[Stride]) -> bool:
    return len(turn.moves) == len(strides) and all(
        move is stride.move for move, stride in zip(turn.moves[1:], strides[1:], strict=True)
    )


def _way(condensed: Condensed, run: int, events: list[Event]) -> Iterator[tuple[list[Stride], Stride]]:
    """The shortest of the ways with the fewest faults to some events (E. Dijkstra): for each the moves before it, and itself."""
    runs = condensed.runs
    start = (0, runs.initial[run])
    came: dict[tuple[int, int], tuple[tuple[int, int], Stride]] = {}
    done: set[tuple[int, int]] = set()
    costs = {start: (0, 0)}
    heap = [(0, 0, 0, start)]
    while heap:
        faults, length, _, node = heapq.heappop(heap)
        if node in done:
            continue
        done.add(node)
        at, state = node
        if at == len(events):
            break
        event = events[at]
        steps = []
        if event.kind >= 0:
            taken = runs.taken(state, run, event.kind)
            steps += [(at + 1, stride) for stride in taken if condensed.told(stride.tells) == event.tells]
        if not event.glued:
            for stride in runs.strides(state, run):
                told = condensed.told(stride.tells)
                if not told:
                    steps.append((at, stride))
                elif event.kind < 0 and told == event.tells:
                    steps.append((at + 1, stride))
        for then, stride in steps:
            after, cost = (then, stride.target), (faults + stride.price, length + 1)
            if after not in costs or cost < costs[after]:
                costs[after] = cost
                came[after] = node, stride
                heapq.heappush(heap, (*cost, len(costs), after))
    else:
        raise AssertionError("a way through condensed runs has no counterpart")
    path: list[tuple[bool, Stride]] = []
    while node in came:
        before, stride = came[node]
        path.append((node[0] > before[0], stride))
        node = before
    silent: list[Stride] = []
    for heard, stride in reversed(path):
        if heard:
            yield silent, stride
            silent = []
        else:
            silent.append(stride)
