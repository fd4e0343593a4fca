"""The tables of a scene as a Promela model: SPIN is the second, independent judge.

One process with a guarded option for each move; every move is one step (`d_step`) that prints its number, so that a trail can
be read back and replayed here. The budget of faults is part of the state; nothing is reduced.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from coordlint.explore.space import MOST, Move, Space
from coordlint.explore.tables import Act, Row, Tables


class Numbered(NamedTuple):
    """What a number in a trail stands for: the move's name, its kind (-1 for an act), and the row or act."""

    what: str
    kind: int
    choice: Row | Act | None
    component: int


class Model(NamedTuple):
    """A Promela model and the moves behind its numbers."""

    text: str
    moves: tuple[Numbered, ...]


class NotExportableError(Exception):
    """The scene has ordered queues, which the export does not know."""


def export(tables: Tables, faults: int, wrong: Iterable[str] = ()) -> Model:
    """The model of some tables.

    Args:
        tables: the scene; without ordered queues.
        faults: the budget.
        wrong: conditions over `l0`, `l1`, … that must not hold where nothing can happen any more.

    Raises:
        NotExportableError: the scene has ordered queues.
    """
    if tables.queues:
        raise NotExportableError
    moves: list[Numbered] = []
    options: list[str] = []

    def option(guard: list[str], price: int, effects: list[str], move: Numbered, *, error: bool = False) -> None:
        guards = [*guard, *(["b > 0"] if price else [])]
        done = [*effects, *(["b--"] if price else []), f'printf("@{len(moves)}\\n")', *(["bad = 1"] if error else [])]
        options.append(f"  :: d_step {{ {' && '.join(guards)} -> {'; '.join(done)} }}")
        moves.append(move)

    def sent(emits: tuple[int, ...]) -> list[str]:
        return [f"m{kind} = (m{kind} < {MOST} -> m{kind} + 1 : {MOST})" for kind in emits]

    space = Space(tables, inert=False, persistent=False)
    urgent = [kind for kind, one in enumerate(tables.kinds) if one.urgent]
    busy: list[str] = []
    for kind, one in enumerate(tables.kinds):
        calm = [f"m{other} == 0" for other in urgent if (other < kind or not one.urgent)]
        component = tables.components[one.to]
        taking: list[int] = []
        for local in range(component.size):
            if space._waits(kind, local) and kind not in component.rows[local]:
                continue
            taking.append(local)
            guard = [f"m{kind} > 0", f"l{one.to} == {local}", *calm]
            rows = component.rows[local].get(kind, ())
            for row in rows:
                enter = [f"l{one.to} = {row.target}"] if row.target != local else []
                taken = [] if row.keep else [f"m{kind}--"]
                what = "publish" if row.price else "deliver"
                option(
                    guard,
                    row.price,
                    [*taken, *enter, *sent(row.emits)],
                    Numbered(what, kind, row, one.to),
                    error=row.error,
                )
                if one.copies and not row.keep and not row.price:
                    option(guard, 1, [*enter, *sent(row.emits)], Numbered("copy", kind, row, one.to), error=row.error)
            if not rows:
                option(guard, 0, [f"m{kind}--"], Numbered("drop", kind, None, one.to))
            if one.loss:
                option(guard, 1, [f"m{kind}--"], Numbered(one.loss, kind, None, one.to))
        if len(taking) == component.size:
            busy.append(f"m{kind} == 0")
        elif taking:
            here = " || ".join(f"l{one.to} == {local}" for local in taking)
            busy.append(f"(m{kind} == 0 || !({here}))")
    calm = [f"m{kind} == 0" for kind in urgent]
    late = sorted(
        {(act.depth, number, local) for number, component in enumerate(tables.components)
         for local, acts in enumerate(component.acts) for act in acts if act.when == "late"}
    )  # fmt: skip
    for number, component in enumerate(tables.components):
        for local, acts in enumerate(component.acts):
            for act in acts:
                guard = [f"l{number} == {local}", *calm]
                if act.when == "late":
                    guard += busy
                    guard += [f"l{other} != {place}" for depth, other, place in late if depth > act.depth]
                enter = [f"l{number} = {act.target}"] if act.target != local else []
                option(
                    guard,
                    act.price,
                    [*enter, *sent(act.emits)] or ["skip"],
                    Numbered(act.when, -1, act, number),
                    error=act.error,
                )
    first = {kind: tables.initial.count(kind) for kind in range(len(tables.kinds))}
    lines = [f"byte b = {faults};", "bit bad;"]
    lines += [f"byte l{number} = {component.initial};" for number, component in enumerate(tables.components)]
    lines += [f"byte m{kind} = {count};" for kind, count in first.items()]
    lines += ["active proctype scene() {", "end:", "  do", *options, "  od", "}"]
    conditions = list(wrong)
    if conditions or any(move.choice is not None and move.choice.error for move in moves):
        judged = " || ".join(f"({one})" for one in conditions) or "false"
        lines += ["active proctype judge() {", f"  timeout -> assert(!bad && !({judged}))", "}"]
    return Model("\n".join(lines) + "\n", tuple(moves))


def replay(space: Space, model: Model, numbers: Iterable[int]) -> list[tuple[int, Move]] | None:
    """The run that a trail stands for; None if it takes a step that is not possible here."""
    state = space.initial
    path: list[tuple[int, Move]] = []
    for number in numbers:
        wanted = model.moves[number]
        for move in space.moves(state):
            if (
                move.what == wanted.what
                and move.kind == wanted.kind
                and move.choice is wanted.choice
                and move.component == wanted.component
            ):
                path.append((state, move))
                state = move.target
                break
        else:
            return None
    return path


MAKEFILE = """model: pan
\t./pan -m1000000

pan: pan.c
\tcc -O1 -DSAFETY -DNOREDUCE -o pan pan.c

pan.c: model.pml
\tspin -a model.pml
"""

SWARM = """#!/bin/sh
# Many short searches, each in another order: swarm.sh FIRST LAST. A clean swarm has found none; it has not proved anything.
set -eu
spin -a model.pml
cc -O1 -DSAFETY -DNOREDUCE -DRANDOMIZE -DBITSTATE -o swarm pan.c
seed="$1"
while [ "$seed" -le "$2" ]; do
  rm -f model.pml.trail
  ./swarm "-RS$seed" "-h$((seed % 499 + 1))" "-k$((seed % 3 + 2))" -w26 -m1000000 > "swarm-$seed.txt"
  [ ! -f model.pml.trail ] || mv model.pml.trail "trail-$seed"
  seed=$((seed + 1))
done
"""
