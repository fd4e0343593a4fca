"""The tables of a scene as a Promela model: SPIN is the second, independent judge.

One process for each component, whose labels are its local states; every move is one step (`d_step`) that prints its number, so
that a trail can be read back and replayed here. The budget of faults is part of the state; nothing is reduced. An ordered
queue is a channel. What must not happen (or has to) is asserted by a process that never changes the state, so that one run
counts the states and judges all properties.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from coordlint.explore.space import MOST, Move, Space
from coordlint.explore.tables import Act, Component, Row, Tables, reach

PROCESSES = 250
"""SPIN knows at most 255 processes; a scene may have so many components."""

OPTIONS = 1_000
"""So many moves go into one process; SPIN gives up on one with some thousand of them, depending on their length."""

CHANNEL = 255
"""A channel of SPIN holds at most so many messages."""


class NotExportableError(Exception):
    """SPIN has no room for the scene; the message says why."""


class Numbered(NamedTuple):
    """What a number in a trail stands for: the move's name, its kind (-1 for an act), the row or act, who moves, its price."""

    what: str
    kind: int
    choice: Row | Act | None
    component: int
    price: int


Case = tuple[tuple[int, tuple[int, ...]], ...]
"""Components, each with the local states that it is in; all of them at once."""


class Property(NamedTuple):
    """Something that must not hold in any state that is reached, or has to hold in one of them.

    Attributes:
        code: `B1` to `B21`.
        subject: what it is about, as violations have it.
        cases: the property holds in a state where one of them does.
        resting: only states without a free move count.
        wanted: it has to hold in a state that needs no fault; otherwise it must not hold.
        storm: the kind that must not be sent while as many of it are in flight as are told apart; -1 for other properties.
    """

    code: str
    subject: str
    cases: tuple[Case, ...] = ()
    resting: bool = False
    wanted: bool = False
    storm: int = -1


class Check(NamedTuple):
    """An assertion of a model: a property, and the number of faults at which it looks; -1 for any number."""

    property: int
    faults: int


class Model(NamedTuple):
    """A Promela model and what its numbers mean.

    Attributes:
        text: the model.
        title: its first line, by which a trail is known to belong to it.
        moves: by the number that a trail shows.
        lines: the moves by the line of the model that holds them.
        properties: what is judged.
        checks: the assertions by their numbers.
        extra: so many states does the model have beside those of the scene.
    """

    text: str
    title: str
    moves: tuple[Numbered, ...]
    lines: dict[int, int]
    properties: tuple[Property, ...]
    checks: tuple[Check, ...]
    extra: int


def export(
    tables: Tables, faults: int, properties: Iterable[Property] = (), *, name: str = "scene",
    without: frozenset[str] = frozenset(),
) -> Model:  # fmt: skip
    """The model of some tables.

    Args:
        tables: the scene.
        faults: the budget.
        properties: what to judge.
        name: the scene's name.
        without: faults that do not happen, as :class:`Space` has them.

    Raises:
        NotExportableError: SPIN has no room for the scene.
    """
    return _Writer(tables, faults, tuple(properties), without).write(name)


