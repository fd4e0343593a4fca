"""Search by the number of faults first and by length second, and what is found on the way.

A 0-1 breadth-first search (Dijkstra with prices 0 and 1): layer j holds the states that need j faults. A state reached with
fewer faults can do all that it can do with more (only the total is bounded), so its first visit is enough (R1). After every
layer a definite statement exists: complete for at most j faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from coordlint.explore.space import Move, Space
from coordlint.explore.tables import Act, Row, bits, reach


class Step(NamedTuple):
    """How a state was reached first: from where, by which move, in which layer."""

    before: int
    move: Move
    layer: int


class Hit(NamedTuple):
    """A row or act whose target is wrong by itself: the move, the state before it, and the number of faults."""

    before: int
    move: Move
    layer: int


class Search:
    """One search, layer after layer.

    Args:
        space: what to search.
        limit: give up when more states than that are known.

    Attributes:
        came: how each known state was reached; None for the first one.
        layers: the layer of each known state.
        terminals: the states without a free move, in the order in which they were found.
        hits: the first move into each wrong local state, by component and local state.
        fired: the rows and acts that occurred, by identity, with the layer in which they did first.
        drops: the kinds that were dropped where nothing took them, with the layer.
        complete: the number of faults up to which the search is complete; -1 if not even without any.
        exhausted: no further fault leads to a new state.
        cut: the limit was reached.
    """

    def __init__(self, space: Space, limit: int = 2_000_000) -> None:
        self.space = space
        self.limit = limit
        self.came: dict[int, Step | None] = {space.initial: None}
        self.layers: dict[int, int] = {space.initial: 0}
        self.free: dict[int, list[int]] = {}
        self.terminals: list[int] = []
        self.hits: dict[tuple[int, int], Hit] = {}
        self.fired: dict[int, tuple[int, Row | Act]] = {}
        self.emitted: set[int] = set()
        self.complete = -1
        self.exhausted = False
        self.cut = False
        self._sends: list[list[int]] = []
        self._groups: dict[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]], frozenset[int] | None] = {}
        self._observers = bits(kind.to for kind in space.tables.kinds if kind.urgent)
        if space.persists:
            self._sends = [_sends_to(space, number) for number in range(len(space.tables.components))]

    def run(self, faults: int) -> Iterator[int]:
        """Search all layers up to that many faults; yields each layer's number when it is complete."""
        start = [self.space.initial]
        later: dict[int, Step] = {}
        for layer in range(faults + 1):
            frontier = start
            later = {}
            last = layer == faults
            while frontier:
                following: list[int] = []
                for state in frontier:
                    self._visit(state, layer, following, later, last=last)
                if len(self.came) > self.limit:
                    self.cut = True
                    return
                frontier = following
            self.complete = layer
            start = []
            for state, step in later.items():
                if state not in self.came:
                    self.came[state] = step
                    self.layers[state] = layer + 1
                    start.append(state)
            yield layer
            if not start and not last:
                self.complete = faults
                self.exhausted = True
                return

    def _visit(self, state: int, layer: int, following: list[int], later: dict[int, Step], *, last: bool) -> None:
        came, fired = self.came, self.fired
        targets = self.free[state] = []
        moves = self._moves(state)
        for move in moves:
            choice = move.choice
            if move.price and last:
                continue
            if choice is not None:
                if id(choice) not in fired:
                    fired[id(choice)] = (layer + move.price, choice)
                    self.emitted.update(choice.emits)
                if choice.error and (move.component, choice.target) not in self.hits:
                    self.hits[move.component, choice.target] = Hit(state, move, layer + move.price)
            target = move.target
            if move.price == 0:
                targets.append(target)
                if target not in came:
                    came[target] = Step(state, move, layer)
                    self.layers[target] = layer
                    following.append(target)
            elif target not in came and target not in later:
                later[target] = Step(state, move, layer + 1)
        if not targets:
            self.terminals.append(state)

    # -------------------------------------------------------------------------------------------- R4: persistent sets

    def _moves(self, state: int) -> list[Move]:
        space = self.space
        if space.persists:
            group = self._persistent(state)
            if group is not None:
                moves = space.moves(state, only=group)
                free = [move for move in moves if not move.price]
                # Against ignoring: somebody must get on, or nothing is put off.
                if free and any(self._settled(move.target) not in self.came for move in free):
                    return moves
        return space.moves(state)

    def _settled(self, state: int) -> int:
        """The state after the observers have heard what they are to hear at once."""
        kinds = self.space.tables.kinds
        while any(kinds[kind].urgent for kind in self.space.flight(state)):
            state = self.space.moves(state)[0].target
        return state

    def _persistent(self, state: int) -> frozenset[int] | None:
        """The smallest closed set of components that nobody outside of it can interfere with; None if that is everybody."""
        space = self.space
        kinds = space.tables.kinds
        pending = sorted({kinds[kind].to for kind in space.pending(state)})
        if len(pending) < 2:
            return None
        movable = list(pending)
        for number in space.acting:
            acts = space.tables.components[number].acts[space.local(state, number)]
            if number not in pending and any(act.when not in space.without for act in acts):
                movable.append(number)
        direct = tuple([table[space.local(state, number)] for number, table in enumerate(self._sends)])
        key = (direct, tuple(pending), tuple(movable))
        if key not in self._groups:
            self._groups[key] = self._smallest(self._closure(direct), pending, movable)
        return self._groups[key]

    def _smallest(self, into: list[int], pending: list[int], movable: list[int]) -> frozenset[int] | None:
        best: frozenset[int] | None = None
        for seed in pending:
            # Who tells an observer something is not independent of others who do: it hears at once, so the order matters.
            group = 1 << seed | (into[seed] & self._observers)
            members = {seed}
            grew = True
            while grew:
                grew = False
                for one in movable:
                    if one not in members and into[one] & group:
                        members.add(one)
                        group |= 1 << one | (into[one] & self._observers)
                        grew = True
            if len(members) < len(movable) and (best is None or len(members) < len(best)):
                best = frozenset(members)
        return best

    def _closure(self, direct: tuple[int, ...]) -> list[int]:
        """To which components each one may send from its local state on, through others as well, as bit sets."""
        into = list(direct)
        changed = True
        while changed:
            changed = False
            for number, reached in enumerate(into):
                wider, rest = reached, reached
                while rest:
                    low = rest & -rest
                    wider |= into[low.bit_length() - 1]
                    rest ^= low
                if wider != reached:
                    into[number] = wider
                    changed = True
        return into

    # -------------------------------------------------------------------------------------------- what was found

    def path(self, state: int) -> list[tuple[int, Move]]:
        """The moves to a state, each with the state before it."""
        found: list[tuple[int, Move]] = []
        step = self.came[state]
        while step is not None:
            found.append((step.before, step.move))
            step = self.came[step.before]
        return found[::-1]

    def livelocks(self) -> list[int]:
        """The states from which no terminal state can be reached without a further fault, in the order of their finding."""
        before: dict[int, list[int]] = {}
        for state, targets in self.free.items():
            for target in targets:
                before.setdefault(target, []).append(state)
        ending = set(self.terminals)
        stack = list(self.terminals)
        while stack:
            for state in before.get(stack.pop(), ()):
                if state not in ending:
                    ending.add(state)
                    stack.append(state)
        return [state for state in self.free if state not in ending]

    def leading_to(self, aims: set[int]) -> set[int]:
        """The states from which free moves lead to one of those, these included."""
        before: dict[int, list[int]] = {}
        for state, targets in self.free.items():
            for target in targets:
                before.setdefault(target, []).append(state)
        found, stack = set(aims), sorted(aims)
        while stack:
            for state in before.get(stack.pop(), ()):
                if state not in found:
                    found.add(state)
                    stack.append(state)
        return found

    def onwards(self, start: int, aims: set[int], within: set[int]) -> list[tuple[int, Move]]:
        """A shortest way of free moves from a state to one of those, among the states `within`."""
        came: dict[int, tuple[int, Move] | None] = {start: None}
        queue = [start]
        for state in queue:
            if state in aims:
                path: list[tuple[int, Move]] = []
                step = came[state]
                while step is not None:
                    path.append(step)
                    step = came[step[0]]
                return path[::-1]
            for move in self.space.moves(state):
                if not move.price and move.target in within and move.target not in came:
                    came[move.target] = (state, move)
                    queue.append(move.target)
        return []

    def traps(self) -> list[int]:
        """One state of each part of the free graph that never comes to rest and cannot be left, earliest first (after Tarjan)."""
        states = self.livelocks()
        number: dict[int, int] = {}
        low: dict[int, int] = {}
        component: dict[int, int] = {}
        order: list[int] = []
        leaving: set[int] = set()
        for root in states:
            if root in number:
                continue
            work = [(root, iter(self.free[root]))]
            number[root] = low[root] = len(number)
            order.append(root)
            while work:
                state, targets = work[-1]
                for target in targets:
                    if target not in number:
                        number[target] = low[target] = len(number)
                        order.append(target)
                        work.append((target, iter(self.free.get(target, ()))))
                        break
                    if target not in component:
                        low[state] = min(low[state], number[target])
                else:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[state])
                    if low[state] == number[state]:
                        while True:
                            one = order.pop()
                            component[one] = number[state]
                            if one == state:
                                break
        for state in states:
            if any(component.get(target) != component[state] for target in self.free[state]):
                leaving.add(component[state])
        found: dict[int, int] = {}
        for state in states:
            if component[state] not in leaving:
                found.setdefault(component[state], state)
        return list(found.values())

    def cycle(self, state: int) -> list[tuple[int, Move]]:
        """A shortest cycle of free moves among the states that follow one that never ends."""
        came: dict[int, tuple[int, Move]] = {}
        frontier = [state]
        seen = {state}
        while frontier:
            following: list[int] = []
            for one in frontier:
                for move in self.space.moves(one):
                    if move.price:
                        continue
                    if move.target == one or self._is_behind(one, move.target, came):
                        steps = [(one, move)]
                        while steps[0][0] != move.target:
                            steps.insert(0, came[steps[0][0]])
                        return steps
                    if move.target not in seen:
                        seen.add(move.target)
                        came[move.target] = (one, move)
                        following.append(move.target)
            frontier = following
        return []

    @staticmethod
    def _is_behind(state: int, target: int, came: dict[int, tuple[int, Move]]) -> bool:
        while state != target and state in came:
            state = came[state][0]
        return state == target


def _sends_to(space: Space, number: int) -> list[int]:
    """By local state: the components that a component may send to from there on, as bit sets."""
    component = space.tables.components[number]
    kinds = space.tables.kinds
    direct = []
    for rows, acts in zip(component.rows, component.acts, strict=True):
        emits = {kind for group in rows.values() for row in group for kind in row.emits}
        emits.update(kind for act in acts for kind in act.emits)
        direct.append(bits(kinds[kind].to for kind in sorted(emits)))
    result = []
    for reachable in reach(component):
        sends, local = 0, 0
        while reachable:
            if reachable & 1:
                sends |= direct[local]
            reachable >>= 1
            local += 1
        result.append(sends)
    return result
