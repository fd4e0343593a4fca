"""Runs of another engine, replayed here without reductions, held against a property, and shortened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from coordlint.explore.space import MOST, Move, Space
from coordlint.explore.tables import Act, Row

if TYPE_CHECKING:
    from coordlint.explore.model import Model, Property

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
    return one.holds(space.locals(state))


def _overflows(space: Space, step: tuple[int, Move], kind: int) -> bool:
    before, move = step
    sent = move.choice.emits.count(kind) if move.choice is not None else 0
    return sent > 0 and space.count(before, kind) - (move.kind == kind and move.what != "copy") + sent > MOST


def shorten(space: Space, path: Path, one: Property, counts: Callable[[Path], bool] | None = None) -> Path:
    """The run without what its violation does not need: ever smaller pieces are left out as long as it stays one that counts.

    Source: A. Zeller, R. Hildebrandt, Simplifying and isolating failure-inducing input (delta debugging), 2002.
    """
    best = path
    size = len(best)
    while size:
        start = 0
        while start < len(best):
            labels: list[Label] = [(m.what, m.kind, m.component, m.choice) for _, m in best]
            shorter = _walk(space, labels[:start] + labels[start + size :])
            if (
                shorter is not None
                and violates(space, shorter, one)
                and _price(shorter) <= _price(best)
                and (counts is None or counts(shorter))
            ):
                best = shorter
            else:
                start += 1
        size = min(size // 2, len(best)) if size > 1 else 0
    return best


def _price(path: Path) -> int:
    return sum(move.price for _, move in path)
