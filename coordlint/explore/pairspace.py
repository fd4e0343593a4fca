"""The states and moves of two runs side by side, and of each run alone as far as it concerns the other.

Each run has its own quiet moments: a late timer fires when nothing useful is in flight in its own run, whatever the other one
does. The runs meet only at observers and locks, so that the moves of one alone are computed once for all states of the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.space import MOST, QUEUE_BITS, Move, Space
from coordlint.explore.tables import Act, Row, bits, gathered

if TYPE_CHECKING:
    from coordlint.explore.coupling import Coupled

SHARED = 2
"""The number of what belongs to neither run."""


class PairSpace(Space):
    """The states and moves of a pair scene, without a reduction beyond R2.

    Args:
        coupled: the pair.
        inert: apply R2.
        without: faults that do not happen.
    """

    def __init__(self, coupled: Coupled, *, inert: bool = True, without: frozenset[str] = frozenset()) -> None:
        self.coupled = coupled
        first, second = coupled.sizes
        self.runs = [0] * first + [1] * second + [SHARED] * (len(coupled.tables.components) - first - second)
        self._blind: dict[int, Row] = {}
        super().__init__(coupled.tables, inert=inert, persistent=False, without=without)

    def deliveries(self, state: int, kind: int, *, overtaking: bool = False) -> list[Move]:
        """The deliveries of a kind; a read for which nobody waits any more is not used, and nobody is told of it."""
        moves: list[Move] = []
        self._deliver(state, kind, moves, False, overtaking=overtaking)
        asker = self.coupled.askers.get(kind)
        if asker is None or self.local(state, asker[0]) in asker[1]:
            return moves
        return [self._unused(move) for move in moves]

    def _unused(self, move: Move) -> Move:
        looks = self.coupled.looks
        if not isinstance(move.choice, Row) or looks.isdisjoint(move.choice.emits):
            return move
        target = move.target
        for kind in looks.intersection(move.choice.emits):
            target &= ~(MOST << self.places[kind])
        return move._replace(target=target, choice=self.blind(move.choice))

    def blind(self, row: Row) -> Row:
        """The row without what it tells of reads."""
        if id(row) not in self._blind:
            self._blind[id(row)] = row._replace(emits=tuple(one for one in row.emits if one not in self.coupled.looks))
        return self._blind[id(row)]

    def moves(self, state: int, *, calm: bool = False) -> list[Move]:
        """What can happen next, in a fixed order; if calm, without faults."""
        for kind in self.flight(state):
            if self.tables.kinds[kind].urgent:
                return self.deliveries(state, kind)
        found = [move for run in (0, 1) for move in self.moves_of(state, run)]
        return [move for move in found if not (calm and move.price)]

    def moves_of(self, state: int, run: int) -> list[Move]:
        """What one run can do next; nobody is to be told anything at once."""
        kinds, owners = self.tables.kinds, self.coupled.owners
        found: list[Move] = []
        for kind in self.flight(state):
            if owners[kind] == run:
                found += self.deliveries(state, kind)
        busy = bool(found)
        for number in range(self.tables.queues):
            for position, kind in enumerate(dict.fromkeys(self.queue(state, number))):
                if owners[kind] == run and (
                    position == 0 or (kinds[kind].overtakes and "overtake" not in self.without)
                ):
                    moves = self.deliveries(state, kind, overtaking=position > 0)
                    found += moves
                    busy = busy or (position == 0 and bool(moves))
        late: list[tuple[int, Move]] = []
        for number in self.acting:
            if self.runs[number] != run:
                continue
            local = self.local(state, number)
            for act in self.tables.components[number].acts[local]:
                if act.when in self.without or (act.when == "late" and busy):
                    continue
                target = self._emit(state + ((act.target - local) << self.offsets[number]), act.emits)
                move = Move(act.price, act.when, -1, number, act, self.norm(target))
                if act.when == "late":
                    late.append((act.depth, move))
                else:
                    found.append(move)
        deepest = max((depth for depth, _ in late), default=0)
        return found + [move for depth, move in late if depth == deepest]


class Stride(NamedTuple):
    """A move of one run alone.

    Attributes:
        price: in faults.
        move: as the space has it; its target is not to be used.
        target: the state of the run behind it.
        tells: the kinds that go to observers and locks at once, or the one request that a lock is to answer.
    """

    price: int
    move: Move
    target: int
    tells: tuple[int, ...]


class Runs:
    """The two runs, each alone: a state is that of the space with everything else at its beginning.

    Args:
        space: the space of both.
        relevant: forget what can no longer reach an observer or lock (R6). What observers and locks come to is preserved,
            the ends of the runs are not.
    """

    def __init__(self, space: PairSpace, *, relevant: bool = True) -> None:
        self.space = space
        self.relevant = relevant
        self.tables = space.tables
        self.kinds = space.tables.kinds
        self.fields = [self._fields(run) for run in (0, 1)]
        start = 0
        for number, component in enumerate(self.tables.components):
            start += component.initial << space.offsets[number]
        self._start = start
        self._into = [_sends_to(space, number) for number in range(len(self.tables.components))] if relevant else []
        self._strides: dict[tuple[int, int], tuple[Stride, ...]] = {}
        self._taken: dict[tuple[int, int, int], tuple[Stride, ...]] = {}
        self._left: dict[tuple[int, int], int] = {}
        self.initial = tuple(
            self._settled(
                space._emit(start, tuple(k for k in self.tables.initial if space.coupled.owners[k] == run)), run
            )
            for run in (0, 1)
        )

    def _fields(self, run: int) -> int:
        space = self.space
        found = 0
        for number, owner in enumerate(space.runs):
            found |= space.masks[number] << space.offsets[number] if owner == run else 0
        for kind, owner in enumerate(space.coupled.owners):
            if owner == run:
                found |= MOST << space.places[kind]
                queue = self.kinds[kind].queue
                found |= ((1 << QUEUE_BITS) - 1) << space.queue_offsets[queue] if queue >= 0 else 0
        return found

    # -------------------------------------------------------------------------------------------- moves

    def strides(self, state: int, run: int) -> tuple[Stride, ...]:
        """What a run can do next."""
        key = (state, run)
        if key not in self._strides:
            self._strides[key] = tuple(self._stride(state, run, move) for move in self.space.moves_of(state, run))
        return self._strides[key]

    def _stride(self, state: int, run: int, move: Move) -> Stride:
        space, choice = self.space, move.choice
        if move.kind >= 0 and space.runs[self.kinds[move.kind].to] == SHARED:
            target = state
            if move.what != "copy":
                queue = self.kinds[move.kind].queue
                target = (
                    space._taken(state, move.kind, None, move.what) if queue >= 0 else state - space.ones[move.kind]
                )
            tells = (move.kind,) if choice is not None else ()
            return Stride(move.price, move, self._settled(target, run), tells)
        target = move.target
        told = tuple(kind for kind in choice.emits if self.kinds[kind].urgent) if choice is not None else ()
        for kind in told:
            target &= ~(MOST << space.places[kind])
        return Stride(move.price, move, self._settled(target, run), told)

    def taken(self, state: int, run: int, kind: int) -> tuple[Stride, ...]:
        """What a run does with a message that a lock lets pass, at once."""
        key = (state, run, kind)
        if key not in self._taken:
            self._taken[key] = tuple(self._answers(state, run, kind))
        return self._taken[key]

    def _answers(self, state: int, run: int, kind: int) -> Iterator[Stride]:
        space = self.space
        to = self.kinds[kind].to
        local = space.local(state, to)
        asker = space.coupled.askers.get(kind)
        used = asker is None or space.local(state, asker[0]) in asker[1]
        for row in self.tables.components[to].rows[local].get(kind, ()):
            if row.price and row.fault in space.without:
                continue
            row = row if used else space.blind(row)
            again = (space.coupled.gates.get(kind, kind),) if row.keep else ()
            emits = tuple(one for one in row.emits if not self.kinds[one].urgent)
            target = space._emit(state + ((row.target - local) << space.offsets[to]), emits + again)
            tells = tuple(one for one in row.emits if self.kinds[one].urgent)
            move = Move(row.price, row.fault if row.price else "deliver", kind, to, row, target)
            yield Stride(row.price, move, self._settled(target, run), tells)

    # -------------------------------------------------------------------------------------------- R6: relevance

    def _settled(self, state: int, run: int) -> int:
        state = self.space.norm(state)
        if not self.relevant:
            return state
        key = (state, run)
        if key not in self._left:
            self._left[key] = self._forget(state, run)
        return self._left[key]

    def _forget(self, state: int, run: int) -> int:
        """The state without the components that can no longer reach an observer or lock, or that nobody can reach any more."""
        space, coupled = self.space, self.space.coupled
        components = self.tables.components
        own = [number for number, owner in enumerate(space.runs) if owner == run]
        pending = [kind for kind in space.pending(state) if coupled.owners[kind] == run]
        reached = bits(self.kinds[kind].to for kind in pending)
        reached |= bits(number for number in own if components[number].acts[space.local(state, number)])
        if coupled.requests and not self.is_over(
            state, run
        ):  # a lock may keep one of its requests and let it pass later
            for request in coupled.requests.values():
                if request.run == run:
                    reached |= bits(self.kinds[one].to for one in (request.then, request.denied) if one >= 0)
        sends = {number: self._into[number][space.local(state, number)] for number in own}
        wide = 0
        while reached != wide:
            wide = reached
            for number in own:
                if reached >> number & 1:
                    reached |= sends[number]
        useful, wide = bits(number for number, owner in enumerate(space.runs) if owner == SHARED), 0
        while useful != wide:
            wide = useful
            for number in own:
                if sends[number] & useful:
                    useful |= 1 << number
        for number in own:
            if not (reached & useful) >> number & 1:
                gone = components[number].size - 1
                state += (gone - space.local(state, number)) << space.offsets[number]
                for kind in pending:
                    if self.kinds[kind].to == number:
                        state = self._dropped(state, kind)
        return state

    def is_over(self, state: int, run: int) -> bool:
        """Whether the workflow of a run has ended."""
        space = self.space
        half = space.coupled.halves[run]
        number, thread = next(one for one in half.threads.items() if one[1].process.workflow is half.scene.root)
        place = number + run * space.coupled.sizes[0]
        local = space.local(state, place)
        gone = space.tables.components[place].size - 1
        return local == gone or (local < len(thread.spots) and thread.spots[local].where[0] in {"done", "failed"})

    def _dropped(self, state: int, kind: int) -> int:
        queue = self.kinds[kind].queue
        if queue < 0:
            return state & ~(MOST << self.space.places[kind])
        kept = tuple(one for one in self.space.queue(state, queue) if one != kind)
        return self.space._store(state, queue, kept)

    # -------------------------------------------------------------------------------------------- both together

    def swapped(self, state: int) -> int:
        """The state of the other run that is its mirror image."""
        space, mirror = self.space, self.space.coupled.mirror
        assert mirror is not None
        size = space.coupled.sizes[0]
        found = self._start
        for number, owner in enumerate(space.runs):
            if owner != SHARED:
                twin = (number + size) % (2 * size)
                found += (space.local(state, number) - self.tables.components[twin].initial) << space.offsets[twin]
        for kind in space.flight(state):
            found += space.count(state, kind) << space.places[mirror.kinds[kind]]
        for number in range(self.tables.queues):
            content = tuple(mirror.kinds[kind] for kind in space.queue(state, number))
            if content:
                found = space._store(found, self.kinds[content[0]].queue, content)
        return found


def _sends_to(space: Space, number: int) -> list[int]:
    """By local state: the components that a component may send to from there on, as bit sets."""
    component = space.tables.components[number]
    kinds = space.tables.kinds
    direct, after = [], []
    for rows, acts in zip(component.rows, component.acts, strict=True):
        choices: list[Row | Act] = [row for group in rows.values() for row in group]
        choices += acts
        direct.append(bits(kinds[kind].to for choice in choices for kind in choice.emits))
        after.append(sorted({choice.target for choice in choices}))
    return gathered(after, direct)
