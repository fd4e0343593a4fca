"""Search by the number of faults first and by length second, and what is found on the way.

A 0-1 breadth-first search (Dijkstra with prices 0 and 1): layer j holds the states that need j faults. A state reached with
fewer faults can do all that it can do with more (only the total is bounded), so its first visit is enough (R1). After every
layer a definite statement exists: complete for at most j faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from coordlint.explore.space import Fan, Move, Space
from coordlint.explore.tables import Act, Row


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
        aims: wrong local states, as (component, local state): the search ends where one of them is reached.

    Attributes:
        came: from where each known state was reached first.
        layers: the layer of each known state.
        silent: the states that so few faults only lead to if somebody who was asked does not answer.
        terminals: the states without a free move, in the order in which they were found.
        hits: the first move into each wrong local state, by component and local state.
        fired: the rows and acts that occurred, by identity, with the layer in which they did first.
        complete: the number of faults up to which the search is complete; -1 if not even without any.
        spared: with more faults nothing can go wrong, as somebody has proved, so that they were not looked at.
        restful: no run goes on for ever without faults, as somebody has proved.
        cut: the limit was reached.
    """

    def __init__(self, space: Space, limit: int = 2_000_000, aims: frozenset[tuple[int, int]] = frozenset()) -> None:
        self.space = space
        self.limit = limit
        self.aims = aims
        self.came: dict[int, int] = {}
        self.layers: dict[int, int] = {space.initial: 0}
        self.free: dict[int, list[int]] = {}
        self.silent: set[int] = set()
        self.terminals: list[int] = []
        self.hits: dict[tuple[int, int], Hit] = {}
        self.fired: dict[int, tuple[int, Row | Act]] = {}
        self.complete = -1
        self.spared = False
        self.restful = False
        self.cut = False
        self._noted: set[Fan] = set()
        self._tried: set[int] = set()
        self._open: list[tuple[int, Fan]] = []

    def run(self, faults: int) -> Iterator[int]:
        """Search all layers up to that many faults; yields each layer's number when it is complete."""
        frontier = [self.space.initial]
        for layer in range(faults + 1):
            known = len(self.layers)
            entering = self._faults()
            for silent in (False, True):
                for state, before in entering[silent].items():
                    if state not in self.layers:
                        self.layers[state] = layer
                        self.came[state] = before
                        frontier.append(state)
                while frontier:
                    if silent:
                        self.silent.update(frontier)
                    frontier = self._advance(frontier, layer, last=layer == faults)
                    if any(aim in self.hits and self.hits[aim].layer <= layer for aim in self.aims):
                        return
                    if len(self.layers) > self.limit:
                        self.cut = True
                        return
            if layer and len(self.layers) == known:
                self.complete = faults
                return
            self.complete = layer
            yield layer

    def _faults(self) -> tuple[dict[int, int], dict[int, int]]:
        """The states that one more fault leads to, each with the state before it: those on whose way everybody answers, then the rest.

        A layer is searched in this order, so that a state is silent only if it cannot be reached otherwise with so few faults.
        The states are only worked out if they are asked for.
        """
        layers, faults = self.layers, self.space.faults
        found: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for state, fan in self._open:
            after = state in self.silent
            for difference, move in zip(faults(fan, state), fan.paid, strict=True):
                target = state + difference
                into = found[after or move.what == "omission"]
                if target not in layers and target not in into:
                    into[target] = state
        self._open.clear()
        return found

    def _advance(self, frontier: list[int], layer: int, *, last: bool) -> list[int]:
        """Visit states; returns those that were reached from them for the first time without a further fault."""
        space, layers, came, noted = self.space, self.layers, self.came, self._noted
        following: list[int] = []
        for state in frontier:
            fan = space.fan(state, calm=last)
            if fan not in noted:
                self._note(fan, state, layer)
            self.free[state] = targets = [state + difference for difference in fan.free]
            for target in targets:
                if target not in layers:
                    layers[target] = layer
                    came[target] = state
                    following.append(target)
            if fan.paid:
                self._open.append((state, fan))
            if not targets:
                self.terminals.append(state)
        return following

    def _note(self, fan: Fan, state: int, layer: int) -> None:
        """Keep what moves show that are tried for the first time; the same moves from elsewhere show nothing new."""
        self._noted.add(fan)
        for move in fan.moves:
            if id(move) in self._tried:
                continue
            self._tried.add(id(move))
            choice = move.choice
            if choice is None:
                continue
            faults = layer + move.price
            known = self.fired.get(id(choice))
            if known is None or faults < known[0]:
                self.fired[id(choice)] = (faults, choice)
            if choice.error:
                hit = self.hits.get((move.component, choice.target))
                if hit is None or faults < hit.layer:
                    same = next(one for one in self.space.moves(state) if one[:3] == move[:3] and one.choice is choice)
                    self.hits[move.component, choice.target] = Hit(state, same, faults)

    # -------------------------------------------------------------------------------------------- what was found

    def path(self, state: int) -> list[tuple[int, Move]]:
        """The moves to a state, each with the state before it."""
        found: list[tuple[int, Move]] = []
        while state in self.came:
            before = self.came[state]
            price = self.layers[state] - self.layers[before]
            moves = [m for m in self.space.moves(before) if m.target == state and m.price == price]
            found.append((before, next((m for m in moves if m.what != "omission"), moves[0])))
            state = before
        return found[::-1]

    def way(self, hit: Hit) -> list[tuple[int, Move]]:
        """The moves to a wrong local state, each with the state before it, without those that it does not follow from.

        A persistent set may let others go on first. What a move follows from is what its component did before, and the sending
        of what it takes; a late timer follows from all before it, because nothing useful must be left.
        """
        path = [*self.path(hit.before), (hit.before, hit.move)]
        causes: list[Move] = []
        components: set[int] = set()
        kinds: set[int] = set()
        calm = False
        for _, move in reversed(path):
            emits = move.choice.emits if move.choice is not None else ()
            if calm or not causes or move.component in components or not kinds.isdisjoint(emits):
                causes.append(move)
                components.add(move.component)
                kinds.add(move.kind)
                calm = calm or move.what == "late"
        shorter: list[tuple[int, Move]] = []
        state = self.space.initial
        for wanted in reversed(causes):
            for move in self.space.moves(state):
                if move[1:5] == wanted[1:5] and move.choice is wanted.choice:
                    shorter.append((state, move))
                    state = move.target
                    break
            else:
                return path
        return shorter

    def livelocks(self) -> list[int]:
        """The states from which no terminal state can be reached without a further fault, in the order of their finding."""
        if self.restful:
            return []
        ending = set(self.terminals)
        left: list[int] = []
        for state, targets in reversed(self.free.items()):  # mostly what follows a state was found later
            if state in ending or not ending.isdisjoint(targets):
                ending.add(state)
            else:
                left.append(state)
        before: dict[int, list[int]] = {}
        for state in left:
            for target in self.free[state]:
                before.setdefault(target, []).append(state)
        todo = [target for target in before if target in ending]
        while todo:
            for state in before.get(todo.pop(), ()):
                if state not in ending:
                    ending.add(state)
                    todo.append(state)
        return [state for state in self.free if state not in ending] if left else []

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
