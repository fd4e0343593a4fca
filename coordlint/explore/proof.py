"""Proof mode: whether the properties hold for any number of copies, delays, overtakings, early timers and crashes.

A state is (L, A, P): the local states, the kinds that may be delivered at any time again (the broker copies them, or two were
in flight at once), and the kinds that are still owed a delivery. Every run of the counting semantics with any number of
faults maps to a run here, so what is clean here is clean for all of them. A hit only means that nothing is proved: order is
forgotten, and what was in flight twice may come for ever.

A larger A allows all that a smaller one does, so one A for each (L, P) is enough: the union of all that occur with it. It only
grows, and what follows is worked out again when it has. A smaller P allows all that a larger one does if the rest is in A:
what must come there, may come here. So (L, P) need not be looked at where (L, P without A) is.

A component that nothing can reach any more matters only for how everything rests: of its local states that are the same
there, one is enough for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from coordlint.explore.persistent import Persistence
from coordlint.explore.space import Space
from coordlint.explore.tables import Act, Row, Tables, bits, closure, following, gathered, members


class Proof(NamedTuple):
    """What proof mode found.

    Attributes:
        ends: the vectors of local states in which everything may rest.
        hits: the wrong local states that can be reached, as (component, local state).
        states: how many states there were.
        complete: everything was looked at: the limit was not reached, and nothing was found that ended it early.
    """

    ends: tuple[tuple[int, ...], ...]
    hits: tuple[tuple[int, int], ...]
    states: int
    complete: bool


class Choice(NamedTuple):
    """A row or act, made ready.

    Attributes:
        difference: what it makes of the local states.
        sent: the kinds that it sends, as a bit set; `twice` those that it sends more than once.
        doubtful: the kinds that may be useless behind it.
        free: it needs no fault.
        keep: the message stays where it was.
        late: the depth of a late timer; -1 for all else.
        hit: the local state that it leads to, if that is wrong by itself.
        target: that local state.
    """

    difference: int
    sent: int
    twice: int
    doubtful: int
    free: bool
    keep: bool
    late: int
    hit: tuple[int, int] | None
    target: int


State = tuple[int, int]
"""The local states and what is owed in one number, and what may come again."""


class Onward(NamedTuple):
    """Where a state leads to, whether it may rest there for ever, and the wrong local states that are entered."""

    targets: list[State]
    resting: bool
    hits: list[tuple[int, int]]


class Silence:
    """Which components have said and heard all, and the local states of those that are the same in the end.

    That is one that can do nothing by itself, for which nothing is in flight, and to which no component can send anything from
    where it is, whatever it hears. So it stays like that.

    Args:
        space: the space.
        alike: by component, for each of its local states the one that stands for it when it is silent.
    """

    def __init__(self, space: Space, alike: Mapping[int, Sequence[int]]) -> None:
        self.space = space
        tables = space.tables
        self.alike = {number: list(some) for number, some in alike.items() if number not in space.acting}
        self._bound = bits(self.alike)
        self._senders: list[tuple[int, list[int]]] = []
        self._telling = 0
        for number, component in enumerate(tables.components):
            direct: list[int] = []
            for rows, acts in zip(component.rows, component.acts, strict=True):
                told = bits(kind for group in rows.values() for row in group for kind in row.emits)
                told |= bits(kind for act in acts for kind in act.emits)
                direct.append(bits(tables.kinds[kind].to for kind in members(told)) & self._bound)
            if any(direct):
                self._senders.append((number, gathered(following(component), direct)))
                self._telling |= space.fields[number]
        self._told: dict[int, int] = {}
        self._coming: dict[int, int] = {}
        self._settled: dict[tuple[int, int], int] = {}
        self._fields: dict[int, int] = {}

    def settled(self, state: int, again: int) -> int:
        """The state with the local states that stand for those of silent components."""
        told = self._told.get(state & self._telling)
        if told is None:
            told = self._told[state & self._telling] = self._may_be_told(state)
        flight = again | state >> self.space.below
        coming = self._coming.get(flight)
        if coming is None:
            coming = self._coming[flight] = bits(self.space.tables.kinds[kind].to for kind in members(flight))
        silent = self._bound & ~(told | coming)
        if not silent:
            return state
        fields = self._fields.get(silent)
        if fields is None:
            fields = self._fields[silent] = sum(self.space.fields[number] for number in members(silent))
        before = state & fields
        after = self._settled.get((silent, before))
        if after is None:
            after = self._settled[silent, before] = sum(
                self.alike[number][self.space.local(before, number)] << self.space.offsets[number]
                for number in members(silent)
            )
        return state ^ before ^ after

    def _may_be_told(self, state: int) -> int:
        """The components that somebody may send to from where he is, whatever he hears, as a bit set."""
        found = 0
        for number, sent in self._senders:
            found |= sent[self.space.local(state, number)]
        return found


class Prover:
    """The set-shaped network of a space, explored; see :func:`prove`."""

    def __init__(self, space: Space) -> None:
        self.space = space
        kinds = space.tables.kinds
        self.below = space.below
        self.locals = (1 << self.below) - 1
        self.copied = bits(kind for kind, one in enumerate(kinds) if one.copies)
        self.urgent = bits(kind for kind, one in enumerate(kinds) if one.urgent)
        self.plain = bits(kind for kind, one in enumerate(kinds) if one.queue < 0 and not one.urgent)
        self._rows: list[dict[int, tuple[tuple[Choice, ...], bool]]] = [{} for _ in kinds]
        self._acts: dict[tuple[int, int], tuple[tuple[Choice, ...], tuple[int, ...]]] = {}
        self._heard: dict[int, int] = {}
        self._useless: dict[tuple[int, int], int] = {}

    def initial(self) -> State:
        """The first state."""
        first = 0
        for index, component in enumerate(self.space.tables.components):
            first += component.initial << self.space.offsets[index]
        sent = self.space.tables.initial
        return self._behind(first, 0, 0, bits(sent), _twice(sent), -1)

    def _behind(self, local: int, again: int, owed: int, sent: int, twice: int, doubtful: int) -> State:
        """The state with more messages, without those that cannot change anything any more."""
        again |= sent & (self.copied | owed) | twice
        owed |= sent
        some = (again | owed) & doubtful
        if some:
            heard = self._heard.get(some)
            if heard is None:
                heard = self._heard[some] = self.space.hearing(some)
            key = some, local & heard
            useless = self._useless.get(key)
            if useless is None:
                useless = self._useless[key] = self.space.useless(some, local)
            again, owed = again & ~useless, owed & ~useless
        return local | owed << self.below, again

    def _choice(self, one: Row | Act, component: int, local: int) -> Choice:
        difference = (one.target - local) << self.space.offsets[component]
        doubtful = self.space.doubt(one, component, local)
        late = one.depth if isinstance(one, Act) and one.when == "late" else -1
        hit = (component, one.target) if one.error else None
        keep = isinstance(one, Row) and one.keep
        sent = bits(one.emits)
        return Choice(difference, sent, _twice(one.emits), doubtful, not one.price, keep, late, hit, one.target)

    def _delivery(self, kind: int, local: int) -> tuple[tuple[Choice, ...], bool]:
        """What may happen when a kind is delivered to its consumer in that local state, and whether it is dropped there."""
        rows = self.space.tables.rows(kind, local)
        choices = tuple(self._choice(row, self.space.tables.kinds[kind].to, local) for row in rows)
        found = self._rows[kind][local] = choices, not rows and not self.space.waits(kind, local)
        return found

    def _doing(self, component: int, local: int) -> tuple[tuple[Choice, ...], tuple[int, ...]]:
        """What a component may do by itself in that local state, and what it may send at any time without leaving it."""
        acts = tuple(self._choice(act, component, local) for act in self.space.tables.components[component].acts[local])
        repeats = tuple(act.sent for act in acts if act.late < 0 and act.target == local and act.sent)
        found = self._acts[component, local] = acts, repeats
        return found

    def repeated(self, state: int, again: int) -> int:
        """What may come again when all those have repeated themselves that can do so and stay where they are."""
        owed = state >> self.below
        if owed & self.urgent:
            return again
        for number in self.space.acting:
            local = self.space.local(state, number)
            for sent in (self._acts.get((number, local)) or self._doing(number, local))[1]:
                if not sent & ~owed:
                    again |= sent
        return again

    def onward(self, state: int, again: int) -> Onward:
        """The moves, only those of a persistent set if there is one.

        What is owed and may come again is delivered as what is owed only: the other delivery can follow.
        """
        space, below = self.space, self.below
        offsets, masks, kinds = space.offsets, space.masks, space.tables.kinds
        local, owed = state & self.locals, state >> below
        found: list[tuple[int, State]] = []
        hits: list[tuple[int, int]] = []
        seeds = 0
        busy = False
        urgent = owed & self.urgent
        rest = urgent & -urgent if urgent else again | owed
        stuck = _stuck_queues(space, local, owed) if space.tables.queues else frozenset[int]()
        while rest:
            bit = rest & -rest
            rest ^= bit
            kind = bit.bit_length() - 1
            one = kinds[kind]
            to = one.to
            here = local >> offsets[to] & masks[to]
            choices, dropped = self._rows[kind].get(here) or self._delivery(kind, here)
            due = owed & bit
            moving = due and one.queue not in stuck
            repeated = again & bit and not (due and one.queue < 0)
            for difference, sent, twice, doubtful, free, keep, _, hit, _ in choices:
                if hit is not None:
                    hits.append(hit)
                if moving and free:
                    busy = True
                    seeds |= 1 << to
                after = local + difference
                if repeated or keep:
                    found.append((to, self._behind(after, again, owed, sent, twice, doubtful)))
                if due and not keep:
                    found.append((to, self._behind(after, again, owed ^ bit, sent, twice, doubtful)))
            if due and (dropped or one.loss):
                found.append((to, (state ^ bit << below, again)))
                if dropped and moving:
                    busy = True
                    seeds |= 1 << to
        resting = not busy
        timers: list[tuple[int, int, State]] = []
        for number in () if urgent else space.acting:
            here = local >> offsets[number] & masks[number]
            for difference, sent, twice, doubtful, free, _, late, hit, _ in (
                self._acts.get((number, here)) or self._doing(number, here)
            )[0]:
                if late >= 0 and busy:
                    continue
                if hit is not None:
                    hits.append(hit)
                target = self._behind(local + difference, again, owed, sent, twice, doubtful)
                if late >= 0:
                    timers.append((late, number, target))
                else:
                    found.append((number, target))
                    resting = resting and not free
        if timers:
            deepest = max(depth for depth, _, _ in timers)
            found += [(number, target) for depth, number, target in timers if depth == deepest]
        if space.persistence is not None and seeds and not urgent and not space.tables.queues:
            group = self._group(space.persistence, state, again, seeds, found)
            found = [step for step in found if group >> step[0] & 1]
        return Onward([target for _, target in found], resting and not timers, hits)

    def _group(
        self, persistence: Persistence, state: int, again: int, seeds: int, found: list[tuple[int, State]]
    ) -> int:
        """A persistent set of components of which one gets on for good, so that nothing is put off for ever; or all of them."""
        movable = sorted({number for number, _ in found})
        if len(movable) < 2 or persistence.centre in movable:
            return -1
        space, owed = self.space, state >> self.below
        locals_ = space.locals(state & self.locals)
        group = persistence.group(locals_, members(again | owed), members(seeds), movable, calm=False)
        if group is None:
            return -1
        for kind in members(owed):
            to = space.tables.kinds[kind].to
            if group >> to & 1:
                choices, dropped = self._rows[kind].get(locals_[to]) or self._delivery(kind, locals_[to])
                fading = (one.free and persistence.onward(to, locals_[to], one.target, kind) for one in choices)
                if dropped or any(fading):
                    return group
        return -1


def _twice(emits: tuple[int, ...]) -> int:
    """The kinds that are sent more than once, as a bit set."""
    return bits(kind for kind in emits if emits.count(kind) > 1)


def prove(
    space: Space,
    limit: int = 200_000,
    fine: Callable[[tuple[int, ...]], bool] | None = None,
    alike: Mapping[int, Sequence[int]] | None = None,
) -> Proof:
    """Explore the set-shaped network of a space.

    Args:
        space: the space; its switched off faults do not matter here.
        limit: give up beyond that many states.
        fine: whether all is well in a vector of local states in which everything rests; the first one that is not, and the
            first wrong local state, end the exploration. Without it everything is looked at.
        alike: by component, for each of its local states the first one that is the same where everything rests; without it, all
            are different.
    """
    prover = Prover(space)
    silence = Silence(space, alike or {})
    below, plain = prover.below, prover.plain
    first, again = prover.initial()
    known = {first: again}
    stack = [first]
    waiting = {first}
    ends: dict[tuple[int, ...], None] = {}
    hits: dict[tuple[int, int], None] = {}
    while stack:
        if len(known) > limit:
            return Proof(tuple(ends), tuple(hits), len(known), False)
        state = stack.pop()
        waiting.discard(state)
        again = known[state] = prover.repeated(state, known[state])
        moves = prover.onward(state, again)
        if moves.resting:
            end = space.locals(state & prover.locals)
            if end not in ends:
                ends[end] = None
                if fine is not None and not fine(end):
                    return Proof(tuple(ends), tuple(hits), len(known), False)
        if moves.hits:
            hits.update(dict.fromkeys(moves.hits))
            if fine is not None:
                return Proof(tuple(ends), tuple(hits), len(known), False)
        for target, more in moves.targets:
            if target == state and not more & ~again:
                continue
            target = silence.settled(target, more)
            before = known.get(target)
            if before is not None and not more & ~before:
                continue
            spare = target >> below & more & plain
            if spare and not more & ~known.get(target ^ spare << below, 0):
                continue
            known[target] = more if before is None else before | more
            if target not in waiting:
                waiting.add(target)
                stack.append(target)
    return Proof(tuple(ends), tuple(hits), len(known), True)


def comes_to_rest(tables: Tables) -> bool:
    """Whether every run comes to rest once no more faults happen, however many there were: neither livelock nor storm.

    Shown by a sufficient condition. Without faults, a component never comes back to a local state that it has left; deliveries
    that leave their component where it is do not cause each other in a circle; and a timer that leaves its component where it
    is sends something whose every delivery sends it an answer that takes it on. Then all stay where they are in the end, so
    deliveries cease, and no timer can fire a second time.
    """
    kinds = range(len(tables.kinds))
    causes: list[set[int]] = [set() for _ in kinds]
    for number, component in enumerate(tables.components):
        after: list[set[int]] = []
        for local, (rows, acts) in enumerate(zip(component.rows, component.acts, strict=True)):
            free = [(kind, row) for kind, group in rows.items() for row in group if not row.price]
            for kind, row in free:
                if row.target == local:
                    causes[kind].update(row.emits)
            staying = [act for act in acts if not act.price and act.target == local]
            if any(act.when != "late" or not _is_answered(tables, number, local, act.emits) for act in staying):
                return False
            after.append({row.target for _, row in free} | {act.target for act in acts if not act.price})
        if _circling([targets - {local} for local, targets in enumerate(after)]):
            return False
    return not _circling(causes)


def _is_answered(tables: Tables, component: int, local: int, emits: tuple[int, ...]) -> bool:
    """Whether one of the messages brings an answer, from wherever its consumer is, that takes the sender out of its local state."""

    def takes_on(kind: int) -> bool:
        one = tables.kinds[kind]
        rows = [row for row in tables.rows(kind, local) if not row.price] if one.to == component else []
        return one.queue < 0 and bool(rows) and all(row.target != local for row in rows)

    def answers(kind: int) -> bool:
        one = tables.kinds[kind]
        if one.queue >= 0 or one.to == component:
            return False
        for rows in tables.components[one.to].rows:
            group = [row for row in rows.get(kind, ()) if not row.price]
            if not group or not all(any(takes_on(more) for more in row.emits) for row in group):
                return False
        return True

    return any(answers(kind) for kind in emits)


def _circling(after: Sequence[set[int]]) -> bool:
    """Whether a graph has a cycle."""
    if all(target > node for node, targets in enumerate(after) for target in targets):
        return False
    behind = closure(tuple(tuple(sorted(targets)) for targets in after))
    return any(behind[target] >> node & 1 for node, targets in enumerate(after) for target in targets)


def _stuck_queues(space: Space, local: int, owed: int) -> set[int]:
    """The ordered queues whose head may be a message that waits for its consumer, so that nothing behind it comes either."""
    found = set()
    for kind, one in enumerate(space.tables.kinds):
        here = space.local(local, one.to)
        taken = space.tables.rows(kind, here)
        if one.queue >= 0 and one.patient and owed >> kind & 1 and not taken and space.waits(kind, here):
            found.add(one.queue)
    return found
