"""Short runs of a design's model, with one fault at most: what `check` asks them about its findings.

A trial bears a finding out by showing a run, refutes it where a complete search has none even if every unknown fact is against
the design, and otherwise leaves it as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from coordlint.explore.compiler import compile_scene
from coordlint.explore.joint import Both, Joints, held, hold, successes
from coordlint.explore.obligations import listed
from coordlint.explore.overtaking import OVERTAKEN, overtaking
from coordlint.explore.search import Search
from coordlint.explore.space import Space, TooManyQueueContentsError
from coordlint.explore.spots import TooLargeError
from coordlint.explore.story import tell, tell_violation
from coordlint.explore.verify import Settings, Told, Verification
from coordlint.explore.violation import Violation
from coordlint.explore.watch import FIRST_THEN, THEN_FIRST, watched
from coordlint.finding import Run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coordlint.explore.scene import Compiled, Scene
    from coordlint.finding import Claim, Taking
    from coordlint.graph import Index
    from coordlint.source import Span
    from coordlint.system import Message, Process

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
        self.joints = Joints(index, verification.searched if not verification.settings.flow else None)
        self._strays: dict[str, list[Told]] = {}
        self._spent = 0

    def of(self, claim: Claim) -> Trial | None:
        """What the runs say about a claim; None if they leave it open."""
        shown = self._foremost(claim) or self._overtaken(claim)
        if shown is not None:
            return shown
        if claim.both is not None:
            return self._both(claim)
        for aside in (False, True):
            some = self._stray(claim) if aside else self._certain()
            same = [told for told in some if _is_same(claim, told)]
            told = min(
                same, key=lambda one: (one.violation.faults, not _is_at(claim, one), len(one.steps)), default=None
            )
            if told is not None:
                return Trial("shown", told.run, aside)
        return None

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
        actions = self.index.system.actions
        one, other = (
            [scene for number in sorted(group) for scene in self.joints.of(actions[number].process)]
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

    # -------------------------------------------------------------------------------------------- scenes for one claim

    def _foremost(self, claim: Claim) -> Trial | None:
        """A shortest run that comes to the one and then to the other, even if two entries have to be asked for that."""
        if claim.foremost is None:
            return None
        first, then, flow, end = claim.foremost
        ones, others = self._around(first), self._around(then)
        ones = [scene for scene in ones if scene.root.name == flow] or ones

        def tried(both: Both) -> Trial | None:
            compiled = self._compile(both.scene)
            if compiled is None:
                return None
            compiled, observer = watched(compiled, first, then)
            compiled = successes(compiled, observer)
            if both.later:
                compiled = hold(compiled, observer, held(compiled, both.later))
            shown = self._reach(compiled, observer, FIRST_THEN, end)
            aside = any(self.joints.is_entry(scene) for scene in both.scene.joins)
            return shown._replace(aside=aside) if shown is not None else None

        return _best(map(tried, self.joints.together(ones, others, frozenset())))

    def _overtaken(self, claim: Claim) -> Trial | None:
        """A shortest run in which the wrong one of two messages is taken first."""
        asked = claim.overtaking
        if asked is None:
            return None
        found = {}
        for first, then in ((asked.one, asked.other), (asked.other, asked.one)):
            shown = self._overtakes(first, then, apart=asked.apart)
            if shown is not None:
                found[shown.length, first.message, then.message] = shown
        return found[min(found)] if found else None

    def _overtakes(self, first: Taking, then: Taking, *, apart: bool) -> Trial | None:
        """The same with the order given; left out where the entry of the other one writes what that of the first reads."""
        actions, messages = self.index.system.actions, self.index.system.messages
        one, other = ((messages[taking.message], actions[taking.process].process) for taking in (first, then))
        front = f"`{first.message}` is {'sent' if apart else 'asked for'} first and taken last"
        damage = f"{front}: {self._without(one, other)}"

        def shown(both: Both) -> Trial | None:
            joins = both.scene.joins
            if both.later and self.joints.feeds(joins[1], joins[0]):
                return None
            compiled = self._compile(both.scene)
            if compiled is None:
                return None
            begins = frozenset(joins[0].starts)
            observed = overtaking(compiled, one, other, begins, both.later, apart=apart)
            return self._reach(*observed, OVERTAKEN, damage) if observed is not None else None

        scenes = self.joints.sending(one[0]), self.joints.sending(other[0])
        tried = self.joints.together(*scenes, frozenset({one[1], other[1]}))
        return _best(shown(both) for both in tried if apart or both.later)

    def _without(self, late: tuple[Message, Process], early: tuple[Message, Process]) -> str:
        """What it means that a handler runs before the one whose work it relies on."""
        system = self.index.system
        written, changed = (
            [use.text for action in system.actions_of(process, "write") for use in action.entities]
            for _, process in (late, early)
        )
        read = {use.text for action in system.actions_of(early[1], "read") for use in action.entities}
        name = f"`{early[0].name}`"
        both = [f"`{text}`" for text in dict.fromkeys(written) if text in changed]
        if both:
            return f"{name} changes {listed(both)} without it, and `{late[0].name}` has the last word there"
        found = [f"`{text}`" for text in dict.fromkeys(written) if text in read]
        if found:
            return f"{name} reads {listed(found)} without what it brings"
        return f"`{early[1].service.name}` handles {name} without it"

    def _around(self, group: frozenset[int]) -> list[Scene]:
        """The scenes in which one of some actions could happen; those of entries for what happens in no flow."""
        found: list[Scene] = []
        for number in sorted(group):
            process = self.index.system.actions[number].process
            stray = self.joints.stray(process)
            found += self.joints.of(process) if stray is None else [stray]
        return _once(found)

    def _stray(self, claim: Claim) -> list[Told]:
        """What goes wrong in the scenes of handlers of no flow that a claim is about."""
        found: list[Told] = []
        for scene in self.joints.strays(claim.places) if claim.properties else ():
            found += self._verified(scene)
        return found

    def _verified(self, scene: Scene) -> list[Told]:
        if scene.name not in self._strays:
            left = ALL_STATES - self._spent
            if left <= 0:
                return []
            settings = self.verification.settings._replace(limit=min(STATES, left), total=0, flow="")
            one = Verification(self.index, self.verification.sagas, settings, only=[scene])
            self._spent += sum(verdict.states for verdict in one.verdicts)
            self._strays[scene.name] = [told for told in one.told if not told.assumes]
        return self._strays[scene.name]

    def _compile(self, scene: Scene) -> Compiled | None:
        adverse = None if self.verification.settings.strict else frozenset[str]()
        try:
            return compile_scene(self.index, scene, adverse)
        except TooLargeError:
            return None

    def _reach(self, compiled: Compiled, observer: int, end: int, damage: str) -> Trial | None:
        """A shortest run to a local state of an observer, told without what it does not depend on."""
        if self._spent >= ALL_STATES:
            return None
        try:
            search = Search(Space(compiled.tables), STATES, frozenset({(observer, end)}))
            for _ in search.run(FAULTS):
                pass
        except TooManyQueueContentsError:
            return None
        self._spent += len(search.layers)
        hit = search.hits.get((observer, end))
        if hit is None:
            return None
        path = (*search.path(hit.before), (hit.before, hit.move))
        scene = compiled.scene
        run = tell_violation(
            compiled, search.space, Violation("", scene.name, hit.layer, "", damage, scene.place, path)
        )
        return Trial("shown", run._replace(complete=search.complete)) if run is not None else None


def _best(some: Iterable[Trial | None]) -> Trial | None:
    """The first run without a fault, or else the one with the fewest faults and steps."""
    best: Trial | None = None
    for one in some:
        if one is not None and (best is None or one.length < best.length):
            best = one
        if best is not None and not best.faults:
            break
    return best


def _once(some: Iterable[Scene]) -> list[Scene]:
    return list({id(scene): scene for scene in some}.values())


def _is_same(claim: Claim, told: Told) -> bool:
    if told.violation.code not in claim.properties:
        return False
    if _is_at(claim, told):
        return True
    faults = [step for step in told.steps if step.fault]
    return any(
        step.message in claim.messages or any(_overlap(place, step.span) for place in claim.places) for step in faults
    )


def _is_at(claim: Claim, told: Told) -> bool:
    return any(_overlap(place, told.violation.place) for place in claim.places)


def _follows(claim: Claim, told: Told) -> bool:
    still = told.violation.code in {"B2", "B19", "B21"}
    return still and any(_overlap(place, told.violation.place) for place in claim.follows)


def _overlap(one: Span, other: Span) -> bool:
    """Whether one of the two lies within the other."""
    if one.source.path != other.source.path:
        return False
    return (one.start <= other.start and other.end <= one.end) or (other.start <= one.start and one.end <= other.end)
