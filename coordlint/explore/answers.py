"""The run that answers a question, told without the steps that the answer does not depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.explore.story import Tale
from coordlint.finding import Run, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coordlint.explore.scene import Compiled
    from coordlint.explore.search import Search
    from coordlint.explore.space import Move
    from coordlint.system import Action


def answer(
    compiled: Compiled,
    search: Search,
    path: Sequence[tuple[int, Move]],
    observer: int,
    *,
    end: str,
    missing: tuple[str, Action] | None = None,
) -> Run:
    """The run of a path.

    Args:
        compiled: the scene with the observer.
        search: of that scene.
        path: the moves, each with the state before it.
        observer: the component whose moves the answer depends on.
        end: the damage in one sentence.
        missing: where the run ends because nothing happens any more: what is missing then, as a clause, and where it stands.
    """
    tale = Tale(compiled, search.space, path)
    seeds = {n for n, event in enumerate(tale.events) if event.move.price or event.move.component == observer}
    told = [n for n in sorted(seeds) if tale.events[n].move.component == observer]
    if missing is not None and not seeds:
        seeds = set(range(len(tale.events)))
    kept = tale.around(seeds)
    steps = list(tale.steps(kept, tale.visible(told[-1]) if told and missing is None else -1))
    if missing is not None:
        text, action = missing
        where = action.process.service.name
        text = f"nothing is under way any more, and {text}"
        steps.append(Step(len(steps) + 1, "rest", "", where, "", text, action.span, False, 0, bad=True))
    return Run(
        "",
        compiled.scene.name,
        sum(bool(move.price) for _, move in path),
        steps=tuple(steps),
        end=end,
        complete=search.complete,
        left_out=sum(not event.hidden for event in tale.events) + (missing is not None) - len(steps),
        outside=tale.outside(steps),
    )
