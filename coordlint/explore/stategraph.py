"""Judges a scene from its complete state graph, as another engine has gone through it: what no single state shows.

Endless runs, flows that come to rest, messages that never make a difference, statements that never run. Nothing is reduced in
such a graph, and the number of faults is part of its states. The search of the own engine is not asked: only what it means for
a vector of local states to be an end is the same for both, and the words for what is found.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.tables import Act, Row
from coordlint.explore.violation import Violation
from coordlint.system import Flow

if TYPE_CHECKING:
    from coordlint.explore.judge import Judge
    from coordlint.explore.model import Model
    from coordlint.explore.silence import Wait
    from coordlint.explore.trail import Path


class Graph(NamedTuple):
    """The states that an engine went through, by number, with the moves between them as (number of the move, target).

    Attributes:
        moves: by state.
        initial: the first state of the scene.
    """

    moves: dict[int, list[tuple[int, int]]]
    initial: int


class Trap(NamedTuple):
    """A run without an end: the moves to where no end can be reached without a further fault, and the moves that repeat there."""

    way: list[int]
    cycle: list[int]


Believe = Callable[[Sequence[int]], "Path"]
"""Replays a run, given by the numbers of its moves, in the own engine; fails if it is not possible there."""


class StateGraph:
    """The states of a scene: how many faults each needs, its local states, what is possible in it.

    Args:
        graph: what the engine went through.
        model: what its numbers mean.
        start: the local states at the beginning.

    Attributes:
        faults: by state, in the order of the fewest faults, then of the fewest moves.
        locals: the local states by state.
        free: the moves without a price, by state.
        paid: the faults, by state.
        resting: the states without a free move.
    """

    def __init__(self, graph: Graph, model: Model, start: tuple[int, ...]) -> None:
        self.moves = model.moves
        self.initial = graph.initial
        self.locals = {graph.initial: start}
        self.free: dict[int, list[tuple[int, int]]] = {}
        self.paid: dict[int, list[tuple[int, int]]] = {}
        self._came: dict[int, tuple[int, int]] = {}
        faults = {graph.initial: 0}
        frontier = [graph.initial]
        for state in frontier:
            steps = [(number, target) for number, target in graph.moves[state] if number >= 0]
            self.free[state] = [step for step in steps if not self.moves[step[0]].price]
            self.paid[state] = [step for step in steps if self.moves[step[0]].price]
            for number, target in steps:
                if target not in faults:
                    move = self.moves[number]
                    locals_ = list(self.locals[state])
                    if move.choice is not None:
                        locals_[move.component] = move.choice.target
                    self.locals[target] = tuple(locals_)
                    faults[target] = faults[state] + move.price
                    self._came[target] = (state, number)
                    frontier.append(target)
        self.faults = dict(sorted(faults.items(), key=lambda one: one[1]))
        self.resting = [state for state in self.faults if not self.free[state]]

    def way(self, state: int) -> list[int]:
        """The moves to a state, by number."""
        return _back(self._came, state, self.initial)

    def leading_to(self, aims: Iterable[int]) -> set[int]:
        """The states from which free moves lead to one of those, these included."""
        before: dict[int, list[int]] = {}
        for state, steps in self.free.items():
            for _, target in steps:
                before.setdefault(target, []).append(state)
        stack = list(aims)
        found = set(stack)
        while stack:
            for state in before.get(stack.pop(), ()):
                if state not in found:
                    found.add(state)
                    stack.append(state)
        return found

    def onwards(self, start: int, aims: set[int]) -> list[int]:
        """The fewest free moves from a state to one of those."""
        came: dict[int, tuple[int, int]] = {}
        frontier = [start]
        for state in frontier:
            if state in aims:
                return _back(came, state, start)
            for number, target in self.free[state]:
                if target != start and target not in came:
                    came[target] = (state, number)
                    frontier.append(target)
        return []

    def without(self, left_out: Collection[int], ends: Callable[[tuple[int, ...]], bool]) -> list[int] | None:
        """The moves to a state of rest that is such an end, with the fewest faults and none of the moves that are left out."""
        came: dict[int, tuple[int, int]] = {}
        frontier = [self.initial]
        for state in frontier:
            for number, target in (*self.free[state], *self.paid[state]):
                if target != self.initial and target not in came and number not in left_out:
                    came[target] = (state, number)
                    frontier.append(target)
        found = [state for state in frontier if not self.free[state] and ends(self.locals[state])]
        best = min(found, key=self.faults.__getitem__, default=None)
        return None if best is None else _back(came, best, self.initial)

    @cached_property
    def omissions(self) -> set[int]:
        """The moves by which somebody who was asked does not answer."""
        return {number for number, move in enumerate(self.moves) if move.what == "omission"}

    @cached_property
    def silent(self) -> set[tuple[int, ...]]:
        """The local states in which everything rests after so few faults only if somebody who was asked does not answer."""
        least, answered = self._least(()), self._least(self.omissions)
        return {end for end, faults in least.items() if answered.get(end) != faults}

    def _least(self, left_out: Collection[int]) -> dict[tuple[int, ...], int]:
        """The fewest faults after which everything rests, by the local states in which it does, without some moves."""
        seen, todo = {self.initial}, [self.initial]
        found: dict[tuple[int, ...], int] = {}
        for state in todo:
            if not self.free[state]:
                end = self.locals[state]
                found[end] = min(found.get(end, self.faults[state]), self.faults[state])
            for number, target in (*self.free[state], *self.paid[state]):
                if target not in seen and number not in left_out:
                    seen.add(target)
                    todo.append(target)
        return found

    # -------------------------------------------------------------------------------------------- runs without an end

    def endless(self) -> Trap | None:
        """The run without an end that begins with the fewest faults, then moves; None if there is none."""
        ending = self.leading_to(self.resting)
        state = next((state for state in self.faults if state not in ending), None)
        if state is None:
            return None
        lead, cycle = self._cycle(state)
        return Trap([*self.way(state), *lead], cycle)

    def _cycle(self, start: int) -> tuple[list[int], list[int]]:
        """The moves to the nearest state that comes again, and those of its shortest cycle; the start is one that has no end."""
        behind: dict[int, tuple[int, int]] = {}
        frontier = [start]
        for one in frontier:
            came: dict[int, tuple[int, int]] = {}
            around = [one]
            for state in around:
                for number, target in self.free[state]:
                    if target == one:
                        return _back(behind, one, start), [*_back(came, state, one), number]
                    if target not in came:
                        came[target] = (state, number)
                        around.append(target)
            for number, target in self.free[one]:
                if target != start and target not in behind:
                    behind[target] = (one, number)
                    frontier.append(target)
        return [], []

    # -------------------------------------------------------------------------------------------- flows that come to rest

    def rests(self, judge: Judge, believe: Believe) -> Iterator[Violation]:
        """How a flow comes to rest short of its goals: as designed, or by a fault behind which no end can be reached any more."""
        flow = judge.compiled.scene.root
        if not isinstance(flow, Flow) or flow.success is None:
            return
        # Where a crash keeps an event from being published, a handler may wait for the answer that never comes.
        waiting = {
            waits: [s for s in self.resting if judge.is_forsaken(self.locals[s], waited_for=waits)]
            for waits in (False, True)
        }
        for state in waiting[False]:
            if self.faults[state] == 0:
                yield from judge.by_design(flow, self.locals[state], tuple(believe(self.way(state))))
        if not waiting[True]:
            return
        open_ = self.leading_to(state for state, locals_ in self.locals.items() if judge.has_ended(locals_))
        leading = {waits: self.leading_to(aims) for waits, aims in waiting.items()}
        blamed: dict[tuple[str, int, int], None] = {}
        least = max(self.faults.values())
        for state, faults in self.faults.items():
            if faults >= least:
                break
            if state not in open_:
                continue
            lost = {id(self.moves[n].choice) for n, target in self.free[state] if target not in open_}
            for number, target in self.paid[state]:
                move = self.moves[number]
                key = (move.what, move.component, move.kind)
                waits = move.what == "publish" and move.component in judge.compiled.parts
                if key in blamed or target in open_ or target not in leading[waits]:
                    continue
                if move.choice is not None and id(move.choice) in lost:
                    continue  # it would have come to this without the fault
                blamed[key] = None
                least = faults + 1
                way = self.way(state)
                path = believe([*way, number, *self.onwards(target, set(waiting[waits]))])
                yield judge.forsaken(flow, faults + 1, path[len(way)][1], tuple(path))

    # -------------------------------------------------------------------------------------------- silence

    def unanswered(self, judge: Judge, believe: Believe) -> Iterator[Violation]:
        """Waits for somebody who never answers: for each request the one that needs the fewest faults."""
        aims = judge.vain_ends((state, self.locals[state]) for state in self.resting)
        ways = {one: self.leading_to(ends) for one, ends in aims.items()}
        first: dict[int, tuple[int, Wait, int, int, int]] = {}
        for state, faults in self.faults.items():
            for number, target in self.paid[state]:
                move = self.moves[number]
                for asker, wait in aims if move.what == "omission" else ():
                    if judge.askers[move.kind] is asker and target in ways[asker, wait]:
                        known = first.get(move.kind)
                        if known is None or (faults, wait) < known[:2]:
                            first[move.kind] = faults, wait, state, number, target
        for kind, (faults, wait, state, number, target) in first.items():
            onwards = self.onwards(target, aims[judge.askers[kind], wait])
            path = tuple(believe([*self.way(state), number, *onwards]))
            for step in onwards:
                target = dict(self.free[target])[step]
            yield judge.vain(wait, faults + 1, path, self.moves[number].component, self.locals[target])

    # -------------------------------------------------------------------------------------------- what never happens

    def choices(self) -> list[Row | Act]:
        """The rows and acts that occur, in the order of their numbers."""
        passed = {number for steps in (self.free, self.paid) for some in steps.values() for number, _ in some}
        found = [self.moves[number].choice for number in sorted(passed)]
        return [choice for choice in found if choice is not None]

    def useful(self) -> Collection[int]:
        """The kinds of messages by which a component changes or that it answers, at least once."""
        found: set[int] = set()
        for steps in (self.free, self.paid):
            for state, some in steps.items():
                for number, _ in some:
                    move = self.moves[number]
                    if isinstance(move.choice, Row) and (
                        move.choice.emits or move.choice.target != self.locals[state][move.component]
                    ):
                        found.add(move.kind)
        return found


def _back(came: dict[int, tuple[int, int]], state: int, start: int) -> list[int]:
    """The moves from the start to a state."""
    found: list[int] = []
    while state != start:
        state, number = came[state]
        found.append(number)
    return found[::-1]
