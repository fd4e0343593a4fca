"""Designs of two runs that share entities, for the tests and the benchmark of pair scenes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from coordlint.design import Design, load
from coordlint.source import Source


class Step(NamedTuple):
    """A step of a workflow: what its handler does, in order, and what is declared about it.

    Attributes:
        touches: such as ``reads Db.x`` and ``writes Db.x``.
        isolation: what is declared; empty for nothing.
        undo: the step has a compensation.
        fails: its handler may refuse.
        timeout: the step's limits.
    """

    touches: tuple[str, ...] = ()
    isolation: str = ""
    undo: bool = True
    fails: bool = True
    timeout: str = "timeout 2s  attempts 2"


def design(*workflows: Sequence[Step], parallel: bool = False) -> Design:
    """The workflows `A`, `B` … with those steps, each started by a command of its own."""
    return load("pair.coord", stdin=Source("pair.coord", text(*workflows, parallel=parallel)))


def text(*workflows: Sequence[Step], parallel: bool = False) -> str:
    """The same as text."""
    lines = ["store OrdersDb", "store Db"]
    for name, steps in zip("ABCDEFGH", workflows, strict=False):
        lines.append(f"command Start{name}")
        lines.append(f"external service Shopper{name} {{ sends Orders{name}.Start{name} }}")
        lines.append(f"service Orders{name} {{ outbox }}")
        for n, step in enumerate(steps):
            what = f"{name}{n}"
            lines.append(f"command Do{what}" + (f", Undo{what}" if step.undo else ""))
            body = "  ".join(step.touches) or 'acts "does it"'
            fails = '  succeeds or fails "no"' if step.fails else ""
            undo = ""
            if step.undo:
                writes = "  ".join(touch for touch in step.touches if touch.startswith("writes")) or 'acts "undoes it"'
                undo = f"  handles Undo{what} {{ compensates Do{what}  idempotent by id  fences  {writes} }}"
            lines.append(f"service P{what} {{ outbox  handles Do{what} {{ idempotent by id  {body}{fails} }}{undo} }}")
        lines.append(f"workflow {name} in Orders{name} {{ starts on Start{name}  idempotent by id  state in OrdersDb")
        lines += ["parallel {"] if parallel else []
        for n, step in enumerate(steps):
            what = f"P{name}{n}.Undo{name}{n}"
            undo = f"  compensate {what} {{ timeout 2s  attempts unlimited }}" if step.undo else ""
            isolation = f"  isolation {step.isolation}" if step.isolation else ""
            lines.append(f"  step s{n} calls P{name}{n}.Do{name}{n} {{ {step.timeout}{isolation}{undo} }}")
        lines += ["}"] if parallel else []
        lines += ["}", f"flow F{name} {{ starts with Start{name} from Shopper{name}  succeeds with {name} }}"]
    return "\n".join(lines) + "\n"


def long(steps: int, isolation: str = "by-value", *, same: bool = True) -> Design:
    """Sagas of so many steps: the first reads an entity, the middle one writes it."""
    first, middle = Step(("reads Db.x",), isolation), Step(("writes Db.x",), isolation)
    saga = [first if n == 0 else middle if n == steps // 2 else Step() for n in range(steps)]
    return design(saga) if same else design(saga, saga)
