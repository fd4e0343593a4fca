"""Times of the verification against its targets, in seconds of one core: python tests/bench/verify.py [WORKFLOWS]"""

from __future__ import annotations

import gc
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from verify_designs import saga, text, varied

from coordlint.design import Design, load
from coordlint.explore.compiler import compile_scene
from coordlint.explore.scene import scenes
from coordlint.explore.search import Search
from coordlint.explore.space import Space
from coordlint.explore.verify import Settings, Verification
from coordlint.source import Source

Result = tuple[float, str]


def verified(design: Design, settings: Settings) -> tuple[float, Verification]:
    """The seconds that a design takes: scenes, tables, search, judgement and proof."""
    assert not design.problems
    _ = design.index, design.sagas
    begin = time.process_time()
    verification = Verification(design.index, design.sagas, settings)
    return time.process_time() - begin, verification


def once(steps: int, **changes: object) -> Result:
    """One saga, and what came out."""
    seconds, verification = verified(saga(steps, **changes), Settings())  # type: ignore[arg-type]
    (verdict,) = verification.verdicts
    return seconds, f"{verdict.states:,} states, {verdict.words}"


def whole(steps: int, faults: int, *, fences: bool = True, idempotent: bool = True) -> Result:
    """The whole space of a saga all of whose steps have the same defects, although the first violation would do."""
    written = text(steps)
    if not idempotent:
        written = re.sub(r"(handles Do\w+ \{) idempotent by id", r"\1 not idempotent", written)
    if not fences:
        written = written.replace("  fences", "")
    design = load("buggy.coord", stdin=Source("buggy.coord", written))
    assert not design.problems
    (scene,) = scenes(design.index)
    begin = time.process_time()
    compiled = compile_scene(design.index, scene, None)
    search = Search(Space(compiled.tables), 2_000_000)
    for _ in search.run(faults):
        pass
    assert search.hits
    return time.process_time() - begin, f"{len(search.layers):,} states, complete for {search.complete} faults"


def many(workflows: int, settings: Settings) -> Result:
    """A design of many workflows, no two of them alike."""
    design = load("many.coord", stdin=Source("many.coord", "".join(varied(number) for number in range(workflows))))
    seconds, verification = verified(design, settings)
    count = len(verification.verdicts)
    words = Counter(verdict.words for verdict in verification.verdicts)
    said = ", ".join(f"{number} × {word}" for word, number in sorted(words.items()))
    slowest = max(verdict.states for verdict in verification.verdicts)
    return seconds, f"{seconds / count * 1000:.0f} ms per scene, at most {slowest:,} states; {said}"


def main() -> None:
    """Print the table."""
    workflows = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    checked = Settings(faults=1, limit=20_000, candidates=False)
    cases: tuple[tuple[str, float, Callable[[], Result]], ...] = (
        ("saga of 12 steps", 0.1, lambda: once(12)),
        ("saga of 30 steps", 0.5, lambda: once(30)),
        ("saga of 80 steps", 3, lambda: once(80)),
        ("parallel of 4", 2, lambda: once(4, parallel=True)),
        ("whole space: no fences", 1, lambda: whole(12, 2, fences=False)),
        ("whole space: not idempotent", 1, lambda: whole(12, 2, idempotent=False)),
        ("whole space: both, 3 faults", 10, lambda: whole(12, 3, fences=False, idempotent=False)),
        ("whole space: 30, no fences, 1", 1, lambda: whole(30, 1, fences=False)),
        (f"{workflows} workflows of 10 steps", 0.025 * workflows, lambda: many(workflows, Settings())),
        ("the same in `check`, 1 fault", 0.05 * workflows, lambda: many(workflows, checked)),
    )
    for name, target, run in cases:
        gc.collect()  # what the cases before have left behind is not this one's
        seconds, what = run()
        met = "ok" if seconds < target else "MISSED"
        sys.stdout.write(f"{name:30} {seconds:8.2f} s  target {target:5g} s  {met:6}  {what}\n")
        sys.stdout.flush()


def pairs() -> None:
    """Print the times of pair scenes: two sagas of 12 steps that share an entity, one of them locked so that nothing is wrong."""
    from pair_designs import Step, design, long

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
            gc.collect()  # what the cases before have left behind is not this one's
            begin = time.process_time()
            duel = Duel(couple(made.index, made.sagas, pair))
            for _ in duel.run(faults):
                pass
            seconds = time.process_time() - begin
            sys.stdout.write(
                f"{name:26} k={faults} {seconds:6.2f} s  target {target:4} s  {'ok' if seconds < target else 'MISSED'}"
                f"  {duel.states:,} states, {len(duel.alarms)} of {len(duel.coupled.observers)} observers alarmed\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
    pairs()
