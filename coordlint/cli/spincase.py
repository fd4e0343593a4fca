"""What is handed to SPIN, a scene or a pair scene, and what is made of the runs that come back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from coordlint.cli.shared import Failure

if TYPE_CHECKING:
    from coordlint.design import Design
    from coordlint.explore.coupling import Coupled
    from coordlint.explore.judge import Judge
    from coordlint.explore.model import Model, Property
    from coordlint.explore.pairs import Pair
    from coordlint.explore.scene import Compiled, Scene
    from coordlint.explore.space import Move, Space
    from coordlint.explore.stategraph import StateGraph
    from coordlint.explore.tables import Act, Row
    from coordlint.explore.trail import Path
    from coordlint.explore.violation import Violation
    from coordlint.source import Span


class Case(ABC):
    """A model with all that is needed to understand what SPIN says about it.

    Attributes:
        name: of the scene.
        faults: the budget.
        compiled: the scene as tables.
        shown: the same as its runs are told.
        model: what SPIN searches.
        space: the moves of the own engine without reductions, in which runs are replayed.
    """

    name: str
    faults: int
    compiled: Compiled
    shown: Compiled
    model: Model
    space: Space

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
            raise Failure(f"a run of SPIN for {self.name} does not replay here: please report it")
        return path

    def told(self, one: Property, path: Path) -> Violation:
        """A run that violates a property, shortened and put into words."""
        return self.worded(one, self.shortened(one, path))

    def shortened(self, one: Property, path: Path) -> Path:
        """A run that violates a property without what that does not need; if it counts, it still does."""
        from coordlint.explore import trail

        counted = self.counts(one, path)
        return trail.shorten(self.space, path, one, lambda shorter: not counted or self.counts(one, shorter))

    def counts(self, one: Property, path: Path) -> bool:
        """Whether nothing on the way of a run makes it one that does not count."""
        return True

    @abstractmethod
    def worded(self, one: Property, path: Path) -> Violation:
        """A run that violates a property, in words."""

    def excused(self, one: Property, path: Path, whole: StateGraph) -> Path | None:
        """The run, or another one if something on its way makes it a run that does not count; None if there is none that does."""
        return path

    @abstractmethod
    def in_graph(self, whole: StateGraph) -> Iterator[Violation]:
        """What is wrong and no single state shows."""

    def hints(self, whole: StateGraph, told: list[Violation]) -> Iterator[Violation]:
        """What never happens."""
        yield from ()

    def _end(self, path: Path) -> tuple[int, ...]:
        """The local states behind a run."""
        return self.space.locals(path[-1][1].target if path else self.space.initial)


class SceneCase(Case):
    """A scene.

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

        self.name = scene.name
        self.design = design
        self.scene = scene
        self.faults = faults
        self.without = without
        self.adverse = adverse
        self.compiled = self.shown = compile_scene(design.index, scene, adverse, changed)
        self.judge: Judge = Judge(self.compiled, design.sagas)
        found = properties(self.compiled, self.judge)
        self.model = promela.export(self.compiled.tables, faults, found, name=scene.name, without=without)
        self.space = Space(self.compiled.tables, inert=False, persistent=False, without=without)
        self._reach = [reach(component) for component in self.compiled.tables.components]

    def better(self, name: str, faults: int) -> SceneCase:
        """The same scene with a fact taken for its better value."""
        return SceneCase(self.design, self.scene, faults, self.without, self.adverse, {name: True})

    def worded(self, one: Property, path: Path) -> Violation:
        """A run that violates a property, in words."""
        from coordlint.explore.violation import Violation

        faults = sum(move.price for _, move in path)
        if one.resting:
            text, damage, place = self._ended(one, path)
            code, text = self.judge.cause(one.code, text, [step for step in path if self._matters(*step)], one.subject)
            return Violation(code, one.subject, faults, text, damage, place, tuple(path))
        code = "B7" if one.code == "B8" and faults == 0 else one.code
        return Violation(code, one.subject, faults, _on_the_way(one), "", self.scene.place, tuple(path))

    def _ended(self, one: Property, path: Path) -> tuple[str, str, Span]:
        """What is wrong where a run rests: the fact, the damage, the place."""
        return next(end[2:] for end in self.judge.ended(self._end(path)) if end[:2] == (one.code, one.subject))

    def _matters(self, state: int, move: Move) -> bool:
        """Whether a move can be a cause: not if a message is dropped that nobody would have used later on either."""
        from coordlint.explore.tables import members

        if move.what != "drop":
            return True
        rows = self.compiled.tables.components[move.component].rows
        later = members(self._reach[move.component][self.space.local(state, move.component)])
        return any(row.target != local or row.emits for local in later for row in rows[local].get(move.kind, ()))

    def missing(self, one: Property) -> Violation:
        """That the good end is reached nowhere."""
        from coordlint.explore.violation import Violation

        text = f"{self.name} cannot come to its good end even if nothing goes wrong"
        return Violation("B21", one.subject, 0, text, "the good end does not exist", self.scene.place)

    def counts(self, one: Property, path: Path) -> bool:
        """Whether nobody asks what has become of a step that ends wrong, and no wait follows from a silence that is told itself."""
        if not one.resting:
            return True
        vain = one.code == "B2" and any(move.what == "omission" for _, move in path)
        if vain and self.judge.waits_in_vain(self._end(path)):
            return False
        return not self.judge.inquires((move for _, move in path), self._inquiries(one, path))

    def _inquiries(self, one: Property, path: Path) -> frozenset[int]:
        """The questions that tell what has become of what a run that ends wrong is about."""
        return self.judge.asked.get(self._ended(one, path)[2], frozenset())

    def excused(self, one: Property, path: Path, whole: StateGraph) -> Path | None:
        """The run, or another one to such an end; None if there is only what does not count.

        Where somebody asks what has become of a step that ends wrong, the answer would tell. Where somebody who was asked never
        answers, a wait is told as that silence, unless all may rest like this with as few faults although everybody answers.
        """
        omitted = one.code == "B2" and any(move.what == "omission" for _, move in path)
        if not omitted and self.counts(one, path):
            return path
        inquiries = self._inquiries(one, path)
        asks = {n for n, move in enumerate(self.model.moves) if self.judge.inquires([move], inquiries)}
        ways: list[tuple[set[int], Callable[[tuple[int, ...]], bool]]] = [(asks, one.holds)]
        if omitted:
            ways = [
                (asks | whole.omissions, lambda end: one.holds(end) and end not in whole.silent),
                (asks, lambda end: one.holds(end) and not self.judge.waits_in_vain(end)),
            ]
        found = [way for way in (whole.without(*some) for some in ways) if way is not None]
        best = min(found, key=lambda way: sum(self.model.moves[n].price for n in way), default=None)
        return None if best is None else self.believed(best, one)

    def in_graph(self, whole: StateGraph) -> Iterator[Violation]:
        """Runs without an end (B3, B4), and flows that come to rest."""
        from coordlint.explore.violation import Violation

        trap = whole.endless()
        if trap is not None:
            self.believed([*trap.way, *trap.cycle])
            path = self.believed(trap.way)
            code, text = "B3", f"{self.name} can go on for ever without coming to an end"
            kinds = self.compiled.tables.kinds
            moves = [self.model.moves[number] for number in trap.cycle]
            turns = [move for move in moves if move.kind < 0 or not kinds[move.kind].urgent]
            if all(move.what == "deliver" and move.component in self.compiled.parts for move in turns):
                code, text = "B4", f"messages of {self.name} cause each other for ever"
            faults = sum(move.price for _, move in path)
            yield Violation(code, f"{self.name} endless", faults, text, "", self.scene.place, tuple(path))
        yield from whole.unanswered(self.judge, self.believed)
        yield from whole.rests(self.judge, self.believed)

    def hints(self, whole: StateGraph, told: list[Violation]) -> Iterator[Violation]:
        """Statements that no move passes (B19), and messages that never make a difference (B6)."""
        choices = whole.choices()
        if self.faults >= 2:
            yield from self._dead(choices)
        yield from self.judge.orphans(choices, whole.useful(), told)

    def _dead(self, choices: list[Row | Act]) -> Iterator[Violation]:
        from coordlint.explore.violation import Violation

        for thread, action in self.judge.unreached(choices):
            span = " ".join(action.span.text.split())
            text = f"`{span}` of {thread} is never reached, whatever goes wrong up to {self.faults} faults"
            yield Violation("B19", f"{thread} dead {action.id}", 0, text, "it never runs", action.span)


