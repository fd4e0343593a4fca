"""Verification of a design: each scene searched, judged, proved if it is clean, and every violation told with its repairs."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.compiler import compile_scene
from coordlint.explore.judge import Judge, Violation
from coordlint.explore.proof import comes_to_rest, prove
from coordlint.explore.quotient import for_proof
from coordlint.explore.scene import Assumption, Compiled, Scene, scenes
from coordlint.explore.search import Search
from coordlint.explore.space import Space, TooManyQueueContentsError
from coordlint.explore.story import tell
from coordlint.explore.threads import TooLargeError
from coordlint.finding import Step

if TYPE_CHECKING:
    from coordlint.analysis.sagas import Sagas
    from coordlint.graph import Index


class Settings(NamedTuple):
    """How far to go.

    Attributes:
        faults: how many faults may happen in one run.
        limit: how many states a scene may have.
        without: kinds of faults that do not happen: copy, lose, park, overtake, early, crash, publish.
        flow: only the scene of this flow or workflow.
        candidates: also look for what happens if unknown facts are against the design.
        progress: told about each scene and layer.
        thorough: search with all faults even where it is proved already that nothing can go wrong.
    """

    faults: int = 2
    limit: int = 100_000
    without: frozenset[str] = frozenset()
    flow: str = ""
    candidates: bool = True
    progress: Callable[[str], None] | None = None
    thorough: bool = False


KINDS_OF_FAULTS = ("copy", "lose", "park", "overtake", "early", "crash", "publish")


class Verdict(NamedTuple):
    """What is known about a scene, in the words of :func:`Verdict.words`.

    Attributes:
        scene: its name.
        states: how many states were looked at.
        complete: up to how many faults the search is complete; -1 if not even without any.
        violated: the least number of faults of a violation, or None.
        proved: it holds for any number of faults.
        cut: the limit was reached, or the scene is too large to begin with.
    """

    scene: str
    states: int
    complete: int
    violated: int | None
    proved: bool
    cut: bool

    @property
    def words(self) -> str:
        """The verdict, which always says its bound."""
        limit = ""
        if self.cut:
            limit = (
                f"unknown beyond {_faults(self.complete)} (limit reached)"
                if self.complete >= 0
                else "unknown (limit reached)"
            )
        if self.violated is not None:
            return f"violated (needs {_faults(self.violated)})" + (f", {limit}" if limit else "")
        if self.proved:
            return "holds for any number of faults"
        return limit or f"holds up to {_faults(self.complete)}"


class Told(NamedTuple):
    """A violation with everything a finding needs.

    Attributes:
        assumes: the unknown facts it takes to be against the design; empty if it is certain.
        repairs: changes of one fact after which it is gone and nothing new is there, each tried.
        tried: how many changes were tried.
        also: what else the same cause brings about.
    """

    scene: Scene
    violation: Violation
    steps: tuple[Step, ...]
    repeats: tuple[Step, ...]
    assumes: tuple[Assumption, ...]
    repairs: tuple[str, ...]
    tried: int

    @property
    def needs(self) -> str:
        """How many faults it needs."""
        return f"needs {_faults(self.violation.faults)}"


class Verification:
    """The verification of a design under some settings."""

    def __init__(self, index: Index, sagas: Sagas, settings: Settings | None = None) -> None:
        self.index = index
        self.sagas = sagas
        self.settings = settings or Settings()
        self.verdicts: list[Verdict] = []
        self.told: list[Told] = []
        with _uncollected():
            for scene in self.scenes():
                self._verify(scene)
                if gc.get_count()[0] > MOST_OBJECTS:
                    gc.collect()

    def scenes(self) -> Iterator[Scene]:
        """The scenes that are asked for."""
        for scene in scenes(self.index):
            if not self.settings.flow or scene.root.name == self.settings.flow:
                yield scene

    def of(self, code: str) -> list[Told]:
        """The violations of a property."""
        return [told for told in self.told if told.violation.code == code]

    # -------------------------------------------------------------------------------------------- one scene

    def _verify(self, scene: Scene) -> None:
        settings = self.settings
        try:
            compiled = compile_scene(self.index, scene)
            judge = Judge(compiled, self.sagas)
            search = Search(Space(compiled.tables, without=settings.without), settings.limit)
            certain, proved = self._explore(compiled, judge, search)
        except (TooLargeError, TooManyQueueContentsError):
            self.verdicts.append(Verdict(scene.name, 0, -1, None, False, True))
            return
        serious = _serious(certain)
        violated = min((one.faults for one in serious), default=None)
        self.verdicts.append(Verdict(scene.name, len(search.layers), search.complete, violated, proved, search.cut))
        for one in certain:
            repairs: tuple[str, ...] = ()
            tried = 0
            if one in serious and not search.cut and len(search.layers) <= MOST_STATES * 4:
                repairs, tried = self._repairs(scene, one, certain, compiled, frozenset())
            if one.code in {"B1", "B2", "B5", "B9", "B11"} and any(
                text.startswith("an order for ") for text in repairs
            ):
                one = one._replace(code="B15")
            self.told.append(self._tell(compiled, search, one, (), repairs, tried))
        # Without unknown facts there is only one way to compile the scene.
        if settings.candidates and compiled.facts.unknown and not any(one.code == "B21" for one in certain):
            self._candidates(scene, {one.subject for one in certain}, search.cut)

    def _explore(self, compiled: Compiled, judge: Judge, search: Search) -> tuple[list[Violation], bool]:
        """Search, and prove in between: what is clean with one fault may be so with any number, and then the rest is known.

        Returns:
            The violations, and whether nothing is wrong with any number of faults.
        """
        settings = self.settings
        proved: bool | None = False if settings.without else None
        for layer in search.run(settings.faults):
            if settings.progress is not None:
                states = f"{len(search.layers):,} states"
                settings.progress(f"{compiled.scene.name}: complete for {_faults(layer)}, {states}")
            if layer == 1 < settings.faults and proved is None and not settings.thorough:
                complete, search.complete = search.complete, settings.faults
                if not judge.all(search):
                    proved = self._is_proved(compiled, judge, search)
                    if proved and comes_to_rest(compiled.tables):
                        return [], True
                search.complete = complete
        certain = judge.all(search)
        if search.cut or _serious(certain):
            return certain, False
        if proved is None:
            proved = self._is_proved(compiled, judge, search)
        return certain, proved

    def _is_proved(self, compiled: Compiled, judge: Judge, search: Search) -> bool:
        """Whether proof mode shows that nothing is wrong with any number of faults."""
        tables, behind = for_proof(compiled)

        def fine(end: tuple[int, ...]) -> bool:
            return not any(True for _ in judge.wrong(tuple(old[local] for old, local in zip(behind, end, strict=True))))

        return prove(Space(tables), min(self.settings.limit, max(MOST_PROVED, len(search.layers))), fine).complete

    def _search(self, compiled: Compiled, faults: int, limit: int) -> Search:
        search = Search(Space(compiled.tables, without=self.settings.without), limit)
        for _ in search.run(faults):
            pass
        return search

    def _tell(
        self, compiled: Compiled, search: Search, one: Violation, assumes: tuple[Assumption, ...],
        repairs: tuple[str, ...], tried: int,
    ) -> Told:  # fmt: skip
        steps = tell(compiled, search.space, one.path)
        whole = tell(compiled, search.space, (*one.path, *one.repeats))
        return Told(compiled.scene, one, steps, whole[len(steps) :], assumes, repairs, tried)

    # -------------------------------------------------------------------------------------------- unknown facts

    def _candidates(self, scene: Scene, known: set[str], cut: bool) -> None:
        """What happens with at most one fault if unknown facts are against the design, each with the fewest such facts."""
        faults = min(self.settings.faults, 1)
        limit = min(self.settings.limit, MOST_STATES)
        try:
            compiled = compile_scene(self.index, scene, None)
            if not compiled.facts.unknown:
                return
            search = self._search(compiled, faults, limit)
            for one in Judge(compiled, self.sagas).all(search):
                if one.subject in known or one.code in {"B6", "B19"}:
                    continue
                known.add(one.subject)
                self._candidate(scene, compiled, one, faults, limit)
        except (TooLargeError, TooManyQueueContentsError):
            return

    def _candidate(self, scene: Scene, compiled: Compiled, one: Violation, faults: int, limit: int) -> None:
        used = list(dict.fromkeys(self._used(compiled, one)))
        names = [name for name in used if name in compiled.facts.unknown]
        hit = self._with(scene, frozenset(names), one, faults, limit)
        if hit is None:
            names = list(compiled.facts.unknown)
            if len(names) > MOST_FACTS:
                return
        for name in list(names):
            fewer = frozenset(other for other in names if other != name)
            again = self._with(scene, fewer, one, faults, limit)
            if again is not None:
                names.remove(name)
                hit = again
        if hit is None or not names:
            return
        smaller, search, found = hit
        assumes = tuple(compiled.facts.unknown[name] for name in names)
        repairs = tuple(dict.fromkeys(one.repair for one in assumes if one.repair))
        self.told.append(self._tell(smaller, search, found, assumes, repairs, len(repairs)))

    def _used(self, compiled: Compiled, one: Violation) -> Iterator[str]:
        for _, move in (*one.path, *one.repeats):
            if move.choice is not None and move.choice.note >= 0:
                yield from compiled.notes[move.choice.note].facts
            if move.what in {"copy", "lose", "drop"} and move.kind >= 0:
                yield from compiled.kind_facts.get(move.kind, ())

    def _with(
        self, scene: Scene, adverse: frozenset[str], one: Violation, faults: int, limit: int
    ) -> tuple[Compiled, Search, Violation] | None:
        compiled = compile_scene(self.index, scene, adverse)
        search = self._search(compiled, faults, limit)
        for other in Judge(compiled, self.sagas).all(search):
            if other.subject == one.subject and other.code == one.code:
                return compiled, search, other
        return None

    # -------------------------------------------------------------------------------------------- repairs

    def _repairs(
        self, scene: Scene, one: Violation, all_: list[Violation], compiled: Compiled, adverse: frozenset[str]
    ) -> tuple[tuple[str, ...], int]:
        """Flip one fact at a time and search again: what removes the violation and brings nothing new is a repair."""
        before = {(other.code, other.subject) for other in all_}
        found: list[str] = []
        tried = 0
        for name, assumption in compiled.facts.worse.items():
            if not assumption.repair or tried >= MOST_REPAIRS:
                continue
            tried += 1
            try:
                changed = compile_scene(self.index, scene, adverse, {name: True})
                search = self._search(changed, max(one.faults, min(self.settings.faults, 1)), MOST_STATES * 4)
            except (TooLargeError, TooManyQueueContentsError):
                continue
            after = {(o.code, o.subject) for o in Judge(changed, self.sagas).all(search) if o.code not in {"B6", "B19"}}
            if not search.cut and not any(subject == one.subject for _, subject in after) and after <= before:
                found.append(assumption.repair)
        return tuple(dict.fromkeys(found)), tried


MOST_STATES = 5_000
"""What unknown facts could do is looked for in so many states of a scene."""

MOST_PROVED = 8_000
"""So many states are worth a proof, or as many as the search has looked at: a proof of wide parallels is larger than that."""

MOST_OBJECTS = 100_000
"""After so many objects that scenes have left behind, cycles among them are looked for."""

MOST_FACTS = 12
"""Of so many unknown facts the ones that matter are singled out, each with a search of its own."""

MOST_REPAIRS = 40
"""So many changes are tried for one violation."""


def _serious(found: list[Violation]) -> list[Violation]:
    """The violations that are not only hints."""
    return [one for one in found if one.code not in {"B6", "B19"}]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Spare Python its own search for cycles while scenes are verified: that makes many objects, and hardly a cycle.

    What was there before is left alone.
    """
    enabled = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


def _faults(number: int) -> str:
    return f"{number} fault{'' if number == 1 else 's'}"