class _Writer:
    """Writes one model."""

    def __init__(self, tables: Tables, faults: int, properties: tuple[Property, ...], without: frozenset[str]) -> None:
        if len(tables.components) > PROCESSES:
            raise NotExportableError(f"it has {len(tables.components)} components, and SPIN knows {PROCESSES} at most")
        self.tables = tables
        self.faults = faults
        self.properties = properties
        self.without = without
        self.moves: list[Numbered] = []
        self.checks: list[Check] = []
        self.urgent = [kind for kind, one in enumerate(tables.kinds) if one.urgent]
        self.reaching = [reach(component) for component in tables.components]
        self.waiting = [self._waiting(kind) for kind in range(len(tables.kinds))]
        self.bounded = _bounds(tables, self.reaching)
        self.acting = [
            [any(act.when in {"free", "late"} for act in acts) for acts in component.acts]
            for component in tables.components
        ]
        self.depths = [
            [max((act.depth for act in acts if act.when == "late"), default=-1) for acts in component.acts]
            for component in tables.components
        ]
        self.levels = sorted({depth for depths in self.depths for depth in depths if depth >= 0})
        self.starts = any(tables.kinds[kind].queue >= 0 for kind in tables.initial)
        self.seen = {number for one in properties for case in one.cases for number, _ in case}
        self.seen |= {tables.kinds[kind].to for kind, waiting in enumerate(self.waiting) if waiting}
        self.dropping = [self._dropping(kind) for kind in range(len(tables.kinds))]
        self.seen |= {
            tables.kinds[kind].to
            for kind, places in enumerate(self.dropping)
            if 0 < len(places) < tables.components[tables.kinds[kind].to].size
        }
        self.wide = {number for number, component in enumerate(tables.components) if self._moves(component) > OPTIONS}
        self.seen |= self.wide
        self.storms = {one.storm: number for number, one in enumerate(properties) if one.storm >= 0}

    def _waiting(self, kind: int) -> frozenset[int]:
        """The local states in which a message stays where it is: nothing takes it yet, but something will."""
        one = self.tables.kinds[kind]
        component = self.tables.components[one.to]
        if not one.patient:
            return frozenset()
        taking = [local for local in range(component.size) if kind in component.rows[local]]
        return frozenset(
            local
            for local in range(component.size)
            if local not in taking and any(self.reaching[one.to][local] >> other & 1 for other in taking)
        )

    def _dropping(self, kind: int) -> frozenset[int]:
        """The local states in which a message is dropped."""
        rows = self.tables.components[self.tables.kinds[kind].to].rows
        return frozenset(local for local in range(len(rows)) if not rows[local].get(kind)) - self.waiting[kind]

    def _moves(self, component: Component) -> int:
        """How many moves a component may have, at most."""
        found = sum(len(acts) for acts in component.acts)
        for rows in component.rows:
            for kind, group in rows.items():
                found += len(group) * (1 + self.tables.kinds[kind].copies + self.tables.kinds[kind].overtakes)
        return found

    def write(self, name: str) -> Model:
        """The whole model."""
        body = self._variables()
        lines: dict[int, int] = {}
        for number, component in enumerate(self.tables.components):
            body += self._process(number, component, lines, len(body) + 2)
        body += self._network(lines, len(body) + 2)
        if self.starts:
            body += self._starter()
        judge = self._judge()
        body += judge
        digest = hashlib.sha256("\n".join(body).encode()).hexdigest()[:16]
        title = f"/* coordlint: {plain(name)}, faults {self.faults}, model {digest} */"
        return Model(
            "\n".join([title, *body]) + "\n", title, tuple(self.moves), lines, self.properties, tuple(self.checks),
            int(self.starts),
        )  # fmt: skip

    # -------------------------------------------------------------------------------------------- state

    def _variables(self) -> list[str]:
        tables = self.tables
        counts = [0] * len(tables.kinds)
        for kind in tables.initial if not self.starts else ():
            counts[kind] = min(counts[kind] + 1, MOST)
        calm = sum(count for kind, count in enumerate(counts) if self._is_calm(kind))
        urgent = sum(counts[kind] for kind in self.urgent)
        first = [component.initial for component in tables.components]
        acting = sum(self.acting[number][local] for number, local in enumerate(first))
        lines = [
            f"byte b = {self.faults}; /* faults that may still happen */",
            f"short fl = {calm}; /* messages in flight that something happens to at once */",
            f"short on = {acting}; /* components with a free choice or a timer that may run out */",
        ]
        if self.urgent:
            lines.append(f"short u = {urgent}; /* notes to observers */")
        for level in self.levels[1:]:
            count = sum(self.depths[number][local] == level for number, local in enumerate(first))
            lines.append(f"byte d{level} = {count}; /* components whose innermost timer has this depth */")
        if self.starts:
            lines.append("bit go;")
        for number in sorted(self.seen):
            wide = "byte" if tables.components[number].size <= 256 else "short"
            lines.append(f"{wide} l{number} = {first[number]}; /* {plain(tables.components[number].name)} */")
        for kind, one in enumerate(tables.kinds):
            lines.append(f"byte m{kind} = {counts[kind]}; /* {plain(one.name)} */")
        for queue in range(tables.queues):
            members = sum(one.queue == queue for one in tables.kinds)
            lines.append(f"chan q{queue} = [{min(max(members * MOST, 1), CHANNEL)}] of {{ byte }};")
        return lines

    def _is_calm(self, kind: int) -> bool:
        """Whether a message of that kind is simply counted: whenever it is in flight, something happens to it."""
        one = self.tables.kinds[kind]
        if one.queue >= 0:
            return not any(self.waiting[k] for k, other in enumerate(self.tables.kinds) if other.queue == one.queue)
        return not one.urgent and not self.waiting[kind]

    def _quiet(self) -> list[str]:
        """Nothing can be delivered."""
        quiet = ["fl == 0"] + (["u == 0"] if self.urgent else [])
        for kind, one in enumerate(self.tables.kinds):
            if one.urgent or self._is_calm(kind):
                continue
            there = f"q{one.queue}?[{kind}]" if one.queue >= 0 else f"m{kind} > 0"
            here = " || ".join(f"l{one.to} == {local}" for local in sorted(self.waiting[kind]))
            quiet.append(f"!({there} && !({here}))" if here else f"!({there})")
        return quiet

    # -------------------------------------------------------------------------------------------- moves

    def _process(self, number: int, component: Component, lines: dict[int, int], at: int) -> list[str]:
        """The process of a component; `at` is the number of its first line in the model."""
        comment = f"/* {plain(component.name)} */"
        if number in self.wide:
            return self._processes(number, component, lines, at, comment)
        written = [f"active proctype C{number}() {{ {comment}"]
        order = [component.initial, *(n for n in range(component.size) if n != component.initial)]
        for local in order:
            options = list(self._options(number, component, local))
            written.append(f"end_s{local}:")
            if not options:
                written.append("  false;")
                continue
            written.append("  if")
            for move, option, target in options:
                lines[at + len(written)] = move
                written.append(f"  :: {option}; goto end_s{target}")
            written.append("  fi;")
        return [*written, "  false", "}"]

    def _processes(self, number: int, component: Component, lines: dict[int, int], at: int, comment: str) -> list[str]:
        """A component with more moves than SPIN allows in a process becomes several, which share a variable."""
        options = [one for local in range(component.size) for one in self._options(number, component, local)]
        written: list[str] = []
        for first in range(0, len(options), OPTIONS):
            written += [f"active proctype C{number}_{first // OPTIONS}() {{ {comment}", "end: do"]
            for move, option, _ in options[first : first + OPTIONS]:
                lines[at + len(written)] = move
                written.append(f"  :: {option}")
            written += ["  od", "}"]
        return written

    def _network(self, lines: dict[int, int], at: int) -> list[str]:
        """The process in which messages come to nothing: dropped where nothing takes them, or lost on the way."""
        options: list[tuple[int, str, int]] = []
        for kind, one in enumerate(self.tables.kinds):
            dropped, waits = self.dropping[kind], self.waiting[kind]
            ways = [("drop", 0)]
            if one.queue >= 0 and one.overtakes and "overtake" not in self.without:
                ways.append(("overtake", 1))
            options += [
                self._delivery(one.to, -1, kind, None, what, price, among=dropped) for what, price in ways if dropped
            ]
            if one.loss and one.loss not in self.without:
                there = frozenset(range(self.tables.components[one.to].size)) - waits
                options.append(self._delivery(one.to, -1, kind, None, one.loss, 1, among=there))
        if not options:
            return []
        written = ["active proctype network() {", "end: do"]
        for move, option, _ in options:
            lines[at + len(written)] = move
            written.append(f"  :: {option}")
        return [*written, "  od", "}"]

    def _options(self, number: int, component: Component, local: int) -> Iterable[tuple[int, str, int]]:
        """The moves of a component from a local state: number, text, and where they lead."""
        for kind, rows in component.rows[local].items():
            one = self.tables.kinds[kind]
            for row in rows:
                if row.price and row.fault in self.without:
                    continue
                what = row.fault if row.price else "deliver"
                yield self._delivery(number, local, kind, row, what, row.price, keeps=row.keep)
                if not row.price and one.copies and not row.keep and "copy" not in self.without:
                    yield self._delivery(number, local, kind, row, "copy", 1, keeps=True)
                if not row.price and one.queue >= 0 and one.overtakes and "overtake" not in self.without:
                    yield self._delivery(number, local, kind, row, "overtake", 1, keeps=row.keep)
        for act in component.acts[local]:
            if act.when not in self.without:
                yield self._act(number, local, act)

    def _among(self, number: int, places: frozenset[int]) -> list[str]:
        """The condition that a component is in one of those local states; nothing if they are all that it has."""
        size = self.tables.components[number].size
        if len(places) == size:
            return []
        if len(places) * 2 <= size:
            return [_among(number, sorted(places))]
        return [f"l{number} != {local}" for local in range(size) if local not in places]

    def _delivery(
        self, number: int, local: int, kind: int, row: Row | None, what: str, price: int, *, keeps: bool = False,
        among: frozenset[int] | None = None,
    ) -> tuple[int, str, int]:  # fmt: skip
        one = self.tables.kinds[kind]
        target = row.target if row is not None else local
        guard = [f"m{kind} > 0"]
        taken: list[str] = []
        if one.queue >= 0:
            guard = [f"m{kind} > 0 && !(q{one.queue}?[{kind}])" if what == "overtake" else f"q{one.queue}?[{kind}]"]
        if among is not None:
            guard += self._among(number, among)
        elif number in self.wide:
            guard.append(f"l{number} == {local}")
        if not keeps:
            if one.queue >= 0:
                taken.append(f"q{one.queue}{'??' if what == 'overtake' else '?'}{kind}")
            taken.append(f"m{kind}--")
            taken += ["u--"] if one.urgent else ["fl--"] if self._is_calm(kind) else []
        if one.urgent:
            guard += [f"m{other} == 0" for other in self.urgent if other < kind]
        elif self.urgent:
            guard.append("u == 0")
        emits = row.emits if row is not None else ()
        move = Numbered(what, kind, row, number, price)
        return self._step(guard, price, [*taken, *self._enter(number, local, target), *self._sent(emits)], move, target)

    def _act(self, number: int, local: int, act: Act) -> tuple[int, str, int]:
        guard = ["u == 0"] if self.urgent else []
        if act.when == "late":
            guard = [*self._quiet(), *(f"d{level} == 0" for level in self.levels[1:] if level > act.depth)]
        if number in self.wide:
            guard.insert(0, f"l{number} == {local}")
        if self.starts and local == self.tables.components[number].initial:
            guard.append("go == 1")
        effects = [*self._enter(number, local, act.target), *self._sent(act.emits)]
        move = Numbered(act.when, -1, act, number, act.price)
        return self._step(guard, act.price, effects, move, act.target)

    def _step(
        self, guard: list[str], price: int, effects: list[str], move: Numbered, target: int
    ) -> tuple[int, str, int]:
        self.moves.append(move)
        number = len(self.moves) - 1
        guards = " && ".join([*guard, *(["b > 0"] if price else [])]) or "true"
        done = "; ".join([f'printf("@{number}\\n")', *(["b--"] if price else []), *effects])
        return number, f"d_step {{ {guards} -> {done} }}", target

    def _enter(self, number: int, local: int, target: int) -> list[str]:
        """What a change of the local state means for the variables."""
        if target == local:
            return []
        found = [f"l{number} = {target}"] if number in self.seen else []
        change = self.acting[number][target] - self.acting[number][local]
        found += [f"on{'++' if change > 0 else '--'}"] if change else []
        before, after = self.depths[number][local], self.depths[number][target]
        if before != after:
            found += [f"d{before}--"] if before in self.levels[1:] else []
            found += [f"d{after}++"] if after in self.levels[1:] else []
        return found

    def _sent(self, emits: Sequence[int]) -> list[str]:
        found = []
        for kind in emits:
            one = self.tables.kinds[kind]
            sent = [f"q{one.queue}!{kind}"] if one.queue >= 0 else []
            sent += [f"m{kind}++"] + (["u++"] if one.urgent else ["fl++"] if self._is_calm(kind) else [])
            if self.bounded[kind]:
                found += sent
                continue
            full = "skip"
            if kind in self.storms:
                full = self._assertion(self.storms[kind], -1)
            found.append(f"if :: m{kind} < {MOST} -> {'; '.join(sent)} :: else -> {full} fi")
        return found

    # -------------------------------------------------------------------------------------------- beside the scene

    def _starter(self) -> list[str]:
        """A channel cannot begin filled: one step before all others sends what is in flight at the beginning."""
        sent = "; ".join(["go = 1", *self._sent(self.tables.initial)])
        return ["active proctype start() {", "end_start: do", f"  :: d_step {{ go == 0 -> {sent} }}", "  od", "}"]

    def _assertion(self, number: int, faults: int) -> str:
        check = Check(number, faults)
        if check not in self.checks:
            self.checks.append(check)
        return f"assert(false && {self.checks.index(check)})"

    def _judge(self) -> list[str]:
        """The process that asserts: it looks at every state and changes none."""
        resting = [*self._quiet(), "on == 0", *(["go == 1"] if self.starts else [])]
        options: dict[bool, list[str]] = {False: [], True: []}
        for number, one in enumerate(self.properties):
            if one.storm >= 0:
                continue
            for faults in (0,) if one.wanted else range(self.faults + 1):
                for guard in _guards(one.cases):
                    guards = [*(resting if one.resting else []), f"b == {self.faults - faults}", *guard]
                    text = f"  :: d_step {{ {' && '.join(guards)} -> {self._assertion(number, faults)} }}"
                    options[one.wanted].append(text)
        told = [f"/* assertion {n}: {self._told(check)} */" for n, check in enumerate(self.checks)]
        good = ["#ifdef REACHED", *options[True], "#endif"] if options[True] else []
        return [*told, "active proctype judge() {", "end_judge: do", *options[False], *good, "  :: false", "  od", "}"]

    def _told(self, check: Check) -> str:
        one = self.properties[check.property]
        bound = f" with {check.faults} faults" if check.faults >= 0 else ""
        return plain(f"{one.code} {one.subject}{bound}{', which has to hold somewhere' if one.wanted else ''}")


