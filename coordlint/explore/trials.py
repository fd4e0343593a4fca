"""Short runs of a design's model, with one fault at most: what `check` asks them about its findings.

A trial bears a finding out by showing a run, refutes it where a complete search has none even if every unknown fact is against
the design, and otherwise leaves it as it is.
"""

from __future__ import annotations

from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Literal, NamedTuple

from coordlint.explore.answers import answer
from coordlint.explore.compiler import compile_scene
from coordlint.explore.gaps import DECIDING, done_again, left_open
from coordlint.explore.obligations import listed
from coordlint.explore.scene import Scene, scenes
from coordlint.explore.search import Search
from coordlint.explore.showing import Showing
from coordlint.explore.space import Space, TooManyQueueContentsError
from coordlint.explore.spots import TooLargeError
from coordlint.explore.verify import Settings, Told, Verification
from coordlint.explore.watch import FIRST_THEN, THEN_FIRST, counted, watched
from coordlint.finding import KINDS_OF_FAULTS, Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from coordlint.explore.gaps import Way
    from coordlint.explore.scene import Compiled
    from coordlint.explore.space import Move
    from coordlint.finding import Claim, Gap, Twice
    from coordlint.graph import Index
    from coordlint.source import Span
    from coordlint.system import Process

    Watch = Callable[[Compiled], tuple[Compiled, int]]

FAULTS = 1
"""So many faults may happen in a run."""

ON_THE_WAY = frozenset(KINDS_OF_FAULTS) - {"omission"}
"""Faults of messages and hosts; whoever does not answer has got the message."""

STATES = 5_000
"""So many states a scene may have; it takes about 50 ms."""

ALL_STATES = 1_000_000
"""So many states all scenes of a design may have together."""

FEW_STATES = 500
"""So many states are asked of a scene that is larger than a short run: what is far from its beginning is not found there anyway."""

KEPT = 50
"""So many scenes are kept, as more than one question is asked about most of them."""

SHORT = Settings(
    faults=FAULTS, limit=STATES, total=ALL_STATES, candidates=False, repairs=False, proof=False, whole=True
)


class Trial(NamedTuple):
    """What the runs say about a claim.

    Attributes:
        word: `shown`, or `refuted`.
        run: the run that shows it.
        aside: it shows how, and says nothing of how much it matters: it is one of an entry that no flow speaks of, or shows it
            only by what is left done where something else goes wrong.
    """

    word: Literal["shown", "refuted"]
    run: Run | None = None
    aside: bool = False

    @property
    def faults(self) -> int:
        """How many faults the run needs."""
        return self.run.faults if self.run is not None else 0

    @property
    def length(self) -> tuple[int, int]:
        """What makes one run better to show than another one."""
        return self.run.length() if self.run is not None else (0, 0)


