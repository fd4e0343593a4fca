"""The fast engine: a state of a scene is one integer, moves are precomputed differences, useless messages vanish at once.

Local states lie in bit fields at the bottom, ordered queues (numbers of interned contents) above them, and one three-bit
counter per kind of message on top. The reduction R2 drops a message as soon as it provably cannot change anything any more
(`inert`); R4 delivers to a closed group of components first where the others cannot interfere (`persistent`).

What can happen depends on the messages in flight and on the local states of few components. So the moves are worked out once
for each such part of a state (`fan`) and kept as differences, which hold for all states that agree in it.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

from coordlint.explore.persistent import Persistence
from coordlint.explore.tables import Act, Row, Tables, bits, members, reach

WIDTH = 3
MOST = (1 << WIDTH) - 1
"""A counter that would go beyond saturates, and the space says so: messages pile up without bound."""

QUEUE_BITS = 14


class Move(NamedTuple):
    """One step: its price in faults, what it was, and the state behind it.

    `what`: deliver, copy, drop, overtake, the `loss` of the kind, the `fault` of the row, or the `when` of the act. `kind` is
    the message (-1 for an act), `component` who moved, `choice` the number of the row or act.
    """

    price: int
    what: str
    kind: int
    component: int
    choice: Row | Act | None
    target: int


class Step(NamedTuple):
    """A move made ready: as in `Move`, and what it makes of a state.

    Attributes:
        difference: to locals and counters.
        emits: what is sent besides.
        doubtful: the kinds of which it may make useless some, as a bit set.
    """

    price: int
    what: str
    kind: int
    component: int
    choice: Row | Act | None
    difference: int
    emits: tuple[int, ...]
    doubtful: int


class Fan:
    """Moves, those of a persistent set (R4) if there is one, with the differences that they make to a state.

    Attributes:
        free: the differences of those without a price.
        moves: all of them.
        paid: the faults among them, whose differences :func:`Space.faults` works out.
        every: the moves without a price, also those outside of the persistent set, with their differences.
        mask: the part of a state that the differences of the faults depend on.
        faults: those differences, by that part.
    """

    __slots__ = ("every", "faults", "free", "mask", "moves", "paid")

    def __init__(self, every: list[tuple[int, Step | Move]], paid: list[Step | Move], group: int = -1) -> None:
        self.every = every
        free = every if group == -1 else [step for step in every if group >> step[1].component & 1]
        self.free = [difference for difference, _ in free]
        self.paid = paid if group == -1 else [move for move in paid if group >> move.component & 1]
        self.moves = [move for _, move in free] + self.paid
        self.mask = 0
        self.faults: dict[int, list[int]] = {}


class TooManyQueueContentsError(Exception):
    """An ordered channel held more different contents than the state has room for."""


class Space:
    """The states and moves of some tables.

    Args:
        tables: what to interpret.
        inert: apply R2.
        persistent: apply R4.
        without: faults that do not happen, by the names that moves have: copy, overtake, early, crash, and those of
            `Kind.loss` and `Row.fault`.

    Attributes:
        initial: the first state.
        overflowed: the kinds whose counter has saturated.
        acting: the components that can do anything by themselves.
        below: so many bits hold the local states.
    """

    def __init__(
        self, tables: Tables, *, inert: bool = True, persistent: bool = True, without: frozenset[str] = frozenset()
    ) -> None:
        self.tables = tables
        self.without = without
        self.reduces = inert
        self.overflowed: set[int] = set()
        self.offsets: list[int] = []
        self.masks: list[int] = []
        position = 0
        for component in tables.components:
            width = max(component.size - 1, 0).bit_length()
            self.offsets.append(position)
            self.masks.append((1 << width) - 1)
            position += width
        self.below = position
        self.queue_offsets = [position + QUEUE_BITS * number for number in range(tables.queues)]
        position += QUEUE_BITS * tables.queues
        self.shift = position
        self.places = [position + WIDTH * number for number in range(len(tables.kinds))]
        self.ones = [1 << place for place in self.places]
        self.contents: list[tuple[int, ...]] = [()]
        self.numbers: dict[tuple[int, ...], int] = {(): 0}
        self._consumers = [kind.to for kind in tables.kinds]
        self._urgent = {number for number, kind in enumerate(tables.kinds) if kind.urgent}
        self._queued = [kind.queue >= 0 for kind in tables.kinds]
        self._holding = {n for n, kind in enumerate(tables.kinds) if kind.queue >= 0 and kind.patient}
        self._reach = [reach(component) for component in tables.components]
        self._inert: list[dict[int, tuple[bool, int]]] = [{} for _ in tables.kinds]
        self._needs: list[dict[int, frozenset[int] | None]] = [{} for _ in tables.kinds]
        self._flights: dict[int, tuple[int, ...]] = {}
        self._aloft: dict[int, int] = {}
        self._heard: dict[int, int] = {}
        self._left: dict[tuple[int, int], tuple[int, int]] = {}
        self._deliveries: dict[tuple[int, int], tuple[Step, ...]] = {}
        self._actions: dict[tuple[int, int], tuple[tuple[int, Step], ...]] = {}
        self.acting = [number for number, one in enumerate(tables.components) if any(one.acts)]
        self.fields = [mask << offset for mask, offset in zip(self.masks, self.offsets, strict=True)]
        self._index()
        self.persistence = Persistence(tables, self._reach, without) if persistent else None
        self.read = 0
        self._parts: dict[int, int] = {}
        self._fans: dict[int, tuple[list[int], dict[int, list[Fan | None]]]] = {}
        start = 0
        for number, component in enumerate(tables.components):
            start += component.initial << self.offsets[number]
        self.initial = self.norm(self._emit(start, tables.initial))

    @cached_property
    def always(self) -> int:
        """What every part of a state that moves depend on has: messages, queues and their consumers, and those who act."""
        width = WIDTH * len(self.tables.kinds) + QUEUE_BITS * self.tables.queues
        found = ((1 << width) - 1) << self.below
        telling = self.persistence.telling if self.persistence is not None else []
        for number in (*self.acting, *telling, *(kind.to for kind in self.tables.kinds if kind.queue >= 0)):
            found |= self.fields[number]
        return found

    # -------------------------------------------------------------------------------------------- reading a state

    def local(self, state: int, component: int) -> int:
        """The local state of a component."""
        return (state >> self.offsets[component]) & self.masks[component]

    def locals(self, state: int) -> tuple[int, ...]:
        """The local states of all components."""
        return tuple((state >> o) & m for o, m in zip(self.offsets, self.masks, strict=True))

    def flight(self, state: int) -> tuple[int, ...]:
        """The kinds in flight outside of ordered queues, each once."""
        counts = state >> self.shift
        found = self._flights.get(counts)
        if found is None:
            kinds = []
            rest = counts
            while rest:
                kind = ((rest & -rest).bit_length() - 1) // WIDTH
                kinds.append(kind)
                rest &= ~(MOST << (kind * WIDTH))
            found = self._flights[counts] = tuple(kinds)
        return found

    def queue(self, state: int, number: int) -> tuple[int, ...]:
        """What an ordered queue holds, its head first."""
        return self.contents[(state >> self.queue_offsets[number]) & ((1 << QUEUE_BITS) - 1)]

    def pending(self, state: int) -> tuple[int, ...]:
        """All kinds in flight, each once."""
        kinds = self.flight(state)
        for number in range(self.tables.queues):
            kinds += tuple(dict.fromkeys(self.queue(state, number)))
        return kinds

    def count(self, state: int, kind: int) -> int:
        """How many messages of a kind are in flight."""
        queue = self.tables.kinds[kind].queue
        return (state >> self.places[kind]) & MOST if queue < 0 else self.queue(state, queue).count(kind)

    # -------------------------------------------------------------------------------------------- moves

    def fan(self, state: int, *, calm: bool = False) -> Fan:
        """What can happen next, as differences; remembered by the part of the state that it depends on.

        That part is: what is in flight, the local states of those that take it and of those that act by themselves, and
        whatever was looked at when it was decided which messages have become useless.

        Args:
            state: where the moves start.
            calm: no more faults happen.
        """
        part = self._parts.get(state >> self.shift)
        if part is None:
            part = self._parts[state >> self.shift] = self._part(state)
        known = self._fans.get(state & part)
        if known is None:
            known = self._fans[state & part] = ([part], {})
        mask, fans = known
        found = fans.get(state & mask[0])
        if found is None:
            found = [None, None]
        fan = found[calm]
        if fan is None:
            if calm and found[0] is not None:
                fan = self._fan(state, found[0].every, [], calm)
            else:
                self.read = 0
                every, paid = self._ready(state, calm)
                if self.read & ~mask[0]:
                    mask[0] |= self.read
                    fans.clear()
                    found = [None, None]
                fan = self._fan(state, every, paid, calm)
            found[calm] = fan
            fans[state & mask[0]] = found
        return fan

    def faults(self, fan: Fan, state: int) -> list[int]:
        """The differences that the faults of a fan make to a state that it is for."""
        found = fan.faults.get(state & fan.mask)
        if found is None:
            self.read = 0
            found = [
                move.target - state if isinstance(move, Move) else self._behind(state, move) - state
                for move in fan.paid
            ]
            if self.read & ~fan.mask:
                fan.mask |= self.read
                fan.faults.clear()
            fan.faults[state & fan.mask] = found
        return found

    def _ready(self, state: int, calm: bool) -> tuple[list[tuple[int, Step | Move]], list[Step | Move]]:
        """The free moves of a state with their differences, and its faults."""
        every: list[tuple[int, Step | Move]] = []
        paid: list[Step | Move] = []
        if self.tables.queues:  # what a move makes of a queue cannot be said for more than one state
            for move in self.moves(state, calm=calm):
                if move.price:
                    paid.append(move)
                else:
                    every.append((move.target - state, move))
            return every, paid
        flight = self.flight(state)
        urgent = next((kind for kind in flight if kind in self._urgent), -1) if self._urgent else -1
        busy = False
        for kind in flight if urgent < 0 else (urgent,):
            to = self._consumers[kind]
            key = kind, (state >> self.offsets[to]) & self.masks[to]
            table = self._deliveries.get(key)
            for step in table if table is not None else self._compile(*key):
                busy = True
                if not step.price:
                    every.append((self._behind(state, step) - state, step))
                elif not calm:
                    paid.append(step)
        timers: list[tuple[int, Step]] = []
        for number in self.acting if urgent < 0 else ():
            key = number, (state >> self.offsets[number]) & self.masks[number]
            acts = self._actions.get(key)
            for depth, step in acts if acts is not None else self._doings(*key):
                if step.price and calm:
                    continue
                if step.what == "late":
                    if not busy:
                        timers.append((depth, step))
                elif step.price:
                    paid.append(step)
                else:
                    every.append((self._behind(state, step) - state, step))
        deepest = max((depth for depth, _ in timers), default=0)
        for depth, step in timers:
            if depth == deepest:
                if step.price:
                    paid.append(step)
                else:
                    every.append((self._behind(state, step) - state, step))
        return every, paid

    def _behind(self, state: int, step: Step) -> int:
        """The state behind a move, if it takes nothing out of a queue."""
        target = state + step.difference
        if step.emits:
            target = self._emit(target, step.emits)
        return self.norm(target, step.doubtful)

    def _fan(self, state: int, every: list[tuple[int, Step | Move]], paid: list[Step | Move], calm: bool) -> Fan:
        group = -1
        if self.persistence is not None and len(every) > 1 and every[0][1].kind not in self._urgent:
            group = self._persistent(self.persistence, state, every, paid, calm)
        return Fan(every, paid, group)

    def _persistent(
        self,
        persistence: Persistence,
        state: int,
        every: list[tuple[int, Step | Move]],
        paid: list[Step | Move],
        calm: bool,
    ) -> int:
        """A persistent set, provided that one of its moves gets on for good, so that nothing is put off for ever; or all."""
        movable = {move.component for _, move in every}
        movable.update([move.component for move in paid])
        if len(movable) < 2 or persistence.centre in movable:
            return -1
        seeds = sorted({move.component for _, move in every if move.kind >= 0})
        if not seeds:
            return -1
        group = persistence.group(self.locals(state), self.pending(state), seeds, sorted(movable), calm=calm)
        if group is None:
            return -1
        for difference, move in every:
            one = move.component
            if move.kind >= 0 and group >> one & 1:
                target = self.local(state + difference, one)
                if persistence.onward(one, self.local(state, one), target, move.kind):
                    return group
        return -1

    def _part(self, state: int) -> int:
        """The mask of what the possible moves of a state depend on, as far as the messages in flight show it."""
        mask = self.always
        for kind in self.flight(state):
            mask |= self.fields[self._consumers[kind]]
        return mask

    def moves(self, state: int, *, calm: bool = False) -> list[Move]:
        """What can happen next, in a fixed order; if calm, without faults."""
        kinds = self.tables.kinds
        found: list[Move] = []
        flight = self.flight(state)
        for kind in flight:
            if kinds[kind].urgent:
                self._deliver(state, kind, found, calm)
                return found
        busy = False
        for kind in flight:
            busy |= self._deliver(state, kind, found, calm)
        for number in range(self.tables.queues):
            for position, kind in enumerate(dict.fromkeys(self.queue(state, number))):
                if position == 0:
                    busy |= self._deliver(state, kind, found, calm)
                elif kinds[kind].overtakes and "overtake" not in self.without and not calm:
                    self._deliver(state, kind, found, calm, overtaking=True)
        self._act(state, found, busy, calm)
        return found

    def _deliver(self, state: int, kind: int, found: list[Move], calm: bool, *, overtaking: bool = False) -> bool:
        """Add the moves of a delivery; returns whether there are any."""
        to = self._consumers[kind]
        local = (state >> self.offsets[to]) & self.masks[to]
        table = self._deliveries.get((kind, local))
        if table is None:
            table = self._compile(kind, local)
        queued = self._queued[kind]
        for price, what, _, _, row, delta, emits, doubt in table:
            if price and (calm or overtaking):
                continue
            if overtaking:
                price, what = 1, "overtake"
            target = state + delta
            if queued:
                target = self._taken(target, kind, row if isinstance(row, Row) else None, what)
            if emits:
                target = self._emit(target, emits)
            found.append(Move(price, what, kind, to, row, self.norm(target, doubt)))
        return bool(table)

    def _compile(self, kind: int, local: int) -> tuple[Step, ...]:
        """The moves of a delivery."""
        one = self.tables.kinds[kind]
        to, offset = one.to, self.offsets[one.to]
        taken = self.ones[kind] if one.queue < 0 else 0
        found: list[Step] = []
        rows = self.tables.rows(kind, local)
        for row in rows:
            if row.price and row.fault in self.without:
                continue
            delta = (row.target - local) << offset
            what = row.fault if row.price else "deliver"
            doubt = self.doubt(row, to, local)
            found.append(Step(row.price, what, kind, to, row, delta - (0 if row.keep else taken), row.emits, doubt))
            if one.copies and not row.keep and not row.price and "copy" not in self.without:
                found.append(Step(1, "copy", kind, to, row, delta, row.emits, doubt))
        if not rows and not self.waits(kind, local):
            found.append(Step(0, "drop", kind, to, None, -taken, (), 0))
        if one.loss and one.loss not in self.without and (rows or found):
            found.append(Step(1, one.loss, kind, to, None, -taken, (), 0))
        table = self._deliveries[kind, local] = tuple(found)
        return table

    def waits(self, kind: int, local: int) -> bool:
        """Whether a message that nothing takes here stays until something does."""
        one = self.tables.kinds[kind]
        return one.patient and bool(self._reach[one.to][local] & self._taking[kind])

    def _taken(self, state: int, kind: int, row: Row | None, what: str) -> int:
        """Take the message out of its queue, if it is in one and the move consumes it."""
        queue = self.tables.kinds[kind].queue
        if what == "copy" or (row is not None and row.keep):
            return state
        content = list(self.queue(state, queue))
        content.remove(kind)
        return self._store(state, queue, tuple(content))

    def _store(self, state: int, queue: int, content: tuple[int, ...]) -> int:
        number = self.numbers.get(content)
        if number is None:
            number = self.numbers[content] = len(self.contents)
            self.contents.append(content)
            if number >= 1 << QUEUE_BITS:
                raise TooManyQueueContentsError
        offset = self.queue_offsets[queue]
        return (state & ~(((1 << QUEUE_BITS) - 1) << offset)) | (number << offset)

    def _emit(self, state: int, emits: tuple[int, ...]) -> int:
        for kind in emits:
            queue = self.tables.kinds[kind].queue
            if queue < 0:
                if (state >> self.places[kind]) & MOST == MOST:
                    self.overflowed.add(kind)
                else:
                    state += self.ones[kind]
                continue
            content = self.queue(state, queue)
            if content.count(kind) >= MOST:
                self.overflowed.add(kind)
            else:
                state = self._store(state, queue, (*content, kind))
        return state

    def _act(self, state: int, found: list[Move], busy: bool, calm: bool) -> None:
        late: list[tuple[int, Move]] = []
        for number in self.acting:
            key = number, (state >> self.offsets[number]) & self.masks[number]
            acts = self._actions.get(key)
            for depth, step in acts if acts is not None else self._doings(*key):
                if (step.price and calm) or (step.what == "late" and busy):
                    continue
                move = Move(step.price, step.what, -1, number, step.choice, self._behind(state, step))
                if step.what == "late":
                    late.append((depth, move))
                else:
                    found.append(move)
        if late:
            deepest = max(depth for depth, _ in late)
            found += [move for depth, move in late if depth == deepest]

    def _doings(self, component: int, local: int) -> tuple[tuple[int, Step], ...]:
        """What a component may do by itself, each with its depth."""
        found = []
        for act in self.tables.components[component].acts[local]:
            if act.when not in self.without:
                delta = (act.target - local) << self.offsets[component]
                doubt = self.doubt(act, component, local)
                found.append((act.depth, Step(act.price, act.when, -1, component, act, delta, act.emits, doubt)))
        table = self._actions[component, local] = tuple(found)
        return table

    # -------------------------------------------------------------------------------------------- R2: inert messages

    def norm(self, state: int, doubtful: int = -1) -> int:
        """The state without the messages that cannot change anything any more.

        Args:
            state: the state.
            doubtful: the kinds of which it is not known yet, as a bit set.
        """
        if not self.reduces or not doubtful:
            return state
        some = self._aloft.get(state >> self.shift)
        if some is None:
            some = self._aloft[state >> self.shift] = bits(self.flight(state))
        some &= doubtful
        if some:
            heard = self._heard.get(some)
            if heard is None:
                heard = self._heard[some] = self.hearing(some)
            known = self._left.get((some, state & heard))
            if known is None:
                before, self.read = self.read, 0
                gone, rest = 0, some
                while rest:
                    low = rest & -rest
                    rest ^= low
                    kind = low.bit_length() - 1
                    to = self._consumers[kind]
                    if self._needs[kind].get((state >> self.offsets[to]) & self.masks[to], ()) is None:
                        self.read |= self.fields[to]
                    elif self.inert(kind, state):
                        gone |= MOST << self.places[kind]
                known = self._left[some, state & heard] = (~gone, self.read)
                self.read |= before
            state &= known[0]
            self.read |= known[1]
        for number in range(self.tables.queues):
            content = self.queue(state, number)
            kept = tuple(kind for kind in content if not (doubtful >> kind & 1 and self.inert(kind, state)))
            if len(kept) != len(content):
                state = self._store(state, number, kept)
        return state

    def useless(self, some: int, state: int) -> int:
        """Those of some kinds, as a bit set, that cannot change anything any more."""
        return bits(kind for kind in members(some) if self.inert(kind, state))

    def hearing(self, some: int) -> int:
        """The part of a state that decides which of some kinds are useless."""
        found = 0
        for kind in members(some):
            found |= self._hearing[kind]
        return found

    def doubt(self, choice: Row | Act | None, component: int, local: int) -> int:
        """The kinds that a move may make useless, and those that it sends."""
        if choice is None:
            return 0
        return (self.doubtful[component] if choice.target != local else 0) | bits(choice.emits)

    def inert(self, kind: int, state: int, path: frozenset[int] = frozenset()) -> bool:
        """Whether no delivery of the kind can ever change anything from this state on; well-founded, so a storm is not inert."""
        to = self._consumers[kind]
        local = (state >> self.offsets[to]) & self.masks[to]
        self.read |= self.fields[to]
        table = self._needs[kind]
        needs = table[local] if local in table else self.needs(kind, local)
        if needs is None:
            return False
        if kind in self._holding and self.waits(kind, local):
            return False  # what waits at the head of a queue holds up what is behind it
        if not needs:
            return True
        if kind in path:
            return False
        key = state & self._hearing[kind]
        known = self._inert[kind].get(key)
        if known is None:
            before, self.read = self.read, self.fields[to]
            result = all(self.inert(one, state, path | {kind}) for one in needs)
            known = self._inert[kind][key] = (result, self.read)
            self.read = before
        self.read |= known[1]
        return known[0]

    def needs(self, kind: int, local: int) -> frozenset[int] | None:
        """What has to be inert for this kind to be; None if it can change its consumer."""
        known = self._needs[kind]
        if local not in known:
            reachable = self._reach[self._consumers[kind]][local]
            if reachable & self._changing[kind]:
                known[local] = None
            else:
                emitted: set[int] = set()
                for one, emits in self._emitting[kind]:
                    if reachable >> one & 1:
                        emitted.update(emits)
                known[local] = frozenset(emitted)
        return known[local]

    def _index(self) -> None:
        """By kind: where it is taken, where it changes its consumer, what is emitted on it; by component: what its moves may make useless."""
        kinds = self.tables.kinds
        self._taking = [0] * len(kinds)
        self._changing = [0] * len(kinds)
        self._emitting: list[list[tuple[int, frozenset[int]]]] = [[] for _ in kinds]
        sounding = [0] * len(kinds)
        for component in self.tables.components:
            for local, rows in enumerate(component.rows):
                bit = 1 << local
                for kind, group in rows.items():
                    self._taking[kind] |= bit
                    for row in group:
                        if row.target != local:
                            self._changing[kind] |= bit
                        if row.emits:
                            sounding[kind] |= bit
                    if sounding[kind] & bit:
                        self._emitting[kind].append((local, frozenset(one for row in group for one in row.emits)))
        # Who is told of a message, by its consumer at places where that does not change itself, decides whether it is useless.
        echoing = [bool(sounding[kind] & ~self._changing[kind]) for kind in range(len(kinds))]
        self._hearing = [0] * len(kinds)
        self.doubtful = [0] * len(self.tables.components)
        for kind in range(len(kinds)):
            seen, todo = {kind}, [kind]
            while todo:
                one = todo.pop()
                self._hearing[kind] |= self.fields[kinds[one].to]
                self.doubtful[kinds[one].to] |= 1 << kind
                if echoing[one]:
                    new = {more for _, emits in self._emitting[one] for more in emits} - seen
                    seen |= new
                    todo += new
