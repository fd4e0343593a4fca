"""Sample runs of a scene, so that people can see whether the model is what they mean: the good run, or one with a fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.compiler import compile_scene
from coordlint.explore.search import Search
from coordlint.explore.space import Move, Space, TooManyQueueContentsError
from coordlint.explore.spots import TooLargeError
from coordlint.explore.story import Tale, tell
from coordlint.explore.survey import survey
from coordlint.finding import Label, Run, Step

if TYPE_CHECKING:
    from coordlint.explore.scene import Compiled, Scene
    from coordlint.explore.verify import Settings
    from coordlint.graph import Index


class Sample(NamedTuple):
    """A run of a scene and the figures of its search.

    Attributes:
        run: the run to an end; None if there is no such run.
        states: how many states were looked at.
        layers: how many of them need so many faults.
        complete: up to how many faults the search is complete; -1 if not even without any.
        cut: the limit was reached, or the scene is too large to begin with.
        idle: the moves that would change something and never occurred.
    """

    run: Run | None
    states: int
    layers: tuple[int, ...]
    complete: int
    cut: bool
    idle: tuple[Label, ...]


def sample(index: Index, scene: Scene, fault: str, settings: Settings) -> Sample:
    """A run to an end, and what the search has seen.

    Args:
        index: of the design's system.
        scene: the scene.
        fault: words that a fault of the run has to contain, in its sentence, its message, its kind or its statement; empty
            for the run in which everything goes well.
        settings: limits.
    """
    try:
        compiled = compile_scene(index, scene)
        search = Search(Space(compiled.tables, without=settings.without), settings.limit)
        for layer in search.run(settings.faults):
            if settings.progress is not None:
                settings.progress(f"{scene.name}: layer {layer} complete, {len(search.layers):,} states")
    except (TooLargeError, TooManyQueueContentsError):
        return Sample(None, 0, (), -1, True, ())
    path = (
        _with_fault(compiled, search, fault.casefold().replace(" at ", " ").split())
        if fault
        else _good(compiled, search)
    )
    run = _told(compiled, search.space, path) if path else None
    layers, idle = survey(compiled, search)
    return Sample(run, len(search.layers), layers, search.complete, search.cut, idle)


def _told(compiled: Compiled, space: Space, path: list[tuple[int, Move]]) -> Run:
    tale = Tale(compiled, space, path)
    steps = tale.steps(range(len(tale.events)))
    return Run("", compiled.scene.name, sum(step.fault for step in steps), steps=steps, outside=tale.outside(steps))


def _good(compiled: Compiled, search: Search) -> list[tuple[int, Move]]:
    """The moves to the first end without faults at which all is well."""
    for state in search.terminals:
        if search.layers[state] == 0 and _ends_well(compiled, search, state):
            return search.path(state)
    return []


def _with_fault(compiled: Compiled, search: Search, words: list[str]) -> list[tuple[int, Move]]:
    """The first run with one fault that contains those words, to a nearest end."""
    space = search.space
    for state, layer in search.layers.items():
        if layer:
            continue
        for move in space.moves(state):
            if not move.price:
                continue
            path = [*search.path(state), (state, move)]
            steps = tell(compiled, space, path)
            if steps and steps[-1].fault and all(word in _words(steps[-1]) for word in words):
                return path + _to_an_end(space, move.target)
    return []


def _to_an_end(space: Space, start: int) -> list[tuple[int, Move]]:
    """The shortest way on without further faults until nothing happens any more."""
    came: dict[int, tuple[int, Move] | None] = {start: None}
    frontier = [start]
    for state in frontier:
        free = [move for move in space.moves(state) if not move.price]
        if not free:
            path: list[tuple[int, Move]] = []
            step = came[state]
            while step is not None:
                path.append(step)
                step = came[step[0]]
            return path[::-1]
        for move in free:
            if move.target not in came:
                came[move.target] = (state, move)
                frontier.append(move.target)
    return []


def _ends_well(compiled: Compiled, search: Search, state: int) -> bool:
    """Whether every workflow that has started has ended well, and the flow has reached a goal."""
    locals_ = search.space.locals(state)
    roots = [thread for thread in compiled.threads.values() if thread.parent is None]
    if any(thread.spots[locals_[thread.number]].where[0] not in {"done", "idle"} for thread in roots):
        return False
    return compiled.goals is None or locals_[compiled.goals[0]] != 0


def _words(step: Step) -> str:
    return f"{step.text} {step.message} {step.move} {step.span.text}".casefold()
