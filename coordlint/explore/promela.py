"""The tables of a scene as a Promela model: SPIN is the second, independent judge.

One process for each component, whose labels are its local states; every move is one step (`d_step`) that prints its number, so
that a trail can be read back and replayed here. The budget of faults is part of the state; nothing is reduced. An ordered
queue is a channel. What must not happen (or has to) is asserted by a process that never changes the state, so that one run
counts the states and judges all properties.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from coordlint.explore.model import Case, Check, Model, NotExportableError, Numbered, Property, Sides
from coordlint.explore.space import MOST
from coordlint.explore.tables import Act, Component, Row, Tables, reach

PROCESSES = 250
"""SPIN knows at most 255 processes; a scene may have so many components."""

OPTIONS = 1_000
"""So many moves go into one process; SPIN gives up on one with some thousand of them, depending on their length."""

CHANNEL = 255
"""A channel of SPIN holds at most so many messages."""


def export(
    tables: Tables, faults: int, properties: Iterable[Property] = (), *, name: str = "scene",
    without: frozenset[str] = frozenset(), sides: Sides | None = None,
) -> Model:  # fmt: skip
    """The model of some tables.

    Args:
        tables: the scene.
        faults: the budget.
        properties: what to judge.
        name: the scene's name.
        without: faults that do not happen, as :class:`Space` has them.
        sides: which run everything belongs to; None if there is only one.

    Raises:
        NotExportableError: SPIN has no room for the scene.
    """
    alone = Sides((0,) * len(tables.components), (0,) * len(tables.kinds), {}, lambda row: row)
    return _Writer(tables, faults, tuple(properties), without, sides or alone).write(name)


class _Writer:
    """Writes one model."""

    def __init__(
        self, tables: Tables, faults: int, properties: tuple[Property, ...], without: frozenset[str], sides: Sides
    ) -> None:  # fmt: skip
        if len(tables.components) > PROCESSES:
            raise NotExportableError(f"it has {len(tables.components)} components, and SPIN knows {PROCESSES} at most")
        self.tables = tables
        self.faults = faults
        self.properties = properties
        self.without = without
        self.sides = sides
        self.runs = sorted(set(sides.kinds)) or [0]
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
        self.levels = {
            run: sorted({
                depth for depths, one in zip(self.depths, sides.components, strict=True) if one == run
                for depth in depths if depth >= 0
            })
            for run in self.runs
        }  # fmt: skip
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
        self.seen |= self.wide | {asker for asker, _ in sides.askers.values()}
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
                ways = 1 + self.tables.kinds[kind].copies + self.tables.kinds[kind].overtakes
                found += len(group) * ways * (2 if kind in self.sides.askers else 1)
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
        calm = {
            run: sum(
                count for kind, count in enumerate(counts) if self.sides.kinds[kind] == run and self._is_calm(kind)
            )
            for run in self.runs
        }
        urgent = sum(counts[kind] for kind in self.urgent)
        first = [component.initial for component in tables.components]
        acting = sum(self.acting[number][local] for number, local in enumerate(first))
        lines = [
            f"byte b = {self.faults}; /* faults that may still happen */",
            *(
                f"short fl{n} = {calm[n]}; /* messages in flight that something happens to at once */"
                for n in self.runs
            ),
            f"short on = {acting}; /* components with a free choice or a timer that may run out */",
        ]
        if self.urgent:
            lines.append(f"short u = {urgent}; /* notes to observers */")
        for run, level in [(run, level) for run, levels in self.levels.items() for level in levels[1:]]:
            count = sum(
                self.depths[number][local] == level
                for number, local in enumerate(first) if self.sides.components[number] == run
            )  # fmt: skip
            lines.append(f"byte d{run}_{level} = {count}; /* components whose innermost timer has this depth */")
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

    def _quiet(self, run: int) -> list[str]:
        """Nothing of a run can be delivered."""
        quiet = [f"fl{run} == 0"] + (["u == 0"] if self.urgent else [])
        for kind, one in enumerate(self.tables.kinds):
            if one.urgent or self._is_calm(kind) or self.sides.kinds[kind] != run:
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
            for row in rows:
                if row.price and row.fault in self.without:
                    continue
                asker, places = self.sides.askers.get(kind, (-1, frozenset[int]()))
                if asker < 0 or self.sides.blind(row).emits == row.emits:
                    yield from self._deliveries(number, local, kind, row, [])
                    continue
                used = _among(asker, sorted(places)) if places else "false"
                yield from self._deliveries(number, local, kind, row, [used])
                yield from self._deliveries(number, local, kind, self.sides.blind(row), [f"!({used})"])
        for act in component.acts[local]:
            if act.when not in self.without:
                yield self._act(number, local, act)

    def _deliveries(
        self, number: int, local: int, kind: int, row: Row, when: list[str]
    ) -> Iterable[tuple[int, str, int]]:  # fmt: skip
        """The ways in which a row may happen, under a condition."""
        one = self.tables.kinds[kind]
        what = row.fault if row.price else "deliver"
        yield self._delivery(number, local, kind, row, what, row.price, keeps=row.keep, when=when)
        if not row.price and one.copies and not row.keep and "copy" not in self.without:
            yield self._delivery(number, local, kind, row, "copy", 1, keeps=True, when=when)
        if not row.price and one.queue >= 0 and one.overtakes and "overtake" not in self.without:
            yield self._delivery(number, local, kind, row, "overtake", 1, keeps=row.keep, when=when)

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
        among: frozenset[int] | None = None, when: Iterable[str] = (),
    ) -> tuple[int, str, int]:  # fmt: skip
        one = self.tables.kinds[kind]
        target = row.target if row is not None else local
        guard = [f"m{kind} > 0"]
        taken: list[str] = []
        if one.queue >= 0:
            guard = [f"m{kind} > 0 && !(q{one.queue}?[{kind}])" if what == "overtake" else f"q{one.queue}?[{kind}]"]
        guard += when
        if among is not None:
            guard += self._among(number, among)
        elif number in self.wide:
            guard.append(f"l{number} == {local}")
        if not keeps:
            if one.queue >= 0:
                taken.append(f"q{one.queue}{'??' if what == 'overtake' else '?'}{kind}")
            taken.append(f"m{kind}--")
            taken += ["u--"] if one.urgent else [f"fl{self.sides.kinds[kind]}--"] if self._is_calm(kind) else []
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
            run = self.sides.components[number]
            guard = [*self._quiet(run), *(f"d{run}_{one} == 0" for one in self.levels[run][1:] if one > act.depth)]
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
        run = self.sides.components[number]
        levels = self.levels.get(run, [])[1:]
        if before != after:
            found += [f"d{run}_{before}--"] if before in levels else []
            found += [f"d{run}_{after}++"] if after in levels else []
        return found

    def _sent(self, emits: Sequence[int]) -> list[str]:
        found = []
        for kind in emits:
            one = self.tables.kinds[kind]
            sent = [f"q{one.queue}!{kind}"] if one.queue >= 0 else []
            sent += [f"m{kind}++"] + (
                ["u++"] if one.urgent else [f"fl{self.sides.kinds[kind]}++"] if self._is_calm(kind) else []
            )
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
        quiet = dict.fromkeys(one for run in self.runs for one in self._quiet(run))
        resting = [*quiet, "on == 0", *(["go == 1"] if self.starts else [])]
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
