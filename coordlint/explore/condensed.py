"""The runs of a pair scene, condensed: states of a run that nobody can tell apart with the faults that are left become one (R7).

What one run does between two things that observers or locks hear is its own business. Two of its states are one if each can
follow the other: by moves of its own that nobody hears and that leave it among states like itself, and then by the same move
that somebody hears, that is a fault, or that decides something. That is branching bisimulation with explicit divergence (R. van
Glabbeek and W. Weijland, Branching time and abstraction in bisimulation semantics, 1996), which the parallel composition with
the other run, the observers and the locks preserves: what these come to, with the least number of faults, and whether
everything comes to rest are as before. Two things are added to it. What a lock lets pass is taken at once, even in the middle
of a move of the other run, so that states are one only if they take it alike, with no move of their own before it. And faults
count only as far as they can still happen: with none left most states are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from coordlint.explore.pairspace import Runs, Stride

SELF = -1
"""A target in the class of the state itself, which has no number yet."""

Waiting = frozenset[int]
"""The messages that locks may have kept, and let pass at any time."""

Edge = tuple[int, tuple[int, ...], int]
"""A move: its price, what observers and locks hear of it, and where it leads."""


class Ways:
    """The states that one run can come to, whatever the other one and the locks do, with the least number of faults.

    Args:
        runs: both runs.
        run: which one.

    Attributes:
        within: by number of faults, the states that need no more than that, each with what locks may have kept by then.
        cut: there are more states than were asked for.
    """

    def __init__(self, runs: Runs, run: int) -> None:
        self.runs = runs
        self.run = run
        self.within: list[dict[int, Waiting]] = []
        self.cut = False
        self._known: dict[int, Waiting] = {}
        self._later: list[list[tuple[int, Waiting]]] = [[(runs.initial[run], frozenset())]]
        coupled = runs.space.coupled
        self.requests = coupled.requests
        self.answers = {kind: self._answers(kind) for kind in self.requests}
        finals = [one for answers in self.answers.values() for one in answers]
        self._once = {kind for kind in finals if finals.count(kind) == 1}
        kinds = coupled.tables.kinds
        self._ends = {n for n, kind in enumerate(kinds) if kind.to in coupled.locks and n not in self.requests}

    def _answers(self, kind: int) -> tuple[int, ...]:
        """The messages by which a request, behind all its locks, may be answered."""
        request = self.requests[kind]
        then = self._answers(request.then) if request.then in self.requests else (request.then,)
        return then if request.denied < 0 or request.denied in then else (*then, request.denied)

    def asked(self, stride: Stride) -> int:
        """The request that a move makes and that is answered at once, because the handler can be told to refuse; or -1."""
        if len(stride.tells) == 1 and stride.tells[0] in self.requests:
            return stride.tells[0] if self.requests[stride.tells[0]].denied >= 0 else -1
        return -1

    def __len__(self) -> int:
        return len(self._known)

    def extend(self, faults: int, limit: int) -> None:
        """Go on to all states that need at most so many faults, as long as no more than the limit are new."""
        limit += len(self._known)
        while len(self.within) <= faults and not self.cut:
            self._later += [[], []][: 3 - len(self._later)]
            todo = self._later.pop(0)
            while todo:
                state, waiting = todo.pop()
                known = self._known.get(state)
                if known is not None and waiting <= known:
                    continue
                waiting = waiting if known is None else waiting | known
                self._known[state] = waiting
                if len(self._known) > limit:
                    self.cut = True
                    return
                for price, target, after in self._steps(state, waiting):
                    (self._later[price - 1] if price else todo).append((target, after))
            self.within.append(dict(self._known))

    def _steps(self, state: int, waiting: Waiting) -> Iterator[tuple[int, int, Waiting]]:
        for stride in self.runs.strides(state, self.run):
            asked = self.asked(stride)
            if asked < 0:
                yield stride.price, stride.target, self._after(stride, waiting)
                continue
            for kind in self.answers[asked]:
                for answer in self.runs.taken(stride.target, self.run, kind):
                    yield stride.price + answer.price, answer.target, self._after(answer, waiting)
        for kind in sorted(waiting):
            left = waiting - {kind} if kind in self._once else waiting
            for stride in self.runs.taken(state, self.run, kind):
                yield stride.price, stride.target, self._after(stride, left)

    def _after(self, stride: Stride, waiting: Waiting) -> Waiting:
        for kind in stride.tells:
            if kind in self._ends:  # nothing is kept for a run that has ended
                waiting = frozenset()
            elif kind in self.requests:
                waiting = waiting.union(self.answers[kind])
        return waiting


class Class(NamedTuple):
    """States of a run that are one.

    Attributes:
        run: whose.
        level: how many faults are left.
        first: the state that has all their moves.
        lower: what it is part of when one fault less is left; -1 if none is left.
        strides: the moves, to other classes.
        taken: by kind, what happens when a lock lets a message pass.
    """

    run: int
    level: int
    first: int
    lower: int
    strides: list[Stride]
    taken: dict[int, list[Stride]]


class Look(NamedTuple):
    """What decides to which class a state belongs; targets are classes.

    Attributes:
        lower: the class with one fault less.
        heard: the moves that somebody hears, and the faults.
        silent: where the other moves lead.
        taken: by kind, what happens when a lock lets a message pass.
    """

    lower: int
    heard: frozenset[Edge]
    silent: frozenset[int]
    taken: frozenset[tuple[int, frozenset[Edge]]]

    def fits(self, number: int, look: Look) -> bool:
        """Whether a silent move to a class, which looks like that, decides nothing, so that the state is of that class."""
        return (
            self.lower == look.lower
            and _turned(self.heard, number) <= look.heard
            and self.silent - {number} <= look.silent
            and {(kind, _turned(edges, number)) for kind, edges in self.taken} == look.taken
        )


def _turned(edges: Iterable[Edge], number: int) -> frozenset[Edge]:
    return frozenset((price, tells, SELF if to == number else to) for price, tells, to in edges)


class Condensed:
    """Both runs, with classes for states; a class belongs to a number of faults that are left.

    Args:
        runs: both runs.
        ways: each of them, gone through up to that many faults.
        faults: how many.
        mute: the observers to which nobody listens any more, by component.

    Attributes:
        initial: the classes of the first states.
        levels: by number of faults that are left, and by run: the class of each state.
    """

    def __init__(self, runs: Runs, ways: tuple[Ways, Ways], faults: int, mute: frozenset[int] = frozenset()) -> None:
        self.runs = runs
        self.ways = ways
        self.mute = mute
        self.classes: list[Class] = []
        self.levels: list[tuple[dict[int, int], dict[int, int]]] = []
        self._heard: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._askers: dict[tuple[int, int, frozenset[tuple[int, tuple[object, ...], tuple[int, ...]]]], int] = {}
        for level in range(faults + 1):
            self.levels.append(({}, {}))
            for run in (0, 1):
                self._divide(level, run)
        self.initial = (self.levels[faults][0][runs.initial[0]], self.levels[faults][1][runs.initial[1]])

    def strides(self, state: int, run: int) -> Sequence[Stride]:
        """What a run can do next."""
        return self.classes[state].strides

    def taken(self, state: int, run: int, kind: int) -> Sequence[Stride]:
        """What a run does with a message that a lock lets pass, at once."""
        return self.classes[state].taken[kind]

    def lowered(self, state: int, level: int) -> int:
        """The class when only so many faults are left."""
        while self.classes[state].level > level:
            state = self.classes[state].lower
        return state

    def swapped(self, state: int) -> int:
        """The class of the other run that is its mirror image."""
        one = self.classes[state]
        return self.levels[one.level][1 - one.run][self.runs.swapped(one.first)]

    # -------------------------------------------------------------------------------------------- classes

    def _divide(self, level: int, run: int) -> None:
        """Put states into classes, those that follow a state first; on a cycle each of several states is a class of its own."""
        states = self.ways[run].within[len(self.ways[run].within) - 1 - level]
        found = self.levels[level][run]
        alike: dict[Look, int] = {}
        looks: dict[int, Look] = {}
        for circle in circles(states, lambda state: self._free(state, run, states[state])):
            if len(circle) > 1 or self._asks_itself(circle[0], run):
                for state in circle:
                    found[state] = self._add(level, run, state)
                for state in circle:
                    self._fill(found[state], states[state])
                continue
            (state,) = circle
            look = self._look(level, run, state, states[state])
            number = next((n for n in sorted(look.silent) if n in looks and look.fits(n, looks[n])), None)
            if number is None:
                number = alike.get(look)
            if number is None:
                number = alike[look] = found[state] = self._add(level, run, state)
                looks[number] = look
                self._fill(number, states[state])
            found[state] = number

    def _free(self, state: int, run: int, waiting: Waiting) -> list[int]:
        """Where moves without a fault lead, those that locks let a run make included."""
        found: dict[int, None] = {}
        for stride in self.runs.strides(state, run):
            if not stride.price:
                found.update(self._asking(stride, run) or {stride.target: None})
        for kind in sorted(waiting):
            found.update((stride.target, None) for stride in self.runs.taken(state, run, kind) if not stride.price)
        return list(found)

    def _asking(self, stride: Stride, run: int) -> dict[int, None]:
        """Where a request that is answered at once leads without a fault; empty if the move makes none."""
        ways = self.ways[run]
        asked = ways.asked(stride)
        answers = ways.answers[asked] if asked >= 0 else ()
        strides = [one for kind in answers for one in self.runs.taken(stride.target, run, kind)]
        return {one.target: None for one in strides if not one.price}

    def _asks_itself(self, state: int, run: int) -> bool:
        return any(state in self._asking(stride, run) for stride in self.runs.strides(state, run) if not stride.price)

    def _edges(self, level: int, run: int, strides: Sequence[Stride]) -> dict[Edge, Stride]:
        """The moves to classes, each once."""
        found: dict[Edge, Stride] = {}
        for stride in strides:
            if stride.price <= level:
                asked = self.ways[run].asked(stride)
                if asked >= 0:
                    to = self._asker(level - stride.price, run, stride.target, asked)
                else:
                    to = self.levels[level - stride.price][run].get(stride.target, SELF)
                found.setdefault((stride.price, self.told(stride.tells), to), stride)
        return found

    def told(self, tells: tuple[int, ...]) -> tuple[int, ...]:
        """What is heard of a move by those to whom anybody listens."""
        if not tells or not self.mute:
            return tells
        if tells not in self._heard:
            kinds = self.runs.kinds
            self._heard[tells] = tuple(kind for kind in tells if kinds[kind].to not in self.mute)
        return self._heard[tells]

    def _look(self, level: int, run: int, state: int, waiting: Waiting) -> Look:
        edges = self._edges(level, run, self.runs.strides(state, run))
        return Look(
            self.levels[level - 1][run][state] if level else SELF,
            frozenset(edge for edge in edges if edge[0] or edge[1]),
            frozenset(to for price, tells, to in edges if not price and not tells),
            frozenset(
                (kind, frozenset(self._edges(level, run, self.runs.taken(state, run, kind)))) for kind in waiting
            ),
        )

    def _asker(self, level: int, run: int, state: int, asked: int) -> int:
        """The class of a state in the middle of a move, when a request is to be answered at once: it has only the answers."""
        taken = {
            kind: self._targeted(level, run, self.runs.taken(state, run, kind))
            for kind in self.ways[run].answers[asked]
        }
        look = (
            run,
            level,
            frozenset((kind, (one.price, one.target), one.tells) for kind, group in taken.items() for one in group),
        )
        if look not in self._askers:
            self._askers[look] = len(self.classes)
            self.classes.append(Class(run, level, state, SELF, [], taken))
        return self._askers[look]

    def _add(self, level: int, run: int, state: int) -> int:
        lower = self.levels[level - 1][run][state] if level else SELF
        self.classes.append(Class(run, level, state, lower, [], {}))
        return len(self.classes) - 1

    def _fill(self, number: int, waiting: Waiting) -> None:
        """The moves of a class, when the classes behind it are known."""
        run, level, state, _, strides, taken = self.classes[number]
        strides += self._targeted(level, run, self.runs.strides(state, run))
        for kind in sorted(waiting):
            taken[kind] = self._targeted(level, run, self.runs.taken(state, run, kind))

    def _targeted(self, level: int, run: int, strides: Sequence[Stride]) -> list[Stride]:
        edges = self._edges(level, run, strides)
        return [stride._replace(target=to, tells=tells) for (_, tells, to), stride in edges.items()]


def circles(states: Iterable[int], after: Callable[[int], list[int]]) -> Iterator[list[int]]:
    """The strongly connected components of a graph, each behind all that follow it (R. Tarjan, 1972), without recursion."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    open_: dict[int, None] = {}
    for root in states:
        if root in order:
            continue
        order[root] = low[root] = len(order)
        open_[root] = None
        walk = [(root, iter(after(root)))]
        while walk:
            state, targets = walk[-1]
            for target in targets:
                if target not in order:
                    order[target] = low[target] = len(order)
                    open_[target] = None
                    walk.append((target, iter(after(target))))
                    break
                if target in open_:
                    low[state] = min(low[state], order[target])
            else:
                walk.pop()
                if walk:
                    before = walk[-1][0]
                    low[before] = min(low[before], low[state])
                if low[state] == order[state]:
                    found: list[int] = []
                    while not found or found[-1] != state:
                        found.append(open_.popitem()[0])
                    yield found[::-1]
