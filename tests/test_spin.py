"""SPIN against the engine: equal numbers of states without reductions, equal verdicts for every property, runs that replay.

Where CI is set a missing `spin` or `cc` is a failure; elsewhere the tests are skipped.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from explore_reference import Explored, Raw, budgeted, random_tables
from project import Program
from test_faults import DESIGNS
from test_faults import design as design_of
from verify_designs import saga, text, varied

from coordlint.cli import pan, spin, swarm
from coordlint.cli.shared import Failure
from coordlint.cli.spincase import SceneCase
from coordlint.cli.spinjudge import judge
from coordlint.design import Design, load
from coordlint.explore import promela, trail
from coordlint.explore.compiler import compile_scene
from coordlint.explore.model import Property
from coordlint.explore.scene import Scene, scenes
from coordlint.explore.space import Space
from coordlint.explore.stategraph import StateGraph
from coordlint.explore.tables import Component, Kind, Row, Tables
from coordlint.explore.verify import Settings, Verification
from coordlint.explore.violation import FOR_AN_ANSWER, ON_THE_WAY, Violation
from coordlint.rule import rules
from coordlint.source import Source

pytestmark = pytest.mark.skipif(not pan.available() and not os.environ.get("CI"), reason="needs spin and cc")

SYSTEMS = Path(__file__).parent.parent / "fixtures" / "systems"

MOST = 6_000
"""A scene is searched with up to two faults as long as it has so many states without reductions."""

GIANT = 30_000
"""A scene with more states than that is a giant; it is searched without faults if that is any help."""


def states_with_budget(tables: Tables, faults: int, limit: int = GIANT) -> int | None:
    """How many pairs of a state and a budget there are; None if there are more than the limit."""
    return budgeted(Raw(tables), faults, limit)


# ------------------------------------------------------------------------------------------------ random systems


def without(tables: Tables, **changes: object) -> Tables:
    """The same system with that attribute of all kinds changed, or with all timers in one depth."""
    components = tables.components
    if "depth" in changes:
        components = [
            Component(one.name, one.initial, one.rows, [tuple(a._replace(depth=0) for a in acts) for acts in one.acts])
            for one in components
        ]
        changes = {}
    kinds = [kind._replace(**changes) for kind in tables.kinds]  # type: ignore[arg-type]
    return Tables(components, kinds, tables.initial, tables.queues)


FEATURES: dict[str, tuple[int, dict[str, object]]] = {
    "patient": (4, {"patient": False}),
    "overtakes": (4, {"overtakes": False}),
    "depth": (3, {"depth": 0}),
    "queue": (3, {"queue": -1}),
    "urgent": (3, {"urgent": False}),
}
"""Twenty random systems: so many in which each thing makes a difference to the number of states, and some more."""


def small_systems() -> Iterator[tuple[str, Tables]]:
    """The random systems, half of all with cycles of messages, by what they are there for."""
    wanted = {name: number for name, (number, _) in FEATURES.items()} | {"plain": 3}
    for seed in range(2_000):
        if not any(wanted.values()):
            return
        tables = random_tables(seed, cyclic=seed % 2 == 0)
        states = states_with_budget(tables, 1, 1_000)
        if states is None or states < 5:
            continue
        for name, (_, changes) in FEATURES.items():
            other = without(tables, **changes) if wanted[name] else tables
            if wanted[name] and other != tables and states_with_budget(other, 1, 1_000) != states:
                wanted[name] -= 1
                yield f"{name}-{seed}", tables
                break
        else:
            if wanted["plain"]:
                wanted["plain"] -= 1
                yield f"plain-{seed}", tables


RANDOM = list(small_systems())


@pytest.mark.parametrize("tables", [pytest.param(tables, id=name) for name, tables in RANDOM])
def test_spin_agrees_on_a_random_system(tables: Tables):
    """States, and for each local state and each vector to rest in: the fewest faults; and whether there is a run without an end."""
    faults = 1
    oracle = Explored(tables, faults)
    ends = oracle.terminals()
    vectors = sorted(ends)[:8]
    wanted = [
        Property("B8", f"{number} {local}", (((number, (local,)),),))
        for number, component in enumerate(tables.components)
        for local in range(component.size)
    ]
    wanted += [
        Property("B2", str(one), (tuple((n, (local,)) for n, local in enumerate(one)),), resting=True)
        for one in vectors
    ]
    model = promela.export(tables, faults, wanted)
    with pan.Pan(model) as runner:
        answer = runner.search()
        assert answer.complete
        assert answer.states == states_with_budget(tables, faults)
        least: dict[str, int] = {}
        for check in answer.errors:
            number, price = model.checks[check]
            subject = wanted[number].subject
            least[subject] = min(least.get(subject, 99), price)
        expected = {f"{number} {local}": price for (number, local), price in oracle.locals().items()}
        assert least == expected | {str(one): ends[one] for one in vectors}
        graph = runner.graph()
        assert graph is not None
        assert len(graph.moves) == answer.states + model.extra
        whole = StateGraph(graph, model, tuple(component.initial for component in tables.components))
        assert len(whole.faults) == answer.states
        assert (whole.endless() is not None) == oracle.livelock()
        space = Space(tables, inert=False, persistent=False)
        for check, ordinal in list(answer.errors.items())[-3:]:
            path = trail.replay(space, model, runner.trail(ordinal))
            assert path is not None
            assert trail.violates(space, path, wanted[model.checks[check].property])
            assert sum(move.price for _, move in path) == model.checks[check].faults


def test_the_random_systems_are_what_they_are_there_for():
    for name, (number, _) in FEATURES.items():
        assert sum(one.startswith(f"{name}-") for one, _ in RANDOM) == number
    assert any(tables.kinds[kind].queue >= 0 for _, tables in RANDOM for kind in tables.initial)
    assert any(
        kind.patient and kind.queue >= 0 for name, tables in RANDOM for kind in tables.kinds if "patient" in name
    )


def test_a_counter_that_is_full_stays_full():
    """Two components answer each other, one of them twice: messages pile up, and SPIN says which."""
    tables = Tables(
        [Component("a", 0, [{0: (Row(0, (1, 1)),)}], [()]), Component("b", 0, [{1: (Row(0, (0,)),)}], [()])],
        [Kind("ping", 0), Kind("pong", 1)],
        (0,),
    )
    storms = [Property("B4", f"storm {kind}", storm=kind) for kind in promela.unbounded(tables)]
    model = promela.export(tables, 0, storms)
    with pan.Pan(model) as runner:
        answer = runner.search()
        assert answer.states == states_with_budget(tables, 0)
        assert len(answer.errors) == 2
        space = Space(tables, inert=False, persistent=False)
        for check, ordinal in answer.errors.items():
            path = trail.replay(space, model, runner.trail(ordinal))
            assert path is not None
            assert trail.violates(space, path, storms[model.checks[check].property])


# ------------------------------------------------------------------------------------------------ designs


class Place(NamedTuple):
    """A scene of a design, and how it is called here."""

    name: str
    design: Design
    scene: Scene


@cache
def fixture_scenes() -> tuple[Place, ...]:
    found = []
    for path in sorted(SYSTEMS.glob("*/*.coord")):
        design = load(str(path))
        found += [Place(f"{path.stem}: {scene.name}", design, scene) for scene in scenes(design.index)]
    return tuple(found)


@cache
def example_scenes() -> tuple[Place, ...]:
    """The scenes of the examples in the documentation of the rules that show what goes wrong in a run."""
    found = []
    for entry in rules():
        if entry.code.startswith("VER"):
            for kind in ("bad", "good"):
                for number, example in enumerate(getattr(entry.doc, kind)):
                    name = f"{entry.code}-{kind}-{number + 1}"
                    design = load(f"{name}.coord", stdin=Source(f"{name}.coord", example.text))
                    found += [Place(f"{name}: {scene.name}", design, scene) for scene in scenes(design.index)]
    return tuple(found)


def bound(tables: Tables) -> tuple[int, int] | None:
    """The faults with which a scene is compared, and its number of states; None for a giant."""
    for faults, most in ((2, MOST), (1, GIANT), (0, GIANT)):
        states = states_with_budget(tables, faults, most)
        if states is not None:
            return faults, states
    return None


def own(
    place: Place, faults: int, adverse: frozenset[str] | None, without: frozenset[str] = frozenset()
) -> list[Violation]:
    """What the own engine tells about a scene, what an order of a channel cures under that name."""
    assert adverse in (frozenset(), None)
    settings = Settings(
        faults=faults, flow="no scene", candidates=False, proof=False, strict=adverse is None, without=without
    )
    verification = Verification(place.design.index, place.design.sagas, settings)
    verification._verify(place.scene)
    assert not verification.verdicts[0].cut
    return [one.violation for one in verification.told]


def told(found: Iterable[Violation]) -> dict[tuple[str, bool], tuple[str, int]]:
    """The property and the fewest faults by what it is about; of several endless runs, SPIN tells the first."""
    least: dict[tuple[str, bool], tuple[str, int]] = {}
    for one in sorted(found, key=lambda one: one.faults):
        for each in (one, *(also.whole for also in one.also)):
            key = re.sub(r" endless .*", " endless", each.subject), each.code in ON_THE_WAY
            least.setdefault(key, (each.code, each.faults))
    return least


def compare(place: Place, adverse: frozenset[str] | None = frozenset()) -> list[str]:
    """Hold SPIN against the engine in one scene; the codes that both have found."""
    measured = bound(compile_scene(place.design.index, place.scene, adverse).tables)
    assert measured is not None
    faults, states = measured
    case = SceneCase(place.design, place.scene, faults, adverse=adverse)
    judged = judge(case)
    assert judged.complete
    assert judged.states == states
    assert judged.whole
    told_here, told_there = told(own(place, faults, adverse)), told(judged.found)
    assert told_there.keys() == told_here.keys()
    for subject, (code, least) in told_there.items():
        assert told_here[subject][1] == least
        if told_here[subject][0] != code:
            every = [each for one in own(place, faults, adverse) for each in (one, *(also.whole for also in one.also))]
            (run,) = [one for one in every if one.subject == subject[0]]
            assert named(case, run) == told_here[subject][0]
    for one in judged.found:
        if not one.subject.endswith(" endless") and one.path:
            believe(case, one)
    return [one.code for one in judged.found]


CAUSES = frozenset({"B1", "B2", "B5", "B11", "B13", "B14", "B16"})


def named(case: SceneCase, one: Violation) -> str:
    """The cause of a wrong end, after a run of the own engine that is repeated without reductions.

    A wrong end is named after the fault that brings it about. Where different faults do, each alone, either name is right: it
    depends on which of the runs with the fewest faults is looked at.
    """
    state, path = case.space.initial, []
    wanted = [move for _, move in one.path]
    while wanted or [move for move in case.space.moves(state) if not move.price]:
        moves = case.space.moves(state)
        if wanted:
            move = next(move for move in moves if move[:4] == wanted[0][:4] and move.choice == wanted[0].choice)
        else:  # only what the reductions leave out: messages that make no difference any more
            move = next(move for move in moves if not move.price)
        path.append((state, move))
        state, wanted = move.target, wanted[1:]
    assert sum(move.price for _, move in path) == one.faults
    (prop,) = [
        p for p in case.model.properties if p.resting and p.subject == one.subject and p.holds(case.space.locals(state))
    ]
    found = case.worded(prop, path).code
    assert found in CAUSES
    return found


def believe(case: SceneCase, found: Violation) -> None:
    """The run violates the property with as many faults as it is said to need, and not a single step of it can be left out."""
    path = list(found.path)
    assert sum(move.price for _, move in path) == found.faults
    for one in case.model.properties:
        if one.subject == found.subject and trail.violates(case.space, path, one):
            assert case.shortened(one, path) == path


GIANTS = {"defra-payment-hub: flow FilePayment", "defra-payment-hub: flow Payment"}
"""The payments: more than nine million states even without a fault and without reductions (SPIN stored 8,975,115 before it had 3 GB).

