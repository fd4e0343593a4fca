"""Proof mode: whether the properties hold for any number of copies, delays, overtakings, early timers and crashes.

A state is (L, A, P): the local states, the kinds that may be delivered at any time again (the broker copies them, or two were
in flight at once), and the kinds that are still owed a delivery. Every run of the counting semantics with any number of
faults maps to a run here, so what is clean here is clean for all of them. A hit only means that nothing is proved: order is
forgotten, and what was in flight twice may come for ever.

A larger A allows all that a smaller one does, so one A for each (L, P) is enough: the union of all that occur with it. It only
grows, and what follows is worked out again when it has.

A component that nothing can reach any more matters only for how everything rests: of its local states that are the same
there, one is enough for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from coordlint.explore.space import Space
from coordlint.explore.tables import Tables, bits, gathered, members


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


class Onward(NamedTuple):
    """Where the moves of a state lead: differences of locals and owed kinds, each with what may come again behind it."""

    steps: tuple[tuple[int, int], ...]
    resting: bool
    hits: tuple[tuple[int, int], ...]


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
        loud = bits(number for number in range(len(tables.components)) if number not in self.alike)
        self.senders: list[tuple[int, list[int]]] = []
        self.key = -1 << (space.queue_offsets[0] if space.queue_offsets else space.shift)
        for number, component in enumerate(tables.components):
            after: list[list[int]] = []
            direct: list[int] = []
            for rows, acts in zip(component.rows, component.acts, strict=True):
                choices = [*(row for group in rows.values() for row in group), *acts]
                after.append(sorted({one.target for one in choices}))
                direct.append(bits({tables.kinds[kind].to for one in choices for kind in one.emits}) & ~loud)
            if any(direct):
                sent = gathered(after, direct)
                self.senders.append((number, sent))
                self.key |= space.fields[number]
        self._silent: dict[tuple[int, int], int] = {}
        self._settled: dict[tuple[int, int], int] = {}

    def settled(self, state: int, again: int) -> int:
        """The state with the local states that stand for those of silent components."""
        key = state & self.key, again
        silent = self._silent.get(key)
        if silent is None:
            silent = self._silent[key] = self._quiet(state, again)
        if not silent:
            return state
        before = state & silent
        after = self._settled.get((silent, before))
        if after is None:
            after = 0
            for number, some in self.alike.items():
                if self.space.fields[number] & silent:
                    after |= some[self.space.local(before, number)] << self.space.offsets[number]
            self._settled[silent, before] = after
        return state ^ before ^ after

    def _quiet(self, state: int, again: int) -> int:
        """The fields of the silent components."""
        space = self.space
        heard = 0
        for number, sent in self.senders:
            heard |= sent[space.local(state, number)]
        for kind in members(again | state >> (space.queue_offsets[0] if space.queue_offsets else space.shift)):
            heard |= 1 << space.tables.kinds[kind].to
        return sum(space.fields[number] for number in self.alike if not heard >> number & 1)


class Prover:
    """The set-shaped network of a space, explored; see :func:`prove`."""

    def __init__(self, space: Space) -> None:
        self.space = space
        kinds = space.tables.kinds
        self.below = space.queue_offsets[0] if space.queue_offsets else space.shift
        self.locals = (1 << self.below) - 1
        self.copied = bits(kind for kind, one in enumerate(kinds) if one.copies)
        self.urgent = bits(kind for kind, one in enumerate(kinds) if one.urgent)
        self.plain = bits(kind for kind, one in enumerate(kinds) if one.queue < 0 and not one.urgent)
        self.repeats: dict[tuple[int, int], tuple[int, ...]] = {}
        self.masks: dict[int, int] = {}
        self.memory: dict[tuple[int, int], tuple[list[int], dict[int, Onward]]] = {}

    def join(
        self, local: int, again: int, owed: int, emits: tuple[int, ...] = (), doubtful: int = -1
    ) -> tuple[int, int]:
        """The state with more messages: locals and owed kinds in one number, and what may come again.

        Args:
            local: the local states.
            again: the kinds that may come again.
            owed: the kinds that are owed a delivery.
            emits: what is added to them.
            doubtful: the kinds of which it is not known whether they can still change something, as a bit set.
        """
        for one in emits:
            bit = 1 << one
            again |= bit & (self.copied | owed)
            owed |= bit
        useless = self.space.useless((again | owed) & doubtful, local)
        if useless:
            again, owed = again & ~useless, owed & ~useless
        return local | owed << self.below, again

    def initial(self) -> tuple[int, int]:
        """The first state."""
        tables = self.space.tables
        first = 0
        for index, component in enumerate(tables.components):
            first += component.initial << self.space.offsets[index]
        return self.join(first, 0, 0, tables.initial)

    def repeated(self, state: int, again: int) -> int:
        """What may come again if all is sent once more that those can send who stay where they are."""
        owed = state >> self.below
        if owed & self.urgent:
            return again
        for number in self.space.acting:
            key = number, self.space.local(state, number)
            known = self.repeats.get(key)
            if known is None:
                acts = self.space.tables.components[number].acts[key[1]]
                known = self.repeats[key] = tuple(
                    bits(act.emits) for act in acts if act.when != "late" and act.target == key[1] and act.emits
                )
            for sent in known:
                if not sent & ~owed:
                    again |= sent
        return again

    def onward(self, state: int, again: int) -> Onward:
        """The moves, only those of a persistent set if there is one.

        They depend on what is in flight and on few local states, and are remembered by them.
        """
        space = self.space
        owed = state >> self.below
        flight = again | owed
        mask = self.masks.get(flight)
        if mask is None:
            mask = space.always & self.locals
            for kind in members(flight):
                mask |= space.fields[space.tables.kinds[kind].to]
            mask |= -1 << self.below
            self.masks[flight] = mask
        known = self.memory.get((state & mask, again))
        if known is None:
            known = self.memory[state & mask, again] = ([mask], {})
        found = known[1].get(state & known[0][0])
        if found is None:
            space.read = 0
            found = self._onward(state & self.locals, again, owed)
            if space.read & ~known[0][0]:
                known[0][0] |= space.read
                known[1].clear()
            known[1][state & known[0][0]] = found
        return found

    def _onward(self, local: int, again: int, owed: int) -> Onward:
        space = self.space
        tables = space.tables
        state = local | owed << self.below
        targets: list[tuple[int, tuple[int, int]]] = []
        hits: dict[tuple[int, int], None] = {}
        onward: set[int] = set()
        seeds: set[int] = set()
        busy = False
        rest = owed & self.urgent
        rest = rest & -rest if rest else again | owed
        stuck = _stuck_queues(space, local, owed) if tables.queues else set[int]()
        for kind in members(rest):
            one = tables.kinds[kind]
            bit, to = 1 << kind, one.to
            here = space.local(local, to)
            due, repeated = bool(owed & bit), bool(again & bit)
            moving = due and one.queue not in stuck
            rows = tables.components[to].rows[here].get(kind, ())
            if not rows and due and not space.waits(kind, here):
                targets.append((to, (state ^ bit << self.below, again)))
                busy = busy or moving
                seeds.add(to)
                onward.add(to)
            for row in rows:
                if row.error:
                    hits[to, row.target] = None
                if moving and not row.price:
                    busy = True
                    seeds.add(to)
                    if space.persistence is not None and space.persistence.onward(to, here, row.target, kind):
                        onward.add(to)
                after = local + ((row.target - here) << space.offsets[to])
                doubtful = space.doubt(row, to, here)
                if row.keep or (repeated and not (due and one.queue < 0)):
                    targets.append((to, self.join(after, again, owed, row.emits, doubtful)))
                if due and not row.keep:
                    targets.append((to, self.join(after, again, owed ^ bit, row.emits, doubtful)))
            if due and one.loss:
                targets.append((to, (state ^ bit << self.below, again)))
        resting = not busy
        late: list[tuple[int, int, tuple[int, int]]] = []
        for index in () if owed & self.urgent else space.acting:
            here = space.local(local, index)
            for act in tables.components[index].acts[here]:
                if act.when == "late" and busy:
                    continue
                if act.error:
                    hits[index, act.target] = None
                after = local + ((act.target - here) << space.offsets[index])
                target = self.join(after, again, owed, act.emits, space.doubt(act, index, here))
                if act.when == "late":
                    late.append((act.depth, index, target))
                    continue
                targets.append((index, target))
                resting = resting and bool(act.price)
        if late:
            deepest = max(depth for depth, _, _ in late)
            targets += [(index, target) for depth, index, target in late if depth == deepest]
        ends = not late and resting

        def steps(group: int) -> tuple[tuple[int, int], ...]:
            pairs = [(to - state, more) for who, (to, more) in targets if group >> who & 1]
            return tuple(dict.fromkeys(pair for pair in pairs if pair[0] or pair[1] & ~again))

        movable = sorted({who for who, _ in targets})
        group = None
        if (
            space.persistence is not None
            and seeds
            and len(movable) > 1
            and not owed & self.urgent
            and not tables.queues
            and space.persistence.centre not in movable
        ):
            flight = members(again | owed)
            group = space.persistence.group(space.locals(local), flight, sorted(seeds), movable, calm=False)
        if group is None or not group & bits(onward):
            return Onward(steps(-1), ends, tuple(hits))
        # Against ignoring: somebody gets on for good, so that nothing is put off for ever.
        return Onward(steps(group), ends, tuple(hits))


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
        for difference, more in moves.steps:
            target = silence.settled(state + difference, more)
            spare = target >> prover.below & more & prover.plain
            if spare:
                base = known.get(target ^ spare << prover.below)
                if base is not None and not more & ~base:
                    continue
            before = known.get(target)
            if before is None:
                known[target] = more
            elif more & ~before:
                known[target] = before | more
            else:
                continue
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
    targets = [sorted(one) for one in after]
    behind = gathered(targets, [1 << node for node in range(len(targets))])
    return any(behind[target] >> node & 1 for node, some in enumerate(targets) for target in some)


def _stuck_queues(space: Space, local: int, owed: int) -> set[int]:
    """The ordered queues whose head may be a message that waits for its consumer, so that nothing behind it comes either."""
    found = set()
    for kind, one in enumerate(space.tables.kinds):
        here = space.local(local, one.to)
        taken = space.tables.rows(kind, here)
        if one.queue >= 0 and one.patient and owed >> kind & 1 and not taken and space.waits(kind, here):
            found.add(one.queue)
    return found
