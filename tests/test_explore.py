"""The fast engine and its reductions against the reference engine, on random systems; proof mode against both."""

from __future__ import annotations

import pytest
from explore_reference import Explored, random_tables

from coordlint.explore.proof import prove
from coordlint.explore.search import Search
from coordlint.explore.space import Space
from coordlint.explore.tables import Tables

FAULTS = 2
LIMIT = 1500
MODES = [(False, False), (True, False), (False, True), (True, True)]


def searched(tables: Tables, *, inert: bool, persistent: bool) -> Search:
    search = Search(Space(tables, inert=inert, persistent=persistent))
    assert list(search.run(FAULTS))
    return search


def terminals(search: Search) -> dict[tuple[int, ...], int]:
    found: dict[tuple[int, ...], int] = {}
    for state in search.terminals:
        vector = search.space.locals(state)
        found[vector] = min(found.get(vector, 99), search.layers[state])
    return found


def locals_of(search: Search) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for state, layer in search.layers.items():
        for one in enumerate(search.space.locals(state)):
            found[one] = min(found.get(one, 99), layer)
    return found


@pytest.mark.parametrize("block", range(12))
@pytest.mark.parametrize("cyclic", [False, True], ids=["acyclic", "cyclic"])
def test_reductions_change_nothing_that_is_asked_for(block: int, cyclic: bool):
    compared = 0
    for seed in range(block * 50, block * 50 + 50):
        tables = random_tables(seed, cyclic=cyclic)
        raw = Explored(tables, FAULTS, limit=LIMIT)
        if not raw.complete:
            continue
        compared += 1
        for inert, persistent in MODES:
            search = searched(tables, inert=inert, persistent=persistent)
            mode = f"seed {seed}, R2 {inert}, R4 {persistent}"
            assert terminals(search) == raw.terminals(), mode
            assert locals_of(search) == raw.locals(), mode
            assert bool(search.livelocks()) == raw.livelock(), mode
            if not inert and not persistent:
                assert len(search.layers) == len(raw.layer), mode
    assert compared >= 25


@pytest.mark.parametrize("block", range(10))
def test_proof_mode_misses_nothing_that_two_faults_reach(block: int):
    for seed in range(block * 50, block * 50 + 50):
        tables = random_tables(seed, cyclic=seed % 2 == 0)
        raw = Explored(tables, FAULTS, limit=LIMIT)
        proof = prove(Space(tables))
        if raw.complete and proof.complete:
            assert set(raw.terminals()) <= set(proof.ends), f"seed {seed}"
