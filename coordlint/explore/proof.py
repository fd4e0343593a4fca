"""Proof mode: whether the properties hold for any number of copies, delays, overtakings, early timers and crashes.

A state is (L, A, P): the local states, the kinds that may be delivered at any time again (the broker copies them, or two were
in flight at once), and the kinds that are still owed a delivery. Every run of the counting semantics with any number of
faults maps to a run here, so what is clean here is clean for all of them. A hit only means that nothing is proved: order is
forgotten, and what was in flight twice may come for ever.
"""

from __future__ import annotations

from typing import NamedTuple

from coordlint.explore.space import Space
from coordlint.explore.tables import bits


class Proof(NamedTuple):
    """What proof mode found.

    Attributes:
        ends: the vectors of local states in which everything may rest.
        hits: the wrong local states that can be reached, as (component, local state).
        states: how many states there were.
        complete: the limit was not reached.
    """

    ends: tuple[tuple[int, ...], ...]
    hits: tuple[tuple[int, int], ...]
    states: int
    complete: bool


def prove(space: Space, limit: int = 200_000) -> Proof:
    """Explore the set-shaped network of a space.

    Args:
        space: the space; its reductions and its switched off faults do not matter here.
        limit: give up beyond that many states.
    """
    tables = space.tables
    kinds = tables.kinds
    locals_bits = (1 << (space.queue_offsets[0] if space.queue_offsets else space.shift)) - 1
    number = len(kinds)
    everything = (1 << number) - 1
    below = locals_bits.bit_length()
    copied = bits(kind for kind, one in enumerate(kinds) if one.copies)
    urgent = bits(kind for kind, one in enumerate(kinds) if one.urgent)

    def clean(local: int, some: int) -> int:
        rest = some
        while rest:
            low = rest & -rest
            rest ^= low
            if space.inert(low.bit_length() - 1, local):
                some ^= low
        return some

    def join(local: int, again: int, owed: int, emits: tuple[int, ...] = ()) -> int:
        for one in emits:
            bit = 1 << one
            again |= bit & (copied | owed)
            owed |= bit
        return local | clean(local, again) << below | clean(local, owed) << (below + number)

    first = 0
    for index, component in enumerate(tables.components):
        first += component.initial << space.offsets[index]
    initial = join(first, 0, 0, tables.initial)
    seen = {initial}
    stack = [initial]
    ends: dict[tuple[int, ...], None] = {}
    hits: dict[tuple[int, int], None] = {}

    while stack:
        if len(seen) > limit:
            return Proof(tuple(ends), tuple(hits), len(seen), False)
        state = stack.pop()
        local = state & locals_bits
        again = (state >> below) & everything
        owed = state >> (below + number)
        busy = False
        targets: list[int] = []
        rest = owed & urgent
        rest = rest & -rest if rest else again | owed
        hurry = bool(owed & urgent)
        stuck = _stuck_queues(space, local, owed) if tables.queues else set[int]()
        while rest:
            low = rest & -rest
            rest ^= low
            kind = low.bit_length() - 1
            to = kinds[kind].to
            offset = space.offsets[to]
            here = (local >> offset) & space.masks[to]
            due, repeated = bool(owed & low), bool(again & low)
            rows = tables.components[to].rows[here].get(kind, ())
            if not rows and due and not space.waits(kind, here):
                targets.append(join(local, again, owed ^ low))
                busy = busy or kinds[kind].queue not in stuck
            for row in rows:
                if row.error:
                    hits[to, row.target] = None
                busy = busy or (due and not row.price and kinds[kind].queue not in stuck)
                after = local + ((row.target - here) << offset)
                if repeated or row.keep:
                    targets.append(join(after, again, owed, row.emits))
                if due and not row.keep:
                    targets.append(join(after, again, owed ^ low, row.emits))
            if due and kinds[kind].loss:
                targets.append(join(local, again, owed ^ low))
        resting = not busy
        late: list[tuple[int, int]] = []
        for index in () if hurry else space.acting:
            offset = space.offsets[index]
            here = (local >> offset) & space.masks[index]
            for act in tables.components[index].acts[here]:
                if act.when == "late" and busy:
                    continue
                if act.error:
                    hits[index, act.target] = None
                target = join(local + ((act.target - here) << offset), again, owed, act.emits)
                if act.when == "late":
                    late.append((act.depth, target))
                    continue
                targets.append(target)
                resting = resting and bool(act.price)
        if late:
            deepest = max(depth for depth, _ in late)
            targets += [target for depth, target in late if depth == deepest]
        elif resting:
            ends[space.locals(local)] = None
        for target in targets:
            if target not in seen:
                seen.add(target)
                stack.append(target)
    return Proof(tuple(ends), tuple(hits), len(seen), True)


def _stuck_queues(space: Space, local: int, owed: int) -> set[int]:
    """The ordered queues whose head may be a message that waits for its consumer, so that nothing behind it comes either."""
    found = set()
    for kind, one in enumerate(space.tables.kinds):
        here = (local >> space.offsets[one.to]) & space.masks[one.to]
        taken = space.tables.rows(kind, here)
        if one.queue >= 0 and one.patient and owed >> kind & 1 and not taken and space.waits(kind, here):
            found.add(one.queue)
    return found