class Trials:
    """The trials of a design.

    Args:
        index: of the design's system.
        verification: the runs of all scenes, with the settings `SHORT`.
    """

    def __init__(self, index: Index, verification: Verification) -> None:
        self.index = index
        self.verification = verification
        self._scenes: dict[Process, list[Scene]] | None = None
        self._tables: dict[tuple[str, bool], Compiled] = {}
        self._spent = 0

    def of(self, claim: Claim) -> Trial | None:
        """What the runs say about a claim; None if they leave it open."""
        first = self.showing.succession(claim.foremost) if claim.foremost is not None else None
        if first is None and claim.overtaking is not None:
            first = self.showing.overtaking(claim.overtaking)
        if first is not None:
            return Trial("shown", first.run, first.aside)
        trial = self._both(claim) if claim.both is not None else self._violation(claim)
        if trial is not None:
            return trial
        runs = (self._gap(gap, claim.flow) for gap in claim.gaps)
        again = (self._twice(twice) for twice in claim.twice)
        shown = next((run for run in chain(runs, again) if run is not None), None)
        if shown is not None:
            return Trial("shown", shown)
        if claim.properties and claim.both is None:
            told = _nearest(claim, self.showing.told(claim.places))
            if told is not None:
                return Trial("shown", told.run, aside=True)
        open_ = not claim.gaps or bool(claim.twice) or not all(self._is_out_of_reach(gap) for gap in claim.gaps)
        return None if open_ else Trial("refuted")

    def _violation(self, claim: Claim) -> Trial | None:
        known = [*self._certain(), *self.verification.folded]
        told = _nearest(claim, known)
        if told is not None:
            return Trial("shown", told.run)
        held = [told for told in known if not set(claim.held).isdisjoint(told.violation.held)]
        told = min(held, key=lambda one: (one.violation.faults, len(one.steps)), default=None)
        return Trial("shown", told.run, aside=True) if told is not None else None

    @cached_property
    def showing(self) -> Showing:
        """What is run for single claims."""
        return Showing(self.verification, SHORT)

    def same(self, claim: Claim) -> list[Told]:
        """The violations that say what a claim says, or follow from it."""
        return [told for told in self._certain() if _is_same(claim, told) or _follows(claim, told)]

    def _certain(self) -> list[Told]:
        return [told for told in self.verification.told if not told.assumes]

    # -------------------------------------------------------------------------------------------- one run comes to both

    def _both(self, claim: Claim) -> Trial | None:
        assert claim.both is not None
        first, then = claim.both
        if not first or not then:
            return None
        asked, refuted = False, True
        best: Trial | None = None
        asking = sorted(self._with(first, then), key=lambda scene: scene.root.name != claim.flow)
        for scene in asking:
            if best is not None and claim.flow and scene.root.name != claim.flow:
                break
            asked = True
            shown = self._shown(scene, claim, first, then)
            if shown is None:
                refuted = refuted and self._never(scene, first, then, any_order=claim.any_order)
            elif best is None or shown.length < best.length:
                best = shown
        return best or (Trial("refuted") if asked and refuted else None)

    def _with(self, first: frozenset[int], then: frozenset[int]) -> list[Scene]:
        """The scenes in which both could happen."""
        if self._scenes is None:
            self._scenes = {}
            for scene in scenes(self.index):
                for process in scene.processes:
                    self._scenes.setdefault(process, []).append(scene)
        actions = self.index.system.actions
        one, other = (
            [scene for number in sorted(group) for scene in self._scenes.get(actions[number].process, ())]
            for group in (first, then)
        )
        return [scene for scene in _once(one) if any(scene is known for known in other)]

    def _shown(self, scene: Scene, claim: Claim, first: frozenset[int], then: frozenset[int]) -> Trial | None:
        """A shortest run with both, in the better case for the design."""
        found = self._search(scene, lambda compiled: watched(compiled, first, then), self._adverse)
        if found is None:
            return None
        search, compiled, observer = found
        hits = [search.hits.get((observer, end)) for end in (FIRST_THEN, THEN_FIRST)]
        if claim.any_order and None in hits:
            return None
        hit = max if claim.any_order else min
        known = [one for one in hits if one is not None]
        if not known:
            return None
        chosen = hit(known, key=lambda one: (one.layer, len(search.path(one.before))))
        path = [*search.path(chosen.before), (chosen.before, chosen.move)]
        end = "it happens in the other order, too" if claim.any_order else _ending(claim.end, compiled, path, first)
        return Trial("shown", answer(compiled, search, path, observer, end=end))

    def _never(self, scene: Scene, first: frozenset[int], then: frozenset[int], *, any_order: bool) -> bool:
        """Whether there is no such run even if every unknown fact is against the design, and calls may break down."""
        found = self._search(scene, lambda compiled: watched(compiled, first, then, breakdowns=True), None)
        if found is None or found[0].cut or found[0].complete < FAULTS:
            return False
        search, compiled, observer = found
        members, actions = set(scene.processes), self.index.system.actions
        known = {number for note in compiled.notes for number in note.trail}
        if any(number not in known and actions[number].process in members for number in first | then):
            return False  # the model leaves it out, such as what a joined trigger does when it expires
        ends = [(observer, end) in search.hits for end in (FIRST_THEN, THEN_FIRST)]
        return not (all(ends) if any_order else any(ends))

    @cached_property
    def _large(self) -> frozenset[str]:
        """The scenes that the short runs did not come to the end of."""
        return frozenset(verdict.scene for verdict in self.verification.verdicts if verdict.cut)

    @property
    def _adverse(self) -> frozenset[str] | None:
        """The unknown facts that are taken for absent."""
        return None if self.verification.settings.strict else frozenset()

    def _search(
        self,
        scene: Scene,
        watch: Watch,
        adverse: frozenset[str] | None,
        faults: int = FAULTS,
        without: frozenset[str] = frozenset(),
    ) -> tuple[Search, Compiled, int] | None:
        if self._spent >= ALL_STATES:
            return None
        try:
            compiled, observer = watch(self._compiled(scene, adverse))
            search = Search(
                Space(compiled.tables, without=without), FEW_STATES if scene.name in self._large else STATES
            )
            for _ in search.run(faults):
                pass
        except (TooLargeError, TooManyQueueContentsError):
            return None
        self._spent += len(search.layers)
        return search, compiled, observer

    def _compiled(self, scene: Scene, adverse: frozenset[str] | None) -> Compiled:
        key = (scene.name, adverse is None)
        if key not in self._tables:
            if len(self._tables) >= KEPT:
                self._tables.clear()
            self._tables[key] = compile_scene(self.index, scene, adverse, open_=True)
        return self._tables[key]

    # -------------------------------------------------------------------------------------------- what never happens, or twice

    def _gap(self, gap: Gap, flow: str) -> Run | None:
        """A run that rests with a gap: the first one in which nobody refuses anything, or else the shortest."""
        actions = self.index.system.actions
        place = actions[min(gap.missing or gap.done)]
        deciding = DECIDING.get(gap.by)
        without = frozenset(KINDS_OF_FAULTS) - deciding if deciding is not None else frozenset()
        best: tuple[Way, Run] | None = None
        for scene in self._from_the_smallest(gap.done or gap.missing, gap.missing or gap.done, flow):
            found = self._search(
                scene,
                lambda compiled: watched(compiled, gap.done, gap.missing, torn=gap.by == "torn"),
                self._adverse,
                without=without,
            )
            way = left_open(found[1], found[0], found[2], gap) if found is not None else None
            if found is not None and way is not None and (best is None or way.length < best[0].length):
                search, compiled, observer = found
                run = answer(compiled, search, way.path, observer, end=gap.end, missing=(gap.rest, place))
                best = way, run if not without else run._replace(complete=0)
                if not way.refusals:
                    break
        return best[1] if best is not None else None

    def _is_out_of_reach(self, gap: Gap) -> bool:
        """Whether no run comes to what a gap begins with, where that is all there is to it; what a fault leaves out stays open."""
        if gap.missing:
            return False
        found = self._with(gap.done, gap.done)
        return bool(found) and all(self._never(scene, gap.done, gap.done, any_order=False) for scene in found)

    def _twice(self, twice: Twice) -> Run | None:
        """A run in which a handler does the same twice for one message."""
        processes = [self.index.system.actions[number].process for number in sorted(twice.actions)]
        if self._adverse is not None and not any(process.fact("idempotent").absent for process in processes):
            return None  # where nobody says that it is not, it counts as idempotent
        best: tuple[Way, Run] | None = None
        for scene in self._from_the_smallest(twice.actions, twice.actions):
            found = self._search(scene, lambda compiled: counted(compiled, twice.actions), self._adverse, faults=0)
            way = done_again(found[1], found[0], found[2], twice) if found is not None else None
            if found is not None and way is not None and (best is None or way.length < best[0].length):
                best = way, answer(found[1], found[0], way.path, found[2], end=twice.end)
                if not way.refusals:
                    break
        return best[1] if best is not None else None

    def _from_the_smallest(self, first: frozenset[int], then: frozenset[int], flow: str = "") -> list[Scene]:
        """The scenes in which both could happen, that of a flow first."""
        return sorted(
            self._with(first, then), key=lambda scene: (scene.root.name != flow, len(scene.processes), scene.name)
        )


