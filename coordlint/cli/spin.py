"""SPIN as the second engine: writes the models, runs `spin` and `cc`, and believes a trail only if it replays here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from coordlint.cli.shared import Failure, hint, write, write_file

if TYPE_CHECKING:
    from coordlint.design import Design
    from coordlint.explore.scene import Compiled, Scene
    from coordlint.explore.verify import Settings


class Answer(NamedTuple):
    """What SPIN said: how many states it stored, the numbers of a trail if it found an error, and whether it saw everything."""

    states: int
    trail: tuple[int, ...] | None
    complete: bool


def main(paths: Sequence[str], settings: Settings, to: str | None, *, run_it: bool) -> int:
    """Export the scenes of designs, or search them with SPIN; the exit code."""
    from coordlint.design import load
    from coordlint.explore import promela
    from coordlint.explore.compiler import compile_scene
    from coordlint.explore.scene import scenes

    if run_it and not available():
        raise Failure("`--engine spin` needs `spin` and `cc` in the path: install them, or leave the option out")
    if not run_it and to is None:
        raise Failure("`--export promela` needs `--to DIR`")
    code = 0
    for path in paths:
        design = load(path)
        for scene in scenes(design.index):
            if settings.flow and scene.root.name != settings.flow:
                continue
            compiled = compile_scene(design.index, scene)
            try:
                model = promela.export(compiled.tables, settings.faults, _wrong(compiled, design))
            except promela.NotExportableError:
                hint(f"{scene.name} is left out: the export does not know ordered channels")
                continue
            if not run_it:
                _write(os.path.join(str(to), re.sub(r"\W+", "-", scene.name)), model.text)
            else:
                code = max(code, _judge(scene, compiled, model, settings, design))
    return code


def available() -> bool:
    """Whether SPIN and a C compiler are there."""
    return shutil.which("spin") is not None and shutil.which("cc") is not None


def search(text: str, *, fast: bool = False) -> Answer:
    """Run SPIN on a model.

    Args:
        text: the model.
        fast: compile with optimisation, which pays beyond a million states.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.pml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        _call(["spin", "-a", "model.pml"], folder)
        _call(["cc", "-O1" if fast else "-O0", "-w", "-DSAFETY", "-DBFS", "-DNOREDUCE", "-o", "pan", "pan.c"], folder)
        said = _call([os.path.join(folder, "pan"), "-m1000000"], folder)
        states = re.search(r"(\d+) states, stored", said)
        trail = None
        if os.path.exists(f"{path}.trail"):
            told = _call(["spin", "-t", "-T", "-B", "model.pml"], folder)
            trail = tuple(int(number) for number in re.findall(r"@(\d+)", told))
        return Answer(int(states[1]) if states else 0, trail, "Search not completed" not in said)


def _call(command: list[str], folder: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _write(folder: str, text: str) -> None:
    from coordlint.explore.promela import MAKEFILE, SWARM

    os.makedirs(folder, exist_ok=True)
    for name, content in (("model.pml", text), ("Makefile", MAKEFILE), ("swarm.sh", SWARM)):
        write_file(os.path.join(folder, name), content)
    os.chmod(os.path.join(folder, "swarm.sh"), 0o755)


def _wrong(compiled: Compiled, design: Design) -> list[str]:
    """What must not hold where everything rests, as conditions over local states: of one component, or of two."""
    from coordlint.explore.judge import Judge

    judge = Judge(compiled, design.sagas)
    tables = compiled.tables
    start = [component.initial for component in tables.components]
    if compiled.goals is not None:
        start[compiled.goals[0]] = tables.components[compiled.goals[0]].size - 1
    found: list[str] = []
    for number in judge.roots:
        for local in range(tables.components[number].size):
            alone = [*start[:number], local, *start[number + 1 :]]
            said = {subject for _, subject, *_ in judge.wrong(tuple(alone))}
            where = judge.roots[number].spots[local].where[0]
            if said and where not in {"done", "failed", "lost"}:
                found.append(f"l{number} == {local}")
                continue
            for part in compiled.parts if where in {"done", "failed", "lost"} else ():
                for other in range(tables.components[part].size):
                    both = [*alone[:part], other, *alone[part + 1 :]]
                    if any(_about(part, subject, compiled) for _, subject, *_ in judge.wrong(tuple(both))):
                        found.append(f"l{number} == {local} && l{part} == {other}")
    return found


def _about(part: int, subject: str, compiled: Compiled) -> bool:
    return any(deed.name in subject for deed in compiled.parts[part].deeds)


def _judge(scene: Scene, compiled: Compiled, model: object, settings: Settings, design: Design) -> int:
    from coordlint.explore import promela, story
    from coordlint.explore.space import Space
    from coordlint.report import runs
    from coordlint.report.style import painter

    assert isinstance(model, promela.Model)
    answer = search(model.text)
    if answer.trail is None:
        bound = f"holds up to {settings.faults} faults" if answer.complete else "unknown (limit reached)"
        write(f"{scene.name}: {bound} — {answer.states:,} states (SPIN)\n")
        return 0
    space = Space(compiled.tables, inert=False, persistent=False)
    path = promela.replay(space, model, answer.trail)
    if path is None:
        raise Failure(f"the trail of SPIN for {scene.name} cannot be replayed: please report it")
    steps = story.tell(compiled, space, path)
    faults = sum(step.fault for step in steps)
    lines = [
        f"{scene.name}: violated (needs at most {faults} fault{'s' * (faults != 1)}), a run of SPIN, replayed here:"
    ]
    write("\n".join([*lines, *runs.text(steps, painter(False)), ""]) + "\n")
    return 1