def _guards(cases: Iterable[Case]) -> list[list[str]]:
    """One condition for each case; those that differ in one component only are made one, first the last, then the first."""
    merged = list(cases)
    for place in (-1, 0):
        alike: dict[tuple[int, Case], set[int]] = {}
        for case in merged:
            number, locals_ = case[place]
            rest = case[:-1] if place else case[1:]
            alike.setdefault((number, rest), set()).update(locals_)
        merged = [
            (*rest, (number, tuple(sorted(locals_)))) if place else ((number, tuple(sorted(locals_))), *rest)
            for (number, rest), locals_ in alike.items()
        ]
    return [[_among(number, locals_) for number, locals_ in case] for case in merged]


def _among(number: int, locals_: Iterable[int]) -> str:
    each = [f"l{number} == {local}" for local in locals_]
    return each[0] if len(each) == 1 else f"({' || '.join(each)})"


def plain(text: str) -> str:
    """A text that can stand in a comment of a model, such as the name of a scene in its first line."""
    return text.replace("`", "").replace("/", "|").replace("\\", "|").replace("\n", " ")


def _bounds(tables: Tables, reaching: Sequence[Sequence[int]]) -> list[bool]:
    """Which kinds can never pile up: every move that sends them leaves its local state for good."""
    most = [float(tables.initial.count(kind)) for kind in range(len(tables.kinds))]
    for number, component in enumerate(tables.components):
        for local in range(component.size):
            moves: list[Row | Act] = [row for group in component.rows[local].values() for row in group]
            moves += component.acts[local]
            for kind in sorted({kind for move in moves for kind in move.emits}):
                sending = [move for move in moves if kind in move.emits]
                if any(reaching[number][move.target] >> local & 1 for move in sending):
                    most[kind] = float("inf")
                most[kind] += max(move.emits.count(kind) for move in sending)
    return [count <= MOST for count in most]


