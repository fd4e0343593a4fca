"""The moves of two runs side by side: one of them moves, observers and locks hear of it, and runs take at once what locks let pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from coordlint.explore.pairspace import Stride
from coordlint.explore.space import Move
from coordlint.explore.tables import Row

if TYPE_CHECKING:
    from coordlint.explore.coupling import Coupled

State = tuple[int, int, tuple[int, ...]]
"""The states of the two runs, and the local states of observers and locks."""

Heard = tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]

ANY = 99
"""More faults than anybody looks at."""


class View(Protocol):
    """Two runs, each alone: as they are, or condensed."""

    @property
    def initial(self) -> tuple[int, int]:
        """Where they begin."""

    def strides(self, state: int, run: int) -> Sequence[Stride]:
        """What a run can do next."""

    def taken(self, state: int, run: int, kind: int) -> Sequence[Stride]:
        """What a run does with a message that a lock lets pass, at once."""

    def lowered(self, state: int, level: int) -> int:
        """The state when only so many faults are left."""

    def swapped(self, state: int) -> int:
        """The state of the other run that is its mirror image."""


class Turn(NamedTuple):
    """A move in a state of both.

    Attributes:
        run: who moves.
        stride: how.
        price: in faults.
        moves: the move, with the answer of a lock if one is asked, and what happens at once because of that answer.
        told: what observers and locks hear of each of these.
        target: the state behind it.
        alarms: the observers that it alarms, by component, each with the kind that does.
    """

    run: int
    stride: Stride
    price: int
    moves: tuple[Move, ...]
    told: tuple[tuple[int, ...], ...]
    target: State
    alarms: tuple[tuple[int, int], ...] = ()


class Product:
    """Two runs side by side.

    Args:
        coupled: the pair.
        view: each of them alone.
        symmetric: apply R5 if the two runs are mirror images.

    Attributes:
        level: how many faults are left.
        initial: where both begin.
    """

    def __init__(self, coupled: Coupled, view: View, *, symmetric: bool) -> None:
        self.coupled = coupled
        self.view = view
        self.symmetric = symmetric and coupled.mirror is not None
        self.level = ANY
        self.first = sum(coupled.sizes)
        self.shared = coupled.tables.components[self.first :]
        self._waiting = [
            (number - self.first, [[coupled.requests[kind].run for kind in held.waiting] for held in states])
            for number, (_, states) in coupled.locks.items()
        ]
        self._told: dict[tuple[tuple[int, ...], tuple[int, ...]], Heard] = {}
        self._swaps: dict[int, int] = {}
        self.initial: State = self.canonical((*view.initial, (0,) * len(self.shared)))

    def moves(self, state: State) -> list[Turn]:
        """All moves."""
        return [turn for run in (0, 1) for turn in self.moves_of(state, run)]

    def moves_of(self, state: State, run: int) -> list[Turn]:
        """The moves of one run."""
        strides = self._strides(state, run)
        return [turn for one in strides if one.price <= self.level for turn in self._turns(state, run, one)]

    def _strides(self, state: State, run: int) -> Sequence[Stride]:
        return self.view.strides(state[1] if run else state[0], run)

    def is_alone(self, state: State, run: int) -> bool:
        """Whether a run can move, nobody hears of its next moves, and the other one can bring it nothing before them."""
        strides = self._strides(state, run)
        # When the other run ends, locks let pass what waits.
        return bool(strides) and not any(one.tells for one in strides) and not self._waits(state, run)

    def _waits(self, state: State, run: int) -> bool:
        return any(run in waiting[state[2][number]] for number, waiting in self._waiting)

    def _turns(self, state: State, run: int, stride: Stride) -> Iterator[Turn]:
        """What comes of a stride: one turn, or one for each way in which handlers answer whom a lock lets pass."""
        states = (stride.target, state[1]) if run == 0 else (state[0], stride.target)
        move = stride.move
        if move.kind in self.coupled.requests:
            row = self._row(state[2], move.kind)
            move = move._replace(what=move.what if row is not None or move.price else "drop", choice=row)
        first = Turn(run, stride, stride.price, (move,), (stride.tells,), (*states, state[2]))
        for turn in self._heard(first, stride.tells, ()):
            if turn.price <= self.level:
                yield turn._replace(target=self.lowered(turn.target, self.level - turn.price))

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
        for stride in self.view.taken((one, two)[to], to, kind):
            target = (stride.target, two, shared) if to == 0 else (one, stride.target, shared)
            after = turn._replace(
                price=turn.price + stride.price,
                moves=(*turn.moves, stride.move),
                told=(*turn.told, stride.tells),
                target=target,
            )
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

    def lowered(self, state: State, level: int) -> State:
        """The state when only so many faults are left."""
        lowered = self.view.lowered
        return self.canonical((lowered(state[0], level), lowered(state[1], level), state[2]))

    # -------------------------------------------------------------------------------------------- R5: symmetry

    def canonical(self, state: State) -> State:
        """Of two mirror images always the same one."""
        return min(state, self.mirrored(state)) if self.symmetric else state

    def mirrored(self, state: State) -> State:
        """The state in which the two runs have changed places."""
        assert self.coupled.mirror is not None
        shared = [0] * len(self.shared)
        for number, (twin, locals_) in enumerate(self.coupled.mirror.shared):
            shared[twin - self.first] = locals_[state[2][number]]
        return self._swapped(state[1]), self._swapped(state[0]), tuple(shared)

    def _swapped(self, state: int) -> int:
        if state not in self._swaps:
            self._swaps[state] = self.view.swapped(state)
        return self._swaps[state]