def _on_the_way(one: Property) -> str:
    return {
        "B4": f"`{one.subject.removeprefix('storm ')}` can be sent without end",
        "B5": f"{one.subject.removesuffix(' broken')} stops with an error",
        "B8": f"{one.subject.removesuffix(' twice')} can be executed twice",
        "B9": f"{one.subject} can be executed after its compensation",
        "B10": f"{one.subject} can be undone twice",
        "B14": one.subject,
        "B20": f"{one.subject}, against the declared order",
    }[one.code]


class PairCase(Case):
    """A pair scene: two runs side by side, with locks and observers of what they share.

    Args:
        coupled: the pair.
        faults: the budget.
        without: faults that do not happen.

    Raises:
        NotExportableError: SPIN has no room for it.
    """

    def __init__(self, coupled: Coupled, faults: int, without: frozenset[str] = frozenset()) -> None:
        from coordlint.explore import pairmodel, promela
        from coordlint.explore.pairspace import PairSpace
        from coordlint.explore.pairverify import visible

        self.name = coupled.scene.name
        self.faults = faults
        self.compiled = self.coupled = coupled
        self.shown = visible(coupled)
        space = PairSpace(coupled, inert=False, without=without)
        self.space = space
        self.model = promela.export(
            coupled.tables, faults, pairmodel.properties(coupled), name=self.name, without=without,
            sides=pairmodel.sides(coupled, space),
        )  # fmt: skip

    @staticmethod
    def of(design: Design, pair: Pair, faults: int, without: frozenset[str] = frozenset()) -> PairCase | None:
        """The pair scene of a design; None if whatever the two runs do, they cannot hurt each other.

        Raises:
            NotExportableError: SPIN has no room for it.
            TooLargeError: a component has too many local states.
        """
        from coordlint.explore.coupling import couple
        from coordlint.explore.pairverify import is_at_risk

        coupled = couple(design.index, design.sagas, pair)
        return PairCase(coupled, faults, without) if is_at_risk(coupled) else None

    def worded(self, one: Property, path: Path) -> Violation:
        """A run that violates a property, in words."""
        from coordlint.explore.pairjudge import deadlock, words
        from coordlint.explore.violation import Violation

        locals_ = self._end(path)
        faults = sum(move.price for _, move in path)
        if one.code == "B18":
            text, damage, place = deadlock(self.coupled, locals_[sum(self.coupled.sizes) :])
        else:
            alarmed = next(number for ((number, places),) in one.cases if locals_[number] in places)
            text, damage = words(self.coupled, self.coupled.observers[alarmed])
            choice = path[-1][1].choice
            place = self.coupled.notes[choice.note].span if choice is not None else self.coupled.scene.place
        return Violation(one.code, one.subject, faults, text, damage, place, tuple(path))

    def in_graph(self, whole: StateGraph) -> Iterator[Violation]:
        """Runs that wait for each other's locks while timers go on for ever without helping (B18)."""
        ending = whole.leading_to(whole.resting)
        for one in self.model.properties:
            for state in whole.faults:
                if one.resting and state not in ending and one.holds(whole.locals[state]):
                    yield self.worded(one, self.believed(whole.way(state)))
                    break
