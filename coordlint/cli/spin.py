"""SPIN as the second engine: it judges the scenes by itself, and a run of it is believed only if it replays here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from coordlint.cli import pan, swarm
from coordlint.cli.shared import Failure, hint, write

if TYPE_CHECKING:
    from coordlint.design import Design
    from coordlint.explore.judge import Judge
    from coordlint.explore.promela import Model, Path, Property
    from coordlint.explore.scene import Compiled, Scene
    from coordlint.explore.space import Space
    from coordlint.explore.verify import Settings

GRAPH = 50_000
"""Endless runs and dead statements are looked for in scenes of so many states; they need the whole graph."""


class Found(NamedTuple):
    """A violation that SPIN has found.

    Attributes:
        code: `B1` to `B21`.
        subject: what it is about, as the own engine has it.
        faults: the least number of faults it needs.
        text: the fact in one sentence.
        path: the run that shows it, replayed and shortened; empty if there is none to show.
    """

    code: str
    subject: str
    faults: int
    text: str
    path: Path


class Judged(NamedTuple):
    """What SPIN says about a scene.

    Attributes:
        states: how many it has.
        complete: SPIN has seen all of them.
        endless: endless runs and dead statements were looked for.
        found: the violations, the fewest faults first.
    """

    states: int
    complete: bool
    endless: bool
    found: list[Found]


class Case:
    """A scene with all that is needed to hand it to SPIN and to understand what comes back.

    Args:
        design: whose scene it is.
        scene: what to search.
        faults: the budget.
        without: faults that do not happen.
        adverse: the unknown facts that are taken for absent, as :func:`compile_scene` has them.

    Raises:
        NotExportableError: SPIN has no room for it.
        TooLargeError: a component has too many local states.
    """

    def __init__(
        self, design: Design, scene: Scene, faults: int, without: frozenset[str] = frozenset(),
        adverse: frozenset[str] | None = frozenset(),
    ) -> None:  # fmt: skip
        from coordlint.explore import promela
        from coordlint.explore.compiler import compile_scene
        from coordlint.explore.conditions import properties
        from coordlint.explore.judge import Judge
        from coordlint.explore.space import Space

        self.design = design
        self.scene = scene
        self.faults = faults
        self.compiled: Compiled = compile_scene(design.index, scene, adverse)
        self.judge: Judge = Judge(self.compiled, design.sagas)
        found = properties(self.compiled, self.judge)
        self.model: Model = promela.export(self.compiled.tables, faults, found, name=scene.name, without=without)
        self.space: Space = Space(self.compiled.tables, inert=False, persistent=False, without=without)

    def replayed(self, numbers: Sequence[int]) -> Path | None:
        """A run of SPIN in the own engine, without reductions; None if it takes a step that is not possible here."""
        from coordlint.explore import promela

        return promela.replay(self.space, self.model, numbers)

    def shown(self, one: Property, path: Path) -> Found:
        """A run that violates a property, shortened and put into words."""
        from coordlint.explore import promela

        path = promela.shorten(self.space, path, one)
        faults = sum(move.price for _, move in path)
        code, text = one.code, self._text(one, path)
        if one.resting:
            code, text = self.judge.cause(code, text, path, one.subject)
        elif code == "B8" and faults == 0:
            code = "B7"
        return Found(code, one.subject, faults, text, path)

    def _text(self, one: Property, path: Path) -> str:
        if one.resting:
            locals_ = self.space.locals(path[-1][1].target if path else self.space.initial)
            return next(text for _, subject, text, *_ in self.judge.ended(locals_) if subject == one.subject)
        return {
            "B4": f"`{one.subject.removeprefix('storm ')}` can be sent without end",
            "B5": f"{one.subject.removesuffix(' broken')} stops with an error",
            "B8": f"{one.subject.removesuffix(' twice')} can be executed twice",
            "B9": f"{one.subject} can be executed after its compensation",
            "B10": f"{one.subject} can be undone twice",
            "B14": one.subject,
            "B20": f"{one.subject}, against the declared order",
        }[one.code]


def main(paths: Sequence[str], settings: Settings) -> int:
    """Search the scenes of designs with SPIN and tell what it says; the exit code."""
    from coordlint.explore.promela import NotExportableError
    from coordlint.explore.spots import TooLargeError
    from coordlint.system import Flow

    if not pan.available():
        raise Failure("`--engine spin` needs `spin` and `cc` in the path: install them, or leave the option out")
    code = 0
    for _, design, scene in _scenes(paths, settings.flow):
        try:
            case = Case(design, scene, settings.faults, settings.without)
        except (NotExportableError, TooLargeError) as error:
            write(f"{scene.name}: unknown (limit reached): {_why(error)}\n")
            continue
        judged = judge(case)
        for one in judged.found:
            _tell(case, one)
        said = words(judged, settings.faults, flow=isinstance(scene.root, Flow))
        write(f"{scene.name}: {said} — {judged.states:,} states (SPIN)\n")
        code = max(code, any(one.code != "B19" for one in judged.found))
    return code


def judge(case: Case, *, megabytes: int = pan.MEGABYTES, seconds: float = pan.SECONDS, graph: int = GRAPH) -> Judged:
    """What SPIN says about a scene.

    Args:
        case: the scene.
        megabytes: the most memory of one search.
        seconds: the most time of one search.
        graph: look for endless runs and dead statements in scenes of so many states.

    Raises:
        Failure: a run of SPIN cannot be replayed.
    """
    model = case.model
    with pan.Pan(model, megabytes, seconds) as runner:
        answer = runner.search()
        failed: dict[int, tuple[int, int]] = {}
        reached = set()
        for check, ordinal in answer.errors.items():
            number, faults = model.checks[check]
            reached.add(number)
            failed[number] = min(failed.get(number, (99, 0)), (faults, ordinal))
        found = []
        for number, one in enumerate(model.properties):
            if one.wanted and number not in reached and answer.complete:
                text = f"{case.scene.name} cannot come to its good end even if nothing goes wrong"
                return Judged(answer.states, True, False, [Found("B21", one.subject, 0, text, [])])
            if number in failed and not one.wanted:
                found.append(_believed(case, one, case.replayed(runner.trail(failed[number][1]))))
        endless = False
        if answer.complete and answer.states <= graph:
            whole = runner.graph()
            if whole is not None:
                endless = True
                found += _in_graph(case, whole)
    return Judged(answer.states, answer.complete, endless, _folded(found))


def _believed(case: Case, one: Property, path: Path | None) -> Found:
    from coordlint.explore.promela import violates

    if path is None or not violates(case.space, path, one):
        raise Failure(f"a run of SPIN for {case.scene.name} does not replay here: please report it")
    return case.shown(one, path)


def _in_graph(case: Case, graph: pan.Graph) -> Iterator[Found]:
    """What needs the whole graph: runs without an end (B3, B4), and statements that no move passes (B19)."""
    moves = case.model.moves
    trap = pan.endless(graph, [move.price for move in moves])
    if trap is not None:
        path = case.replayed(trap.way)
        if path is None or case.replayed([*trap.way, *trap.cycle]) is None:
            raise Failure(f"a run of SPIN for {case.scene.name} does not replay here: please report it")
        code, text = "B3", f"{case.scene.name} can go on for ever without coming to an end"
        kinds = case.compiled.tables.kinds
        turns = [move for move in (moves[n] for n in trap.cycle) if move.kind < 0 or not kinds[move.kind].urgent]
        if all(move.what == "deliver" and move.component in case.compiled.parts for move in turns):
            code, text = "B4", f"messages of {case.scene.name} cause each other for ever"
        yield Found(code, f"{case.scene.name} endless", sum(move.price for _, move in path), text, path)
    if case.faults >= 2:
        passed = {number for steps in graph.moves.values() for number, _ in steps if number >= 0}
        choices = [moves[number].choice for number in sorted(passed)]
        for thread, action in case.judge.unreached(choice for choice in choices if choice is not None):
            span = " ".join(action.span.text.split())
            text = f"`{span}` of {thread} is never reached, whatever goes wrong up to {case.faults} faults"
            yield Found("B19", f"{thread} dead {action.id}", 0, text, [])


def _folded(found: list[Found]) -> list[Found]:
    """What goes wrong on the way comes first; what follows from it in the end is the same finding."""
    from coordlint.explore.violation import ON_THE_WAY

    found.sort(key=lambda one: (one.code == "B19", one.faults, len(one.path), one.code, one.subject))
    kept: list[Found] = []
    for one in found:
        known = {(other.subject, other.code in ON_THE_WAY) for other in kept}
        if one.code in ON_THE_WAY or (one.subject, True) not in known:
            kept.append(one)
    return kept


def words(judged: Judged, faults: int, *, flow: bool = False) -> str:
    """The verdict, which always says its bound."""
    from coordlint.explore.verify import Verdict

    violated = min((one.faults for one in judged.found if one.code != "B19"), default=None)
    text = Verdict("", judged.states, faults if judged.complete else -1, violated, False, not judged.complete).words
    if not judged.complete:
        return text if violated is not None else f"{text}: none found as far as SPIN came"
    if violated is None and not judged.endless:
        text += ", except that endless runs were not looked for"
    return f"{text}; why a flow comes to rest is left to the own engine" if flow and violated is None else text


def _tell(case: Case, one: Found) -> None:
    from coordlint.explore import story
    from coordlint.report import runs
    from coordlint.report.style import painter

    steps = story.tell(case.compiled, case.space, one.path)
    bound = f" (needs {_faults(one.faults)})" if one.path else ""
    lines = [f"{case.scene.name}: {one.code} {one.text}{bound}", *runs.text(steps, painter(False)), ""]
    write("\n".join(lines) + "\n")


# ------------------------------------------------------------------------------------------------ other machines


def export(paths: Sequence[str], settings: Settings, folder: str) -> int:
    """Write a folder for each scene that other machines can search; the exit code."""
    from coordlint.explore.promela import NotExportableError
    from coordlint.explore.spots import TooLargeError

    code = 0
    used: dict[str, int] = {}
    for path, design, scene in _scenes(paths, settings.flow):
        try:
            case = Case(design, scene, settings.faults, settings.without)
        except (NotExportableError, TooLargeError) as error:
            hint(f"{scene.name} is left out: {_why(error)}")
            code = 2
            continue
        name = re.sub(r"\W+", "-", scene.name)
        used[name] = used.get(name, 0) + 1
        name += f"-{used[name]}" if used[name] > 1 else ""
        swarm.export(os.path.join(folder, name), case.model, scene.name, path, _faults(settings.faults))
    return code


def trails(paths: Sequence[str], settings: Settings, files: Sequence[str]) -> int:
    """Replay the runs that came back from other machines, and tell for each scene the one with the fewest faults; the exit code."""
    from coordlint.explore.promela import plain

    runs = [swarm.read(file) for file in files]
    wanted = sorted({(run.scene, run.faults) for run in runs})
    cases: dict[str, Case] = {}
    for _, design, scene in _scenes(paths, settings.flow):
        for faults in [faults for name, faults in wanted if name == plain(scene.name)]:
            case = Case(design, scene, faults, settings.without)
            cases[case.model.title] = case
    found: dict[str, list[tuple[Found, str]]] = {}
    for run in runs:
        known = cases.get(run.title)
        if known is None and run.scene not in {plain(case.scene.name) for case in cases.values()}:
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
            write(f"{case.scene.name}: violated (needs at most {_faults(one.faults)}) — `{path}`, {goes}\n")
    return int(bool(found))


def _of_run(case: Case, run: swarm.Run) -> Found | None:
    from coordlint.explore.promela import violates

    path = case.replayed(run.moves)
    if path is None:
        return None
    for one in case.model.properties:
        if violates(case.space, path, one):
            return case.shown(one, path)
    return None


def _scenes(paths: Sequence[str], flow: str) -> Iterator[tuple[str, Design, Scene]]:
    """The scenes that are asked for."""
    from coordlint.design import load
    from coordlint.explore.scene import scenes

    known = False
    for path in paths:
        design = load(path)
        for scene in scenes(design.index):
            if not flow or scene.root.name == flow:
                known = True
                yield path, design, scene
    if flow and not known:
        raise Failure(f"there is no flow or workflow `{flow}` to verify")


def _faults(number: int) -> str:
    return f"{number} fault{'s' * (number != 1)}"


def _why(error: Exception) -> str:
    """Why SPIN cannot have the scene: its own sentence, or the name of the component with too many local states."""
    from coordlint.explore.spots import TooLargeError

    return f"`{error}` has too many local states" if isinstance(error, TooLargeError) else str(error)
