"""Short runs of a design's model, with one fault at most: what `check` asks them about its findings.

A trial bears a finding out by showing a run, refutes it where a complete search has none even if every unknown fact is against
the design, and otherwise leaves it as it is.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from coordlint.explore.compiler import compile_scene
from coordlint.explore.scene import Scene, scenes
from coordlint.explore.search import Search
from coordlint.explore.showing import Showing
from coordlint.explore.space import Space, TooManyQueueContentsError
from coordlint.explore.spots import TooLargeError
from coordlint.explore.story import tell
from coordlint.explore.verify import Settings, Told, Verification
from coordlint.explore.watch import FIRST_THEN, THEN_FIRST, watched
from coordlint.finding import Run

if TYPE_CHECKING:
    from coordlint.explore.scene import Compiled
    from coordlint.finding import Claim
    from coordlint.graph import Index
    from coordlint.source import Span
    from coordlint.system import Process

FAULTS = 1
"""So many faults may happen in a run."""

STATES = 5_000
"""So many states a scene may have; it takes about 50 ms."""

ALL_STATES = 1_000_000
"""So many states all scenes of a design may have together."""

SHORT = Settings(
    faults=FAULTS, limit=STATES, total=ALL_STATES, candidates=False, repairs=False, proof=False, whole=True
)


class Trial(NamedTuple):
    """What the runs say about a claim.

    Attributes:
        word: `shown`, or `refuted`.
        run: the run that shows it.
        aside: it is one of an entry that no flow speaks of: it shows how, and says nothing of how much it matters.
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
        """What makes one run better to show than another one: fewer faults, then fewer steps."""
        return self.faults, len(self.run.steps) if self.run is not None else 0


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
        self._spent = 0

    def of(self, claim: Claim) -> Trial | None:
        """What the runs say about a claim; None if they leave it open."""
        shown = self.showing.succession(claim.foremost) if claim.foremost is not None else None
        if shown is None and claim.overtaking is not None:
            shown = self.showing.overtaking(claim.overtaking)
        if shown is not None:
            return Trial("shown", *shown)
        if claim.both is not None:
            return self._both(claim)
        told = _nearest(claim, self._certain())
        if told is not None or not claim.properties:
            return Trial("shown", told.run) if told is not None else None
        told = _nearest(claim, self.showing.told(claim.places))
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
        for scene in self._with(first, then):
            asked = True
            shown = self._shown(scene, first, then, any_order=claim.any_order)
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

    def _shown(self, scene: Scene, first: frozenset[int], then: frozenset[int], *, any_order: bool) -> Trial | None:
        """A shortest run with both, in the better case for the design."""
        adverse = None if self.verification.settings.strict else frozenset[str]()
        found = self._search(scene, first, then, adverse=adverse)
        if found is None:
            return None
        search, compiled, observer = found
        hits = [search.hits.get((observer, end)) for end in (FIRST_THEN, THEN_FIRST)]
        if any_order and None in hits:
            return None
        hit = max if any_order else min
        known = [one for one in hits if one is not None]
        if not known:
            return None
        chosen = hit(known, key=lambda one: (one.layer, len(search.path(one.before))))
        steps = tell(compiled, search.space, [*search.path(chosen.before), (chosen.before, chosen.move)])
        last = steps[-1:]
        steps = (*steps[:-1], *(step._replace(bad=True) for step in last))
        end = "it happens in the other order, too" if any_order else ""
        return Trial("shown", Run("", scene.name, chosen.layer, steps=steps, end=end, complete=search.complete))

    def _never(self, scene: Scene, first: frozenset[int], then: frozenset[int], *, any_order: bool) -> bool:
        """Whether there is no such run even if every unknown fact is against the design, and calls may break down."""
        found = self._search(scene, first, then, adverse=None, breakdowns=True)
        if found is None or found[0].cut or found[0].complete < FAULTS:
            return False
        search, _, observer = found
        ends = [(observer, end) in search.hits for end in (FIRST_THEN, THEN_FIRST)]
        return not (all(ends) if any_order else any(ends))

    def _search(
        self,
        scene: Scene,
        first: frozenset[int],
        then: frozenset[int],
        adverse: frozenset[str] | None,
        *,
        breakdowns: bool = False,
    ) -> tuple[Search, Compiled, int] | None:
        if self._spent >= ALL_STATES:
            return None
        try:
            compiled, observer = watched(compile_scene(self.index, scene, adverse), first, then, breakdowns=breakdowns)
            search = Search(Space(compiled.tables), STATES)
            for _ in search.run(FAULTS):
                pass
        except (TooLargeError, TooManyQueueContentsError):
            return None
        self._spent += len(search.layers)
        return search, compiled, observer


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
    faults = [step for step in told.steps if step.fault]
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
