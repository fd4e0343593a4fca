"""The fast engine: a state of a scene is one integer, moves are precomputed differences, useless messages vanish at once.

Local states lie in bit fields at the bottom, ordered queues (numbers of interned contents) above them, and one three-bit
counter per kind of message on top. The reduction R2 drops a message as soon as it provably cannot change anything any more
(`inert`); R4 delivers to a closed group of components first where the others cannot interfere (`persistent`).
"""

from __future__ import annotations

from typing import NamedTuple

from coordlint.explore.tables import Act, Row, Tables, reach

WIDTH = 3
MOST = (1 << WIDTH) - 1
"""A counter that would go beyond saturates, and the space says so: messages pile up without bound."""

QUEUE_BITS = 14


class Move(NamedTuple):
    """One step: its price in faults, what it was, and the state behind it.

    `what`: deliver, copy, drop, lose, park, overtake, or the `when` of an act. `kind` is the message (-1 for an act),
    `component` who moved, `choice` the number of the row or act.
    """

    price: int
    what: str
    kind: int
    component: int
    choice: Row | Act | None
    target: int


class TooManyQueueContentsError(Exception):
    """An ordered channel held more different contents than the state has room for."""


class Space:
    """The states and moves of some tables.

    Args:
        tables: what to interpret.
        inert: apply R2.
        persistent: apply R4.
        without: faults that do not happen: copy, lose, park, overtake, early, crash, publish (a crash between the effects
            and the publication).

    Attributes:
        initial: the first state.
        overflowed: the kinds whose counter has saturated.
        acting: the components that can do anything by themselves.
    """

    def __init__(
        self, tables: Tables, *, inert: bool = True, persistent: bool = True, without: frozenset[str] = frozenset()
    ) -> None:
        self.tables = tables
        self.without = without
        self.reduces = inert
        self.persists = persistent
        self.overflowed: set[int] = set()
        self.offsets: list[int] = []
        self.masks: list[int] = []
        position = 0
        for component in tables.components:
            width = max(component.size - 1, 0).bit_length()
            self.offsets.append(position)
            self.masks.append((1 << width) - 1)
            position += width
        self.queue_offsets = [position + QUEUE_BITS * number for number in range(tables.queues)]
        position += QUEUE_BITS * tables.queues
        self.shift = position
        self.places = [position + WIDTH * number for number in range(len(tables.kinds))]
        self.ones = [1 << place for place in self.places]
        self.contents: list[tuple[int, ...]] = [()]
        self.numbers: dict[tuple[int, ...], int] = {(): 0}
        self._consumers = [kind.to for kind in tables.kinds]
        self._holding = {n for n, kind in enumerate(tables.kinds) if kind.queue >= 0 and kind.patient}
        self._reach: dict[int, list[int]] = {}
        self._needs: dict[tuple[int, int], frozenset[int] | None] = {}
        self._uses: dict[int, tuple[int, list[tuple[int, frozenset[int]]]]] = {}
        self._flights: dict[int, tuple[int, ...]] = {}
        self._deliveries: dict[tuple[int, int], tuple[tuple[int, str, Row | None, int, tuple[int, ...]], ...]] = {}
        self.acting = [number for number, one in enumerate(tables.components) if any(one.acts)]
        self._actions: dict[tuple[int, int], tuple[tuple[Act, int], ...]] = {}
        self._sends: dict[tuple[int, int], int] = {}
        start = 0
        for number, component in enumerate(tables.components):
            start += component.initial << self.offsets[number]
        self.initial = self.norm(self._emit(start, tables.initial))

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

    def moves(self, state: int, *, only: frozenset[int] | None = None) -> list[Move]:
        """What can happen next, in a fixed order; `only` restricts it to moves of those components."""
        tables = self.tables
        kinds = tables.kinds
        found: list[Move] = []
        busy = False
        flight = self.flight(state)
        for kind in flight:
            if kinds[kind].urgent:
                return self._deliver(state, kind)
        for kind in flight:
            to = kinds[kind].to
            if only is not None and to not in only:
                busy = busy or not self.waits(kind, self.local(state, to))
                continue
            moves = self._deliver(state, kind)
            found += moves
            busy = busy or bool(moves)
        for number in range(tables.queues):
            for position, kind in enumerate(dict.fromkeys(self.queue(state, number))):
                to = kinds[kind].to
                if only is not None and to not in only:
                    busy = busy or (position == 0 and not self.waits(kind, self.local(state, to)))
                elif position == 0 or (kinds[kind].overtakes and "overtake" not in self.without):
                    moves = self._deliver(state, kind, overtaking=position > 0)
                    found += moves
                    busy = busy or (position == 0 and bool(moves))
        self._act(state, found, busy, only)
        return found

    def _deliver(self, state: int, kind: int, *, overtaking: bool = False) -> list[Move]:
        to = self.tables.kinds[kind].to
        local = (state >> self.offsets[to]) & self.masks[to]
        table = self._deliveries.get((kind, local))
        if table is None:
            table = self._deliveries[kind, local] = self._compile(kind, local)
        found = []
        for price, what, row, delta, emits in table:
            if overtaking:
                if price:
                    continue
                price, what = 1, "overtake"
            target = self._taken(state + delta, kind, row, what)
            if emits:
                target = self._emit(target, emits)
            found.append(Move(price, what, kind, to, row, self.norm(target)))
        return found

    def _compile(self, kind: int, local: int) -> tuple[tuple[int, str, Row | None, int, tuple[int, ...]], ...]:
        """The moves of a delivery: price, name, row, difference of the locals and the counter, and what is emitted."""
        one = self.tables.kinds[kind]
        offset = self.offsets[one.to]
        taken = self.ones[kind] if one.queue < 0 else 0
        found: list[tuple[int, str, Row | None, int, tuple[int, ...]]] = []
        rows = self.tables.rows(kind, local)
        for row in rows:
            if row.price and "publish" in self.without:
                continue
            delta = (row.target - local) << offset
            what = "publish" if row.price else "deliver"
            found.append((row.price, what, row, delta - (0 if row.keep else taken), row.emits))
            if one.copies and not row.keep and not row.price and "copy" not in self.without:
                found.append((1, "copy", row, delta, row.emits))
        if not rows and not self.waits(kind, local):
            found.append((0, "drop", None, -taken, ()))
        if one.loss and one.loss not in self.without and (rows or found):
            found.append((1, one.loss, None, -taken, ()))
        return tuple(found)

    def waits(self, kind: int, local: int) -> bool:
        """Whether a message that nothing takes here stays until something does."""
        one = self.tables.kinds[kind]
        return one.patient and bool(self._reaching(one.to)[local] & self._used(kind)[0])

    def _taken(self, state: int, kind: int, row: Row | None, what: str) -> int:
        """Take the message out of its queue, if it is in one and the move consumes it."""
        queue = self.tables.kinds[kind].queue
        if queue < 0 or what == "copy" or (row is not None and row.keep):
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

    def _act(self, state: int, found: list[Move], busy: bool, only: frozenset[int] | None) -> None:
        late: list[tuple[int, Move]] = []
        for number in self.acting:
            if only is not None and number not in only:
                continue
            local = (state >> self.offsets[number]) & self.masks[number]
            for act in self.tables.components[number].acts[local]:
                if act.when in self.without or (act.when == "late" and busy):
                    continue
                target = self._emit(state + ((act.target - local) << self.offsets[number]), act.emits)
                move = Move(act.price, act.when, -1, number, act, self.norm(target))
                if act.when == "late":
                    late.append((act.depth, move))
                else:
                    found.append(move)
        if late:
            deepest = max(depth for depth, _ in late)
            found += [move for depth, move in late if depth == deepest]

    # -------------------------------------------------------------------------------------------- R2: inert messages

    def norm(self, state: int) -> int:
        """The state without the messages that cannot change anything any more."""
        if not self.reduces:
            return state
        for kind in self.flight(state):
            if self.inert(kind, state):
                state &= ~(MOST << self.places[kind])
        for number in range(self.tables.queues):
            content = self.queue(state, number)
            kept = tuple(kind for kind in content if not self.inert(kind, state))
            if len(kept) != len(content):
                state = self._store(state, number, kept)
        return state

    def inert(self, kind: int, state: int, path: frozenset[int] = frozenset()) -> bool:
        """Whether no delivery of the kind can ever change anything from this state on; well-founded, so a storm is not inert."""
        to = self._consumers[kind]
        local = (state >> self.offsets[to]) & self.masks[to]
        key = (kind, local)
        needs = self._needs[key] if key in self._needs else self.needs(kind, local)
        if needs is None:
            return False
        if kind in self._holding and self.waits(kind, local):
            return False  # what waits at the head of a queue holds up what is behind it
        if not needs:
            return True
        if kind in path:
            return False
        path |= {kind}
        for one in needs:  # noqa: SIM110 (this is the innermost loop)
            if not self.inert(one, state, path):
                return False
        return True

    def needs(self, kind: int, local: int) -> frozenset[int] | None:
        """What has to be inert for this kind to be; None if it can change its consumer."""
        key = (kind, local)
        if key not in self._needs:
            reachable = self._reaching(self.tables.kinds[kind].to)[local]
            changing, emitting = self._changes(kind)
            if reachable & changing:
                self._needs[key] = None
            else:
                emitted: set[int] = set()
                for one, emits in emitting:
                    if reachable >> one & 1:
                        emitted |= emits
                self._needs[key] = frozenset(emitted)
        return self._needs[key]

    def _reaching(self, component: int) -> list[int]:
        if component not in self._reach:
            self._reach[component] = reach(self.tables.components[component])
        return self._reach[component]

    def _changes(self, kind: int) -> tuple[int, list[tuple[int, frozenset[int]]]]:
        """The local states that a delivery can change, as a bit set, and what others emit on it."""
        if kind not in self._uses:
            self._index()
        changing, emitting = self._uses[kind]
        return changing, emitting

    def _used(self, kind: int) -> tuple[int, None]:
        """The local states that have a row for the kind, as a bit set."""
        if not hasattr(self, "_taking"):
            self._index()
        return self._taking[kind], None

    def _index(self) -> None:
        self._taking = [0] * len(self.tables.kinds)
        self._uses = {kind: (0, []) for kind in range(len(self.tables.kinds))}
        for component in self.tables.components:
            for local, rows in enumerate(component.rows):
                for kind, group in rows.items():
                    self._taking[kind] |= 1 << local
                    changing, emitting = self._uses[kind]
                    if any(row.target != local for row in group):
                        self._uses[kind] = (changing | 1 << local, emitting)
                    emits = frozenset(one for row in group for one in row.emits)
                    if emits:
                        emitting.append((local, emits))
