"""What a search can find wrong: a violation of one of the properties B1 to B21, and how violations of one cause become one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from coordlint.source import Span

if TYPE_CHECKING:
    from coordlint.explore.space import Move


class Violation(NamedTuple):
    """A property that does not hold.

    Attributes:
        code: `B1` to `B21`.
        subject: what it is about, for people; findings about the same subject have the same cause.
        faults: the least number of faults it needs.
        text: the fact in one sentence.
        damage: what it means in the end, in one sentence.
        place: the statement to look at.
        path: the moves that lead to it, each with the state before it.
        repeats: the moves that repeat for ever behind it.
        also: what else the same cause brings about.
        held: the steps whose effect is there when it has come to its end, which nobody will undo: their places.
    """

    code: str
    subject: str
    faults: int
    text: str
    damage: str
    place: Span
    path: tuple[tuple[int, Move], ...] = ()
    repeats: tuple[tuple[int, Move], ...] = ()
    also: tuple[Also, ...] = ()
    held: tuple[Span, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """What it is about, and what is folded into it."""
        return self.subject, *(one.subject for one in self.also)


class Also(NamedTuple):
    """A violation that is folded into another one of the same cause: its subject, the fact, its place, and all of it."""

    subject: str
    text: str
    place: Span
    whole: Violation


FOLDED = frozenset({"B13", "B14", "B16"})
"""Causes that concern many waits alike: one finding for each process, with the others named in it."""

FOR_AN_ANSWER = " for an answer"
"""What the subjects of waits end with that last for ever because somebody does not answer."""

ON_THE_WAY = frozenset({"B7", "B8", "B9", "B10"})
"""Properties of single states; what follows from their violation in the end is the same finding."""


CURED_BY_ORDER = frozenset({"B1", "B2", "B5", "B9", "B11"})
"""Properties whose violation is an order hazard (B15) where an order of a channel cures it."""


def kept(found: list[Violation]) -> list[Violation]:
    """The violations with the fewest faults first, one for each subject: what happens on the way explains how it ends."""
    found = sorted(found, key=lambda one: (one.faults, len(one.path), one.code, one.subject))
    first: dict[tuple[str, bool], Violation] = {}
    for one in found:
        on_the_way = one.code in ON_THE_WAY
        if on_the_way or (one.subject, True) not in first:
            first.setdefault((one.subject, on_the_way), one)
    return list(first.values())


def folded(found: list[Violation]) -> list[Violation]:
    """One violation for each cause: waits of one process that end for the same reason are told with the first of them."""
    first: dict[tuple[str, ...], int] = {}
    told: list[Violation] = []
    for one in found:
        process, _, rest = one.subject.partition(" waits ")
        key: tuple[str, ...] = (one.subject, one.code)
        if rest and (one.code in FOLDED or (one.code == "B2" and "the answer to" in one.text)):
            key = (process, one.code)
        elif one.subject.startswith("storm "):
            key = ("storm",)
        elif one.subject.startswith("flow ") and one.faults:
            key = ("flow", one.code)
        if key in first:
            main = told[first[key]]
            also = Also(one.subject, one.text, one.place, one)
            told[first[key]] = main._replace(also=(*main.also, also))
        else:
            first[key] = len(told)
            told.append(one)
    return told