They are compared as far as a number of moves leads, and not as a whole.
"""

BEGINNING = 60_000
"""So many states of a giant are counted at least."""


@pytest.mark.parametrize("place", [pytest.param(p, id=p.name) for p in fixture_scenes() if p.name not in GIANTS])
def test_spin_agrees_on_a_real_system(place: Place):
    compare(place)


def test_a_scene_is_a_giant_because_of_its_size():
    """Nothing else keeps a scene from being compared as a whole."""
    found = {p.name for p in fixture_scenes() if bound(compile_scene(p.design.index, p.scene).tables) is None}
    assert found == GIANTS


Rest = tuple[tuple[int, ...], int, bool]
"""The local states of a state, how many faults it took, and whether everything rests there."""


def within(tables: Tables, faults: int, limit: int) -> tuple[list[int], set[Rest]]:
    """How many pairs of a state and a budget are at most 0, 1, 2 … moves away, up to the first number above the limit.

    Returns:
        The numbers, and what all these states are like but those that take the most moves.
    """
    raw = Raw(tables)
    seen = {(raw.initial, faults)}
    frontier = list(seen)
    counts = [1]
    inner: set[Rest] = set()
    while frontier and counts[-1] <= limit:
        following = []
        for state, budget in frontier:
            moves = raw.moves(state)
            inner.add((state[0], faults - budget, all(price for price, _ in moves)))
            for price, target in moves:
                one = (target, budget - price)
                if price <= budget and one not in seen:
                    seen.add(one)
                    following.append(one)
        frontier = following
        counts.append(len(seen))
    return counts, inner


@pytest.mark.parametrize("faults", [0, 1, 2])
@pytest.mark.parametrize("name", sorted(GIANTS))
def test_spin_agrees_on_the_beginnings_of_all_runs_of_a_giant(name: str, faults: int):
    """As many states within each number of moves, and the same wrong ones, as far as the reference engine comes.

    Nothing is said about what lies behind: neither that the numbers agree there, nor that nothing else goes wrong.
    """
    (place,) = [place for place in fixture_scenes() if place.name == name]
    case = SceneCase(place.design, place.scene, faults)
    counts, inner = within(case.compiled.tables, faults, BEGINNING)
    assert counts[-1] > BEGINNING
    with pan.Pan(case.model) as runner:
        for moves in range(1, len(counts)):
            answer = runner.search(moves)
            assert answer.states == counts[moves]
            assert not answer.complete
    wrong = {
        (number, used)
        for number, one in enumerate(case.model.properties)
        for locals_, used, resting in inner
        if (resting or not one.resting) and not (one.wanted and used) and one.holds(locals_)
    }
    failed = [case.model.checks[check] for check in answer.errors]
    assert {(one.property, one.faults) for one in failed if one.faults >= 0} == wrong  # all but storms


@pytest.mark.parametrize("tables", [pytest.param(tables, id=name) for name, tables in RANDOM[::4]])
def test_a_search_within_some_moves_counts_the_states_that_they_lead_to(tables: Tables):
    """The same where it can be seen how it goes on: behind the last state there is no other."""
    counts, _ = within(tables, 1, 10_000)
    with pan.Pan(promela.export(tables, 1)) as runner:
        assert [runner.search(moves).states for moves in range(1, len(counts))] == counts[1:]
        assert counts[-1] == counts[-2] == runner.search().states


@pytest.mark.parametrize("place", [pytest.param(p, id=p.name) for p in example_scenes()])
def test_spin_agrees_on_an_example(place: Place):
    found = compare(place)
    code = f"B{int(place.name[3:6])}"
    if "-bad-" in place.name and code not in found and code not in {"B17", "B18"}:  # those need two runs
        assert code in compare(place, None)


MUTANTS: dict[str, dict[str, Any]] = {
    "correct": {},
    "not undone": {"first": ""},
    "not idempotent": {"idempotent": "not idempotent"},
    "no fence": {"fences": ""},
    "forgetful": {"state": "state memory"},
    "patient": {"timeout": "no timeout  no retries"},
    "no outbox": {"outbox": "no outbox", "timeout": "no timeout  no retries"},
    "two causes": {"outbox": "no outbox", "timeout": "no timeout  no retries", "parallel": True},
}


@pytest.mark.parametrize("name", MUTANTS)
def test_spin_agrees_on_a_mutant_of_a_saga(name: str):
    design = saga(2, **MUTANTS[name])
    (scene,) = scenes(design.index)
    adverse = None if name == "no fence" else frozenset[str]()
    assert bool(compare(Place(name, design, scene), adverse)) == (name != "correct")


WEAKNESSES = (
    (r"idempotent by id", "not idempotent"),
    (r"  fences", ""),
    (r"\{ outbox", "{ no outbox"),
    (r"state in \w+", "state memory"),
    (r"timeout 2s  attempts \w+", "no timeout  no retries"),
    (r"on unexpected park", "on unexpected drop"),
    (r"  compensate P\S+ \{[^}]*\}", ""),
)
"""What may be weak in a random design: what is replaced, and by what."""


def weakened(drawn: str, weak: str, rng: random.Random, pattern: str) -> str:
    """The design with one random place weakened, if there is any."""
    places = list(re.finditer(pattern, drawn))
    if not places:
        return drawn
    at = rng.choice(places)
    return drawn[: at.start()] + weak + drawn[at.end() :]


@cache
def random_designs() -> tuple[Place, ...]:
    """Workflows of two or three steps of all sorts, each with a few weaknesses at random places; twenty that are small enough."""
    found: list[Place] = []
    for seed in range(200):
        rng = random.Random(seed)
        drawn = varied(seed, rng.randint(2, 3))
        for pattern, weak in rng.sample(WEAKNESSES, 2):
            drawn = weakened(drawn, weak, rng, pattern)
        design = load("random.coord", stdin=Source("random.coord", drawn))
        assert [problem.message for problem in design.problems] == []
        (scene,) = scenes(design.index)
        tables = compile_scene(design.index, scene).tables
        if states_with_budget(tables, 2, MOST) is not None:
            found.append(Place(f"random {seed}", design, scene))
        if len(found) == 20:
            break
    return tuple(found)


@pytest.mark.parametrize("place", [pytest.param(p, id=p.name) for p in random_designs()])
def test_spin_agrees_on_a_random_design(place: Place):
    compare(place)


def test_there_are_twenty_random_designs_and_many_go_wrong():
    assert len(random_designs()) == 20
    codes = {violation.code for one in random_designs() for violation in own(one, 2, frozenset())}
    assert len(codes) >= 4


@cache
def silent_designs() -> tuple[Place, ...]:
    """Such workflows that ask over a channel, without a limit at some places, and with outcomes of 0 %; twelve."""
    found: list[Place] = []
    for seed in range(1_000, 1_100):
        rng = random.Random(seed)
        drawn = varied(seed, rng.randint(2, 3))
        drawn = re.sub(r"(?m)^(command (?:Do|Undo)\w+)$", rf"\1 via Queuen{seed}", drawn)
        drawn = re.sub(r"(awaits by id .*?\} \})", r"\1  no timeout", drawn)
        for pattern, weak in (
            (r"timeout 2s  attempts \w+", "no timeout  no retries"),
            (r"timeout 2s  attempts \w+", "no timeout"),
            (r"or fails", 'or 0% fails "no"'),
            rng.choice(WEAKNESSES),
        ):
            drawn = weakened(drawn, weak, rng, pattern)
        design = design_of(drawn)
        (scene,) = scenes(design.index)
        tables = compile_scene(design.index, scene).tables
        if any(kind.loss == "omission" for kind in tables.kinds) and states_with_budget(tables, 2, MOST) is not None:
            found.append(Place(f"silent {seed}", design, scene))
        if len(found) == 12:
            break
    return tuple(found)


@pytest.mark.parametrize("place", [pytest.param(p, id=p.name) for p in silent_designs()])
def test_spin_agrees_on_a_random_design_in_which_nobody_may_answer(place: Place):
    compare(place)


def test_there_are_twelve_designs_in_which_nobody_may_answer_and_many_of_their_waits_are_in_vain():
    assert len(silent_designs()) == 12
    subjects = [s for place in silent_designs() for one in own(place, 2, frozenset()) for s in one.subjects]
    assert sum(subject.endswith(FOR_AN_ANSWER) for subject in subjects) >= 12
    assert {row.fault for place in silent_designs() for row in priced(place)} == {"rare", "publish"}


def priced(place: Place) -> Iterator[Row]:
    """The rows of a scene that are faults."""
    for component in compile_scene(place.design.index, place.scene).tables.components:
        for rows in component.rows:
            yield from (row for group in rows.values() for row in group if row.price)


@pytest.mark.parametrize("name", DESIGNS)
def test_spin_agrees_on_a_fault_of_a_participant(name: str):
    (scene,) = scenes((loaded := design_of(DESIGNS[name])).index)
    assert bool(compare(Place(name, loaded, scene))) == (name != "rare")


def test_spin_agrees_on_what_else_goes_wrong_behind_a_silence():
    """No timer runs out early, so that nothing else leads there."""
    (scene,) = scenes((loaded := design_of(DESIGNS["beside"])).index)
    without = frozenset({"early"})
    judged = judge(SceneCase(loaded, scene, 2, without))
    assert judged.whole
    found = told(judged.found)
    assert found == told(own(Place("beside", loaded, scene), 2, frozenset(), without))
    assert sorted(found.values()) == [("B1", 1), ("B2", 1)]


def test_who_asks_what_has_become_of_a_step_is_excused():
    """What the answer says is data, and nobody knows it; a run that ends wrong all the same without an inquiry counts."""
    asking = text(
        2, timeout="timeout 2s  attempts 1  on timeout { calls P0.Status0 { timeout 2s  attempts unlimited }  fails }"
    )
    asking = asking.replace("command Do0,", "command Status0, Do0,").replace(
        "handles Undo0", "handles Status0 { idempotent by id  reads StockDb.s0 }  handles Undo0"
    )
    design = load("asking.coord", stdin=Source("asking.coord", asking))
    assert [problem.message for problem in design.problems] == []
    (scene,) = scenes(design.index)
    case = SceneCase(design, scene, 1)
    (place,) = case.judge.asked
    with pan.Pan(case.model) as runner:
        failed = [case.model.properties[case.model.checks[check].property] for check in runner.search().errors]
    wrong = {one.subject for one in failed if not one.wanted}
    assert wrong
    assert compare(Place("asking", design, scene)) == []
    case.judge.asked = {place: frozenset()}
    assert {one.subject for one in judge(case).found} == wrong


def test_a_component_with_many_moves_becomes_several_processes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(promela, "OPTIONS", 9)
    design = saga(2, **MUTANTS["not idempotent"])
    (scene,) = scenes(design.index)
    place = Place("wide", design, scene)
    assert "active proctype C0_1()" in SceneCase(design, scene, 1).model.text
    assert compare(place) == ["B8"]


def test_a_saga_of_eighty_steps_is_not_too_large_for_spin():
    design = saga(80)
    (scene,) = scenes(design.index)
    model = SceneCase(design, scene, 2).model
    assert model.text.count("active proctype C0_") > 1
    with pan.Pan(model) as runner:  # to compile and to search it is another matter
        assert (Path(runner.folder) / "pan.c").exists()


# ------------------------------------------------------------------------------------------------ conditions


def conditions_of(case: SceneCase, vector: tuple[int, ...]) -> set[tuple[str, str]]:
    return {
        (one.code, one.subject)
        for one in case.model.properties
        if one.resting and any(all(vector[number] in places for number, places in way) for way in one.cases)
    }


def agree(place: Place, faults: int, rng: random.Random) -> int:
    """The conditions against the judge, on all vectors in which the scene rests and on random ones; how many were wrong."""
    case = SceneCase(place.design, place.scene, 0)
    tables = case.compiled.tables
    vectors = set(Explored(tables, faults, limit=4_000).terminals())
    sizes = [component.size for component in tables.components]
    vectors |= {tuple(rng.randrange(size) for size in sizes) for _ in range(300)}
    wrong = 0
    for vector in sorted(vectors):
        said = {(code, subject) for code, subject, *_ in case.judge.ended(vector)}
        assert conditions_of(case, vector) == said, vector
        wrong += bool(said)
    return wrong


def test_conditions_say_what_the_judge_says_about_real_systems():
    rng = random.Random(7)
    assert sum(agree(place, 1, rng) for place in fixture_scenes()) > 1_000


def test_conditions_say_what_the_judge_says_about_the_examples():
    rng = random.Random(8)
    assert sum(agree(place, 2, rng) for place in example_scenes()) > 1_000


@pytest.mark.parametrize("parallel", [False, True])
def test_conditions_say_what_the_judge_says_about_sagas(parallel: bool):
    rng = random.Random(9)
    for changes in (
        {},
        {"first": ""},
        {"fences": ""},
        {"state": "state memory"},
        {"timeout": "no timeout  no retries"},
    ):
        design = saga(3, parallel=parallel, **changes)  # type: ignore[arg-type]
        (scene,) = scenes(design.index)
        assert agree(Place("saga", design, scene), 1, rng) > 100


# ------------------------------------------------------------------------------------------------ overtaking


OVERTAKEN = """\
broker Rabbit
channel orders on Rabbit {{ queue  {order}  delivery exactly-once  {channel} }}
channel aside on Rabbit {{ queue }}
command Start
event Placed via orders
event Cancelled via orders
event Closed
store ShopDb {{ owner Shop }}
external service Client {{ sends Shop.Start }}
service Shop {{ outbox  handles Start {{ idempotent by id  writes ShopDb.orders  emits Placed  emits Cancelled }} }}
service Book {{ outbox  {service}
  on Placed {{ {handler}  idempotent by id  on unexpected drop  awaits Cancelled  emits Closed }}
}}
flow F {{ starts with Start from Client  succeeds with Closed }}
"""


def verify(coordlint: Program, order: str, *, channel: str = "", service: str = "", handler: str = "") -> list[str]:
    """The findings about a design whose only weakness is the order of two messages, as code and certainty."""
    Path("order.coord").write_text(
        OVERTAKEN.format(order=order, channel=channel, service=service, handler=handler), encoding="utf-8"
    )
    said = coordlint("verify", "order.coord", "--format", "json")
    assert not [one for one in said.data["findings"] if not one["code"].startswith("VER")]
    return [f"{one['code']} {one['severity']}" for one in said.data["findings"]]


@pytest.mark.parametrize(
    "changes",
    [
        {"handler": "concurrency 4"},
        {"channel": "dead-letter aside after 3  redrive"},
    ],
    ids=["several hands", "put back later"],
)
def test_an_order_that_is_lost_at_the_end_of_its_channel(coordlint: Program, changes: dict[str, str]):
    assert verify(coordlint, "ordered", **changes) == ["VER015 warning"]
    run = coordlint("verify", "order.coord", "--format", "json").data["findings"][0]["run"]["steps"]
    assert [step["move"] for step in run if step["fault"]] == ["overtake"]
    assert coordlint("verify", "order.coord", "--without", "overtake").code == 0
    assert "B15" in coordlint("verify", "order.coord", "--engine", "spin").out


@pytest.mark.parametrize(
    ("order", "changes"),
    [
        ("ordered", {}),
        ("ordered", {"handler": "concurrency 1"}),
        ("ordered", {"service": "replicas 1"}),
        ("ordered by id", {"handler": "concurrency 4", "service": "replicas 3"}),
        ("ordered", {"handler": "concurrency 4  resequences"}),
        ("unordered", {"handler": "resequences"}),
        ("ordered", {"channel": "dead-letter aside after 3 by id  redrive"}),
    ],
)
def test_an_order_that_is_kept_is_trusted(coordlint: Program, order: str, changes: dict[str, str]):
    assert verify(coordlint, order, **changes) == []


@pytest.mark.parametrize(("order", "changes"), [("", {}), ("ordered", {"service": "replicas 3"})])
def test_an_order_that_nobody_speaks_of_is_a_candidate(coordlint: Program, order: str, changes: dict[str, str]):
    assert verify(coordlint, order, **changes) == ["VER015 info"]


# ------------------------------------------------------------------------------------------------ other machines


@pytest.fixture
def exported(coordlint: Program) -> Path:
    """The folder of a scene that goes wrong with a fault, beside one that does not."""
    for name, changes in (("bad", {"idempotent": "not idempotent"}), ("good", {})):
        Path(f"{name}.coord").write_text(text(2, **changes), encoding="utf-8")  # type: ignore[arg-type]
        said = coordlint("verify", f"{name}.coord", "--faults", "1", "--export", "promela", f"models/{name}")
        assert (said.code, said.out, said.err) == (0, "", "")
    return Path("models")


def script(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    quick = {**os.environ, "OPT": "-O0"}  # compiling costs more than it saves here
    return subprocess.run(command, cwd=folder, env=quick, capture_output=True, text=True, check=False)


def test_the_export_is_a_folder_for_each_scene(exported: Path):
    assert sorted(one.name for one in (exported / "bad").iterdir()) == ["flow-F"]
    folder = exported / "bad" / "flow-F"
    assert sorted(one.name for one in folder.iterdir()) == ["Makefile", "README.md", "model.pml", "swarm.sh"]
    assert os.access(folder / "swarm.sh", os.X_OK)
    assert "coordlint verify bad.coord --trail" in (folder / "README.md").read_text(encoding="utf-8")
    assert "@" not in re.sub(r"`[^`]*`", "", (folder / "README.md").read_text(encoding="utf-8"))


def test_runs_of_a_swarm_come_back(exported: Path, coordlint: Program):
    folder = exported / "bad" / "flow-F"
    said = script(folder, "./swarm.sh", "1", "2")
    assert (said.returncode, said.stderr) == (1, "")
    assert said.stdout.startswith("2 of 2 runs went wrong")
    runs = [str(folder / f"run-{seed}.txt") for seed in (1, 2)]
    back = coordlint("verify", "bad.coord", "--trail", runs[0], "--trail", runs[1])
    assert (back.code, back.err) == (1, "")
    assert "`Do0` can be executed twice (needs 1 fault)" in back.out
    assert "flow F: violated (needs at most 1 fault)" in back.out
    assert "2 of 2 runs went wrong here" in back.out
    assert back.out.count("FAULT") == 1
    case = SceneCase(*place_of("bad.coord"), 1)
    long = case.replayed(swarm.read(runs[0]).moves)
    assert long is not None
    assert len(re.findall(r"^ *\d+  ", back.out, re.MULTILINE)) < len(long)


def test_a_clean_swarm_has_proved_nothing(exported: Path):
    said = script(exported / "good" / "flow-F", "./swarm.sh", "1", "3")
    assert (said.returncode, said.stdout, said.stderr) == (0, "none found in 3 runs (which is no proof)\n", "")


def test_a_swarm_wants_to_know_its_seeds(exported: Path):
    said = script(exported / "good" / "flow-F", "./swarm.sh", "1")
    assert (said.returncode, said.stderr) == (2, "usage: swarm.sh FIRST LAST\n")


def test_make_searches_everything(exported: Path, coordlint: Program):
    said = script(exported / "bad" / "flow-F", "make", "-e", "W=18", "DEPTH=100000")
    assert "a run goes wrong" in said.stdout
    back = coordlint("verify", "bad.coord", "--trail", str(exported / "bad" / "flow-F" / "run.txt"))
    assert back.code == 1
    said = script(exported / "good" / "flow-F", "make", "-e", "W=18", "DEPTH=100000")
    assert said.stdout.splitlines()[-1] == "none found in any run with up to 1 fault"
    said = script(exported / "good" / "flow-F", "make", "-e", "W=18", "DEPTH=10")
    assert said.stdout.splitlines()[-1].startswith("none found, but not everything was searched")


def place_of(path: str) -> tuple[Design, Scene]:
    design = load(path)
    (scene,) = scenes(design.index)
    return design, scene


def test_a_run_that_does_not_replay_is_not_believed(exported: Path, coordlint: Program):
    title = (exported / "bad" / "flow-F" / "model.pml").read_text(encoding="utf-8").partition("\n")[0]
    Path("good.txt").write_text(f"{title}\n@1\n@1\n", encoding="utf-8")
    said = coordlint("verify", "bad.coord", "--trail", "good.txt")
    assert (said.code, said.out) == (0, "")
    assert said.err == "coordlint: `good.txt` is not believed: it does not go wrong when it is replayed here\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot read `x.txt`: no such file or directory"),
        ("-4:-4:-4\n1:0:12\n", "`x.txt` is no run of an exported model"),
        (
            "/* coordlint: flow G, faults 1, model 0123456789abcdef */\n",
            "`x.txt` is a run of flow G, which is not there",
        ),
        ("/* coordlint: flow F, faults 1, model 0123456789abcdef */\n", "`x.txt` belongs to another state of flow F"),
    ],
)
def test_what_is_no_run_of_this_design_is_refused(exported: Path, coordlint: Program, content: str | None, reason: str):
    if content is not None:
        Path("x.txt").write_text(content, encoding="utf-8")
    said = coordlint("verify", "bad.coord", "--trail", "x.txt")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"coordlint: {reason}")
    assert len(said.err.splitlines()) == 1


# ------------------------------------------------------------------------------------------------ the command


def test_the_verdict_of_spin_says_its_bound(exported: Path, coordlint: Program):
    said = coordlint("verify", "bad.coord", "--engine", "spin", "--faults", "1")
    assert said.code == 1
    assert "flow F: B8 `Do0` can be executed twice (needs 1 fault)" in said.out
    assert re.search(r"^flow F: violated \(needs 1 fault\) — [\d,]+ states \(SPIN\)$", said.out, re.MULTILINE)
    assert coordlint("verify", "bad.coord", "--engine", "spin", "--faults", "1", "--exit-zero").code == 0
    said = coordlint("verify", "good.coord", "--engine", "spin", "--faults", "1")
    assert said.code == 0
    assert re.fullmatch(r"flow F: holds up to 1 fault — [\d,]+ states \(SPIN\)\n", said.out)


def test_faults_that_do_not_happen_do_not_happen_in_spin(exported: Path, coordlint: Program):
    without = [word for kind in ("early", "copy", "lose", "crash") for word in ("--without", kind)]
    said = coordlint("verify", "bad.coord", "--engine", "spin", "--faults", "1", *without)
    assert said.code == 0
    assert "holds up to 1 fault" in said.out


@pytest.mark.parametrize("limits", [{"megabytes": 1}, {"seconds": 0.0}], ids=["memory", "time"])
def test_a_search_that_is_not_complete_never_holds(limits: dict[str, float]):
    design = saga(4)
    (scene,) = scenes(design.index)
    judged = judge(SceneCase(design, scene, 2), **limits)  # type: ignore[arg-type]
    assert not judged.complete
    assert spin.words(judged, 2) == "unknown (limit reached): none found as far as SPIN came"


def test_endless_runs_that_were_not_looked_for_are_spoken_of():
    design = saga(1)
    (scene,) = scenes(design.index)
    judged = judge(SceneCase(design, scene, 0), graph=3)
    assert (
        spin.words(judged, 0)
        == "holds up to 0 faults, except that endless runs, flows that come to rest and orphan messages were not looked for"
    )


def test_without_spin_there_is_one_sentence(coordlint: Program, monkeypatch: pytest.MonkeyPatch):
    Path("good.coord").write_text(text(1), encoding="utf-8")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    said = coordlint("verify", "good.coord", "--engine", "spin")
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "coordlint: `--engine spin` needs `spin` and `cc` in the path: install them, or leave the option out\n"
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--engine", "spin", "--format", "json"), "`--engine spin` tells what it finds as text only"),
        (("--engine", "spin", "--output", "x"), "`--engine spin` tells what it finds as text only"),
        (("--engine", "spin", "--flow", "Nobody"), "there is no flow or workflow `Nobody` to verify"),
        (("--export", "promela", "models", "--flow", "Nobody"), "there is no flow or workflow `Nobody` to verify"),
        (("--export", "tla", "models"), "invalid value for '--export': 'tla' is not 'promela'"),
        (("--export", "promela", "good.coord/models"), "cannot write into `good.coord/models/flow-F`: not a directory"),
    ],
)
def test_a_wrong_use_is_one_sentence(coordlint: Program, options: tuple[str, ...], reason: str):
    Path("good.coord").write_text(text(1), encoding="utf-8")
    said = coordlint("verify", "good.coord", *options)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"coordlint: {reason}")
    assert len(said.err.splitlines()) == 1


def test_a_scene_with_too_many_components_says_so(monkeypatch: pytest.MonkeyPatch, coordlint: Program):
    monkeypatch.setattr(promela, "PROCESSES", 3)
    Path("good.coord").write_text(text(4), encoding="utf-8")
    said = coordlint("verify", "good.coord", "--engine", "spin")
    assert (said.code, said.err) == (0, "")
    assert re.fullmatch(
        r"flow F: unknown \(limit reached\): it has \d+ components, and SPIN knows 3 at most\n", said.out
    )
    said = coordlint("verify", "good.coord", "--export", "promela", "models")
    assert said.code == 2
    assert re.fullmatch(r"coordlint: flow F is left out: it has \d+ components, and SPIN knows 3 at most\n", said.err)


def test_a_run_that_cannot_be_replayed_is_an_error(monkeypatch: pytest.MonkeyPatch):
    design = saga(1, idempotent="not idempotent")
    (scene,) = scenes(design.index)
    monkeypatch.setattr(pan.Pan, "trail", lambda self, ordinal: (0, 0, 0))
    with pytest.raises(Failure, match="does not replay here"):
        judge(SceneCase(design, scene, 1))
