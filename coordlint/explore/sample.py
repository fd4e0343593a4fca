"""Sample runs of a scene, so that people can see whether the model is what they mean: the good run, or one with a fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.explore.compiler import compile_scene
from coordlint.explore.search import Search
from coordlint.explore.space import Space
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
    words = fault.casefold().replace(" at ", " ").split()
    for state in sorted(search.terminals, key=lambda state: (not _good(compiled, search, state), search.layers[state])):
        if fault and search.layers[state] != 1:
            continue
        steps = tell(compiled, search.space, search.path(state))
        if not fault and (_good(compiled, search, state) or not compiled.threads):
            return steps
        if fault and any(step.fault and all(w in _words(step) for w in words) for step in steps):
            return steps
    return ()


def _good(compiled: Compiled, search: Search, state: int) -> bool:
    """Whether every workflow that has started has ended well, or the flow has reached a goal."""
    locals_ = search.space.locals(state)
    roots = [thread for thread in compiled.threads.values() if thread.parent is None]
    if any(thread.spots[locals_[thread.number]].where[0] not in {"done", "idle"} for thread in roots):
        return False
    return compiled.goals is None or locals_[compiled.goals[0]] != 0


def _words(step: Step) -> str:
    return f"{step.text} {step.message} {step.move} {step.span.text}".casefold()
