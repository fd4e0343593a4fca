"""Verification of pair scenes: each searched for anomalies and deadlocks, which are told with their repairs.

Steps that say nothing about isolation are looked at a second time as if nothing kept them apart. What is found then is told as
a candidate, with the fewest such steps, and once for each entity and anomaly, as the static rule does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from coordlint.explore import pairs as selection
from coordlint.explore.coupling import Coupled, couple
from coordlint.explore.duel import Duel
from coordlint.explore.pairjudge import violations
from coordlint.explore.pairs import BY_VALUE, LOCK, Pair, declared
from coordlint.explore.scene import Assumption
from coordlint.explore.space import TooManyQueueContentsError
from coordlint.explore.spots import TooLargeError
from coordlint.explore.story import Tale
from coordlint.explore.verify import Settings, Told, Verdict
from coordlint.finding import Run

if TYPE_CHECKING:
    from coordlint.analysis.sagas import Sagas, SagaStep
    from coordlint.explore.violation import Violation
    from coordlint.graph import Index

FAULTS, DEEP = 1, 2
"""Two runs are searched with so many faults, and with so many if more states than usual may be looked at."""

MOST_STATES = 20_000
"""What unknown isolation could do, and what would repair it, is looked for in so many states."""

REMEDIES = {
    "lost update": ("commutative", "reread", LOCK),
    "dirty read": ("pessimistic-view", LOCK),
    "fuzzy read": ("reread", LOCK),
}
"""What can be declared at a step against an anomaly."""


class PairVerification:
    """The verification of the pair scenes of a design, one after the other."""

    def __init__(self, index: Index, sagas: Sagas, settings: Settings) -> None:
        self.index = index
        self.sagas = sagas
        self.settings = settings
        self.faults = min(settings.faults, DEEP if settings.limit > Settings().limit else FAULTS)
        self._known: set[str] = set()

    def pairs(self) -> Iterator[Pair]:
        """The pairs that are asked for."""
        for pair in selection.pairs(self.index, self.sagas):
            if not self.settings.flow or self.settings.flow in pair.names:
                yield pair

    def verify(self, pair: Pair) -> tuple[Verdict | None, list[Told]]:
        """The verdict of a pair and what is to be told; no verdict if whatever the two do, they cannot hurt each other."""
        try:
            return self._verify(pair)
        except (TooLargeError, TooManyQueueContentsError):
            return Verdict(pair.name, 0, -1, None, False, True), []

    def _verify(self, pair: Pair) -> tuple[Verdict | None, list[Told]]:
        coupled = couple(self.index, self.sagas, pair)
        verdict: Verdict | None = None
        told: list[Told] = []
        if coupled.declares:  # if no order of what they do can alarm an observer, it holds whatever happens
            verdict = Verdict(pair.name, 0, self.faults, None, True, False)
        if is_at_risk(coupled):
            search = self.search(coupled, self.settings.limit, pair.name)
            certain = violations(coupled, search)
            least = min((one.faults for one in certain), default=None)
            complete = search.complete if search.cut else self.faults
            verdict = Verdict(pair.name, search.states, complete, least, False, search.cut)
            for one in certain:
                self._known.add(_topic(one))
                repairs, tried = self._repairs(pair, coupled, search, one, frozenset())
                told.append(_told(coupled, search, one, (), repairs, tried))
        if self.settings.candidates and coupled.unknown:
            open_ = couple(self.index, self.sagas, pair, None)
            if open_.observers:
                search = self.search(open_, min(self.settings.limit, MOST_STATES), pair.name)
                if verdict is None or verdict.proved:
                    complete = search.complete if search.cut else self.faults
                    verdict = Verdict(pair.name, search.states, complete, None, False, search.cut)
                for one in violations(open_, search):
                    if one.code == "B17" and _topic(one) not in self._known:
                        self._known.add(_topic(one))
                        told += self._candidate(pair, open_, one)
        return verdict, told

    def search(self, coupled: Coupled, limit: int, name: str = "") -> Duel:
        """Search a pair scene."""
        search = Duel(coupled, limit, without=self.settings.without)
        for layer in search.run(self.faults):
            if name and self.settings.progress is not None:
                self.settings.progress(f"{name}: complete for {layer} faults, {search.states:,} states")
        return search

    # -------------------------------------------------------------------------------------------- unknown isolation

    def _candidate(self, pair: Pair, open_: Coupled, one: Violation) -> list[Told]:
        """The violation with the fewest steps that are taken to be isolated by nothing."""
        key = _topic(one).split(" / ")[0]
        steps = [step for step in open_.unknown if _touches(step, key)]
        hit = self._with(pair, steps, {}, one)
        for step in list(steps):
            fewer = [other for other in steps if other is not step]
            again = self._with(pair, fewer, {}, one)
            if again is not None:
                steps, hit = fewer, again
        if hit is None or not steps:
            return []
        coupled, search, found = hit
        assumed = frozenset(_number(step) for step in steps)
        repairs, tried = self._repairs(pair, coupled, search, found, assumed)
        assumes = tuple(
            Assumption(
                f"{step.step.process.path}|{step.label}|isolation", f"{_label(step)} is not isolated", step.place
            )
            for step in steps
        )
        return [_told(coupled, search, found, assumes, repairs, tried)]

    def _with(
        self, pair: Pair, steps: list[SagaStep], changed: Mapping[int, str], one: Violation
    ) -> tuple[Coupled, Duel, Violation] | None:
        coupled = couple(self.index, self.sagas, pair, frozenset(_number(step) for step in steps), changed)
        if not coupled.observers:
            return None
        search = self.search(coupled, min(self.settings.limit, MOST_STATES))
        same = next((other for other in violations(coupled, search) if other.subject == one.subject), None)
        return None if same is None else (coupled, search, same)

    # -------------------------------------------------------------------------------------------- repairs

    def _repairs(
        self, pair: Pair, coupled: Coupled, search: Duel, one: Violation, assumed: frozenset[int]
    ) -> tuple[tuple[str, ...], int]:
        """Declare another isolation at one step and search again; the other steps then at least heed a lock."""
        if one.code != "B17" or search.cut or search.states > MOST_STATES:
            return (), 0
        key, _, anomaly = _topic(one).partition(" / ")
        before = {other.subject for other in violations(coupled, search)}
        steps = {
            _number(step): step
            for half in coupled.halves
            for saga in pair.sagas
            if saga.process.workflow is half.scene.root
            for step in saga.steps
            if _touches(step, key) and (_number(step) in assumed or declared(step, self.sagas))
        }
        found: list[str] = []
        tried = 0
        for number, step in steps.items():
            for how in REMEDIES[anomaly]:
                if how == declared(step, self.sagas):
                    continue
                tried += 1
                changed = {**dict.fromkeys(sorted(assumed), BY_VALUE), number: how}
                other = couple(self.index, self.sagas, pair, assumed, changed)
                again = self.search(other, MOST_STATES)
                after = {violation.subject for violation in violations(other, again)}
                if not again.cut and one.subject not in after and after <= before:
                    found.append(f"`isolation {how}` at {_label(step)}")
        return tuple(found), tried


def visible(coupled: Coupled) -> Coupled:
    """The pair as runs of it are told: what a lock lets pass is taken at once, and is still to be seen."""
    kinds = [kind if kind.name in {"note", "end"} else kind._replace(urgent=False) for kind in coupled.tables.kinds]
    return replace(coupled, tables=replace(coupled.tables, kinds=kinds))


def is_at_risk(coupled: Coupled) -> bool:
    """Whether the two runs could hurt each other: something could alarm an observer, or they meet at two locks."""
    return bool(coupled.observers) or len(coupled.locks) > 1


def _told(
    coupled: Coupled, search: Duel, one: Violation, assumes: tuple[Assumption, ...], repairs: tuple[str, ...], tried: int
) -> Told:  # fmt: skip
    tale = Tale(visible(coupled), search.space, one.path)
    steps = tale.steps(range(len(tale.events)))
    steps = (*steps[:-1], *(step._replace(bad=True) for step in steps[-1:]))
    run = Run(
        one.code, coupled.scene.name, one.faults, tuple(assumption.text for assumption in assumes), steps,
        end=one.damage, repairs=repairs, tried=tried, complete=search.complete, outside=tale.outside(steps),
    )  # fmt: skip
    return Told(coupled.scene, one, run, assumes, repairs, tried)


def _topic(one: Violation) -> str:
    """The entity and the anomaly of a violation."""
    return one.subject.partition(" / ")[2]


def _touches(step: SagaStep, entity: str) -> bool:
    keys = (*step.effects.reads, *step.effects.writes)
    return any(f"{store.name}.{name}" == entity for store, name in keys)


def _label(step: SagaStep) -> str:
    workflow = step.step.process.workflow
    return f"{step.label} of workflow `{workflow.name}`" if workflow is not None else step.label


def _number(step: SagaStep) -> int:
    return step.step.actions[0]