def unbounded(tables: Tables) -> list[int]:
    """The kinds that might pile up, as far as one can see without running anything."""
    bounded = _bounds(tables, [reach(component) for component in tables.components])
    return [kind for kind, one in enumerate(bounded) if not one]


# ------------------------------------------------------------------------------------------------ trails


Path = list[tuple[int, Move]]


def replay(space: Space, model: Model, numbers: Iterable[int]) -> Path | None:
    """The run that a trail stands for; None if it takes a step that is not possible here."""
    wanted = []
    for number in numbers:
        if not 0 <= number < len(model.moves):
            return None
        one = model.moves[number]
        wanted.append((one.what, one.kind, one.component, one.choice))
    return _walk(space, wanted)


Label = tuple[str, int, int, Row | Act | None]


def _walk(space: Space, labels: Iterable[Label]) -> Path | None:
    state = space.initial
    path: Path = []
    for what, kind, component, choice in labels:
        for move in space.moves(state):
            if (move.what, move.kind, move.component) == (what, kind, component) and move.choice is choice:
                path.append((state, move))
                state = move.target
                break
        else:
            return None
    return path


def violates(space: Space, path: Path, one: Property) -> bool:
    """Whether a run ends in a violation of the property."""
    if one.wanted:
        return False
    if one.storm >= 0:
        return bool(path) and _overflows(space, path[-1], one.storm)
    state = path[-1][1].target if path else space.initial
    if one.resting and any(move.price == 0 for move in space.moves(state)):
        return False
    locals_ = space.locals(state)
    return any(all(locals_[number] in places for number, places in case) for case in one.cases)


def _overflows(space: Space, step: tuple[int, Move], kind: int) -> bool:
    before, move = step
    sent = move.choice.emits.count(kind) if move.choice is not None else 0
    return sent > 0 and space.count(before, kind) - (move.kind == kind and move.what != "copy") + sent > MOST


def shorten(space: Space, path: Path, one: Property) -> Path:
    """The run without what its violation does not need: ever smaller pieces are left out as long as it stays one.

    Source: A. Zeller, R. Hildebrandt, Simplifying and isolating failure-inducing input (delta debugging), 2002.
    """
    best = path
    size = len(best)
    while size:
        start = 0
        while start < len(best):
            labels: list[Label] = [(m.what, m.kind, m.component, m.choice) for _, m in best]
            shorter = _walk(space, labels[:start] + labels[start + size :])
            if shorter is not None and violates(space, shorter, one) and _price(shorter) <= _price(best):
                best = shorter
            else:
                start += 1
        size = min(size // 2, len(best)) if size > 1 else 0
    return best


def _price(path: Path) -> int:
    return sum(move.price for _, move in path)
