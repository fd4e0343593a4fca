"""The tables every engine reads: finite components, kinds of messages between them, and what each delivery may do.

A scene compiles to these tables once. The packed engine, the proof mode, the export to Promela and the reference engine of
the tests interpret the same tables independently.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

When = Literal["free", "late", "early", "crash"]


class Kind(NamedTuple):
    """A kind of message: one message for one consumer (and, for a request, from one place).

    Attributes:
        name: for people.
        to: the number of the component that takes it.
        copies: the broker may deliver it again (fault `copy`).
        loss: how it may come to nothing: `lose`, `park` (in a dead-letter channel), `forget` (its broker restarts), `omission`
            (whoever takes it never answers), or empty if it cannot.
        patient: where no row takes it yet, it waits; otherwise it is dropped there.
        urgent: taken at once, before anything else happens: a note to an observer.
        queue: the number of the queue that keeps its order, or -1.
        overtakes: it may be delivered out of order in its queue (fault `overtake`).
    """

    name: str
    to: int
    copies: bool = False
    loss: str = ""
    patient: bool = False
    urgent: bool = False
    queue: int = -1
    overtakes: bool = False


class Row(NamedTuple):
    """What a delivery may do: go to `target` and emit. `keep` leaves the message where it was; `note` says what happened.

    `price` is the number of faults (0 or 1), and `fault` the name of the fault if there is one: `publish` (a crash between the
    effects and the publication) or `rare` (an outcome that is declared never to come). `error` marks a row whose target is
    wrong by itself.
    """

    target: int
    emits: tuple[int, ...] = ()
    price: int = 0
    keep: bool = False
    note: int = -1
    error: bool = False
    fault: str = "publish"


class Act(NamedTuple):
    """What a component may do by itself.

    `late`: a timer that fires when nothing useful is in flight, inner scopes (`depth`) before outer ones, free of charge.
    `early`: a timer that fires although an answer may be on its way; its price is paid once per wait. `crash`: the host of
    the component fails and comes back. `free`: a choice.
    """

    target: int
    emits: tuple[int, ...] = ()
    when: When = "free"
    price: int = 0
    depth: int = 0
    note: int = -1
    error: bool = False


Rows = dict[int, tuple[Row, ...]]
"""By kind."""


@dataclass(slots=True)
class Component:
    """A component: its local states are numbers; `rows` and `acts` are by local state."""

    name: str
    initial: int = 0
    rows: list[Rows] = field(default_factory=list)
    acts: list[tuple[Act, ...]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many local states it has."""
        return len(self.rows)


@dataclass(slots=True)
class Tables:
    """Everything an engine needs.

    Attributes:
        components: in a deterministic order.
        kinds: the kinds of messages.
        initial: the kinds in flight at the beginning, in the order in which they were sent.
        queues: how many ordered queues there are.
    """

    components: list[Component] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    initial: tuple[int, ...] = ()
    queues: int = 0

    def rows(self, kind: int, local: int) -> tuple[Row, ...]:
        """What may happen when that kind is delivered in that local state of its consumer; empty if nothing takes it there."""
        return self.components[self.kinds[kind].to].rows[local].get(kind, ())


def reach(component: Component) -> list[int]:
    """The local states that can follow each one, itself included, as bit sets: whatever the others do."""
    return list(closure(tuple(following(component))))


def following(component: Component) -> list[tuple[int, ...]]:
    """The local states that can follow each one at once, ascending."""
    after: list[tuple[int, ...]] = []
    for rows, acts in zip(component.rows, component.acts, strict=True):
        targets = {act.target for act in acts}
        for group in rows.values():
            for row in group:
                targets.add(row.target)
        after.append(tuple(sorted(targets)))
    return after


@lru_cache(maxsize=256)
def closure(after: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    """The nodes of a graph that can be reached from each one, itself included, as bit sets; most participants are alike."""
    return tuple(gathered(after, [1 << node for node in range(len(after))]))


def gathered(after: Sequence[Sequence[int]], own: list[int]) -> list[int]:
    """What the nodes of a graph and all that can follow them have of their own, as bit sets.

    One pass over the strongly connected components, each behind all that follow it (R. Tarjan, Depth-first search and linear
    graph algorithms, 1972), without recursion.

    Args:
        after: the successors of each node.
        own: the bit set of each node.
    """
    if len(set(own)) < 2:
        return list(own)
    found = [0] * len(after)
    order = [0] * len(after)
    low = [0] * len(after)
    done = [False] * len(after)
    open_: list[int] = []
    count = 0
    for root in range(len(after)):
        if order[root]:
            continue
        walk = [(root, 0)]
        while walk:
            node, at = walk.pop()
            if not order[node]:
                count += 1
                order[node] = low[node] = count
                open_.append(node)
            targets = after[node]
            while at < len(targets):
                target = targets[at]
                if not order[target]:
                    break
                if not done[target]:
                    low[node] = min(low[node], low[target])
                at += 1
            if at < len(targets):
                walk += [(node, at), (targets[at], 0)]
            elif low[node] == order[node]:
                members = open_[open_.index(node) :] if open_[-1] != node else [node]
                del open_[-len(members) :]
                result = 0
                for one in members:
                    result |= own[one]
                    for target in after[one]:
                        result |= found[target]
                for one in members:
                    found[one] = result
                    done[one] = True
    return found


def bits(numbers: Iterable[int]) -> int:
    """The bit set of some numbers."""
    result = 0
    for number in numbers:
        result |= 1 << number
    return result


def members(some: int) -> list[int]:
    """The numbers of a bit set, ascending."""
    found = []
    while some:
        low = some & -some
        found.append(low.bit_length() - 1)
        some ^= low
    return found
