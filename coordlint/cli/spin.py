"""SPIN as the second engine: it judges the scenes by itself, and a run of it is believed only if it replays here."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from coordlint.cli import pan, swarm
from coordlint.cli.shared import Failure, hint, write
from coordlint.cli.spincase import Case, PairCase, SceneCase
from coordlint.cli.spinjudge import HINTS, Judged, judge

if TYPE_CHECKING:
    from coordlint.design import Design
    from coordlint.explore.pairs import Pair
    from coordlint.explore.verify import Settings
    from coordlint.explore.violation import Violation


def main(paths: Sequence[str], settings: Settings) -> int:
    """Search the scenes of designs with SPIN and tell what it says; the exit code."""
    from coordlint.explore.model import NotExportableError
    from coordlint.explore.spots import TooLargeError

    if not pan.available():
        raise Failure("`--engine spin` needs `spin` and `cc` in the path: install them, or leave the option out")
    code = 0
    for _, name, made in _scenes(paths, settings):
        try:
            case = made(settings.faults)
        except (NotExportableError, TooLargeError) as error:
            write(f"{name}: unknown (limit reached): {_why(error)}\n")
            continue
        if case is None:
            continue
        judged = judge(case)
        for one in judged.found:
            _tell(case, one)
        said = words(judged, case.faults)
        write(f"{name}: {said} — {judged.states:,} states (SPIN)\n")
        code = max(code, any(one.code not in HINTS for one in judged.found))
    return code


def words(judged: Judged, faults: int) -> str:
    """The verdict, which always says its bound."""
    from coordlint.explore.verify import Verdict

    violated = min((one.faults for one in judged.found if one.code not in HINTS), default=None)
    text = Verdict("", judged.states, faults if judged.complete else -1, violated, False, not judged.complete).words
    if not judged.complete:
        return text if violated is not None else f"{text}: none found as far as SPIN came"
    if violated is None and not judged.whole:
        text += ", except that endless runs, flows that come to rest and orphan messages were not looked for"
    return text


def _tell(case: Case, one: Violation) -> None:
    from coordlint.explore import story
    from coordlint.report import runs
    from coordlint.report.style import painter

    steps = story.tell(case.shown, case.space, one.path)
    bound = f" (needs {_faults(one.faults)})" if one.path else ""
    lines = [f"{case.name}: {one.code} {one.text}{bound}", *runs.text(steps, painter(False))]
    lines += [*(f"also: {also.text}" for also in one.also), ""]
    write("\n".join(lines) + "\n")


# ------------------------------------------------------------------------------------------------ other machines


def export(paths: Sequence[str], settings: Settings, folder: str) -> int:
    """Write a folder for each scene that other machines can search; the exit code."""
    from coordlint.explore.model import NotExportableError
    from coordlint.explore.spots import TooLargeError

    code = 0
    used: dict[str, int] = {}
    for path, scene, made in _scenes(paths, settings):
        try:
            case = made(settings.faults)
        except (NotExportableError, TooLargeError) as error:
            hint(f"{scene} is left out: {_why(error)}")
            code = 2
            continue
        if case is None:
            continue
        name = re.sub(r"\W+", "-", scene).strip("-")
        used[name] = used.get(name, 0) + 1
        name += f"-{used[name]}" if used[name] > 1 else ""
        swarm.export(os.path.join(folder, name), case.model, scene, path, _faults(case.faults))
    return code


def trails(paths: Sequence[str], settings: Settings, files: Sequence[str]) -> int:
    """Replay the runs that came back from other machines, and tell for each scene the one with the fewest faults; the exit code."""
    from coordlint.explore.promela import plain

    runs = [swarm.read(file) for file in files]
    wanted = sorted({(run.scene, run.faults) for run in runs})
    cases: dict[str, Case] = {}
    for _, name, made in _scenes(paths, settings):
        for faults in [faults for scene, faults in wanted if scene == plain(name)]:
            case = made(faults)
            if case is not None:
                cases[case.model.title] = case
    found: dict[str, list[tuple[Violation, str]]] = {}
    for run in runs:
        known = cases.get(run.title)
        if known is None and run.scene not in {plain(case.name) for case in cases.values()}:
            raise Failure(
                f"`{run.path}` is a run of {run.scene}, which is not there: hand over the design it came from"
            )
        if known is None:
            raise Failure(f"`{run.path}` belongs to another state of {run.scene}: export again and repeat the search")
        one = _of_run(known, run)
        if one is None:
            hint(f"`{run.path}` is not believed: it does not go wrong when it is replayed here")
        else:
            found.setdefault(run.title, []).append((one, run.path))
    for title, case in cases.items():
        some = found.get(title, [])
        if some:
            one, path = min(some, key=lambda pair: (pair[0].faults, len(pair[0].path), pair[1]))
            _tell(case, one)
            told = sum(run.title == title for run in runs)
            goes = f"{len(some)} of {told} run{'s' * (told != 1)} went wrong here"
            write(f"{case.name}: violated (needs at most {_faults(one.faults)}) — `{path}`, {goes}\n")
    return int(bool(found))


def _of_run(case: Case, run: swarm.Run) -> Violation | None:
    from coordlint.explore.trail import violates

    path = case.replayed(run.moves)
    if path is None:
        return None
    for one in case.model.properties:
        if violates(case.space, path, one):
            return case.told(one, path)
    return None


def _scenes(paths: Sequence[str], settings: Settings) -> Iterator[tuple[str, str, Callable[[int], Case | None]]]:
    """The scenes and pair scenes that are asked for: the design, the name, and what makes the case with so many faults."""
    from coordlint.design import load
    from coordlint.explore.pairs import pairs
    from coordlint.explore.pairverify import FAULTS
    from coordlint.explore.scene import scenes

    known = False
    for path in paths:
        design = load(path)
        for scene in scenes(design.index):
            if not settings.flow or scene.root.name == settings.flow:
                known = True
                yield path, scene.name, partial(SceneCase, design, scene, without=settings.without)
        for pair in pairs(design.index, design.sagas):
            if not settings.flow or settings.flow in pair.names:
                known = True
                yield path, pair.name, partial(_pair, design, pair, without=settings.without, most=FAULTS)
    if settings.flow and not known:
        raise Failure(f"there is no flow or workflow `{settings.flow}` to verify")


def _pair(design: Design, pair: Pair, faults: int, *, without: frozenset[str], most: int) -> PairCase | None:
    return PairCase.of(design, pair, min(faults, most), without)


def _faults(number: int) -> str:
    return f"{number} fault{'s' * (number != 1)}"


def _why(error: Exception) -> str:
    """Why SPIN cannot have the scene: its own sentence, or the name of the component with too many local states."""
    from coordlint.explore.spots import TooLargeError

    return f"`{error}` has too many local states" if isinstance(error, TooLargeError) else str(error)
