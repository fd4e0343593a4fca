"""The states and moves of two runs side by side, and of each run alone as far as it concerns the other.

Each run has its own quiet moments: a late timer fires when nothing useful is in flight in its own run, whatever the other one
does. The runs meet only at observers and locks, so that the moves of one alone are computed once for all states of the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.space import MOST, Move, Space
from coordlint.explore.tables import Act, Row, bits, gathered, members

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
                move = Move(act.price, act.when, -1, number, act, self.norm(target, self.doubt(act, number, local)))
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
        start = 0
        for number, component in enumerate(self.tables.components):
            start += component.initial << space.offsets[number]
        self._start = start
        self._into = [_sends_to(space, number) for number in range(len(self.tables.components))] if relevant else []
        first, last = space.coupled.sizes[0], sum(space.coupled.sizes)
        self._own = [
            (own, [number for number in space.acting if number in own]) for own in (range(first), range(first, last))
        ]
        self._useful = bits(number for number, owner in enumerate(space.runs) if owner == SHARED)
        requests = space.coupled.requests.values()
        self._kept = [
            bits(self.kinds[k].to for one in requests if one.run == run for k in (one.then, one.denied) if k >= 0)
            for run in (0, 1)
        ]
        self._locks = bits(space.coupled.locks)
        self._over = [self._ends(run) for run in (0, 1)] if space.coupled.requests else []
        self._strides: dict[tuple[int, int], tuple[Stride, ...]] = {}
        self._taken: dict[tuple[int, int, int], tuple[Stride, ...]] = {}
        self._left: dict[tuple[int, int], int] = {}
        self.initial = (self._first(0), self._first(1))

    def _first(self, run: int) -> int:
        sent = tuple(kind for kind in self.tables.initial if self.space.coupled.owners[kind] == run)
        return self._settled(self.space._emit(self._start, sent), run)

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
            if choice is None:
                return Stride(move.price, move, self._relevant(target, run), ())
            # When a run has ended, locks let pass what it still asks for: the handler is yet to take it.
            if not self.is_over(state, run):
                target = self._relevant(target, run)
            return Stride(move.price, move, target, (move.kind,))
        target = move.target
        told = tuple(kind for kind in choice.emits if self.kinds[kind].urgent) if choice is not None else ()
        for kind in told:
            target &= ~(MOST << space.places[kind])
        return Stride(move.price, move, self._relevant(target, run), told)

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
        rows = self.tables.components[to].rows[local].get(kind, ())
        if not rows:
            yield Stride(0, Move(0, "drop", kind, to, None, state), state, ())
        for row in rows:
            if row.price and row.fault in space.without:
                continue
            row = row if used else space.blind(row)
            again = (space.coupled.gates.get(kind, kind),) if row.keep else ()
            emits = tuple(one for one in row.emits if not self.kinds[one].urgent)
            target = space._emit(state + ((row.target - local) << space.offsets[to]), emits + again)
            tells = tuple(one for one in row.emits if self.kinds[one].urgent)
            move = Move(row.price, row.fault if row.price else "deliver", kind, to, row, target)
            yield Stride(row.price, move, self._settled(target, run), tells)

    def lowered(self, state: int, level: int) -> int:
        """The state when only so many faults are left: itself."""
        return state

    # -------------------------------------------------------------------------------------------- R6: relevance

    def _settled(self, state: int, run: int) -> int:
        return self._relevant(self.space.norm(state), run)

    def _relevant(self, state: int, run: int) -> int:
        if not self.relevant:
            return state
        key = (state, run)
        if key not in self._left:
            self._left[key] = self._forget(state, run)
        return self._left[key]

    def _forget(self, state: int, run: int) -> int:
        """The state without the components that can no longer reach an observer or lock, or that nobody can reach any more."""
        space, coupled = self.space, self.space.coupled
        own, acting = self._own[run]
        pending = space.pending(state)
        sends = [self._into[number][space.local(state, number)] for number in own]
        found = bits(self.kinds[kind].to for kind in pending)
        for number in acting:
            if self.tables.components[number].acts[space.local(state, number)]:
                found |= 1 << number
        if coupled.requests and not self.is_over(state, run):
            found |= self._kept[run]  # a lock may have kept one of its requests, and let it pass later
        all_ = ((1 << own.stop) - 1) & ~((1 << own.start) - 1)
        wide = all_ | self._locks
        reached = todo = found & wide
        while todo:
            low = todo & -todo
            # Whatever comes to a lock may go on to the handlers behind it.
            sent = self._kept[run] if low & self._locks else sends[low.bit_length() - 1 - own.start]
            new = sent & wide & ~reached
            reached |= new
            todo ^= low | new
        useful, wide = self._useful, 0
        while useful != wide:
            wide = useful
            for number in members(reached & all_ & ~useful):
                if sends[number - own.start] & useful:
                    useful |= 1 << number
        for number in members(all_ & ~(reached & useful)):
            gone = self.tables.components[number].size - 1
            state += (gone - space.local(state, number)) << space.offsets[number]
            for kind in pending:
                if self.kinds[kind].to == number:
                    state = self._dropped(state, kind)
        return state

    def is_over(self, state: int, run: int) -> bool:
        """Whether the workflow of a run has ended."""
        place, over = self._over[run]
        return self.space.local(state, place) in over

    def _ends(self, run: int) -> tuple[int, frozenset[int]]:
        """The component of the workflow, and where it has ended."""
        coupled = self.space.coupled
        half = coupled.halves[run]
        number, thread = next(one for one in half.threads.items() if one[1].process.workflow is half.scene.root)
        place = number + run * coupled.sizes[0]
        over = {n for n, spot in enumerate(thread.spots) if spot.where[0] in {"done", "failed"}}
        return place, frozenset(over | {self.tables.components[place].size - 1})

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
