"""The search of a pair scene: by the number of faults first and by length second, over the states of two runs and what they share.

Reductions: R1 (first visit with the fewest faults), R2 and R6 within each run, R4 between them (a run whose next moves tell
nobody anything goes first, unless the other can interfere), R5 (two runs of one workflow are interchangeable).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.pairspace import PairSpace, Runs, Stride
from coordlint.explore.space import Move
from coordlint.explore.tables import Row

if TYPE_CHECKING:
    from coordlint.explore.coupling import Coupled

State = tuple[int, int, tuple[int, ...]]
"""The states of the two runs, and the local states of observers and locks."""

Heard = tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]


class Turn(NamedTuple):
    """A move in a state of both.

    Attributes:
        run: who moves.
        stride: how.
        price: in faults.
        moves: the move, with the answer of a lock if one is asked, and what happens at once because of that answer.
        target: the state behind it.
        alarms: the observers that it alarms, by component, each with the kind that does.
    """

    run: int
    stride: Stride
    price: int
    moves: tuple[Move, ...]
    target: State
    alarms: tuple[tuple[int, int], ...] = ()


class Came(NamedTuple):
    """How a state was reached first."""

    before: State
    turn: Turn
    layer: int


class Alarm(NamedTuple):
    """The first turn that alarms an observer: from where, which, and with how many faults."""

    before: State
    turn: Turn
    layer: int


class Duel:
    """One search, layer after layer.

    Args:
        coupled: the pair.
        limit: give up when more states than that are known.
        without: faults that do not happen.
        persistent: apply R4.
        symmetric: apply R5 where the two runs are mirror images.
        relevant: apply R6.

    Attributes:
        came: how each known state was reached; None for the first one.
        layers: the layer of each known state.
        alarms: the first move that alarms each observer, by component.
        complete: the number of faults up to which the search is complete; -1 if not even without any.
        cut: the limit was reached.
    """

    def __init__(
        self, coupled: Coupled, limit: int = 2_000_000, *, without: frozenset[str] = frozenset(),
        persistent: bool = True, symmetric: bool = True, relevant: bool = True,
    ) -> None:  # fmt: skip
        self.coupled = coupled
        self.limit = limit
        self.persistent = persistent
        self.mirror = coupled.mirror if symmetric else None
        self.space = PairSpace(coupled, without=without)
        self.runs = Runs(self.space, relevant=relevant)
        self.first = sum(coupled.sizes)
        self.shared = coupled.tables.components[self.first :]
        self._waiting = [
            (number - self.first, [[coupled.requests[kind].run for kind in held.waiting] for held in states])
            for number, (_, states) in coupled.locks.items()
        ]
        self._told: dict[tuple[tuple[int, ...], tuple[int, ...]], Heard] = {}
        self._swaps: dict[int, int] = {}
        self._silent: dict[int, int] = {}
        self._whole = False
        first = (*self.runs.initial, (0,) * len(self.shared))
        self.initial: State = self.canonical(first)  # type: ignore[arg-type]
        self.came: dict[State, Came | None] = {self.initial: None}
        self.layers: dict[State, int] = {self.initial: 0}
        self.free: dict[State, list[State]] = {}
        self.alarms: dict[int, Alarm] = {}
        self.complete = -1
        self.cut = False

    def run(self, faults: int, *, whole: bool = False) -> Iterator[int]:
        """Search all layers up to that many faults; yields each layer's number when it is complete.

        Args:
            faults: the most faults.
            whole: otherwise observers that are alarmed are heard no more, and the search stops when nothing is left to be found.
        """
        self._whole = whole
        start = [self.initial]
        for layer in range(faults + 1):
            later: dict[State, Came] = {}
            frontier = start
            for component in self.alarms:
                self._mute(component)
            while frontier:
                following: list[State] = []
                for state in frontier:
                    self._visit(state, layer, following, later, last=layer == faults)
                if not whole and len(self._silent) == len(self.coupled.observers) and len(self.coupled.locks) < 2:
                    return
                if len(self.came) > self.limit:
                    self.cut = True
                    return
                frontier = following
            self.complete = layer
            yield layer
            start = []
            for state, step in later.items():
                if state not in self.came:
                    self.came[state] = step
                    self.layers[state] = layer + 1
                    start.append(state)
            if not start:
                self.complete = faults
                return

    def _visit(self, state: State, layer: int, following: list[State], later: dict[State, Came], *, last: bool) -> None:
        came = self.came
        targets = self.free[state] = []
        for turn in self._moves(state):
            price = turn.price
            if price and last:
                continue
            for component, _ in turn.alarms:
                known = self.alarms.get(component)
                if known is None or known.layer > layer + price:
                    self.alarms[component] = Alarm(state, turn, layer + price)
                    if not price:
                        self._mute(component)
            target = self._muted(turn.target)
            if not price:
                targets.append(target)
                if target not in came:
                    came[target] = Came(state, turn, layer)
                    self.layers[target] = layer
                    following.append(target)
            elif target not in came and target not in later:
                later[target] = Came(state, turn, layer + 1)

    def _mute(self, component: int) -> None:
        """Nothing more is to be learned from an observer that is alarmed as cheaply as can be; with R5, from both twins."""
        if self._whole:
            return
        twins = [component]
        if self.mirror is not None:
            twins.append(self.mirror.shared[component - self.first][0])
        for one in twins:
            rows = self.coupled.tables.components[one].rows
            self._silent[one - self.first] = next(local for local, group in enumerate(rows) if not group)

    def _muted(self, state: State) -> State:
        if not self._silent:
            return state
        shared = tuple(self._silent.get(number, local) for number, local in enumerate(state[2]))
        return self.canonical((state[0], state[1], shared))

    # -------------------------------------------------------------------------------------------- moves

    def _moves(self, state: State) -> list[Turn]:
        """The moves to look at: those of one run if that is enough (R4)."""
        if self.persistent:
            for run in (0, 1):
                strides = self.runs.strides(state[0] if run == 0 else state[1], run)
                if strides and not any(one.tells for one in strides) and not self._waits(state, run):
                    turns = [turn for one in strides for turn in self._turns(state, run, one)]
                    # Against ignoring: the run must get on, or nothing is put off.
                    if any(not turn.price and self._muted(turn.target) not in self.came for turn in turns):
                        return turns
        return self.moves(state)

    def moves(self, state: State) -> list[Turn]:
        """All moves."""
        return [
            turn
            for run in (0, 1)
            for one in self.runs.strides(state[0] if run == 0 else state[1], run)
            for turn in self._turns(state, run, one)
        ]

    def _waits(self, state: State, run: int) -> bool:
        """Whether the other run may bring something to this one: when it ends, locks let pass what waits."""
        return any(run in waiting[state[2][number]] for number, waiting in self._waiting)

    def _turns(self, state: State, run: int, stride: Stride) -> Iterator[Turn]:
        """What comes of a stride: one turn, or one for each way in which handlers answer whom a lock lets pass."""
        states = (stride.target, state[1]) if run == 0 else (state[0], stride.target)
        if not stride.tells:
            yield Turn(run, stride, stride.price, (stride.move,), self.canonical((*states, state[2])))
            return
        move = stride.move
        if move.kind in self.coupled.requests:
            move = move._replace(choice=self._row(state[2], move.kind))
        first = Turn(run, stride, stride.price, (move,), (*states, state[2]))
        for turn in self._heard(first, stride.tells, ()):
            if turn.price <= 1:
                yield turn._replace(target=self.canonical(turn.target))

    def _heard(self, turn: Turn, tells: tuple[int, ...], sent: tuple[int, ...]) -> Iterator[Turn]:
        """Observers and locks hear something, and then runs take what locks let pass."""
        one, two, shared = turn.target
        if tells:
            key = (shared, tells)
            if key not in self._told:
                self._told[key] = self._tell(*key)
            shared, more, alarms = self._told[key]
            sent += more
            turn = turn._replace(target=(one, two, shared), alarms=turn.alarms + alarms)
        if not sent:
            yield turn
            return
        kind, rest = sent[0], sent[1:]
        to = self.coupled.owners[kind]
        for stride in self.runs.taken((one, two)[to], to, kind):
            target = (stride.target, two, shared) if to == 0 else (one, stride.target, shared)
            after = turn._replace(price=turn.price + stride.price, moves=(*turn.moves, stride.move), target=target)
            yield from self._heard(after, stride.tells, rest)

    def _row(self, shared: tuple[int, ...], kind: int) -> Row | None:
        number = self.coupled.tables.kinds[kind].to - self.first
        rows = self.shared[number].rows[shared[number]].get(kind, ())
        return rows[0] if rows else None

    def _tell(self, shared: tuple[int, ...], tells: tuple[int, ...]) -> Heard:
        """What observers and locks make of something: their states, the messages to runs, and the alarms."""
        locals_ = list(shared)
        sent: list[int] = []
        alarms: list[tuple[int, int]] = []
        todo = list(tells)
        for kind in todo:
            number = self.coupled.tables.kinds[kind].to - self.first
            for row in self.shared[number].rows[locals_[number]].get(kind, ()):
                locals_[number] = row.target
                if row.error:
                    alarms.append((number + self.first, kind))
                # A request that passes one lock asks the next one at once.
                todo += [one for one in row.emits if one in self.coupled.requests]
                sent += [one for one in row.emits if one not in self.coupled.requests]
        return tuple(locals_), tuple(sent), tuple(alarms)

    # -------------------------------------------------------------------------------------------- R5: symmetry

    def canonical(self, state: State) -> State:
        """Of two mirror images always the same one."""
        return state if self.mirror is None else min(state, self.mirrored(state))

    def mirrored(self, state: State) -> State:
        """The state in which the two runs have changed places."""
        assert self.coupled.mirror is not None
        shared = [0] * len(self.shared)
        for number, (twin, locals_) in enumerate(self.coupled.mirror.shared):
            shared[twin - self.first] = locals_[state[2][number]]
        return self._swapped(state[1]), self._swapped(state[0]), tuple(shared)

    def _swapped(self, state: int) -> int:
        if state not in self._swaps:
            self._swaps[state] = self.runs.swapped(state)
        return self._swaps[state]

    # -------------------------------------------------------------------------------------------- what was found

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
        """The turns to a state with each case keeping its number, though mirror images were one in the search."""
        if self.mirror is None:
            return list(turns)
        mirror, self.mirror = self.mirror, None
        state: State = (*self.runs.initial, (0,) * len(self.shared))  # type: ignore[assignment]
        found: list[Turn] = []
        try:
            for wanted in turns:
                turn = next((turn for turn in self.moves(state) if self._is_image(turn, wanted)), None)
                if turn is None:
                    raise AssertionError("a turn of the search has no counterpart")
                found.append(turn)
                state = turn.target
        finally:
            self.mirror = mirror
        return found

    def _is_image(self, one: Turn, wanted: Turn) -> bool:
        """Whether a turn is the wanted one, seen directly or in the mirror; observers that were muted by then do not count."""
        if (one.stride.move.what, one.price) != (wanted.stride.move.what, wanted.price):
            return False
        silent = {n for n, local in enumerate(wanted.target[2]) if not self.shared[n].rows[local]}
        silent -= {component - self.first for component, _ in wanted.alarms}
        for state in (one.target, self.mirrored(one.target)):
            alike = all(
                a == b for n, (a, b) in enumerate(zip(state[2], wanted.target[2], strict=True)) if n not in silent
            )
            if state[:2] == wanted.target[:2] and alike:
                return True
        return False

    def replayed(self, turns: Sequence[Turn]) -> list[Turn] | None:
        """The same moves from the beginning, as far as they are possible; None if one of them is not."""
        mirror, self.mirror = self.mirror, None
        state: State = (*self.runs.initial, (0,) * len(self.shared))  # type: ignore[assignment]
        found: list[Turn] = []
        try:
            for wanted in turns:
                turn = next((turn for turn in self.moves(state) if _alike(turn, wanted)), None)
                if turn is None:
                    return None
                found.append(turn)
                state = turn.target
        finally:
            self.mirror = mirror
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
