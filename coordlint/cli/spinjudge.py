"""What SPIN says about a scene or a pair scene: violations with the fewest faults, each shown by a run that replays here."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from coordlint.cli import pan
from coordlint.cli.spincase import Case, SceneCase

if TYPE_CHECKING:
    from coordlint.explore.model import Property
    from coordlint.explore.trail import Path
    from coordlint.explore.violation import Violation

GRAPH = 50_000
"""What no single state shows is looked for in scenes of so many states; it needs the whole graph."""


class Judged(NamedTuple):
    """What SPIN says about a scene.

    Attributes:
        states: how many it has.
        complete: SPIN has seen all of them.
        whole: what no single state shows was looked for, too: endless runs, rests of flows, orphans, dead statements.
        found: the violations, the fewest faults first.
    """

    states: int
    complete: bool
    whole: bool
    found: list[Violation]


HINTS = frozenset({"B6", "B19"})
"""What never happens does no harm by itself."""


def judge(case: Case, *, megabytes: int = pan.MEGABYTES, seconds: float = pan.SECONDS, graph: int = GRAPH) -> Judged:
    """What SPIN says about a scene.

    Args:
        case: the scene.
        megabytes: the most memory of one search.
        seconds: the most time of one search.
        graph: look for what no single state shows in scenes of so many states.

    Raises:
        Failure: a run of SPIN cannot be replayed.
    """
    from coordlint.explore.violation import CURED_BY_ORDER

    judged = _judged(case, megabytes, seconds, graph)
    if not judged.complete or not isinstance(case, SceneCase):
        return judged
    before = {(one.code, subject) for one in judged.found for subject in one.subjects}
    orders = [name for name, fact in case.compiled.facts.worse.items() if fact.repair.startswith("an order for ")]
    ordered: dict[tuple[str, int], Judged] = {}
    found = []
    for one in judged.found:
        faults = max(one.faults, min(case.faults, 1))
        for name in orders if one.code in CURED_BY_ORDER else ():
            if (name, faults) not in ordered:
                ordered[name, faults] = _judged(case.better(name, faults), megabytes, seconds, graph)
            other = ordered[name, faults]
            left = {(v.code, subject) for v in other.found if v.code not in HINTS for subject in v.subjects}
            known = other.complete and other.whole == judged.whole
            if known and left <= before and one.subject not in {subject for _, subject in left}:
                one = one._replace(code="B15")
                break
        found.append(one)
    return judged._replace(found=found)


def _judged(case: Case, megabytes: int, seconds: float, graph: int) -> Judged:
    """What SPIN says about a scene as it is, whatever would cure it."""
    from coordlint.explore.silence import waits_once
    from coordlint.explore.stategraph import StateGraph
    from coordlint.explore.violation import folded, kept

    model = case.model
    with pan.Pan(model, megabytes, seconds) as runner:
        answer = runner.search()
        failed: dict[int, tuple[int, int]] = {}
        reached = set()
        for check, ordinal in answer.errors.items():
            number, faults = model.checks[check]
            reached.add(number)
            failed[number] = min(failed.get(number, (99, 0)), (faults, ordinal))
        runs: list[tuple[Property, Path]] = []
        for number, one in enumerate(model.properties):
            if one.wanted and number not in reached and answer.complete and isinstance(case, SceneCase):
                return Judged(answer.states, True, True, [case.missing(one)])
            if number in failed and not one.wanted:
                runs.append((one, case.believed(runner.trail(failed[number][1]), one)))
        gone = runner.graph() if answer.complete and answer.states <= graph else None
    start = tuple(component.initial for component in case.compiled.tables.components)
    whole = None if gone is None else StateGraph(gone, model, start)
    in_graph = (
        list(case.in_graph(whole)) if whole is not None else []
    )  # first: a wait may follow from a silence told there
    counted = [(one, path if whole is None else case.excused(one, path, whole)) for one, path in runs]
    found = [case.told(one, path) for one, path in counted if path is not None]
    found = folded(waits_once(kept([*found, *in_graph])))
    found += case.hints(whole, found) if whole is not None else ()
    return Judged(answer.states, answer.complete, whole is not None, found)
