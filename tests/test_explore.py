"""The fast engine and its reductions against the reference engine, on random systems and real ones; proof mode against both.

1,000 random systems are compared in each run; COORDLINT_EXPLORE=160 (systems in each of the twenty blocks) makes it 3,200.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from explore_reference import Explored, random_tables
from verify_designs import saga, text, varied

from coordlint.design import Design, load
from coordlint.explore.compiler import compile_scene
from coordlint.explore.parts import STANDING, WRONG
from coordlint.explore.proof import comes_to_rest, prove
from coordlint.explore.quotient import for_proof, merged, minimal
from coordlint.explore.scene import Compiled, scenes
from coordlint.explore.search import Search
from coordlint.explore.space import Space
from coordlint.explore.tables import Act, Component, Kind, Row, Tables
from coordlint.explore.verify import Settings, Verification
from coordlint.source import Source

FAULTS = 2
LIMIT = 900
BLOCKS = 10
SYSTEMS = int(os.environ.get("COORDLINT_EXPLORE", "50"))
MODES = [(False, False), (True, False), (False, True), (True, True)]
FIXTURES = sorted((Path(__file__).parent.parent / "fixtures" / "systems").glob("*/*.coord"))

Vectors = dict[tuple[int, ...], int]
Locals = dict[tuple[int, int], int]


def searched(tables: Tables, *, inert: bool = True, persistent: bool = True, faults: int = FAULTS) -> Search:
    search = Search(Space(tables, inert=inert, persistent=persistent))
    assert list(search.run(faults))
    return search


def least(found: Iterator[tuple[tuple[int, ...], int]]) -> dict[tuple[int, ...], int]:
    result: dict[tuple[int, ...], int] = {}
    for key, faults in found:
        result[key] = min(result.get(key, 99), faults)
    return result


def terminals(search: Search) -> Vectors:
    return least((search.space.locals(state), search.layers[state]) for state in search.terminals)


def locals_of(search: Search) -> Locals:
    found: Locals = {}
    for state, layer in search.layers.items():
        for one in enumerate(search.space.locals(state)):
            found[one] = min(found.get(one, 99), layer)
    return found


def systems(block: int, *, cyclic: bool) -> Iterator[tuple[str, Tables, Explored]]:
    """So many random systems that the reference engine can explore; every other block has wide ones."""
    found, seed = 0, block * 1_000_000
    while found < SYSTEMS:
        tables = random_tables(seed, cyclic=cyclic, wide=block % 2 == 1)
        raw = Explored(tables, FAULTS, limit=LIMIT)
        if raw.complete:
            found += 1
            yield f"seed {seed}", tables, raw
        seed += 1


def watched(tables: Tables) -> Tables:
    """The tables with every row and act marked, so that every local state that is entered is reported."""
    components = [
        replace(
            one,
            rows=[{k: tuple(row._replace(error=True) for row in g) for k, g in rows.items()} for rows in one.rows],
            acts=[tuple(act._replace(error=True) for act in acts) for acts in one.acts],
        )
        for one in tables.components
    ]
    return replace(tables, components=components)


def entered(tables: Tables, raw: Explored) -> Locals:
    first = {(number, component.initial) for number, component in enumerate(tables.components)}
    return {one: faults for one, faults in raw.locals().items() if one not in first}


def same(search: Search, raw: Explored, mode: str) -> None:
    assert terminals(search) == raw.terminals(), mode
    assert locals_of(search) == raw.locals(), mode
    assert bool(search.livelocks()) == raw.livelock(), mode


@pytest.mark.parametrize("block", range(BLOCKS))
@pytest.mark.parametrize("cyclic", [False, True], ids=["acyclic", "cyclic"])
def test_reductions_change_nothing_that_is_asked_for(block: int, cyclic: bool):
    compared = smaller = 0
    for name, tables, raw in systems(block, cyclic=cyclic):
        for inert, persistent in MODES:
            search = searched(tables, inert=inert, persistent=persistent)
            same(search, raw, f"{name}, R2 {inert}, R4 {persistent}")
            if not inert and not persistent:
                assert len(search.layers) == len(raw.layer), name
            if persistent and not inert:
                smaller += len(search.layers) < len(raw.layer)
        compared += 1
    assert compared == SYSTEMS
    assert smaller >= SYSTEMS // 20, "persistent sets are hardly ever put to the test"


def losing(tables: Tables, loss: str) -> Tables:
    """The tables with that name for whatever makes a message come to nothing."""
    return replace(tables, kinds=[kind._replace(loss=loss if kind.loss else "") for kind in tables.kinds])


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_state_is_silent_only_if_as_few_faults_do_not_lead_there_otherwise(block: int):
    """The reference engine explores each system twice, also without silence; what then takes more faults is silent."""
    silent = faulty = 0
    for name, tables, raw in systems(block + 3 * BLOCKS, cyclic=block % 4 >= 2):
        answered = Explored(losing(tables, ""), FAULTS, limit=LIMIT)
        assert answered.complete, name
        otherwise = answered.terminals()
        expected = {end: (faults, otherwise.get(end) != faults) for end, faults in raw.terminals().items()}
        for inert, persistent in MODES:
            search = searched(losing(tables, "omission"), inert=inert, persistent=persistent)
            ends: dict[tuple[int, ...], tuple[int, bool]] = {}
            for state in search.terminals:
                ends.setdefault(search.space.locals(state), (search.layers[state], state in search.silent))
                omitted = any(move.what == "omission" for _, move in search.path(state))
                assert omitted == (state in search.silent), name
            assert ends == expected, f"{name}, R2 {inert}, R4 {persistent}"
            if not inert and not persistent:
                assert len(search.silent) == sum(answered.layer.get(s) != least for s, least in raw.layer.items()), name
        silent += sum(one for _, one in expected.values())
        faulty += sum(not one and faults > 0 for faults, one in expected.values())
    assert min(silent, faulty) >= SYSTEMS // 10, "silence is hardly ever put to the test"


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_wrong_state_is_found_with_the_fewest_faults_and_its_way_can_be_gone(block: int):
    for name, tables, raw in systems(block + BLOCKS, cyclic=block % 4 >= 2):
        search = searched(watched(tables))
        expected = entered(tables, raw)
        assert {one: hit.layer for one, hit in search.hits.items() if one in expected} == expected, name
        for one in expected:
            state = search.space.initial
            way = search.way(search.hits[one])
            for before, move in way:
                assert before == state, name
                assert move in search.space.moves(state), name
                state = move.target
            assert search.space.local(state, one[0]) == one[1], name
            assert sum(move.price for _, move in way) == expected[one], name


@pytest.mark.parametrize("block", range(BLOCKS))
def test_proof_mode_misses_nothing_that_two_faults_reach(block: int):
    for name, tables, raw in systems(block + 2 * BLOCKS, cyclic=block % 4 >= 2):
        for persistent in (False, True):
            proof = prove(Space(watched(tables), persistent=persistent))
            assert proof.complete, name
            assert set(raw.terminals()) <= set(proof.ends), name
            assert set(entered(tables, raw)) <= set(proof.hits), name


def test_what_nothing_can_reach_any_more_is_told_apart_by_its_labels_only():
    smaller = 0
    for seed in range(BLOCKS * SYSTEMS):
        tables = random_tables(seed, cyclic=seed % 4 == 3, wide=seed % 2 == 1)
        first, *others = tables.components
        tables = replace(tables, components=[first, *(replace(one, acts=[()] * one.size) for one in others)])
        raw = Explored(tables, FAULTS, limit=LIMIT)
        if not raw.complete:
            continue
        rng = random.Random(seed)
        labels = {n: [rng.randrange(2) for _ in range(one.size)] for n, one in enumerate(tables.components)}
        alike = {number: [some.index(label) for label in some] for number, some in labels.items()}
        proof = prove(Space(watched(tables)), alike=alike)
        told = {tuple(labels[c][n] for c, n in enumerate(end)) for end in proof.ends}
        assert {tuple(labels[c][n] for c, n in enumerate(end)) for end in raw.terminals()} <= told, seed
        assert set(entered(tables, raw)) <= set(proof.hits), seed
        smaller += proof.states < prove(Space(watched(tables))).states
    assert smaller >= SYSTEMS // 5, "silent components are hardly ever put to the test"


def test_what_comes_to_rest_has_no_livelock():
    calm = 0
    for block in range(4 * BLOCKS, 4 * BLOCKS + 4):
        for name, tables, raw in systems(block, cyclic=True):
            if comes_to_rest(tables):
                calm += 1
                assert not raw.livelock(), name
    assert calm >= SYSTEMS // 4


def rings(answers: bool, leaves: bool) -> Tables:
    """A component that asks again whenever nothing is in flight; the other one may answer, and the answer may take it on."""
    ask, answer = Kind("ask", 1), Kind("answer", 0)
    asking = Component("asks", 0, [{1: (Row(1 if leaves else 0),)}, {}], [(Act(0, (0,), "late"),), ()])
    asked = Component("is asked", 0, [{0: (Row(0, (1,) if answers else ()),)}], [()])
    return Tables([asking, asked], [ask, answer], (0,))


@pytest.mark.parametrize(("answers", "leaves"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_timer_that_asks_again_comes_to_rest_if_the_answer_takes_it_on(answers: bool, leaves: bool):
    tables = rings(answers, leaves)
    assert comes_to_rest(tables) == (answers and leaves) == (not Explored(tables, FAULTS).livelock())


def test_a_message_that_causes_itself_does_not_come_to_rest():
    echo = Component("echo", 0, [{0: (Row(0, (0,)),)}], [()])
    assert not comes_to_rest(Tables([echo], [Kind("echo", 0)], (0,)))


@pytest.mark.parametrize("design", [saga(3), saga(2, parallel=True)], ids=["saga", "parallel"])
def test_a_saga_comes_to_rest(design: Design):
    (scene,) = scenes(design.index)
    assert comes_to_rest(compile_scene(design.index, scene).tables)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_merging_local_states_loses_nothing(block: int):
    """Bisimilar states: all is as before, modulo the merging. States of equal labels: proof mode still misses nothing."""
    shrunk = 0
    for name, tables, raw in systems(block + 3 * BLOCKS, cyclic=block % 4 >= 2):
        rng = random.Random(name)
        labels = {
            number: [rng.randrange(2) for _ in range(component.size)]
            for number, component in enumerate(tables.components)
        }
        for number, component in enumerate(tables.components):  # a twin of a local state, with all that it does
            twin = rng.randrange(component.size)
            component.rows.append(component.rows[twin])
            component.acts.append(component.acts[twin])
            labels[number].append(labels[number][twin])
            for rows in component.rows:
                for kind, group in rows.items():
                    if rng.random() < 0.5:
                        rows[kind] = tuple(
                            r._replace(target=component.size - 1) if r.target == twin else r for r in group
                        )
        raw = Explored(tables, FAULTS, limit=4 * LIMIT)
        if not raw.complete:
            continue
        small, firsts = minimal(tables, labels)
        shrunk += sum(len(first) for first in firsts) < sum(component.size for component in tables.components)
        search = searched(small)
        number_of = _classes(tables, labels, firsts)
        ends = least((tuple(number_of[c][n] for c, n in enumerate(end)), f) for end, f in raw.terminals().items())
        assert terminals(search) == ends, name
        reached = least(((c, number_of[c][n]), f) for (c, n), f in raw.locals().items())
        assert locals_of(search) == reached, name
        assert bool(search.livelocks()) == raw.livelock(), name
        loose, behind = merged(tables, labels)
        proof = prove(Space(loose))
        told = {tuple(labels[c][behind[c][n]] for c, n in enumerate(end)) for end in proof.ends}
        assert {tuple(labels[c][n] for c, n in enumerate(end)) for end in raw.terminals()} <= told, name
    assert shrunk


def _classes(tables: Tables, labels: dict[int, list[int]], firsts: list[list[int]]) -> list[list[int]]:
    """By component and old local state: the number of its class, as the plainest refinement there is finds it."""
    found = []
    for number, component in enumerate(tables.components):
        of: list[int] = list(labels[number])
        for _ in range(component.size):
            seen = [
                (
                    of[local],
                    {
                        kind: {r._replace(target=of[r.target], note=-1) for r in g}
                        for kind, g in component.rows[local].items()
                    },
                    {act._replace(target=of[act.target], note=-1) for act in component.acts[local]},
                )
                for local in range(component.size)
            ]
            of = [seen.index(one) for one in seen]
        heads = [of[local] for local in firsts[number]]
        assert sorted(set(of)) == sorted(heads)
        found.append([heads.index(one) for one in of])
    return found


# ------------------------------------------------------------------------------------------------ real scenes


def real() -> Iterator[tuple[str, Design]]:
    for path in FIXTURES:
        yield path.stem, load(str(path))
    for changes in ({}, {"first": ""}, {"idempotent": "not idempotent"}, {"state": "state memory"}, {"fences": ""}):
        yield f"saga {changes}", saga(3, **changes)
        yield f"parallel {changes}", saga(2, parallel=True, **changes)


def test_reductions_change_nothing_in_real_scenes():
    compared = 0
    for name, design in real():
        for scene in scenes(design.index):
            compiled = compile_scene(design.index, scene)
            raw, faults = Explored(compiled.tables, 2, limit=1500), 2
            if not raw.complete:
                raw, faults = Explored(compiled.tables, 1, limit=3000), 1
            if not raw.complete:
                continue
            compared += 1
            for inert, persistent in MODES[1:]:
                search = searched(compiled.tables, inert=inert, persistent=persistent, faults=faults)
                same(search, raw, f"{name}, {scene.name}, R2 {inert}, R4 {persistent}")
            small, behind, alike = for_proof(compiled)
            proof = prove(Space(small), alike=alike)
            assert proof.complete
            ends = {tuple(behind[c][n] for c, n in enumerate(end)) for end in proof.ends}
            for end in raw.terminals():
                assert any(_alike(compiled, end, other) for other in ends), f"{name}, {scene.name}"
    assert compared >= 25


MUTANTS: list[dict[str, str]] = [
    {}, {"first": ""}, {"idempotent": "not idempotent"}, {"state": "state memory"}, {"outbox": "no outbox"},
    {"timeout": "no timeout  no retries"}, {"parallel": "yes"},
]  # fmt: skip


@pytest.mark.parametrize("changes", [*MUTANTS, *range(8)], ids=str)
def test_what_is_proved_early_is_what_a_thorough_search_finds(changes: dict[str, str] | int):
    source = text(2 if "parallel" in changes else 4, **changes) if isinstance(changes, dict) else varied(changes, 6)  # type: ignore[arg-type]
    design = load("design.coord", stdin=Source("design.coord", source))
    assert not design.problems
    early = Verification(design.index, design.sagas, Settings(candidates=False))
    thorough = Verification(design.index, design.sagas, Settings(candidates=False, thorough=True))
    assert [one.words for one in early.verdicts] == [one.words for one in thorough.verdicts]
    assert [one.violation for one in early.told] == [one.violation for one in thorough.told]
    if not thorough.told:
        assert early.verdicts[0].states < thorough.verdicts[0].states


def _alike(compiled: Compiled, one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two ends are the same for people: where each workflow rests, and which effects stand."""

    def view(end: tuple[int, ...]) -> list[object]:
        places: list[object] = [
            thread.spots[end[n]].where for n, thread in compiled.threads.items() if thread.parent is None
        ]
        for n, part in compiled.parts.items():
            places.append([code if code in STANDING or code in WRONG else "" for code in part.codes[end[n]]])
        known = {*compiled.threads, *compiled.parts}
        return [*places, *(end[n] for n in range(len(end)) if n not in known)]

    return view(one) == view(other)


def test_a_statement_that_never_runs_is_no_obstacle_to_a_proof():
    source = (
        text(2)
        .replace('s1  succeeds or fails "no"', "s1  succeeds")
        .replace(
            "P1.Do1 { timeout 2s  attempts 2",
            "P1.Do1 { timeout 2s  attempts unlimited  on failure { calls P0.Undo0 { timeout 2s  attempts unlimited } }",
        )
    )
    design = load("design.coord", stdin=Source("design.coord", source))
    verification = Verification(design.index, design.sagas, Settings())
    assert [told.violation.code for told in verification.told] == ["B19"]
    assert [verdict.words for verdict in verification.verdicts] == ["holds for any number of faults"]
