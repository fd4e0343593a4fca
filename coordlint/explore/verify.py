"""Verification of a design: each scene searched, judged, proved if it is clean, and every violation told with its repairs."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.compiler import compile_scene
from coordlint.explore.judge import Judge
from coordlint.explore.memory import Known, Memory, fingerprint
from coordlint.explore.proof import comes_to_rest, prove
from coordlint.explore.quotient import for_proof
from coordlint.explore.repairs import MOST_STATES, Amended, Repairs
from coordlint.explore.scene import Assumption, Compiled, Scene, scenes
from coordlint.explore.search import Search
from coordlint.explore.space import Space, TooManyQueueContentsError
from coordlint.explore.spots import TURNS, TooLargeError
from coordlint.explore.story import tell_violation
from coordlint.explore.survey import survey
from coordlint.explore.violation import CURED_BY_ORDER, FOR_AN_ANSWER, Violation
from coordlint.finding import Label, Run, Step

if TYPE_CHECKING:
    from coordlint.analysis.sagas import Sagas
    from coordlint.graph import Index
    from coordlint.system import Action


class Settings(NamedTuple):
    """How far to go.

    Attributes:
        faults: how many faults may happen in one run.
        limit: how many states a scene may have.
        without: kinds of faults that do not happen, of `KINDS_OF_FAULTS`.
        flow: only the scene of this flow or workflow.
        total: how many states all scenes may have together; those that come after it are not searched.
        candidates: also look for what happens if unknown facts are against the design.
        repairs: try which changes of single facts are a remedy.
        proof: try to prove for any number of faults what holds.
        whole: where the limit is reached, report only what is complete, so that nothing depends on the order of the search.
        strict: what the design does not say counts as absent, so that what follows from it is certain.
        progress: told about each scene and layer.
        many: from so many scenes on nothing is assumed, and from four times as many on only one fault is looked at; 0 for
            never.
        thorough: search with all faults even where it is proved already that nothing can go wrong.
    """

    faults: int = 2
    limit: int = 100_000
    without: frozenset[str] = frozenset()
    flow: str = ""
    total: int = 0
    candidates: bool = True
    repairs: bool = True
    proof: bool = True
    whole: bool = False
    strict: bool = False
    progress: Callable[[str], None] | None = None
    many: int = 0
    thorough: bool = False


class Verdict(NamedTuple):
    """What is known about a scene, in the words of :func:`Verdict.words`.

    Attributes:
        scene: its name.
        states: how many states were looked at.
        complete: up to how many faults the search is complete; -1 if not even without any.
        violated: the least number of faults of a violation, or None.
        proved: it holds for any number of faults.
        cut: the limit was reached, or the scene is too large to begin with.
        loops: the scene has loops, which are run with few turns and items only.
        layers: how many of the states need so many faults: without any first.
        idle: the moves that would change something and never occurred; unknown if the search was cut.
    """

    scene: str
    states: int
    complete: int
    violated: int | None
    proved: bool
    cut: bool
    loops: bool = False
    layers: tuple[int, ...] = ()
    idle: tuple[Label, ...] = ()

    @property
    def words(self) -> str:
        """The verdict, which always says its bound."""
        return self._bound + (f", with loops of up to {TURNS} turns" if self.loops else "")

    @property
    def _bound(self) -> str:
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
        run: how it comes about; None for what never happens.
        assumes: the unknown facts it takes to be against the design; empty if it is certain.
        repairs: changes of one fact after which it is gone and nothing new is there, each tried.
        tried: how many changes were tried.
        supposes: what the run takes for possible although the design does not say when.
        unsaid: the unknown facts that it rests on and that count as absent.
    """

    scene: Scene
    violation: Violation
    run: Run | None
    assumes: tuple[Assumption, ...]
    repairs: tuple[str, ...]
    tried: int
    supposes: tuple[Action, ...] = ()
    unsaid: tuple[Assumption, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of its run."""
        return self.run.steps if self.run is not None else ()

    @property
    def needs(self) -> str:
        """How many faults it needs."""
        return f"needs {_faults(self.violation.faults)}"


class Verification:
    """The verification of a design under some settings.

    Args:
        memory: what earlier runs with the same settings found nothing in; only for settings without candidates and proof.
        amended: the design with some edits, None if they do not fit; without it only facts are tried as repairs.
        only: these scenes instead of those of the design.

    Attributes:
        verdicts: one for each scene and pair.
        told: the violations, one for each cause.
        folded: of short runs (`whole`), those that are folded into others.
    """

    def __init__(
        self, index: Index, sagas: Sagas, settings: Settings | None = None, memory: Memory | None = None,
        amended: Amended | None = None, only: Sequence[Scene] | None = None,
    ) -> None:  # fmt: skip
        self.index = index
        self.sagas = sagas
        self.only = only
        self.settings = settings or Settings()
        self._adverse: frozenset[str] | None = None if self.settings.strict else frozenset()
        self._repairs = Repairs(index, sagas, self._search, min(self.settings.faults, 1), amended)
        self.verdicts: list[Verdict] = []
        self.told: list[Told] = []
        self.folded: list[Told] = []
        self._memory = memory
        self._spent = 0
        self.searched = found = list(self.scenes())
        if 0 < self.settings.many <= len(found):
            most = 1 if len(found) >= 4 * self.settings.many else self.settings.faults
            self.settings = self.settings._replace(faults=min(self.settings.faults, most), candidates=False)
        with _uncollected():
            for scene in found:
                self._verify(scene)
                if gc.get_count()[0] > MOST_OBJECTS:
                    gc.collect()
            if not self.settings.whole:
                self._pairs()
        if memory is not None:
            memory.save()

    def scenes(self) -> Iterator[Scene]:
        """The scenes that are asked for."""
        for scene in scenes(self.index) if self.only is None else self.only:
            if not self.settings.flow or scene.root.name == self.settings.flow:
                yield scene

    def of(self, code: str) -> list[Told]:
        """The violations of a property."""
        return [told for told in self.told if told.violation.code == code]

    def _pairs(self) -> None:
        """Two runs that meet at an entity."""
        from coordlint.explore.pairverify import PairVerification

        pairs = PairVerification(self.index, self.sagas, self.settings)
        for pair in pairs.pairs():
            verdict, told = pairs.verify(pair)
            self.verdicts += [verdict] if verdict is not None else []
            self.told += told

    # -------------------------------------------------------------------------------------------- one scene

    def _verify(self, scene: Scene) -> None:
        settings = self.settings
        if settings.total and self._spent >= settings.total:
            self.verdicts.append(Verdict(scene.name, 0, -1, None, False, True))
            return
        try:
            compiled = compile_scene(self.index, scene, self._adverse)
            name = fingerprint(compiled, self.index) if self._memory is not None else ""
            known = self._memory.get(name) if self._memory is not None else None
            if known is not None:
                self._spent += known.states
                self.verdicts.append(
                    Verdict(scene.name, known.states, known.complete, None, False, known.cut, self._loops(scene))
                )
                return
            judge = Judge(compiled, self.sagas)
            search = Search(Space(compiled.tables, without=settings.without), settings.limit)
            certain, proved = self._explore(compiled, judge, search)
        except (TooLargeError, TooManyQueueContentsError):
            self.verdicts.append(Verdict(scene.name, 0, -1, None, False, True))
            return
        self._spent += len(search.layers)
        if settings.whole:  # which kind of message piles up first in a storm depends on the order of the search
            certain = [one for one in certain if one.faults <= search.complete and not one.subject.startswith("storm ")]
        serious = _serious(certain)
        violated = min((one.faults for one in serious), default=None)
        more = survey(compiled, search) if not settings.whole else ()
        self.verdicts.append(
            Verdict(
                scene.name, len(search.layers), search.complete, violated, proved, search.cut, self._loops(scene), *more
            )
        )
        if self._memory is not None and not certain:
            self._memory.put(name, Known(len(search.layers), search.complete, search.cut))
        for one in certain:
            repairs: tuple[str, ...] = ()
            tried = 0
            if settings.repairs and one in serious and not search.cut and len(search.layers) <= MOST_STATES * 4:
                repairs, tried = self._repairs.of(scene, one, certain, compiled, self._adverse)
            if one.code in CURED_BY_ORDER and any(text.startswith("an order for ") for text in repairs):
                one = one._replace(code="B15")
            self.told.append(self._tell(compiled, search, one, (), repairs, tried))
            if settings.whole:
                self.folded += [self._tell(compiled, search, also.whole, (), (), 0) for also in one.also]
        # Without unknown facts there is only one way to compile the scene.
        wanted = settings.candidates and not settings.strict and compiled.facts.unknown
        if wanted and not any(one.code == "B21" for one in certain):
            self._candidates(scene, {subject for one in certain for subject in one.subjects}, search.cut)

    def _loops(self, scene: Scene) -> bool:
        return any(True for process in scene.processes for _ in self.index.system.actions_of(process, "loop"))

    def _explore(self, compiled: Compiled, judge: Judge, search: Search) -> tuple[list[Violation], bool]:
        """Search, and prove in between: what is clean with one fault may be so with any number, and then the rest is known.

        Returns:
            The violations, and whether nothing is wrong with any number of faults.
        """
        settings = self.settings
        proved: bool | None = False if settings.without or not settings.proof else None
        for layer in search.run(settings.faults):
            if settings.progress is not None:
                states = f"{len(search.layers):,} states"
                settings.progress(f"{compiled.scene.name}: complete for {_faults(layer)}, {states}")
            if layer == 1 < settings.faults and proved is None and not settings.thorough:
                complete, search.complete = search.complete, settings.faults
                search.restful = comes_to_rest(compiled.tables)
                if not judge.all(search):
                    proved = self._is_proved(compiled, judge, search)
                    if proved and search.restful:
                        search.spared = True
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
        small = for_proof(compiled)

        def fine(end: tuple[int, ...]) -> bool:
            locals_ = tuple(old[local] for old, local in zip(small.behind, end, strict=True))
            return not any(True for _ in judge.wrong(locals_))

        limit = min(self.settings.limit, max(MOST_PROVED, len(search.layers)))
        return prove(Space(small.tables), limit, fine, small.alike).complete

    def _search(self, compiled: Compiled, faults: int, limit: int) -> Search:
        search = Search(Space(compiled.tables, without=self.settings.without), limit)
        for _ in search.run(faults):
            pass
        return search

    def _tell(
        self, compiled: Compiled, search: Search, one: Violation, assumes: tuple[Assumption, ...],
        repairs: tuple[str, ...], tried: int,
    ) -> Told:  # fmt: skip
        run = tell_violation(compiled, search.space, one)
        if run is not None:
            texts = tuple(assumption.text for assumption in assumes)
            run = run._replace(assumes=texts, repairs=repairs, tried=tried, complete=search.complete)
        return Told(
            compiled.scene, one, run, assumes, repairs, tried,
            _supposed(compiled, one),
            tuple(compiled.facts.unknown[name] for name in dict.fromkeys(self._used(compiled, one))
                  if self.settings.strict and name in compiled.facts.unknown),
        )  # fmt: skip

    # -------------------------------------------------------------------------------------------- unknown facts

    def _candidates(self, scene: Scene, known: set[str], cut: bool) -> None:
        """What happens with at most one fault if unknown facts are against the design, each with the fewest such facts."""
        faults = min(self.settings.faults, 1)
        limit = min(self.settings.limit, MOST_STATES)
        try:
            compiled = compile_scene(self.index, scene, None)
            if not compiled.facts.unknown:
                return
            self._look(scene, compiled, known, faults, limit)
            # What executes again also publishes again, so a lost event shows only where repetitions are recognised.
            adverse: frozenset[str] = frozenset()
            while (careful := frozenset(n for n in compiled.facts.unknown if not n.endswith("|idempotent"))) > adverse:
                adverse = careful | adverse
                compiled = compile_scene(self.index, scene, adverse)
            if adverse:
                self._look(scene, compiled, known, faults, limit)
        except (TooLargeError, TooManyQueueContentsError):
            return

    def _look(self, scene: Scene, compiled: Compiled, known: set[str], faults: int, limit: int) -> None:
        search = self._search(compiled, faults, limit)
        for found in Judge(compiled, self.sagas).all(search):
            one = _without(found, known) if found.code not in {"B6", "B19"} else None
            if one is not None:
                known.update(one.subjects)
                self._candidate(scene, compiled, one, faults, limit)

    def _candidate(self, scene: Scene, compiled: Compiled, one: Violation, faults: int, limit: int) -> None:
        names = [name for name in dict.fromkeys(self._used(compiled, one)) if name in compiled.facts.unknown]
        hit = self._with(scene, frozenset(names), one, faults, limit)
        if hit is None:
            names = [
                name
                for name in compiled.facts.unknown
                if compiled.facts.adverse is None or name in compiled.facts.adverse
            ]
        size = max(len(names) // 2, 1)
        while size:  # leave out ever smaller groups of facts, as long as the violation stays (after Zeller's ddmin)
            for group in [names[start : start + size] for start in range(0, len(names), size)]:
                fewer = [name for name in names if name not in group]
                again = self._with(scene, frozenset(fewer), one, faults, limit)
                if again is not None:
                    names, hit = fewer, again
            size //= 2
        if hit is None or not names:
            return
        smaller, search, found = hit
        found = found._replace(also=tuple(also for also in found.also if also.subject in one.subjects))
        assumes = tuple(compiled.facts.unknown[name] for name in names)
        everything = Judge(smaller, self.sagas).all(search)
        repairs, tried = self._repairs.of(scene, found, everything, smaller, frozenset(names), only=frozenset(names))
        self.told.append(self._tell(smaller, search, found, assumes, repairs, tried))

    def _used(self, compiled: Compiled, one: Violation) -> Iterator[str]:
        for _, move in (*one.path, *one.repeats):
            if move.choice is not None and move.choice.note >= 0:
                yield from compiled.notes[move.choice.note].facts
            if move.what in {"copy", "lose", "omission", "drop", "overtake"} and move.kind >= 0:
                yield from compiled.kind_facts.get(move.kind, ())

    def _with(
        self, scene: Scene, adverse: frozenset[str], one: Violation, faults: int, limit: int
    ) -> tuple[Compiled, Search, Violation] | None:
        compiled = compile_scene(self.index, scene, adverse)
        search = self._search(compiled, faults, limit)
        for other in Judge(compiled, self.sagas).all(search):
            if one.subject in other.subjects and other.code == one.code:
                return compiled, search, other
        return None


def _without(one: Violation, known: set[str]) -> Violation | None:
    """A violation without the subjects that are told already; None if nothing is left of it."""
    left = tuple(also for also in one.also if also.subject not in known)
    if known.isdisjoint((one.subject, one.subject.removesuffix(FOR_AN_ANSWER))):
        return one._replace(also=left)
    return None


def _supposed(compiled: Compiled, one: Violation) -> tuple[Action, ...]:
    """The choices of a run: the design does not say when which branch is taken, so each is possible."""
    found: dict[int, None] = {}
    for _, move in (*one.path, *one.repeats):
        if move.choice is not None and move.choice.note >= 0:
            found.update(dict.fromkeys(compiled.notes[move.choice.note].trail))
    actions = [compiled.system.actions[number] for number in found]
    return tuple(a for a in actions if (a.kind == "choice" and a.mode == "" and len(a.edges) > 1) or a.kind == "loop")


MOST_PROVED = 8_000
"""So many states are worth a proof, or as many as the search has looked at: a proof of wide parallels is larger than that."""

MOST_OBJECTS = 100_000
"""After so many objects that scenes have left behind, cycles among them are looked for."""


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
