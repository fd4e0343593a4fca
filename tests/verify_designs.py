"""Designs that the tests and the benchmark of the verification share."""

from __future__ import annotations

from coordlint.design import Design, load
from coordlint.source import Source


def saga(steps: int, **changes: str) -> Design:
    """A correct saga of so many steps; see :func:`text` for what can be changed."""
    return load("saga.coord", stdin=Source("saga.coord", text(steps, **changes)))


def text(
    steps: int,
    *,
    idempotent: str = "idempotent by id",
    fences: str = "fences",
    outbox: str = "outbox",
    state: str = "state in OrdersDb",
    timeout: str = "timeout 2s  attempts 2",
    first: str = "compensate P0.Undo0 { timeout 2s  attempts unlimited }",
    parallel: bool = False,
    name: str = "",
) -> str:
    """A workflow that calls `steps` services; each may refuse and is undone when a later one does.

    The changes concern the first step (its idempotency, the fence of its compensation, its compensation and limit), the
    outbox of all services, and where the workflow keeps its state.
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
        own = (idempotent, fences) if i == 0 else ("idempotent by id", "fences")
        lines.append(
            f'service P{i}{n} {{ {outbox}  handles Do{i}{n} {{ {own[0]}  writes StockDb{n}.s{i}  succeeds or fails "no" }}'
            f"  handles Undo{i}{n} {{ compensates Do{i}{n}  idempotent by id  {own[1]}  writes StockDb{n}.s{i} }} }}"
        )
    kept = state.replace("OrdersDb", f"OrdersDb{n}")
    lines.append(f"workflow W{n} in Orders{n} {{ starts on Start{n}  idempotent by id  {kept}")
    lines += ["parallel {"] if parallel else []
    for i in range(steps):
        undo = f"compensate P{i}{n}.Undo{i}{n} {{ timeout 2s  attempts unlimited }}" if i or n else first
        limit = timeout if i == 0 else "timeout 2s  attempts 2"
        lines.append(f"  step s{i} calls P{i}{n}.Do{i}{n} {{ {limit}  {undo} }}")
    lines += ["}"] if parallel else []
    lines.append("}")
    lines.append(f"flow F{n} {{ starts with Start{n} from Shopper{n}  succeeds with W{n} }}")
    return "\n".join(lines) + "\n"
