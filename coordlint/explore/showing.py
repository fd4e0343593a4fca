"""Runs that bear a claim out in a scene that is made for it; they show, and neither refute nor report anything by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.compiler import compile_scene
from coordlint.explore.joint import Both, Joints, held, hold, successes
from coordlint.explore.obligations import listed
from coordlint.explore.overtaking import OVERTAKEN, overtaking
from coordlint.explore.search import Search
from coordlint.explore.space import Space, TooManyQueueContentsError
from coordlint.explore.spots import TooLargeError
from coordlint.explore.story import tell_violation
from coordlint.explore.verify import Settings, Told, Verification
from coordlint.explore.violation import Violation
from coordlint.explore.watch import FIRST_THEN, watched

if TYPE_CHECKING:
    from coordlint.explore.scene import Compiled, Scene
    from coordlint.finding import Overtaking, Run, Succession, Taking
    from coordlint.source import Span
    from coordlint.system import Message, Process

STATES = 200_000
"""So many states all scenes that are made for single claims may have together."""


class Shown(NamedTuple):
    """A run that bears a claim out.

    Attributes:
        run: the run.
        aside: it is one of an entry that no flow speaks of: it shows how, and says nothing of how much it matters.
    """

    run: Run
    aside: bool = False


class Showing:
    """What is run for single claims.

    Args:
        verification: the runs of all scenes.
        short: how far to go in a scene that is made for a claim.
    """

    def __init__(self, verification: Verification, short: Settings) -> None:
        self.verification = verification
        self.settings = short._replace(
            total=0, strict=verification.settings.strict, without=verification.settings.without
        )
        self.index = verification.index
        self.joints = Joints(self.index, verification.searched if not verification.settings.flow else None)
        self._strays: dict[str, list[Told]] = {}
        self._spent = 0

    # -------------------------------------------------------------------------------------------- one thing after another

    def succession(self, asked: Succession) -> Shown | None:
        """A shortest run that comes to the one and then to the other, even if two entries have to be asked for that."""
        first, then, flow, end = asked
        ones, others = self._around(first), self._around(then)
        ones = [scene for scene in ones if scene.root.name == flow] or ones

        def tried(both: Both) -> Shown | None:
            compiled = self._compile(both.scene)
            if compiled is None:
                return None
            compiled, observer = watched(compiled, first, then)
            compiled = successes(compiled, observer)
            if both.later:
                compiled = hold(compiled, observer, held(compiled, both.later))
            run = self._reach(compiled, observer, FIRST_THEN, end)
            aside = any(self.joints.is_entry(scene) for scene in both.scene.joins)
            return Shown(run, aside) if run is not None else None

        return _best(map(tried, self.joints.together(ones, others, frozenset())))

    def _around(self, group: frozenset[int]) -> list[Scene]:
        """The scenes in which one of some actions could happen; those of entries for what happens in no flow."""
        found: list[Scene] = []
        for number in sorted(group):
            process = self.index.system.actions[number].process
            stray = self.joints.stray(process)
            found += self.joints.of(process) if stray is None else [stray]
        return list({id(scene): scene for scene in found}.values())

    # -------------------------------------------------------------------------------------------- the order of two messages

    def overtaking(self, asked: Overtaking) -> Shown | None:
        """A shortest run in which the wrong one of two messages is taken first."""
        found = {}
        for first, then in ((asked.one, asked.other), (asked.other, asked.one)):
            shown = self._overtakes(first, then, apart=asked.apart)
            if shown is not None:
                found[shown.run.length(), first.message, then.message] = shown
        return found[min(found)] if found else None

    def _overtakes(self, first: Taking, then: Taking, *, apart: bool) -> Shown | None:
        """The same with the order given; left out where the entry of the other one writes what that of the first reads."""
        actions, messages = self.index.system.actions, self.index.system.messages
        one, other = ((messages[taking.message], actions[taking.process].process) for taking in (first, then))
        front = f"`{first.message}` is {'sent' if apart else 'asked for'} first and taken last"
        damage = f"{front}: {self._without(one, other)}"

        def tried(both: Both) -> Shown | None:
            joins = both.scene.joins
            if both.later and self.joints.feeds(joins[1], joins[0]):
                return None
            compiled = self._compile(both.scene)
            if compiled is None:
                return None
            begins = frozenset(joins[0].starts)
            observed = overtaking(compiled, one, other, begins, both.later, apart=apart)
            run = self._reach(*observed, OVERTAKEN, damage) if observed is not None else None
            return Shown(run) if run is not None else None

        scenes = self.joints.sending(one[0]), self.joints.sending(other[0])
        together = self.joints.together(*scenes, frozenset({one[1], other[1]}))
        return _best(tried(both) for both in together if apart or both.later)

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

    # -------------------------------------------------------------------------------------------- entries of no flow

    def told(self, places: Iterable[Span]) -> list[Told]:
        """What goes wrong in the scenes of the handlers of no flow in which some statements stand."""
        return [told for scene in self.joints.strays(places) for told in self._verified(scene)]

    def _verified(self, scene: Scene) -> list[Told]:
        if scene.name not in self._strays:
            left = STATES - self._spent
            if left <= 0:
                return []
            settings = self.settings._replace(limit=min(self.settings.limit, left))
            one = Verification(self.index, self.verification.sagas, settings, only=[scene])
            self._spent += sum(verdict.states for verdict in one.verdicts)
            self._strays[scene.name] = [told for told in one.told if not told.assumes]
        return self._strays[scene.name]

    # -------------------------------------------------------------------------------------------- one search

    def _compile(self, scene: Scene) -> Compiled | None:
        adverse = None if self.settings.strict else frozenset[str]()
        try:
            return compile_scene(self.index, scene, adverse)
        except TooLargeError:
            return None

    def _reach(self, compiled: Compiled, observer: int, end: int, damage: str) -> Run | None:
        """A shortest run to a local state of an observer, told without what it does not depend on."""
        if self._spent >= STATES:
            return None
        try:
            space = Space(compiled.tables, without=self.settings.without)
            search = Search(space, self.settings.limit, frozenset({(observer, end)}))
            for _ in search.run(self.settings.faults):
                pass
        except TooManyQueueContentsError:
            return None
        self._spent += len(search.layers)
        hit = search.hits.get((observer, end))
        if hit is None:
            return None
        path = (*search.path(hit.before), (hit.before, hit.move))
        scene = compiled.scene
        violation = Violation("", scene.name, hit.layer, "", damage, scene.place, path)
        run = tell_violation(compiled, space, violation)
        return run._replace(complete=search.complete) if run is not None else None


def _best(some: Iterable[Shown | None]) -> Shown | None:
    """The first run without a fault, or else the one with the fewest faults and steps."""
    best: Shown | None = None
    for one in some:
        if one is not None and (best is None or one.run.length() < best.run.length()):
            best = one
        if best is not None and not best.run.faults:
            break
    return best
