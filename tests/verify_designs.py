"""Designs that the tests and the benchmark of the verification share."""

from __future__ import annotations

import random
from typing import Any

from coordlint.design import Design, load
from coordlint.source import Source


def saga(steps: int, **changes: Any) -> Design:
    """A correct saga of so many steps; see :func:`text` for what can be changed."""
    return load("saga.coord", stdin=Source("saga.coord", text(steps, **changes)))


def text(
    steps: int,
    *,
    idempotent: str = "idempotent by id",
    fences: str = "fences",
    outbox: str = "outbox",
    others: str | None = None,
    state: str = "state in OrdersDb",
    timeout: str = "timeout 2s  attempts 2",
    first: str | None = None,
    parallel: bool = False,
    name: str = "",
    at: int = 0,
    announced: int | None = None,
) -> str:
    """A workflow that calls `steps` services; each may refuse and is undone when a later one does.

    Args:
        steps: how many.
        idempotent, fences, timeout, first: of the step `at`: its idempotency, the fence of its compensation, its limit and
            its compensation.
        outbox: of the orchestrator and the participants (not of the service that acts on the event).
        others: of the participants alone, if it is another one.
        state: where the workflow keeps its state.
        parallel: the steps run side by side.
        name: behind every name, so that several sagas can stand in one design.
        at: the step that the changes concern.
        announced: behind that step the saga publishes an event, and the flow succeeds when another service has acted on it.
    """
    n = name
    lines = [
        f"store OrdersDb{n}",
        f"store StockDb{n}",
        f"command Start{n}",
        "command " + ", ".join(f"{verb}{i}{n}" for i in range(steps) for verb in ("Do", "Undo")),
        f"external service Shopper{n} {{ sends Orders{n}.Start{n} }}",
        f"service Orders{n} {{ {outbox} }}",
    ]
    for i in range(steps):
        own = (idempotent, fences) if i == at else ("idempotent by id", "fences")
        lines.append(
            f'service P{i}{n} {{ {outbox if others is None else others}  handles Do{i}{n} {{ {own[0]}  writes StockDb{n}.s{i}  succeeds or fails "no" }}'
            f"  handles Undo{i}{n} {{ compensates Do{i}{n}  idempotent by id  {own[1]}  writes StockDb{n}.s{i} }} }}"
        )
    kept = state.replace("OrdersDb", f"OrdersDb{n}")
    lines.append(f"workflow W{n} in Orders{n} {{ starts on Start{n}  idempotent by id  {kept}")
    lines += ["parallel {"] if parallel else []
    for i in range(steps):
        undo = f"compensate P{i}{n}.Undo{i}{n} {{ timeout 2s  attempts unlimited }}"
        undo = first if first is not None and i == at else undo
        limit = timeout if i == at else "timeout 2s  attempts 2"
        lines.append(f"  step s{i} calls P{i}{n}.Do{i}{n} {{ {limit}  {undo} }}")
        lines += [f"  emits Done{n}"] if i == announced else []
    lines += ["}"] if parallel else []
    lines.append("}")
    if announced is not None:
        lines.append(f"event Done{n}, Shipped{n}")
        lines.append(
            f"service Ship{n} {{ outbox  on Done{n} {{ idempotent by id  writes StockDb{n}.parcel  emits Shipped{n} }} }}"
        )
    goal = f"Shipped{n}" if announced is not None else f"W{n}"
    lines.append(f"flow F{n} {{ starts with Start{n} from Shopper{n}  succeeds with {goal} }}")
    return "\n".join(lines) + "\n"


def varied(number: int, steps: int = 10) -> str:
    """A correct workflow of so many steps, unlike its neighbours: drawn from the number.

    Its steps call services, some of which may refuse, or ask by a command and await one of two events; they are retried
    differently, and the last ones are not undone because nothing behind them can fail. Some workflows do two steps in parallel.
    """
    draw = random.Random(number)
    n = f"n{number}"
    refuses = [draw.random() < 0.6 for _ in range(steps)]
    awaits = [draw.random() < 0.15 for _ in range(steps)]
    limited = [not awaits[i] and (refuses[i] or draw.random() < 0.5) for i in range(steps)]
    last = max((i for i in range(steps) if refuses[i] or limited[i]), default=-1)
    beside = draw.randrange(steps - 1) if draw.random() < 0.2 else -1
    lines = [
        f"store Db{n}",
        f"command Start{n}",
        f"channel Queue{n} {{ delivery at-least-once  unordered }}",
        f"external service Shopper{n} {{ sends Main{n}.Start{n} }}",
        f"service Main{n} {{ outbox }}",
    ]
    course = []
    for i in range(steps):
        own = f"{i}{n}"
        undone = (
            i < last
            or (i == last and limited[i])
            or (beside <= last and beside + 1 >= last and i in {beside, beside + 1})
        )
        limit = f"timeout 2s  attempts {draw.choice([1, 2, 2, 3, 5]) if limited[i] else 'unlimited'}"
        undo = f"  compensate P{own}.Undo{own} {{ timeout 2s  attempts unlimited }}" if undone else ""
        lines += [f"command Undo{own}"] if undone else []
        may = " or fails" if refuses[i] else ""
        undoing = (
            f"  handles Undo{own} {{ compensates Do{own}  idempotent by id  fences  writes Db{n}.s{i} }}"
            if undone
            else ""
        )
        if awaits[i]:
            lines += [f"{what}{own} via Queue{n}" for what in ("command Do", "event Good", "event Bad")]
            outcome = f"emits Good{own} or fails Bad{own}" if refuses[i] else f"emits Good{own}"
            arms = f"on Good{own} {{ }} on Bad{own} {{ fails }}" if refuses[i] else f"on Good{own} {{ }}"
            course.append(f"  step s{i} {{ sends P{own}.Do{own}  awaits by id {{ {arms} }}{undo} }}")
        else:
            lines.append(f"command Do{own}")
            outcome = f"succeeds{may}"
            course.append(f"  step s{i} calls P{own}.Do{own} {{ {limit}{undo} }}")
        lines.append(
            f"service P{own} {{ outbox  handles Do{own} {{ idempotent by id  writes Db{n}.s{i}  {outcome} }}{undoing} }}"
        )
    if beside >= 0:
        course[beside : beside + 2] = ["  parallel {", *course[beside : beside + 2], "  }"]
    lines += [
        f"workflow W{n} in Main{n} {{ starts on Start{n}  idempotent by id  state in Db{n}  on unexpected park",
        *course,
        "}",
    ]
    lines.append(f"flow F{n} {{ starts with Start{n} from Shopper{n}  succeeds with W{n} }}")
    return "\n".join(lines) + "\n"
