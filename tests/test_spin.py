"""SPIN against the engine: equal numbers of states without reductions, and trails that replay."""

from __future__ import annotations

import pytest
from explore_reference import Raw, State, random_tables
from verify_designs import saga

from coordlint.cli import spin
from coordlint.explore.compiler import compile_scene
from coordlint.explore.promela import export, replay
from coordlint.explore.scene import scenes
from coordlint.explore.space import Space
from coordlint.explore.tables import Tables

pytestmark = pytest.mark.skipif(not spin.available(), reason="needs spin and cc")

FAULTS = 1


def states_with_budget(tables: Tables, faults: int) -> int:
    """How many pairs of a state and a budget there are."""
    raw = Raw(tables)
    seen: set[tuple[State, int]] = {(raw.initial, faults)}
    todo = list(seen)
    while todo:
        state, budget = todo.pop()
        for price, target in raw.moves(state):
            following = (target, budget - price)
            if price <= budget and following not in seen:
                seen.add(following)
                todo.append(following)
    return len(seen)


@pytest.mark.parametrize("seed", [seed for seed in range(60) if not random_tables(seed).queues][:20])
def test_spin_counts_the_same_states_of_random_systems(seed: int):
    tables = random_tables(seed)
    assert spin.search(export(tables, FAULTS).text).states == states_with_budget(tables, FAULTS)


def test_spin_counts_the_same_states_of_a_saga():
    design = saga(2)
    (scene,) = scenes(design.index)
    tables = compile_scene(design.index, scene).tables
    assert spin.search(export(tables, 1).text).states == states_with_budget(tables, 1)


def test_a_trail_of_spin_replays():
    design = saga(2, fences="")
    (scene,) = scenes(design.index)
    compiled = compile_scene(design.index, scene, None)
    model = export(compiled.tables, 1, spin._wrong(compiled, design))
    answer = spin.search(model.text)
    assert answer.trail is not None
    path = replay(Space(compiled.tables, inert=False, persistent=False), model, answer.trail)
    assert path
    assert sum(move.price for _, move in path) <= 1
