"""The search of a pair scene: by the number of faults first and by length second, over the states of two runs and what they share.

Reductions: R1 (first visit with the fewest faults), R2 and R6 within each run, R4 between them (a run whose next moves tell
nobody anything goes first, unless the other can interfere), R5 (two runs of one workflow are interchangeable), R7 (states of a
run that nobody can tell apart are one).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.condensed import Condensed, Ways
from coordlint.explore.pairspace import PairSpace, Runs
from coordlint.explore.product import ANY, Product, State, Turn, View
from coordlint.explore.retrace import retraced

if TYPE_CHECKING:
    from coordlint.explore.coupling import Coupled


class Came(NamedTuple):
    """How a state was reached first."""

    before: State
    turn: Turn


class Hit(NamedTuple):
    """The first way to something that was looked for, and its number of faults."""

    turns: tuple[Turn, ...]
    layer: int


class Duel:
    """One search, for each number of faults from the beginning: what can be told apart depends on how many are left.

    Args:
        coupled: the pair.
        limit: give up when more states than that are known, of each run and of both.
        without: faults that do not happen.
        persistent: apply R4.
        symmetric: apply R5 where the two runs are mirror images.
        relevant: apply R6.
        condensed: apply R7.

    Attributes:
        came: how each known state was reached; None for the first one.
        layers: the layer of each known state.
        free: where free moves lead from each state that was visited.
        alarms: the first way to alarm each observer, by component.
        deadlock: the first way to where both wait for each other's locks, and nothing but a fault helps.
        complete: the number of faults up to which the search is complete; -1 if not even without any.
        cut: the limit was reached.
    """

    def __init__(
        self, coupled: Coupled, limit: int = 2_000_000, *, without: frozenset[str] = frozenset(),
        persistent: bool = True, symmetric: bool = True, relevant: bool = True, condensed: bool = True,
    ) -> None:  # fmt: skip
        self.coupled = coupled
        self.limit = limit
        self.persistent = persistent
        self.symmetric = symmetric and coupled.mirror is not None
        self.space = PairSpace(coupled, without=without)
        self.runs = Runs(self.space, relevant=relevant)
        self.plain = Product(coupled, self.runs, symmetric=False)
        self.first = self.plain.first
        self.product = self.plain
        self._ways = (Ways(self.runs, 0), Ways(self.runs, 1)) if condensed else None
        self._condensed: Condensed | None = None
        self._budget = 0
        self._silent: dict[int, int] = {}
        self._whole = False
        self.came: dict[State, Came | None] = {}
        self.layers: dict[State, int] = {}
        self.free: dict[State, list[State]] = {}
        self.alarms: dict[int, Hit] = {}
        self.deadlock: Hit | None = None
        self.complete = -1
        self.cut = False
        self._known: dict[State, State] = {}
        self._fresh: dict[int, tuple[State, Turn, int]] = {}

    @property
    def states(self) -> int:
        """How many states are known: of each run, and of both together."""
        return len(self.came) + sum(len(ways) for ways in self._ways or ())

    def _start(self, faults: int) -> bool:
        """Begin with so many faults; returns whether the runs alone are within the limit."""
        self._budget = faults
        self.came, self.layers, self.free = {}, {}, {}
        self._known, self._fresh = {}, {}
        view: View = self.runs
        if self._ways is not None:
            for ways in self._ways:
                ways.extend(faults, self.limit - self.states)
                if ways.cut:
                    self.cut = True
                    return False
            mute = frozenset(number + self.first for number in self._silent)
            view = self._condensed = Condensed(self.runs, self._ways, faults, mute)
        self.product = Product(self.coupled, view, symmetric=self.symmetric)
        initial = self._muted(self.product.initial)
        self.came[initial] = None
        self.layers[initial] = 0
        return True

    def run(self, faults: int, *, whole: bool = False) -> Iterator[int]:
        """Search with up to that many faults; yields each number when the search is complete for it.

        Args:
            faults: the most faults.
            whole: otherwise observers that are alarmed are heard no more, and the search stops when nothing is left to be found.
        """
        self._whole = whole
        for budget in range(faults + 1):
            reached = self._search(budget) if self._start(budget) else -1
            for component, (before, turn, layer) in self._fresh.items():
                self.alarms[component] = Hit(tuple(self.lifted([*self.path(before), turn])), layer)
                self._mute(component)
            if len(self.coupled.locks) > 1 and self.deadlock is None:
                self.deadlock = self._deadlock()
            if reached < 0:
                return
            self.complete = min(reached, faults)
            yield budget
            if reached > budget or self._is_done():
                return

    def _is_done(self) -> bool:
        """Whether nothing is left to be found."""
        if self._whole or len(self._silent) < len(self.coupled.observers):
            return False
        return len(self.coupled.locks) < 2 or self.deadlock is not None

    def _search(self, budget: int) -> int:
        """Search layer after layer; returns the number of faults for which that is complete, or -1 if it stopped early."""
        start = list(self.came)
        later: list[dict[State, Came]] = [{}, {}]
        for layer in range(budget + 1):
            self.product.level = budget - layer
            found = list(start)
            frontier = start
            while frontier:
                following: list[State] = []
                for state in frontier:
                    self._visit(state, layer, following, later)
                if self.states > self.limit:
                    self.cut = True
                if self.cut or self._is_done():
                    return -1
                frontier = following
                found += following
            if layer == budget:
                break
            if not later[0] and not later[1]:
                return (
                    ANY  # there are no faults at all; states that are known only by other names may still differ later
                )
            self._lower(found, budget - layer - 1)
            start = []
            for state, step in later.pop(0).items():
                if state not in self.came and state not in self._known:
                    self.came[state] = step
                    self.layers[state] = layer + 1
                    start.append(state)
            later.append({})
        return budget

    def _lower(self, found: list[State], level: int) -> None:
        """With one fault less, the states that are known are known by other names."""
        if self._condensed is None:
            return
        before = self._known
        self._known = {}
        for state, first in (*before.items(), *zip(found, found, strict=True)):
            self._known.setdefault(self._muted(self.product.lowered(state, level)), first)

    def _visit(self, state: State, layer: int, following: list[State], later: list[dict[State, Came]]) -> None:
        came = self.came
        targets = self.free[state] = []
        for turn in self._moves(state):
            price = turn.price
            for component, _ in turn.alarms:
                known = self._fresh.get(component)
                if component not in self.alarms and (known is None or known[2] > layer + price):
                    self._fresh[component] = (state, turn, layer + price)
                    if not price:
                        self._mute(component)
            target = self._muted(turn.target)
            if price:
                if target not in came:
                    later[price - 1].setdefault(target, Came(state, turn))
                continue
            targets.append(self._known.get(target, target))
            if target not in came and target not in self._known:
                came[target] = Came(state, turn)
                self.layers[target] = layer
                following.append(target)

    def _mute(self, component: int) -> None:
        """Nothing more is to be learned from an observer that is alarmed as cheaply as can be; with R5, from both twins."""
        if self._whole:
            return
        for one in self._twins(component):
            rows = self.coupled.tables.components[one].rows
            self._silent[one - self.first] = next(local for local, group in enumerate(rows) if not group)

    def _twins(self, component: int) -> tuple[int, ...]:
        """An observer, and with R5 its mirror image."""
        mirror = self.coupled.mirror if self.symmetric else None
        return (component,) if mirror is None else (component, mirror.shared[component - self.first][0])

    def _muted(self, state: State) -> State:
        if not self._silent:
            return state
        shared = tuple(self._silent.get(number, local) for number, local in enumerate(state[2]))
        return self.product.canonical((state[0], state[1], shared))

    def _moves(self, state: State) -> list[Turn]:
        """The moves to look at: those of one run if that is enough (R4)."""
        if self.persistent:
            for run in (0, 1):
                if self.product.is_alone(state, run):
                    turns = self.product.moves_of(state, run)
                    # Against ignoring: the run must get on, or nothing is put off.
                    if any(not turn.price and self._is_new(turn.target) for turn in turns):
                        return turns
        return self.product.moves(state)

    def _is_new(self, state: State) -> bool:
        state = self._muted(state)
        return state not in self.came and state not in self._known

    # -------------------------------------------------------------------------------------------- what was found

    def _deadlock(self) -> Hit | None:
        resting = self.terminals() if self.cut else [*self.terminals(), *self.endless()]
        state = next((state for state in resting if len(self.coupled.blocked(state[2])) > 1), None)
        return None if state is None else Hit(tuple(self.lifted(self.path(state))), self.layers[state])

    def terminals(self) -> list[State]:
        """The states without a free move, in the order in which they were found."""
        return [state for state, targets in self.free.items() if not targets]

    def endless(self) -> list[State]:
        """The states from which no terminal state can be reached without a further fault."""
        before: dict[State, list[State]] = {}
        for state, targets in self.free.items():
            for target in targets:
                before.setdefault(target, []).append(state)
        stack = self.terminals()
        ending = set(stack)
        while stack:
            for state in before.get(stack.pop(), ()):
                if state not in ending:
                    ending.add(state)
                    stack.append(state)
        return [state for state in self.free if state not in ending]

    def path(self, state: State) -> list[Turn]:
        """The turns to a state; with R5, up to the mirror."""
        found: list[Turn] = []
        step = self.came[state]
        while step is not None:
            found.append(step.turn)
            step = self.came[step.before]
        return found[::-1]

    def lifted(self, turns: Sequence[Turn]) -> list[Turn]:
        """The turns of the runs as they are: each case keeps its number, and what nobody hears of is told too."""
        turns = self._straight(turns) if self.symmetric else list(turns)
        return turns if self._condensed is None else retraced(self.plain, self._condensed, turns)

    def _straight(self, turns: Sequence[Turn]) -> list[Turn]:
        """The turns with each case keeping its number, though mirror images were one in the search."""
        product = Product(self.coupled, self.product.view, symmetric=False)
        state = product.initial
        found: list[Turn] = []
        for wanted in turns:
            product.level = self._budget - sum(turn.price for turn in found)
            turn = next((turn for turn in product.moves(state) if self._is_image(turn, wanted)), None)
            if turn is None:
                raise AssertionError("a turn of the search has no counterpart")
            found.append(turn)
            state = turn.target
        return found

    def _is_image(self, one: Turn, wanted: Turn) -> bool:
        """Whether a turn is the wanted one, seen directly or in the mirror; observers that were muted by then do not count."""
        if one.price != wanted.price:
            return False
        shared = self.plain.shared
        silent = {n for n, local in enumerate(wanted.target[2]) if not shared[n].rows[local]}
        for component, _ in wanted.alarms:
            silent -= {number - self.first for number in self._twins(component)}
        for state in (one.target, self.product.mirrored(one.target)):
            alike = all(
                a == b for n, (a, b) in enumerate(zip(state[2], wanted.target[2], strict=True)) if n not in silent
            )
            if state[:2] == wanted.target[:2] and alike:
                return True
        return False

    def replayed(self, turns: Sequence[Turn]) -> list[Turn] | None:
        """The same moves from the beginning, as far as they are possible; None if one of them is not."""
        state = self.plain.initial
        found: list[Turn] = []
        for wanted in turns:
            turn = next((turn for turn in self.plain.moves(state) if _alike(turn, wanted)), None)
            if turn is None:
                return None
            found.append(turn)
            state = turn.target
        return found


def _alike(one: Turn, other: Turn) -> bool:
    """Whether the same is done, though locks may answer otherwise than before."""
    first, second = one.stride.move, other.stride.move
    if (one.run, first.what, first.kind, first.component) != (other.run, second.what, second.kind, second.component):
        return False
    if first.choice is not second.choice:
        return False
    taken, before = one.moves[1:], other.moves[1:]
    return len(taken) != len(before) or all(x.choice is y.choice for x, y in zip(taken, before, strict=True))
