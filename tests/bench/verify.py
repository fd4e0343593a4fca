"""Times of the verification against its targets, on one core: python tests/bench/verify.py"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from verify_designs import saga, text

from coordlint.design import load
from coordlint.explore.verify import Settings, Verification
from coordlint.source import Source


def once(steps: int, **changes: object) -> tuple[float, str]:
    """The seconds that one saga takes, search and proof, and what came out."""
    design = saga(steps, **changes)  # type: ignore[arg-type]
    begin = time.perf_counter()
    verification = Verification(design.index, design.sagas, Settings())
    (verdict,) = verification.verdicts
    return time.perf_counter() - begin, f"{verdict.states:,} states, {verdict.words}"


def many(workflows: int, steps: int) -> tuple[float, str]:
    """The seconds that a design of many sagas takes."""
    whole = "".join(text(steps, name=f"x{number}") for number in range(workflows))
    design = load("many.coord", stdin=Source("many.coord", whole))
    begin = time.perf_counter()
    verification = Verification(design.index, design.sagas, Settings())
    words = sorted({verdict.words for verdict in verification.verdicts})
    return time.perf_counter() - begin, f"{len(verification.verdicts)} scenes, {', '.join(words)}"


CASES: tuple[tuple[str, float, Callable[[], tuple[float, str]]], ...] = (
    ("saga of 12 steps", 0.1, lambda: once(12)),
    ("saga of 30 steps", 0.5, lambda: once(30)),
    ("saga of 80 steps", 3, lambda: once(80)),
    ("parallel of 4", 2, lambda: once(4, parallel=True)),
    ("600 workflows of 10 steps", 15, lambda: many(600, 10)),
)


def main() -> None:
    """Print the table."""
    for name, target, run in CASES:
        seconds, what = run()
        sys.stdout.write(
            f"{name:28} {seconds:8.2f} s  target {target:5} s  {'ok' if seconds < target else 'MISSED'}  {what}\n"
        )
        sys.stdout.flush()


def pairs() -> None:
    """Print the times of pair scenes: two sagas of 12 steps that share an entity, one of them locked so that nothing is wrong."""
    from pair_designs import Step, design, long

    from coordlint.design import Design
    from coordlint.explore.coupling import couple
    from coordlint.explore.duel import Duel
    from coordlint.explore.pairs import pairs as pairs_of

    guarded = Step(("reads Db.x", "writes Db.x"), "semantic-lock")
    locked = [guarded if number in {0, 6} else Step() for number in range(12)]
    cases: tuple[tuple[str, Design], ...] = (
        ("two runs, one workflow", long(12)),
        ("two workflows", long(12, same=False)),
        ("two workflows, locked late", long(12, "semantic-lock", same=False)),
        ("two workflows, locked", design(locked, locked)),
    )
    for name, made in cases:
        for faults, target in ((1, 1.5), (2, 5)):
            (pair,) = pairs_of(made.index, made.sagas)
            begin = time.process_time()
            duel = Duel(couple(made.index, made.sagas, pair))
            for _ in duel.run(faults):
                pass
            seconds = time.process_time() - begin
            sys.stdout.write(
                f"{name:26} k={faults} {seconds:6.2f} s  target {target:4} s  {'ok' if seconds < target else 'MISSED'}"
                f"  {len(duel.came):,} states, {len(duel.alarms)} of {len(duel.coupled.observers)} observers alarmed\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
    pairs()