def _ending(end: str, compiled: Compiled, path: list[tuple[int, Move]], first: frozenset[int]) -> str:
    """The damage; `{done}` in it stands for what the run has come to of the first group."""
    trails = [compiled.notes[move.choice.note].trail for _, move in path if move.choice and move.choice.note >= 0]
    actions = compiled.system.actions
    passed = [n for trail in trails if not any(actions[n].kind == "failed" for n in trail) for n in trail if n in first]
    passed = passed or [number for trail in trails for number in trail if number in first]
    spans = [actions[number].span for number in sorted(set(passed))]
    return end.replace("{done}", listed([f"`{' '.join(span.text.split())}`" for span in spans]))


def _once(some: list[Scene]) -> list[Scene]:
    return list({id(scene): scene for scene in some}.values())


def _nearest(claim: Claim, some: list[Told]) -> Told | None:
    """The violation that says what a claim says: with the fewest faults, then at its place, then with the fewest steps."""
    same = [told for told in some if _is_same(claim, told)]
    return min(same, key=lambda one: (one.violation.faults, not _is_at(claim, one), len(one.steps)), default=None)


def _is_at(claim: Claim, told: Told) -> bool:
    return any(_overlap(place, told.violation.place) for place in claim.places)


def _is_same(claim: Claim, told: Told) -> bool:
    if told.violation.code not in claim.properties:
        return False
    if _is_at(claim, told):
        return True
    faults = [step for step in told.steps if step.fault and step.move in (claim.faults or ON_THE_WAY)]
    return any(
        step.message in claim.messages or any(_overlap(place, step.span) for place in claim.places) for step in faults
    )


def _follows(claim: Claim, told: Told) -> bool:
    still = told.violation.code in {"B2", "B19", "B21"}
    return still and any(_overlap(place, told.violation.place) for place in claim.follows)


def _overlap(one: Span, other: Span) -> bool:
    """Whether one of the two lies within the other."""
    if one.source.path != other.source.path:
        return False
    return (one.start <= other.start and other.end <= one.end) or (other.start <= one.start and one.end <= other.end)
