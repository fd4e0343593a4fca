"""SPIN against the engine of pair scenes: equal numbers of states without reductions, equal alarms and deadlocks, runs that replay."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from explore_reference import Raw, budgeted
from pair_designs import Step, design, text
from project import Program
from test_pairs import CASES, ENDLESS, OPPOSITE, RawPair, example, limited, random_saga

from coordlint.cli import pan, spin
from coordlint.cli.spincase import PairCase
from coordlint.cli.spinjudge import judge
from coordlint.design import Design, load
from coordlint.explore import promela, trail
from coordlint.explore.coupling import Coupled, couple
from coordlint.explore.duel import Duel
from coordlint.explore.pairjudge import violations
from coordlint.explore.pairs import pairs

pytestmark = pytest.mark.skipif(not pan.available() and not os.environ.get("CI"), reason="needs spin and cc")

SYSTEMS = Path(__file__).parent.parent / "fixtures" / "systems"

GIANT = 30_000


class Meeting(NamedTuple):
    """A pair scene, and how it is called here."""

    name: str
    coupled: Coupled


def meetings(name: str, design: Design, assumed: frozenset[int] | None = frozenset()) -> Iterator[Meeting]:
    for number, pair in enumerate(pairs(design.index, design.sagas)):
        yield Meeting(f"{name} {number}", couple(design.index, design.sagas, pair, assumed))


@cache
def fixture_pairs() -> tuple[Meeting, ...]:
    return tuple(one for path in sorted(SYSTEMS.glob("*/*.coord")) for one in meetings(path.stem, load(str(path))))


@cache
def example_pairs() -> tuple[Meeting, ...]:
    """The examples of the rules, as they are and as if nothing kept apart what says nothing about it."""
    return tuple(
        one
        for code in ("VER017", "VER018")
        for bad in (True, False)
        for assumed in (frozenset[int](), None)
        for one in meetings(f"{code} {'bad' if bad else 'good'} {assumed}", example(code, bad=bad), assumed)
    )


@cache
def mutants() -> tuple[Meeting, ...]:
    found = [one for name, workflows, _ in CASES for one in meetings(name, design(*workflows))]
    for timeout in (ENDLESS, "no timeout  no retries", "timeout 2s  attempts 2"):
        found += meetings(f"locks in opposite order, {timeout}", design(*limited(OPPOSITE, timeout)))
    found += meetings("locks side by side", design(limited(OPPOSITE, ENDLESS)[0], parallel=True))
    return tuple(found)


@cache
def random_pairs() -> tuple[Meeting, ...]:
    """Small sagas with limits of all sorts; those that could hurt each other."""
    found: list[Meeting] = []
    for seed in range(100):
        rng = random.Random(seed)
        limits = ("timeout 2s  attempts 2", "timeout 2s  attempts 1", ENDLESS)
        first, second = (
            [step._replace(timeout=rng.choice(limits)) for step in random_saga(rng, most)] for most in (2, 1)
        )
        for one in meetings(f"seed {seed}", design(first, second)):
            if (one.coupled.observers or len(one.coupled.locks) > 1) and budgeted(RawPair(one.coupled), 1, 6_000):
                found.append(one)
        if len(found) >= 8:
            break
    return tuple(found)


def compare(coupled: Coupled, faults: int = 1) -> dict[str, int]:
    """Hold SPIN against the engine in one pair scene: the fewest faults by what goes wrong."""
    case = PairCase(coupled, faults)
    judged = judge(case)
    assert judged.complete
    assert judged.whole
    assert judged.states == budgeted(RawPair(coupled), faults, GIANT)
    duel = Duel(coupled)
    list(duel.run(faults))
    assert not duel.cut
    own = {(one.code, one.subject): one.faults for one in violations(coupled, duel)}
    assert {(one.code, one.subject): one.faults for one in judged.found} == own
    for one in judged.found:
        path = list(one.path)
        assert sum(move.price for _, move in path) == one.faults
        (prop,) = [prop for prop in case.model.properties if prop.subject == one.subject]
        assert prop.holds(case.space.locals(path[-1][1].target))
        if trail.violates(case.space, path, prop):  # a deadlock in which timers go on for ever is no state of rest
            assert trail.shorten(case.space, path, prop) == path
    return {subject: faults for (_, subject), faults in own.items()}


@pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in fixture_pairs()])
def test_spin_agrees_on_a_pair_of_a_real_system(one: Meeting):
    compare(one.coupled)


@pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in example_pairs()])
def test_spin_agrees_on_a_pair_of_an_example(one: Meeting):
    found = compare(one.coupled)
    if one.name.startswith(("VER017 bad", "VER018 bad")) and "frozenset" in one.name:
        assert list(found.values()) == [0]


@pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in mutants()])
def test_spin_agrees_on_a_mutant_of_a_pair(one: Meeting):
    compare(one.coupled)


@pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in random_pairs()])
def test_spin_agrees_on_a_random_pair(one: Meeting):
    compare(one.coupled)


def test_what_is_special_about_pairs_makes_a_difference():
    """Were a timer to wait for both runs, or a read that nobody waits for to be told, there would be other numbers of states."""
    quiet = used = 0
    for one in (*mutants(), *random_pairs()):
        states = budgeted(RawPair(one.coupled), 1, 6_000)
        quiet += budgeted(Raw(one.coupled.tables), 1, 6_000) != states
        used += budgeted(RawPair(replace(one.coupled, askers={})), 1, 6_000) != states
    assert quiet >= 3
    assert used >= 3
    assert len(fixture_pairs()) >= 6
    assert len(random_pairs()) >= 8


# ------------------------------------------------------------------------------------------------ the command

LOST = [[Step(("reads Db.x",), "by-value", undo=False), Step(("writes Db.x",), "by-value", undo=False)]]


@pytest.fixture
def pair(coordlint: Program) -> Path:
    Path("pair.coord").write_text(text(*LOST), encoding="utf-8")
    said = coordlint("verify", "pair.coord", "--export", "promela", "models")
    assert (said.code, said.out, said.err) == (0, "", "")
    return Path("models")


def test_the_verdict_of_spin_on_a_pair(pair: Path, coordlint: Program):
    said = coordlint("verify", "pair.coord", "--engine", "spin", "--flow", "A")
    assert said.code == 1
    assert "pair of workflow A (shares Db.x): B17 lost update of `Db.x`" in said.out
    assert "violated (needs 0 faults)" in said.out
    assert "case 1" in said.out
    assert "case 2" in said.out


def test_a_run_of_a_pair_comes_back(pair: Path, coordlint: Program):
    assert sorted(one.name for one in pair.iterdir()) == ["flow-FA", "pair-of-workflow-A-shares-Db-x"]
    (meeting,) = meetings("A", load("pair.coord"))
    case = PairCase(meeting.coupled, 1)
    model = (pair / "pair-of-workflow-A-shares-Db-x" / "model.pml").read_text(encoding="utf-8")
    assert model == case.model.text
    with pan.Pan(case.model) as runner:
        moves = runner.trail(next(iter(runner.search().errors.values())))
    Path("run.txt").write_text("\n".join([case.model.title, *(f"@{n}" for n in moves)]), encoding="utf-8")
    said = coordlint("verify", "pair.coord", "--trail", "run.txt")
    assert (said.code, said.err) == (1, "")
    assert "pair of workflow A (shares Db.x): violated (needs at most" in said.out


def test_a_pair_that_cannot_go_wrong_is_left_out(coordlint: Program):
    Path("pair.coord").write_text(text([Step(("reads Db.x",))], [Step(("writes Db.x",))]), encoding="utf-8")
    assert coordlint("verify", "pair.coord", "--export", "promela", "models").code == 0
    assert sorted(one.name for one in Path("models").iterdir()) == ["flow-FA", "flow-FB"]


def test_a_pair_that_is_not_searched_to_the_end_never_holds():
    (meeting,) = meetings("locked", design(*{name: workflows for name, workflows, _ in CASES}["locked"]))
    judged = judge(PairCase(meeting.coupled, 1), seconds=0.0)
    assert not judged.complete
    assert spin.words(judged, 1) == "unknown (limit reached): none found as far as SPIN came"


def test_a_pair_with_too_many_components_is_not_exportable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(promela, "PROCESSES", 3)
    (meeting,) = meetings("A", design(*LOST))
    with pytest.raises(promela.NotExportableError, match="SPIN knows 3 at most"):
        PairCase(meeting.coupled, 1)
