"""Sample runs of a scene, so that people can see whether the model is what they mean: the good run, or one with a fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.explore.compiler import compile_scene
from coordlint.explore.search import Search
from coordlint.explore.space import Move, Space
from coordlint.explore.story import tell
from coordlint.finding import Step

if TYPE_CHECKING:
    from coordlint.explore.scene import Compiled, Scene
    from coordlint.explore.verify import Settings
    from coordlint.graph import Index


def run(index: Index, scene: Scene, fault: str, settings: Settings) -> tuple[Step, ...]:
    """The steps of a run to an end.

    Args:
        index: of the design's system.
        scene: the scene.
        fault: words that a fault of the run has to contain, in its sentence, its message or its kind; empty for the run in
            which everything goes well.
        settings: limits.
    """
    compiled = compile_scene(index, scene)
    search = Search(Space(compiled.tables, without=settings.without), settings.limit)
    for _ in search.run(1 if fault else 0):
        pass
    if fault:
        return _with_fault(compiled, search, fault.casefold().replace(" at ", " ").split())
    for state in sorted(search.terminals, key=lambda state: not _good(compiled, search, state)):
        if _good(compiled, search, state) or not compiled.threads:
            return tell(compiled, search.space, search.path(state))
    return ()


def _with_fault(compiled: Compiled, search: Search, words: list[str]) -> tuple[Step, ...]:
    """The first run with a fault that contains those words, to a nearest end."""
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
                return tell(compiled, space, path + _to_an_end(space, move.target))
    return ()


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


def _good(compiled: Compiled, search: Search, state: int) -> bool:
    """Whether every workflow that has started has ended well, or the flow has reached a goal."""
    locals_ = search.space.locals(state)
    roots = [thread for thread in compiled.threads.values() if thread.parent is None]
    if any(thread.spots[locals_[thread.number]].where[0] not in {"done", "idle"} for thread in roots):
        return False
    return compiled.goals is None or locals_[compiled.goals[0]] != 0


def _words(step: Step) -> str:
    return f"{step.text} {step.message} {step.move} {step.span.text}".casefold()
