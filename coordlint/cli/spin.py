"""SPIN as the second engine: it judges the scenes by itself, and a run of it is believed only if it replays here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from coordlint.cli import pan, swarm
from coordlint.cli.shared import Failure, hint, write

if TYPE_CHECKING:
    from coordlint.design import Design
    from coordlint.explore.judge import Judge
    from coordlint.explore.promela import Model, Property
    from coordlint.explore.scene import Compiled, Scene
    from coordlint.explore.space import Move, Space
    from coordlint.explore.stategraph import StateGraph
    from coordlint.explore.tables import Act, Row
    from coordlint.explore.trail import Path
    from coordlint.explore.verify import Settings
    from coordlint.explore.violation import Violation
    from coordlint.source import Span

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


class Case:
    """A scene with all that is needed to hand it to SPIN and to understand what comes back.

    Args:
        design: whose scene it is.
        scene: what to search.
        faults: the budget.
        without: faults that do not happen.
        adverse: the unknown facts that are taken for absent, as :func:`compile_scene` has them.
        changed: facts that are taken for another value than is declared, as :func:`compile_scene` has them.

    Raises:
        NotExportableError: SPIN has no room for it.
        TooLargeError: a component has too many local states.
    """

    def __init__(
        self, design: Design, scene: Scene, faults: int, without: frozenset[str] = frozenset(),
        adverse: frozenset[str] | None = frozenset(), changed: Mapping[str, bool] | None = None,
    ) -> None:  # fmt: skip
        from coordlint.explore import promela
        from coordlint.explore.compiler import compile_scene
        from coordlint.explore.conditions import properties
        from coordlint.explore.judge import Judge
        from coordlint.explore.space import Space
        from coordlint.explore.tables import reach

        self.design = design
        self.scene = scene
        self.faults = faults
        self.without = without
        self.adverse = adverse
        self.compiled: Compiled = compile_scene(design.index, scene, adverse, changed)
        self.judge: Judge = Judge(self.compiled, design.sagas)
        found = properties(self.compiled, self.judge)
        self.model: Model = promela.export(self.compiled.tables, faults, found, name=scene.name, without=without)
        self._reach = [reach(component) for component in self.compiled.tables.components]
        self.space: Space = Space(self.compiled.tables, inert=False, persistent=False, without=without)

    def changed(self, name: str, faults: int) -> Case:
        """The same scene with a fact taken for its better value."""
        return Case(self.design, self.scene, faults, self.without, self.adverse, {name: True})

    def replayed(self, numbers: Sequence[int]) -> Path | None:
        """A run of SPIN in the own engine, without reductions; None if it takes a step that is not possible here."""
        from coordlint.explore import trail

        return trail.replay(self.space, self.model, numbers)

    def believed(self, numbers: Sequence[int], one: Property | None = None) -> Path:
        """A run of SPIN in the own engine, which has to violate the property if one is given.

        Raises:
            Failure: it does not.
        """
        from coordlint.explore.trail import violates

        path = self.replayed(numbers)
        if path is None or (one is not None and not violates(self.space, path, one)):
            raise Failure(f"a run of SPIN for {self.scene.name} does not replay here: please report it")
        return path

    def shown(self, one: Property, path: Path) -> Violation:
        """A run that violates a property, shortened and put into words."""
        from coordlint.explore import trail
        from coordlint.explore.violation import Violation

        path = trail.shorten(self.space, path, one)
        faults = sum(move.price for _, move in path)
        if one.resting:
            text, damage, place = self.end(one, path)
            code, text = self.judge.cause(one.code, text, [step for step in path if self._matters(*step)], one.subject)
            return Violation(code, one.subject, faults, text, damage, place, tuple(path))
        code = "B7" if one.code == "B8" and faults == 0 else one.code
        return Violation(code, one.subject, faults, _on_the_way(one), "", self.scene.place, tuple(path))

    def _matters(self, state: int, move: Move) -> bool:
        """Whether a move can be a cause: not if a message is dropped that nobody would have used later on either."""
        if move.what != "drop":
            return True
        from coordlint.explore.tables import members

        component = self.compiled.tables.components[move.component]
        later = self._reach[move.component][self.space.local(state, move.component)]
        return any(row.target != local or row.emits
                   for local in members(later) for row in component.rows[local].get(move.kind, ()))  # fmt: skip

    def end(self, one: Property, path: Path) -> tuple[str, str, Span]:
        """What is wrong where a run rests: the fact, the damage, the place."""
        locals_ = self.space.locals(path[-1][1].target if path else self.space.initial)
        return next(end[2:] for end in self.judge.ended(locals_) if end[:2] == (one.code, one.subject))


def _on_the_way(one: Property) -> str:
    return {
        "B4": f"`{one.subject.removeprefix('storm ')}` can be sent without end",
        "B5": f"{one.subject.removesuffix(' broken')} stops with an error",
        "B8": f"{one.subject.removesuffix(' twice')} can be executed twice",
        "B9": f"{one.subject} can be executed after its compensation",
        "B10": f"{one.subject} can be undone twice",
        "B20": f"{one.subject}, against the declared order",
    }[one.code]


def main(paths: Sequence[str], settings: Settings) -> int:
    """Search the scenes of designs with SPIN and tell what it says; the exit code."""
    from coordlint.explore.promela import NotExportableError
    from coordlint.explore.spots import TooLargeError

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
        said = words(judged, settings.faults)
        write(f"{scene.name}: {said} — {judged.states:,} states (SPIN)\n")
        code = max(code, any(one.code not in HINTS for one in judged.found))
    return code


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
    if not judged.complete:
        return judged
    before = {(one.code, subject) for one in judged.found for subject in one.subjects}
    orders = [name for name, fact in case.compiled.facts.worse.items() if fact.repair.startswith("an order for ")]
    again: dict[tuple[str, int], Judged] = {}
    found = []
    for one in judged.found:
        faults = max(one.faults, min(case.faults, 1))
        for name in orders if one.code in CURED_BY_ORDER else ():
            if (name, faults) not in again:
                again[name, faults] = _judged(case.changed(name, faults), megabytes, seconds, graph)
            other = again[name, faults]
            left = {(v.code, subject) for v in other.found if v.code not in HINTS for subject in v.subjects}
            known = other.complete and other.whole == judged.whole
            if known and left <= before and one.subject not in {subject for _, subject in left}:
                one = one._replace(code="B15")
                break
        found.append(one)
    return judged._replace(found=found)


def _judged(case: Case, megabytes: int, seconds: float, graph: int) -> Judged:
    """What SPIN says about a scene as it is, whatever would cure it."""
    from coordlint.explore.stategraph import StateGraph
    from coordlint.explore.violation import Violation, folded, kept

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
            if one.wanted and number not in reached and answer.complete:
                text = f"{case.scene.name} cannot come to its good end even if nothing goes wrong"
                missing = Violation("B21", one.subject, 0, text, "the good end does not exist", case.scene.place)
                return Judged(answer.states, True, True, [missing])
            if number in failed and not one.wanted:
                runs.append((one, case.believed(runner.trail(failed[number][1]), one)))
        gone = runner.graph() if answer.complete and answer.states <= graph else None
    start = tuple(component.initial for component in case.compiled.tables.components)
    whole = None if gone is None else StateGraph(gone, model, start)
    found = [case.shown(*run) for run in _unasked(case, runs, whole)]
    found += _in_graph(case, whole) if whole is not None else ()
    found = folded(kept(found))
    if whole is not None:
        choices = whole.choices()
        found += [*_dead(case, choices), *case.judge.orphans(choices, whole.useful(), found)]
    return Judged(answer.states, answer.complete, whole is not None, found)


def _unasked(
    case: Case, runs: list[tuple[Property, Path]], whole: StateGraph | None
) -> Iterator[tuple[Property, Path]]:
    """The runs in which nobody asks what has become of a step that ends wrong: the answer would tell."""
    for one, path in runs:
        inquiries = case.judge.asked.get(case.end(one, path)[2]) if one.resting else None
        if whole is None or inquiries is None or not case.judge.inquires((move for _, move in path), inquiries):
            yield one, path
            continue
        asks = {n for n, move in enumerate(case.model.moves) if case.judge.inquires([move], inquiries)}
        way = whole.without(asks.__contains__, one.holds)
        if way is not None:
            yield one, case.believed(way, one)


def _in_graph(case: Case, whole: StateGraph) -> Iterator[Violation]:
    """What needs the whole graph and counts as wrong: runs without an end (B3, B4), and flows that come to rest."""
    from coordlint.explore.violation import Violation

    moves = case.model.moves
    trap = whole.endless()
    if trap is not None:
        case.believed([*trap.way, *trap.cycle])
        path = case.believed(trap.way)
        code, text = "B3", f"{case.scene.name} can go on for ever without coming to an end"
        kinds = case.compiled.tables.kinds
        turns = [move for move in (moves[n] for n in trap.cycle) if move.kind < 0 or not kinds[move.kind].urgent]
        if all(move.what == "deliver" and move.component in case.compiled.parts for move in turns):
            code, text = "B4", f"messages of {case.scene.name} cause each other for ever"
        faults = sum(move.price for _, move in path)
        yield Violation(code, f"{case.scene.name} endless", faults, text, "", case.scene.place, tuple(path))
    yield from whole.rests(case.judge, case.believed)


def _dead(case: Case, choices: list[Row | Act]) -> Iterator[Violation]:
    """Statements that no move passes (B19)."""
    from coordlint.explore.violation import Violation

    if case.faults < 2:
        return
    for thread, action in case.judge.unreached(choices):
        span = " ".join(action.span.text.split())
        text = f"`{span}` of {thread} is never reached, whatever goes wrong up to {case.faults} faults"
        yield Violation("B19", f"{thread} dead {action.id}", 0, text, "it never runs", action.span)


HINTS = frozenset({"B6", "B19"})
"""What never happens does no harm by itself."""


def words(judged: Judged, faults: int) -> str:
    """The verdict, which always says its bound."""
    from coordlint.explore.verify import Verdict

    violated = min((one.faults for one in judged.found if one.code not in HINTS), default=None)
    text = Verdict("", judged.states, faults if judged.complete else -1, violated, False, not judged.complete).words
    if not judged.complete:
        return text if violated is not None else f"{text}: none found as far as SPIN came"
    if violated is None and not judged.whole:
        text += ", except that endless runs and rests of the flow were not looked for"
    return text


def _tell(case: Case, one: Violation) -> None:
    from coordlint.explore import story
    from coordlint.report import runs
    from coordlint.report.style import painter

    steps = story.tell(case.compiled, case.space, one.path)
    bound = f" (needs {_faults(one.faults)})" if one.path else ""
    lines = [f"{case.scene.name}: {one.code} {one.text}{bound}", *runs.text(steps, painter(False))]
    lines += [*(f"also: {also.text}" for also in one.also), ""]
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
    found: dict[str, list[tuple[Violation, str]]] = {}
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


def _of_run(case: Case, run: swarm.Run) -> Violation | None:
    from coordlint.explore.trail import violates

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
