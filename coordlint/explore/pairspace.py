"""The fast engine for two runs side by side: each has its own quiet moments, and two equal runs are interchangeable (R5).

A late timer fires when nothing useful is in flight in its own run, whatever the other one does. The reduction R4 is finer
here than for one run: who tells an observer something depends on others who do so only with the move that tells it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from coordlint.explore.search import Search
from coordlint.explore.space import WIDTH, Move, Space
from coordlint.explore.tables import bits

if TYPE_CHECKING:
    from coordlint.explore.coupling import Coupled

SHARED = 2
"""The number of what belongs to neither run."""


class PairSpace(Space):
    """The states and moves of a pair scene.

    Args:
        coupled: the pair.
        inert: apply R2.
        persistent: apply R4.
        symmetric: apply R5: of a state and its mirror image only one is kept. The moves of a path through such states have
            to be put right, see :func:`lifted`.
        without: faults that do not happen.
    """

    def __init__(
        self,
        coupled: Coupled,
        *,
        inert: bool = True,
        persistent: bool = True,
        symmetric: bool = True,
        without: frozenset[str] = frozenset(),
    ) -> None:
        self.coupled = coupled
        first, second = coupled.sizes
        count = len(coupled.tables.components)
        self.runs = [0] * first + [1] * second + [SHARED] * (count - first - second)
        self.mirror = coupled.mirror if symmetric else None
        self._mirrored: dict[int, int] = {}
        super().__init__(coupled.tables, inert=inert, persistent=persistent, without=without)

    # -------------------------------------------------------------------------------------------- moves

    def moves(self, state: int, *, only: frozenset[int] | None = None) -> list[Move]:
        """What can happen next, in a fixed order; `only` restricts it to moves of those components."""
        kinds, owners = self.tables.kinds, self.coupled.owners
        found: list[Move] = []
        busy = [False, False]
        flight = self.flight(state)
        for kind in flight:
            if kinds[kind].urgent:
                return self._deliver(state, kind)
        for kind in flight:
            to, run = kinds[kind].to, owners[kind]
            if only is not None and to not in only:
                busy[run] = busy[run] or not self._waits(kind, self.local(state, to))
                continue
            moves = self._deliver(state, kind)
            found += moves
            busy[run] = busy[run] or bool(moves)
        for number in range(self.tables.queues):
            for position, kind in enumerate(dict.fromkeys(self.queue(state, number))):
                to, run = kinds[kind].to, owners[kind]
                if only is not None and to not in only:
                    busy[run] = busy[run] or (position == 0 and not self._waits(kind, self.local(state, to)))
                elif position == 0 or (kinds[kind].overtakes and "overtake" not in self.without):
                    moves = self._deliver(state, kind, overtaking=position > 0)
                    found += moves
                    busy[run] = busy[run] or (position == 0 and bool(moves))
        for run in (0, 1):
            late: list[tuple[int, Move]] = []
            for number in self._acting:
                if self.runs[number] != run or (only is not None and number not in only):
                    continue
                local = self.local(state, number)
                for act in self.tables.components[number].acts[local]:
                    if act.when in self.without or (act.when == "late" and busy[run]):
                        continue
                    target = self._emit(state + ((act.target - local) << self.offsets[number]), act.emits)
                    move = Move(act.price, act.when, -1, number, act, self.norm(target))
                    if act.when == "late":
                        late.append((act.depth, move))
                    else:
                        found.append(move)
            deepest = max((depth for depth, _ in late), default=0)
            found += [move for depth, move in late if depth == deepest]
        return found

    def is_busy(self, state: int, number: int) -> bool:
        """Whether a component has a message that it does not let wait."""
        return any(
            self.tables.kinds[kind].to == number and not self._waits(kind, self.local(state, number))
            for kind in self.pending(state)
        )

    # -------------------------------------------------------------------------------------------- R5: symmetry

    def norm(self, state: int) -> int:
        """The state without useless messages, and of two mirror images always the same one."""
        state = super().norm(state)
        return state if self.mirror is None else min(state, self.mirrored(state))

    def mirrored(self, state: int) -> int:
        """The state in which the two runs have changed places."""
        found = self._mirrored.get(state)
        if found is None:
            found = self._mirrored[state] = self._swap(state)
            self._mirrored[found] = state
        return found

    def _swap(self, state: int) -> int:
        mirror = self.mirror
        assert mirror is not None
        size = self.coupled.sizes[0]
        middle = self.offsets[size]
        end = self.offsets[2 * size] if len(self.offsets) > 2 * size else sum(mask.bit_length() for mask in self.masks)
        low = (1 << middle) - 1
        swapped = (state & low) << middle | (state >> middle) & ((1 << end - middle) - 1)
        for number, (twin, locals_) in enumerate(mirror.shared, 2 * size):
            swapped |= locals_[self.local(state, number)] << self.offsets[twin]
        half = len(mirror.kinds) // 2 * WIDTH
        counts = state >> self.shift
        swapped |= ((counts & ((1 << half) - 1)) << half | counts >> half) << self.shift
        queues = self.tables.queues // 2
        for number in range(2 * queues):
            content = tuple(mirror.kinds[kind] for kind in self.queue(state, number))
            if content:
                swapped = self._store(swapped, (number + queues) % (2 * queues), content)
        return swapped


class PairSearch(Search):
    """A search of a pair scene."""

    space: PairSpace

    def _persistent(self, state: int) -> frozenset[int] | None:
        """The smallest group of components whose present moves nobody outside of it can interfere with."""
        space = self.space
        pending: dict[int, list[int]] = {}
        for kind in space.pending(state):
            pending.setdefault(space.tables.kinds[kind].to, []).append(kind)
        movable = sorted({*pending, *(number for number in space._acting if self._acts(state, number))})
        if len(movable) < 2:
            return None
        into = self._closure(tuple([table[space.local(state, number)] for number, table in enumerate(self._sends)]))
        tells = {number: self._tells(state, number, pending.get(number, ())) for number in movable}
        seeds = [[number] for number in movable if number in pending and space.is_busy(state, number)]
        seeds += [[number for number in movable if space.runs[number] == run] for run in (0, 1)]
        best: frozenset[int] | None = None
        for seed in seeds:
            members = self._closed(seed, movable, into, tells)
            if (
                members
                and len(members) < len(movable)
                and (best is None or len(members) < len(best))
                and self._is_settled(state, members, movable, into)
            ):
                best = frozenset(members)
        return best

    def _acts(self, state: int, number: int) -> bool:
        acts = self.space.tables.components[number].acts[self.space.local(state, number)]
        return any(act.when not in self.space.without for act in acts)

    def _tells(self, state: int, number: int, pending: Iterable[int]) -> int:
        """The shared components that the present moves of a component send to, as a bit set."""
        space = self.space
        component, local = space.tables.components[number], space.local(state, number)
        found = 0
        rows = [row for kind in pending for row in component.rows[local].get(kind, ())]
        for choice in (*rows, *component.acts[local]):
            for kind in choice.emits:
                to = space.tables.kinds[kind].to
                if space.runs[to] == SHARED:
                    found |= 1 << to
        return found

    @staticmethod
    def _closed(seed: list[int], movable: list[int], into: list[int], tells: dict[int, int]) -> set[int]:
        members = set(seed)
        group = 0
        for one in seed:
            group |= 1 << one | tells[one]
        grew = True
        while grew:
            grew = False
            for one in movable:
                if one not in members and (into[one] | 1 << one) & group:
                    members.add(one)
                    group |= 1 << one | tells[one]
                    grew = True
        return members

    def _is_settled(self, state: int, members: set[int], movable: list[int], into: list[int]) -> bool:
        """Whether nothing outside of the group can begin or end the quiet in which a late timer of the group fires."""
        space = self.space
        for run in (0, 1):
            own = [number for number in members if space.runs[number] == run]
            timed = any(
                act.when == "late"
                for number in own
                for act in space.tables.components[number].acts[space.local(state, number)]
            )
            if not timed or any(space.is_busy(state, number) for number in own):
                continue
            whole = bits(number for number, one in enumerate(space.runs) if one == run)
            others = [number for number in movable if number not in members]
            if any(space.runs[number] != 1 - run or into[number] & whole for number in others):
                return False
        return True


def lifted(space: PairSpace, path: Iterable[tuple[int, Move]]) -> list[tuple[int, Move]]:
    """A path between states of which mirror images are one, as a run: each case keeps its number.

    Args:
        space: the space that the path is from.
        path: the moves, each with the state before it.
    """
    steps = list(path)
    if space.mirror is None or not steps:
        return steps
    plain = PairSpace(
        space.coupled, inert=space.reduces, persistent=space.persists, symmetric=False, without=space.without
    )
    found: list[tuple[int, Move]] = []
    state = plain.initial
    for number, (_, move) in enumerate(steps):
        wanted = move.target
        for one in plain.moves(state):
            if one.what == move.what and one.price == move.price and _same(space, plain, one.target, wanted):
                found.append((state, one))
                state = one.target
                break
        else:  # the search has taken it, so it is there
            raise AssertionError(f"step {number + 1} of a run has no counterpart")
    return found


def _same(space: PairSpace, plain: PairSpace, one: int, wanted: int) -> bool:
    """Whether a state is the wanted one or its mirror image; contents of queues have numbers of their own in each space."""
    if plain.tables.queues:
        locals_ = plain.locals(one)
        return any(
            locals_ == space.locals(other)
            and one >> plain.shift == other >> space.shift
            and all(plain.queue(one, n) == space.queue(other, n) for n in range(plain.tables.queues))
            for other in (wanted, space.mirrored(wanted))
        )
    return one == wanted or one == space.mirrored(wanted)


