"""Participants: the handlers of a service that share state become one component with a small ledger per action.

Each action of the ledger is new, done, refused, undone or cancelled before it came (with or without a fence that makes a late
action refuse); executing twice, after its compensation, or undoing twice are states of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.spots import MOST_LOCAL, TooLargeError
from coordlint.explore.tables import Component, Row
from coordlint.source import Span
from coordlint.system import Message, Process

if TYPE_CHECKING:
    from coordlint.explore.compiler import Compiler

NEW, DONE, REFUSED, UNDONE, FENCED, EMPTIED, LATE = "new done refused undone fenced emptied late".split()
TWICE, HUNG, TWICE_UNDONE = "twice", "hung", "undone twice"
WRONG = frozenset({TWICE, HUNG, TWICE_UNDONE})
STANDING = frozenset({DONE, LATE, TWICE, HUNG})
"""The effect of the action is there."""

TALLY = {
    NEW: (0, 0, ""),
    DONE: (1, 0, "done"),
    REFUSED: (0, 0, "refused"),
    UNDONE: (1, 1, "undone"),
    FENCED: (0, 0, "cancelled"),
    EMPTIED: (0, 0, "overtaken"),
    LATE: (1, 0, "late"),
    TWICE: (2, 0, "done"),
    HUNG: (2, 1, "done"),
    TWICE_UNDONE: (1, 2, "undone"),
}
"""How often an action has been executed and undone, and what has become of it, see `Effect`."""


RARE = "although the design expects that in 0% of all cases"
"""What a step adds that takes such an outcome."""

ONCE = -2
"""The site of a deed that happens once in a scene: the next turn of a timer."""


class Course(NamedTuple):
    """One way through a handler.

    Attributes:
        ok: it succeeds.
        emits: the kinds that it puts in flight.
        effects: it changes something.
        trail: the actions passed.
        follows: those of `emits` that follow from what it writes, so that no crash can forget them.
        rare: it takes an outcome that is declared never to come (`0%`), which is a fault.
        touches: what the observers of stores in memory hear of it.
    """

    ok: bool
    emits: tuple[int, ...]
    effects: bool
    trail: tuple[int, ...]
    follows: frozenset[int] = frozenset()
    rare: bool = False
    touches: tuple[int, ...] = ()

    @property
    def outcome(self) -> tuple[object, ...]:
        """What makes it differ from others, the price last."""
        return self.ok, self.emits, self.effects, self.touches, self.rare


class Deed(NamedTuple):
    """An action of a ledger: a handler for one message, told apart by where it comes from if that makes it another occurrence.

    `process` is None for a command that nobody in the design handles.
    """

    process: Process | None
    message: Message
    site: int
    tracked: bool
    name: str
    span: Span

    @property
    def done(self) -> str:
        """What one says of it: commands are done, events are handled."""
        return "handled" if self.message.kind == "event" else "done"


class Undoing(NamedTuple):
    """A handler that compensates deeds of the same ledger."""

    process: Process
    message: Message
    of: tuple[int, ...]


class Part:
    """One participant.

    Attributes:
        deeds: the actions of its ledger.
        undoings: the handlers that compensate them.
        codes: the ledgers by local state.
    """

    def __init__(self, compiler: Compiler, number: int, deeds: list[Deed], undoings: list[Undoing]) -> None:
        self.compiler = compiler
        self.number = number
        self.deeds = deeds
        self.undoings = undoings
        self.codes: list[tuple[str, ...]] = []
        self.numbers: dict[tuple[str, ...], int] = {}

    @property
    def name(self) -> str:
        """The service, or the command if nobody handles it."""
        process = self.deeds[0].process if self.deeds else self.undoings[0].process
        return process.service.name if process is not None else self.deeds[0].name

    def at(self, codes: tuple[str, ...]) -> int:
        """The number of a ledger."""
        if codes not in self.numbers:
            self.numbers[codes] = len(self.codes)
            self.codes.append(codes)
        return self.numbers[codes]

    def build(self, component: Component) -> None:
        """Fill the component with every ledger that can come about."""
        self.at((NEW,) * len(self.deeds))
        done = 0
        while done < len(self.codes):
            codes = self.codes[done]
            rows: dict[int, tuple[Row, ...]] = {}
            for index, deed in enumerate(self.deeds):
                for kind, caller in self.compiler.incoming(deed.process, deed.message, self.number, deed.site):
                    rows[kind] = tuple(dict.fromkeys(self._deliver(codes, index, kind, caller)))
            for undoing in self.undoings:
                for kind, caller in self.compiler.incoming(undoing.process, undoing.message, self.number, -1):
                    rows[kind] = tuple(dict.fromkeys(self._undo(codes, undoing, kind, caller)))
            component.rows.append(rows)
            component.acts.append(())
            done += 1
            if done > MOST_LOCAL:
                raise TooLargeError(self.name)

    # -------------------------------------------------------------------------------------------- an action

    def _deliver(self, codes: tuple[str, ...], index: int, kind: int, caller: int) -> Iterator[Row]:
        deed, code = self.deeds[index], codes[index]
        compiler = self.compiler
        courses = compiler.courses(deed.process, deed.message)
        usual = [course for course in courses if not course.rare]
        good = [course for course in usual if course.ok] or usual
        if deed.site == ONCE:
            for course in courses if code == NEW else ():
                after = _with(codes, index, DONE)
                text = f"{deed.name} has its turn"
                yield self._row(after, course.emits, caller, True, text, deed, course.trail, course=course)
            return
        if not deed.tracked:
            for course in courses:
                text = f"{deed.name} is handled" if course.ok else f"{deed.name} is refused"
                yield self._row(codes, course.emits, caller, course.ok, text, deed, course.trail, course=course)
                yield from self._interrupted(codes, course, kind, caller, deed)
            return
        guarded, facts = compiler.deduplicates(deed)
        if code in {NEW, EMPTIED} or (code == REFUSED and not guarded):
            for course in courses:
                if course.ok:
                    after = _with(codes, index, LATE if code == EMPTIED else DONE)
                    text = f"{deed.name} is {deed.done}" + (" after its compensation" if code == EMPTIED else "")
                else:
                    after, text = _with(codes, index, REFUSED), f"{deed.name} is refused"
                yield self._row(after, course.emits, caller, course.ok, text, deed, course.trail, course=course)
                yield from self._interrupted(after, course, kind, caller, deed)
        elif code in {DONE, LATE} and guarded:
            again, why = compiler.repeats(deed)
            for course in good:
                emits = course.emits if again else ()
                text = f"{deed.name} is recognised and not {deed.done} again" + (
                    "" if again or not course.emits else "; its events are not repeated either"
                )
                yield self._row(codes, emits, caller, True, text, deed, course.trail, why if course.emits else ())
        elif code in {DONE, LATE}:
            for course in good:
                after = _with(codes, index, TWICE)
                text = f"{deed.name} is {deed.done} again"
                yield self._row(after, course.emits, caller, True, text, deed, course.trail, facts, course=course)
        elif code == REFUSED:
            yield self._row(codes, (), caller, False, f"{deed.name} is refused again", deed, ())
        elif code == UNDONE:
            fences, why = compiler.fences(self, index)
            if fences:
                yield self._row(codes, (), caller, False, f"{deed.name} is refused: it is undone already", deed, ())
                return
            for course in good:
                after = _with(codes, index, HUNG)
                text = f"{deed.name} is {deed.done} after its compensation"
                yield self._row(after, course.emits, caller, True, text, deed, course.trail, why, course=course)
        elif code == FENCED:
            yield self._row(codes, (), caller, False, f"{deed.name} is refused: its compensation came first", deed, ())
        else:
            yield self._row(codes, (), caller, True, f"{deed.name} is answered", deed, ())

    def _interrupted(
        self, after: tuple[str, ...], course: Course, kind: int, caller: int, deed: Deed, facts: tuple[str, ...] = ()
    ) -> Iterator[Row]:
        """The process crashes between its effects and its publications (T7)."""
        safe, why = self.compiler.publishes_safely(deed.process)
        published = [number for number, one in enumerate(course.emits) if one not in course.follows]
        if safe or not course.effects or not published or course.rare:
            return
        keep = self.compiler.redelivers(kind)
        for sent in sorted({0, len(published) - 1}):
            what = "takes effect" if course.ok else "is refused"
            text = f"{deed.name} {what}, then the service crashes before it publishes"
            text += " and answers" if caller >= 0 else ""
            note = self.compiler.note(text, deed.span, (*facts, *why), course.trail)
            lost = set(published[sent:])
            emits = tuple(one for number, one in enumerate(course.emits) if number not in lost) + course.touches
            yield Row(self.at(after), emits, 1, keep, note)

    # -------------------------------------------------------------------------------------------- a compensation

    def _undo(self, codes: tuple[str, ...], undoing: Undoing, kind: int, caller: int) -> Iterator[Row]:
        compiler = self.compiler
        name = f"`{undoing.message.name}`"
        deed = Deed(undoing.process, undoing.message, -1, False, name, undoing.process.place)
        guarded, unguarded = compiler.deduplicates(deed)
        after = codes
        facts: tuple[str, ...] = ()
        for index in undoing.of:
            code = codes[index]
            if code in {DONE, LATE}:
                after = _with(after, index, UNDONE)
            elif code in {NEW, REFUSED}:
                fences, why = compiler.fences(self, index)
                empty = FENCED if fences else (EMPTIED if code == NEW else code)
                after = _with(after, index, empty)
                facts += () if fences else why
            elif code == UNDONE and not guarded:
                after = _with(after, index, TWICE_UNDONE)
                facts += unguarded
        text = f"{name} is done"
        if after == codes:
            text = f"{name} finds nothing to undo"
        elif any(code in {FENCED, EMPTIED} for code in after) and not any(code == UNDONE for code in after):
            text = f"{name} comes before there is anything to undo"
        elif TWICE_UNDONE in after and TWICE_UNDONE not in codes:
            text = f"{name} is done a second time"
        for course in compiler.courses(undoing.process, undoing.message):
            if course.ok:
                emits = course.emits if after != codes or not guarded or compiler.repeats(deed)[0] else ()
                yield self._row(after, emits, caller, True, text, deed, course.trail, facts, course=course)
                yield from self._interrupted(after, course, kind, caller, deed, facts)
            else:
                no = f"{name} is refused"
                yield self._row(codes, course.emits, caller, False, no, deed, course.trail, course=course)

    def _row(
        self, after: tuple[str, ...], emits: tuple[int, ...], caller: int, ok: bool, text: str, deed: Deed,
        trail: tuple[int, ...], facts: tuple[str, ...] = (), course: Course | None = None,
    ) -> Row:  # fmt: skip
        """The row of a delivery; with the course if it is carried out, and not only recognised or refused."""
        compiler = self.compiler
        if course is not None:
            emits += course.touches
        rare = course is not None and course.rare
        reply = compiler.reply(caller, ok=ok) if caller >= 0 else ()
        reply += compiler.achieved(deed.message) if ok else ()
        wrong = any(code in WRONG for code in after)
        note = compiler.note(f"{text}, {RARE}" if rare else text, deed.span, facts, trail)
        return Row(self.at(after), emits + reply, int(rare), False, note, wrong, "rare" if rare else "publish")


def _with(codes: tuple[str, ...], index: int, code: str) -> tuple[str, ...]:
    return (*codes[:index], code, *codes[index + 1 :])


class Gathering:
    """A joined trigger of a handler that runs in one move: what has arrived of what it needs."""

    def __init__(self, compiler: Compiler, number: int, process: Process) -> None:
        self.compiler = compiler
        self.number = number
        self.process = process
        self.uses = process.triggers[0].uses
        self.states: list[tuple[int, ...]] = []

    @property
    def name(self) -> str:
        """The service."""
        return self.process.service.name

    def build(self, component: Component) -> None:
        """One local state for each set of what has arrived; complete, it runs once."""
        needed = len(self.uses)
        self.states = list(product((0, 1), repeat=needed))
        numbers = {bits: number for number, bits in enumerate(self.states)}
        for bits in self.states:
            rows: dict[int, tuple[Row, ...]] = {}
            for index, use in enumerate(self.uses):
                for kind, _ in self.compiler.incoming(self.process, use.message, self.number, -1):
                    after = (*bits[:index], 1, *bits[index + 1 :])
                    if all(after) and not all(bits):
                        rows[kind] = tuple(
                            self._complete(numbers[after], course)
                            for course in self.compiler.courses(self.process, use.message)
                        )
                    else:
                        text = f"{self.process.name} has heard `{use.message.name}`"
                        rows[kind] = (Row(numbers[after], (), 0, False, self._note(text, ())),)
            component.rows.append(rows)
            component.acts.append(())

    def _complete(self, target: int, course: Course) -> Row:
        text = f"{self.process.name} is complete" + (f", {RARE}" if course.rare else "")
        fault = "rare" if course.rare else "publish"
        emits = course.emits + course.touches
        return Row(target, emits, int(course.rare), False, self._note(text, course.trail), fault=fault)

    def _note(self, text: str, trail: tuple[int, ...]) -> int:
        return self.compiler.note(text, self.process.place, (), trail)
