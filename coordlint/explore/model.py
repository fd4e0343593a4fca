"""What is handed to another engine: the properties to judge, and the model, with what its numbers mean here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from coordlint.explore.tables import Act, Row


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

    def holds(self, locals_: tuple[int, ...]) -> bool:
        """Whether one of its cases does for those local states."""
        return any(all(locals_[number] in places for number, places in case) for case in self.cases)


class Check(NamedTuple):
    """An assertion of a model: a property, and the number of faults at which it looks; -1 for any number."""

    property: int
    faults: int


class Sides(NamedTuple):
    """Runs side by side: a timer runs out late when nothing is left to be delivered in its own run.

    Attributes:
        components: the run of each component; one that belongs to no run does nothing by itself.
        kinds: the run that sends each kind.
        askers: by kind: a component, and the local states in which it uses what comes of a delivery.
        blind: a row as it is while its asker is in none of those states.
    """

    components: tuple[int, ...]
    kinds: tuple[int, ...]
    askers: Mapping[int, tuple[int, frozenset[int]]]
    blind: Callable[[Row], Row]


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
